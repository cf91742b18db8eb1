"""The best reachable scores: oracle probabilities per admission and ceilings of the population.

A perfect reader of a modality knows `shown` (latent + noise; of the notes: its level), and from the
EHR also whether shock and ARF were treated by 48 h. The best prediction is P(outcome | what was
read), integrated over the latents on a grid. A modality that is missing, or not among those read,
keeps its prior.
"""

import math
from itertools import combinations

import numpy as np
import polars as pl

from pipeline.hospital.model import Arrays, chance, draw_latents
from pipeline.hospital.reports import LEVELS, STEP, level, read_level
from pipeline.hospital.settings import Effects

GRID = np.linspace(-4.2, 4.2, 31)
PRIOR = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()
STATES = [(0, 0), (0, 1), (1, 0), (1, 1)]  # (shock, arf)
NOT_READ = len(STATES)  # the state where the EHR is not read: all four, by their chances
NO_LEVEL = LEVELS + 1  # the level where the notes are not read
SETS = ["".join(s) for k in (1, 2, 3) for s in combinations("ecn", k)]
TASKS = ("mortality", "longstay", "readmission")
DRAWS = 60_000  # of the ceilings: their standard error is .002


def outcome_grid(effects: Effects, task: str) -> tuple[np.ndarray, np.ndarray | None]:
    """P(positive and eligible) and P(eligible), None where all are; (4 states, e, c, n).

    mortality: everybody is eligible. longstay: stay > 168 h, 40 % of those who die stay as long.
    readmission: discharged alive only.
    """
    shock, arf = (np.array(s, float)[:, None, None, None] for s in zip(*STATES, strict=True))
    e, c, n = np.meshgrid(GRID, GRID, GRID, indexing="ij")
    z = {"e": e, "c": c, "n": n, "shock": shock, "arf": arf}
    dies = chance("mortality", z, effects)
    if task == "mortality":
        return dies, None
    event = chance(task, z, effects)
    if task == "longstay":
        return (1 - dies) * event + dies * 0.4, None
    return (1 - dies) * event, 1 - dies


def _chance_of_states(effects: Effects) -> np.ndarray:
    """P(shock, arf | z_e), (4 states, e)."""
    table, none = [], np.zeros(1)
    for s, a in STATES:
        before = {"e": GRID, "c": none, "n": none, "shock": none, "arf": none}
        shock = chance("shock", before, effects)
        arf = chance("arf", before | {"shock": none + s}, effects)
        table.append(np.where(s, shock, 1 - shock) * np.where(a, arf, 1 - arf))
    return np.stack(table)


def _chance_of_levels(effects: Effects) -> np.ndarray:
    """P(level of the notes | z_n), (17 levels, n): the noisy latent lies between two edges."""
    edges = read_level(np.arange(1, LEVELS + 1)) - STEP / 2
    below = [[math.erf((x - z) / effects.noise / math.sqrt(2)) for z in GRID] for x in edges]
    ends = np.pad(np.array(below), ((1, 1), (0, 0)), constant_values=((-1, 1), (0, 0)))
    return np.diff(ends, axis=0) / 2


def posterior(shown: np.ndarray, read: np.ndarray, noise: float | np.ndarray) -> np.ndarray:
    """Weights of the grid, not normalised: (N, grid), or (1, grid), the prior, where none read.

    `noise`: standard deviation of `shown` around the latent, one for all or of each (N,).
    """
    if not read.any():
        return PRIOR[None]
    variance = np.reshape(noise, (-1, 1)) ** 2
    likelihood = np.exp(-((GRID - shown[:, None]) ** 2) / (2 * variance))
    return PRIOR * np.where(read[:, None], likelihood, 1.0)


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(axis=-1, keepdims=True)


def oracle(effects: Effects, task: str, admissions: Arrays, letters: str) -> np.ndarray:
    """P(positive | the modalities `letters`, where the admission has them), (N,).

    `admissions` holds shown_e, shown_c, shown_n, shock, arf and has_e, has_c, has_n (bool).
    """
    read = {m: admissions[f"has_{m}"] & (m in letters) for m in "ecn"}
    states = np.vstack([_chance_of_states(effects), np.ones_like(GRID)])
    state = np.where(read["e"], 2 * admissions["shock"] + admissions["arf"], NOT_READ).astype(int)
    levels = _normalised(PRIOR * np.vstack([_chance_of_levels(effects), np.ones_like(GRID)]))
    column = np.where(read["n"], level(admissions["shown_n"]), NO_LEVEL)
    e = posterior(admissions["shown_e"], read["e"], effects.noise)
    e = _normalised(e * states[state] if read["e"].any() else e)
    c = _normalised(posterior(admissions["shown_c"], read["c"], effects.noise))

    def expect(grid: np.ndarray) -> np.ndarray:
        mixture = np.einsum("se,secn->ecn", states[:NOT_READ], grid)
        table = np.concatenate([grid, mixture[None]]) @ levels.T  # (5 states, e, c, 18 levels)
        result = np.empty(len(state))
        for s, k in sorted({*zip(state.tolist(), column.tolist(), strict=True)}):
            rows = np.flatnonzero((state == s) & (column == k))
            weights = (w[rows] if len(w) > 1 else w for w in (e, c))
            result[rows] = _bilinear(table[s, :, :, k], *weights)
        return result

    joint, eligible = outcome_grid(effects, task)
    return expect(joint) if eligible is None else expect(joint) / expect(eligible)


def _bilinear(grid: np.ndarray, e: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Σ e c grid per row; weights of one row count for all."""
    if len(c) == 1:
        return e @ (grid @ c[0])
    return ((e @ grid) * c).sum(axis=1)


def auroc(score: np.ndarray, label: np.ndarray) -> float:
    """Rank statistic; ties count half.

    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    0.75
    >>> auroc(np.array([0.3, 0.3, 0.3]), np.array([0, 1, 1]))
    0.5
    """
    _, which, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[which]
    positive = label.sum()
    above = rank[label == 1].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(label) - positive)))


def ceilings(effects: Effects, seed: int, draws: int = DRAWS) -> dict[str, dict[str, float]]:
    """Population AUROC of the oracle per task and modality set, where no modality is missing.

    Monte Carlo over the generative model.
    """
    rng = np.random.default_rng([seed, 2**31])
    z = draw_latents(rng, draws, effects)
    z |= {f"has_{m}": np.ones(draws, bool) for m in "ecn"}
    dies = rng.random(draws) < chance("mortality", z, effects)
    table: dict[str, dict[str, float]] = {}
    for task in TASKS:
        label, keep = rng.random(draws) < chance(task, z, effects), np.ones(draws, bool)
        if task == "mortality":
            label = dies
        elif task == "longstay":
            label = np.where(dies, rng.random(draws) < 0.4, label)
        else:
            keep = ~dies
        part = {name: values[keep] for name, values in z.items()}
        scores = {s: oracle(effects, task, part, s) for s in SETS}
        table[task] = {s: round(auroc(p, label[keep]), 4) for s, p in scores.items()}
    return table


def oracle_table(effects: Effects, task: str, admissions: pl.DataFrame) -> pl.DataFrame:
    """hadm_id and one column per modality set: the oracle's probability for each admission."""
    names = ["shown_e", "shown_c", "shown_n", "shock", "arf", "has_e", "has_c", "has_n"]
    arrays = {name: admissions[name].to_numpy() for name in names}
    columns = {s: np.round(oracle(effects, task, arrays, s), 9) for s in SETS}
    return pl.DataFrame({"hadm_id": admissions["hadm_id"], **columns})
