"""The model by groups of the test episodes, at the result's one threshold, and against the rest.

A group with fewer than 10 positives or negatives has no figures, whatever the source, and no
difference to a rest that has fewer. On real data its counts are hidden with those of as many others
as it takes; so are rates at the threshold where a cell of a group's confusion matrix is small. What
is shown is exact, as the result shows its subgroups and its threshold. Group and rest are measured
on the same resamples of all test patients.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import polars as pl

from pipeline.evaluation.sections.operating import PLACES
from pipeline.evaluation.sections.subgroups import (
    ATTRIBUTES,
    FEWEST,
    MORE,
    ONE_SIDED,
    TOO_SMALL,
    UNKNOWN,
    grouped,
)
from pipeline.evaluation.sections.suppression import (
    COMPLEMENT,
    HIDDEN,
    hidden,
    sides_of,
    why_no_metrics,
)
from pipeline.evaluation.sections.threshold import at_calls, calls_of, cells
from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    Statistic,
    over_folds,
    per_run,
    replicate,
)
from pipeline.evaluation.statistics.calibration import in_the_large_of
from pipeline.evaluation.statistics.figures import (
    GAP,
    NO_DIFFERENCE,
    NOTHING,
    SHARE,
    Figures,
)
from pipeline.evaluation.statistics.metrics import Flags, Floats, auroc
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.kit import Attribute, FairGroup, Fairness, Gaps

WORDS = {
    "sex": "Sex", "age": "Age", "race": "Race", "insurance": "Insurance", "language": "Language",
    "care_unit": "Care unit", "era": "Years of admission",
}  # fmt: skip
RATES = ("sensitivity", "specificity", "ppv")
RANKING, LARGE = 0, 1  # places of the AUROC and of calibration in the large, before RATES
NONE_KNOWN = "the source does not say"
SMALL_REST = f"fewer than {FEWEST} positive or negative episodes are not of this group"
FEW_IN_A_CELL = "few episodes in a cell of the confusion matrix of this group, or of one beside it"
NO_GAPS: Gaps = {
    "auroc": NO_DIFFERENCE, "in_the_large": NOTHING, "sensitivity": NO_DIFFERENCE,
    "specificity": NO_DIFFERENCE, "ppv": NO_DIFFERENCE,
}  # fmt: skip


def fairness(
    test: Sample, episodes: pl.DataFrame, cut: Floats, why_no_threshold: str | None,
    resampling: Resampling, smallest: int,
) -> Fairness:  # fmt: skip
    """The section of a kit.

    `episodes`: demographics and characteristics by episode_id. `cut`: the result's threshold of
    each run, used unless `why_no_threshold`.
    """
    reason = why_no_metrics(test, smallest)
    tested = pl.DataFrame({"episode_id": test.episode})
    groups = grouped(episodes, {**ATTRIBUTES, **MORE})
    joined = tested.join(groups, on="episode_id", how="left", maintain_order="left")
    made: list[Attribute] = []
    for name, words in WORDS.items():
        one = cast(Attribute, {"attribute": name, "words": words, "reason": reason, "groups": []})
        known = name in joined.columns and set(joined[name].fill_null(UNKNOWN)) != {UNKNOWN}
        if not reason and not known:
            one["reason"] = NONE_KNOWN
        if not one["reason"]:
            values = joined[name].fill_null(UNKNOWN).to_numpy()
            members = {str(value): values == value for value in np.unique(values)}
            one["groups"] = _groups(
                test, members, None if why_no_threshold else cut, why_no_threshold, resampling,
                smallest,
            )  # fmt: skip
        made.append(one)
    return {"reason": reason, "fewest": max(FEWEST, smallest), "attributes": made}


def _groups(
    test: Sample, members: Mapping[str, Flags], cut: Floats | None, no_threshold: str | None,
    resampling: Resampling, smallest: int,
) -> list[FairGroup]:  # fmt: skip
    """The groups of one attribute; `members`: name → (N,)."""
    parts = {name: test.rows(np.flatnonzero(inside)) for name, inside in members.items()}
    sides = {name: sides_of(part) for name, part in parts.items()}
    secret = hidden(sides, smallest)
    reasons = {
        name: _why_not(part, sides[name], name in secret, resampling, smallest)
        for name, part in parts.items()
    }
    rates: dict[str, str | None] = dict.fromkeys(parts, no_threshold)
    if cut is not None:
        held = {name: tuple(cells(one, calls_of(one, cut)).ravel()) for name, one in parts.items()}
        few = hidden(held, smallest, secret)
        rates = {name: FEW_IN_A_CELL if name in few else None for name in parts}
    measured = [name for name, reason in reasons.items() if not reason]
    drawn = _drawn(test, [members[name] for name in measured], cut, resampling)
    made: list[FairGroup] = []
    for name in members:
        gone = name in secret
        group: FairGroup = {
            "group": name, "n": HIDDEN if gone else sum(sides[name]),
            "positives": HIDDEN if gone else sides[name][0], "reason": reasons[name],
            "reason_at_threshold": reasons[name] or rates[name], "reason_rest": None,
            "auroc": NOTHING, "in_the_large": NOTHING, "sensitivity": NOTHING,
            "specificity": NOTHING, "ppv": NOTHING, "minus_rest": {**NO_GAPS},
        }  # fmt: skip
        if drawn is not None and name in measured:
            group["reason_rest"] = _why_no_rest(test, parts[name], resampling, smallest)
            place = measured.index(name)
            _fill(group, drawn.of(lambda figures, at=place: figures[..., at, :, :]))  # type: ignore[misc]
        made.append(group)
    return made


def hidden_groups(made: Fairness) -> dict[str, set[str]]:
    """Attribute → its groups whose counts are hidden."""
    return {
        one["attribute"]: {group["group"] for group in one["groups"] if group["n"] == HIDDEN}
        for one in made["attributes"]
    }


def _why_not(
    part: Sample, sides: tuple[int, int], secret: bool, resampling: Resampling, smallest: int
) -> str | None:
    """Why a group has no figures; None where it has."""
    if min(sides) < max(FEWEST, smallest):
        return TOO_SMALL
    if secret:
        return COMPLEMENT
    return ONE_SIDED if part.fewest < resampling.least else None


def _why_no_rest(test: Sample, part: Sample, resampling: Resampling, smallest: int) -> str | None:
    """Why a group has no differences to all others; None where it has."""
    others = test.rows(np.flatnonzero(~np.isin(test.episode, part.episode)))
    if min(sides_of(others)) < max(FEWEST, smallest):
        return SMALL_REST
    return ONE_SIDED if others.fewest < resampling.least else None


def _drawn(
    test: Sample, members: list[Flags], cut: Floats | None, resampling: Resampling
) -> Figures | None:
    """AUROC, calibration in the large and RATES of each group and of its rest: (…, G, 2, 5)."""
    if not members:
        return None
    sides = [
        tuple(_side(test, np.flatnonzero(who), cut) for who in (inside, ~inside))
        for inside in members
    ]

    def each_seed(weights: Floats) -> Floats:
        return np.stack([np.stack([of(weights) for of in pair], axis=2) for pair in sides], axis=2)

    return replicate(test, each_seed, resampling)


def _side(test: Sample, rows: np.ndarray, cut: Floats | None) -> Statistic:
    """The figures of some of the test episodes: (B, S, 5); NaN where a fold lacks a class."""
    part, seeds = test.rows(rows), len(test.probability)
    if not part.two_classes:
        return lambda weights: np.full((len(weights), seeds, 2 + len(RATES)), np.nan)
    large = [
        in_the_large_of(part.label[block], score[block])
        for block in part.blocks
        for score in part.probability
    ]
    rates = None if cut is None else at_calls(part, calls_of(part, cut))
    places = [PLACES[name] for name in RATES]

    def figures(weights: Floats) -> Floats:
        own = weights[:, rows]
        blocks = [own[:, block] for block in part.blocks for _ in range(seeds)]
        found = np.stack([of(block) for of, block in zip(large, blocks, strict=True)], axis=1)
        first = over_folds(np.stack([per_run(auroc, part, own), found], axis=2), part.folds)
        if rates is None:
            more = np.full((len(weights), seeds, len(RATES)), np.nan)
        else:
            more = rates(own)[..., places]
        return np.concatenate([first, more], axis=2)

    return figures


def _fill(group: FairGroup, drawn: Figures) -> None:
    """Puts a group's figures and its gaps to the others into its row; `drawn`: (…, 2, 5)."""
    gap = drawn.of(lambda figures: figures[..., 0, :] - figures[..., 1, :])
    minus, shares, gaps = group["minus_rest"], drawn.within(SHARE), gap.within(GAP)
    group["auroc"] = shares.estimate(0, RANKING)
    group["in_the_large"] = drawn.estimate(0, LARGE)
    if not group["reason_rest"]:
        minus["auroc"] = gaps.difference(RANKING)
        minus["in_the_large"] = gap.estimate(LARGE)
    if group["reason_at_threshold"]:
        return
    for place, name in enumerate(RATES, start=LARGE + 1):
        group[name] = shares.estimate(0, place)  # type: ignore[literal-required]
        if not group["reason_rest"]:
            minus[name] = gaps.difference(place)  # type: ignore[literal-required]
