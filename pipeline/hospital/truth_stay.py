"""The best reachable scores of the ICU tasks, for the early ICU stays (admitted within 48 h).

As in `truth`, a perfect reader of a modality knows `shown`, if anything of it was known by the
prediction time T, in the ICU or before it in the same admission; T counts from the patient's
arrival, the minute `icu`. From the EHR it also knows whether shock had set in by T. With `forced`
it is also told whether shock occurred later, the label of the earlier task. Shock and ARF depend on
the latent e alone, so one latent is integrated over. Later stays have no row: which of them last
long enough depends on all latents.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.hospital import truth
from pipeline.hospital.charting import items
from pipeline.hospital.course import Way, read_by
from pipeline.hospital.model import (
    EARLY_STAY,
    ICU_WITHIN,
    LEAVES_EARLY,
    ONSET,
    Arrays,
    chance,
    draw_course,
)
from pipeline.hospital.settings import HOUR, PREDICTION, Effects
from pipeline.hospital.truth import DRAWS, GRID, SETS, auroc

HOURS = {"shock_4h": 4, "shock_12h": 12, "arf_4h": 4, "arf_12h": 12, "mortality_48h": 48}
TASKS = (*HOURS, "arf_12h_forced")


def begun(event: str, hours: np.ndarray | float) -> np.ndarray:
    """The share of onsets within so many hours of the ICU admission.

    >>> begun("shock", np.array([4, 12])).tolist()
    [0.0, 0.5]
    """
    since, span = ONSET[event]
    return np.clip((np.asarray(hours, float) - since) / span, 0, 1)


class Reached(NamedTuple):
    """Chances that an onset after some hour happens before the patient leaves."""

    shock: float
    arf: float
    both: float


@cache
def reached(present: float, after: float) -> Reached:
    """These chances for stays of at least `present` hours and onsets later than `after` hours.

    Only patients who leave early may leave before an onset; the length of their stay is independent
    of all else.
    """
    at = (np.arange(400) + 0.5) / 400
    stay = EARLY_STAY[0] + EARLY_STAY[1] * at[:, None]
    rest = (stay - 10 / HOUR - ICU_WITHIN * at).ravel()  # hours from ICU admission to the end
    lasts = rest[rest > present]
    early = LEAVES_EARLY * lasts.size / rest.size
    early /= early + 1 - LEAVES_EARLY
    before = {
        event: np.clip(begun(event, lasts) - begun(event, after), 0, 1) / (1 - begun(event, after))
        for event in ONSET
    }

    def share(met: np.ndarray) -> float:
        return float(1 - early + early * met.mean()) if met.size else 1.0

    shock, arf = before["shock"], before["arf"]
    return Reached(share(shock), share(arf), share(shock * arf))


def _events(effects: Effects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P(shock), P(ARF | no shock), P(ARF | shock) on the grid of z_e."""
    none = np.zeros_like(GRID)
    z = {"e": GRID, "c": none, "n": none, "shock": none, "arf": none}
    arf, after_shock = (chance("arf", z | {"shock": none + shock}, effects) for shock in (0, 1))
    return chance("shock", z, effects), arf, after_shock


def shock_tables(effects: Effects, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """P(label and eligible | z_e) and P(eligible | z_e), (1 case, grid)."""
    shock, _, _ = _events(effects)
    later = shock * (1 - begun("shock", hours))
    return (later * reached(hours, hours).shock)[None], (1 - shock + later)[None]


def arf_tables(
    effects: Effects, hours: int, read: bool, forced: bool
) -> tuple[np.ndarray, np.ndarray]:
    """P(label and case | z_e) and P(case | z_e), (3 cases, grid).

    Cases: no shock by then (with `forced`: nor later), shock by then, and with `forced` shock
    later. `read`: whether the EHR is read; else no shock is known.
    """
    shock, arf, after_shock = _events(effects)
    past = shock * begun("shock", hours) if read else 0 * shock
    later, chance_of = shock - past, reached(hours, hours if read else 0)
    seen = past * after_shock * chance_of.arf, past
    come = later * after_shock * chance_of.both, later * chance_of.shock
    none = (
        (1 - shock) * arf * chance_of.arf + later * after_shock * (chance_of.arf - chance_of.both),
        1 - shock + later * (1 - chance_of.shock),
    )
    if not forced:
        none, come = (none[0] + come[0], none[1] + come[1]), come
    label, case = zip(none, seen, come, strict=True)
    return np.stack(label), np.stack(case)


def oracle(effects: Effects, task: str, stays: Arrays, letters: str) -> np.ndarray:
    """P(label | the modalities `letters`, where known by then), (N,), of eligible early stays.

    `stays` holds shown_e, shown_c, shown_n, shock, arf, has_e, has_c, has_n (bool: by T) and
    shock_in (hours from ICU admission, inf where never).
    """
    hours, (event, *_) = HOURS[task.removesuffix("_forced")], task.split("_")
    if event == "mortality":  # by 48 h shock and ARF have set in or never will
        return truth.oracle(effects, "mortality", stays, letters)
    read, come = "e" in letters, stays["shock_in"]
    case = np.zeros(len(come), int)
    if event == "shock":
        label, known = shock_tables(effects, hours)
    else:
        forced = task.endswith("forced")
        label, known = arf_tables(effects, hours, read, forced)
        case = np.where((come < hours) & read, 1, np.where(np.isfinite(come) & forced, 2, case))
    noise = np.hypot(effects.noise, stays.get("error_e", np.zeros(1)))
    weights = truth.posterior(stays["shown_e"], stays["has_e"] & read, noise)
    top, bottom = (np.broadcast_to(weights @ t.T, (len(case), len(t))) for t in (label, known))
    row = np.arange(len(case))
    return top[row, case] / bottom[row, case]


def ceilings(effects: Effects, seed: int, draws: int = DRAWS) -> dict[str, dict[str, float]]:
    """Population AUROC of the oracle per ICU task and modality set, none of them missing.

    Monte Carlo over the eligible early stays of the generative model.
    """
    rng = np.random.default_rng([seed, 2**31 + 1])
    z = draw_course(rng, draws, effects)
    z |= {f"has_{m}": np.ones(draws, bool) for m in "ecn"}
    z["shock_in"] = np.where(z["shock"] > 0, (z["shock_at"] - z["icu"]) / HOUR, np.inf)
    early = (z["icu"] >= 0) & (z["icu"] < PREDICTION)
    table: dict[str, dict[str, float]] = {}
    for task in TASKS:
        hours, event = HOURS[task.removesuffix("_forced")], task.split("_")[0]
        keep = early & (z["stay"] > z["icu"] + hours * HOUR)
        if event == "shock":
            keep &= z["shock_in"] >= hours
        part = {name: values[keep] for name, values in z.items()}
        label = part["dies" if event == "mortality" else event].astype(int)
        scores = {s: oracle(effects, task, part, s) for s in SETS}
        table[task] = {s: round(auroc(np.round(p, 12), label), 4) for s, p in scores.items()}
    return table


def with_readings(admissions: pl.DataFrame, values: pl.DataFrame, way: Way) -> pl.DataFrame:
    """Adds what the EHR tells of its latent so many hours after an early ICU admission.

    For each horizon below 48 hours `read_e_<hours>`, and its standard error `error_e_<hours>`, from
    `values` (see `course.read_by`), which are those of all signals.
    """
    for hours in sorted(set(HOURS.values()) - {48}):
        until = admissions["icu"] + hours * HOUR
        read = read_by(way, values, items(), until)
        admissions = admissions.with_columns(read.select(pl.all().name.suffix(f"_{hours}")))
    return admissions


def oracle_table(effects: Effects, task: str, admissions: pl.DataFrame) -> pl.DataFrame:
    """stay_id and one column per modality set: the oracle's probability for each early stay.

    The labels tell whether a stay is eligible; for other stays the numbers have no meaning.
    """
    hours = HOURS[task.removesuffix("_forced")]
    stays = admissions.filter(pl.col("icu").is_between(0, PREDICTION, closed="left"))
    known = (pl.col(f"{m}_from") < pl.col("icu") + hours * HOUR for m in "ecn")
    onset = (pl.col("shock_at") - pl.col("icu")) / HOUR
    stays = stays.with_columns(
        pl.when(pl.col("shock_at") >= 0).then(onset).otherwise(float("inf")).alias("shock_in"),
        *(there.fill_null(False).alias(f"has_{m}") for m, there in zip("ecn", known, strict=True)),
    )
    if f"read_e_{hours}" in stays.columns:
        read, error = pl.col(f"read_e_{hours}"), pl.col(f"error_e_{hours}")
        stays = stays.with_columns(read.alias("shown_e"), error.alias("error_e"))
    names = [f"{kind}_{m}" for kind in ("shown", "has") for m in "ecn"]
    names += ["shock", "arf", "shock_in", *(["error_e"] if "error_e" in stays.columns else [])]
    arrays = {name: stays[name].to_numpy() for name in names}
    columns = {s: np.round(oracle(effects, task, arrays, s), 9) for s in SETS}
    return pl.DataFrame({"stay_id": stays["stay_id"], **columns})
