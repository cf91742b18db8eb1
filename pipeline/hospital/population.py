"""Patients, their admissions, the latents behind them and what became of each (the known truth)."""

import numpy as np
import polars as pl

from pipeline.hospital.settings import CHUNK, HOUR, PREDICTION, Effects, Logit, Settings

MAX_ADMISSIONS = 8
PATIENT_CHOICES = {
    "gender": (["F", "M"], [0.46, 0.54]),
    "insurance": (["Medicare", "Private", "Medicaid", "Other"], [0.5, 0.3, 0.15, 0.05]),
    "language": (
        ["English", "Spanish", "Russian", "Chinese", None],
        [0.85, 0.06, 0.03, 0.03, 0.03],
    ),
    "marital_status": (
        ["MARRIED", "SINGLE", "WIDOWED", "DIVORCED", None],
        [0.43, 0.3, 0.14, 0.07, 0.06],
    ),
    "race": (
        [
            "WHITE",
            "BLACK/AFRICAN AMERICAN",
            "HISPANIC/LATINO - PUERTO RICAN",
            "ASIAN",
            "ASIAN - CHINESE",
            "WHITE - RUSSIAN",
            "UNKNOWN",
            "OTHER",
        ],
        [0.62, 0.13, 0.06, 0.03, 0.03, 0.03, 0.05, 0.05],
    ),
}


def log_odds(effect: Logit, z: dict[str, np.ndarray], chain: float) -> np.ndarray:
    """The log-odds of an event given latents `e`, `c`, `n` and earlier events `shock`, `arf`.

    Arrays broadcast against each other, so that the truth can evaluate it on a grid.
    """
    own = effect.intercept + effect.e * z["e"] + effect.c * z["c"] + effect.n * z["n"]
    earlier = effect.shock * z["shock"] + effect.arf * z["arf"]
    return own + effect.e_times_c * z["e"] * z["c"] + chain * earlier


def probability(logit: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-logit))


def draw_latents(rng: np.random.Generator, n: int, effects: Effects) -> dict[str, np.ndarray]:
    """Latents, what each modality shows of them, and the chain shock → ARF, for `n` admissions.

    Keys `e`, `c`, `n` (latents), `shown_e`, `shown_c`, `shown_n` (latent + noise), `shock`, `arf`.
    """
    z = {m: rng.standard_normal(n) for m in "ecn"}
    shown = {f"shown_{m}": z[m] + effects.noise * rng.standard_normal(n) for m in "ecn"}
    z |= {"shock": np.zeros(n), "arf": np.zeros(n)}
    for event in ("shock", "arf"):  # in the order of time: ARF depends on shock
        chance = probability(log_odds(getattr(effects, event), z, effects.chain))
        z[event] = (rng.random(n) < chance).astype(float)
    return z | shown


def _one_to_one(index: np.ndarray, base: int) -> np.ndarray:
    """Scatters indices over base … base + 9,999,990 without collisions (multiplier coprime)."""
    return base + (index * 6_364_137 + 1_442_695) % 9_999_991


def draw_patients(rng: np.random.Generator, chunk: int) -> pl.DataFrame:
    """One row per patient of the chunk: identity, demographics, era; ids as in MIMIC."""
    index = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
    columns = {
        name: [values[i] for i in rng.choice(len(values), CHUNK, p=shares)]
        for name, (values, shares) in PATIENT_CHOICES.items()
    }
    eras = ["2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019", "2020 - 2022"]
    return pl.DataFrame(
        {
            "patient": index,
            "subject_id": _one_to_one(index, 10_000_000),
            "anchor_age": np.clip(rng.normal(64, 16, CHUNK), 18, 91).astype(int),
            "anchor_year": rng.integers(2110, 2190, CHUNK),
            "anchor_year_group": [eras[i] for i in rng.integers(0, 5, CHUNK)],
            **columns,
        }
    )


def _stay(rng: np.random.Generator, n: int, effects: Effects) -> dict[str, np.ndarray]:
    """What happens in `n` admissions; times in minutes since admission, −1 where never.

    ASSUME deaths and discharges before 48 h, the ICU admission time and missing films or notes are
    independent of the latents: leaving those admissions out then does not bend the oracle.
    """
    z = draw_latents(rng, n, effects)
    u = rng.random((9, n))
    icu = np.select(
        [u[0] < 0.88, u[0] < 0.93], [10 + u[1] * 10 * HOUR, (49 + 40 * u[1]) * HOUR], -1
    )
    early = (icu >= 0) & (icu < PREDICTION)
    z["shock"], z["arf"] = z["shock"] * early, z["arf"] * early
    chance = {
        t: probability(log_odds(getattr(effects, t), z, effects.chain))
        for t in ("mortality", "longstay", "readmission")
    }
    left_early = np.where(
        u[2] < 0.06, np.where(u[2] < 0.03, 1, 2), 0
    )  # 1 dies, 2 goes home by 48 h
    dies = np.where(left_early > 0, left_early == 1, rng.random(n) < chance["mortality"])
    late = rng.random(n) < np.where(dies, 0.4, chance["longstay"])
    stay = np.where(late, 168.5 + 200 * u[3] ** 2, 62 + 104 * u[3]) * HOUR
    stay = np.where(left_early > 0, (12 + 34 * u[3]) * HOUR, np.maximum(stay, icu + 20 * HOUR))
    returns = ~dies & (rng.random(n) < chance["readmission"])
    gap = np.where(returns, 1 + 28 * u[4], 35 + 500 * u[4])
    onset = {"shock": icu + (4.5 + 15 * u[5]) * HOUR, "arf": icu + (21 + 15 * u[7]) * HOUR}
    for event, at in onset.items():  # those who leave before it happens never have it
        z[event] = z[event] * (at < stay)
    return z | {
        "icu": icu,
        "stay": stay,
        "dies": dies,
        "ed": np.where(u[6] < 0.6, (1 + 9 * u[6]) * HOUR, -1),  # hours in the ED before admission
        "shock_at": np.where(z["shock"] > 0, onset["shock"], -1),
        "arf_at": np.where(z["arf"] > 0, onset["arf"], -1),
        "again": (returns | (rng.random(n) < 0.25)) & ~dies,
        "gap": gap,
        "has_film": rng.random(n) < 0.9,
        "has_note": rng.random(n) < 0.92,
    }


def draw_chunk(settings: Settings, chunk: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Patients and admissions of one chunk of `CHUNK` patients, cut to the asked number.

    Admissions carry the latents and times (minutes since admission) that the writers render.
    """
    rng = np.random.default_rng([settings.seed, chunk, 0])
    patients = draw_patients(rng, chunk)
    years = patients["anchor_year"].to_numpy()
    start = (years - 1970).astype("datetime64[Y]").astype("datetime64[m]").astype("int64")
    start = start + rng.integers(0, 300 * 24 * HOUR, CHUNK)
    who, rounds = np.arange(CHUNK), []
    for number in range(MAX_ADMISSIONS):
        happened = _stay(rng, len(who), settings.effects)
        rounds.append(pl.DataFrame({"row": who, "number": number, "start": start[who], **happened}))
        start[who] += (happened["stay"] + happened["gap"] * 24 * HOUR).astype("int64")
        who = who[happened["again"]]
    patients = patients.head(max(0, settings.patients - chunk * CHUNK))
    admissions = pl.concat(rounds).join(patients.with_row_index("row"), on="row", how="inner")
    return _with_death(patients, admissions, rng), _named(admissions.drop("row"))


def _named(admissions: pl.DataFrame) -> pl.DataFrame:
    """Ids and clock times of admissions; rows ordered by patient and time."""
    admissions = admissions.sort("patient", "number")
    serial = admissions["patient"].to_numpy() * MAX_ADMISSIONS + admissions["number"].to_numpy()
    whole = pl.col("icu", "stay", "ed", "shock_at", "arf_at").round().cast(pl.Int64)
    return (
        admissions.with_columns(whole)
        .with_columns(
            pl.from_epoch(pl.col("start") * 60, time_unit="s").alias("admittime"),
            pl.Series("hadm_id", _one_to_one(serial, 20_000_000)),
            pl.Series("stay_id", _one_to_one(serial, 30_000_000)),
        )
        .with_columns((pl.col("admittime") + pl.duration(minutes="stay")).alias("dischtime"))
    )


def _with_death(
    patients: pl.DataFrame, admissions: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """Adds `dod`: the death in hospital, or for some of the others a death in the year after."""
    last = (
        admissions.group_by("row")
        .agg((pl.col("start") + pl.col("stay")).max().alias("end"), pl.col("dies").any())
        .sort("row")
    )
    n = last.height
    after = np.where(rng.random(n) < 0.12, rng.integers(5, 365, n), -1)
    days = pl.Series(after)
    end = pl.from_epoch(pl.col("end").cast(pl.Int64) * 60, time_unit="s").cast(pl.Date)
    dod = (
        pl.when(pl.col("dies"))
        .then(end)
        .when(days >= 0)
        .then(end + pl.duration(days=days))
        .otherwise(None)
    )
    return patients.with_columns(last.select(dod.cast(pl.Date).alias("dod"))["dod"])
