"""Real charting: the signals on the open MIMIC-IV demo are those of mimic-code's concepts."""

import json
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.ehr import events as stage
from pipeline.ehr.signals import catalogue
from pipeline.extract.tables import extract

TABLES = ("icu/chartevents", "icu/outputevents", "icu/inputevents", "icu/procedureevents",
          "icu/d_items", "hosp/labevents", "hosp/d_labitems", "hosp/admissions")  # fmt: skip
WITNESSED = ("admissions", "chartevents", "labevents", "outputevents", "inputevents")
# everything is known when it is charted: the witness knows no storage
RULE = {"enforced": True, **{kind: ["charttime"] for kind in ("vitals", "outputs", "labs")},
        "procedures": ["starttime"], "infusions": ["starttime"]}  # fmt: skip
COUNTS = {  # readings of all 275 admissions
    "sbp_arterial": 5974, "dbp_arterial": 5969, "mbp_arterial": 5983, "respiratory_rate": 14744,
    "fio2": 1857, "pao2": 685, "ph": 913, "bilirubin": 788, "inr": 1248, "urine": 7296,
    "norepinephrine": 945, "epinephrine": 36, "phenylephrine": 604, "dopamine": 28,
    "vasopressin": 55,
}  # fmt: skip


@pytest.fixture(scope="module")
def source(mimic_demo, tmp_path_factory):
    """The tables of the demo, labs with an admission."""
    folder = tmp_path_factory.mktemp("source")
    for name in TABLES:
        output = folder / f"{name.split('/')[1]}.parquet"
        extract(output.stem, mimic_demo / f"{name}.csv.gz", output, temp=folder)
    labs = pl.read_parquet(folder / "labevents.parquet").drop_nulls("hadm_id")
    labs.write_parquet(folder / "labevents.parquet")
    return folder


@pytest.fixture(scope="module")
def ours(source):
    """The events of every admission, from the day before it to its end."""
    day, rows = pl.duration(days=1), pl.read_parquet(source / "admissions.parquet")
    rows.filter(pl.col("admittime") < pl.col("dischtime")).select(
        "subject_id", "hadm_id", episode_id="hadm_id", start="admittime", clock_zero="admittime",
        observed_from=pl.col("admittime") - day, prediction_time="dischtime",
    ).write_parquet(source / "episodes.parquet")  # fmt: skip
    flags = {"episodes": source / "episodes.parquet", "source": source, "temp": source}
    flags |= {"availability": json.dumps(RULE), "output": source / "events.parquet"}
    words = [str(word) for key, value in flags.items() for word in (f"--{key}", value)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["events", *words])
        stage.main()
    return pl.read_parquet(source / "events.parquet")


@pytest.fixture(scope="module")
def witness(source):
    """The readings by SQL that was written from mimic-code's definitions alone."""
    with duckdb.connect() as database:
        for name in WITNESSED:
            database.execute(f"CREATE VIEW {name} AS FROM '{source / name}.parquet'")
        database.execute(Path(__file__).with_name("witness_signals.sql").read_text())
        table = database.table("witness").pl()
    zero = pl.read_parquet(source / "admissions.parquet").select("hadm_id", "admittime")
    minute = ((pl.col("charttime") - pl.col("admittime")).dt.total_seconds() // 60).alias("minute")
    return table.join(zero, on="hadm_id").select(
        "signal", "value", minute.cast(pl.Int32), episode_id="hadm_id"
    )


def limited(readings):
    """Those within the limits of signals.csv, which are narrower than mimic-code's."""
    limits = catalogue().filter(pl.col("scale") == 1, kind="chart", signal="mbp_arterial")
    low, high = limits.select("low", "high").row(0)
    wrong = (pl.col("signal") == "mbp_arterial") & ~pl.col("value").is_between(low, high)
    return readings.filter(~wrong)


@pytest.mark.parametrize("signal", COUNTS)
def test_readings_are_those_of_mimic_code_row_by_row(ours, witness, signal):
    """Values within the limits; five mean pressures of the demo are not within ours."""
    names = ["episode_id", "minute", "value"]
    theirs = witness.filter(signal=signal).select(names).unique()
    assert theirs.height == COUNTS[signal]
    known = ours.filter(signal=signal).select(names).with_columns(pl.col("value").round(4))
    expected = limited(witness).filter(signal=signal).select(names).unique()
    assert expected.height == COUNTS[signal] - 5 * (signal == "mbp_arterial")
    assert known.unique().sort(names).equals(expected.sort(names))


def test_what_went_in_for_irrigation_is_no_urine(ours, source):
    outputs = pl.read_parquet(source / "outputevents.parquet")
    went_in = outputs.filter(pl.col("itemid") == 227488)
    assert went_in.height == 32 and went_in["value"].sum() == 77_125  # ml
    urine = ours.filter(signal="urine")["value"]
    assert (urine < 0).sum() == 4 and urine.max() < 2000
