"""A fourth modality costs a folder, a rules file and a letter: the ECG of docs/extending.md."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from checkout import Checkout, environment
from pages import apply, of_section
from test_report_wang import result

from pipeline.extract.contracts import tables_for
from pipeline.report.results import by_name
from pipeline.report.wang import introduction
from pipeline.stage.result import in_tasks

BLOCKS = of_section("extending.md", "A modality")


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A checkout with the fourth modality, in which nothing was run."""
    root = tmp_path_factory.mktemp("modality") / "extended"
    return extend(Checkout.fresh(root))


def extend(checkout):
    """Adds the fourth modality, as the documentation does."""
    apply(checkout, BLOCKS)
    return checkout


ECG = {"draw_leads": 1, "pretrain_ecg": 1}


@pytest.mark.parametrize(
    ("target", "jobs", "encoders"),
    [
        ("x_unimodal_mortality", ECG | {"embed_ecg": 1}, 1),
        ("ex_joint_mortality", ECG | {"fuse_jointly": 1}, 2),
        ("ecnx_early_mortality", ECG | {"fuse_early": 1, "decode_films": 10}, 4),
        ("nx_late-averaged_longstay", ECG | {"fuse_jointly": 1}, 2),
        ("x_gbdt_readmission", ECG | {"fit_baseline": 1}, 1),
    ],
)
def test_targets_with_the_fourth_letter_plan_its_jobs(extended, target, jobs, encoders):
    planned = extended.plan(f"results/{target}.json").planned
    assert jobs.items() <= planned.items()
    assert sum(rule.startswith("pretrain_") for rule in planned) == encoders


def test_published_targets_and_folds_have_it_as_well(extended):
    planned = extended.plan("results/published/ex_early_mortality.json").planned
    assert {"draw_leads": 1, "fuse_early": 1, "evaluate_published": 1}.items() <= planned.items()
    predictions = "results/corrected/fold1/admission/predictions/ex_early_mortality.parquet"
    folded = extended.snakemake("--dry-run", predictions, "--config", "folds=2").planned
    assert folded["draw_leads"] == 1


def test_the_tables_are_of_all_four(extended):
    planned = extended.plan("tables").planned
    # early and gated, early as published × tasks × sets of two letters or more
    assert planned["fuse_early"] == 3 * 3 * 11
    assert planned["evaluate_model"] == 3 * (4 + 6 * 11 + 2 * 15 + 2 + 2)


def test_letters_out_of_their_order_are_refused_by_name(extended):
    outcome = extended.snakemake("--dry-run", "results/xe_early_mortality.json")
    assert outcome.status
    assert "modalities: letters of ecnx in this order" in outcome.text


@pytest.mark.parametrize(("section", "refused"), [("ecg", False), ("egc", True)])
def test_the_config_may_hold_its_settings_and_no_misspelt_ones(extended, section, refused):
    target = "results/x_unimodal_mortality.json"
    outcome = extended.snakemake("--dry-run", target, "--config", f"{section}={{leads: 12}}")
    assert (outcome.status != 0) == refused, outcome.text
    assert (
        "config.egc: unknown key, and no further modality of that name" in outcome.text
    ) == refused


def test_a_source_of_real_data_needs_no_further_table_for_it():
    assert tables_for("ex") == tables_for("e")


def test_the_page_of_all_results_names_its_letter():
    results = by_name((letter, in_tasks(result(letter, "unimodal"))) for letter in "enx")
    letters = {"e": "EHR", "n": "notes"}
    assert "Modalities: **e** EHR, **n** notes, **x**.\n" in introduction(results, letters)


def test_the_repository_s_own_checks_hold_with_it(extended):
    """Rooms import one way; the imaginary one keeps to it."""
    lint = Path(sys.executable).with_name("lint-imports")
    command = [lint, "--no-cache"]
    found = subprocess.run(
        command, cwd=extended.root, env=environment(), capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_an_early_fusion_with_it_is_made_from_what_the_three_left(copied):
    name = "ex_early_mortality"
    ran = extend(copied).make(f"results/{name}.json").ran
    assert sorted(ran) == sorted(
        ["draw_leads", "pretrain_ecg", "embed_ecg", "fuse_early", "evaluate_model"]
    )
    made = json.loads((copied / f"results/{name}.json").read_text())
    assert made["modalities"] == "ex"
    assert made["metrics"]["test"]["auroc"]["value"] is not None
    assert set(made["comparisons"]["singles"]) == {"e_unimodal_mortality", "x_unimodal_mortality"}
    assert made["ceiling"] is None  # the hospital's truth knows of no ECG
    assert {row["modality"] for row in made["missing"]} == {"e", "x"}
    assert "pipeline.ecg.encoder_linear" in made["environment"]["modules"]
    folder = copied / "results/corrected/admission/embeddings/mortality"
    embedded = pl.read_parquet(folder / "ecg.parquet")["episode_id"]
    assert (embedded % 3 > 0).all()
    assert 0 < len(embedded) < pl.read_parquet(folder / "ehr.parquet").height
