"""Leaks: the hospital's traps spring where the availability rule is off, and only there."""

import json

import pytest

SINGLE = "results/e_unimodal_mortality.json"
FUSED = "results/ecn_early_mortality.json"
# the small hospital has few batches
ENOUGH = {"schedule.steps": 80, "schedule.check": 10, "schedule.patience": 8}


def result_of(checkout, target, **settings):
    checkout.configure(ENOUGH | settings)
    checkout.make(target)
    return json.loads((checkout / target).read_text())


def leaps(result):
    """Whether the whole interval of the test AUROC lies above the best reachable one."""
    return result["metrics"]["test"]["auroc"]["low"] > result["ceiling"]["population_auroc"]


def within(result):
    """Whether the model is not better than the oracle on the very same episodes."""
    return result["ceiling"]["oracle_minus_model"]["high"] > 0


def test_looking_ahead_leaps_above_the_ceiling_and_the_rule_prevents_it(copied):
    honest = result_of(copied, SINGLE)
    assert within(honest)
    assert not leaps(honest)
    ahead = result_of(copied, SINGLE, **{"availability.enforced": False})
    assert leaps(ahead)
    assert not within(ahead)
    assert ahead["settings"]["availability"]["enforced"] is False  # the result says what it is


@pytest.mark.slow
def test_every_modality_has_its_traps(copied):
    honest = result_of(copied, FUSED)
    assert within(honest)
    ahead = result_of(copied, FUSED, **{"availability.enforced": False})
    assert leaps(ahead)
    for single, comparison in ahead["comparisons"]["singles"].items():
        before = honest["comparisons"]["singles"][single]["test_auroc"]
        assert comparison["test_auroc"] > before + 0.05, single
