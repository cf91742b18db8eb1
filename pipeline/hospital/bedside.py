"""What is charted at the bedside beside the regular sets: ventilators, oxygen, a second arterial
line, weight; and blood gases and liver tests.

Numbers show the latent of the EHR as labs do (`course`): FiO2 rises with it, pH and PaO2 fall.
Modes and devices tell how a patient breathes, which PEEP and the procedure tell as well, and
nothing else: a device is drawn independent of the latents.
"""

import numpy as np
import polars as pl

from pipeline.hospital import charting
from pipeline.hospital.course import Way, draw_course
from pipeline.hospital.settings import CHARTED, HOUR, PREDICTION
from pipeline.hospital.treatments import VENTILATED

ROWS = ("row", "minute", "stored", "itemid", "value", "valuenum", "valueuom")
MODE, HAMILTON, DEVICE, FLOW, FIO2, WEIGHT = 223849, 229314, 226732, 223834, 223835, 226512
MODES = ["CMV/ASSIST/AutoFlow", "PRVC/AC", "CPAP/PSV"]
HAMILTON_MODES = ["APV (cmv)", "ASV"]
TUBE = "Endotracheal tube"
# words as MIMIC charts them (some end with a blank), and the flow of oxygen in litres per minute
DEVICES = {"None": 0, "Nasal cannula": 3, "Venti mask ": 8, "High flow nasal cannula": 40}
SPECIMEN, PO2, LAB_FIO2 = 52033, 50821, 50816
VENOUS = 0.2  # share of blood gases that are venous
SECOND_LINE = 0.08  # share of stays with a second arterial line
AS_FRACTION = 0.03  # share of charted FiO2 that is a fraction, not a percentage


def weights(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Adds `weight` (kg), about the same at each admission of a patient."""
    patient = admissions["patient"].rle_id().to_numpy()
    drawn = rng.normal(82, 19, int(patient.max()) + 1)[patient]
    drawn += rng.normal(0, 2, len(patient))
    return admissions.with_columns(weight=pl.Series(np.clip(drawn, 38, 190).round(1)))


def chart_rows(rng: np.random.Generator, admissions: pl.DataFrame, way: Way) -> pl.DataFrame:
    """Charted rows (`ROWS`) of ICU stays that are in no regular set; times in minutes."""
    names = ("arf_at", "stay", "icu", "icu_out")
    begin, stay, icu, out = (admissions[name].fill_null(-1).to_numpy() for name in names)
    last = np.minimum(np.minimum(begin + VENTILATED, stay), np.minimum(out, icu + CHARTED))
    ends = np.where(begin >= 0, last, -1)
    parts = (
        _ventilator(rng, admissions, _signals("ventilator"), way, begin, ends),
        _oxygen(rng, admissions),
        _second_line(rng, admissions, way),
        _weighed(rng, admissions),
    )
    return pl.concat(parts)


def theatre_rows(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """`ROWS` of the ventilation of patients from theatre, whose FiO2 and rate tell nothing."""
    signals = _signals("ventilator").with_columns(slope=pl.lit(0.0))
    begin, end = (admissions[f"tube_{name}"].to_numpy() for name in ("from", "to"))
    return _ventilator(rng, admissions, signals, "level", begin, end)


def some_as_fractions(rng: np.random.Generator, rows: pl.DataFrame) -> pl.DataFrame:
    """Charted rows, some FiO2 as a fraction instead of a percentage.

    >>> rows = pl.DataFrame({"itemid": [FIO2] * 200, "value": "40", "valuenum": 40.0})
    >>> charted = some_as_fractions(np.random.default_rng(0), rows)
    >>> sorted(charted["value"].unique())
    ['0.4', '40']
    """
    some = (rows["itemid"] == FIO2) & pl.Series(rng.random(rows.height) < AS_FRACTION)
    fraction = (pl.col("valuenum") / 100).round(2)
    return rows.with_columns(
        valuenum=pl.when(some).then(fraction).otherwise("valuenum"),
        value=pl.when(some).then(fraction.cast(pl.String)).otherwise("value"),
    )


def _signals(shape: str) -> pl.DataFrame:
    return charting.items().filter(pl.col("shape") == shape)


def _ventilator(
    rng: np.random.Generator,
    admissions: pl.DataFrame,
    signals: pl.DataFrame,
    way: Way,
    begin: np.ndarray,
    end: np.ndarray,
) -> pl.DataFrame:
    """Mode, device, FiO2 and rate of invasive ventilation between `begin` and `end` (minutes; −1
    where there is none). Modes have no number.
    """
    row, minute = charting.draw_times(rng, np.where(begin >= 0, begin + 2, 0), end, 4, 8)
    stored = minute + rng.integers(2, 25, len(row))
    course = draw_course(rng, way, admissions, signals.height)
    numbers = charting.sets(rng, admissions, signals, course, row, minute, stored)
    numbers = charting.with_text(numbers)
    hamilton = (rng.random(admissions.height) < 0.2)[row]
    kinds = np.where(rng.random(len(row)) < 0.5, 0, rng.integers(1, len(MODES), len(row)))
    modes = pl.Series(np.where(hamilton, np.array(HAMILTON_MODES)[kinds % 2],
                               np.array(MODES)[kinds]))  # fmt: skip
    times = pl.DataFrame({"row": row, "minute": minute, "stored": stored})
    mode = _texts(times, pl.Series(np.where(hamilton, HAMILTON, MODE)), modes)
    device = _texts(times, DEVICE, pl.Series([TUBE] * len(row), dtype=pl.String))
    return pl.concat([numbers.select(ROWS), mode, device])


def _texts(times: pl.DataFrame, itemid: int | pl.Series, words: pl.Series) -> pl.DataFrame:
    """Rows (`ROWS`) with words and no number."""
    return times.with_columns(
        itemid=itemid if isinstance(itemid, pl.Series) else pl.lit(itemid, pl.Int64),
        value=words,
        valuenum=pl.lit(None, pl.Float64),
        valueuom=pl.lit(None, pl.String),
    ).select(ROWS)


def _numbers(times: pl.DataFrame, itemid: int, numbers: pl.Series, unit: str) -> pl.DataFrame:
    """Rows (`ROWS`) of one item."""
    return times.with_columns(
        itemid=pl.lit(itemid, pl.Int64),
        value=numbers.cast(pl.String).str.strip_suffix(".0"),
        valuenum=numbers.cast(pl.Float64),
        valueuom=pl.lit(unit),
    ).select(ROWS)


def _oxygen(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Devices and flow of patients without a tube, from some hours after their arrival on."""
    icu, stay, arf = (admissions[name].to_numpy() for name in ("icu", "stay", "arf_at"))
    upto = np.where(icu >= 0, np.minimum(stay, PREDICTION - 30), -1)
    row, minute = charting.draw_times(rng, np.maximum(icu, 0) + 200, upto, 2, 5)
    usual = rng.integers(0, len(DEVICES), admissions.height)
    kind = np.where(rng.random(len(row)) < 0.8, usual[row], rng.integers(0, len(DEVICES), len(row)))
    free = (arf[row] < 0) | (minute < arf[row]) | (minute > arf[row] + VENTILATED)
    times = pl.DataFrame({"row": row, "minute": minute, "stored": minute + 6})
    times = times.with_columns(kind=pl.Series(kind)).filter(pl.Series(free))
    words = pl.Series(list(DEVICES)).gather(times["kind"])
    flow = pl.Series(list(DEVICES.values())).gather(times["kind"])
    return pl.concat([_texts(times, DEVICE, words), _numbers(times, FLOW, flow, "L/min")])


def _second_line(rng: np.random.Generator, admissions: pl.DataFrame, way: Way) -> pl.DataFrame:
    """Pressures of a second arterial line, in a few stays, from half an hour after arrival on."""
    signals = _signals("second")
    icu, stay = admissions["icu"].to_numpy(), admissions["stay"].to_numpy()
    some = (icu >= 0) & (rng.random(len(icu)) < SECOND_LINE)
    upto = np.where(some, np.minimum(stay, PREDICTION - 30), -1)
    row, minute = charting.draw_times(rng, np.maximum(icu, 0) + 30, upto, 3, 6)
    stored = minute + rng.integers(2, 25, len(row))
    course = draw_course(rng, way, admissions, signals.height)
    sets = charting.sets(rng, admissions, signals, course, row, minute, stored)
    return charting.with_text(sets).select(ROWS)


def _weighed(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """The weight on admission to the ICU, of nine in ten."""
    there = (admissions["icu"].to_numpy() >= 0) & (rng.random(admissions.height) < 0.9)
    row = np.flatnonzero(there & (admissions["stay"] > admissions["icu"] + HOUR).to_numpy())
    minute = admissions["icu"].to_numpy()[row] + rng.integers(30, HOUR, len(row))
    times = pl.DataFrame({"row": row, "minute": minute, "stored": minute + 5})
    return _numbers(times, WEIGHT, admissions["weight"].gather(pl.Series(row)), "kg")


def lab_rows(rng: np.random.Generator, admissions: pl.DataFrame, way: Way) -> pl.DataFrame:
    """Blood gases of ICU stays, and liver tests of most admissions: `ROWS`, and `venous` (whether
    it is the oxygen of venous blood).

    A gas names its specimen (ART. or VEN.) and, of some, FiO2. The oxygen of venous blood shows
    nothing. Known before 48 h, as they are drawn two and a half hours before at the latest.
    """
    icu, stay = admissions["icu"].to_numpy(), admissions["stay"].to_numpy()
    upto = np.minimum(stay, PREDICTION - 150)
    row, minute = charting.draw_times(rng, np.maximum(icu, 0) + 10, np.where(icu < 0, -1, upto),
                                      2, 4)  # fmt: skip
    first = np.append(True, (np.diff(row) != 0) | (np.diff(minute) != 0))[: len(row)]
    row, minute = row[first], minute[first]  # one specimen a minute
    stored = minute + rng.integers(5, 40, len(row))
    gases = _results(rng, admissions, way, "gas", row, minute, stored)
    venous = rng.random(len(row)) < VENOUS
    kinds = len(gases) // max(len(row), 1)
    low = pl.Series(np.repeat(venous, kinds)) & (gases["itemid"] == PO2)
    mixed = pl.Series(rng.normal(41, 4, gases.height).round())
    gases = gases.with_columns(venous=low, valuenum=pl.when(low).then(mixed).otherwise("valuenum"))
    told = (gases["itemid"] != LAB_FIO2) | pl.Series(rng.random(gases.height) < 0.3)
    times = pl.DataFrame({"row": row, "minute": minute, "stored": stored})
    specimens = _texts(times, SPECIMEN, pl.Series(np.where(venous, "VEN.", "ART.")))
    some = rng.random(len(stay)) < 0.8
    row, minute = charting.draw_times(rng, np.full(len(stay), 40), np.where(some, upto, -1), 1, 2)
    stored = minute + rng.integers(30, 140, len(row))
    tests = _results(rng, admissions, way, "liver", row, minute, stored)
    number = pl.col("valuenum").cast(pl.String).str.strip_suffix(".0")
    columns = [*ROWS, "venous"]
    results = pl.concat([gases.filter(told), tests.with_columns(venous=False)], how="diagonal")
    results = results.with_columns(value=number).select(columns)
    return pl.concat([results, specimens.with_columns(venous=False).select(columns)])


def _results(
    rng: np.random.Generator, admissions: pl.DataFrame, way: Way, shape: str,
    row: np.ndarray, minute: np.ndarray, stored: np.ndarray,
) -> pl.DataFrame:  # fmt: skip
    signals = _signals(shape)
    course = draw_course(rng, way, admissions, signals.height)
    return charting.sets(rng, admissions, signals, course, row, minute, stored)
