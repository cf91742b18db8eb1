"""Learns FIDDLE's features from the episodes of the training splits.

    python -m pipeline.fiddle.fit --long long.parquet --episodes episodes.parquet
        --fitted-on train fusion --settings '{"hours": 48}' --output fitted.json

Edges, categories, filters and aliases see these episodes only. `--published` fits on all episodes,
as the original does, and takes the timed rows of time-invariant variables, too. One fit at the
longest horizon serves every horizon: X[0:T).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from pipeline.fiddle.columns import DELTA, FREQUENT, MASK, SPARSE, STATIC, VALUE, columns_of
from pipeline.fiddle.discretise import Encoder, learn, names, ones
from pipeline.fiddle.fitted import Fitted, Learnt, Variable, kept_only, write_fitted
from pipeline.fiddle.kinds import kinds_of
from pipeline.fiddle.options import Options, options
from pipeline.fiddle.rows import COLUMNS, Rows, choose, open_long, read_rows, variables
from pipeline.fiddle.select import measure, select
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, watched
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.tables import read_table

Numbers = dict[tuple[int, int], tuple[int, ...]]  # (variable, column) → number or -1 per feature


@dataclass(frozen=True)
class Measured:
    """A column of the fitted ids: `place` in its variable, encoder and candidate features.

    `features`: name, and what `measure` says of it.
    """

    variable: int
    kind: str
    place: int
    part: str
    encoder: Encoder
    features: pl.DataFrame

    @property
    def table(self) -> str:
        """S or X: where the features go."""
        return "S" if self.kind == STATIC else "X"

    @property
    def order(self) -> tuple[int, int, int]:
        """The original's: masks, other variables, then of frequent ones delta_time, value, …"""
        section = {MASK: 0, DELTA: 2, VALUE: 3}.get(self.part, 4) if self.kind == FREQUENT else 1
        return section, self.variable, self.place


def fit(
    database: duckdb.DuckDBPyConnection,
    long: pl.DataFrame | str | Path,
    ids: np.ndarray,
    chosen: Options,
    published: bool = False,
) -> Fitted:
    """Learns from the rows of these ids in a long table, given as a table or as a parquet file."""
    ids = np.unique(ids)
    if not len(ids):
        raise InputError("fiddle: no episode to fit on")
    open_long(database, long)
    choose(database, ids)
    with watched(database, "reading the long table"):
        known = variables(database, chosen.hours)
        rows = read_rows(database, known, chosen, published)
    kinds = kinds_of(rows, known["static"].to_numpy(), len(ids), chosen, published)
    columns = list(measured(rows, known["variable"], kinds, len(ids), chosen, published))
    features: dict[str, list[dict[str, Any]]] = {}
    numbers: Numbers = {}
    for table, bins in (("S", 1), ("X", chosen.bins)):
        of_table = sorted((one for one in columns if one.table == table), key=lambda one: one.order)
        features[table], numbered = number(of_table, len(ids), bins, chosen.theta_2)
        numbers |= numbered
    log_fit(kinds, features)
    learnt = learnt_of(known["variable"], columns, numbers)
    return Fitted(chosen, published, len(ids), learnt, features)


def measured(
    rows: Rows, variable: pl.Series, kinds: list[str], ids: int, chosen: Options, published: bool
) -> Iterator[Measured]:
    """The columns of each variable that is kept; `variable`: the names."""
    progress = JobProgress("fitting FIDDLE's variables", len(kinds))
    for at, kind in enumerate(progress.each(kinds)):
        if not kind:
            continue
        bins = 1 if kind == STATIC else chosen.bins
        total = ids * bins if published else None
        for place, column in enumerate(columns_of(rows, at, kind, ids, chosen)):
            encoder = learn(column, rows.texts)
            cells, feature, _ = ones(column, encoder, rows.texts, chosen.ordinal, total)
            named = names(variable[at], column.part, encoder, chosen.ordinal)
            features = measure(cells, feature, len(encoder), bins)
            features.insert_column(0, pl.Series("name", named, pl.String))
            yield Measured(at, kind, place, column.part, encoder, features)


def number(
    columns: list[Measured], ids: int, bins: int, theta_2: float
) -> tuple[list[dict[str, Any]], Numbers]:
    """Name and aliases of the features kept of columns in order; and what number each has."""
    if not columns:
        return [], {}
    kept = select(pl.concat([one.features for one in columns]), ids, bins, theta_2)
    ends = np.cumsum([len(one.encoder) for one in columns])
    numbers = np.full(ends[-1], -1)
    numbers[kept["place"]] = np.arange(kept.height)
    parts = np.split(numbers, ends[:-1])
    return kept.select("name", "aliases").to_dicts(), {
        (one.variable, one.place): tuple(part.tolist())
        for one, part in zip(columns, parts, strict=True)
    }


def learnt_of(
    variable: pl.Series, columns: list[Measured], numbers: Numbers
) -> tuple[Variable, ...]:
    """What is kept of each variable's columns, which lie together; `variable`: the names."""
    learnt = []
    for (at, kind), of_variable in groupby(columns, lambda one: (one.variable, one.kind)):
        kept = tuple(kept_only(Learnt(one.encoder, numbers[at, one.place])) for one in of_variable)
        learnt.append(Variable(variable[at], kind, kept))
    return tuple(learnt)


def log_fit(kinds: list[str], features: dict[str, list[dict[str, Any]]]) -> None:
    """Says how many variables of each kind there are, and how many features."""
    count = [sum(kind == one for one in kinds) for kind in (FREQUENT, SPARSE, STATIC, "")]
    tell("variables: {} frequent, {} other, {} time-invariant; {} dropped as rare".format(*count))
    tell(f"features: X {len(features['X'])}, S {len(features['S'])}")


def main() -> None:
    """Parses the arguments, fits, writes what was learnt."""
    command = parser(__doc__)
    command.add_argument("--long", required=True, help=COLUMNS)
    command.add_argument("--episodes", required=True, help="episode_id, split; parquet")
    command.add_argument("--fitted-on", nargs="+", default=["train", "fusion"], help="splits")
    command.add_argument("--published", action="store_true", help="fit on all episodes")
    command.add_argument("--settings", type=json.loads, default={},
                           help="JSON, as `fiddle:` in config.yaml")  # fmt: skip
    command.add_argument("--output", required=True, help="json")
    add_resource_arguments(command)
    arguments = command.parse_args()
    episodes = read_table(arguments.episodes, ["episode_id", "split"])
    if not arguments.published:
        episodes = episodes.filter(pl.col("split").is_in(arguments.fitted_on))
    ids = episodes["episode_id"].to_numpy()
    with connect(arguments.threads, arguments.memory_mb, arguments.temp) as database:
        fitted = fit(
            database, arguments.long, ids, options(arguments.settings), arguments.published
        )
    write_fitted(arguments.output, fitted)
    tell(f"N = %s episodes, L = {fitted.options.bins} bins", fitted.ids)


if __name__ == "__main__":
    run(main)
