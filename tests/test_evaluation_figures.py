"""Intervals that hold training noise: how often they err where nothing is there to be found."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.panel import Panel, aurocs
from pipeline.evaluation.panel import differences as differences_of
from pipeline.evaluation.sections.binary import split_metrics
from pipeline.evaluation.sections.curves import curves
from pipeline.evaluation.sections.threshold import threshold
from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    auroc_difference,
    auroc_estimate,
    differences,
)
from pipeline.evaluation.statistics.figures import ANY, GAP, Figures, heavier, interval, with_seeds
from pipeline.evaluation.statistics.sample import Sample
from pipeline.evaluation.statistics.significance import SEEDS

PATIENTS = 0.0086  # SD of a paired difference of AUROC over patients


def false_clear(seeds, sd, patients=PATIENTS, tries=2000, resamples=400):
    """How often two methods that are equal differ "clearly": share of the tries.

    Each is trained `seeds` times; a training moves its score by `sd`. One set of patients a try.
    """
    random = np.random.default_rng(seeds)
    chance = patients * random.normal(size=(tries, 1))
    trained = sd * random.normal(size=(2, tries, seeds))
    each = (trained[0] - trained[1] + chance).T  # (S, tries)
    drawn = each.mean(axis=0) + patients * random.normal(size=(resamples, tries))
    low, high = interval(with_seeds(drawn, each, 0))
    return ((low > 0) | (high < 0)).mean()


@pytest.mark.parametrize("sd", [0.002, 0.005, 0.01])
def test_five_seeds_err_as_rarely_as_they_say(sd):
    assert 0.03 <= false_clear(SEEDS, sd) <= 0.065


@pytest.mark.parametrize("sd", [0.002, 0.005, 0.01])
def test_more_seeds_err_as_rarely(sd):
    assert 0.03 <= false_clear(10, sd) <= 0.065


def test_one_seed_errs_far_more_often_and_so_has_no_verdict():
    assert false_clear(1, 0.005) == pytest.approx(0.13, abs=0.02)
    assert false_clear(1, 0.01) > 0.25


def of_single_patients(common, alone, training, known=True, tries=2000, resamples=300):
    """Share of the tries that are "clear", and widths against what the truth asks for.

    Variances of a difference that is 0: of patients alike for all seeds, of what each seed makes of
    the test patients, and of the training itself. `known`: whether resamples tell the second.
    """
    random = np.random.default_rng(1)
    each = np.sqrt(common) * random.normal(size=tries) + np.sqrt(alone + training) * random.normal(
        size=(SEEDS, tries)
    )
    own = np.sqrt(alone) * random.normal(size=(resamples, SEEDS, tries))
    mean = each.mean(axis=0) + own.mean(axis=1)
    mean += np.sqrt(common) * random.normal(size=(resamples, tries))
    apart = own - own.mean(axis=1, keepdims=True)
    low, high = interval(with_seeds(mean, each, 0, apart if known else None))
    right = 2 * 1.96 * np.sqrt(common + (alone + training) / SEEDS)
    return ((low > 0) | (high < 0)).mean(), (high - low).mean() / right


@pytest.mark.parametrize("training", [0.0, 0.3, 1.0])
def test_what_seeds_make_of_single_patients_is_counted_once(training):
    clear, width = of_single_patients(0.2, 1.0, training)
    assert 0.025 <= clear <= 0.065 and width < 1.2
    before, wide = of_single_patients(0.2, 1.0, training, known=False)
    assert before < clear and wide > width + 0.05


def test_of_single_patients_alone_the_interval_errs_on_the_wide_side():
    clear, width = of_single_patients(0.0, 1.0, 0.0)
    assert clear <= 0.05 and width < 1.45
    assert of_single_patients(0.0, 1.0, 0.0, known=False)[1] > width


def test_without_disagreement_on_patients_nothing_is_taken_off():
    random = np.random.default_rng(0)
    each, drawn = random.normal(size=(SEEDS, 3)), random.normal(size=(300, 3))
    alike = np.zeros((300, SEEDS, 3))
    np.testing.assert_array_equal(with_seeds(drawn, each, 0, alike), with_seeds(drawn, each, 0))


def test_training_alone_as_the_noise_is_the_hardest_case():
    assert false_clear(SEEDS, 0.01, patients=1e-4) <= 0.085


def test_the_plain_bootstrap_over_five_runs_is_too_narrow():
    """What the stretch and Student's quantiles are for: without them it errs in 1 of 7 cases."""
    random = np.random.default_rng(0)
    each = random.normal(size=(SEEDS, 2000))
    share = random.multinomial(SEEDS, np.full(SEEDS, 1 / SEEDS), size=400) / SEEDS
    low, high = interval(share @ each)
    assert ((low > 0) | (high < 0)).mean() > 0.14


def test_fewer_seeds_leave_patients_alone():
    drawn, each = np.random.default_rng(0).normal(size=(300, 1)), np.arange(4.0)[:, None]
    assert with_seeds(drawn, each, 0) is drawn
    assert Figures(each, drawn).replicates is drawn


def test_seeds_that_agree_add_nothing():
    drawn = np.random.default_rng(0).normal(size=(300, 2))
    np.testing.assert_array_equal(with_seeds(drawn, np.ones((5, 2)), 0), drawn)


def test_figures_without_a_value_stay_without_one():
    drawn = np.random.default_rng(0).normal(size=(300, 2))
    drawn[:, 1] = np.nan
    each = np.random.default_rng(1).normal(size=(5, 2))
    each[:, 1] = np.nan
    made = with_seeds(drawn, each, 0)
    assert np.isnan(made[:, 1]).all() and not np.isnan(made[:, 0]).any()


def test_students_quantiles_keep_order_and_centre():
    drawn = np.random.default_rng(0).normal(3, 2, size=(999, 1))
    wide = heavier(drawn, np.array([4.0]))
    assert (np.argsort(wide[:, 0]) == np.argsort(drawn[:, 0])).all()
    assert np.ptp(wide) > 1.5 * np.ptp(drawn)
    np.testing.assert_array_equal(heavier(drawn, np.array([np.inf])), drawn)


def trained(seeds, sd, shift=0.0, n=400):
    """A sample whose seeds rank the same patients, each with a quality of its own."""
    random = np.random.default_rng(7)
    label = random.random(n) < 0.3
    latent = random.normal(size=n)
    quality = 1 + shift + sd * np.random.default_rng(int(100 * shift)).normal(size=(seeds, 1))
    score = latent + quality * label
    return Sample(np.arange(n), np.arange(n), label, 1 / (1 + np.exp(-score)))


def test_a_difference_tells_its_spread_between_seeds():
    first, second = trained(5, 0.1), trained(5, 0.1, shift=0.5)
    found = auroc_difference(first, second, Resampling(400))
    each = differences(first, second, Resampling(400)).each
    assert found["seed_sd"] == pytest.approx(np.std(each, ddof=1))
    assert found["value"] == pytest.approx(np.mean(each))


def test_training_noise_widens_the_interval_of_five_seeds_only():
    def width(seeds, sd):
        found = auroc_estimate(trained(seeds, sd), Resampling(400))
        return found["high"] - found["low"]

    assert width(5, 0.6) > 1.2 * width(5, 0.0)
    assert width(4, 0.6) == pytest.approx(width(4, 0.0), rel=0.2)


@pytest.fixture(scope="module")
def nearly_perfect():
    """Five seeds near the upper bound, which differ so that added noise would pass it."""
    random = np.random.default_rng(0)
    label = random.random(300) < 0.3
    quality = np.array([2, 2.5, 3.5, 5, 6])[:, None]
    score = random.normal(size=300) + quality * (label - 0.3)
    return Sample(np.arange(300), np.arange(300), label, 1 / (1 + np.exp(-score)))


def numbers(value):
    """All numbers of ends in a JSON object."""
    for key, own in value.items():
        if key in ("low", "high"):
            yield from own if isinstance(own, list) else [own]
        elif isinstance(own, dict):
            yield from numbers(own)


def test_intervals_and_bands_keep_to_what_is_possible(nearly_perfect):
    resampling = Resampling(400)
    names = [{"seed": seed, "fold": 0} for seed in range(SEEDS)]
    metrics = split_metrics(nearly_perfect, names, resampling, 0)
    assert metrics["auroc"]["high"] == 1  # cut there
    drawn = curves("e_x_t", None, nearly_perfect, None, resampling, 0)
    assert max(drawn["roc"]["high"]) == 1 and min(drawn["calibration"]["low"]) == 0
    splits = dict.fromkeys(("train", "fusion", "val", "test"), nearly_perfect)
    called = threshold(splits, names, resampling, 0)
    made = [metrics | {"log_loss": {}}, drawn, called, auroc_estimate(nearly_perfect, resampling)]
    ends = [end for one in made for end in numbers(one)]
    assert len(ends) > 400 and min(ends) >= 0 and max(ends) <= 1
    assert metrics["log_loss"]["low"] >= 0
    figures = Figures(np.array([0.9, 1.0, 1.0, 0.7, 1.0]), np.full(300, 0.95), bounds=GAP)
    assert figures.estimate()["high"] == 1
    assert figures.of(lambda own: own - 2, GAP).estimate()["low"] == -1
    assert figures.within(ANY).estimate()["high"] > 1


def test_panels_attributions_and_ranked_diagnoses_keep_to_it_as_well(nearly_perfect):
    def low_is_high(sample):
        return sample.scored(1 - sample.probability)

    panel = Panel({"a": nearly_perfect, "b": low_is_high(nearly_perfect)}, {}, {}, {})
    figures = aurocs(panel, Resampling(400))
    (row,) = differences_of([("a", "b")], ["a", "b"], figures)
    ends = [*numbers(row), *numbers(figures.estimate(0)), *numbers(figures.estimate(1))]
    assert row["high"] == 1 == figures.estimate(0)["high"] and figures.estimate(1)["low"] == 0
    assert min(ends) >= 0 and max(ends) <= 1


def equals(random, n=150, seeds=SEEDS, sd=0.15, common=0.5, alone=0.2):
    """Two samples of equal methods on the same patients: every training has its own quality."""
    label = random.random(n) < 0.3
    latent = random.normal(size=n)
    samples = []
    for _ in range(2):
        quality = 1 + sd * random.normal(size=(seeds, 1))
        noise = common * random.normal(size=n) + alone * random.normal(size=(seeds, n))
        score = latent + quality * label + noise  # a reading of its own, and of each training
        chance = 1 / (1 + np.exp(-score))
        samples.append(Sample(np.arange(n), np.arange(n), label, chance))
    return samples


def test_whole_way_from_predictions_errs_rarely():
    """200 tries with AUROCs: patients, readings of the models and trainings all vary."""
    random = np.random.default_rng(0)
    found = [auroc_difference(*equals(random), Resampling(200)) for _ in range(200)]
    clear = [row["low"] > 0 or row["high"] < 0 for row in found]
    assert 0.01 <= np.mean(clear) <= 0.09
    assert np.mean([row["seed_sd"] for row in found]) > 0.03


def test_whole_way_where_seeds_disagree_on_single_patients_only():
    """Trainings of one quality: what s² then holds is of the test patients, who are drawn."""
    random, clear, widths = np.random.default_rng(1), [], []
    for _ in range(100):
        samples = equals(random, sd=0.0, common=0.2, alone=0.8)
        found = differences(*samples, Resampling(200))
        ends = [own.estimate() for own in (found, replace(found, apart=None))]
        widths.append([own["high"] - own["low"] for own in ends])
        clear.append(ends[0]["low"] > 0 or ends[0]["high"] < 0)
    assert np.mean(clear) <= 0.08
    counted_once, counted_twice = np.mean(widths, axis=0)
    assert counted_once < 0.95 * counted_twice
