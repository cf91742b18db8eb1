"""Radiology reports and discharge summaries as rows of MIMIC-IV-Note."""

import numpy as np
import polars as pl

from pipeline.hospital import ids, reports
from pipeline.hospital.layout import Writer


def write_radiology(
    writer: Writer,
    rng: np.random.Generator,
    admissions: pl.DataFrame,
    notes: pl.DataFrame,
    varied: bool,
) -> None:
    """Writes radiology; 5 % lack hadm_id, a few are addenda (note_type AR) or have no text."""
    text = reports.write_up(rng, notes, admissions, varied)
    rows = ids.clocked(notes, admissions, charttime="minute", storetime="stored")
    lost = pl.Series(rng.random(rows.height) < 0.05)
    kind = pl.when(pl.col("kind") == "addendum").then(pl.lit("AR")).otherwise(pl.lit("RR"))
    number = pl.int_range(1, pl.len() + 1).over("subject_id")
    rows = rows.with_columns(
        pl.format("{}-{}-{}", "subject_id", kind, number).alias("note_id"),
        kind.alias("note_type"),
        number.alias("note_seq"),
        text,
        hadm_id=pl.when(~lost).then("hadm_id"),
    )
    writer.write("note/radiology", rows)
    writer.write("note/radiology_detail", _detail(rows, "exam_name", "CHEST (PORTABLE AP)"))


def write_discharge(writer: Writer, admissions: pl.DataFrame) -> None:
    """Writes discharge: one summary per admission, dated after the outcome."""
    number = pl.int_range(1, pl.len() + 1).over("subject_id")
    rows = admissions.select(
        pl.format("{}-DS-{}", "subject_id", number).alias("note_id"),
        "subject_id",
        "hadm_id",
        pl.lit("DS").alias("note_type"),
        number.alias("note_seq"),
        pl.col("dischtime").dt.truncate("1d").alias("charttime"),
        (pl.col("dischtime") + pl.duration(hours=20)).alias("storetime"),
        reports.discharge_text(admissions["dies"].to_numpy()),
    )
    writer.write("note/discharge", rows)
    writer.write("note/discharge_detail", _detail(rows, "author", "___"))


def _detail(notes: pl.DataFrame, field: str, value: str) -> pl.DataFrame:
    """One field of each note."""
    return notes.select(
        "note_id",
        "subject_id",
        field_name=pl.lit(field),
        field_value=pl.lit(value),
        field_ordinal=pl.lit(1),
    )
