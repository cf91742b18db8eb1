"""Explains the baselines on statistics of the EHR, logistic-stats and gbdt-stats.

    python -m pipeline.explain.statistics --model logistic gbdt --features 48h.parquet …

The baselines are fitted once more, as `pipeline.fusion.baselines` fits them: they draw nothing at
random. Of its settings the one is explained that gives the result's probabilities; the others after
it are not fitted. A part is a column, one statistic of a signal.

logistic: SHAP values, exact for a linear model whose columns are taken to be independent (Lundberg
and Lee 2017): weight × (value − mean over the fitted patients), that of a column's absence added to
its own. gbdt: no SHAP values: scikit-learn's trees have none, and the package shap would bring a
compiler with it. It is occlusion, and named so: a column becomes its median over the fitted
patients, whatever the other columns say.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.cohort.rows import TaskRows, read_rows
from pipeline.ehr.statistics import INTERVAL_COLUMNS, NAMES, READ, RUN, TEXT_COLUMNS, TEXTS
from pipeline.evaluation.statistics.figures import rounded
from pipeline.explain.causes import Truth
from pipeline.explain.common import (
    SEED,
    Explained,
    add_target_arguments,
    explained,
    head_of,
    probabilities,
)
from pipeline.explain.parts import Items, Occluded
from pipeline.explain.pictures import Shown, grouped
from pipeline.fusion.baselines import Fitted, candidates, fitted_rows, limited, preparation
from pipeline.fusion.inputs import Inputs, Scaling, of_statistics, scaling
from pipeline.stage.command import parser, run
from pipeline.stage.explanations import Method, Named
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell
from pipeline.stage.tables import read_table

MOST = 200  # episodes explained
SAME = 1e-6  # probabilities as close as that are of the same fit
SIZE = 4096  # copies that pass the trees together
BARS = 60  # columns shown
OTHER = "demographics"
LINEAR: Method = {
    "name": "linear SHAP values",
    "item": "episode",
    "part": "column: one statistic of a signal",
    "baseline": "the column's mean over the patients that the model was fitted on",
    "words": "Exact for this model, with columns taken to be independent: weight times distance "
    "from the mean, with that of the column's absence. Columns that say the same share their "
    "weight as the fit happened to share it.",
}
TREES: Method = {
    "name": "occlusion",
    "item": "episode",
    "part": "column: one statistic of a signal",
    "baseline": "the column's median over the patients that the model was fitted on",
    "words": "Not SHAP values: the change of the log odds when one column takes its median, where "
    "nothing was charted, too. Columns that say the same stand in for one another.",
}


def signals_of(columns: list[str]) -> list[str]:
    """The signal of each column of statistics; of the others `OTHER`.

    >>> signals_of(["lactate_max", "vasopressor_minutes", "gcs_verbal_intubated_charted", "sex_0"])
    ['lactate', 'vasopressor', 'gcs_verbal_intubated', 'demographics']
    """
    known = {f"{signal}_{name}": signal for signal in READ for name in NAMES}
    known |= dict(zip(TEXT_COLUMNS, TEXTS, strict=True))
    known |= dict(zip(INTERVAL_COLUMNS, np.repeat(RUN, 2).tolist(), strict=True))
    return [known.get(column, OTHER) for column in columns]


def log_odds(model: Fitted, value: np.ndarray) -> np.ndarray:
    """Values (n, F) → log odds (n,)."""
    chance = np.clip(model(value), 1e-12, 1 - 1e-12)
    return np.log(chance / (1 - chance))


def linear(model: Fitted, inputs: Inputs, fitted: np.ndarray, some: np.ndarray) -> Occluded:
    """Episodes `some` without columns: the log odds less their SHAP values."""
    scaled = model.prepare
    assert isinstance(scaled, Scaling)
    mean = scaled(inputs.value[fitted]).mean(axis=0)
    values = model.estimator.coef_[0] * (scaled(inputs.value[some]) - mean)  # (n, F + K)
    worth = values[:, : inputs.value.shape[1]].copy()
    worth[:, scaled.markers] += values[:, inputs.value.shape[1] :]
    whole = log_odds(model, inputs.value[some])
    return lambda item, removed: whole[item] - (worth[item] * removed).sum(axis=1)


def trees(model: Fitted, inputs: Inputs, fitted: np.ndarray, some: np.ndarray) -> Occluded:
    """Episodes `some` with columns at their median."""
    median = scaling(inputs, fitted).fill.astype(np.float32)
    value = inputs.value[some]
    return lambda item, removed: log_odds(model, np.where(removed, median, value[item]))


KINDS: dict[str, tuple[Callable[..., Occluded], Method]] = {
    "logistic": (linear, LINEAR),
    "gbdt": (trees, TREES),
}


def causes(truth: Truth | None, signals: list[str], items: int) -> np.ndarray | None:
    """Which columns, of every item, carry the planted cause: those of a signal that does."""
    if truth is None or truth.why_none("e"):
        return None
    return np.tile(np.isin(signals, truth.signals["signal"].to_list()), items)


def bars(items: Items, columns: list[str], signals: list[str], value: np.ndarray, suppress: int
         ) -> dict[str, list[Named]]:  # fmt: skip
    """Means by column, and by signal with its columns added up per episode."""
    count, shown = len(items.subject), Shown(suppress)
    subject = items.subject[items.owner]
    by_column = grouped(columns * count, subject, value, items.cause, shown)
    names, place = np.unique(signals, return_inverse=True)
    table = value.reshape(count, -1)
    total = np.stack([table[:, place == k].sum(axis=1) for k in range(len(names))], axis=1)
    cause = None
    if items.cause is not None:
        each = items.cause.reshape(count, -1)
        cause = np.stack([each[:, place == k].any(axis=1) for k in range(len(names))], axis=1)
    by_signal = grouped(
        names.tolist() * count, np.repeat(items.subject, len(names)), total.ravel(),
        None if cause is None else cause.ravel(), shown,
    )  # fmt: skip
    return {"columns": by_column[:BARS], "signals": by_signal}


def fit_again(kind: str, inputs: Inputs, rows: TaskRows, fitted: np.ndarray, seed: int,
              result: np.ndarray) -> Fitted:  # fmt: skip
    """The setting whose probabilities of the test episodes are nearest those of the result (N,);
    the first that has the same."""
    ready, test = preparation(kind, inputs, fitted), rows.of("test")
    columns, apart, tried = ready(inputs.value[fitted]), [], []
    for one in candidates(kind, seed):
        tried.append(Fitted(ready, one.fit(columns, rows.label[fitted])))
        apart.append(float(np.abs(tried[-1](inputs.value[test]) - result[test]).max()))
        if apart[-1] < SAME:
            break
    best = int(np.argmin(apart))
    tell(f"{kind} seed {seed}: setting {best + 1} is that of the result")
    return tried[best]


def prepare(kind: str, inputs: Inputs, columns: list[str], rows: TaskRows, seed: int, most: int,
            truth: Truth | None, suppress: int, result: np.ndarray
            ) -> Explained | str:  # fmt: skip
    """The items of a baseline, which is fitted here; why there are none.

    `result` (N,): its probabilities of the episodes of `rows`.
    """
    test, fitted = rows.of("test"), fitted_rows(rows, False)
    if not len(test):
        return "no test episode"
    model = fit_again(kind, inputs, rows, fitted, seed, result)
    row = np.sort(np.random.default_rng([SEED, 0]).permutation(test)[:most])
    signals = signals_of(columns)
    start = np.arange(len(row) + 1) * len(columns)
    cause = causes(truth, signals, len(row))
    items = Items(rows.episode[row], rows.subject[row], rows.label[row], start, cause)
    build, method = KINDS[kind]
    return Explained(
        items=items, row=row, of=len(test), occluded=build(model, inputs, fitted, row),
        method=method, cause=None if cause is None else "columns of the signals whose values "
        "follow the planted severity, or tell of shock or respiratory failure",
        why_none=truth.why_none("e") if truth else None, most=most, size=SIZE,
        picture=lambda value: bars(items, columns, signals, value, suppress),
    )  # fmt: skip


def main() -> None:
    """Fits, explains, scores and writes each baseline."""
    options = parser(__doc__)
    add_target_arguments(options)
    options.add_argument("--model", nargs="+", choices=list(KINDS), required=True)
    options.add_argument("--features", required=True, help="EHR statistics")
    options.add_argument("--predictions", nargs="+", type=Path, required=True, help="per model")
    options.add_argument("--threads", type=int, default=1, help="of the trees")
    options.add_argument("--output", nargs="+", required=True, help="per model")
    given = options.parse_args()
    rows = read_rows(given.episodes, given.labels, given.task)
    truth = Truth(given.truth, given.task) if given.truth else None
    columns = [name for name in read_table(given.features).columns if name != "episode_id"]
    inputs, most = of_statistics(given.features, rows.episode), given.most or MOST
    with limited(given.threads):
        for kind, predictions, output in zip(
            given.model, given.predictions, given.output, strict=True
        ):
            result = probabilities(predictions, rows.episode, given.seed)
            model = prepare(kind, inputs, columns, rows, given.seed, most, truth,
                            given.suppress_below, result)  # fmt: skip
            target = f"e_{kind}-stats_{given.task}"
            made = head_of(given, target, "ehr", "statistics", f"{kind}-stats", model)
            if isinstance(model, Explained):
                made = explained(made, rows, model, predictions, given.seed)
            write_json(output, rounded(made))


if __name__ == "__main__":
    run(main)
