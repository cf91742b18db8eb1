"""What new data are compared with: quantiles of signals, tokens, items and risks of training.

Made when a model is stored, and kept in its folder as tables. Signals (those of `LEAST` readings or
more) and tokens are those of training patients, items of the whole training source, risks of its
validation and test patients. No weights are fitted on these; validation stopped the training, and
chose the threshold and the recalibration.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipeline.evaluation.statistics import recalibration
from pipeline.stage.parts import read_parts
from pipeline.stage.prediction import Reference, SeedFacts
from pipeline.stage.privacy import LEAST
from pipeline.stage.tables import Contract, write_table

ITEMS = ("chartevents", "labevents", "inputevents", "outputevents", "procedureevents")
AT = {"lowest": 0.005, "low": 0.05, "lower": 0.25, "median": 0.5, "upper": 0.75, "high": 0.95,
      "highest": 0.995}  # fmt: skip
SIGNALS = Contract(
    {"signal": pl.String, **dict.fromkeys(AT, pl.Float64), "readings": pl.Int64},
    key=("signal",),
    nullable=tuple(AT),
    units={name: f"quantile {share:g}" for name, share in AT.items()},
)
TOKENS = Contract({"token": pl.Int32}, key=("token",))
KNOWN_ITEMS = Contract({"table": pl.String, "itemid": pl.Int64}, key=("table", "itemid"))
PERCENT = np.arange(1, 100) / 100


def write_signals(events: Path, training: pl.Series, output: Path) -> None:
    """Quantiles of the readings of each signal in training episodes (ids)."""
    parts = [
        part.filter(pl.col("episode_id").is_in(training.implode())).select("signal", "value")
        for part in read_parts(events, ["episode_id", "signal", "value"])
    ]
    rows = pl.concat(parts) if parts else pl.DataFrame(schema={"signal": pl.String, "value": float})
    made = rows.group_by("signal").agg(
        *(pl.col("value").quantile(share, "linear").round(4).alias(name)
          for name, share in AT.items()),
        pl.len().cast(pl.Int64).alias("readings"),
    )  # fmt: skip
    write_table(made.filter(pl.col("readings") >= LEAST), output, SIGNALS)


def write_tokens(tokens: Path, training: pl.Series, output: Path) -> None:
    """The tokens that training episodes (ids) have."""
    seen: set[int] = set()
    for part in read_parts(tokens, ["episode_id", "token"]):
        mine = part.filter(pl.col("episode_id").is_in(training.implode()))
        seen.update(mine["token"].unique().to_list())
    write_table(pl.DataFrame({"token": pl.Series(sorted(seen), dtype=pl.Int32)}), output, TOKENS)


def items_of(database: duckdb.DuckDBPyConnection, folder: Path, names: Sequence[str]
             ) -> pl.DataFrame:  # fmt: skip
    """How many rows each item has in the extracted tables of events: table, itemid, rows."""
    empty = pl.DataFrame(schema={"table": pl.String, "itemid": pl.Int64, "rows": pl.Int64})
    each = [
        database.sql(
            f"SELECT '{name}' AS \"table\", itemid, count(*) AS rows "
            f"FROM '{folder / f'{name}.parquet'}' WHERE itemid IS NOT NULL GROUP BY itemid"
        ).pl()
        for name in names
    ]
    return pl.concat([empty, *each]).sort("table", "itemid")


def write_items(folder: Path, names: Sequence[str], output: Path) -> None:
    """The items that the training source charted."""
    with duckdb.connect() as database:
        found = items_of(database, folder, names)
    write_table(found, output, KNOWN_ITEMS)


def recalibrated(probability: np.ndarray, facts: SeedFacts) -> np.ndarray:
    """Probabilities (N,) with logit p' = intercept + slope · logit p, where the result has it."""
    if facts["slope"] is None or facts["intercept"] is None:
        return probability
    return recalibration.recalibrated(probability, facts["intercept"], facts["slope"])


def of_risks(predictions: pl.DataFrame, seeds: Sequence[SeedFacts]) -> dict[str, Reference]:
    """The risks, recalibrated where the result's are, of validation and test, by seed."""
    unseen = predictions.filter(pl.col("split").is_in(["val", "test"]))
    made: dict[str, Reference] = {}
    for one in seeds:
        own = unseen.filter(seed=one["seed"])["probability"].to_numpy()
        risk = recalibrated(own, one)
        quantiles = [round(float(q), 6) for q in np.quantile(risk, PERCENT)]
        made[str(one["seed"])] = {"n": len(risk), "mean": round(float(risk.mean()), 6),
                                  "quantiles": quantiles}  # fmt: skip
    return made


def present(tables: Mapping[str, Path]) -> dict[str, pl.DataFrame]:
    """Those of the tables that a stored model has."""
    return {name: pl.read_parquet(path) for name, path in tables.items() if path.is_file()}
