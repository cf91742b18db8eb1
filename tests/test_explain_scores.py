"""Scores of attributions: planted models, random ones, and those that look elsewhere."""

import numpy as np
import pytest

from pipeline.explain.parts import Items, attribute, ranks, removed_to
from pipeline.explain.pictures import Shown
from pipeline.explain.scoring import REMOVED, against_cause, on_cause, over_patients, scores

ITEMS, PARTS, CAUSE = 150, 24, 6


def items_of(subjects=ITEMS, seed=0):
    """Items with 20 to 24 parts each, the first six of which carry the cause."""
    random = np.random.default_rng(seed)
    start = np.concatenate([[0], np.cumsum(random.integers(20, PARTS + 1, ITEMS))])
    subject = np.arange(ITEMS) % subjects
    items = Items(subject, subject, random.integers(0, 2, ITEMS), start)
    return Items(items.episode, subject, items.label, start, items.place < CAUSE)


def model_of(items, where, seed=1):
    """A model whose log odds are a sum over the parts `where` (bool), and its log odds."""
    worth = np.random.default_rng(seed).normal(0, 1, int(items.start[-1])) * where
    table = items.dense(worth)
    return lambda item, removed: (table[item] * ~removed).sum(axis=1)


def judged(items, occluded, value=None, least=0, cause="planted"):
    whole, own = attribute(occluded, items)
    value = own if value is None else value
    return scores(occluded, items, whole, value, 0, cause, None, least, Shown(least))


def test_a_model_that_looks_at_the_cause_alone_has_all_of_its_attribution_there():
    items = items_of()
    made = judged(items, model_of(items, items.cause))
    for name in ("share", "pointing"):
        assert made[name]["value"] == pytest.approx({"value": 1, "low": 1, "high": 1})
        assert 0.24 < made[name]["chance"]["value"] < 0.31 and made[name]["informative"]
    assert made["deletion"]["informative"] and made["informative"]
    assert made["deletion"]["difference"]["low"] > 0.1


def test_a_model_that_looks_anywhere_is_at_chance_and_flagged():
    items = items_of()
    made = judged(items, model_of(items, np.ones(int(items.start[-1]), bool)))
    for name in ("share", "pointing"):
        score = made[name]
        assert not score["informative"]
        assert abs(score["value"]["value"] - score["chance"]["value"]) < 0.08
        assert score["difference"]["low"] < 0 < score["difference"]["high"]
    assert made["deletion"]["informative"]  # it does say what the model rests on
    assert made["informative"] is False


def test_an_attribution_that_is_not_of_the_model_is_flagged_by_every_measure():
    items = items_of()
    value = np.random.default_rng(5).normal(0, 1, int(items.start[-1]))
    made = judged(items, model_of(items, items.cause), value)
    assert not any(made[name]["informative"] for name in ("share", "pointing", "deletion"))
    assert made["informative"] is False


def test_a_model_that_looks_at_a_decoy_scores_below_chance():
    items = items_of()
    made = judged(items, model_of(items, (items.place >= CAUSE) & (items.place < 2 * CAUSE)))
    for name in ("share", "pointing"):
        assert made[name]["value"]["value"] == 0 and made[name]["difference"]["high"] < 0
    assert made["informative"] is False


def test_half_on_the_cause_and_half_on_a_decoy_lies_between():
    items = items_of()
    made = judged(items, model_of(items, items.place < 2 * CAUSE))
    assert 0.4 < made["share"]["value"]["value"] < 0.6 and made["share"]["informative"]


def test_an_item_without_attribution_is_as_good_as_chance_and_one_without_cause_is_left_out():
    cause = np.array([True, False, False, False, False, False])
    items = Items(*np.zeros((3, 3), int), np.array([0, 2, 4, 6]), cause)
    have, figures = on_cause(items, np.array([0.0, 0, 1, 2, 0, 0]))
    assert have.tolist() == [True, False, False]
    assert figures[0].tolist() == [0.5, 0.5, 0.5]
    share, _ = against_cause(items, np.array([3.0, 1, 1, 2, 0, 0]))
    assert share["value"]["value"] == 0.75


def test_chance_is_what_shuffled_attributions_score_on_average():
    items = items_of()
    _, value = attribute(model_of(items, items.cause), items)
    random = np.random.default_rng(0)
    shuffled = []
    for _ in range(60):
        order = np.lexsort((random.random(len(value)), items.owner))
        shuffled.append(on_cause(items, value[order])[1][:, :2].mean(axis=0))
    chance = on_cause(items, value)[1][:, 2].mean()
    assert np.abs(np.mean(shuffled, axis=0) - chance).max() < 0.01


def test_intervals_are_over_patients_not_over_items():
    """Ten items of each of 15 patients, alike within a patient: as wide as 15 of them alone."""
    of_patient = np.random.default_rng(0).normal(size=15)
    alone = over_patients(of_patient[:, None], np.arange(15))[0]
    repeated = over_patients(np.repeat(of_patient, 10)[:, None], np.repeat(np.arange(15), 10))[0]
    apart = over_patients(np.repeat(of_patient, 10)[:, None], np.arange(150))[0]

    def width(fit):
        return fit["high"] - fit["low"]

    assert width(repeated) == pytest.approx(width(alone), rel=0.05)
    assert width(apart) < 0.5 * width(alone)


def test_a_deletion_curve_begins_at_nothing_and_ends_alike_for_both_orders():
    items = items_of()
    curve = judged(items, model_of(items, items.cause))["deletion"]["curve"]
    assert [point["removed"] for point in curve] == list(REMOVED)
    assert curve[0]["moved"]["value"] == curve[0]["moved_at_random"]["value"] == 0
    assert curve[-1]["moved"] == pytest.approx(curve[-1]["moved_at_random"])
    assert curve[2]["moved"]["value"] > 2 * curve[2]["moved_at_random"]["value"]
    assert curve[0]["auroc"] is not None


def test_parts_are_taken_away_from_the_strongest_on_at_least_one_of_each_item():
    items = Items(*np.zeros((3, 2), int), np.array([0, 3, 5]))
    rank = ranks(items, np.array([1.0, 3, 2, 5, 5]))
    assert removed_to(items, rank, 0.05).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert removed_to(items, rank, 0.5).tolist() == [[0, 1, 1], [1, 0, 0]]
    assert removed_to(items, rank, 1.0).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert not removed_to(items, rank, 0).any()


def test_of_few_real_patients_nothing_is_scored():
    items = items_of(subjects=9)
    made = judged(items, model_of(items, items.cause), least=10)
    assert made["reason"] and made["informative"] is None
    assert made["share"] is made["pointing"] is made["deletion"] is None


@pytest.mark.parametrize(("subjects", "enough"), [(9, False), (10, True)])
def test_a_cause_in_few_patients_is_not_scored(subjects, enough):
    items = items_of()
    some = items.cause & (items.subject[items.owner] < subjects)
    few = Items(items.episode, items.subject, items.label, items.start, some)
    made = judged(few, model_of(items, items.cause))
    assert (made["share"] is not None) == (made["pointing"] is not None) == enough
    assert ("fewer than 10 patients" in (made["reason"] or "")) == (not enough)
    assert made["items"] == subjects and made["deletion"]


def test_of_nine_patients_of_the_hospital_nothing_is_scored():
    made = judged(items_of(subjects=9), model_of(items_of(), items_of().cause))
    assert made["reason"] and made["informative"] is None and made["deletion"] is None


def test_without_a_known_cause_only_the_model_is_asked():
    items = items_of()
    bare = Items(items.episode, items.subject, items.label, items.start)
    made = judged(bare, model_of(items, items.cause), least=10, cause=None)
    assert made["share"] is None and made["items"] is None and made["deletion"]["informative"]
    assert made["informative"] is True


def test_small_classes_of_real_patients_have_no_auroc():
    items = items_of()
    label = np.zeros(ITEMS, int)
    label[:9] = 1
    few = Items(items.episode, items.subject, label, items.start)
    made = judged(few, model_of(items, items.cause), least=10)
    assert all(point["auroc"] is None for point in made["deletion"]["curve"])
