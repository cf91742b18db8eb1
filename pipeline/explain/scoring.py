"""Scores of attributions: against the planted cause, and against the model itself, beside chance.

Every score of an item is paired with that of a random attribution of the same shape, the item's own
attributions shuffled over its parts; intervals are over patients. Of share and pointing the mean
over all orders is known: the share of the parts that carry the cause. For the deletion curve an
order is drawn per item.

An attribution is called informative only where the whole interval of each difference lies above 0.
Of fewer than 10 patients, of the synthetic hospital too, no interval says anything: none is scored.
"""

from collections.abc import Callable

import numpy as np

from pipeline.evaluation.statistics.bootstrap import Resampling, resamples
from pipeline.evaluation.statistics.figures import interval, known
from pipeline.evaluation.statistics.metrics import Floats, auroc, unit_weights
from pipeline.explain.parts import COPIES, Items, Occluded, in_batches, ranks, removed_to
from pipeline.stage.explanations import LEAST, Deletion, Point, Score, Scores
from pipeline.stage.sections import Count, Fit

REMOVED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)  # shares of the parts, of a deletion curve
RESAMPLING = Resampling()
Shown = Callable[[int], Count]  # how a count is shown


def over_patients(value: Floats, subject: np.ndarray) -> list[Fit]:
    """Means of columns of (I, K) over items, each with its 95 % interval over patients.

    >>> one = over_patients(np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([7, 8]))
    >>> one[0], one[1]["high"]
    ({'value': 2.0, 'low': 1.0, 'high': 3.0}, 0.0)
    """
    drawn = np.concatenate(
        [(w @ value) / w.sum(axis=1, keepdims=True) for w in resamples(subject, RESAMPLING)]
    )
    low, high = interval(drawn)
    ends = zip(value.mean(axis=0), low, high, strict=True)
    return [{"value": known(v), "low": known(a), "high": known(b)} for v, a, b in ends]


def above(difference: Fit) -> bool:
    """Whether the whole interval of a difference lies above 0."""
    return difference["low"] is not None and difference["low"] > 0


def on_cause(items: Items, value: np.ndarray) -> tuple[np.ndarray, Floats]:
    """Which items carry the cause (I,) bool, and of all (I, 3): share of the absolute attribution
    on it, whether the strongest part is on it, and the share of parts that are: both by chance.

    Of equally strong parts the share counts; an item without any attribution is as good as chance.

    >>> cause = np.array([True, False, False, False])
    >>> items = Items(*np.zeros((3, 2), int), np.array([0, 2, 4]), cause)
    >>> on_cause(items, np.array([3.0, -1, 5, 5]))
    (array([ True, False]), array([[0.75, 1.  , 0.5 ],
           [0.  , 0.  , 0.  ]]))
    """
    assert items.cause is not None
    count = np.maximum(np.diff(items.start), 1)
    strength = np.abs(value)
    cause = items.cause.astype(float)

    def total(weight: np.ndarray) -> np.ndarray:
        return np.bincount(items.owner, weight, len(items.subject))

    chance = total(cause) / count
    whole = total(strength)
    share = np.divide(total(strength * cause), whole, out=chance.copy(), where=whole > 0)
    top = (ranks_top(items, strength)).astype(float)
    pointing = total(top * cause) / np.maximum(total(top), 1)
    return chance > 0, np.stack([share, pointing, chance], axis=1)


def ranks_top(items: Items, strength: np.ndarray) -> np.ndarray:
    """Which parts (parts,) are the strongest of their item, equals included."""
    if not len(strength):
        return np.zeros(0, bool)
    most = np.full(len(items.subject), -np.inf)
    np.maximum.at(most, items.owner, strength)
    return strength == most[items.owner]


def against_cause(items: Items, value: np.ndarray) -> tuple[Score, Score]:
    """Share and pointing game on the items that carry the cause; at least one does."""
    have, figures = on_cause(items, value)
    share, pointing, chance = figures[have].T
    columns = np.stack([share, pointing, chance, share - chance, pointing - chance], axis=1)
    s, p, c, ds, dp = over_patients(columns, items.subject[have])
    return ({"value": s, "chance": c, "difference": ds, "informative": above(ds)},
            {"value": p, "chance": c, "difference": dp, "informative": above(dp)})  # fmt: skip


def deletion(occluded: Occluded, items: Items, whole: np.ndarray, value: np.ndarray, seed: int,
             least: int, size: int = COPIES) -> Deletion:  # fmt: skip
    """The deletion curve; `whole` (I,): log odds with all parts; `least`: of a class, for AUROC."""
    random = np.random.default_rng([seed, 1]).random(len(value))
    everyone, made = np.arange(len(items.subject)), []
    for strength in (np.abs(value), random):
        rank = ranks(items, strength)
        made.append([
            whole if not share
            else in_batches(occluded, everyone, removed_to(items, rank, share), size)
            for share in REMOVED
        ])  # fmt: skip
    odds = np.array(made)  # (2, points, I)
    moved = np.abs(odds - whole)
    inner = moved[:, 1:-1].mean(axis=1)  # (2, I); nothing and all are the same for both
    fits = over_patients(
        np.concatenate([moved.reshape(-1, len(whole)), inner, inner[:1] - inner[1:]]).T,
        items.subject,
    )
    label, points = items.label.astype(bool), len(REMOVED)
    enough = min(label.sum(), (~label).sum()) >= max(least, 1)

    def area(which: int, place: int) -> float | None:
        return float(auroc(label, odds[which, place], unit_weights(label))[0]) if enough else None

    curve: list[Point] = [
        {"removed": share, "moved": fits[place], "moved_at_random": fits[points + place],
         "auroc": area(0, place), "auroc_at_random": area(1, place)}
        for place, share in enumerate(REMOVED)
    ]  # fmt: skip
    return {"curve": curve, "moved": fits[-3], "moved_at_random": fits[-2],
            "difference": fits[-1], "informative": above(fits[-1])}  # fmt: skip


def scores(occluded: Occluded, items: Items, whole: np.ndarray, value: np.ndarray, seed: int,
           cause: str | None, why_none: str | None, least: int, shown: Shown,
           size: int = COPIES) -> Scores:  # fmt: skip
    """All scores. `cause`: the planted cause in words; `why_none`: why none is known.

    `least`: patients below which nothing is shown (real data); below `LEAST` nothing is scored.
    """
    made: Scores = {"cause": cause, "items": None, "share": None, "pointing": None,
                    "deletion": None, "reason": why_none, "informative": None}  # fmt: skip
    enough = max(least, LEAST)
    if len(np.unique(items.subject)) < enough:
        return {**made, "reason": "too few patients to score attributions"}
    if items.cause is not None:
        have = on_cause(items, value)[0]
        made["items"] = shown(int(have.sum()))
        if len(np.unique(items.subject[have])) >= enough:
            made["share"], made["pointing"] = against_cause(items, value)
        else:
            made["reason"] = f"the planted cause is in explained items of fewer than {enough} "\
                "patients"  # fmt: skip
    made["deletion"] = deletion(occluded, items, whole, value, seed, least, size)
    each = [made["share"], made["pointing"], made["deletion"]]
    made["informative"] = all(one["informative"] for one in each if one is not None)
    return made
