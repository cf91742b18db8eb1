"""Explanations of the baselines on statistics: SHAP values that add up, trees by occlusion."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pipeline.cohort.rows import TaskRows
from pipeline.explain import statistics
from pipeline.explain.parts import attribute
from pipeline.explain.scoring import scores
from pipeline.fusion.baselines import Fitted, candidates, fit_best, fitted_rows, preparation
from pipeline.fusion.inputs import Inputs

N = 600
COLUMNS = ["lactate_max", "lactate_min", "sodium_max", "sodium_min", "vasopressor_running",
           "age_decade"]  # fmt: skip


class Truth:
    """Lactate alone carries the risk."""

    signals = pl.DataFrame({"signal": ["lactate"]})

    def why_none(self, letter):
        return None


@pytest.fixture(scope="module")
def cohort():
    random = np.random.default_rng(0)
    value = random.normal(size=(N, len(COLUMNS))).astype(np.float32)
    label = (random.random(N) < 1 / (1 + np.exp(-2 * value[:, 0] - value[:, 1]))).astype(int)
    value[random.random(N) < 0.1, 2] = np.nan
    split = np.array(["train", "fusion", "val", "test"])[np.arange(N) % 4]
    ids = np.arange(N)
    return Inputs(value, None), TaskRows("mortality", ids, ids, split, label)


@pytest.mark.parametrize("kind", ["logistic", "gbdt"])
def test_columns_of_the_planted_signal_are_found(cohort, kind):
    inputs, rows = cohort
    result = fit_best(kind, inputs, rows, fitted_rows(rows, False), 0)(inputs.value)
    made = statistics.prepare(kind, inputs, COLUMNS, rows, 0, 100, Truth(), 0, result)
    whole, value = attribute(made.occluded, made.items, made.size)
    told = scores(made.occluded, made.items, whole, value, 0, made.cause, None, 0, lambda n: n)
    assert told["share"]["value"]["value"] > 0.8 and told["pointing"]["value"]["value"] > 0.9
    assert told["informative"] and len(made.items.subject) == 100
    shown = made.picture(value)
    assert shown["columns"][0]["name"] == "lactate_max" and shown["columns"][0]["cause"] == 1
    assert shown["signals"][0]["name"] == "lactate" and shown["signals"][-1]["cause"] == 0
    names = [one["name"] for one in shown["signals"]]
    assert sorted(names) == ["demographics", "lactate", "sodium", "vasopressor"]


@pytest.mark.parametrize("kind", ["logistic", "gbdt"])
def test_the_setting_of_the_result_is_explained_and_no_later_one_is_fitted(
    cohort, kind, monkeypatch
):
    inputs, rows = cohort
    fitted, tried = fitted_rows(rows, False), candidates(kind, 0)
    ready = preparation(kind, inputs, fitted)
    chosen = tried[1].fit(ready(inputs.value[fitted]), rows.label[fitted])
    result = Fitted(ready, chosen)(inputs.value)
    fresh = candidates(kind, 0)[:2]
    monkeypatch.setattr(statistics, "candidates", lambda *_: [*fresh, None])  # None has no fit
    found = statistics.fit_again(kind, inputs, rows, fitted, 0, result)
    assert found.estimator is fresh[1] and np.allclose(found(inputs.value), result)


def test_shap_values_add_up_to_the_log_odds_above_the_mean(cohort):
    inputs, rows = cohort
    fitted, some = fitted_rows(rows, False), rows.of("test")
    model = fit_best("logistic", inputs, rows, fitted, 0)
    occluded = statistics.linear(model, inputs, fitted, some)
    everyone, size = np.arange(len(some)), len(COLUMNS)
    whole = occluded(everyone, np.zeros((len(some), size), bool))
    assert np.allclose(whole, statistics.log_odds(model, inputs.value[some]))
    none = occluded(everyone, np.ones((len(some), size), bool))
    assert np.allclose(none, statistics.log_odds(model, inputs.value[fitted]).mean())


def test_a_column_at_its_median_changes_nothing_of_the_trees(cohort):
    inputs, rows = cohort
    fitted, some = fitted_rows(rows, False), rows.of("test")[:5]
    model = fit_best("gbdt", inputs, rows, fitted, 0)
    median = np.nanmedian(inputs.value[fitted], axis=0).astype(np.float32)
    at_median = Inputs(inputs.value.copy(), None)
    at_median.value[some, 0] = median[0]
    occluded = statistics.trees(model, at_median, fitted, some)
    gone = np.zeros((5, len(COLUMNS)), bool)
    before = occluded(np.arange(5), gone)
    gone[:, 0] = True
    assert np.allclose(occluded(np.arange(5), gone), before, atol=1e-6)


def test_without_test_episodes_there_is_a_reason(cohort):
    inputs, rows = cohort
    bare = SimpleNamespace(of=lambda name: np.zeros(0, int), split=rows.split, label=rows.label,
                           episode=rows.episode, task="x")  # fmt: skip
    assert (
        statistics.prepare("gbdt", inputs, COLUMNS, bare, 0, 9, None, 0, None) == "no test episode"
    )
