"""Hourly concept tables as they are given, checked: types, keys, whose rows they are.

What would be lost or misread is refused in one line; what is left out is counted. `concepts.csv`
says which concept is which signal.
"""

from pathlib import Path

import polars as pl

from pipeline.hourly.source import FILES
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import shown, tell, warn
from pipeline.stage.tables import read_table

CONCEPTS = Path(__file__).with_name("concepts.csv")
LATEST = 24  # hours: what is later is not known at the prediction time
SEXES = {"male": "M", "m": "M", "female": "F", "f": "F"}
NEEDED = {"dyn": ("stay_id", "time"), "sta": ("stay_id", "age", "sex"),
          "outc": ("stay_id", "label")}  # fmt: skip


def concepts() -> pl.DataFrame:
    """Concept, signal, table, item, label, unit and scale of each concept that is read."""
    return pl.read_csv(CONCEPTS)


def read(root: Path) -> dict[str, pl.DataFrame]:
    """The three tables: stay_id whole, a row per stay of sta and outc, a row per stay and hour of
    dyn (with `hour`, 0 to 23), labels 0 or 1. `InputError` where they are not."""
    found = {name: with_ids(read_table(root / f"{name}.parquet"), root, name) for name in FILES}
    for name in ("sta", "outc"):
        if repeated := found[name].height - found[name]["stay_id"].n_unique():
            raise InputError(
                f"{root}/{name}.parquet: stay_id repeats in {shown(repeated)} row(s); expected a "
                "row per stay (a label per hour is another task)"
            )
    check_values(found, root)
    dyn = hours(found["dyn"])
    if repeated := dyn.height - dyn.select("stay_id", "hour").n_unique():
        raise InputError(f"{root}/dyn.parquet: stay_id and hour repeat in {shown(repeated)} row(s);"
                         " expected a row per stay and hour")  # fmt: skip
    report_whose(found, root)
    return {**found, "dyn": dyn}


def with_ids(frame: pl.DataFrame, root: Path, name: str) -> pl.DataFrame:
    """A table with the columns that it needs, and whole numbers as stay_id."""
    where = f"{root}/{name}.parquet"
    if lacking := [column for column in NEEDED[name] if column not in frame.columns]:
        raise InputError(f"{where}: no column {', '.join(lacking)}")
    ids = frame["stay_id"]
    if nulls := ids.null_count():
        raise InputError(f"{where}: stay_id is empty in {shown(nulls)} row(s)")
    whole = ids.dtype.is_integer() or (ids.dtype.is_float() and bool((ids == ids.floor()).all()))
    if not whole:
        raise InputError(f"{where}: stay_id is {ids.dtype}, expected whole numbers")
    return frame.with_columns(pl.col("stay_id").cast(pl.Int64))


def check_values(found: dict[str, pl.DataFrame], root: Path) -> None:
    """Types of labels, ages, sexes and concepts."""
    known = set(concepts()["concept"])
    numbers = {"outc": ["label"], "sta": ["age"],
               "dyn": [name for name in found["dyn"].columns if name in known]}  # fmt: skip
    for name, columns in numbers.items():
        for column in columns:
            dtype = found[name][column].dtype
            if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
                raise InputError(f"{root}/{name}.parquet: {column} is {dtype}, expected numbers "
                                 "(an age of 90 for > 89)")  # fmt: skip
    if not numbers["dyn"]:
        raise InputError(f"{root}/dyn.parquet: none of its columns is a concept of {CONCEPTS.name}")
    if found["sta"]["sex"].dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise InputError(f"{root}/sta.parquet: sex is {found['sta']['sex'].dtype}, expected Male "
                         "or Female")  # fmt: skip
    label = found["outc"]["label"].cast(pl.Float64)
    if other := int(((label != 0) & (label != 1)).fill_null(True).sum()):
        raise InputError(f"{root}/outc.parquet: label is not 0 or 1 in {shown(other)} row(s)")
    words = found["sta"]["sex"].cast(pl.String).str.to_lowercase()
    if unknown := int((~words.is_in(list(SEXES))).sum()):
        warn("sta: sex is none of Male, Female, M, F in %s row(s): not known there", unknown)


def hours(dyn: pl.DataFrame) -> pl.DataFrame:
    """`dyn` with `hour`, whole hours since the ICU admission; from 0 to 23 alone."""
    time = dyn["time"]
    if isinstance(time.dtype, pl.Duration):
        hour = time.dt.total_minutes() / 60
    elif time.dtype.is_numeric():
        hour = time.cast(pl.Float64)
    else:
        raise InputError(f"dyn.parquet: time is {time.dtype}, expected hours or a duration")
    within = dyn.with_columns(hour=hour.floor().cast(pl.Int64)).filter(
        pl.col("hour").is_between(0, LATEST - 1)
    )
    if outside := dyn.height - within.height:
        # an hour 24 beside 24 others is usual
        say = warn if outside > dyn.height / 2 else tell
        say(f"dyn: %s of %s rows lie outside the first {LATEST} hours, and are not read; time "
            "counts in hours since the ICU admission", outside, dyn.height)  # fmt: skip
    return within


def report_whose(found: dict[str, pl.DataFrame], root: Path) -> None:
    """Counts stays that only some tables have; `InputError` where tables share none with outc."""
    stays = found["outc"].select("stay_id")
    for name in ("dyn", "sta"):
        own = found[name].select("stay_id").unique()
        if own.height and not own.join(stays, on="stay_id", how="semi").height:
            raise InputError(f"{root}/{name}.parquet: none of its stays is in outc.parquet")
        if lacking := stays.join(own, on="stay_id", how="anti").height:
            warn(f"{name}: %s stays of outc have no row there", lacking)
        if more := own.join(stays, on="stay_id", how="anti").height:
            warn(f"{name}: %s stays are not in outc, and are not read", more)
