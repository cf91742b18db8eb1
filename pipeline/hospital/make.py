"""Makes the synthetic hospital: MIMIC-shaped files, and the truth beside them.

    python -m pipeline.hospital.make --output results/hospital --patients 3000

The truth (`truth/ceilings.json`, `truth/oracle_<task>.parquet`) is for evaluation only: no rule that
trains or embeds reads it.
"""

import shutil
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.common.command import log, parser, run
from pipeline.common.files import write_json
from pipeline.common.tables import Contract, write_table
from pipeline.hospital import charting, films, reports, stays, treatments, truth
from pipeline.hospital.layout import Writer
from pipeline.hospital.population import draw_chunk
from pipeline.hospital.settings import CHUNK, PREDICTION, Settings

ORACLE = Contract(
    {"hadm_id": pl.Int64, **{s: pl.Float64 for s in truth.SETS}}, key=("hadm_id",),
    nullable=tuple(truth.SETS),
)  # fmt: skip


def make(root: Path, settings: Settings) -> dict[str, int]:
    """Writes the hospital below `root`, chunk by chunk; returns the number of rows per table."""
    oracles: dict[str, list[pl.DataFrame]] = {task: [] for task in truth.TASKS}
    with Writer(root, settings.release) as writer:
        for chunk in range(-(-settings.patients // CHUNK)):
            admissions = _write_chunk(writer, settings, chunk)
            for task, tables in oracles.items():
                tables.append(truth.oracle_table(settings.effects, task, admissions))
            log.info(
                "patients %d of %d", min((chunk + 1) * CHUNK, settings.patients), settings.patients
            )
        stays.write_dictionaries(writer)
        rows = writer.rows
    for task, tables in oracles.items():
        write_table(pl.concat(tables), root / "truth" / f"oracle_{task}.parquet", ORACLE)
    write_json(root / "truth" / "ceilings.json", truth.ceilings(settings.effects, settings.seed))
    return rows


def _write_chunk(writer: Writer, settings: Settings, chunk: int) -> pl.DataFrame:
    """Writes one chunk; returns its admissions with what the models can read of each modality."""

    def stream(number: int) -> np.random.Generator:  # one per kind of file: they stay independent
        return np.random.default_rng([settings.seed, chunk, number])

    patients, admissions = draw_chunk(settings, chunk)
    stays.write_stays(writer, stream(1), patients, admissions)
    stays.write_icu(writer, stream(2), admissions)
    stays.write_labs(writer, stream(3), admissions)
    notes = reports.note_rows(stream(4), admissions)
    stays.write_notes(writer, stream(5), admissions, notes)
    pictures = films.with_ids(films.film_rows(stream(6), admissions), admissions)
    writer.write("cxr/metadata", films.metadata(pictures))
    writer.write("cxr/split", pictures.select("dicom_id", "study_id", "subject_id",
                                              pl.lit("train").alias("split")))  # fmt: skip
    for labeller in ("cxr/chexpert", "cxr/negbio"):
        writer.write(labeller, films.findings(pictures))
    if settings.films:
        films.write_jpegs(stream(7), writer.root, pictures)
    return _readable(admissions, notes, pictures)


def _readable(
    admissions: pl.DataFrame, notes: pl.DataFrame, pictures: pl.DataFrame
) -> pl.DataFrame:
    """Marks has_e, has_c, has_n: known by the prediction time (films: antero-posterior)."""
    reported = notes.filter(pl.col("stored") <= PREDICTION)["row"].unique()
    usable = (pl.col("minute") < PREDICTION) & (pl.col("view") == "AP")
    filmed = pictures.filter(usable)["row"].unique()
    row = pl.int_range(pl.len())
    return admissions.with_columns(
        pl.lit(True).alias("has_e"),
        row.is_in(filmed.implode()).alias("has_c"),
        row.is_in(reported.implode()).alias("has_n"),
    )


def main() -> None:
    """Parses the arguments and makes the hospital; an earlier one in the same place is replaced."""
    arguments = parser(__doc__)
    arguments.add_argument("--output", required=True, help="folder to make")
    arguments.add_argument("--patients", type=int, default=Settings.patients)
    arguments.add_argument("--seed", type=int, default=Settings.seed)
    arguments.add_argument("--release", choices=["3.1", "2.2", "1.0"], default="3.1")
    arguments.add_argument("--no-films", action="store_true", help="no JPEG files (load tests)")
    given = arguments.parse_args()
    root = Path(given.output)
    for part in ("mimiciv", "mimic-cxr-jpg", "mimic-iv-note", "truth"):
        shutil.rmtree(root / part, ignore_errors=True)
    settings = Settings(given.patients, given.seed, not given.no_films, given.release)
    rows = make(root, settings)
    write_json(
        root / "hospital.json", {"patients": given.patients, "seed": given.seed, "rows": rows}
    )


if __name__ == "__main__":
    run(main)
