"""Learns FIDDLE's features from the episodes of the training splits.

    python -m pipeline.fiddle.fit --long long.parquet --episodes episodes.parquet
        --fitted-on train fusion --settings '{"hours": 48}' --output fitted.json

Edges, categories, filters and aliases see these episodes only. `--published` fits on all episodes,
as the original does, and takes the timed rows of time-invariant variables, too. One fit at the
longest horizon serves every horizon: X[0:T).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipeline.common.command import log, parser, run
from pipeline.common.database import add_resource_arguments, connect
from pipeline.common.errors import InputError
from pipeline.common.tables import read_table
from pipeline.fiddle.columns import DELTA, FREQUENT, MASK, SPARSE, STATIC, VALUE, columns_of
from pipeline.fiddle.discretise import Encoder, learn, names, ones
from pipeline.fiddle.fitted import Fitted, Learnt, Variable, write_fitted
from pipeline.fiddle.options import Options, options
from pipeline.fiddle.rows import Rows, choose, open_long, read_rows, variables
from pipeline.fiddle.select import measure, select


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
    known = variables(database, chosen.hours)
    rows = read_rows(database, known, chosen, published)
    kinds = kinds_of(rows, known, len(ids), chosen)
    columns = [
        (variable, kind, place, *one)
        for variable, kind in enumerate(kinds)
        for place, one in enumerate(
            _learnt(rows, variable, kind, known, len(ids), chosen, published)
        )
    ]
    features: dict[str, list[dict[str, object]]] = {}
    numbers: dict[tuple[int, int], tuple[int, ...]] = {}
    for table, bins in (("S", 1), ("X", chosen.bins)):
        own = [one for one in columns if (one[1] == STATIC) == (table == "S")]
        kept, found = number(sorted(own, key=_order), len(ids), bins, chosen.theta_2)
        features[table] = kept.select("name", "aliases").to_dicts()
        numbers |= found
    learnt = tuple(
        Variable(known["variable"][variable], kind, tuple(
            Learnt(one[4], numbers[variable, one[2]]) for one in columns if one[0] == variable
        )) for variable, kind in enumerate(kinds) if kind
    )  # fmt: skip
    log_fit(kinds, features)
    return Fitted(chosen, published, len(ids), learnt, features)


def kinds_of(rows: Rows, known: pl.DataFrame, ids: int, chosen: Options) -> list[str]:
    """The kind of each variable; empty for one recorded in theta_1 of the ids or fewer."""
    kinds = []
    for variable, static in enumerate(known["static"]):
        row, _, text = rows.of(variable)
        if not len(row) or (1 + np.count_nonzero(row[1:] != row[:-1])) / ids <= chosen.theta_1:
            kinds.append("")
        elif static:
            kinds.append(STATIC)
        else:
            often = len(row) / ids >= chosen.theta_freq * chosen.bins
            numeric = often and not np.isnan(rows.numbers[text]).any()
            kinds.append(FREQUENT if numeric else SPARSE)
    return kinds


def _learnt(
    rows: Rows,
    variable: int,
    kind: str,
    known: pl.DataFrame,
    ids: int,
    chosen: Options,
    published: bool,
) -> Iterator[tuple[str, Encoder, pl.DataFrame]]:
    """Part, encoder and measured features of each column of a variable."""
    if not kind:
        return
    bins = 1 if kind == STATIC else chosen.bins
    for column in columns_of(rows, variable, kind, ids, chosen):
        encoder = learn(column, rows.texts)
        total = ids * bins if published else None
        cells, feature, _ = ones(column, encoder, rows.texts, chosen.ordinal, total)
        named = names(known["variable"][variable], column.part, encoder, chosen.ordinal)
        measured = measure(cells, feature, len(encoder), bins)
        yield column.part, encoder, measured.insert_column(0, pl.Series("name", named, pl.String))


def _order(column: tuple[int, str, int, str, Encoder, pl.DataFrame]) -> tuple[int, int, int]:
    """The original's: masks, other variables, then of frequent ones delta_time, value, the rest."""
    variable, kind, place, part, *_ = column
    section = {MASK: 0, DELTA: 2, VALUE: 3}.get(part, 4) if kind == FREQUENT else 1
    return section, variable, place


def number(
    columns: list[tuple[int, str, int, str, Encoder, pl.DataFrame]],
    ids: int,
    bins: int,
    theta_2: float,
) -> tuple[pl.DataFrame, dict[tuple[int, int], tuple[int, ...]]]:
    """The features kept of columns in order, and (variable, column) → number or -1 of each."""
    if not columns:
        return pl.DataFrame(schema={"name": pl.String, "aliases": pl.List(pl.String)}), {}
    kept = select(pl.concat([one[5] for one in columns]), ids, bins, theta_2)
    numbers = np.full(sum(len(one[4]) for one in columns), -1)
    numbers[kept["place"]] = np.arange(kept.height)
    ends = np.cumsum([len(one[4]) for one in columns])
    return kept, {
        (one[0], one[2]): tuple(numbers[end - len(one[4]) : end].tolist())
        for one, end in zip(columns, ends.tolist(), strict=True)
    }


def log_fit(kinds: list[str], features: dict[str, list[dict[str, object]]]) -> None:
    """Says how many variables of each kind there are, and how many features."""
    count = [sum(kind == one for one in kinds) for kind in (FREQUENT, SPARSE, STATIC, "")]
    log.info("variables: %d frequent, %d other, %d time-invariant; %d dropped as rare", *count)
    log.info("features: X %d, S %d", len(features["X"]), len(features["S"]))


def main() -> None:
    """Parses the arguments, fits, writes what was learnt."""
    arguments = parser(__doc__)
    arguments.add_argument("--long", required=True, help="long table, parquet")
    arguments.add_argument("--episodes", required=True, help="episode_id, split; parquet")
    arguments.add_argument("--fitted-on", nargs="+", default=["train", "fusion"], help="splits")
    arguments.add_argument("--published", action="store_true", help="fit on all episodes")
    arguments.add_argument("--settings", type=json.loads, default={}, help="JSON, see config")
    arguments.add_argument("--output", required=True, help="json")
    add_resource_arguments(arguments)
    given = arguments.parse_args()
    episodes = read_table(given.episodes, ["episode_id", "split"])
    if not given.published:
        episodes = episodes.filter(pl.col("split").is_in(given.fitted_on))
    ids = episodes["episode_id"].to_numpy()
    with connect(given.threads, given.memory_mb, given.temp) as database:
        fitted = fit(database, given.long, ids, options(given.settings), given.published)
    write_fitted(given.output, fitted)
    log.info("N = %d episodes, L = %d bins", fitted.ids, fitted.options.bins)


if __name__ == "__main__":
    run(main)
