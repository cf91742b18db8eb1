"""Several models of one task on the same test episodes, under the same resamples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import Resampling, per_seed, replicate, same_seeds
from pipeline.evaluation.comparison import mean_auroc
from pipeline.evaluation.coverage import Presence
from pipeline.evaluation.figures import GAP, SHARE, Figures
from pipeline.evaluation.folds import read_folds, samples
from pipeline.evaluation.metrics import Floats, auroc
from pipeline.evaluation.predictions import Sample
from pipeline.evaluation.significance import holm
from pipeline.stage.errors import InputError


@dataclass(frozen=True)
class Panel:
    """Test predictions of M models of the same n episodes, by name, in the order given.

    `validation`: the models' AUROC on validation, mean over runs; None with too few of a class.
    """

    tests: Mapping[str, Sample]
    validation: Mapping[str, float | None]

    @property
    def first(self) -> Sample:
        """The first model's sample: episodes, subjects and labels are those of every model."""
        return next(iter(self.tests.values()))


Compare = Callable[[Panel, Resampling, int], dict[str, Any]]  # int: smaller counts are hidden


def read_panel(
    paths: Mapping[str, Sequence[str]], least: int = 1, within: NDArray[np.int64] | None = None
) -> Panel:
    """Reads the tables of predictions of each model, one per fold; of the episodes `within` alone.

    With fewer than `least` episodes of a class, validation has no AUROC. Raises `InputError` where
    two models differ in test episodes or in labels; see `same_episodes`.
    """
    if not paths:
        raise InputError("--predictions: none given")
    tests, validation = {}, {}
    for name, tables in paths.items():
        frames = read_folds(tables)
        tests[name] = samples(frames, "test").among(within)
        validation[name] = mean_auroc(samples(frames, "val").among(within), least)
    panel = Panel(tests, validation)
    first_path = next(iter(paths.values()))[0]
    for name, test in tests.items():
        same_episodes(panel.first, test, paths[name][0], first_path)
    return panel


def on_all_and_complete(
    compare: Compare,
    tables: Mapping[str, Sequence[str]],
    panel: Panel,
    presence: Presence,
    resampling: Resampling,
    smallest: int,
) -> dict[str, Any]:
    """What `compare` says of a panel; under `complete`, of its episodes that have all modalities.

    `panel`: of all episodes, read from `tables`. `complete` is a `reason` alone where nothing may
    be said of those that have all modalities of the config.
    """
    found = compare(panel, resampling, smallest)
    reason = presence.why_unknown or presence.within(panel.first, smallest)[1]
    if reason:
        return {**found, "complete": {"reason": reason}}
    fewer = compare(read_panel(tables, max(1, smallest), presence.complete), resampling, smallest)
    return {**found, "complete": {"reason": fewer["test"]["reason"], **fewer}}


def same_episodes(first: Sample, second: Sample, path: str, first_path: str) -> None:
    """Raises `InputError` where two models (named by a path) differ in episodes, labels or seeds.

    A difference between them would then mix models with patients, or with trainings.
    """
    if first.folds != second.folds:
        raise InputError(
            f"{path}: {second.folds} fold(s), but {first.folds} of {first_path}; "
            "give a table per fold of every model"
        )
    if not np.array_equal(first.episode, second.episode):
        raise InputError(
            f"{path}: its {len(second.episode)} test episodes are not the {len(first.episode)} of "
            f"{first_path}; models are compared on the same episodes only"
        )
    if not np.array_equal(first.label, second.label):
        raise InputError(
            f"{path}: test labels differ from those of {first_path}; "
            "make both tables from the same labels"
        )
    same_seeds(first, second, path)


def aurocs(panel: Panel, resampling: Resampling) -> Figures:
    """Test AUROC of each of M models: figures (…, M), of one resample all with the same patients.

    So differences are paired. The panel must hold both classes.
    """
    statistics = [per_seed(auroc, test) for test in panel.tests.values()]

    def each(weights: Floats) -> Floats:
        return np.stack([statistic(weights) for statistic in statistics], axis=2)

    return replicate(panel.first, each, resampling, SHARE)


def differences(
    pairs: Sequence[tuple[str, str]], names: Sequence[str], figures: Figures
) -> list[dict[str, Any]]:
    """first − second of each pair of names, with interval, p, and p corrected for all the pairs.

    `figures` (…, K) are those that are compared, named by `names`; no two differ by more than 1.

    >>> drawn = Figures(np.array([[0.9, 0.7]]), np.array([[0.8, 0.7], [0.9, 0.7], [0.9, 0.8]]))
    >>> (row,) = differences([("a", "b")], ["a", "b"], drawn)
    >>> row["first"], round(row["value"], 3), row["seeds"], row["p"], row["p_holm"]
    ('a', 0.2, 1, 0.5, 0.5)
    """
    first = [names.index(one) for one, _ in pairs]
    second = [names.index(two) for _, two in pairs]
    between = figures.of(lambda each: each[..., first] - each[..., second], GAP)
    p_values = [between.p(k) for k in range(len(pairs))]
    return [
        {
            **{"first": one, "second": two, "seeds": between.seeds},
            **between.difference(k),
            **{"p": p, "p_holm": holmed},
        }
        for k, ((one, two), p, holmed) in enumerate(
            zip(pairs, p_values, holm(p_values), strict=True)
        )
    ]
