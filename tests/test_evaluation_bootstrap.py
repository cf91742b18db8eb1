"""The bootstrap: over patients, paired, seeds averaged, one-class resamples discarded."""

import numpy as np
import pytest

from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    auroc_difference,
    auroc_estimate,
    per_seed,
    replicate,
    resamples,
)
from pipeline.evaluation.statistics.figures import NOTHING
from pipeline.evaluation.statistics.metrics import auroc
from pipeline.evaluation.statistics.sample import Sample

FEW = Resampling(count=300, seed=1)


def example(n=400, seeds=1, subject=None, shift=1.0, seed=0):
    random = np.random.default_rng(seed)
    label = random.random(n) < 0.3
    score = random.normal(size=(seeds, n)) + shift * label
    subject = np.arange(n) if subject is None else subject
    return Sample(np.arange(n), subject, label, 1 / (1 + np.exp(-score)))


def width(estimate):
    return estimate["high"] - estimate["low"]


def test_patients_are_drawn_whole_and_as_many_as_there_are():
    subject = np.array([5, 3, 5, 9, 3, 5])
    (weights,) = resamples(subject, FEW)
    assert (weights[:, [0, 2]] == weights[:, [5, 5]]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.2)


def test_blocks_do_not_change_the_draws():
    subject = np.random.default_rng(0).integers(0, 37, 100)
    (whole,) = resamples(subject, FEW)
    blocks = list(resamples(subject, FEW, cells=750))
    assert len(blocks) == 43
    assert (np.concatenate(blocks) == whole).all()


def test_seed_fixes_the_interval():
    part = example()
    assert auroc_estimate(part, FEW) == auroc_estimate(part, FEW)
    assert auroc_estimate(part, FEW) != auroc_estimate(part, Resampling(300, seed=2))


def test_interval_covers_the_true_auroc():
    truth = 0.7602499  # Phi(1 / sqrt 2): two normal scores one standard deviation apart
    covered = [
        e["low"] <= truth <= e["high"]
        for e in (auroc_estimate(example(150, seed=s), Resampling(200)) for s in range(200))
    ]
    assert 0.90 <= np.mean(covered) <= 0.99


def test_copies_of_patients_add_no_certainty():
    single = example(200)
    index = np.arange(200).repeat(4)
    clustered = single.rows(index)
    naive = Sample(clustered.episode, np.arange(800), clustered.label, clustered.probability)
    assert width(auroc_estimate(clustered, FEW)) == pytest.approx(
        width(auroc_estimate(single, FEW)), rel=1e-9
    )
    assert width(auroc_estimate(clustered, FEW)) > 1.6 * width(auroc_estimate(naive, FEW))


def test_several_seeds_are_averaged_within_each_resample():
    three = example(seeds=3)
    ones = [
        Sample(three.episode, three.subject, three.label, three.probability[[s]]) for s in range(3)
    ]
    mean = replicate(three, per_seed(auroc, three), FEW)
    each = [replicate(one, per_seed(auroc, one), FEW).patients for one in ones]
    np.testing.assert_allclose(mean.patients, np.mean(each, axis=0), atol=1e-12)


def test_difference_is_paired():
    good = example(shift=1.2)
    noise = np.random.default_rng(5).normal(size=good.probability.shape)
    similar = 1 / (1 + np.exp(-np.log(good.probability / (1 - good.probability)) - 0.1 * noise))
    other = Sample(good.episode, good.subject, good.label, similar)
    same = auroc_difference(good, good, FEW)
    there, back = auroc_difference(good, other, FEW), auroc_difference(other, good, FEW)
    assert same == {"value": 0, "low": 0, "high": 0, "seed_sd": None}
    assert there["value"] == -back["value"]
    assert there["low"] == pytest.approx(-back["high"], abs=1e-12)
    assert width(there) < 0.3 * width(auroc_estimate(good, FEW))


def test_resamples_with_one_class_are_discarded_and_counted():
    label = np.array([True] + [False] * 9)
    part = Sample(np.arange(10), np.arange(10), label, np.linspace(1, 0, 10)[None])
    found = replicate(part, per_seed(auroc, part), Resampling(1000))
    assert found.discarded == pytest.approx(1000 * 0.9**10, abs=50)
    assert len(found.patients) == 1000 - found.discarded
    assert (found.patients == 1).all()


def test_one_class_has_no_auroc_and_no_difference():
    part = example()
    negatives = part.rows(np.flatnonzero(~part.label))
    assert auroc_estimate(negatives, FEW) == NOTHING
    assert auroc_difference(negatives, negatives, FEW) == {**NOTHING, "seed_sd": None}
