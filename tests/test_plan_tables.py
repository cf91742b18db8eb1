"""What the pages need: results, comparisons and their options; configs of fewer modalities."""

import json
from types import SimpleNamespace

import pytest
import yaml
from checkout import REPOSITORY, Checkout

from pipeline.fusion import registry
from pipeline.plan import tables
from pipeline.plan.wiring_results import ResultWiring
from pipeline.stage.errors import InputError

CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
MODALITIES = CONFIG["modalities"]


def job(study, protocol="corrected", config=CONFIG):
    """Predictions and options of the comparison of a study."""
    comparing = tables.Comparing(config, ResultWiring(config))
    wildcards = SimpleNamespace(study=study, protocol=protocol)
    files = {key: getattr(comparing, key)(wildcards) for key in ("predictions", "diagnoses")}
    files |= {part: comparing.labels(part)(wildcards) for part in ("groups", "vocabulary")}
    return files, comparing.options(wildcards, SimpleNamespace(**files))


def test_both_papers_are_compared_on_every_binary_task_of_a_unit():
    page = tables.pages(CONFIG)["both"]
    assert page.contrasts == [f"results/corrected/contrasts/papers_{unit}.json"
                              for unit in ("admission", "stay")]  # fmt: skip
    for study, tasks, together in (
        ("papers_admission", CONFIG["tasks"], "admission"),
        ("papers_stay", ["shock_4h", "arf_12h", "mortality_48h"], "all"),
    ):
        files, options = job(study)
        unit = study.removeprefix("papers_")
        models = ["early", "joint", "gated", "gated-joint", "late", "late-averaged", "logistic",
                  "gbdt", "unimed"]  # fmt: skip
        names = [f"ecn_{model}_{task}" for task in tasks for model in models]
        expected = [f"results/corrected/{unit}/predictions/{name}.parquet"
                    for name in [*names, f"ecn_unimed_{together}"]]  # fmt: skip
        assert sorted(files["predictions"]) == sorted(expected)
        assert {f"results/{path.split('/')[-1][:-8]}.json" for path in expected} <= {*page.results}
        assert options[:2] == ["--families", "papers"] and "--diagnoses" not in options
        beside = [f"results/corrected/{unit}/predictions/ecn_unimed_all.diagnoses.parquet"]
        assert files["diagnoses"] == beside * (unit == "stay")
        if unit == "stay":  # training episodes of any task are those of diagnoses, too
            place = options.index("--trained-diagnoses")
            assert options[place + 1 :] == beside
        shares = json.loads(options[options.index("--trained-on") + 1])
        assert {*shares} == {*models}
        assert shares["early"] == {"encoders": ["train"], "head": ["fusion"]}
        both = {part: ["train", "fusion"] for part in ("encoders", "head")}
        assert shares["unimed"] == {**both, "share": 1.0}


def test_a_comparison_across_papers_knows_the_share_that_unimed_is_trained_on():
    model = {**CONFIG["unimed"]["model"], "training_share": 0.5}
    config = {**CONFIG, "unimed": {**CONFIG["unimed"], "model": model}}
    _, options = job("papers_stay", config=config)
    shares = json.loads(options[options.index("--trained-on") + 1])
    assert shares["unimed"]["share"] == 0.5 and "share" not in shares["early"]


def test_unimed_s_models_are_compared_on_diagnoses_too():
    files, options = job("unimed")
    assert files["groups"] == ["results/corrected/stay/labels/diagnoses_48h.groups.parquet"]
    assert options[options.index("--diagnoses-task") + 1] == "diagnoses_48h"
    assert {path.rsplit("_", 1)[-1] for path in files["diagnoses"]} == {
        "all.diagnoses.parquet", "48h.diagnoses.parquet"
    }  # fmt: skip
    assert len(files["predictions"]) == len(tables.pages(CONFIG)["unimed"].results) == 40


def test_what_is_registered_is_compared_and_attributed(monkeypatch):
    monkeypatch.setitem(registry.MODELS, "another", registry.MODELS["early"])
    pages = tables.pages(CONFIG)
    assert "results/ecn_another_shock_4h.json" in pages["both"].results
    assert "results/published/en_another_mortality.json" in pages["wang"].results
    assert "results/corrected/attribution/another_mortality.json" in pages["wang"].attributions
    assert (
        "results/corrected/admission/predictions/ec_another_mortality.parquet"
        in (job("mortality")[0]["predictions"])
    )


def test_a_study_that_is_none_is_refused():
    with pytest.raises(InputError, match="no study 'sepsis' of the corrected protocol; there are"):
        job("sepsis")


@pytest.mark.parametrize("letters", ["ec", "en", "cn"])
def test_every_page_is_planned_without_a_modality(tmp_path, letters):
    checkout = Checkout.fresh(tmp_path / "own")
    checkout.configure({"modalities": {letter: MODALITIES[letter] for letter in letters}})
    pages = tables.pages(CONFIG | {"modalities": {x: MODALITIES[x] for x in letters}})
    planned = checkout.plan(*(f"results/tables/{page}.md" for page in pages)).planned
    assert all(planned[f"write_{page}"] == 1 for page in pages)
    results = {result for page in pages.values() for result in page.results}
    assert planned["evaluate_model"] + planned["evaluate_published"] == len(results)
    lost = {"e": "tokenise_events", "c": "decode_films", "n": "clean_notes"}
    assert {lost[letter] for letter in MODALITIES if letter not in letters}.isdisjoint(planned)


def test_the_mean_of_seeds_stands_in_the_tables_where_there_are_several():
    for seeds, there in (([0], False), ([0, 1], True)):
        pages = tables.pages(CONFIG | {"seeds": seeds})
        assert ("results/ecn_early-ensemble_mortality.json" in pages["wang"].results) == there
        assert ("results/ecn_early-ensemble_shock_4h.json" in pages["both"].results) == there
        attributed = "results/corrected/attribution/early-ensemble_mortality.json"
        assert (attributed in pages["wang"].attributions) == there
