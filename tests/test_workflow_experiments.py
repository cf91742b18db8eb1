"""Experiments side by side: where each makes its files, what they share, what is refused."""

import json
import re

import pytest
from checkout import MAIN, Checkout

ELDERLY = "results/elderly/ecn_early_mortality.json"
FIT = {"fit_bins", "train_doc2vec"}
SHARED = {"make_hospital", "extract_table", "clean_notes"} | FIT


def of(checkout, name, text):
    """An experiment by its file; the arguments that choose it."""
    (checkout / "experiments").mkdir(exist_ok=True)
    (checkout / f"experiments/{name}.yaml").write_text(text)
    return ["--config", f"name={name}", "--"]


def plan(checkout, *arguments):
    return checkout.snakemake("--dry-run", "--quiet", "rules", "reason", "host", *arguments)


@pytest.fixture
def side(copied):
    """A finished run without a name, and an experiment that is not made yet."""
    return copied, of(copied, "elderly", "cohort: { min_age: 65 }\n")


def test_an_experiment_makes_its_own_files_and_takes_what_is_shared(side):
    checkout, elderly = side
    planned = plan(checkout, *elderly, ELDERLY).planned
    assert planned["select_episodes"] == planned["evaluate_model"] == 1
    assert not SHARED & set(planned)
    assert checkout.plan(MAIN).planned == {}
    text = checkout.snakemake("--dry-run", *elderly, ELDERLY).text
    outputs = [path for line in re.findall(r"^    output: (.*)$", text, re.M)
               for path in line.split(", ")]  # fmt: skip
    logs = re.findall(r"^    log: (.*)$", text, re.M)
    assert all(path.startswith("results/elderly/") for path in outputs)
    assert all(re.match(r"logs/\w+/elderly/", path) for path in logs)


def test_an_experiment_of_another_split_fits_its_own(side):
    checkout, _ = side
    planned = plan(checkout, *of(checkout, "other", "split: { salt: b }\n"),
                   "results/other/en_early_mortality.json").planned  # fmt: skip
    assert set(planned) >= FIT and "clean_notes" not in planned
    words = of(checkout, "words", "note: { doc2vec: { epochs: 3 } }\n")
    planned = plan(checkout, *words, "results/words/en_early_mortality.json").planned
    assert "train_doc2vec" in planned and "fit_bins" not in planned
    assert checkout.plan(MAIN).planned == {}


def test_an_unnamed_run_has_the_paths_that_it_had(fresh):
    text = fresh.snakemake("--dry-run", "--", MAIN).text
    assert "results/corrected/admission/episodes.parquet" in text
    assert "log: logs/select_episodes/corrected/admission.log" in text


@pytest.mark.parametrize(
    ("name", "text", "target", "why"),
    [
        ("tables", "folds: 1\n", "results/tables/wang.md", "name: tables is a folder of every"),
        ("cxr", "folds: 1\n", "results/cxr/e_sofa_mortality.json", "name: cxr is a folder"),
        ("Old", "folds: 1\n", "results/Old/e_sofa_mortality.json", "a name of a-z, 0-9, _ and -"),
        ("old", "sample: 0.5\n", "results/old/e_sofa_mortality.json", "all experiments share the"),
        ("old", "hospital: { seed: 9 }\n", "results/old/e_sofa_mortality.json", "config.hospital"),
        ("old", "name: young\n", "results/old/e_sofa_mortality.json", "it is named young"),
        ("old", "folds: 1\nfolds: 2\n", "results/old/e_sofa_mortality.json", "is set twice"),
        ("old", "cohort: { max_age: 9 }\n", "results/old/e_sofa_mortality.json", "max_age 9 is be"),
        ("old", "folds: 1\n", "results/e_sofa_mortality.json", "makes results/old/e_sofa_mortali"),
    ],
)
def test_what_no_experiment_can_be_is_refused_in_one_line(tmp_path, name, text, target, why):
    checkout = Checkout.fresh(tmp_path / "fresh")
    refused = plan(checkout, *of(checkout, name, text), target)
    assert refused.status == 1
    assert why in refused.text
    assert "Traceback" not in refused.text


def test_a_result_of_an_experiment_needs_its_name(side):
    checkout, _ = side
    refused = checkout.plan(ELDERLY)
    assert refused.status == 1
    assert "add --config name=elderly before --" in refused.text


@pytest.mark.slow
def test_two_experiments_stand_side_by_side_and_a_failure_leaves_the_other(side):
    checkout, elderly = side
    before = (checkout / MAIN).read_bytes()
    target = "results/elderly/e_unimodal_mortality.json"
    checkout.make("--cores", "2", *elderly, target)
    made = json.loads((checkout / target).read_text())
    assert made["experiment"] == "elderly" and made["settings"]["cohort"]["min_age"] == 65
    assert "experiment" not in json.loads(before)
    assert checkout.plan(MAIN).planned == {}
    assert plan(checkout, *elderly, target).planned == {}
    of(checkout, "elderly", "cohort: { min_age: 70 }\n")
    assert checkout.snakemake(*elderly, target, broken="pipeline.ehr.tokens").status == 1
    assert not (checkout / target).exists()
    assert (checkout / MAIN).read_bytes() == before
    assert checkout.plan(MAIN).planned == {}
