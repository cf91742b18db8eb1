"""Whether predictions leak, and into which trap of the hospital.

The oracle's risk is P(death | all that can be known in time). So death − risk goes with nothing
that was known in time, and honest predictions, whatever they were made of, are uncorrelated with
the death, and with every trap that tells it, once the risk is held fixed. All traps tell the same
death; which of them was read shows where they differ: who has which. `apart` therefore holds the
outcome fixed, too.
"""

from collections.abc import Callable

import numpy as np

from pipeline.evaluation.statistics.bootstrap import Resampling, resamples
from pipeline.evaluation.statistics.figures import NOTHING, estimate, known
from pipeline.evaluation.statistics.metrics import Floats, auroc, unit_weights
from pipeline.evaluation.statistics.partial import partial_correlations, ranks
from pipeline.evaluation.statistics.significance import p_value
from pipeline.hospital.judge_inputs import Case
from pipeline.stage.judgement import Bait
from pipeline.stage.sections import Fit

LEVEL = 0.05  # of the corrected p-values of traps
CERTAIN = 0.005  # of the death, given the risk
ALIKE = 0.7  # correlation of two traps, given the outcome, from which on they count as one
Drawn = tuple[Floats, Floats]  # (k,) values, (B, k) replicates


def drawn(case: Case, statistic: Callable[[Floats], Floats], resampling: Resampling) -> Drawn:
    """A statistic of weights (B, n) → (B, k) on the sample and on resamples of the patients."""
    value = statistic(unit_weights(case.model.label))[0]
    parts = [statistic(weights) for weights in resamples(case.model.subject, resampling)]
    return value, np.concatenate(parts)


def fit(found: Drawn, place: int) -> Fit:
    """The figure at a place, with its interval; null where there is none."""
    made = estimate(float(found[0][place]), found[1][:, place])
    return made if made["value"] is not None else NOTHING


def risk_controls(case: Case) -> Floats:
    """The risk and its rank: (n, 2). Admissions without a known risk take the mean."""
    risk = np.nan_to_num(case.risk, nan=float(np.nanmean(case.risk)))
    return np.column_stack([risk, ranks(risk)])


def all_controls(case: Case) -> Floats:
    """The risk, the outcome and the length of the admission, on which it depends who has a trap."""
    return np.column_stack([risk_controls(case), case.dies, np.log1p(case.hours)])


def outcome_beyond_risk(case: Case, resampling: Resampling) -> tuple[Fit, bool]:
    """Correlation of the predictions with the death, given the risk; whether it is above 0."""
    place, controls = ranks(case.model.probability[0]), risk_controls(case)
    dies = case.dies.astype(float)[:, None]
    found = drawn(case, lambda w: partial_correlations(place, dies, controls, w), resampling)
    value = found[0][0]
    return fit(found, 0), bool(value > 0 and p_value(found[1][:, 0]) < CERTAIN)


def traps(case: Case, resampling: Resampling) -> list[Bait]:
    """Every bait beside the predictions."""
    values = case.baits.fill_null(0.0).to_numpy()  # (n, k)
    model, best = ranks(case.model.probability[0]), ranks(case.oracle.probability[0])
    none = np.empty((len(model), 0))
    plain, given, alone = (
        drawn(case, lambda w: partial_correlations(model, values, held, w), resampling)  # noqa: B023
        for held in (none, risk_controls(case), all_controls(case))
    )
    honest = partial_correlations(best, values, none, unit_weights(case.model.label))[0]
    made: list[Bait] = []
    for k, name in enumerate(case.baits.columns):
        there = case.baits[name].is_not_null().to_numpy()
        made.append(
            {
                "name": name,
                "admissions": int(there.sum()),
                "auroc": _told(case.dies[there], values[there, k]),
                "correlation": fit(plain, k),
                "honest": known(float(honest[k])),
                "beyond_risk": fit(given, k),
                "apart": fit(alone, k),
            }
        )
    return made


def read_traps(case: Case, resampling: Resampling) -> list[list[str]]:
    """The traps that left a trace of their own in the predictions, the clearest first.

    Step by step the one that goes best with them, given the risk, the outcome and those found
    before, while its p, corrected for the number of traps, is below `LEVEL`. With it stand those
    that tell nearly the same (`ALIKE`): which of them was read does not show.
    """
    model, names = ranks(case.model.probability[0]), case.baits.columns
    found: list[list[str]] = []
    left = np.ones(len(names), bool)
    values, held = case.baits.fill_null(0.0).to_numpy(), all_controls(case)
    while left.any():
        value, replicates = drawn(
            case, lambda w: partial_correlations(model, values, held, w), resampling  # noqa: B023
        )  # fmt: skip
        value = np.where(left & ~np.isnan(value), value, -1.0)
        best = int(np.argmax(value))
        if value[best] <= 0 or p_value(replicates[:, best]) * len(names) >= LEVEL:
            break
        same = partial_correlations(values[:, best], values, held, unit_weights(case.model.label))[
            0
        ]
        alike = (np.nan_to_num(same) > ALIKE) & left
        alike[best] = True
        found.append([names[best], *(names[k] for k in np.flatnonzero(alike) if k != best)])
        left &= ~alike
        held = np.column_stack([held, values[:, best]])
    return found


def _told(dies: np.ndarray, shows: Floats) -> float | None:
    if dies.all() or not dies.any():
        return None
    return float(auroc(dies, shows, unit_weights(dies))[0])
