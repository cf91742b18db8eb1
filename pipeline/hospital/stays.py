"""Turns what happened in the synthetic hospital into rows of MIMIC's tables."""

import numpy as np
import polars as pl

from pipeline.hospital import charting, reports, treatments
from pipeline.hospital.layout import Writer
from pipeline.hospital.settings import HOUR

UNITS = ["Medical Intensive Care Unit (MICU)", "Surgical Intensive Care Unit (SICU)",
         "Cardiac Vascular Intensive Care Unit (CVICU)", "Neuro Stepdown"]  # fmt: skip


def _pick(rng: np.random.Generator, values: list[str], n: int) -> pl.Series:
    return pl.Series(values).gather(pl.Series(rng.integers(0, len(values), n)))


def _staff(rng: np.random.Generator, n: int) -> pl.Series:
    return pl.Series(rng.integers(1, 99_999, n))


def _provider(rng: np.random.Generator, n: int) -> pl.Series:
    return "P" + pl.Series(rng.integers(1000, 9999, n)).cast(pl.String) + "Q"


def _clocked(rows: pl.DataFrame, admissions: pl.DataFrame, times: dict[str, str]) -> pl.DataFrame:
    """Joins identity by `row` and turns minutes into clock times: {new column: minute column}."""
    who = admissions.select("subject_id", "hadm_id", "stay_id", "admittime").with_row_index("row")
    joined = rows.join(
        who.with_columns(pl.col("row").cast(pl.Int64)), on="row", how="left", maintain_order="left"
    )
    return joined.with_columns(
        (pl.col("admittime") + pl.duration(minutes=minute)).alias(name)
        for name, minute in times.items()
    )


def write_stays(
    writer: Writer, rng: np.random.Generator, patients: pl.DataFrame, admissions: pl.DataFrame
) -> None:
    """patients, admissions, transfers, diagnoses_icd and discharge summaries."""
    writer.write("hosp/patients", patients)
    n = admissions.height
    dies = pl.col("dies")
    emergency = pl.col("ed") > 0
    full = admissions.with_columns(
        pl.when(dies).then("dischtime").alias("deathtime"),
        pl.when(emergency).then(pl.lit("EW EMER.")).otherwise(pl.lit("URGENT")).alias("admission_type"),
        pl.when(emergency).then(pl.lit("EMERGENCY ROOM"))
        .otherwise(pl.lit("TRANSFER FROM HOSPITAL")).alias("admission_location"),
        pl.when(dies).then(pl.lit("DIED"))
        .otherwise(_pick(rng, ["HOME", "HOME HEALTH CARE", "SKILLED NURSING FACILITY", "REHAB"], n))
        .alias("discharge_location"),
        pl.when(emergency).then(pl.col("admittime") - pl.duration(minutes="ed")).alias("edregtime"),
        pl.when(emergency).then(pl.col("admittime") + pl.duration(minutes=25)).alias("edouttime"),
        dies.cast(pl.Int64).alias("hospital_expire_flag"),
        _provider(rng, n).alias("admit_provider_id"),
    )  # fmt: skip
    if writer.release != "3.1":
        spelt = {"English": "ENGLISH"}
        full = full.with_columns(pl.col("language").replace_strict(spelt, default="?"))
    writer.write("hosp/admissions", full)
    writer.write("hosp/transfers", _transfers(admissions))
    codes = treatments.diagnosis_rows(rng, admissions)
    writer.write("hosp/diagnoses_icd", _clocked(codes, admissions, {}))
    summary = full.select(
        pl.format("{}-DS-1", "subject_id").alias("note_id"), "subject_id", "hadm_id",
        pl.lit("DS").alias("note_type"), pl.lit(1).alias("note_seq"),
        pl.col("dischtime").dt.truncate("1d").alias("charttime"),
        (pl.col("dischtime") + pl.duration(hours=20)).alias("storetime"),
    )  # fmt: skip
    writer.write("note/discharge", summary.with_columns(
        reports.discharge_text(admissions["dies"].to_numpy())))  # fmt: skip


def _transfers(admissions: pl.DataFrame) -> pl.DataFrame:
    who = ["subject_id", "hadm_id"]
    base = admissions.with_columns(
        (pl.col("admittime") + pl.duration(minutes="icu")).alias("icu_in"),
    )
    admit = base.select(*who, (pl.col("hadm_id") + 10_000_000).alias("transfer_id"),
                        pl.lit("admit").alias("eventtype"), pl.lit("Medicine").alias("careunit"),
                        pl.col("admittime").alias("intime"),
                        pl.when(pl.col("icu") >= 0).then("icu_in").otherwise("dischtime")
                        .alias("outtime"))  # fmt: skip
    unit = base.filter(pl.col("icu") >= 0).select(
        *who, pl.col("stay_id").alias("transfer_id"), pl.lit("transfer").alias("eventtype"),
        pl.lit(UNITS[0]).alias("careunit"), pl.col("icu_in").alias("intime"),
        pl.col("dischtime").alias("outtime"))  # fmt: skip
    leave = base.select(*who, (pl.col("hadm_id") + 20_000_000).alias("transfer_id"),
                        pl.lit("discharge").alias("eventtype"),
                        pl.lit(None, pl.String).alias("careunit"),
                        pl.col("dischtime").alias("intime"),
                        pl.lit(None, pl.Datetime("us")).alias("outtime"))  # fmt: skip
    return pl.concat([admit, unit, leave]).sort("hadm_id", "intime", "transfer_id")


def write_icu(writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame) -> None:
    """icustays (a second stay for some), chartevents, inputevents, outputevents, procedureevents,
    microbiologyevents."""
    writer.write("icu/icustays", _icustays(rng, admissions))
    chart = [charting.chart_rows(rng, admissions), treatments.peep_rows(rng, admissions)]
    names = ["row", "minute", "stored", "itemid", "value", "valuenum", "valueuom"]
    rows = pl.concat([part.select(names) for part in chart], how="vertical_relaxed")
    rows = _clocked(rows, admissions, {"charttime": "minute", "storetime": "stored"})
    writer.write("icu/chartevents", rows.with_columns(
        _staff(rng, rows.height).alias("caregiver_id"), pl.lit(0).alias("warning")))  # fmt: skip
    _write_intervals(writer, rng, admissions)
    urine = _clocked(treatments.urine_rows(rng, admissions), admissions,
                     {"charttime": "minute", "storetime": "stored"})  # fmt: skip
    writer.write("icu/outputevents", urine.with_columns(
        pl.lit(226559).alias("itemid"), pl.lit("ml").alias("valueuom"),
        _staff(rng, urine.height).alias("caregiver_id")))  # fmt: skip
    writer.write("hosp/microbiologyevents", _cultures(rng, admissions))


def _cultures(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    drawn = admissions.filter(pl.Series(rng.random(admissions.height) < 0.3))
    at = pl.col("admittime") + pl.duration(hours=3)
    return drawn.with_columns(
        (pl.col("hadm_id") + 1).alias("microevent_id"),
        pl.col("hadm_id").alias("micro_specimen_id"),
        at.dt.truncate("1d").alias("chartdate"),
        at.alias("charttime"),
        pl.lit(70012).alias("spec_itemid"),
        pl.lit("BLOOD CULTURE").alias("spec_type_desc"),
        pl.lit(1).alias("test_seq"),
        pl.lit(90201).alias("test_itemid"),
        pl.lit("Blood Culture, Routine").alias("test_name"),
        pl.lit("NO GROWTH.").alias("comments"),
    )


def _icustays(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """First stays end with the admission, or earlier with a second stay following."""
    stays = admissions.filter(pl.col("icu") >= 0)
    n = stays.height
    twice = pl.Series(rng.random(n) < 0.1)
    leave = pl.col("icu") + (pl.col("stay") - pl.col("icu")) * pl.when(twice).then(0.5).otherwise(
        0.95
    )
    first = stays.with_columns(
        leave.cast(pl.Int64).alias("leave"), pl.col("icu").alias("enter"), twice.alias("twice")
    )
    second = first.filter("twice").with_columns(
        (pl.col("leave") + 5 * HOUR).alias("enter"), (pl.col("stay") - 1).alias("leave"),
        (pl.col("stay_id") + 5_000_000).alias("stay_id"),
    ).filter(pl.col("enter") < pl.col("leave"))  # fmt: skip
    both = pl.concat([first, second]).with_columns(
        (pl.col("admittime") + pl.duration(minutes="enter")).alias("intime"),
        (pl.col("admittime") + pl.duration(minutes="leave")).alias("outtime"),
        ((pl.col("leave") - pl.col("enter")) / (24 * HOUR)).alias("los"),
    )
    return both.with_columns(
        _pick(rng, UNITS, both.height).alias("first_careunit"),
        _pick(rng, UNITS, both.height).alias("last_careunit"),
    ).sort("hadm_id", "intime")


def _write_intervals(writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame) -> None:
    """inputevents and procedureevents; nearly all procedures are stored after they end."""
    times = {"starttime": "start", "endtime": "end"}
    length = (pl.col("end") - pl.col("start")).cast(pl.Float64)
    drugs = _clocked(treatments.infusion_rows(rng, admissions), admissions, times)
    orders = pl.Series(rng.integers(1_000_000, 9_999_999, drugs.height))
    writer.write("icu/inputevents", drugs.with_columns(
        (pl.col("starttime") + pl.duration(minutes=3)).alias("storetime"),
        (length * 0.01).round(3).alias("amount"), pl.lit("mg").alias("amountuom"),
        pl.lit(0.1).alias("rate"), pl.lit("mcg/kg/min").alias("rateuom"),
        orders.alias("orderid"), orders.alias("linkorderid"),
        pl.lit("01-Drips").alias("ordercategoryname"), pl.lit("Continuous Med").alias(
            "ordercategorydescription"), pl.lit(80).alias("patientweight"),
        pl.lit("FinishedRunning").alias("statusdescription"),
        _staff(rng, drugs.height).alias("caregiver_id")))  # fmt: skip
    done = _clocked(treatments.procedure_rows(rng, admissions), admissions, times)
    orders = pl.Series(rng.integers(1_000_000, 9_999_999, done.height))
    writer.write("icu/procedureevents", done.with_columns(
        (pl.col("endtime") + pl.duration(minutes=10)).alias("storetime"),
        length.alias("value"), pl.lit("min").alias("valueuom"), orders.alias("orderid"),
        orders.alias("linkorderid"), pl.lit("ContinuousProcess").alias("ordercategorydescription"),
        pl.lit("FinishedRunning").alias("statusdescription"),
        _staff(rng, done.height).alias("caregiver_id")))  # fmt: skip


def write_labs(writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame) -> None:
    """labevents; 5 % of the rows lack hadm_id, as in MIMIC."""
    rows = charting.lab_rows(rng, admissions)
    rows = _clocked(rows, admissions, {"charttime": "minute", "storetime": "stored"})
    lost = pl.Series(rng.random(rows.height) < 0.05)
    writer.write("hosp/labevents", rows.with_columns(
        (pl.col("hadm_id") * 1000 + pl.int_range(pl.len()).over("hadm_id")).alias("labevent_id"),
        (pl.col("hadm_id") * 10 + pl.col("minute") % 10).alias("specimen_id"),
        pl.when(~lost).then("hadm_id").alias("hadm_id"),
        pl.lit("STAT").alias("priority")))  # fmt: skip


def write_notes(
    writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame, notes: pl.DataFrame
) -> None:
    """Radiology reports; 5 % lack hadm_id, a few are addenda (note_type AR) or have no text."""
    text = reports.write_up(
        rng, notes, admissions["shown_n"].to_numpy(), admissions["dies"].to_numpy()
    )
    rows = _clocked(notes, admissions, {"charttime": "minute", "storetime": "stored"})
    lost = pl.Series(rng.random(rows.height) < 0.05)
    number = pl.int_range(1, pl.len() + 1).over("subject_id")
    writer.write("note/radiology", rows.with_columns(
        pl.format("{}-RR-{}", "subject_id", number).alias("note_id"), number.alias("note_seq"),
        pl.lit("RR").alias("note_type"), text.alias("text"),
        pl.when(~lost).then("hadm_id").alias("hadm_id")))  # fmt: skip


def write_dictionaries(writer: Writer) -> None:
    """d_items, d_labitems, d_icd_diagnoses."""
    items = charting.items()
    lab = pl.col("linksto") == "labevents"
    writer.write("icu/d_items", items.filter(~lab))
    writer.write("hosp/d_labitems", items.filter(lab))
    writer.write("hosp/d_icd_diagnoses", treatments.diagnosis_dictionary())
