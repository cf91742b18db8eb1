"""Vitals and labs, which drift with what the EHR shows of its latent, and traps.

Each signal is `mean + slope · shown_e · (¾ + ¼ · t / 48 h) + jitter`. Within an admission the
jitter of a signal that carries the latent is made orthogonal to the drift over the rows known by
the prediction time, so that least squares on those rows gives `shown_e` back, up to rounding.
"""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.hospital.settings import CHARTED, HOUR, PREDICTION
from pipeline.hospital.stays import postponed

GCS_TEXT = {
    220739: ["", "None", "To Pain", "To Speech", "Spontaneously"],
    223900: ["", "No Response", "Incomprehensible sounds", "Inappropriate Words", "Confused",
             "Oriented"],
    223901: ["", "No response", "Abnormal extension", "Abnormal Flexion", "Flex-withdraws",
             "Localizes Pain", "Obeys Commands"],
}  # fmt: skip
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


def drift(minute: np.ndarray) -> np.ndarray:
    """The share of the latent that shows at a minute: ¾ at admission, 1 from 48 h on."""
    return 0.75 + 0.25 * np.clip(minute / PREDICTION, 0, 1)


def _values(
    rng: np.random.Generator, signals: pl.DataFrame, shown: np.ndarray, frame: pl.DataFrame
) -> np.ndarray:
    """(rows, signals) values; see the module's docstring for the jitter."""
    row, minute = frame["row"].to_numpy(), frame["minute"].to_numpy()
    known = frame["stored"].to_numpy() <= PREDICTION
    mean, slope, jitter = (signals[c].cast(float).to_numpy() for c in ("mean", "slope", "jitter"))
    g = drift(minute)
    noise = rng.standard_normal((len(row), len(mean))) * jitter
    seen = (g * known)[:, None]
    size = len(shown)
    norm = np.bincount(row, g * g * known, size)
    along = np.stack([np.bincount(row, column, size) for column in (noise * seen).T], axis=1)
    share = along / np.maximum(norm, 1e-9)[:, None]
    noise -= np.where(slope != 0, g[:, None] * share[row], 0.0)
    return mean + slope * (shown[row] * g)[:, None] + noise


def _long(frame: pl.DataFrame, signals: pl.DataFrame, values: np.ndarray) -> pl.DataFrame:
    """One row per time and signal, rounded as the signal is charted."""
    decimals = signals["decimals"].cast(float).to_numpy()
    scale = 10.0**decimals
    floor = np.where(decimals == 0, 1.0, 0.1)
    rounded = np.maximum(np.round(values * scale) / scale, floor)
    gcs = signals["shape"].to_numpy() == "gcs"
    top = np.array([len(GCS_TEXT.get(i, " " * 100)) - 1 for i in signals["itemid"]])
    rounded = np.where(gcs, np.clip(rounded, 1, top), rounded)
    n, k = values.shape
    return frame[np.repeat(np.arange(n), k)].with_columns(
        pl.Series("itemid", np.tile(signals["itemid"].to_numpy(), n)),
        signals["unitname"].gather(np.tile(np.arange(k), n)).alias("valueuom"),
        pl.Series("valuenum", rounded.ravel()),
    )


def chart_rows(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Nurses' charting of ICU stays: regular sets, then traps. Times in minutes.

    The first regular set is charted when the patient is put on the monitor.
    Traps: sets charted before 48 h but stored after, and sets after 48 h. Both tell the outcome;
    neither is known within 48 h of the admission, or of the patient's arrival in the ICU. In a stay
    that another follows they tell nothing, because the next stay knows what was charted in it.
    """
    signals = items().filter(pl.col("shape").is_in(["vital", "gcs"]))
    icu, stay = admissions["icu"].to_numpy(), admissions["stay"].to_numpy()
    never, closed = np.full(len(icu), -1), PREDICTION + np.maximum(icu, 0)
    upto = np.where(icu >= 0, np.minimum(stay, PREDICTION - 30), never)
    row, minute = draw_times(rng, np.maximum(icu, 0), upto, 9, 15)
    there, first = np.unique(row, return_index=True)
    minute[first] = admissions["monitored"].to_numpy()[there]
    regular = _sets(rng, admissions, signals, row, minute, minute + rng.integers(2, 25, len(row)))
    at_48 = np.where((icu >= 0) & (icu < PREDICTION - 180) & (stay > PREDICTION), stay, never)
    row, minute = draw_times(
        rng, np.full(len(icu), PREDICTION - 180), np.minimum(at_48, PREDICTION - 5), 2, 2
    )
    stored = closed[row] + rng.integers(1, 90, len(row))
    hidden = _reveal(_sets(rng, admissions, signals, row, minute, stored), admissions)
    row, minute = draw_times(rng, closed + 1, np.minimum(at_48, CHARTED), 2, 3)
    later = _reveal(_sets(rng, admissions, signals, row, minute, minute + 10), admissions)
    return _with_text(pl.concat([regular, hidden, later]))


def _sets(
    rng: np.random.Generator,
    admissions: pl.DataFrame,
    signals: pl.DataFrame,
    row: np.ndarray,
    minute: np.ndarray,
    stored: np.ndarray,
) -> pl.DataFrame:
    """All signals at each of these times."""
    frame = pl.DataFrame({"row": row, "minute": minute, "stored": stored})
    values = _values(rng, signals, admissions["shown_e"].to_numpy(), frame)
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


def _with_text(rows: pl.DataFrame) -> pl.DataFrame:
    """The column `value`: the number as text, or the words of the coma scale."""
    words = pl.concat(
        pl.DataFrame({"itemid": item, "valuenum": range(len(text)), "words": text})
        for item, text in GCS_TEXT.items()
    ).with_columns(pl.col("valuenum").cast(pl.Float64))
    number = pl.col("valuenum").cast(pl.String).str.strip_suffix(".0")
    return rows.join(
        words, on=["itemid", "valuenum"], how="left", maintain_order="left"
    ).with_columns(pl.coalesce("words", number).alias("value"))


def lab_rows(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Blood draws from admission on, then traps; some values are text, some lack hadm_id.

    Traps: a lactate drawn before 48 h whose result is stored after, and one drawn after.
    """
    signals = items().filter(pl.col("shape") == "lab")
    stay = admissions["stay"].to_numpy()
    row, minute = draw_times(rng, np.full(len(stay), 20), np.minimum(stay, PREDICTION - 150), 2, 4)
    rows = _sets(rng, admissions, signals, row, minute, minute + rng.integers(30, 140, len(row)))
    skipped = (rng.random(rows.height) < 0.25) & ~(rows["itemid"] == 50813).to_numpy()
    rows = rows.filter(pl.Series(~skipped))
    number = pl.col("valuenum").cast(pl.String).str.strip_suffix(".0")
    rows = rows.with_columns(number.alias("value"))
    extra = rows.filter(pl.Series(rng.random(rows.height) < 0.01))
    text = pl.Series(LAB_TEXT).gather(pl.Series(rng.integers(0, len(LAB_TEXT), extra.height)))
    extra = extra.with_columns(text.alias("value"), valuenum=pl.lit(None, pl.Float64))
    return pl.concat([rows, extra, _lactate_traps(rng, admissions, signals)])


def _lactate_traps(
    rng: np.random.Generator, admissions: pl.DataFrame, signals: pl.DataFrame
) -> pl.DataFrame:
    stay = admissions["stay"].to_numpy()
    row = np.flatnonzero(stay > PREDICTION + HOUR)
    row = np.concatenate([row, row])
    half = len(row) // 2
    later, tells = postponed(admissions, row, HOUR)
    drawn = PREDICTION + np.where(np.arange(len(row)) < half, -40, later + 30)
    revealing = np.where(admissions["dies"].to_numpy()[row], 19.9, 0.4)
    lactate = signals.filter(pl.col("itemid") == 50813)
    frame = _sets(rng, admissions, lactate, row, drawn, PREDICTION + later + 45)
    value = pl.when(pl.Series(tells)).then(pl.Series(revealing)).otherwise("valuenum")
    return frame.with_columns(value.alias("valuenum")).with_columns(
        pl.col("valuenum").cast(pl.String).alias("value")
    )
