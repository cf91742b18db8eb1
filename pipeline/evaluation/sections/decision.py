"""Decision curves on test: the model, treating all, treating none, and SOFA as a probability.

SOFA is made a probability by a logistic regression on validation, fold by fold. The range of
thresholds is stated before test is looked at: from .01 up to twice the prevalence on validation.

The score baseline of `pipeline.fusion.scores` is fitted on training episodes with a weak penalty,
as it must predict whatever the data; here SOFA is fitted as a recalibration is, and where there is
no fit there is no curve. Episodes without a known SOFA are left out of its curve, and counted.

On real data a threshold at which a cell of the confusion matrix is small is left out, net benefit
is computed from rounded counts, and its bands are moved outward.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import expit

from pipeline.evaluation.predictions import samples
from pipeline.evaluation.sections.recalibrated import FALLS, SEPARATED, fit
from pipeline.evaluation.sections.suppression import (
    known_count,
    outward,
    rounded_count,
    why_no_metrics,
)
from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    Statistic,
    over_folds,
    replicate,
)
from pipeline.evaluation.statistics.decision import called, net_benefit, weighted_benefit
from pipeline.evaluation.statistics.figures import Figures, interval
from pipeline.evaluation.statistics.metrics import Flags, Floats
from pipeline.evaluation.statistics.recalibration import fit_line
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.kit import Decision, NetBenefit, Points

STEP = 0.01
LEAST, MOST = 0.2, 0.9  # ends of the range


OF_SOFA = {
    FALLS: "the risk does not rise with SOFA on validation: the slope is not above 0",
    SEPARATED: "no finite fit: SOFA tells the classes of validation apart, or is alike for all",
}
UNKNOWN = "SOFA is known of no episode, or of none in a fold"


@dataclass(frozen=True)
class Rival:
    """SOFA on test: probabilities (N,), fold by fold, NaN where unknown; or why there is none."""

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
        "sofa_hidden_at": [], "sofa_unknown": None,
    }  # fmt: skip
    if made["reason"]:
        return made
    at = stated_range(val)
    own, hides = _benefits(test, test.probability, at, smallest)
    everybody, _ = _benefits(test, np.ones_like(test.probability), at, smallest)
    minus = own - np.maximum(everybody, 0.0)  # the better of the two, run by run
    made["thresholds"], made["hidden_at"] = at.tolist(), at[hides].tolist()
    drawn = replicate(test, _statistic(test, at), resampling)
    step = smallest / min(rows.stop - rows.start for rows in test.blocks)
    for place, (name, runs) in enumerate(
        [("model", own), ("treat_all", everybody), ("model_minus_default", minus)]
    ):
        made[name] = _curve(drawn.at(place), runs.mean(axis=0), step)  # type: ignore[literal-required]
    made["treat_none"] = _flat(len(at))
    _beside_sofa(made, test, sofa(val, test, points, smallest), at, resampling, smallest)
    return made


def _beside_sofa(
    made: Decision, test: Sample, rival: Rival, at: Floats, resampling: Resampling, smallest: int
) -> None:
    """Fills in what is of SOFA, on the test episodes whose SOFA is known."""
    made["sofa_reason"] = rival.reason
    if rival.score is None:
        return
    there = np.flatnonzero(~np.isnan(rival.score))
    part, score = test.rows(there), rival.score[there]
    unknown = len(test.label) - len(there)
    made["sofa_unknown"] = rounded_count(unknown, smallest)
    if reason := why_no_metrics(part, max(smallest, resampling.least)):
        made["sofa_reason"] = f"of the episodes whose SOFA is known: {reason}"
        return
    theirs, also = _benefits(part, np.tile(score, (len(part.probability), 1)), at, smallest)
    own, _ = _benefits(part, part.probability, at, smallest)
    drawn = replicate(part, _statistic(part, at, score), resampling)
    step = smallest / min(rows.stop - rows.start for rows in part.blocks)
    made["sofa"] = _curve(drawn.at(3), theirs.mean(axis=0), step)
    made["sofa_hidden_at"] = at[also].tolist()
    made["model_minus_sofa"] = _curve(drawn.at(4), (own - theirs).mean(axis=0), step)


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
        there = ~np.isnan(known)
        if not there.any() or np.isnan(asked).all():
            return Rival(None, UNKNOWN)
        line = fit(val.label[fitted_on][there], known[there], fit_line, smallest)
        if isinstance(line, str):
            return Rival(None, f"SOFA cannot be made a probability: {OF_SOFA.get(line, line)}")
        each.append(expit(line[0] + line[1] * asked))
    return Rival(np.concatenate(each), None)


def _statistic(test: Sample, at: Floats, rival: Floats | None = None) -> Statistic:
    """Net benefit of the model, of treating all, of the model minus the better default, of the
    `rival` (N,) and of the model minus it: (B, S, T, 5), the last two only with a rival."""

    def each_seed(weights: Floats) -> Floats:
        runs = []
        for rows in test.blocks:
            label, own_weights = test.label[rows], weights[:, rows]

            def of(score: Floats, label: Flags = label, own: Floats = own_weights) -> Floats:
                return weighted_benefit(label, called(score, at), at, own)

            everybody = of(np.ones(len(label)))
            other = None if rival is None else of(rival[rows])
            for score in test.probability[:, rows]:
                own = of(score)
                figures = [own, everybody, own - np.maximum(everybody, 0.0)]
                figures += [] if other is None else [other, own - other]
                runs.append(np.stack(figures, axis=2))
        return over_folds(np.stack(runs, axis=1), test.folds)

    return each_seed


def _benefits(test: Sample, scores: Floats, at: Floats, smallest: int) -> tuple[Floats, Flags]:
    """Net benefit of scores (S, N) on the sample itself, of real data from rounded counts.

    (runs, T), fold by fold, NaN where it is hidden; and where that is, (T,).
    """
    runs, hides = [], np.zeros(len(at), dtype=bool)
    for rows in test.blocks:
        label = test.label[rows]
        for score in scores[:, rows]:
            treated = called(score, at)
            hits, alarms = (treated & label).sum(axis=1), (treated & ~label).sum(axis=1)
            for cell in (hits, alarms, label.sum() - hits, (~label).sum() - alarms):
                hides |= (cell > 0) & (cell < smallest)
            shown = [_shown(count, smallest) for count in (hits, alarms, np.array([len(label)]))]
            runs.append(net_benefit(shown[0], shown[1], shown[2], at))
    return np.where(hides, np.nan, runs), hides


def _shown(count: Floats, smallest: int) -> Floats:
    return np.array([known_count(rounded_count(int(k), smallest)) for k in count])


def _curve(drawn: Figures, value: Floats, step: float) -> NetBenefit:
    """One curve with its band, which holds the value; null where the value is not known.

    `step`: what the ends of the band are multiples of; 0 where all is shown.
    """
    low, high = interval(drawn.replicates)
    if step:
        low, high = outward(low, high, 1.0, step)
    ends = np.fmin(low, value), value, np.fmax(high, value)
    lower, middle, upper = (
        [None if np.isnan(x) else float(x) for x in np.where(np.isnan(value), np.nan, end)]
        for end in ends
    )
    return {"value": middle, "low": lower, "high": upper}


def _flat(count: int) -> NetBenefit:
    zeros: Points = [0.0] * count
    return {"value": zeros, "low": zeros, "high": zeros}
