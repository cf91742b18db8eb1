"""Two results beside one another: what differs, and AUROC on the test episodes of both."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.sample import Sample
from pipeline.report import compare
from pipeline.stage.errors import InputError

DRAWN = Resampling(200, 0, 1)


def sample(first, last, seed, seeds=1):
    """Predictions of the episodes from `first` up to `last`; labels depend on the episode alone."""
    episode = np.arange(first, last)
    label = np.random.default_rng(0).random(2000)[episode] < 0.3
    noise = np.random.default_rng(seed).normal(size=(2000, seeds))[episode].T
    return Sample(episode, episode // 2, label, 1 / (1 + np.exp(-1.0 * label - noise)))


def test_aurocs_are_of_the_common_episodes_and_their_difference_is_paired():
    first, second = sample(0, 1000, 1), sample(400, 1300, 2)
    counts, one, two, difference = compare.aurocs(first, second, "b.json", DRAWN, 10)
    assert counts == "common test episodes: 600; only in the first: 400, only in the second: 300"
    common = [part.among(np.arange(400, 1000)) for part in (first, second)]
    true = [roc_auc_score(part.label, part.probability[0]) for part in common]
    assert f"AUROC of the first: {true[0]:.3f} (" in one
    assert f"AUROC of the second: {true[1]:.3f} (" in two
    assert f"second minus first: {true[1] - true[0]:+.3f} (".replace("-", "−") in difference
    same = compare.aurocs(first, first, "a.json", DRAWN, 10)[-1]
    assert same.startswith("second minus first: ") and same.count("0.000") == 3


def test_few_episodes_that_one_alone_has_are_not_counted():
    counts, *_ = compare.aurocs(sample(0, 1000, 1), sample(3, 1000, 2), "b.json", DRAWN, 10)
    assert counts.startswith("common test episodes: nearly all; only in the first: <10,")


@pytest.mark.parametrize("other", ["labels", "seeds"])
def test_what_cannot_be_paired_is_refused(other):
    first, second = sample(0, 500, 1), sample(0, 500, 2, seeds=2 if other == "seeds" else 1)
    if other == "labels":
        second = Sample(second.episode, second.subject, ~second.label, second.probability)
    with pytest.raises(InputError, match=rf"{other[:4]}"):
        compare.aurocs(first, second, "b.json", DRAWN, 10)


def test_conditions_of_both_cohorts_stand_in_their_order():
    def result(*rows):
        table = [{"condition": text, "episodes": number} for text, number in rows]
        return {"tasks": {"mortality": {"attrition": table}}}

    first = result(("of the source", 5000), ("aged 18 or over", 4000), ("in an ICU", "<10"))
    second = result(("of the source", 5000), ("aged 65 or over", 2000), ("in an ICU", 900))
    assert compare.attrition(first, second, "mortality") == [
        ("of the source", "5,000", "5,000"),
        ("aged 18 or over", "4,000", "–"),
        ("aged 65 or over", "–", "2,000"),
        ("in an ICU", "<10", "900"),
    ]


def test_settings_name_what_differs_alone():
    def result(**more):
        environment = {"python": "3.11", "code_sha256": "a", "lock_sha256": "b"}
        head = {"target": "e_sofa_x", "protocol": "corrected", "source": {"kind": "synthetic"},
                "seeds": [0], "folds": 1, "threads": 1, "environment": environment}  # fmt: skip
        return head | {"settings": {"cohort": {"min_age": 18, "films": None}}} | more

    other = result(experiment="elderly", settings={"cohort": {"min_age": 65, "films": None}})
    assert compare.settings(result(), other) == [
        ("experiment", "null", "elderly"),
        ("cohort.min_age", "18", "65"),
    ]
    assert compare.settings(other, other) == []


def test_predictions_are_looked_for_beside_the_result(tmp_path):
    result = {"target": "e_sofa_mortality", "protocol": "published", "folds": 1,
              "tasks": {"mortality": {}}}  # fmt: skip
    path = tmp_path / "results/elderly/published/e_sofa_mortality.json"
    with pytest.raises(InputError, match="its predictions, are not there"):
        compare.predictions_of(path, result)
    table = tmp_path / "results/elderly/published/admission/predictions/e_sofa_mortality.parquet"
    table.parent.mkdir(parents=True)
    table.write_text("")
    assert compare.predictions_of(path, result) == [str(table)]


def test_results_of_other_tasks_are_refused_before_anything_is_compared(tmp_path):
    first = (tmp_path / "a.json", {"tasks": {"mortality": {}}})
    second = (tmp_path / "b.json", {"tasks": {"longstay": {}}})
    with pytest.raises(InputError, match=r"b\.json: of longstay, but .*a\.json is of mortality: "):
        next(iter(compare.report(first, second)))
