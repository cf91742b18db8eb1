"""The best reachable scores: oracle probabilities per admission and ceilings of the population.

A perfect reader of a modality knows `shown` (latent + noise), and from the EHR also whether shock
and ARF were treated by 48 h. What the best predictor then says is P(outcome | what was read),
integrated over the latents on a grid. A modality that is not read, or not there, keeps its prior.
"""

from itertools import combinations

import numpy as np
import polars as pl

from pipeline.hospital.population import draw_latents, log_odds, probability
from pipeline.hospital.reports import STEP, level, read_level
from pipeline.hospital.settings import Effects

GRID = np.linspace(-4.2, 4.2, 31)
SETS = ["".join(s) for k in (1, 2, 3) for s in combinations("ecn", k)]
TASKS = ("mortality", "longstay", "readmission")
BLOCK = 2000  # admissions integrated at once


def _density(values: np.ndarray, mean: np.ndarray | float, variance: float) -> np.ndarray:
    return np.exp(-((values - mean) ** 2) / (2 * variance))


def outcome_grid(effects: Effects, task: str) -> tuple[np.ndarray, np.ndarray | None]:
    """P(positive and eligible) and P(eligible; None: all) on the grid (e-state, c, n); e-state = (s, a, z_e).

    mortality: everybody is eligible. longstay: stay > 168 h, 40 % of those who die stay as long.
    readmission: discharged alive only.
    """
    shock, arf, ze = (v.ravel() for v in np.meshgrid([0.0, 1.0], [0.0, 1.0], GRID, indexing="ij"))
    z = {"e": ze[:, None, None], "c": GRID[None, :, None], "n": GRID[None, None, :],
         "shock": shock[:, None, None], "arf": arf[:, None, None]}  # fmt: skip
    p = {t: probability(log_odds(getattr(effects, t), z, effects.chain)) for t in TASKS}
    dies = p["mortality"]
    if task == "mortality":
        return dies, None
    if task == "longstay":
        return (1 - dies) * p["longstay"] + dies * 0.4, None
    return (1 - dies) * p["readmission"], 1 - dies


def _prior_of_states(effects: Effects) -> np.ndarray:
    """P(shock, arf | z_e) on the grid, (2, 2, grid)."""
    z = {"e": GRID, "c": 0.0, "n": 0.0, "shock": 0.0, "arf": 0.0}
    shock = probability(log_odds(effects.shock, z, effects.chain))
    table = np.empty((2, 2, len(GRID)))
    for s in (0, 1):
        arf = probability(log_odds(effects.arf, z | {"shock": float(s)}, effects.chain))
        table[s, 1] = (shock if s else 1 - shock) * arf
        table[s, 0] = (shock if s else 1 - shock) * (1 - arf)
    return table


def _weights(effects: Effects, modality: str, shown: np.ndarray, read: np.ndarray,
             shock: np.ndarray, arf: np.ndarray) -> np.ndarray:  # fmt: skip
    """Posterior weights over the grid of a modality, (N, states); rows that were not read: prior."""
    noise = effects.noise**2 + (STEP**2 / 12 if modality == "n" else 0.0)
    prior = _density(GRID, 0.0, 1.0)
    posterior = prior * _density(GRID, shown[:, None], noise)
    weights = np.where(read[:, None], posterior, prior)
    if modality == "e":
        states = _prior_of_states(effects)
        observed = np.zeros((len(shown), 2, 2, 1))
        observed[np.arange(len(shown)), shock.astype(int), arf.astype(int)] = 1
        seen = np.where(read[:, None, None, None], observed, 1.0) * states
        weights = (weights[:, None, None, :] * seen).reshape(len(shown), -1)
    return weights / weights.sum(axis=1, keepdims=True)


def oracle(effects: Effects, task: str, admissions: dict[str, np.ndarray], letters: str
           ) -> np.ndarray:  # fmt: skip
    """P(positive | the modalities `letters`, where the admission has them), (N,).

    `admissions` holds shown_e, shown_c, shown_n, shock, arf and has_e, has_c, has_n (bool).
    """
    joint, eligible = outcome_grid(effects, task)
    shown = dict(admissions) | {"shown_n": read_level(level(admissions["shown_n"]))}
    result = []
    for first in range(0, len(shown["shock"]), BLOCK):
        part = {k: v[first : first + BLOCK] for k, v in shown.items()}
        size = len(part["shock"])
        w = {
            m: _weights(effects, m, part[f"shown_{m}"],
                        part[f"has_{m}"] & (m in letters), part["shock"], part["arf"])
            for m in "ecn"
        }  # fmt: skip
        for m in sorted(set("ecn") - set(letters), reverse=True):  # all rows share the prior:
            w[m] = w[m][:1]  # integrate it once
        share = 1.0 if eligible is None else _expect(eligible, w, size)
        result.append(_expect(joint, w, size) / share)
    return np.concatenate(result) if result else np.zeros(0)


def _expect(grid: np.ndarray, w: dict[str, np.ndarray], size: int) -> np.ndarray:
    """Σ w_e w_c w_n grid per row; modalities whose weights have one row are integrated first."""
    shared = {m: w[m].shape[0] == 1 for m in "ecn"}
    if shared["n"]:
        grid = (grid @ w["n"][0])[..., None]
    if shared["c"]:
        grid = np.einsum("ecn,c->en", grid, w["c"][0])[:, None, :]
    if shared["e"]:
        grid = np.einsum("ecn,e->cn", grid, w["e"][0])[None]
    one = np.ones((size, 1))
    e, c, n = (one if shared[m] else w[m] for m in "ecn")
    inner = np.tensordot(n, grid, axes=(1, 2))  # (N, e, c)
    return np.einsum("Nec,Nc,Ne->N", inner, c, e, optimize=["einsum_path", (0, 1), (0, 1)])


def auroc(score: np.ndarray, label: np.ndarray) -> float:
    """Rank statistic; scores of the oracle are continuous, ties have no part.

    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    0.75
    """
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    positive = label.sum()
    return float((rank[label == 1].sum() - positive * (positive + 1) / 2)
                 / (positive * (len(label) - positive)))  # fmt: skip


def ceilings(effects: Effects, seed: int, draws: int = 40_000) -> dict[str, dict[str, float]]:
    """Population AUROC of the oracle per task and modality set, all modalities at hand.

    Monte Carlo over the generative model; standard error about .003 at 40,000 draws.
    """
    rng = np.random.default_rng([seed, 2**31])
    z = draw_latents(rng, draws, effects)
    everything = {f"has_{m}": np.ones(draws, bool) for m in "ecn"}
    dies = rng.random(draws) < probability(log_odds(effects.mortality, z, effects.chain))
    table: dict[str, dict[str, float]] = {}
    for task in TASKS:
        event = rng.random(draws) < probability(log_odds(getattr(effects, task), z, effects.chain))
        label, keep = event, np.ones(draws, bool)
        if task == "mortality":
            label = dies
        elif task == "longstay":
            label = np.where(dies, rng.random(draws) < 0.4, event)
        else:
            keep = ~dies
        part = {k: v[keep] for k, v in (z | everything).items()}
        table[task] = {
            s: round(auroc(oracle(effects, task, part, s), label[keep].astype(int)), 4)
            for s in SETS
        }
    return table


def oracle_table(effects: Effects, task: str, admissions: pl.DataFrame) -> pl.DataFrame:
    """hadm_id and one column per modality set: the oracle's probability for each admission."""
    names = ["shown_e", "shown_c", "shown_n", "shock", "arf", "has_e", "has_c", "has_n"]
    arrays = {name: admissions[name].to_numpy() for name in names}
    columns = {s: np.round(oracle(effects, task, arrays, s), 9) for s in SETS}
    return pl.DataFrame({"hadm_id": admissions["hadm_id"], **columns})
