"""Reads hourly concept tables (ricu, YAIB) as tables of the source: as MIMIC-IV would hold them.

    python -m pipeline.hourly.adapt --root /data/eicu --output results/source/patients.parquet …

`dyn.parquet` (stay_id, time since the ICU admission, a column per concept), `sta.parquet` (stay_id,
age, sex) and `outc.parquet` (stay_id, label: died in the ICU later than 24 h after its admission,
of stays that lasted 30 h or more). Which concept is which signal of the catalogue stands in
`concepts.csv`; the others are not read, and named on the screen, as are signals that no concept is.

ASSUME, for what such tables do not tell:
* an hour's value was charted as it began, and known a minute before it ended;
* each stay is a patient and an admission of its own; the calendar is made up;
* the patient is there from the ICU admission on: a heart rate without a number says so;
* the stay ends, and who dies dies, at 30 h, the earliest by the definition of the label. No event
  is later than 24 h, and no other task is asked of such a source.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.ehr.signals import catalogue
from pipeline.extract.contracts import TABLES as CONTRACTS
from pipeline.hourly.given import SEXES, concepts, read
from pipeline.hourly.source import OFFERED
from pipeline.stage.command import parser, run
from pipeline.stage.files import whole
from pipeline.stage.privacy import tell, warn

BEGIN = datetime(2150, 1, 1)
LASTS = 30 * 60 + 1  # minutes of a stay: longer than 30 h
HEART_RATE, SPECIMEN, ARTERIAL = 220045, 52033, "ART."
TYPES: dict[str, Any] = {
    "BIGINT": pl.Int64,
    "VARCHAR": pl.String,
    "DOUBLE": pl.Float64,
    "DATE": pl.Date,
    "TIMESTAMP": pl.Datetime("us"),
}


def long(dyn: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """A row per stay, hour and concept with a value, in the catalogue's units.

    >>> rows = pl.DataFrame({"stay_id": [1], "hour": [2], "hr": [80.0], "map": [None]})
    >>> long(rows, concepts()).select("stay_id", "hour", "signal", "value").rows()
    [(1, 2, 'heart_rate', 80.0)]
    """
    there = [name for name in listed["concept"] if name in dyn.columns]
    rows = dyn.select("stay_id", "hour", pl.col(there).cast(pl.Float64))
    rows = rows.unpivot(index=["stay_id", "hour"], variable_name="concept", value_name="value")
    rows = rows.filter(pl.col("value").is_not_null() & pl.col("value").is_not_nan())
    rows = rows.join(listed, on="concept").with_columns(value=pl.col("value") * pl.col("scale"))
    return rows.sort("stay_id", "hour", "item")


def tables(found: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables of the source; those that need more than there is are empty."""
    listed = concepts()
    stays = found["outc"].join(found["sta"], on="stay_id", how="left").sort("stay_id")
    rows = long(found["dyn"], listed).join(stays.select("stay_id"), on="stay_id")
    rows = timed(rows)
    minutes = pl.duration(minutes=LASTS)
    who = stays.select(
        *(pl.col("stay_id").cast(pl.Int64).alias(n) for n in ("subject_id", "hadm_id", "stay_id")),
        gender=pl.col("sex").cast(pl.String).str.to_lowercase().replace_strict(SEXES, default=None),
        anchor_age=pl.col("age").floor().cast(pl.Int64),
        anchor_year=pl.lit(BEGIN.year),
        admittime=pl.lit(BEGIN),
        intime=pl.lit(BEGIN),
        hospital_expire_flag="label",
    ).with_columns(dischtime=pl.col("admittime") + minutes, outtime=pl.col("intime") + minutes)
    who = who.with_columns(deathtime=pl.when(pl.col("hospital_expire_flag") == 1).then("dischtime"))
    there = who.select(
        "subject_id", "hadm_id", "stay_id", charttime="intime", storetime="intime",
        itemid=pl.lit(HEART_RATE), value=pl.lit(None, pl.String),
        valuenum=pl.lit(None, pl.Float64), valueuom=pl.lit(None, pl.String),
    )  # fmt: skip
    of = {name: rows.filter(table=name) for name in ("chartevents", "labevents", "outputevents")}
    made = {
        "patients": who, "admissions": who, "icustays": who,
        "chartevents": pl.concat([there, as_chart(of["chartevents"])], how="diagonal_relaxed"),
        "labevents": as_labs(of["labevents"]),
        "outputevents": as_chart(of["outputevents"]).with_columns(value="valuenum"),
        "d_items": items(listed.filter(pl.col("table") != "labevents")),
        "d_labitems": items(listed.filter(pl.col("table") == "labevents")),
    }  # fmt: skip
    return {name: fitted(made.get(name, pl.DataFrame()), name) for name in OFFERED}


def timed(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds identifiers, and when an hour's value was charted and known."""
    begin = pl.lit(BEGIN) + pl.duration(hours="hour")
    same = (pl.col("stay_id").cast(pl.Int64).alias(n) for n in ("subject_id", "hadm_id"))
    return rows.with_columns(
        *same, pl.col("stay_id").cast(pl.Int64), charttime=begin,
        storetime=begin + pl.duration(minutes=59), itemid="item",
    )  # fmt: skip


def as_chart(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of chartevents or outputevents."""
    text = pl.col("value").cast(pl.String)
    return rows.with_columns(value=text, valuenum="value", valueuom="unit")


def as_labs(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of labevents: a specimen per stay and hour. ASSUME blood gases are arterial."""
    rows = as_chart(rows).with_columns(specimen_id=pl.struct("stay_id", "hour").rank("dense"))
    kinds = rows.unique(["stay_id", "hour"], maintain_order=True).with_columns(
        itemid=pl.lit(SPECIMEN, pl.Int64), value=pl.lit(ARTERIAL),
        valuenum=pl.lit(None, pl.Float64), valueuom=pl.lit(None, pl.String),
    )  # fmt: skip
    both = pl.concat([rows, kinds]).sort("specimen_id", "itemid")
    return both.with_columns(labevent_id=pl.int_range(1, pl.len() + 1))


def items(listed: pl.DataFrame) -> pl.DataFrame:
    """The dictionary of items."""
    return listed.select(
        "label", itemid="item", linksto="table", unitname="unit", fluid=pl.lit("Blood"),
    ).sort("itemid")  # fmt: skip


def fitted(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The columns of the table's contract, null where there is none."""
    types = {column: TYPES[kind] for column, kind in CONTRACTS[name].columns.items()}
    there = set(frame.columns)
    if not there:
        return pl.DataFrame(schema=types)
    return frame.select(
        (pl.col(column) if column in there else pl.lit(None)).cast(kind).alias(column)
        for column, kind in types.items()
    )


def report(found: Mapping[str, pl.DataFrame]) -> None:
    """Says which concepts are read, and which signals the source lacks."""
    listed = concepts()
    there = [name for name in found["dyn"].columns if name not in ("stay_id", "time", "hour")]
    other = [name for name in there if name not in listed["concept"]]
    tell(f"{len(there) - len(other)} of {len(there)} concepts are read")
    if other:
        warn(f"concepts that are no signals of the catalogue: {', '.join(other)}")
    if lacks := lacking(there):
        warn(f"signals that the source lacks: {', '.join(lacks)}")


def lacking(there: Iterable[str]) -> list[str]:
    """The signals of the catalogue that none of these concepts is, in its order.

    >>> lacking(concepts()["concept"])[:3]
    ['sbp_arterial', 'dbp_arterial', 'mbp_arterial']
    """
    signals = set(concepts().filter(pl.col("concept").is_in(list(there)))["signal"])
    return [name for name in catalogue()["signal"].unique(maintain_order=True)
            if name not in signals]  # fmt: skip


def adapt(root: Path, outputs: Iterable[Path]) -> None:
    """Writes the tables `<table>.parquet` of the source, and says what it is.

    `InputError` where the three tables cannot be read.
    """
    found = read(root)
    report(found)
    made = tables(found)
    for path in outputs:
        with whole(path) as part:
            made[path.stem].write_parquet(part, compression="zstd")
        tell(f"{path.stem}: %s rows", made[path.stem].height)


def main() -> None:
    """Reads the tables and writes those of the source."""
    options = parser(__doc__)
    options.add_argument("--root", type=Path, required=True, help="folder of dyn, sta, outc")
    options.add_argument("--output", type=Path, nargs="+", required=True, help="<table>.parquet")
    given = options.parse_args()
    adapt(given.root, given.output)


if __name__ == "__main__":
    run(main)
