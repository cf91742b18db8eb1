"""UniMed through the workflow: from source files to results of ICU stays."""

import json

import polars as pl
import pytest
from checkout import ALONE, MULTI
from test_evaluation_tasks import VALID

from pipeline.report.words import words

TASKS = ["shock_4h", "arf_12h", "mortality_48h", "diagnoses_48h"]


def validated(path):
    """A result that keeps to its schema, parts of which are those of the other results."""
    result = json.loads(path.read_text())
    VALID.validate(result)
    return result


def test_results_of_stays_need_no_encoder_of_admissions(stays):
    assert not {
        rule for rule in stays.outcome.ran if rule.startswith(("pretrain_", "embed_ehr", "make_"))
    }
    assert stays.plan(MULTI, ALONE).planned == {}
    assert stays.plan("results/ecn_early_mortality.json").planned == {}


def test_a_result_of_all_tasks_speaks_of_each(stays):
    result = validated(stays / MULTI)
    assert list(result["tasks"]) == TASKS
    for task in TASKS[:3]:
        own = result["tasks"][task]
        assert own["metrics"]["test"]["auroc"]["low"] < own["metrics"]["test"]["auroc"]["high"]
        assert own["ceiling"]["oracle_auroc"]["value"] > 0.5
    recall = result["tasks"]["diagnoses_48h"]["metrics"]["test"]["recall"]
    assert set(recall) == {"5", "10", "20", "30"}
    items = result["tasks"]["arf_12h"]["definition"]["items"]
    assert {"itemid": 225792, "label": "Invasive Ventilation"} in items
    for own in recall.values():
        assert own["model"]["value"] <= own["ceiling"]["value"]
    looked = result["attention"]["modality"]["arf_12h"]
    assert set(looked) == {"S", "X", "statistics", "c", "n"}
    assert list(result["attention"]["task"]["mortality_48h"]) == TASKS[:3]
    assert (stays / MULTI.replace(".json", ".svg")).read_text().count("ROC") >= 3


def test_a_result_of_stays_in_words(stays):
    result = json.loads((stays / MULTI).read_text())
    lines = words(result, stays / MULTI, {}).splitlines()
    assert lines[0] == "ecn_unimed_all, corrected protocol"
    assert [line[2:18].strip() for line in lines[1:5]] == [
        "Shock 4 h", "ARF 12 h", "Mortality 48 h", "Diagnoses 48 h"
    ]  # fmt: skip
    auroc = result["tasks"]["arf_12h"]["metrics"]["test"]["auroc"]["value"]
    assert f"AUROC {auroc:.3f}" in lines[2]
    assert "by frequency alone" in lines[4]


def test_a_result_of_one_task_has_a_decoder_of_its_own(stays):
    result = validated(stays / ALONE)
    assert list(result["tasks"]) == ["shock_4h"]
    assert result["settings"]["unimed"]["model"]["decoder"] == "gru-attention"
    assert set(result["attention"]["modality"]["shock_4h"]) == {"S", "X", "statistics"}


def test_predictions_are_of_eligible_stays_and_patients_keep_their_split(stays):
    said = pl.read_parquet(stays / "results/corrected/stay/predictions/ecn_unimed_all.parquet")
    split = pl.read_parquet(stays / "results/corrected/admission/episodes.parquet")
    for task in TASKS[:3]:
        labels = pl.read_parquet(stays / f"results/corrected/stay/labels/{task}.parquet")
        own = said.filter(pl.col("task") == task).join(labels, on="episode_id", suffix="_known")
        assert own.height == labels["eligible"].sum()
        assert own["eligible"].all()
        assert (own["label"] == own["label_known"]).all()
    both = said.join(split, on="subject_id", suffix="_of_admission")
    assert both.height
    assert (both["split"] == both["split_of_admission"]).all()


@pytest.mark.parametrize(
    ("setting", "value", "again"),
    [
        ("unimed.variants.gru-attention", {"decoder": "gru-attention", "layers": 2}, {ALONE}),
        ("unimed.model.dropout", 0.2, {MULTI, ALONE}),
        ("unimed.variants.gru", {"decoder": "gru", "width": 64}, set()),
        ("modality_dropout", 0.2, set()),
    ],
)
def test_a_changed_variant_trains_its_own_results_alone(stays, tmp_path, setting, value, again):
    changed = stays.copy(tmp_path / "changed")
    changed.configure({setting: value})
    planned = changed.plan(MULTI, ALONE).planned
    assert planned == dict.fromkeys(["train_unimed", "evaluate_model"] * bool(again), len(again))


def test_an_edit_of_a_task_relabels_it_and_what_learns_it(stays, tmp_path):
    changed = stays.copy(tmp_path / "changed")
    changed.edit("pipeline/cohort/tasks/stay/arf.sql", "-- Task arf", "-- The task arf")
    assert changed.plan(MULTI, ALONE).planned == {
        "label_task": 1, "fit_statistics": 1, "train_unimed": 1, "evaluate_model": 1
    }  # fmt: skip


def test_an_edit_of_the_diagnoses_leaves_results_without_them(stays, tmp_path):
    changed = stays.copy(tmp_path / "changed")
    changed.edit("pipeline/cohort/tasks/stay/diagnoses.sql", "-- Task diag", "-- The task diag")
    assert changed.plan(ALONE).planned == {}
    assert changed.plan(MULTI).planned == dict.fromkeys(
        ["label_diagnoses", "train_unimed", "evaluate_model"], 1
    )


def test_a_vocabulary_of_another_cohort_is_not_asked_for_a_single_task(stays):
    result = validated(stays / ALONE)
    assert "diagnoses_48h" not in result["tasks"]
    diagnoses = (
        "results/corrected/stay/predictions/e_unimed-gru-attention_shock_4h.diagnoses.parquet"
    )
    assert pl.read_parquet(stays / diagnoses).is_empty()


@pytest.mark.slow
def test_a_rerun_on_the_same_stays_trains_nothing_and_says_the_same(stays, tmp_path):
    checkout = stays.copy(tmp_path / "again")
    name = ALONE.removeprefix("results/").removesuffix(".json")
    log = checkout / f"logs/train_unimed/corrected/stay/{name}.log"
    assert "step 3/6" in log.read_text()
    checkout.make("--forcerun", "train_unimed", "--", ALONE)
    assert "trained before on the same: kept" in log.read_text()
    assert "step 3/6" not in log.read_text()
    assert (checkout / ALONE).read_bytes() == (stays / ALONE).read_bytes()
