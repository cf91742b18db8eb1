"""Real input: the open MIMIC-IV demo from its csv.gz files to a result."""

import json
import re
from pathlib import Path

import duckdb
import polars as pl
import pytest
from checkout import Checkout

TARGET = "results/e_unimodal_mortality.json"
COLUMNS = ["condition", "episodes", "subjects"]


@pytest.fixture(scope="module")
def demo(mimic_demo, tmp_path_factory):
    """The finished run; 10 of 107 eligible episodes are positive, so train is half."""
    settings = {
        "source.root": str(mimic_demo),
        **{f"split.{name}": share for name, share in SHARES.items()},
    }
    checkout = Checkout.fresh(tmp_path_factory.mktemp("demo") / "checkout", settings)
    checkout.printed = checkout.make(TARGET).text
    return checkout


SHARES = {"train": 0.5, "fusion": 0.2, "val": 0.1, "test": 0.2}


def test_the_release_is_recognised_and_logged(demo):
    assert "MIMIC-IV 2.x" in demo.printed
    assert "estimate:" in demo.printed


def test_cohort_counts_are_those_of_the_demo(demo):
    steps = json.loads((demo / "results/corrected/admission/attrition.json").read_text())
    assert [step["episodes"] for step in steps] == [275, 275, 275, 128, 112]
    labels = pl.read_parquet(demo / "results/corrected/admission/labels/mortality.parquet")
    assert labels["eligible"].sum() == 107
    assert labels["label"].sum() == 10


def test_rows_and_cohorts_are_those_known_of_the_demo(demo):
    demo.make("results/source/counts.md")
    text = (demo / "results/source/counts.md").read_text()
    assert text.startswith("10 of 10 known counts are as expected\n")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    counts = {name: (expected, found) for _, name, expected, found in rows[2:]}
    assert counts["admissions"] == ("275", "275")
    assert counts["chartevents"] == ("668,862", "668,862")
    assert {row[0] for row in rows[2:]} == {"MIMIC-IV demo 2.2 (the nearest to demo 2.x)"}
    steps = json.loads((demo / "results/corrected/admission/attrition.json").read_text())
    named = {step["condition"]: (step["episodes"], step["subjects"]) for step in steps}
    cohorts = [counts[f"{who} with an ICU stay"][1] for who in ("admissions", "patients")]
    assert cohorts == [str(number) for number in named["with an ICU stay"]]
    admitted = counts["patients with an admission"][1]
    assert named["admissions of the source"] == (275, int(admitted))
    assert (
        "as many rows as MIMIC-IV demo 2.2"
        in (demo / "logs/extract_table/labevents.log").read_text()
    )
    assert "expected in MIMIC" not in demo.printed


def test_tokens_come_from_real_charting(demo):
    events = pl.read_parquet(demo / "results/corrected/admission/ehr/events.parquet")
    assert events["episode_id"].n_unique() == 112
    assert {"heart_rate", "sbp_arterial", "temperature", "lactate", "vasopressor", "urine"} <= set(
        events["signal"]
    )
    celsius = events.filter(pl.col("signal") == "temperature")["value"]
    assert 36 < celsius.median() < 38
    assert events["minute"].max() <= 48 * 60


def test_missing_storetimes_are_counted_in_the_log(demo):
    assert (
        "have no storetime: charttime counts"
        in (demo / "logs/select_events/corrected/admission.log").read_text()
    )


def unit_of(task):
    return f"results/corrected/{'stay' if task.endswith('h') else 'admission'}"


COUNTS = {  # eligible, positive
    "shock_4h": (97, 13),
    "shock_12h": (90, 8),
    "arf_4h": (77, 8),
    "arf_12h": (74, 7),
    "mortality_48h": (72, 12),
    "diagnoses_48h": (72, None),
    "mortality": (107, 10),
    "longstay": (107, 47),
    "readmission": (97, 16),
}
ONSETS = {"shock_4h": 52, "arf_4h": 67, "mortality_48h": 20}  # stays with one at any time
READ = {"chartevents": "stay_id, hadm_id, charttime, itemid"}  # of a large table


@pytest.fixture(scope="module")
def labelled(demo):
    """Labels of all tasks, and features of the demo's 140 ICU stays."""
    labels = [f"{unit_of(task)}/labels/{task}.parquet" for task in COUNTS]
    demo.make(*labels, "results/corrected/stay/fiddle/X.parquet")
    return demo


@pytest.fixture(scope="module")
def witness(mimic_demo):
    """Who is eligible and positive by SQL that was written from the definitions alone."""
    tables = "hosp/admissions hosp/patients hosp/diagnoses_icd icu/icustays icu/chartevents"
    with duckdb.connect() as database:
        for table in f"{tables} icu/inputevents icu/procedureevents".split():
            name = table.split("/")[1]
            rows = f"read_csv('{mimic_demo / table}.csv.gz', sample_size = -1)"
            database.execute(f"CREATE VIEW {name} AS SELECT {READ.get(name, '*')} FROM {rows}")
        database.execute(Path(__file__).with_name("witness.sql").read_text())
        return database.table("witness").pl()


@pytest.mark.parametrize("task", COUNTS)
def test_labels_are_those_of_the_witness_episode_by_episode(labelled, witness, task):
    labels = pl.read_parquet(labelled / f"{unit_of(task)}/labels/{task}.parquet")
    ours, theirs = (
        table.select("episode_id", "eligible", pl.col("label").cast(pl.Int64)).sort("episode_id")
        for table in (labels, witness.filter(task=task))
    )
    assert ours.equals(theirs)
    assert (ours["eligible"].sum(), ours["label"].sum() or None) == COUNTS[task]


@pytest.mark.parametrize("task", ONSETS)
def test_onsets_at_any_time_are_counted_in_the_log(labelled, task):
    labels = pl.read_parquet(labelled / f"results/corrected/stay/labels/{task}.parquet")
    assert labels.height == 140
    assert labels["onset_hours"].is_not_null().sum() == ONSETS[task]
    log = (labelled / f"logs/label_task/corrected/stay/{task}.log").read_text()
    counted = rf"of all stays of the cohort: with an onset at any time +{ONSETS[task]}\n"
    assert re.search(counted, log)


def test_fiddle_reads_the_demo(labelled):
    folder = labelled / "results/corrected/stay/fiddle"
    log = (labelled / "logs/apply_fiddle/corrected/stay.log").read_text()
    assert "N = 140 episodes, L = 48 bins" in log
    series, names = (pl.read_parquet(folder / f"{x}.parquet") for x in ("X", "features"))
    assert series["bin"].max() == 47
    assert names.filter(pl.col("table") == "X").height > 1000
    heart = names.filter(pl.col("name").str.starts_with("HR_value_"))
    assert heart.height == 5
    assert "HR_mask" in names["name"]  # frequent, though half of the stays end before 48 h
    assert series.join(heart.select("feature"), on="feature")["episode_id"].n_unique() > 130


def test_result_hides_small_counts_and_knows_no_ceiling(demo):
    result = json.loads((demo / TARGET).read_text())
    assert result["ceiling"] is None
    assert result["metrics"]["test"]["n"] > 10
    small = [result["metrics"][split]["positives"] for split in ("fusion", "val", "test")]
    assert all(isinstance(count, str) for count in small)  # "<10", or ">n" where few are negative
    assert result["metrics"]["test"]["positives"] == "<10"
    assert set(COLUMNS) == set(result["cohort"]["attrition"][0])
    assert result["source"]["releases"]["MIMIC-IV"].startswith("demo 2")
    assert result["task_definition"]["releases"] == result["source"]["releases"]
    assert result["task_definition"]["hours"] == 48
