"""Tables of orders, services and billed procedures.

OASIS (`pipeline.ehr.scores`) reads services; the others are for other tools: PyHealth's MIMIC-IV
tables, and mimic-code's concepts. Services and drugs are independent of the latents; procedures
follow shock and ARF, and are coded at discharge.
"""

import numpy as np
import polars as pl

from pipeline.hospital import ids
from pipeline.hospital.layout import Writer
from pipeline.hospital.settings import CHUNK, HOUR

SERVICES = ["MED", "CMED", "NMED", "SURG", "CSURG", "ORTHO"]
SHARES = {True: [0.6, 0.2, 0.06, 0.08, 0.02, 0.04], False: [0.2, 0.1, 0.0, 0.35, 0.2, 0.15]}
PROCEDURES = [  # event (null: independent), share with it, share without, ICD-9, ICD-10
    ("arf", 0.9, 0.0, "9671", "5A1945Z"),
    ("arf", 0.7, 0.02, "9604", "0BH17EZ"),
    ("shock", 0.8, 0.2, "3893", "02HV33Z"),
    (None, 0.12, 0.12, "9904", "30233N1"),
    (None, 0.05, 0.05, "3324", "0BJ08ZZ"),
]
TITLES = {
    ("9671", 9): "Continuous invasive mechanical ventilation for less than 96 consecutive hours",
    ("5A1945Z", 10): "Respiratory Ventilation, 24-96 Consecutive Hours",
    ("9604", 9): "Insertion of endotracheal tube",
    ("0BH17EZ", 10): "Insertion of Endotracheal Airway into Trachea, Via Natural or Artificial "
    "Opening",
    ("3893", 9): "Venous catheterization, not elsewhere classified",
    ("02HV33Z", 10): "Insertion of Infusion Device into Superior Vena Cava, Percutaneous Approach",
    ("9904", 9): "Transfusion of packed cells",
    ("30233N1", 10): "Transfusion of Nonautologous Red Blood Cells into Peripheral Vein, "
    "Percutaneous Approach",
    ("3324", 9): "Closed [endoscopic] biopsy of bronchus",
    ("0BJ08ZZ", 10): "Inspection of Tracheobronchial Tree, Via Natural or Artificial Opening "
    "Endoscopic",
}
# share, drug, strength, form, dose, unit, route
DRUGS = [
    (0.7, "Heparin", "5000 Units / mL- 1mL Vial", "VIAL", "5000", "UNIT", "SC"),
    (0.6, "Acetaminophen", "325mg Tablet", "TAB", "325-650", "mg", "PO/NG"),
    (0.5, "Pantoprazole", "40mg Tablet", "TAB", "40", "mg", "PO"),
    (0.4, "Furosemide", "40mg/4mL Vial", "VIAL", "20", "mg", "IV"),
    (0.3, "Vancomycin", "1g Frozen Bag", "BAG", "1000", "mg", "IV"),
    (0.3, "CefePIME", "2g Vial", "VIAL", "2", "g", "IV"),
    (0.4, "Insulin", "100 Units / mL - 10 mL Vial", "VIAL", "0", "UNIT", "SC"),
]


def write(writer: Writer, rng: np.random.Generator, admissions: pl.DataFrame) -> None:
    """Writes services, prescriptions, procedures_icd and hcpcsevents of a chunk's admissions.

    `shock` and `arf` of the admissions tell whether these occurred in any of their ICU stays.
    """
    who = admissions.with_row_index("row").cast({"row": pl.Int64})
    writer.write("hosp/services", _services(rng, who))
    writer.write("hosp/prescriptions", _prescriptions(rng, who))
    writer.write("hosp/procedures_icd", _procedures(rng, who))
    writer.write("hosp/hcpcsevents", _observation(rng, who))


def write_dictionary(writer: Writer) -> None:
    """Writes d_icd_procedures."""
    codes, versions = zip(*TITLES, strict=True)
    titles = {"icd_code": codes, "icd_version": versions, "long_title": list(TITLES.values())}
    writer.write("hosp/d_icd_procedures", pl.DataFrame(titles).sort("icd_code"))


def _services(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """The service on admission, of emergencies mostly medical; one in ten moves to another on the
    first day."""
    drawn = {kind: rng.choice(len(SERVICES), (2, admissions.height), p=p)
             for kind, p in SHARES.items()}  # fmt: skip
    first, second = np.where((admissions["ed"] > 0).to_numpy(), drawn[True], drawn[False])
    names = pl.Series(SERVICES)
    on_admission = admissions.select(
        "subject_id", "hadm_id", transfertime="admittime", curr_service=names.gather(first)
    )
    moves = pl.Series((rng.random(admissions.height) < 0.1) & (first != second))
    later = pl.col("transfertime") + pl.duration(hours=20)
    moved = on_admission.with_columns(
        later, prev_service="curr_service", curr_service=names.gather(second)
    )
    moved = moved.filter(moves & (moved["transfertime"] < admissions["dischtime"]))
    return pl.concat([on_admission, moved], how="diagonal")


def _prescriptions(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Drugs ordered within the first day, until two to five days later or the discharge."""
    shares = np.array([share for share, *_ in DRUGS])
    row, drug = np.nonzero(rng.random((admissions.height, len(DRUGS))) < shares)
    names = ("drug", "prod_strength", "form_rx", "dose_val_rx", "dose_unit_rx", "route")
    listed = pl.DataFrame([line[1:] for line in DRUGS], schema=names, orient="row")
    start = rng.integers(0, 20, len(row)) * HOUR
    stop = pl.col("starttime") + pl.Series(rng.integers(2, 6, len(row)) * 24 * HOUR).cast(
        pl.Duration("us")
    ) * (60 * 10**6)
    number = ids.numbered(_chunk(admissions), len(row), 10_000_000)
    orders = admissions[row].select("subject_id", "hadm_id", "admittime", "dischtime")
    return orders.hstack(listed[drug]).with_columns(
        starttime=pl.col("admittime") + pl.duration(minutes=pl.lit(pl.Series(start))),
        pharmacy_id=number,
        drug_type=pl.lit("MAIN"),
        doses_per_24_hrs=pl.Series(rng.integers(1, 5, len(row))),
    ).with_columns(stoptime=pl.min_horizontal(stop, "dischtime"))  # fmt: skip


def _procedures(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Procedures as coded at discharge, in ICD-9 before 2014 and in ICD-10 after."""
    chance = np.stack(
        [
            np.where(admissions[event].to_numpy() > 0, with_it, without) if event
            else np.full(admissions.height, without)
            for event, with_it, without, *_ in PROCEDURES
        ],
        axis=1,
    )  # fmt: skip
    row, which = np.nonzero(rng.random(chance.shape) < chance)
    icd10 = admissions["anchor_year_group"].to_numpy()[row] >= "2014"
    codes = np.array([line[3:] for line in PROCEDURES])  # (procedures, 2)
    coded = admissions[row].select("row", "subject_id", "hadm_id", "admittime")
    coded = coded.with_columns(
        icd_code=pl.Series(codes[which, icd10.astype(int)]),
        icd_version=pl.Series(np.where(icd10, 10, 9)),
        chartdate=pl.col("admittime").dt.date(),
    )
    return coded.with_columns(seq_num=pl.int_range(1, pl.len() + 1).over("row"))


def _observation(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Billed hours of observation, of a few."""
    some = admissions.filter(pl.Series(rng.random(admissions.height) < 0.05))
    return some.with_columns(
        chartdate=pl.col("admittime").dt.date(),
        hcpcs_cd=pl.lit("G0378"),
        seq_num=1,
        short_description=pl.lit("Hospital observation per hr"),
    )


def _chunk(admissions: pl.DataFrame) -> int:
    return admissions["patient"][0] // CHUNK
