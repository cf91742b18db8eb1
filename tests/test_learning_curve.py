"""The learning curve: its hospitals, what runs for each, and its page."""

import json
import subprocess
import sys

import pytest
from checkout import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import curve_page
import learning_curve
import workflow_runs

HEADS = ("drift", "variability")


def figure(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "seed_sd": None}


def record(patients, gap, early_minus_logistic=0.01):
    models = {
        f"{model}_mortality": {"oracle": figure(0.85), "oracle_minus_model": figure(gap)}
        for model in ("e_unimodal", "ecn_early", "ecn_logistic")
    }
    models |= {"en_unimed_shock_4h": models["e_unimodal_mortality"]} if patients == 2500 else {}
    pair = {"first": "ecn_early_mortality", "second": "ecn_logistic_mortality"}
    pairs = [{"task": "mortality", **pair, **figure(early_minus_logistic), "p": 0.1}]
    return {"variant": "drift", "patients": patients, "seed": 201, "code": "0" * 12,
            "targets": [], "models": models, "pairs": pairs}  # fmt: skip


def test_hospitals_are_those_that_were_fixed_and_none_is_one_of_development():
    names = [hospital.name for hospital in learning_curve.HOSPITALS]
    expected = [f"{v}_{n}_{s}" for n in (1500, 2500) for v in HEADS for s in (201, 202)]
    assert names == [*expected, *(f"{variant}_8000_201" for variant in HEADS)]
    for severity in learning_curve.VARIANTS.values():
        assert severity["vitals"] != "level"
        assert (severity["films"], severity["reports"]) == ("focal", "varied")


def test_joint_and_unimed_run_at_one_size_only():
    by_size = {h.patients: set(h.targets) for h in learning_curve.HOSPITALS}
    assert by_size[1500] == by_size[8000] < by_size[2500]
    stays = {f"e_logistic-stats_{task}" for task in ("shock_4h", "arf_12h", "mortality_48h")}
    more = {"ecn_joint_mortality", "en_unimed_all"} | stays
    assert by_size[2500] - by_size[1500] == more


def test_a_hospital_runs_the_default_recipe_in_a_folder_of_its_own(tmp_path):
    hospital = learning_curve.HOSPITALS[5]
    call = learning_curve.command(hospital, tmp_path, 1, dry=True)
    written = (tmp_path / "hospital.yaml").read_text()
    assert "patients: 2500" in written and "schedule" not in written
    planned = subprocess.run(
        call,
        cwd=tmp_path,
        env=workflow_runs.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert planned.returncode == 0, planned.stderr
    made = {path.name for path in (tmp_path / "results").iterdir()}
    assert made == {".temp"}  # of the dry run itself


def test_the_digest_of_a_record_is_of_the_code_that_ran(tmp_path):
    workflow_runs.project(tmp_path)
    ran = learning_curve.code_digest(tmp_path)
    assert ran == learning_curve.code_digest(REPOSITORY)
    edited = tmp_path / "pipeline/training/loop.py"
    edited.write_text(edited.read_text() + "\n")
    assert learning_curve.code_digest(tmp_path) != ran == learning_curve.code_digest(REPOSITORY)


def test_a_finished_hospital_is_kept_until_a_target_is_added(tmp_path):
    hospital = learning_curve.HOSPITALS[0]
    assert learning_curve.finished(hospital, tmp_path) is None
    (tmp_path / "record.json").write_text(json.dumps({"targets": hospital.targets[:-1]}))
    assert learning_curve.finished(hospital, tmp_path) is None
    (tmp_path / "record.json").write_text(json.dumps({"targets": [*hospital.targets, "more"]}))
    assert learning_curve.finished(hospital, tmp_path)


@pytest.mark.parametrize(("gap", "met"), [(0.035, True), (0.045, False)])
def test_what_was_wanted_is_marked_as_met_or_not(gap, met):
    rows = {
        row["asked"]: row for row in curve_page.verdicts([record(2500, gap), record(8000, gap)])
    }
    assert rows["2,500 patients: oracle − ecn_early ≤ .040"]["met"] == met
    assert not rows["2,500 patients: oracle − e_unimodal ≤ .030"]["met"]
    assert not rows["8,000 patients: oracle − ecn_early ≤ .015"]["met"]
    assert "8,000 patients: oracle − e_unimodal ≤ .030" not in rows


@pytest.mark.parametrize(("values", "met"), [((0.01, -0.005), True), ((0.03, -0.011), False),
                                             ((-0.002, 0.001), False)])  # fmt: skip
def test_early_may_lose_to_logistic_nowhere_by_much(values, met):
    rows = curve_page.verdicts([record(1500, 0.05, value) for value in values])
    assert [row["met"] for row in rows if row["asked"].startswith("early")] == [met]


def test_the_page_shows_every_hospital_with_intervals_and_what_is_missing():
    page = curve_page.page([record(2500, 0.031)], ["drift_8000_201"], ["gated"])
    assert (
        "| drift | 2,500 | 201 | 000000000000 | .850 (.840 to .860) | .031 (.021 to .041) | – |"
        in page
    )
    assert "Not finished: drift_8000_201." in page and "not yet: gated" in page
    assert "## UniMed" in page and "**not met**" in page
