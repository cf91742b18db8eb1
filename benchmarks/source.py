"""Source files of MIMIC's size, made in seconds: a chartevents.csv.gz, and tables of admissions.

Tables are a small synthetic hospital, copied with other ids; readings are made denser, as MIMIC's
are: of its 4,600 rows per ICU stay about 400 are signals of the catalogue in the first 48 hours.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import first_stages
from isal import igzip_threaded
from record import Runs

CHARTEVENTS = """
COPY (
    SELECT
        10000000 + r // 1400 AS subject_id, 20000000 + r // 1200 AS hadm_id,
        30000000 + r // 1100 AS stay_id,
        CASE WHEN hash(r) % 3 > 0 THEN hash(r // 40) % 100000 END AS caregiver_id,
        TIMESTAMP '2150-01-01' + INTERVAL (r // 1400 * 7) HOUR + INTERVAL (r % 1400 // 12) HOUR
            AS charttime,
        charttime + INTERVAL (hash(r) % 90) MINUTE AS storetime,
        220000 + hash(r, 1) % 400 * 7 AS itemid,
        CASE
            WHEN hash(r, 2) % 3 > 0 THEN CAST(hash(r, 3) % 180 AS VARCHAR)
            ELSE list_extract(
                ['Alert', 'Clear', 'Diminished, bilateral', 'WNL', 'None', 'Pitting'],
                CAST(1 + hash(r, 3) % 6 AS BIGINT)
            )
        END AS value,
        CASE WHEN hash(r, 2) % 3 > 0 THEN CAST(hash(r, 3) % 180 AS DOUBLE) END AS valuenum,
        CASE WHEN hash(r, 2) % 3 > 0 THEN list_extract(
            ['bpm', 'mmHg', 'insp/min', '%', '°F'], CAST(1 + hash(r, 1) % 5 AS BIGINT)
        ) END AS valueuom,
        CAST(hash(r, 4) % 50 = 0 AS INTEGER) AS warning
    FROM (SELECT range AS r FROM range($rows))
) TO '{pipe}' (FORMAT csv, HEADER, TIMESTAMPFORMAT '%Y-%m-%d %H:%M:%S')
"""
TABLES = {  # release → tables
    "mimic-iv-note/2.2": ("radiology",),
    "mimiciv/3.1": ("patients", "admissions", "labevents", "d_labitems", "icustays", "chartevents",
                    "inputevents", "outputevents", "procedureevents", "d_items"),
}  # fmt: skip
HOSPITAL = 4000  # patients, 5,600 admissions
DENSER = 5  # rows of chartevents for each of the hospital's; two are signals of the catalogue
REPORTS = """
COPY (
    SELECT
        note_id || '-' || copy || '-' || again AS note_id,
        (subject_id + CASE WHEN again = 0 THEN 0 ELSE 1e8 END)::BIGINT * 100 + copy AS subject_id,
        CASE WHEN again = 0 THEN hadm_id * 100 + copy END AS hadm_id, note_type, note_seq,
        charttime + to_minutes(7 * again) AS charttime,
        storetime + to_minutes(7 * again) AS storetime, text
    FROM '{small}', range({copies}) AS c(copy), range({again}) AS a(again)
) TO '{large}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 8192)
"""


@contextmanager
def zipped(path: Path) -> Iterator[str]:
    """A file to write text to, several times if need be; it ends zipped in `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    read_end, write_end = os.pipe()

    def zip_all() -> None:
        with (
            os.fdopen(read_end, "rb") as text,
            igzip_threaded.open(path, "wb", compresslevel=3, threads=1) as file,
        ):
            shutil.copyfileobj(text, file, 1 << 20)

    thread = threading.Thread(target=zip_all)
    thread.start()
    try:
        yield f"/dev/fd/{write_end}"
    finally:
        os.close(write_end)
        thread.join()


def chartevents(path: Path, rows: int) -> None:
    """Writes a chartevents.csv.gz of so many rows, about 12 bytes each as MIMIC's are."""
    with zipped(path) as pipe, duckdb.connect() as database:
        database.execute(CHARTEVENTS.replace("{pipe}", pipe), {"rows": rows})


def hospital(folder: Path, patients: int = HOSPITAL) -> Path:
    """The extracted tables of a hospital of so many patients; kept for the next benchmark."""
    tables = folder / f"tables-{patients}"
    if not (tables / "d_items.parquet").exists():
        made = first_stages.hospital(folder, patients).parents[1]
        for release, names in TABLES.items():
            for name in names:
                first_stages.extracted(made / release, name, tables, Runs())
    return tables


def admissions(folder: Path, copies: int, denser: int = DENSER, patients: int = HOSPITAL) -> Path:
    """Extracted tables of the EHR of `copies` hospitals, readings as dense as MIMIC's.

    Ids times 100 plus the number of the copy: the first digits, by which films lie, stay.
    """
    small = hospital(folder, patients)
    large = folder / f"admissions-{patients}-{copies}-{denser}"
    large.mkdir(parents=True, exist_ok=True)
    settings = {"memory_limit": "4GB", "temp_directory": str(folder / "spill"),
                "preserve_insertion_order": False}  # fmt: skip
    with duckdb.connect(config=settings) as database:
        for name in (name for names in TABLES.values() for name in names if name != "radiology"):
            if name.startswith("d_"):
                shutil.copy(small / f"{name}.parquet", large)
            elif not (large / f"{name}.parquet").exists():
                _copied(
                    database, small / f"{name}.parquet", large / f"{name}.parquet", copies, denser
                )
    return large


def reports(folder: Path, copies: int, again: int) -> Path:
    """An extracted table of reports, `again` for each of the hospital; one has a hadm_id."""
    large = folder / f"radiology-{copies}-{again}.parquet"
    if not large.exists():
        small, part = hospital(folder) / "radiology.parquet", Path(f"{large}.part")
        with duckdb.connect() as database:
            given = {"small": small, "large": part, "copies": copies, "again": again}
            database.execute(REPORTS.format(**given))
        part.replace(large)
    return large


def _copied(database: duckdb.DuckDBPyConnection, small: Path, large: Path, copies: int,
            denser: int) -> None:  # fmt: skip
    columns = database.execute(f"SELECT * FROM '{small}' LIMIT 0").description
    changed = [f"{name[0]} * 100 + copy AS {name[0]}" for name in columns
               if name[0] in ("subject_id", "hadm_id", "stay_id", "labevent_id")]  # fmt: skip
    dense = denser if small.stem == "chartevents" else 1
    if dense > 1:
        changed += [
            f"{time} + to_minutes(3 * again) AS {time}" for time in ("charttime", "storetime")
        ]
        changed += ["CASE WHEN again < 2 THEN itemid ELSE 900000 + again END AS itemid",
                    "valuenum + hash(rowid, copy, again) % 20 / 10 AS valuenum"]  # fmt: skip
    database.execute(
        f"COPY (SELECT * EXCLUDE (copy, again, rowid) REPLACE ({', '.join(changed)}) FROM ("
        f"SELECT row_number() OVER () AS rowid, * FROM '{small}'), range({copies}) AS c(copy), "
        f"range({dense}) AS a(again)) TO '{large}.part' (FORMAT parquet, COMPRESSION zstd)"
    )
    Path(f"{large}.part").replace(large)
