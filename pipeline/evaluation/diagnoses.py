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
from typing import Any

import numpy as np
import polars as pl

from pipeline.evaluation.bootstrap import NOTHING, Resampling, over_runs, resamples
from pipeline.evaluation.diagnosis_tables import SPLITS, Fold, Stays, stays
from pipeline.evaluation.figures import GAP, SHARE, Figures, interval
from pipeline.evaluation.metrics import Floats
from pipeline.evaluation.ranking import Whole, auroc_and_influence, reachable, recall
from pipeline.evaluation.subgroups import COMPLEMENT, UNKNOWN, hidden
from pipeline.evaluation.suppression import shown

FIRST = (5, 10, 20, 30)  # k of the result
CURVE = np.arange(1, 51)  # k of the curve; holds FIRST
AUROCS = {"macro_auroc": False, "micro_auroc": True}  # name → whether pairs are pooled
KINDS = ("model", "ceiling", "prior")
UNRANKED = {"recall": None, "groups_ranked": None} | {
    which: {**NOTHING, "sd": None} for which in AUROCS
}
VERSIONED = ("n", "patients", "reason", *UNRANKED)


def recalls(part: Stays, first: Whole) -> Floats:
    """Recall@k by every seed: (S, n, K)."""
    return np.stack([recall(score, part.row, part.group, first) for score in part.score])


def fold_mean(values: Floats, weights: Floats, sizes: Sequence[int]) -> Floats:
    """Weighted mean over each fold's stays, then over folds: (N, M), (B, N) → (B, M).

    NaN values do not count. `sizes`: stays of each fold, in the order of the rows.
    """
    ends = np.cumsum(sizes)
    means = []
    for rows in map(slice, ends - sizes, ends):
        known = ~np.isnan(values[rows])
        part = weights[:, rows] @ np.nan_to_num(values[rows])
        whole = weights[:, rows] @ known.astype(np.float64)
        means.append(np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0))
    return np.mean(means, axis=0)


def by_seed(values: Floats) -> Floats:
    """Values of stays by seed, (S, n, K), with the stays first: (n, S, K)."""
    return np.moveaxis(values, 0, 1)


def resampled(values: Floats, parts: Sequence[Stays], resampling: Resampling) -> Figures:
    """`fold_mean` of the stays' values (N, S, K) on the sample and on every resample: (…, K)."""
    subject = np.concatenate([part.subject for part in parts])
    sizes = [len(part.episode) for part in parts]
    _, *shape = values.shape

    def mean(weights: Floats) -> Floats:  # (B, S, K)
        return fold_mean(values.reshape(len(values), -1), weights, sizes).reshape(-1, *shape)

    drawn = [mean(weights) for weights in resamples(subject, resampling)]
    each = mean(np.ones((1, len(values))))[0]
    return Figures.drawn(each, np.concatenate(drawn), resampling.seed)


def diagnoses(
    folds: list[Fold],
    runs: list[dict[str, int]],
    resampling: Resampling,
    smallest: int,
    versions: pl.DataFrame,
    within: Whole | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The result's part on diagnoses and the test's recall curve. `runs`: seed and fold of each.

    `versions`: episode_id and the icd_version of its admission's codes. `within`: the stays that
    count, else all. What is said of them then stands beside what is said of all: counts are hidden
    where few of the others would follow from both.
    """
    curve: dict[str, Any] = {"k": CURVE.tolist(), **dict.fromkeys(KINDS)}
    metrics = {}
    for name in SPLITS:
        parts, others = divided([stays(fold, name) for fold in folds], within)
        metrics[name], drawn = _split(parts, runs, resampling, smallest, others)
        by_version = _by_version(parts, others, versions, runs, resampling, smallest)
        metrics[name]["by_icd_version"] = by_version
        curve |= {"reason": metrics[name]["reason"], **drawn} if name == "test" else {}
    return {"vocabulary": [len(fold.share) for fold in folds], "metrics": metrics}, curve


def divided(parts: list[Stays], within: Whole | None) -> tuple[list[Stays], list[Stays]]:
    """The stays `within` (ids; else all), and the others, fold by fold."""
    if within is None:
        return parts, []
    others = [part.only(np.setdiff1d(part.episode, within)) for part in parts]
    return [part.only(within) for part in parts], others


def _split(
    parts: list[Stays],
    runs: list[dict[str, int]],
    resampling: Resampling,
    smallest: int,
    others: Sequence[Stays] = (),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Counts and metrics of some stays, and their recall curve; empty with a reason."""
    head = counted(parts, smallest, others)
    if head["reason"]:
        return head | UNRANKED, {}
    head["recall"], drawn = _recall(parts, runs, resampling)
    return head | _aurocs(parts, runs, resampling), drawn


def _by_version(
    parts: list[Stays],
    others: list[Stays],
    versions: pl.DataFrame,
    runs: list[dict[str, int]],
    resampling: Resampling,
    smallest: int,
) -> dict[str, Any]:
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
    sides = {v: (int(own.sum()), int(rest.sum())) for v, (own, rest) in inside.items()}
    sides = {v: counts for v, counts in sides.items() if any(counts)}
    both = {v: (own + rest, own + rest) for v, (own, rest) in sides.items()}
    secret = hidden(sides, smallest) | hidden(both, smallest)
    found = {}
    for version in known:
        if version in secret:
            small = any(0 < side < smallest for side in sides[version])
            reason = f"fewer than {smallest} stays" if small else COMPLEMENT
            found[version] = dict.fromkeys(VERSIONED) | UNRANKED | {"reason": reason}
        elif sides.get(version, (0, 0))[0]:
            own = [part.only(ids[version]) for part in parts]
            head, _ = _split(own, runs, resampling, smallest)
            found[version] = {key: head[key] for key in VERSIONED}
    return found


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


def counted(parts: list[Stays], smallest: int, others: Sequence[Stays] = ()) -> dict[str, Any]:
    """Stays, patients, stays with a group; few without one would follow, so they are hidden.

    `others`: stays that are counted together with these elsewhere. Where few of them have a group,
    or have none, nothing is said of groups here: their number would follow.
    """
    counts = np.concatenate([part.counts for part in parts])
    n, having = _having(parts)
    patients = len(np.unique(np.concatenate([part.subject for part in parts])))
    without = 0 < n - having < smallest <= n
    result = {
        "n": shown(n, smallest),
        "patients": shown(patients, smallest),
        "with_group": f">{n - smallest}" if without else shown(having, smallest),
        "labels_per_stay": float(counts.mean()) if having >= max(1, smallest) else None,
        "reason": _why_not(parts, smallest),
    }
    rest, rest_having = _having(others)
    if any(0 < side < smallest for side in (rest_having, rest - rest_having)):
        result |= {"with_group": None, "labels_per_stay": None}
    return result


def _having(parts: Sequence[Stays]) -> tuple[int, int]:
    """How many stays there are, and how many of them have a group in a fold."""
    with_group = [part.episode[part.counts > 0] for part in parts]
    return len(_episodes(parts)), len(np.unique(np.concatenate([*with_group, np.empty(0)])))


def _recall(
    parts: list[Stays], runs: list[dict[str, int]], resampling: Resampling
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Recall at each k of FIRST beside its ceiling and the prior's; and the curve over CURVE."""
    own = [recalls(part, CURVE) for part in parts]
    best = [reachable(part.counts, CURVE) for part in parts]
    prior = [
        recall(np.broadcast_to(p.share, p.score.shape[1:]), p.row, p.group, CURVE) for p in parts
    ]
    each = [
        by_seed(np.concatenate(np.broadcast_arrays(r, b, p), axis=2))
        for r, b, p in zip(own, best, prior, strict=True)
    ]
    drawn = resampled(np.concatenate(each), parts, resampling)
    kinds = drawn.of(lambda flat: flat.reshape(*flat.shape[:-1], len(KINDS), len(CURVE)), SHARE)
    lead = kinds.of(lambda three: three[..., 0, :] - three[..., 2, :], GAP)
    by_run = np.concatenate([np.nanmean(r, axis=1) for r in own])  # (runs, K)
    found = {}
    for k in FIRST:
        i = k - 1
        found[str(k)] = {
            "model": over_runs(kinds.at(0, i), by_run[:, i], runs),
            "ceiling": kinds.estimate(1, i),
            "prior": kinds.estimate(2, i),
            "model_minus_prior": {**lead.difference(i), "p": lead.p(i)},
        }
    low, high = interval(kinds.replicates[:, 0])
    curve = {kind: kinds.value[number].tolist() for number, kind in enumerate(KINDS)}
    return found, {**curve, "low": low.tolist(), "high": high.tolist()}


def _aurocs(
    parts: list[Stays], runs: list[dict[str, int]], resampling: Resampling
) -> dict[str, Any]:
    """Macro and micro AUROC over the groups that enough stays have and enough have not."""
    usable = []
    for part in parts:
        having = np.bincount(part.group, minlength=len(part.share))
        fewest = np.minimum(having, len(part.episode) - having)
        usable.append(fewest >= max(1, resampling.least))
    ranked = min(int(own.sum()) for own in usable)
    found: dict[str, Any] = {"groups_ranked": ranked}
    for name, pooled in AUROCS.items():
        if not ranked:
            found[name] = {**NOTHING, "sd": None}
            continue
        each = [
            [auroc_and_influence(s, p.row, p.group, own, pooled) for s in p.score]
            for p, own in zip(parts, usable, strict=True)
        ]
        values = np.array([[value for value, _ in fold] for fold in each])  # (F, S)
        # a mean over stays of n × influence is the sum that the first order asks for
        moved = [np.stack([len(i) * i for _, i in fold], axis=1) for fold in each]  # (n, S)
        drawn = resampled(np.concatenate(moved)[..., None], parts, resampling).at(0)
        figure = replace(
            drawn, each=values.mean(axis=0), patients=values.mean() + drawn.patients, bounds=SHARE
        )
        found[name] = over_runs(figure, values.ravel(), runs)
    return found
