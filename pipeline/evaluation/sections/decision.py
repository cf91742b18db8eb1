"""Decision curves on test: the model, treating all, treating none, and SOFA as a probability.

SOFA is made a probability by a logistic regression on validation, fold by fold. The range of
thresholds is stated before test is looked at: from .01 up to twice the prevalence on validation.

On real data a threshold at which a cell of the confusion matrix is small is left out, and net
benefit is computed from rounded counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import expit

from pipeline.evaluation.predictions import samples
from pipeline.evaluation.sections.recalibrated import fit
from pipeline.evaluation.sections.suppression import (
    known_count,
    rounded_count,
    why_no_metrics,
)
from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    Statistic,
    over_folds,
    replicate,
)
from pipeline.evaluation.statistics.decision import called, net_benefit, odds
from pipeline.evaluation.statistics.figures import Figures, interval
from pipeline.evaluation.statistics.metrics import Flags, Floats
from pipeline.evaluation.statistics.recalibration import fit_line
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.kit import Decision, NetBenefit, Points

STEP = 0.01
LEAST, MOST = 0.2, 0.9  # ends of the range
NAMES = ("model", "treat_all", "sofa", "model_minus_default", "model_minus_sofa")


@dataclass(frozen=True)
class Rival:
    """SOFA on test: probabilities (N,), fold by fold; or why there is none."""

    score: Floats | None
    reason: str | None


def decision(
    frames: Sequence[pl.DataFrame], points: Mapping[int, float] | str, resampling: Resampling,
    smallest: int,
) -> Decision:  # fmt: skip
    """The section of a kit. `points`: episode → SOFA at the prediction time; or why not."""
    val, test = (samples(list(frames), split) for split in ("val", "test"))
    made: Decision = {
        "reason": why_no_metrics(test, smallest), "thresholds": [], "model": None,
        "treat_all": None, "treat_none": None, "sofa": None, "sofa_reason": None,
        "model_minus_default": None, "model_minus_sofa": None, "hidden_at": [],
        "sofa_hidden_at": [],
    }  # fmt: skip
    if made["reason"]:
        return made
    at, rival = stated_range(val), sofa(val, test, points, smallest)
    drawn = replicate(test, _statistic(test, rival.score, at), resampling)
    curves = _Curves(test, at, smallest)
    own, hides = curves.exact_or_rounded(test.probability)
    all_treated, _ = curves.exact_or_rounded(np.ones((1, len(test.label))))
    default = np.maximum(all_treated, 0.0)
    made["thresholds"], made["hidden_at"] = at.tolist(), at[hides].tolist()
    made["model"] = _curve(drawn, "model", own)
    made["treat_all"] = _curve(drawn, "treat_all", all_treated)
    made["treat_none"] = _flat(len(at))
    made["model_minus_default"] = _curve(drawn, "model_minus_default", own - default)
    made["sofa_reason"] = rival.reason
    if rival.score is not None:
        theirs, also = curves.exact_or_rounded(rival.score[None])
        made["sofa"] = _curve(drawn, "sofa", theirs)
        made["sofa_hidden_at"] = at[also].tolist()
        made["model_minus_sofa"] = _curve(drawn, "model_minus_sofa", own - theirs)
    return made


def stated_range(val: Sample) -> Floats:
    """The thresholds: up to twice the prevalence on validation, rounded up to a tenth."""
    prevalence = float(val.label.mean()) if len(val.label) else 0.0
    end = min(MOST, max(LEAST, math.ceil(round(20 * prevalence, 9)) / 10))
    return (np.arange(round(end / STEP)) + 1) / round(1 / STEP)


def sofa(val: Sample, test: Sample, points: Mapping[int, float] | str, smallest: int) -> Rival:
    """SOFA on test as a probability, by a logistic regression on validation of each fold."""
    if isinstance(points, str):
        return Rival(None, points)
    each = []
    for fitted_on, rows in zip(val.blocks, test.blocks, strict=True):
        known, asked = (
            np.array([points.get(int(episode), np.nan) for episode in part], dtype=np.float64)
            for part in (val.episode[fitted_on], test.episode[rows])
        )
        if np.isnan(known).any() or np.isnan(asked).any():
            return Rival(None, "SOFA is not known of every episode")
        line = fit(val.label[fitted_on], known, fit_line, smallest)
        if isinstance(line, str):
            return Rival(None, f"SOFA cannot be made a probability: {line}")
        each.append(expit(line[0] + line[1] * asked))
    return Rival(np.concatenate(each), None)


def _statistic(test: Sample, rival: Floats | None, at: Floats) -> Statistic:
    """Net benefit of each of NAMES: (B, S, T, 5); NaN where there is no rival."""
    everybody = np.ones((len(at), len(test.label)), dtype=bool)

    def of(treated: Flags, rows: slice, weights: Floats) -> Floats:
        return net_benefit(test.label[rows], treated, at, weights[:, rows])

    def each_seed(weights: Floats) -> Floats:
        runs = []
        for rows in test.blocks:
            of_all = of(everybody[:, rows], rows, weights)
            other = np.full_like(of_all, np.nan)
            if rival is not None:
                other = of(called(rival[rows], at), rows, weights)
            for score in test.probability[:, rows]:
                own = of(called(score, at), rows, weights)
                gaps = own - np.maximum(of_all, 0.0), own - other
                runs.append(np.stack([own, of_all, other, *gaps], axis=2))
        return over_folds(np.stack(runs, axis=1), test.folds)

    return each_seed


@dataclass(frozen=True)
class _Curves:
    """Net benefit on the sample itself, of real data from rounded counts."""

    test: Sample
    at: Floats
    smallest: int

    def exact_or_rounded(self, scores: Floats) -> tuple[Floats, Flags]:
        """Net benefit (T,) of scores (S, n), NaN where it is hidden; and where that is (T,)."""
        runs, hides = [], np.zeros(len(self.at), dtype=bool)
        for rows in self.test.blocks:
            label = self.test.label[rows]
            for score in scores[:, rows]:
                treated = called(score, self.at)
                cells = [
                    (treated & label).sum(axis=1), (treated & ~label).sum(axis=1),
                    (~treated & label).sum(axis=1), (~treated & ~label).sum(axis=1),
                ]  # fmt: skip
                for cell in cells:
                    hides |= (cell > 0) & (cell < self.smallest)
                hits, alarms, n = (
                    np.array([known_count(rounded_count(int(k), self.smallest)) for k in count])
                    for count in (*cells[:2], [len(label)] * len(self.at))
                )
                runs.append((hits - alarms * odds(self.at)) / n)
        return np.where(hides, np.nan, np.mean(runs, axis=0)), hides


def _curve(drawn: Figures, name: str, value: Floats) -> NetBenefit:
    """One curve with its band, which holds the value; null where the value is not known."""
    low, high = interval(drawn.at(NAMES.index(name)).replicates)
    ends = np.fmin(low, value), value, np.fmax(high, value)
    lower, middle, upper = (
        [None if np.isnan(x) else float(x) for x in np.where(np.isnan(value), np.nan, end)]
        for end in ends
    )
    return {"value": middle, "low": lower, "high": upper}


def _flat(count: int) -> NetBenefit:
    zeros: Points = [0.0] * count
    return {"value": zeros, "low": zeros, "high": zeros}
