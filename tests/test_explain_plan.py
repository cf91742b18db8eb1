"""Which explanations stand behind a result, what they read, and the truth in their terms."""

import re
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml

from pipeline.explain.causes import Truth
from pipeline.hospital import causes
from pipeline.hospital.settings import Habits, Severity
from pipeline.plan import explaining
from pipeline.plan.experiments import refusal
from pipeline.plan.wiring_results import ResultWiring
from pipeline.stage.files import write_json
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import write_table

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
FOLDER = "results/corrected/admission/explanations"
STATISTICS = ["e_logistic-stats", "e_gbdt-stats"]
BEHIND = {
    ("ecn", "early", "mortality"): ["e", "c", "n", *STATISTICS],
    ("cn", "joint", "mortality"): ["c", "n"],
    ("e", "unimodal", "readmission"): ["e", *STATISTICS],
    ("e", "gbdt-stats", "mortality"): ["e_gbdt-stats"],
    ("e", "sofa", "mortality"): [],
    ("ecn", "unimed", "mortality"): [],
}


@pytest.mark.parametrize("target", BEHIND)
def test_explanations_behind_a_result(target):
    letters, model, task = target
    job = SimpleNamespace(modalities=letters, model=model, task=task)
    files = ResultWiring(CONFIG).explanations()(job)
    assert files == [f"{FOLDER}/{name}_{task}.json" for name in BEHIND[target]]


def test_of_several_folds_and_of_stays_the_first_of_the_unit():
    wiring = ResultWiring(CONFIG | {"folds": 2})
    job = SimpleNamespace(modalities="c", model="unimodal", task="shock_4h")
    assert wiring.explanations()(job) == ["results/corrected/stay/explanations/c_shock_4h.json"]
    job = SimpleNamespace(modalities="ecn", model="unimed", task="all")
    assert wiring.explanations()(job) == []


def test_a_file_of_an_encoder_is_no_file_of_a_baseline():
    pattern = re.search(r'ONE_TASK = "(.*)"', (ROOT / "rules/explain.smk").read_text())[1]
    assert re.fullmatch(pattern, "arf_12h") and not re.fullmatch(pattern, "gbdt-stats_arf_12h")


def test_only_what_an_encoder_needs_is_read_besides():
    job = SimpleNamespace(modalities="n", protocol="corrected", unit="admission", task="mortality")
    told = explaining.beside(ResultWiring(CONFIG), "n")(job)
    assert told["doc2vec"] == "results/corrected/note/doc2vec/model.json"
    other = CONFIG | {"encoders": CONFIG["encoders"] | {"n": "bert"}}
    assert explaining.beside(ResultWiring(other), "n")(job) == {}
    job.protocol = "published"
    assert explaining.beside(ResultWiring(CONFIG), "n")(job) == {}


def test_an_experiment_cannot_be_named_after_the_folder():
    assert refusal("explanations", [])


@pytest.fixture
def truth(tmp_path):
    """The truth of a hospital whose severity drifts, of three admissions."""

    def of(task="mortality", vitals="drift"):
        severity = Severity(vitals=vitals)
        facts = {"tasks": causes.by_task(causes.Effects()), "hours": causes.by_hour(severity)}
        write_json(tmp_path / "causes.json", facts)
        write_table(causes.of_signals(Habits()), tmp_path / "causes_signals.parquet",
                    causes.SIGNALS)  # fmt: skip
        admitted = pl.datetime_range(pl.datetime(2150, 1, 1), pl.datetime(2150, 1, 3), "1d",
                                     eager=True)  # fmt: skip
        rows = pl.DataFrame({"hadm_id": [1, 2, 3], "admitted": admitted, "shock": [600, -1, -1],
                             "arf": [-1, -1, 1500]})  # fmt: skip
        write_table(rows, tmp_path / "causes_admissions.parquet", causes.ADMISSIONS)
        later = rows.select(stay_id=pl.col("hadm_id") + 30, admitted="admitted", shock=30, arf=45)
        stays = later.cast({"shock": pl.Int64, "arf": pl.Int64})
        write_table(stays, tmp_path / "causes_stays.parquet", causes.STAYS)
        return Truth(tmp_path, task)

    return of


def test_signals_are_those_of_the_pipelines_catalogue(truth):
    told = {tuple(row) for row in truth().signals.rows()}
    assert {("heart_rate", "severity"), ("lactate", "severity"), ("vasopressor", "shock"),
            ("invasive_ventilation", "arf"), ("gcs_verbal_intubated", "arf"),
            ("temperature", "severity"), ("norepinephrine", "shock")} <= told  # fmt: skip
    names = {signal for signal, _ in told}
    assert not {"sodium", "spo2", "gcs_verbal", "gcs_eye", "foley_catheter", "eeg"} & names


def test_a_task_has_its_own_causes(truth):
    assert set(truth("shock_4h").signals["what"]) == {"severity"}
    assert set(truth("longstay").signals["what"]) == {"severity", "arf"}
    assert truth("shock_4h").why_none("c") and truth("mortality").why_none("c") is None
    for task in ("diagnoses_48h", "shock_6h"):
        why = truth(task).why_none("e")
        assert f"{task} are not written out" in why and "shock_4h, shock_12h" in why


def test_hours_that_show_severity_are_counted_from_the_admission(truth):
    own = truth()
    first, last = np.array([0.0, 0, 6, 24, -9, 60]), np.array([1.0, 6, 12, 48, -3, 66])
    assert own.hours(first, last).tolist() == [False, True, True, True, False, True]
    crisis = truth(vitals="transient")
    assert crisis.hours(np.array([6.0, 30]), np.array([12.0, 36])).tolist() == [True, False]


def test_onsets_are_counted_from_clock_zero(truth):
    clock = pl.select(pl.datetime(2150, 1, 1, 2), later=pl.datetime(2150, 1, 3)).row(0)
    ids = {"hadm_id": [1, 3], "stay_id": [31, 33], "clock_zero": clock}
    told = truth().onsets(pl.DataFrame({"episode_id": [1, 3], **ids}))
    assert told["since"].to_list() == [120, 0]
    assert told["shock"].to_list() == [480, None] and told["arf"].to_list() == [None, 1500]
    told = truth().onsets(pl.DataFrame({"episode_id": [31, 33], **ids}))
    assert told["shock"].to_list() == [-90, 30] and told["arf"].to_list() == [-75, 45]
