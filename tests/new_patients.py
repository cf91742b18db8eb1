"""Sources of new patients for tests of the prediction: tables in memory, cut and changed."""

from datetime import timedelta

import polars as pl

from pipeline.predict.source import ENDS

FUSED, SINGLE = "ecn_early_mortality", "e_unimodal_mortality"  # whose models `stored` has
HOURS = 48
FILMS = "results/hospital/mimic-cxr-jpg/2.1.0"


def tables_of(checkout, names):
    """The extracted tables of a checkout's source, without derived columns."""
    tables = {name: pl.read_parquet(checkout / f"results/source/{name}.parquet") for name in names}
    return {name: table.drop("film_time", strict=False) for name, table in tables.items()}


def of_admissions(tables, ids):
    """The rows of some admissions, and of their patients those that name no admission."""
    mine = tables["admissions"].filter(pl.col("hadm_id").is_in(ids))
    patients = mine["subject_id"].unique().implode()
    cut = {}
    for name, table in tables.items():
        if "hadm_id" in table.columns:
            known = pl.col("hadm_id").is_in(ids)
            unnamed = pl.col("hadm_id").is_null() & pl.col("subject_id").is_in(patients)
            cut[name] = table.filter(known | unnamed)
        elif "subject_id" in table.columns:
            cut[name] = table.filter(pl.col("subject_id").is_in(patients))
        else:
            cut[name] = table
    return cut


def without_ends(tables):
    """The same while all admissions still run: no column of an end or outcome is there."""
    return {
        name: table.drop([one for one in ENDS.get(name, ()) if one in table.columns])
        for name, table in tables.items()
    }


def without_future(tables, hours=HOURS):
    """The same as the source is at the prediction time: nothing that is known later.

    As the availability rule of the config says: infusions and procedures are known from their
    start, other rows when they are stored.
    """
    stop = pl.col("admittime") + timedelta(hours=hours)
    stops = tables["admissions"].select("hadm_id", stop=stop)
    cut = {}
    for name, table in tables.items():
        known = next((one for one in ("starttime", "storetime") if one in table.columns), None)
        if known is None or "hadm_id" not in table.columns:
            cut[name] = table
            continue
        first = pl.coalesce(known, "charttime" if "charttime" in table.columns else known)
        rows = table.join(stops, on="hadm_id", how="left")
        rows = rows.filter((first < pl.col("stop")).fill_null(True))
        if "endtime" in rows.columns:  # it still runs
            over = pl.col("endtime") < pl.col("stop")
            rows = rows.with_columns(endtime=pl.when(over).then("endtime"))
        cut[name] = rows.drop("stop")
    return cut
