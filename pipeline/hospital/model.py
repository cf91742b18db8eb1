"""The generative model: latents, what modalities show of them, and the course of an admission."""

import numpy as np

from pipeline.hospital.settings import HOUR, PREDICTION, Effects, Logit

Arrays = dict[str, np.ndarray]
ONSET = {"shock": (4.5, 15.0), "arf": (21.0, 15.0)}  # hours after ICU admission: earliest, span
LEAVES_EARLY = 0.06  # share of admissions that end before 48 h
EARLY_STAY = (12.0, 34.0)  # length of these, hours: shortest, span
ICU_WITHIN = 10  # hours at most from the admission to an early ICU stay; at least 10 minutes


def log_odds(effect: Logit, z: Arrays, chain: float) -> np.ndarray:
    """The log-odds of an event given latents `e`, `c`, `n` and earlier events `shock`, `arf`.

    Arrays broadcast against each other, so that the truth can evaluate it on a grid.
    """
    latents = effect.intercept + effect.e * z["e"] + effect.c * z["c"] + effect.n * z["n"]
    earlier = effect.shock * z["shock"] + effect.arf * z["arf"]
    return latents + effect.e_times_c * z["e"] * z["c"] + chain * earlier


def probability(logit: np.ndarray) -> np.ndarray:
    """The logistic function.

    >>> probability(np.array([0.0])).item()
    0.5
    """
    return 1 / (1 + np.exp(-logit))


def chance(event: str, z: Arrays, effects: Effects) -> np.ndarray:
    """P(event | latents and earlier events); `event` is a name of `Effects`."""
    return probability(log_odds(getattr(effects, event), z, effects.chain))


def draw_latents(rng: np.random.Generator, n: int, effects: Effects) -> Arrays:
    """Latents, what each modality shows of them, and the chain shock → ARF, for `n` admissions.

    Keys `e`, `c`, `n` (latents), `shown_e`, `shown_c`, `shown_n` (latent + noise), `shock`, `arf`.
    """
    z = {m: rng.standard_normal(n) for m in "ecn"}
    shown = {f"shown_{m}": z[m] + effects.noise * rng.standard_normal(n) for m in "ecn"}
    z |= {"shock": np.zeros(n), "arf": np.zeros(n)}
    for event in ("shock", "arf"):  # in the order of time: ARF depends on shock
        z[event] = (rng.random(n) < chance(event, z, effects)).astype(float)
    return z | shown


def draw_course(rng: np.random.Generator, n: int, effects: Effects) -> Arrays:
    """What happens in `n` admissions; times in minutes since admission, −1 where never.

    ASSUME deaths and discharges before 48 h, the ICU admission time and missing films or notes are
    independent of the latents, so that leaving these admissions out does not change the oracle.
    """
    z = draw_latents(rng, n, effects)
    u = rng.random((9, n))
    icu = np.select(
        [u[0] < 0.88, u[0] < 0.93],
        [10 + u[1] * ICU_WITHIN * HOUR, (49 + 40 * u[1]) * HOUR],
        -1,
    )
    early = (icu >= 0) & (icu < PREDICTION)  # shock and ARF are treated in the ICU, by 48 h
    z["shock"], z["arf"] = z["shock"] * early, z["arf"] * early
    end = _end(rng, z, u, icu, effects)
    icu = np.where(icu < end["stay"], icu, -1)  # left before a bed in the ICU was free
    course = {
        "icu": icu,
        "ed": np.where(u[6] < 0.6, (1 + 9 * u[6]) * HOUR, -1),  # time in the ED before admission
        "again": (end.pop("returns") | (rng.random(n) < 0.25)) & ~end["dies"],
        "has_film": rng.random(n) < 0.9,
        "has_note": rng.random(n) < 0.92,
    }
    return z | end | course | onsets(z, {"shock": u[5], "arf": u[7]}, icu, end["stay"])


def _end(
    rng: np.random.Generator, z: Arrays, u: np.ndarray, icu: np.ndarray, effects: Effects
) -> Arrays:
    """Length of stay, death, whether and after how many days (`gap`) the patient returns."""
    n = len(icu)
    leaves_early = u[2] < LEAVES_EARLY  # before 48 h: half of them die, half go home
    dies = rng.random(n) < chance("mortality", z, effects)
    dies = np.where(leaves_early, u[2] < LEAVES_EARLY / 2, dies)
    late = rng.random(n) < np.where(dies, 0.4, chance("longstay", z, effects))
    stay = np.where(late, 168.5 + 200 * u[3] ** 2, 62 + 104 * u[3]) * HOUR
    brief = (EARLY_STAY[0] + EARLY_STAY[1] * u[3]) * HOUR
    stay = np.where(leaves_early, brief, np.maximum(stay, icu + 20 * HOUR))
    returns = ~dies & (rng.random(n) < chance("readmission", z, effects))
    gap = np.where(returns, 1 + 28 * u[4], 35 + 500 * u[4])
    return {"stay": stay, "dies": dies, "returns": returns, "gap": gap}


def onsets(z: Arrays, u: Arrays, icu: np.ndarray, stay: np.ndarray) -> Arrays:
    """When shock and ARF set in (`u`: uniform draws); who leaves before has neither."""
    onset = {
        event: icu + (since + span * u[event]) * HOUR for event, (since, span) in ONSET.items()
    }
    happened = {event: z[event] * (at < stay) for event, at in onset.items()}
    times = {f"{event}_at": np.where(happened[event] > 0, onset[event], -1) for event in onset}
    return happened | times
