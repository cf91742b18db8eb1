"""Whether predictions leak, and into which trap of the hospital.

The oracle's risk is P(death | all that can be known in time). So death − risk goes with nothing
that was known in time, and honest predictions, whatever they were made of, are uncorrelated with
the death, and with every trap that tells it, once the risk is held fixed. All traps tell the same
death; which of them was read shows where they differ: in who has which, and in what a trap shows
by chance. `apart` therefore holds the outcome and all other traps fixed as well.
"""

from collections.abc import Callable

import numpy as np

from pipeline.evaluation.statistics.bootstrap import Resampling, resamples
from pipeline.evaluation.statistics.figures import estimate
from pipeline.evaluation.statistics.metrics import Floats, auroc, unit_weights
from pipeline.evaluation.statistics.partial import partial_correlations, ranks
from pipeline.evaluation.statistics.significance import holm, p_value
from pipeline.hospital.judge_inputs import Case
from pipeline.stage.judgement import Bait
from pipeline.stage.sections import Fit

LEVEL = 0.05  # of the corrected p-values
Drawn = tuple[Floats, Floats]  # (k,) values, (B, k) replicates


def drawn(case: Case, statistic: Callable[[Floats], Floats], resampling: Resampling) -> Drawn:
    """A statistic of weights (B, n) → (B, k) on the sample and on resamples of the patients."""
    value = statistic(unit_weights(case.model.label))[0]
    parts = [statistic(weights) for weights in resamples(case.model.subject, resampling)]
    return value, np.concatenate(parts)


def fit(found: Drawn, place: int) -> Fit:
    """The figure at a place, with its interval; null where there is none."""
    made = estimate(float(found[0][place]), found[1][:, place])
    return made if made["value"] is not None else {"value": None, "low": None, "high": None}


def risk_controls(case: Case) -> Floats:
    """The risk and its rank: (n, 2). Admissions without a known risk take the mean."""
    risk = np.nan_to_num(case.risk, nan=float(np.nanmean(case.risk)))
    return np.column_stack([risk, ranks(risk)])


def outcome_beyond_risk(case: Case, resampling: Resampling) -> Fit:
    """Correlation of the predictions with the death, given the risk."""
    place, controls = ranks(case.model.probability[0]), risk_controls(case)
    dies = case.dies.astype(float)[:, None]
    return fit(
        drawn(case, lambda w: partial_correlations(place, dies, controls, w), resampling), 0
    )


def traps(case: Case, resampling: Resampling) -> list[Bait]:
    """Every bait beside the predictions."""
    values = case.baits.fill_null(0.0).to_numpy()  # (n, k)
    model, best = ranks(case.model.probability[0]), ranks(case.oracle.probability[0])
    risk, none = risk_controls(case), np.empty((len(model), 0))
    whole = np.column_stack([risk, case.dies, np.log1p(case.hours)])

    def beside(score: Floats, controls: Floats, apart: bool = False) -> Drawn:
        return drawn(
            case, lambda w: partial_correlations(score, values, controls, w, apart), resampling
        )

    plain, given, alone = beside(model, none), beside(model, risk), beside(model, whole, True)
    ones = unit_weights(case.model.label)
    honest = partial_correlations(best, values, none, ones)[0]
    raw = [
        None if np.isnan(value) else p_value(alone[1][:, k]) for k, value in enumerate(alone[0])
    ]
    made: list[Bait] = []
    for k, (name, p) in enumerate(zip(case.baits.columns, holm(raw), strict=True)):
        there = case.baits[name].is_not_null().to_numpy()
        made.append(
            {
                "name": name,
                "admissions": int(there.sum()),
                "auroc": _told(case.dies[there], values[there, k]),
                "correlation": fit(plain, k),
                "honest": None if np.isnan(honest[k]) else float(honest[k]),
                "beyond_risk": fit(given, k),
                "apart": fit(alone, k),
                "p": p,
                "named": bool(
                    p is not None and p < LEVEL and alone[0][k] > 0 and np.nanpercentile(given[1][:, k], 2.5) > 0
                ),
            }
        )
    return made


def _told(dies: np.ndarray, shows: Floats) -> float | None:
    if dies.all() or not dies.any():
        return None
    return float(auroc(dies, shows, unit_weights(dies))[0])
