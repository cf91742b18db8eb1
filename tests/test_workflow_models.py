"""Every model through the workflow: fusions, baselines, the published protocol, the tables."""

import csv
import json
import re

import jsonschema
import pytest
import yaml
from checkout import REPOSITORY

from pipeline.plan import grids

SCHEMA = json.loads((REPOSITORY / "pipeline/evaluation/result.schema.json").read_text())
SCORED_WITHOUT = [
    "en_joint", "en_late", "en_late-averaged", "en_gated", "en_gated-joint", "en_gbdt",
]  # fmt: skip
MODELS = [*SCORED_WITHOUT, "e_logistic-stats", "e_sofa"]


def result_of(checkout, name):
    result = json.loads((checkout / f"results/{name}_mortality.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(result)
    return result


def shorten(checkout):
    """Trainings of the published protocol of one epoch each."""
    path = checkout / "workflow/protocols/published.yaml"
    text, found = re.subn(r"epochs: \d+", "epochs: 1", path.read_text())
    assert found == 3  # Doc2Vec, multimodal and single models
    path.write_text(text)


def test_every_model_makes_a_result_from_what_others_left(finished, copied):
    known = result_of(finished, "ecn_early")
    targets = [f"results/{name}_mortality.json" for name in MODELS]
    ran = copied.make(*targets).ran
    assert not {rule for rule in ran if rule.startswith(("pretrain_", "embed_", "extract_"))}
    for name in MODELS:
        result = result_of(copied, name)
        assert result["cohort"]["fingerprint"] == known["cohort"]["fingerprint"]
        letters = name.split("_")[0]
        singles = {f"{letter}_unimodal_mortality" for letter in letters}
        assert set(result["comparisons"]["singles"]) == singles
        rates = {(row["modality"], row["rate"]) for row in result["missing"] or []}
        expected = {(x, rate) for x in letters for rate in (0, 0.25, 0.5, 0.75, 1)}
        assert rates == (expected if name in SCORED_WITHOUT else set()), name
        assert 0 < result["metrics"]["test"]["auroc"]["value"] < 1
    assert copied.plan(*targets).planned == {}


def test_the_published_protocol_makes_results_of_its_own_and_touches_no_other(finished, copied):
    shorten(copied)
    copied.make("results/published/n_unimodal_mortality.json")
    result, known = result_of(copied, "published/n_unimodal"), result_of(finished, "ecn_early")
    assert result["protocol"] == "published"
    assert result["ceiling"] is None
    assert result["cohort"]["fingerprint"] != known["cohort"]["fingerprint"]
    counts = {split: part["n"] for split, part in result["metrics"].items()}
    assert counts["fusion"] == 0
    assert counts["test"] / sum(counts.values()) == pytest.approx(0.15, abs=0.05)
    assert result["settings"]["cohort"]["definition"] == "published"
    assert result_of(copied, "ecn_early") == known
    assert copied.plan("results/ecn_early_mortality.json").planned == {}


@pytest.mark.slow
def test_tables_hold_a_row_per_result_of_both_protocols(copied):
    shorten(copied)
    config = yaml.safe_load((copied / "config.yaml").read_text())
    del config["modalities"]["c"]
    config["tasks"] = ["mortality"]
    (copied / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    copied.make("tables")
    with (copied / "results/tables/wang.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = {
        (protocol, *name.split("_", 2))
        for protocol in ("corrected", "published")
        for name in grids.grid(config, protocol)
    }
    assert {
        tuple(r[k] for k in ("protocol", "modalities", "model", "task")) for r in rows
    } == expected
    assert len(rows) == len(expected)
    page = (copied / "results/tables/wang.md").read_text()
    assert "mortality" in page and "wang.svg" in page
    assert copied.plan("tables").planned == {}
