"""What the judge of predictions needs of a hospital, made from its files and its truth.

    python -m pipeline.hospital.answers --hospital results/hospital --output results/judge

Copies the truth and hospital.json, and writes, from the files alone:

* `outcomes_<task>.parquet`: a row per admission or ICU stay of the hospital, `label` null where it
  is no episode of the task, or where nobody knows what is reachable (later ICU stays);
* `baits.parquet`: a row per admission: who dies, the length of the stay, and per trap what the rows
  show that were known too late: −1 (survives), 1 (dies), 0 (nothing), null where there are none.

For who judges, not for who predicts: `make hospital OUT=…` keeps it apart from the files.
"""

import shutil
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from PIL import Image

from pipeline.hospital import layout, reports, truth, truth_stay
from pipeline.hospital.settings import PREDICTION
from pipeline.stage.command import log, parser, run
from pipeline.stage.database import add_resource_arguments, connect, sql_beside
from pipeline.stage.errors import InputError
from pipeline.stage.tables import Contract, write_table

STAY_TASKS = tuple(truth_stay.HOURS)
KEYS = {**dict.fromkeys(truth.TASKS, "hadm_id"), **dict.fromkeys(STAY_TASKS, "stay_id")}
SIGNED = (  # traps that show one thing of who dies and another of who survives
    "vitals stored later", "vitals charted later", "lactate stored later", "lactate drawn later",
    "report stored later", "report of later", "film of later",
)  # fmt: skip
MARKS = ("dialysis begun later", "code of cardiac arrest")  # of those who die alone, or mostly
BAITS = (*SIGNED, *MARKS)
READ = (
    "hosp/admissions", "hosp/diagnoses_icd", "hosp/labevents", "icu/icustays", "icu/chartevents",
    "icu/inputevents", "icu/procedureevents", "note/radiology",
)  # fmt: skip
KINDS = {"itemid": "BIGINT", "valuenum": "DOUBLE"}
LOWER_LUNGS = slice(42, 66)  # rows of a film that whiten as its latent rises
TRUTH = ("ceilings.json", *(f"oracle_{task}.parquet" for task in KEYS))


def release_of(root: Path) -> str:
    """The release in whose layout the hospital lies."""
    found = sorted(path.name for path in (root / "mimiciv").glob("*") if path.is_dir())
    if len(found) != 1:
        raise InputError(
            f"{root}: {len(found)} releases in mimiciv/, expected one; give --hospital"
        )
    return found[0]


def register(database: duckdb.DuckDBPyConnection, root: Path, release: str) -> None:
    """A view per file that is read, named as its table, and the table `films`."""
    for table in READ:
        path = root / layout.location(table, release)
        if not path.is_file():
            raise InputError(f"{path}: missing; make the hospital again")
        kinds = ", ".join(f"'{name}': '{_kind(name)}'" for name in layout.columns(table, release))
        database.execute(
            f"CREATE VIEW {table.split('/')[1]} AS "
            f"SELECT * FROM read_csv('{path}', header = true, columns = {{{kinds}}})"
        )
    database.register("films", late_films(root, release).to_arrow())


def _kind(column: str) -> str:
    if column in ("subject_id", "hadm_id", "stay_id"):
        return "BIGINT"
    return "TIMESTAMP" if column.endswith("time") else KINDS.get(column, "VARCHAR")


def late_films(root: Path, release: str) -> pl.DataFrame:
    """subject_id, time and grey of the lower lungs of antero-posterior films that were taken more
    than 48 hours after an admission and before the next one; none where films were not drawn.
    """
    kinds = {"StudyDate": pl.String, "StudyTime": pl.String}
    taken = pl.read_csv(root / layout.location("cxr/metadata", release), schema_overrides=kinds)
    clock = pl.col("StudyTime").str.split(".").list.first().str.zfill(6)
    time = (pl.col("StudyDate") + clock).str.to_datetime("%Y%m%d%H%M%S", time_unit="us")
    taken = taken.filter(pl.col("ViewPosition") == "AP").with_columns(time=time).sort("time")
    came = pl.read_csv(
        root / layout.location("hosp/admissions", release), try_parse_dates=True
    ).select("subject_id", time=pl.col("admittime").cast(pl.Datetime("us")), began="admittime")
    within = taken.join_asof(came.sort("time"), on="time", by="subject_id", check_sortedness=False)
    late = within.filter(pl.col("time") > pl.col("began") + pl.duration(minutes=PREDICTION))
    grey = [_grey(root, *row) for row in late["subject_id", "study_id", "dicom_id"].iter_rows()]
    return late.select("subject_id", "time", grey=pl.Series(grey, dtype=pl.Float64)).drop_nulls()


def _grey(root: Path, subject: int, study: int, dicom: str) -> float | None:
    below = f"files/p{subject // 10**6}/p{subject}/s{study}/{dicom}.jpg"
    path = root / layout.CXR / below
    if not path.is_file():
        return None
    with Image.open(path) as film:
        return float(np.asarray(film, float)[LOWER_LUNGS].mean())


def outcomes(database: duckdb.DuckDBPyConnection, task: str) -> pl.DataFrame:
    """The task's key, subject_id and label, null where it is no episode of the task."""
    if task in STAY_TASKS:
        query = "SELECT stay_id, subject_id, label FROM outcomes_of_stays WHERE task = $task"
        return database.sql(query, params={"task": task}).pl()
    return database.sql(f"SELECT hadm_id, subject_id, label FROM outcomes_{task}").pl()


def baits(database: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Per admission: stay_id of its first ICU stay (null: none), dies, hours, and every bait."""
    shows = database.sql("SELECT * FROM late").pl()
    wide = shows.pivot("bait", index="hadm_id", values="shows", aggregate_function="first")
    absent = [pl.lit(None, pl.Float64).alias(name) for name in BAITS if name not in wide.columns]
    persons = database.sql(
        "SELECT hadm_id, stay_id, dies, DATE_DIFF('minute', admittime, persons.dischtime) / 60 "
        "AS hours FROM persons LEFT JOIN (SELECT hadm_id, stay_id FROM stays "
        "WHERE first_of_admission) USING (hadm_id)"
    ).pl()
    both = persons.join(wide.with_columns(absent), on="hadm_id", how="left")
    return both.with_columns(_sign(name) for name in SIGNED).with_columns(
        pl.col("code of cardiac arrest").fill_null(0.0)
    )


def _sign(name: str) -> pl.Expr:
    """−1 or 1 where the rows tell the outcome, 0 where they show an ordinary value.

    What tells lies at the ends of all that is shown; a film's grey varies with its exposure.
    """
    low, high = pl.col(name).quantile(0.01), pl.col(name).quantile(0.99)
    place = 2 * (pl.col(name) - low) / (high - low) - 1
    lowest, highest = (-0.3, 0.5) if name.startswith("film") else (-0.99, 0.99)
    told = pl.when(place <= lowest).then(-1.0).when(place >= highest).then(1.0).otherwise(0.0)
    return pl.when(pl.col(name).is_not_null()).then(told).alias(name)


def contract(key: str) -> Contract:
    """The contract of outcomes."""
    columns = {key: pl.Int64, "subject_id": pl.Int64, "label": pl.Boolean}
    return Contract(columns, key=(key,), nullable=("label",))


OF_BAITS = Contract(
    {"hadm_id": pl.Int64, "stay_id": pl.Int64, "dies": pl.Boolean, "hours": pl.Float64}
    | dict.fromkeys(BAITS, pl.Float64),
    key=("hadm_id",),
    nullable=("stay_id", *BAITS),
    units={"hours": "h"},
)


def main() -> None:
    """Writes the folder of the judge."""
    options = parser(__doc__)
    options.add_argument("--hospital", required=True, help="folder with its files and its truth")
    options.add_argument("--output", default="results/judge", help="folder of the judge")
    add_resource_arguments(options)
    given = options.parse_args()
    root, output = Path(given.hospital), Path(given.output)
    release = release_of(root)
    output.mkdir(parents=True, exist_ok=True)
    for path in (root / "hospital.json", *(root / "truth" / name for name in TRUTH)):
        if not path.is_file():
            raise InputError(f"{path}: missing; make the hospital again")
        shutil.copyfile(path, output / path.name)
    with connect(given.threads, given.memory_mb, given.temp) as database:
        register(database, root, release)
        words = dict(zip(("dies", "lives"), reports.REVEALING, strict=True))
        for query in database.extract_statements(sql_beside(__file__, "answers.sql")):
            names = query.named_parameters
            database.execute(query, {name: words[name] for name in names} or None)
        for task, key in KEYS.items():
            found = outcomes(database, task)
            write_table(found, output / f"outcomes_{task}.parquet", contract(key))
            log.info("%s: %d episodes", task, found["label"].count())
        write_table(baits(database), output / "baits.parquet", OF_BAITS)


if __name__ == "__main__":
    run(main)
