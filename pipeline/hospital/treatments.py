"""Infusions, ventilation and other procedures, urine, and billing codes.

Shock shows as norepinephrine, acute respiratory failure as invasive ventilation with PEEP.
"""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.hospital.charting import draw_times, items, sets
from pipeline.hospital.course import Rows, Way, draw_course, draw_values
from pipeline.hospital.model import probability
from pipeline.hospital.settings import HOUR, PREDICTION

VENTILATED = 30 * HOUR  # longest ventilation of respiratory failure
NOREPINEPHRINE, PHENYLEPHRINE, VASOPRESSIN, ANGIOTENSIN, SALINE = (
    221906, 221749, 222315, 229764, 225158)  # fmt: skip
# further vasopressors: share of those in shock, minutes after norepinephrine, rate
ADDED = {VASOPRESSIN: (0.35, 120, 2.4), ANGIOTENSIN: (0.06, 240, 20.0)}
UNITS = {  # of the rate and of the amount
    NOREPINEPHRINE: ("mcg/kg/min", "mg"),
    PHENYLEPHRINE: ("mcg/kg/min", "mg"),
    VASOPRESSIN: ("units/hour", "units"),
    ANGIOTENSIN: ("ng/kg/min", "ng"),
    SALINE: ("mL/hour", "ml"),
}
FOLEY, VOID, IRRIGANT_IN, IRRIGANT_OUT = 226559, 226560, 227488, 227489
VOIDS, IRRIGATED = 0.2, 0.02  # shares of admissions
CODED_BY = ["e", "c", "n", "shock", "arf", "dies"]  # the log-odds of a code depend on these


@cache
def diagnoses() -> pl.DataFrame:
    """The model of the codes: each condition in ICD-9-CM and ICD-10-CM, and its log-odds.

    intercept + weights × latents (e, c, n) and events (shock, arf, dies) of the admission. The
    pairs are connected in the general equivalence mappings of the CMS, within three characters.
    """
    path = Path(__file__).with_name("treatments_diagnoses.csv")
    weights = pl.col("intercept", *CODED_BY).cast(pl.Float64)
    return pl.read_csv(path, infer_schema=False).with_columns(weights)


def _interval(rows: np.ndarray, start: np.ndarray, end: np.ndarray, item: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"row": rows, "itemid": np.full(len(rows), item), "start": start, "end": end}
    ).with_columns(pl.col("start", "end").cast(pl.Int64), pl.col("row").cast(pl.Int64))


def procedure_rows(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """Intervals row, itemid, start, end (minutes). As in MIMIC most rows are stored after they end.

    Trap: dialysis begins 48 h after the last ICU admission of patients who die.
    """
    names = ("icu", "icu_out", "stay", "arf_at", "dies", "last_stay")
    a = {name: admissions[name].to_numpy() for name in names}
    inside = np.flatnonzero(a["icu"] >= 0)
    lines = inside[rng.random(len(inside)) < 0.6]
    picc = inside[rng.random(len(inside)) < 0.2]
    arf = np.flatnonzero(a["arf_at"] >= 0)
    there = (a["icu"] >= 0) & (a["icu"] < PREDICTION) & (a["stay"] > PREDICTION + HOUR)
    trap = np.flatnonzero(a["dies"] & there & a["last_stay"])
    out = a["stay"]
    start = a["arf_at"][arf]
    return pl.concat(
        [
            _interval(lines, a["icu"][lines] + 15, out[lines], 229351),
            _interval(picc, a["icu"][picc] + 60, out[picc], 224264),
            _interval(arf, start - 5, start - 4, 224385),
            _interval(arf, start, np.minimum(start + VENTILATED, out[arf]), 225792),
            _interval(trap, a["icu"][trap] + PREDICTION + 10, a["icu_out"][trap], 225802),
        ]
    )


def infusion_rows(
    rng: np.random.Generator, beside: np.random.Generator, admissions: pl.DataFrame, way: Way
) -> pl.DataFrame:
    """Vasopressors from the onset of shock, saline for many: row, itemid, start, end, rate, run.

    Norepinephrine is titrated: consecutive rows of one order (`run`) whose rates show the latent
    as labs do. To some it is not enough: who gets vasopressin or angiotensin II depends on nothing.
    `beside` draws all but the saline.
    """
    shock_at, icu, stay = (admissions[name].to_numpy() for name in ("shock_at", "icu", "stay"))
    shock = np.flatnonzero(shock_at >= 0)
    fluid = np.flatnonzero((icu >= 0) & (rng.random(len(icu)) < 0.5))
    end, begin = np.minimum(shock_at + 20 * HOUR, stay), icu[fluid] + 30
    constant = [_interval(fluid, begin, begin + 6 * HOUR, SALINE).with_columns(rate=100.0)]
    for item, (share, later, rate) in ADDED.items():
        some = beside.random(len(shock)) < share
        more = shock[some & (shock_at[shock] + later < end[shock])]
        added = _interval(more, shock_at[more] + later, end[more], item)
        constant.append(added.with_columns(rate=rate))
    titrated = _titrated(beside, admissions, way, shock, shock_at[shock], end[shock])
    rows = pl.concat([titrated, *constant], how="vertical_relaxed")
    return rows.with_columns(run=pl.struct("row", "itemid").rle_id())


def _titrated(
    rng: np.random.Generator,
    admissions: pl.DataFrame,
    way: Way,
    shock: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
) -> pl.DataFrame:
    """Norepinephrine between `start` and `end` (minutes) of the admissions `shock`, in two to five
    rows; rate in mcg/kg/min."""
    which, change = draw_times(rng, start + 1, end, 1, 4)
    rows = pl.DataFrame(
        {"row": shock[np.concatenate([np.arange(len(shock)), which])],
         "start": np.concatenate([start, change]).astype(int)}
    ).unique().sort("row", "start")  # fmt: skip
    over = pl.DataFrame({"row": shock, "over": end.astype(int)})
    rows = rows.join(over, on="row", how="left", maintain_order="left").with_columns(
        end=pl.coalesce(pl.col("start").shift(-1).over("row"), "over")
    )
    drug = items().filter(pl.col("itemid") == NOREPINEPHRINE)
    row, begun = rows["row"].to_numpy(), rows["start"].to_numpy()
    course = draw_course(rng, way, admissions, drug.height)
    rates = sets(rng, admissions, drug, course, row, begun, begun)["valuenum"]
    return rows.select("row", pl.lit(NOREPINEPHRINE).alias("itemid"), "start", "end", rate=rates)


def doses(infused: pl.DataFrame, weight: pl.Series) -> pl.DataFrame:
    """Adds amount, amountuom and rateuom to rows of infusions; `weight` in kg, one per row."""
    hours = (pl.col("end") - pl.col("start")) / 60
    by_weight = pl.col("rateuom").str.contains("/kg/min")
    of_a_thousand = pl.when(pl.col("amountuom") == "mg").then(1000).otherwise(1)
    given = pl.col("rate") * hours * pl.when(by_weight).then(weight * 60).otherwise(1)
    return infused.with_columns(
        pl.col("itemid").replace_strict({k: u[0] for k, u in UNITS.items()}).alias("rateuom"),
        pl.col("itemid").replace_strict({k: u[1] for k, u in UNITS.items()}).alias("amountuom"),
    ).with_columns((given / of_a_thousand).round(4).clip(0.0001).alias("amount"))


def urine_rows(
    rng: np.random.Generator, beside: np.random.Generator, admissions: pl.DataFrame, way: Way
) -> pl.DataFrame:
    """Urine, by Foley catheter or voided; sicker patients have less, or what `course` makes of it.

    `beside` draws who voids and whose bladder is irrigated: there the volume that goes in is
    charted beside all that comes out.
    """
    icu, stay = admissions["icu"].to_numpy(), admissions["stay"].to_numpy()
    upto = np.where(icu >= 0, np.minimum(stay, PREDICTION - 30), -1)
    row, minute = draw_times(rng, np.maximum(icu, 0), upto, 2, 4)
    urine, shown = items().filter(pl.col("shape") == "urine"), admissions["shown_e"].to_numpy()
    if way == "level":  # whatever the time, unlike vitals and labs
        mean, slope, jitter = urine["mean", "slope", "jitter"].row(0)
        value = mean + slope * shown[row] + jitter * rng.standard_normal(len(row))
    else:
        course = draw_course(rng, way, admissions, urine.height)
        rows = Rows(row, minute, minute + 12 <= PREDICTION)
        value = draw_values(rng, course, urine, shown, rows)[:, 0]
    share = beside.random(len(icu))[row]
    irrigated, volume = share > 1 - IRRIGATED, beside.integers(10, 60, len(row)) * 50.0
    item = np.where(irrigated, IRRIGANT_OUT, np.where(share < VOIDS, VOID, FOLEY))
    made = np.maximum(value, 0).round()
    frame = pl.DataFrame({"row": row, "minute": minute, "stored": minute + 12, "itemid": item,
                          "value": np.where(irrigated, made + volume, made)})  # fmt: skip
    went_in = frame.with_columns(itemid=pl.lit(IRRIGANT_IN), value=pl.Series(volume))
    return pl.concat([frame, went_in.filter(pl.Series(irrigated))], how="vertical_relaxed")


def peep_rows(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """PEEP settings charted with ventilation."""
    arf_at, stay = admissions["arf_at"].to_numpy(), admissions["stay"].to_numpy()
    last = np.where(arf_at >= 0, np.minimum(stay, arf_at + 12 * HOUR), -1)
    row, minute = draw_times(rng, np.where(arf_at >= 0, arf_at + 2, 0), last, 2, 3)
    value = rng.integers(5, 11, len(row)).astype(float)
    return pl.DataFrame(
        {
            "row": row,
            "minute": minute,
            "stored": minute + 10,
            "itemid": np.full(len(row), 220339),
            "valueuom": ["cmH2O"] * len(row),
            "valuenum": value,
            "value": value.astype(int).astype(str),
        }
    )


def diagnosis_rows(
    rng: np.random.Generator, admissions: pl.DataFrame, chain: float
) -> pl.DataFrame:
    """Billing codes of the admission (known after discharge): they follow the chain of events."""
    model, causes = diagnoses(), _coded_by(rng, admissions, chain)  # (N, 6)
    logit = model["intercept"].to_numpy() + causes @ model[CODED_BY].to_numpy().T  # (N, codes)
    row, which = np.nonzero(rng.random(logit.shape) < probability(logit))
    icd10 = admissions["anchor_year_group"].to_numpy()[row] >= "2014"
    code = np.where(icd10, *(model[name].to_numpy()[which] for name in ("icd10", "icd9")))
    codes = pl.DataFrame(
        {"row": row, "icd_code": code, "icd_version": np.where(icd10, 10, 9)}
    ).sort("row", "icd_code")
    return codes.with_columns(pl.int_range(1, pl.len() + 1).over("row").alias("seq_num"))


def _coded_by(rng: np.random.Generator, admissions: pl.DataFrame, chain: float) -> np.ndarray:
    """The columns `CODED_BY` of each admission, (N, 6).

    With a chance of 1 − `chain` the events are those of another admission, so that codes stay as
    frequent as with the chain, but do not depend on the events.
    """
    causes = admissions.select(pl.col(CODED_BY).cast(pl.Float64)).to_numpy().copy()
    exchanged = rng.random(len(causes)) >= chain
    causes[exchanged, 3:] = np.roll(causes[:, 3:], 1, axis=0)[exchanged]
    return causes


def diagnosis_dictionary() -> pl.DataFrame:
    """The codes that the hospital uses, as `d_icd_diagnoses` lists them."""
    versions = [
        diagnoses().select(
            pl.col(f"icd{v}").alias("icd_code"),
            pl.lit(v).alias("icd_version"),
            pl.col(f"icd{v}_title").alias("long_title"),
        )
        for v in (9, 10)
    ]
    return pl.concat(versions).sort("icd_code", "icd_version")
