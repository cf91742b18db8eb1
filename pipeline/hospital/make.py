"""Makes the synthetic hospital: files shaped like MIMIC's, and the known truth beside them.

    python -m pipeline.hospital.make --output results/hospital --patients 3000

The truth (`truth/ceilings.json`, `truth/oracle_<task>.parquet`) is for evaluation only: no rule
that trains or embeds reads it. With --chain 0 no event changes the chance of a later one.
"""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from pipeline.hospital import (
    administration,
    arrivals,
    bedside,
    events,
    films,
    ids,
    later,
    notes,
    reports,
    stays,
    truth,
    truth_stay,
)
from pipeline.hospital.layout import REPEATED, Writer
from pipeline.hospital.population import draw_chunk, in_later_years
from pipeline.hospital.settings import CHUNK, PREDICTION, Effects, Habits, Settings, Severity
from pipeline.stage import owner
from pipeline.stage.command import log, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole, write_json
from pipeline.stage.settings import json_argument

TABLES = {  # tables of the truth: task → key, and the function that computes its probabilities
    **dict.fromkeys(truth.TASKS, ("hadm_id", truth.oracle_table)),
    **dict.fromkeys(truth_stay.TASKS, ("stay_id", truth_stay.oracle_table)),
}


def make(root: Path, settings: Settings) -> dict[str, int]:
    """Writes the hospital below `root`, chunk by chunk; returns the number of rows per table."""
    with Writer(root, settings.release) as writer, _oracle_files(root) as oracles:
        for chunk in range(-(-settings.patients // CHUNK)):
            owner.check(root)  # its files have their names while they are written
            admissions = write_chunk(writer, settings, chunk)
            for task, (key, oracle_table) in TABLES.items():
                table = oracle_table(settings.effects, task, admissions)
                oracles[task].write_table(table.to_arrow().cast(_schema(key)))
            done = min((chunk + 1) * CHUNK, settings.patients)
            log.info("patients %d of %d", done, settings.patients)
        events.write_dictionaries(writer)
        administration.write_dictionary(writer)
    drawn = settings.effects, settings.seed
    write_json(
        root / "truth" / "ceilings.json", truth.ceilings(*drawn) | truth_stay.ceilings(*drawn)
    )
    return writer.rows


def _schema(key: str) -> pa.Schema:
    return pa.schema({key: pa.int64(), **dict.fromkeys(truth.SETS, pa.float64())})


@contextmanager
def _oracle_files(root: Path) -> Iterator[dict[str, ParquetWriter]]:
    """One file per task, rows in the order of the patients; whole or absent."""
    with ExitStack() as stack:
        parts = {
            task: stack.enter_context(whole(root / "truth" / f"oracle_{task}.parquet"))
            for task in TABLES
        }
        yield {
            task: stack.enter_context(
                ParquetWriter(part, _schema(TABLES[task][0]), compression="zstd")
            )
            for task, part in parts.items()
        }


def write_chunk(writer: Writer, settings: Settings, chunk: int) -> pl.DataFrame:
    """Writes one chunk; returns its admissions, and which modalities of each can be read."""

    def stream(number: int) -> np.random.Generator:  # one per kind of file, all independent
        return np.random.default_rng([settings.seed, chunk, number])

    way, varied = settings.severity.vitals, settings.severity.reports == "varied"
    patients, admissions = draw_chunk(settings, chunk)
    writer.kept = patients["subject_id"].head(settings.patients - chunk * CHUNK)
    if settings.habits.repeated_rows:
        writer.again = {table: stream(22 + k) for k, table in enumerate(REPEATED)}
    moves = stays.movements(stream(8), admissions)
    admissions = stays.with_stay_id(admissions, moves)
    admissions = arrivals.arrivals(stream(30), admissions, settings.habits.late_arrival)
    start = stream(40).standard_normal(admissions.height)  # of drift and transient alone
    admissions = admissions.with_columns(pl.Series("start_e", start))
    admissions = bedside.weights(stream(50), admissions)
    others = later.later_stays(stream(10), admissions, moves, settings.effects)
    written = reports.note_rows(stream(4), admissions)
    taken = films.film_rows(stream(6), admissions)
    if settings.habits.sparse_films:
        taken = films.of_emergencies(taken, admissions)
    pictures = films.with_ids(taken, admissions)
    pictures, lesion = films.with_lesions(stream(41), pictures, settings.severity.films)
    with ThreadPoolExecutor(1) as pool:  # films are drawn while the tables are written
        inputs = (stream(7), writer.root, pictures, writer.kept, lesion)
        drawn = pool.submit(films.write_jpegs, *inputs) if settings.films else None
        in_file = patients
        if settings.habits.later_years:
            in_file = in_later_years(stream(32), patients)
        writer.write("hosp/patients", in_file)
        stays.write_admissions(writer, stream(1), admissions)
        stays.write_movements(writer, admissions, arrivals.as_written(moves, admissions))
        coded = later.with_later_events(admissions, others)
        events.write_diagnoses(writer, stream(9), coded, settings.effects.chain)
        orders, charts = ids.numbered(chunk, CHUNK * ids.PER_PATIENT, 0), stream(2)
        more = settings, stream(14), stream(51)
        charted = events.write_icu(writer, charts, admissions, orders, *more)
        events.write_cultures(writer, charts, admissions)
        events.write_code_status(writer, stream(33), admissions)
        events.write_icu(writer, stream(11), others, orders.reverse(), *more)
        events.write_theatre(writer, stream(31), admissions, orders.slice(len(orders) // 2))
        drawn_labs = events.write_labs(writer, stream(3), stream(52), admissions, way)
        administration.write(writer, stream(53), coded)
        notes.write_radiology(writer, stream(5), admissions, written, varied)
        notes.write_discharge(writer, admissions)
        films.write_tables(writer, pictures)
        if drawn:
            drawn.result()
    readable = _readable(admissions, written, pictures)
    values = pl.concat([charted, drawn_labs], how="vertical_relaxed")
    readable = _first_known(readable, values, written, pictures)
    if way != "level":
        readable = truth_stay.with_readings(readable, values, way)
    return readable.filter(pl.col("subject_id").is_in(writer.kept.implode()))


def _readable(
    admissions: pl.DataFrame, written: pl.DataFrame, pictures: pl.DataFrame
) -> pl.DataFrame:
    """Adds has_e, has_c, has_n: known by the prediction time (films: antero-posterior)."""
    with_text = (pl.col("stored") < PREDICTION) & (pl.col("kind") == "report")
    usable = (pl.col("minute") < PREDICTION) & (pl.col("view") == "AP")
    row = pl.int_range(pl.len())
    return admissions.with_columns(
        pl.lit(True).alias("has_e"),
        row.is_in(pictures.filter(usable)["row"].unique().implode()).alias("has_c"),
        row.is_in(written.filter(with_text)["row"].unique().implode()).alias("has_n"),
    )


def _first_known(
    admissions: pl.DataFrame, values: pl.DataFrame, written: pl.DataFrame, pictures: pl.DataFrame
) -> pl.DataFrame:
    """Adds e_from, c_from, n_from: the minute from which each modality can be read (null: never).

    This holds for ICU stays, too: what was known before the patient's arrival is known on arrival.
    """
    rows_of = admissions.select(pl.int_range(pl.len()).alias("row"))
    with_text = written.filter(pl.col("tells") == 0, pl.col("kind") == "report")
    frontal = pictures.filter(~pl.col("tells"), pl.col("view") == "AP")
    for name, rows, known in (
        ("e_from", values, "stored"),
        ("c_from", frontal, "minute"),
        ("n_from", with_text, "stored"),
    ):
        first = rows.group_by("row").agg(pl.col(known).min().alias(name))
        rows_of = rows_of.join(first, on="row", how="left", maintain_order="left")
    return admissions.with_columns(rows_of["e_from", "c_from", "n_from"])


def parse_habits(text: str) -> Habits:
    """Habits from JSON; the others keep their defaults.

    >>> parse_habits('{"late_arrival": false}').late_arrival
    False
    """
    known = asdict(Habits())
    try:
        chosen = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--habits: not JSON ({error})") from error
    if not isinstance(chosen, dict) or any(
        name not in known or type(value) is not bool for name, value in chosen.items()
    ):
        raise InputError(f"--habits: expected true or false for some of {', '.join(known)}")
    return Habits(**chosen)


def main() -> None:
    """Makes the hospital; it replaces an earlier one in the same folder."""
    options = parser(__doc__)
    options.add_argument("--output", required=True, help="folder to make")
    options.add_argument("--patients", type=int, default=Settings.patients)
    options.add_argument("--seed", type=int, default=Settings.seed)
    options.add_argument("--chain", type=float, default=Effects.chain, help="0 to 1")
    options.add_argument(
        "--habits", type=parse_habits, default=Habits(), help="JSON: habit → true or false"
    )
    options.add_argument(
        "--severity",
        type=json_argument("hospital.severity", Severity),
        default=Severity(),
        help="JSON: how severity shows in vitals, films, reports",
    )
    options.add_argument("--release", choices=["3.1", "2.2", "1.0"], default="3.1")
    options.add_argument("--no-films", action="store_true", help="no JPEG files (load tests)")
    arguments = options.parse_args()
    if not 1 <= arguments.patients <= ids.MAX_PATIENTS:
        raise InputError(f"--patients is {arguments.patients}: expected 1 to {ids.MAX_PATIENTS}")
    if not 0 <= arguments.chain <= 1:
        raise InputError(f"--chain is {arguments.chain}: expected 0 to 1")
    root = Path(arguments.output)
    for part in ("mimiciv", "mimic-cxr-jpg", "mimic-iv-note", "truth"):
        shutil.rmtree(root / part, ignore_errors=True)
    effects = Effects(chain=arguments.chain)
    settings = Settings(
        arguments.patients,
        arguments.seed,
        not arguments.no_films,
        arguments.release,
        effects,
        arguments.habits,
        arguments.severity,
    )
    size = {"patients": arguments.patients, "seed": arguments.seed, "chain": arguments.chain}
    ways = {"habits": asdict(arguments.habits), "severity": arguments.severity.model_dump()}
    record = {**size, **ways, "rows": make(root, settings)}
    write_json(root / "hospital.json", record)


if __name__ == "__main__":
    run(main)
