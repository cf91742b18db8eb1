"""Writes the record of all patients of a source as MEDS 0.4: events, their codes, the data set.

    python -m pipeline.meds.events --tables results/source/patients.parquet … --name MIMIC-IV
        --availability '{…}' --output results/meds/metadata/dataset.json
        --codes results/meds/metadata/codes.parquet --data results/meds/data/00.parquet …

`events.sql` says what is an event, and when it was known. A patient's events are in one file, by
the remainder of subject_id, in the order of time; each file is made by itself, so that memory does
not grow with the source.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
from meds import CodeMetadataSchema, DataSchema, DatasetMetadataSchema

from pipeline.cohort.inputs import make_views
from pipeline.meds.parquet import checked_json, write_batches, write_frame
from pipeline.stage.availability import Availability, add_availability_argument
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.tables import ROW_GROUP

TABLES = ("patients", "admissions", "icustays", "chartevents", "labevents", "outputevents",
          "inputevents", "procedureevents")  # fmt: skip
NAMES = ("d_items", "d_labitems")  # of codes
FURTHER = {"radiology": "notes", "cxr_metadata": "films"}  # table that may be there → its query
KINDS = ("vitals", "labs", "outputs", "infusions", "procedures")
VIEWS = ("possible", "persons", "hospital_deaths", "arrivals")
# what the views of the cohort ask for, and no event depends on
SETTINGS = {"ed_hours": 24, "last_year": 9999}
# columns beyond MEDS' own, as MIMIC_IV_MEDS names them
IDS, MODIFIERS, OTHERS = (
    ["hadm_id", "icustay_id", "order_id"], ["unit"], ["charttime", "statusdescription"],
)  # fmt: skip


def query(availability: Availability, tables: Sequence[str]) -> str:
    """`events.sql` of the tables that there are, under an availability rule."""
    further = [name for table, name in FURTHER.items() if table in tables]
    kinds = [*KINDS, *further]
    rule = {f"known_{kind}": availability.known_from(kind) for kind in kinds}
    more = [sql_beside(__file__, f"events_{name}.sql").format(**rule) for name in further]
    return sql_beside(__file__, "events.sql").format(more="\n".join(more), **rule)


def open_part(
    database: duckdb.DuckDBPyConnection, paths: dict[str, str], part: int, parts: int
) -> None:
    """Makes the tables known to the database, the patients of one file alone, and their views."""
    for name, path in paths.items():
        only = f"WHERE subject_id % {parts} = {part}"
        database.execute(f"CREATE OR REPLACE VIEW {name} AS FROM '{path}' {only}")
    make_views(database, VIEWS, SETTINGS)


def names_of_codes(codes: pl.DataFrame, items: pl.DataFrame, labs: pl.DataFrame) -> pl.DataFrame:
    """The codes with what they mean, as far as the source says; no parents.

    >>> items = pl.DataFrame({"itemid": [220045], "label": ["Heart Rate"]})
    >>> codes = pl.DataFrame({"code": ["LAB//220045//bpm", "MEDS_BIRTH"]})
    >>> names_of_codes(codes, items, items.clear())["description"].to_list()
    ['Heart Rate', None]
    """
    item = pl.col("code").str.extract(r"//(\d{5,})(?://|$)").cast(pl.Int64)
    known = pl.concat([items.select("itemid", "label"), labs.select("itemid", "label")])
    named = codes.with_columns(itemid=item).join(known.unique("itemid"), on="itemid", how="left")
    return named.select(
        "code", description="label", parent_codes=pl.lit(None, pl.List(pl.String))
    ).sort("code")


def facts(name: str, release: str | None) -> dict[str, Any]:
    """What dataset.json says; no date, so that a second run writes the same bytes."""
    own = {"dataset_name": name, "dataset_version": release, "etl_name": "multimodal-mimic-risk"}
    return {
        **{key: value for key, value in own.items() if value},
        "meds_version": version("meds"),
        "raw_source_id_columns": IDS,
        "code_modifier_columns": MODIFIERS,
        "other_extension_columns": OTHERS,
    }


def arguments() -> argparse.Namespace:
    """The stage's arguments, read."""
    options = parser(__doc__)
    add = options.add_argument
    add("--tables", nargs="+", required=True, help="of the source, parquet: <table>.parquet")
    add_availability_argument(options)
    add("--name", required=True, help="of the data set")
    add("--release", help="of the source")
    add("--data", nargs="+", required=True, help="files of events, parquet: how many is how many")
    add("--codes", required=True, help="codes.parquet")
    add("--output", required=True, help="dataset.json")
    add_resource_arguments(options)
    return options.parse_args()


def main() -> None:
    """Writes one file of events after the other, then codes and metadata."""
    asked = arguments()
    paths = {Path(path).stem: path for path in asked.tables}
    if lacking := [name for name in (*TABLES, *NAMES) if name not in paths]:
        raise InputError(f"--tables: {', '.join(lacking)} missing")
    named = {name: pl.read_parquet(paths.pop(name)) for name in NAMES}
    text, rows = query(asked.availability, list(paths)), 0
    codes: set[str] = set()
    progress = JobProgress("writing events", len(asked.data))
    for part, output in enumerate(asked.data):
        with connect(asked.threads, asked.memory_mb, asked.temp) as database:
            open_part(database, paths, part, len(asked.data))
            reader = database.sql(text).to_arrow_reader(ROW_GROUP)
            rows += write_batches(seen(reader, codes), reader.schema, output, DataSchema)
        progress.add(1)
    found = pl.DataFrame({"code": sorted(codes)}, schema={"code": pl.String})
    table = names_of_codes(found, named["d_items"], named["d_labitems"])
    write_frame(table, asked.codes, CodeMetadataSchema)
    told = facts(asked.name, asked.release)
    write_json(asked.output, checked_json(told, DatasetMetadataSchema, asked.output))
    tell(f"%s events of {len(codes):,} codes", rows)


def seen(batches: Any, codes: set[str]) -> Any:
    """The batches as they come; their codes are added to `codes`."""
    for batch in batches:
        codes.update(batch.column("code").unique().to_pylist())
        yield pa.record_batch(batch)


if __name__ == "__main__":
    run(main)
