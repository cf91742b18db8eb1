"""What FIDDLE learns: kinds of variables, edges and categories, features; kept as JSON."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.fiddle.discretise import Encoder
from pipeline.fiddle.options import Options, options
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.tables import Contract

FEATURES = Contract(
    {
        "table": pl.String,  # S: time-invariant, X: time-dependent
        "feature": pl.Int32,
        "name": pl.String,
        "aliases": pl.List(pl.String),  # equal columns; ~{name}: 1 where this one is 0
    },
    key=("table", "feature"),
)


@dataclass(frozen=True)
class Learnt:
    """A column of a variable: its encoder and, for each feature of it, the number or -1."""

    encoder: Encoder
    features: tuple[int, ...]


def kept_only(learnt: Learnt) -> Learnt:
    """Without the categories that have no feature: texts of a few patients are not written.

    >>> kept_only(Learnt(Encoder(categories=("low", "of one patient")), (3, -1)))
    Learnt(encoder=Encoder(edges=(), categories=('low',), mask=False), features=(3,))
    """
    categories = learnt.encoder.categories
    before = len(learnt.features) - len(categories)
    numbered = list(zip(categories, learnt.features[before:], strict=True))
    kept = [(category, feature) for category, feature in numbered if feature >= 0]
    return Learnt(
        replace(learnt.encoder, categories=tuple(category for category, _ in kept)),
        learnt.features[:before] + tuple(feature for _, feature in kept),
    )


@dataclass(frozen=True)
class Variable:
    """A variable that is kept: its kind and its columns in order."""

    name: str
    kind: str
    columns: tuple[Learnt, ...]


@dataclass(frozen=True)
class Fitted:
    """Everything that `transform` needs; `ids`: how many were fitted on."""

    options: Options
    published: bool
    ids: int
    variables: tuple[Variable, ...]
    features: dict[str, list[dict[str, Any]]]  # table → name and aliases, in order

    def sizes(self) -> dict[str, int]:
        """How many features each table has."""
        return {table: len(listed) for table, listed in self.features.items()}

    def table(self) -> pl.DataFrame:
        """The features as a table, contract FEATURES."""
        rows = [
            {"table": table, "feature": number, **feature}
            for table, listed in self.features.items()
            for number, feature in enumerate(listed)
        ]
        return pl.DataFrame(rows, schema=dict(FEATURES.columns))


def write_fitted(path: str | Path, fitted: Fitted) -> None:
    """Writes what was learnt as JSON: floats come back exactly."""
    write_json(path, asdict(fitted))


def read_fitted(path: str | Path) -> Fitted:
    """Reads what `write_fitted` wrote."""
    stored = read_json(path)
    try:
        variables = tuple(
            Variable(each["name"], each["kind"], tuple(map(_learnt, each["columns"])))
            for each in stored["variables"]
        )
        return Fitted(options(stored["options"]), stored["published"], stored["ids"], variables,
                      stored["features"])  # fmt: skip
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not what pipeline.fiddle.fit writes; fit again") from error


def _learnt(column: dict[str, Any]) -> Learnt:
    stored = column["encoder"]
    encoder = Encoder(tuple(stored["edges"]), tuple(stored["categories"]), stored["mask"])
    return Learnt(encoder, tuple(column["features"]))
