"""The figures of a kit in the workflow: what they need, what is refused, recalibration."""

import json

import pytest
import yaml

from pipeline.plan import experiments, refusals
from pipeline.plan.configuration import check
from pipeline.plan.wiring_kit import KitWiring
from pipeline.stage.errors import InputError

NUMBERS = "results/kit/e_unimodal_mortality/numbers.json"


def test_a_kit_needs_the_result_the_care_units_and_the_score(fresh):
    planned = fresh.plan(NUMBERS).planned
    result = fresh.plan("results/e_unimodal_mortality.json").planned
    more = {rule: n - result.get(rule, 0) for rule, n in planned.items()}
    own = {rule: n for rule, n in more.items() if n}
    assert own == {"describe_episodes": 1, "score_severity": 1, "measure_kit": 1}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("results/kit/ecn_erly_mortality/numbers.json",
         "no model 'erly' of the modalities 'ecn'; did you mean results/ecn_early_mortality.json?"),
        ("results/kit/ecn_unimed_admission/numbers.json",
         "a kit is of a result of one binary task"),
        ("results/published/kit/e_sofa_mortality/numbers.json", "no model 'sofa'"),
    ],
)  # fmt: skip
def test_a_kit_that_cannot_be_made_is_refused(fresh, target, why):
    refused = fresh.plan(target)
    assert refused.status == 1
    assert why in refused.text
    assert "Traceback" not in refused.text


@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("results/kit/ecn_early_mortality/nummers.jsn", "results/kit/ecn_early_mortality/"),
        ("results/kit/ecn_early_mortalty", "results/kit/ecn_early_mortality/"),
        (
            "results/published/kit/ecn_erly_mortality/x",
            "results/published/kit/ecn_early_mortality/",
        ),
    ],
)
def test_a_file_that_no_kit_has_is_refused_with_the_page_of_the_nearest(target, near):
    config = {"modalities": {"e": "ehr", "c": "cxr", "n": "note"}, "seeds": [0], "tasks": [],
              "unimed": {"variants": {}}}  # fmt: skip
    message = refusals.unmade(config, target, [])
    assert message == f"no rule makes {target}; did you mean {near}report.html?"


def test_kit_is_no_name_of_an_experiment():
    why = "name: kit is a folder of every experiment; call it otherwise"
    assert experiments.refusal("kit", []) == why


def test_without_the_tables_of_the_score_a_kit_says_why():
    made = KitWiring({"unimed": {"variants": {}}}, None, None, "the source has no table x")
    reasons = {"corrected": "the source has no table x",
               "published": "the published protocol has no clinical scores"}  # fmt: skip
    for protocol, why in reasons.items():
        assert made.score(protocol)(None) == []
        asked = type("Input", (), {"score": []})()
        assert made.score_options(protocol)(None, asked) == ["--no-scores", why]


def test_an_unknown_way_of_recalibration_is_refused(fresh):
    config = yaml.safe_load((fresh / "config.yaml").read_text())
    with pytest.raises(InputError, match='recalibration: "plat"; expected none, platt or temperat'):
        check(config | {"recalibration": "plat"})


def test_recalibration_measures_again_and_trains_nothing(copied):
    copied.make(NUMBERS)
    path = copied / "results/e_unimodal_mortality.json"
    plain, figures = path.read_bytes(), (copied / NUMBERS).read_bytes()
    assert json.loads(figures)["head"]["recalibration"] == "none"
    copied.configure({"recalibration": "platt"})
    assert copied.make(NUMBERS).ran == ["evaluate_model", "measure_kit"]
    made, kit = json.loads(path.read_text()), json.loads((copied / NUMBERS).read_text())
    assert made["recalibration"]["method"] == made["settings"]["recalibration"] == "platt"
    assert kit["head"]["recalibration"] == "platt"
    assert kit["calibration"][1]["slope"] == made["calibration"]["slope"]
    before = json.loads(plain)
    assert made["metrics"]["test"]["auroc"] == before["metrics"]["test"]["auroc"]
    assert made["metrics"]["test"]["brier"] != before["metrics"]["test"]["brier"]
    copied.configure({"recalibration": "none"})
    copied.make(NUMBERS)
    assert (path.read_bytes(), (copied / NUMBERS).read_bytes()) == (plain, figures)
