"""How near the main job comes to the best reachable (the default hospital, three seeds)."""

import json
import shutil

import pytest
from checkout import REPOSITORY, Checkout

TARGET = "results/ecn_early_mortality.json"


@pytest.mark.slow
def test_main_job_is_near_the_oracle_and_better_than_any_single_modality(tmp_path):
    checkout = Checkout.fresh(tmp_path / "checkout")
    shutil.copy(REPOSITORY / "config.yaml", checkout / "config.yaml")  # not the small one
    checkout.configure({"seeds": [0, 1, 2]})
    checkout.make(TARGET)
    result = json.loads((checkout / TARGET).read_text())
    difference = result["ceiling"]["oracle_minus_model"]
    assert difference["high"] <= 0.05
    assert difference["low"] >= -0.02
    singles = result["comparisons"]["singles"].values()
    assert all(single["model_minus_single"]["low"] > 0 for single in singles)
    test = result["metrics"]["test"]
    assert test["positives"] >= 100
    assert 0.15 <= test["prevalence"] <= 0.20
