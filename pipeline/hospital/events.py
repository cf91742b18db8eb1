"""Charting, laboratory, infusions and procedures as rows of MIMIC's event tables."""

import numpy as np
import polars as pl

from pipeline.hospital import arrivals, bedside, charting, ids, mischarting, treatments
from pipeline.hospital.course import Way
from pipeline.hospital.layout import Writer
from pipeline.hospital.settings import CHUNK, HOUR, Settings

LABS_PER_CHUNK = 100_000  # labevent_id is a running number
CULTURES_PER_CHUNK = 1_000  # microevent_id too
READ = ["row", "itemid", "minute", "stored", "valuenum"]  # what a reader of values reads, by time
CHARTED_AT = {"charttime": "minute", "storetime": "stored"}
LIMITS = ["DNR (do not resuscitate)", "DNR / DNI", "Comfort measures only",
          "DNI (do not intubate)", None]  # fmt: skip
LIMITED_WITHIN = 5 * 24 * HOUR  # minutes of an ICU stay
RUNNING = {"starttime": "start", "endtime": "end"}


def _chunk(admissions: pl.DataFrame) -> int:
    return admissions["patient"][0] // CHUNK


def write_icu(
    writer: Writer,
    rng: np.random.Generator,
    admissions: pl.DataFrame,
    orders: pl.Series,
    settings: Settings,
    errors: np.random.Generator,
    beside: np.random.Generator,
) -> pl.DataFrame:
    """Writes chartevents, inputevents, outputevents, procedureevents, with these order numbers.

    `errors` draws impossible values, if the habits have some; `beside` what is in no regular set.
    Returns `READ` of all other charted values, and of the rates of norepinephrine.
    """
    way, habits = settings.severity.vitals, settings.habits
    chart = [charting.chart_rows(rng, admissions, way), treatments.peep_rows(rng, admissions)]
    names = ["row", "minute", "stored", "itemid", "value", "valuenum", "valueuom"]
    rows = pl.concat([part.select(names) for part in chart], how="vertical_relaxed")
    if habits.intubated_gcs:
        rows = mischarting.intubated(rows, admissions)
    _write_charts(writer, rng, admissions, rows)
    if habits.impossible_values:
        _write_charts(writer, errors, admissions, mischarting.impossible(errors, rows))
    more = bedside.chart_rows(beside, admissions, way)
    _write_charts(writer, beside, admissions, bedside.some_as_fractions(beside, more))
    infused = treatments.infusion_rows(rng, beside, admissions, way)
    _write_intervals(
        writer, rng, admissions, infused, treatments.procedure_rows(rng, admissions), orders
    )
    urine = treatments.urine_rows(rng, beside, admissions, way)
    urine = ids.clocked(urine, admissions, **CHARTED_AT)
    urine = urine.with_columns(ids.caregivers(rng, urine.height), valueuom=pl.lit("ml"))
    writer.write("icu/outputevents", urine)
    rates = infused.filter(pl.col("itemid") == treatments.NOREPINEPHRINE)
    rates = rates.with_columns(minute="start", stored="start", valuenum="rate")
    parts = [part.select(READ) for part in (rows, more, rates)]
    return pl.concat(parts, how="vertical_relaxed")


def write_theatre(
    writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame, orders: pl.Series
) -> None:
    """Writes what patients from theatre have on arrival, see `arrivals`."""
    _write_charts(writer, rng, admissions, arrivals.theatre_chart(rng, admissions))
    _write_charts(writer, rng, admissions, bedside.theatre_rows(rng, admissions))
    infused = arrivals.theatre_intervals(admissions, "pressor", arrivals.PHENYLEPHRINE)
    infused = infused.with_columns(rate=0.8, run=pl.int_range(pl.len()))
    tubes = arrivals.theatre_intervals(admissions, "tube", arrivals.VENTILATION)
    _write_intervals(writer, rng, admissions, infused, tubes, orders)


def _write_charts(
    writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame, rows: pl.DataFrame
) -> None:
    """Writes chartevents, without the heart rates of stays that have none."""
    rows = ids.clocked(rows, admissions, **CHARTED_AT)
    rows = rows.with_columns(ids.caregivers(rng, rows.height), warning=0)
    silent = admissions.select(pl.int_range(pl.len()).filter("silent")).to_series()
    written = (pl.col("itemid") != arrivals.HEART_RATE) | ~pl.col("row").is_in(silent.implode())
    writer.write("icu/chartevents", rows.filter(written))


def _write_intervals(
    writer: Writer,
    rng: np.random.Generator,
    admissions: pl.DataFrame,
    infused: pl.DataFrame,
    procedures: pl.DataFrame,
    orders: pl.Series,
) -> None:
    """Writes inputevents and procedureevents; nearly all procedures are stored after they end."""
    length = (pl.col("end") - pl.col("start")).cast(pl.Float64)
    weight = admissions["weight"].gather(infused["row"])
    drugs = ids.clocked(treatments.doses(infused, weight), admissions, **RUNNING)
    done = ids.clocked(procedures, admissions, **RUNNING)
    changed = (pl.col("run") == pl.col("run").shift(-1)).fill_null(False)
    drugs = _ordered(drugs, orders.head(drugs.height)).with_columns(
        ids.caregivers(rng, drugs.height),
        linkorderid=pl.col("orderid").first().over("run"),
        storetime=pl.col("starttime") + pl.duration(minutes=3),
        ordercategoryname=pl.lit("01-Drips"),
        ordercategorydescription=pl.lit("Continuous Med"),
        patientweight=weight,
        statusdescription=pl.when(changed)
        .then(pl.lit("ChangeDose/Rate"))
        .otherwise(pl.lit("FinishedRunning")),
    )
    writer.write("icu/inputevents", drugs)
    done = _ordered(done, orders.slice(drugs.height, done.height)).with_columns(
        ids.caregivers(rng, done.height),
        storetime=pl.col("endtime") + pl.duration(minutes=10),
        value=length,
        valueuom=pl.lit("min"),
        ordercategorydescription=pl.lit("ContinuousProcess"),
        statusdescription=pl.lit("FinishedRunning"),
    )
    writer.write("icu/procedureevents", done)


def _ordered(rows: pl.DataFrame, orders: pl.Series) -> pl.DataFrame:
    return rows.with_columns(orderid=orders, linkorderid=orders)


def write_code_status(writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame) -> None:
    """Writes the code status of first ICU stays to chartevents, independent of all else.

    Full code after some hours; for some a limit, in few rows without its text. The hour of a limit
    is drawn whatever the length of the stay, which it would reveal; limits after the stay are left
    out.
    """
    inside = admissions.select(pl.int_range(pl.len()).alias("row"), "icu", "icu_out")
    inside = inside.filter(pl.col("icu") >= 0)
    full = inside.with_columns(minute=pl.col("icu") + 360, value=pl.lit("Full code"), itemid=223758)
    some = inside.filter(pl.Series(rng.random(inside.height) < 0.12))
    at = some["icu"] + rng.random(some.height) * LIMITED_WITHIN
    text = pl.Series(LIMITS).gather(pl.Series(rng.integers(0, len(LIMITS), some.height)))
    notes = pl.Series(rng.random(some.height) < 0.2)  # by the physician
    item = pl.when(notes).then(228687).otherwise(223758)
    limited = some.with_columns(minute=at.cast(pl.Int64), value=text, itemid=item)
    rows = pl.concat([full, limited], how="vertical_relaxed")
    rows = rows.filter(pl.col("minute") <= pl.col("icu_out")).drop("icu", "icu_out")
    rows = ids.clocked(rows.with_columns(stored=pl.col("minute") + 10), admissions, **CHARTED_AT)
    rows = rows.with_columns(ids.caregivers(rng, rows.height), warning=0)
    writer.write("icu/chartevents", rows)


def write_cultures(writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame) -> None:
    """Writes microbiologyevents: blood cultures of some, few with growth, results after 2 days."""
    drawn = admissions.filter(pl.Series(rng.random(admissions.height) < 0.3))
    grows = pl.Series(rng.random(drawn.height) < 0.15)
    at = pl.col("admittime") + pl.duration(hours=3)
    number = _chunk(admissions) * CULTURES_PER_CHUNK + pl.int_range(1, pl.len() + 1)
    rows = drawn.with_columns(
        number.alias("microevent_id"),
        ids.numbered(_chunk(admissions), drawn.height, 0).alias("micro_specimen_id"),
        chartdate=at.dt.truncate("1d"),
        charttime=at,
        spec_itemid=70012,
        spec_type_desc=pl.lit("BLOOD CULTURE"),
        test_seq=1,
        storedate=(at + pl.duration(days=2)).dt.truncate("1d"),
        storetime=at + pl.duration(days=2),
        test_itemid=90201,
        test_name=pl.lit("Blood Culture, Routine"),
        org_itemid=pl.when(grows).then(80002),
        org_name=pl.when(grows).then(pl.lit("ESCHERICHIA COLI")),
        comments=pl.when(~grows).then(pl.lit("NO GROWTH.")),
    )
    writer.write("hosp/microbiologyevents", rows)


def write_labs(
    writer: Writer,
    rng: np.random.Generator,
    beside: np.random.Generator,
    admissions: pl.DataFrame,
    way: Way,
) -> pl.DataFrame:
    """Writes labevents; 5 % of the rows lack hadm_id, as in MIMIC. Returns `READ` of all but venous
    oxygen.

    `beside` draws blood gases and liver tests.
    """
    parts = [charting.lab_rows(rng, admissions, way), bedside.lab_rows(beside, admissions, way)]
    columns = [*bedside.ROWS, "venous"]
    parts[0] = parts[0].with_columns(venous=False)
    rows = pl.concat([part.select(columns) for part in parts], how="vertical_relaxed")
    rows = ids.clocked(rows, admissions, **CHARTED_AT)
    rows = rows.sort("row", "minute", maintain_order=True)
    lost = pl.Series(rng.random(rows.height) < 0.05)
    specimens = ids.numbered_runs(_chunk(admissions), rows.select("row", "minute"), 0)
    number = _chunk(admissions) * LABS_PER_CHUNK + pl.int_range(1, pl.len() + 1)
    rows = rows.with_columns(
        number.alias("labevent_id"),
        specimens.alias("specimen_id"),
        hadm_id=pl.when(~lost).then("hadm_id"),
        priority=pl.lit("STAT"),
    )
    writer.write("hosp/labevents", rows)
    return rows.filter(~pl.col("venous")).select(READ)


def write_diagnoses(
    writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame, chain: float
) -> None:
    """Writes diagnoses_icd, known after discharge."""
    codes = treatments.diagnosis_rows(rng, admissions, chain)
    writer.write("hosp/diagnoses_icd", ids.clocked(codes, admissions))


def write_dictionaries(writer: Writer) -> None:
    """Writes d_items, d_labitems, d_icd_diagnoses."""
    items, lab = charting.items(), pl.col("linksto") == "labevents"
    writer.write("icu/d_items", items.filter(~lab))
    writer.write("hosp/d_labitems", items.filter(lab))
    writer.write("hosp/d_icd_diagnoses", treatments.diagnosis_dictionary())
