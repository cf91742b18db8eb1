"""How well diagnosis groups are ranked: recall among the first k, its ceiling, a prior; AUROC.

Recall@k of a stay: share of its true groups among the k that are ranked highest; the mean over
stays. A stay with n > k groups cannot reach 1, so the ceiling is the mean of min(k, n) / n. The
prior ranks the groups by their share of the training stays, the same for every stay: what is known
without reading the record. Stays without a group of the vocabulary have no recall; they are
counted, and are negatives in the AUROC of every group. All of it also by the version of ICD in
which the admission is coded.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import polars as pl
from typing_extensions import TypedDict

from pipeline.evaluation.diagnosis_tables import SPLITS, Fold, stays
from pipeline.evaluation.predictions import runs
from pipeline.evaluation.sections.coverage import Presence, coverage
from pipeline.evaluation.sections.subgroups import UNKNOWN
from pipeline.evaluation.sections.suppression import COMPLEMENT, hidden, shown
from pipeline.evaluation.statistics.bootstrap import Resampling, over_runs
from pipeline.evaluation.statistics.figures import GAP, NOTHING, SHARE, interval
from pipeline.evaluation.statistics.ranking import (
    Stays,
    Whole,
    auroc_and_influence,
    by_seed,
    reachable,
    recall,
    recalls,
    resampled,
)
from pipeline.stage.curves import RecallCurve
from pipeline.stage.sections import (
    Aurocs,
    CompleteRankings,
    Coverage,
    Metric,
    Ranked,
    Ranking,
    Rankings,
    Recall,
    Run,
    SplitRanking,
    StayCounts,
)

FIRST = (5, 10, 20, 30)  # k of the result
CURVE = np.arange(1, 51)  # k of the curve; holds FIRST
KINDS: tuple[Literal["model", "ceiling", "prior"], ...] = ("model", "ceiling", "prior")
NO_METRIC: Metric = {**NOTHING, "sd": None}
UNRANKED: Ranked = {
    "recall": None, "groups_ranked": None, "macro_auroc": NO_METRIC, "micro_auroc": NO_METRIC
}  # fmt: skip
Drawn = dict[Literal["model", "ceiling", "prior", "low", "high"], list[float]]  # a curve's lines


class MeasuredRanking(TypedDict):
    """The sections of a task of many labels."""

    vocabulary: list[int]
    metrics: Rankings
    coverage: Coverage
    complete: CompleteRankings


def measure_many(
    folds: list[Fold],
    presence: Presence,
    resampling: Resampling,
    smallest: int,
    versions: pl.DataFrame,
) -> tuple[MeasuredRanking, RecallCurve]:
    """The sections of a task of many labels, and the test's recall curve.

    `versions`: episode_id and the icd_version of its admission's codes.
    """
    metrics, curve = rankings(folds, resampling, smallest, versions)
    return {
        "vocabulary": [len(fold.share) for fold in folds],
        "metrics": metrics,
        "coverage": coverage([fold.frame for fold in folds], presence, smallest, SPLITS),
        "complete": complete(folds, presence, resampling, smallest, versions),
    }, curve


def complete(
    folds: list[Fold],
    presence: Presence,
    resampling: Resampling,
    smallest: int,
    versions: pl.DataFrame,
) -> CompleteRankings:
    """The metrics of the stays of val and test that have all modalities of the config."""
    if presence.why_unknown:
        return {"reason": presence.why_unknown, "metrics": None}
    for name in SPLITS:
        split = pl.concat(fold.frame.filter(split=name).select("episode_id") for fold in folds)
        if why := presence.why_not(split["episode_id"].to_numpy(), smallest):
            return {"reason": f"{name}: {why}", "metrics": None}
    metrics, _ = rankings(folds, resampling, smallest, versions, presence.complete)
    return {"reason": metrics["test"]["reason"], "metrics": metrics}


def rankings(
    folds: list[Fold],
    resampling: Resampling,
    smallest: int,
    versions: pl.DataFrame,
    within: Whole | None = None,
) -> tuple[Rankings, RecallCurve]:
    """How well groups are ranked per split, and the test's recall curve.

    `within`: the stays that count, else all. Their figures then stand beside those of all: counts
    are hidden where few of the others would follow from both.
    """
    named = runs([fold.frame for fold in folds])
    curve: RecallCurve = {
        "k": CURVE.tolist(), "model": None, "ceiling": None, "prior": None, "reason": None
    }  # fmt: skip
    metrics: dict[str, SplitRanking] = {}
    for name in SPLITS:
        parts, others = divided([stays(fold, name) for fold in folds], within)
        counts = counted(parts, smallest, others)
        ranked, drawn = _ranked(parts, counts["reason"], named, resampling)
        coded = _by_version(parts, others, versions, named, resampling, smallest)
        metrics[name] = {**counts, **ranked, "by_icd_version": coded}
        if name == "test":
            curve["reason"] = counts["reason"]
            curve.update(drawn)  # type: ignore[typeddict-item]
    return {"val": metrics["val"], "test": metrics["test"]}, curve


def divided(parts: list[Stays], within: Whole | None) -> tuple[list[Stays], list[Stays]]:
    """The stays `within` (ids; else all), and the others, fold by fold."""
    if within is None:
        return parts, []
    others = [part.only(np.setdiff1d(part.episode, within)) for part in parts]
    return [part.only(within) for part in parts], others


def _ranked(
    parts: list[Stays], reason: str | None, runs: list[Run], resampling: Resampling
) -> tuple[Ranked, Drawn]:
    """Metrics of some stays and their recall curve; null and empty with a reason."""
    if reason:
        return UNRANKED, {}
    recall_at, drawn = _recall(parts, runs, resampling)
    return {"recall": recall_at, **_aurocs(parts, runs, resampling)}, drawn


def _by_version(
    parts: list[Stays],
    others: list[Stays],
    versions: pl.DataFrame,
    runs: list[Run],
    resampling: Resampling,
    smallest: int,
) -> dict[str, Ranking]:
    """The metrics of the stays that are coded in ICD-9, in ICD-10, or in both.

    A mapping stands between the codes of ICD-9 and the groups, so the two are not alike. A version
    of few stays is hidden with a reason, as is one that has few of the `others`, and as many more
    as it takes that no small number follows from the totals.
    """
    known = sorted(versions["icd_version"].drop_nulls().unique(), key=lambda v: (len(v), v))
    ids = {v: versions.filter(icd_version=v)["episode_id"].to_numpy() for v in known}
    coded = np.concatenate([*ids.values(), np.empty(0, np.int64)])
    here, there = _episodes(parts), _episodes(others)
    inside = {v: (np.isin(here, who), np.isin(there, who)) for v, who in ids.items()}
    inside[UNKNOWN] = (~np.isin(here, coded), ~np.isin(there, coded))  # in the totals, too
    sides = {v: (int(one.sum()), int(other.sum())) for v, (one, other) in inside.items()}
    sides = {v: counts for v, counts in sides.items() if any(counts)}
    both = {v: (sum(counts), sum(counts)) for v, counts in sides.items()}
    secret = hidden(sides, smallest) | hidden(both, smallest)
    by_version: dict[str, Ranking] = {}
    for version in known:
        if version in secret:
            small = any(0 < side < smallest for side in sides[version])
            reason = f"fewer than {smallest} stays" if small else COMPLEMENT
            by_version[version] = {"n": None, "patients": None, "reason": reason, **UNRANKED}
        elif sides.get(version, (0, 0))[0]:
            chosen = [part.only(ids[version]) for part in parts]
            counts = counted(chosen, smallest)
            ranked, _ = _ranked(chosen, counts["reason"], runs, resampling)
            by_version[version] = {
                "n": counts["n"], "patients": counts["patients"], "reason": counts["reason"],
                **ranked,
            }  # fmt: skip
    return by_version


def _episodes(parts: Sequence[Stays]) -> Whole:
    return np.unique(np.concatenate([*(part.episode for part in parts), np.empty(0, np.int64)]))


def _why_not(parts: list[Stays], smallest: int) -> str | None:
    if not all(len(part.episode) for part in parts):
        return "no episodes in this split"
    fewest = min(int((part.counts > 0).sum()) for part in parts)
    if fewest < max(1, smallest):
        few = f"fewer than {smallest}" if fewest else "no"
        return f"{few} stays with a group of the vocabulary"
    return None


def counted(parts: list[Stays], smallest: int, others: Sequence[Stays] = ()) -> StayCounts:
    """Stays, patients, stays with a group; few without one would follow, so they are hidden.

    `others`: stays that are counted together with these elsewhere. Where few of them have a group,
    or have none, groups are not counted here: their number would follow.
    """
    counts = np.concatenate([part.counts for part in parts])
    n, having = _having(parts)
    patients = len(np.unique(np.concatenate([part.subject for part in parts])))
    without = 0 < n - having < smallest <= n
    result: StayCounts = {
        "n": shown(n, smallest),
        "patients": shown(patients, smallest),
        "with_group": f">{n - smallest}" if without else shown(having, smallest),
        "labels_per_stay": float(counts.mean()) if having >= max(1, smallest) else None,
        "reason": _why_not(parts, smallest),
    }
    rest, rest_having = _having(others)
    if any(0 < side < smallest for side in (rest_having, rest - rest_having)):
        result["with_group"] = result["labels_per_stay"] = None
    return result


def _having(parts: Sequence[Stays]) -> tuple[int, int]:
    """How many stays there are, and how many of them have a group in a fold."""
    with_group = [part.episode[part.counts > 0] for part in parts]
    return len(_episodes(parts)), len(np.unique(np.concatenate([*with_group, np.empty(0)])))


def _recall(
    parts: list[Stays], runs: list[Run], resampling: Resampling
) -> tuple[dict[str, Recall], Drawn]:
    """Recall at each k of FIRST beside its ceiling and the prior's; and the curve over CURVE."""
    model = [recalls(part, CURVE) for part in parts]
    best = [reachable(part.counts, CURVE) for part in parts]
    prior = [
        recall(np.broadcast_to(p.share, p.score.shape[1:]), p.row, p.group, CURVE) for p in parts
    ]
    each = [
        by_seed(np.concatenate(np.broadcast_arrays(r, b, p), axis=2))
        for r, b, p in zip(model, best, prior, strict=True)
    ]
    drawn = resampled(np.concatenate(each), parts, resampling)
    kinds = drawn.of(lambda flat: flat.reshape(*flat.shape[:-1], len(KINDS), len(CURVE)), SHARE)
    lead = kinds.of(lambda three: three[..., 0, :] - three[..., 2, :], GAP)
    by_run = np.concatenate([np.nanmean(r, axis=1) for r in model])  # (runs, K)
    at: dict[str, Recall] = {
        str(k): {
            "model": over_runs(kinds.at(0, k - 1), by_run[:, k - 1], runs),
            "ceiling": kinds.estimate(1, k - 1),
            "prior": kinds.estimate(2, k - 1),
            "model_minus_prior": {**lead.difference(k - 1), "p": lead.p(k - 1)},
        }
        for k in FIRST
    }
    low, high = interval(kinds.replicates[:, 0])
    curve: Drawn = {kind: kinds.value[number].tolist() for number, kind in enumerate(KINDS)}
    return at, {**curve, "low": low.tolist(), "high": high.tolist()}


def _aurocs(parts: list[Stays], runs: list[Run], resampling: Resampling) -> Aurocs:
    """Macro and micro AUROC over the groups that enough stays have and enough have not."""
    usable = []
    for part in parts:
        having = np.bincount(part.group, minlength=len(part.share))
        fewest = np.minimum(having, len(part.episode) - having)
        usable.append(fewest >= max(1, resampling.least))
    ranked = min(int(groups.sum()) for groups in usable)

    def pooled(pairs: bool) -> Metric:
        if not ranked:
            return NO_METRIC
        each = [
            [auroc_and_influence(s, p.row, p.group, groups, pairs) for s in p.score]
            for p, groups in zip(parts, usable, strict=True)
        ]
        values = np.array([[value for value, _ in fold] for fold in each])  # (F, S)
        # a mean over stays of n × influence is the sum that the first order asks for
        moved = [np.stack([len(i) * i for _, i in fold], axis=1) for fold in each]  # (n, S)
        drawn = resampled(np.concatenate(moved)[..., None], parts, resampling).at(0)
        figure = replace(
            drawn, each=values.mean(axis=0), patients=values.mean() + drawn.patients, bounds=SHARE
        )
        return over_runs(figure, values.ravel(), runs)

    return {
        "groups_ranked": ranked, "macro_auroc": pooled(False), "micro_auroc": pooled(True)
    }  # fmt: skip
