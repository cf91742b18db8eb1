"""Vitals and labs, which show the latent of the EHR as `course` describes, and traps."""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.hospital.course import Course, Rows, Way, draw_course, draw_values
from pipeline.hospital.settings import CHARTED, HOUR, PREDICTION
from pipeline.hospital.stays import postponed

GCS_TEXT = {
    220739: ["", "None", "To Pain", "To Speech", "Spontaneously"],
    223900: ["", "No Response", "Incomprehensible sounds", "Inappropriate Words", "Confused",
             "Oriented"],
    223901: ["", "No response", "Abnormal extension", "Abnormal Flexion", "Flex-withdraws",
             "Localizes Pain", "Obeys Commands"],
}  # fmt: skip
# what the body or the machine allows; other signals have a least value above 0
LIMITS = {50816: (21.0, 100.0), 223835: (21.0, 100.0), 221906: (0.02, 3.0)}
LAB_TEXT = ["___", "NEG", "GREATER THAN 500"]


@cache
def items() -> pl.DataFrame:
    """The hospital's dictionary of signals: item ids and labels are MIMIC-IV's."""
    return pl.read_csv(Path(__file__).with_name("charting_items.csv"))


def draw_times(
    rng: np.random.Generator, first: np.ndarray, last: np.ndarray, least: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Irregular times: `least`–`most` per row between `first` and `last` (minutes).

    Returns (row index, minute), ordered by row and minute; rows with `last` ≤ `first` get none.
    """
    count = rng.integers(least, most + 1, len(first)) * (last > first)
    row = np.repeat(np.arange(len(first)), count)
    minute = (first[row] + rng.random(len(row)) * (last - first)[row]).astype(int)
    order = np.lexsort((minute, row))
    return row[order], minute[order]


def _long(frame: pl.DataFrame, signals: pl.DataFrame, values: np.ndarray) -> pl.DataFrame:
    """One row per time and signal, rounded as the signal is charted."""
    decimals = signals["decimals"].cast(float).to_numpy()
    scale = 10.0**decimals
    floor = np.where(decimals == 0, 1.0, 0.1)
    limits = [
        LIMITS.get(item, (least, np.inf))
        for item, least in zip(signals["itemid"], floor, strict=True)
    ]
    rounded = np.clip(np.round(values * scale) / scale, *np.array(limits).T)
    gcs = signals["shape"].to_numpy() == "gcs"
    top = np.array([len(GCS_TEXT.get(i, " " * 100)) - 1 for i in signals["itemid"]])
    rounded = np.where(gcs, np.clip(rounded, 1, top), rounded)
    n, k = values.shape
    return frame[np.repeat(np.arange(n), k)].with_columns(
        pl.Series("itemid", np.tile(signals["itemid"].to_numpy(), n)),
        signals["unitname"].gather(np.tile(np.arange(k), n)).alias("valueuom"),
        pl.Series("valuenum", rounded.ravel()),
    )


def chart_rows(rng: np.random.Generator, admissions: pl.DataFrame, way: Way) -> pl.DataFrame:
    """Nurses' charting of ICU stays: regular sets, then traps. Times in minutes.

    The first regular set is charted when the patient is put on the monitor.
    Traps: sets charted before 48 h but stored after, and sets after 48 h. Both tell the outcome;
    neither is known within 48 h of the admission, or of the patient's arrival in the ICU. In a stay
    that another follows they tell nothing, because the next stay knows what was charted in it.
    """
    signals = items().filter(pl.col("shape").is_in(["vital", "gcs"]))
    course = draw_course(rng, way, admissions, signals.height, exact=True)
    icu, stay = admissions["icu"].to_numpy(), admissions["stay"].to_numpy()
    never, closed = np.full(len(icu), -1), PREDICTION + np.maximum(icu, 0)
    upto = np.where(icu >= 0, np.minimum(stay, PREDICTION - 30), never)
    row, minute = draw_times(rng, np.maximum(icu, 0), upto, 9, 15)
    there, first = np.unique(row, return_index=True)
    minute[first] = admissions["monitored"].to_numpy()[there]
    stored = minute + rng.integers(2, 25, len(row))
    regular = sets(rng, admissions, signals, course, row, minute, stored)
    at_48 = np.where((icu >= 0) & (icu < PREDICTION - 180) & (stay > PREDICTION), stay, never)
    row, minute = draw_times(
        rng, np.full(len(icu), PREDICTION - 180), np.minimum(at_48, PREDICTION - 5), 2, 2
    )
    stored = closed[row] + rng.integers(1, 90, len(row))
    hidden = _reveal(sets(rng, admissions, signals, course, row, minute, stored), admissions)
    row, minute = draw_times(rng, closed + 1, np.minimum(at_48, CHARTED), 2, 3)
    later = _reveal(sets(rng, admissions, signals, course, row, minute, minute + 10), admissions)
    return with_text(pl.concat([regular, hidden, later]))


def sets(
    rng: np.random.Generator,
    admissions: pl.DataFrame,
    signals: pl.DataFrame,
    course: Course,
    row: np.ndarray,
    minute: np.ndarray,
    stored: np.ndarray,
) -> pl.DataFrame:
    """All signals at each of these times."""
    frame = pl.DataFrame({"row": row, "minute": minute, "stored": stored})
    rows = Rows(row, minute, stored <= PREDICTION)
    values = draw_values(rng, course, signals, admissions["shown_e"].to_numpy(), rows)
    dies = pl.Series("dies", admissions["dies"].to_numpy()[row])
    return _long(frame.with_columns(dies), signals, values)


def _reveal(rows: pl.DataFrame, admissions: pl.DataFrame) -> pl.DataFrame:
    """A trap: heart rate and respiratory rate tell who dies, in the last stay."""
    last = pl.Series(admissions["last_stay"].to_numpy()[rows["row"].to_numpy()])
    rate = pl.col("itemid").is_in([220045, 220210]) & last
    dying = pl.col("itemid").replace_strict({220045: 165.0, 220210: 48.0}, default=0.0)
    well = pl.col("itemid").replace_strict({220045: 58.0, 220210: 9.0}, default=0.0)
    revealing = pl.when("dies").then(dying).otherwise(well)
    return rows.with_columns(pl.when(rate).then(revealing).otherwise("valuenum").alias("valuenum"))


def with_text(rows: pl.DataFrame) -> pl.DataFrame:
    """The column `value`: the number as text, or the words of the coma scale."""
    words = pl.concat(
        pl.DataFrame({"itemid": item, "valuenum": range(len(text)), "words": text})
        for item, text in GCS_TEXT.items()
    ).with_columns(pl.col("valuenum").cast(pl.Float64))
    number = pl.col("valuenum").cast(pl.String).str.strip_suffix(".0")
    return rows.join(
        words, on=["itemid", "valuenum"], how="left", maintain_order="left"
    ).with_columns(pl.coalesce("words", number).alias("value"))


def lab_rows(rng: np.random.Generator, admissions: pl.DataFrame, way: Way) -> pl.DataFrame:
    """Blood draws from admission on, then traps; some values are text, some lack hadm_id.

    Traps: a lactate drawn before 48 h whose result is stored after, and one drawn after.
    """
    signals = items().filter(pl.col("shape") == "lab")
    course = draw_course(rng, way, admissions, signals.height)
    stay = admissions["stay"].to_numpy()
    row, minute = draw_times(rng, np.full(len(stay), 20), np.minimum(stay, PREDICTION - 150), 2, 4)
    stored = minute + rng.integers(30, 140, len(row))
    rows = sets(rng, admissions, signals, course, row, minute, stored)
    skipped = (rng.random(rows.height) < 0.25) & ~(rows["itemid"] == 50813).to_numpy()
    rows = rows.filter(pl.Series(~skipped))
    number = pl.col("valuenum").cast(pl.String).str.strip_suffix(".0")
    rows = rows.with_columns(number.alias("value"))
    extra = rows.filter(pl.Series(rng.random(rows.height) < 0.01))
    text = pl.Series(LAB_TEXT).gather(pl.Series(rng.integers(0, len(LAB_TEXT), extra.height)))
    extra = extra.with_columns(text.alias("value"), valuenum=pl.lit(None, pl.Float64))
    return pl.concat([rows, extra, _lactate_traps(rng, admissions, signals, course)])


def _lactate_traps(
    rng: np.random.Generator, admissions: pl.DataFrame, signals: pl.DataFrame, course: Course
) -> pl.DataFrame:
    stay = admissions["stay"].to_numpy()
    row = np.flatnonzero(stay > PREDICTION + HOUR)
    row = np.concatenate([row, row])
    half = len(row) // 2
    later, tells = postponed(admissions, row, HOUR)
    drawn = PREDICTION + np.where(np.arange(len(row)) < half, -40, later + 30)
    revealing = np.where(admissions["dies"].to_numpy()[row], 19.9, 0.4)
    lactate = signals["itemid"] == 50813
    course, stored = course.of(lactate), PREDICTION + later + 45
    frame = sets(rng, admissions, signals.filter(lactate), course, row, drawn, stored)
    value = pl.when(pl.Series(tells)).then(pl.Series(revealing)).otherwise("valuenum")
    return frame.with_columns(value.alias("valuenum")).with_columns(
        pl.col("valuenum").cast(pl.String).alias("value")
    )
