"""The known truth: oracle and ceilings against plain simulation, and the chain of events."""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from episodes_at_hand import split_by
from hospital_files import admissions, early_stays, eligible, files, later_stays, table, timed

from pipeline.cohort.split import split_of
from pipeline.hospital import truth
from pipeline.hospital.model import chance, draw_latents
from pipeline.hospital.reports import level
from pipeline.hospital.settings import Effects

EFFECTS = Effects()
EVERYTHING = [f"has_{m}" for m in "ecn"]
SINGLE = ("e", "c", "n")
DRAWS = 30_000


@cache
def population():
    """Admissions of the population with all modalities, and who dies."""
    rng = np.random.default_rng(1)
    z = draw_latents(rng, DRAWS, EFFECTS) | {name: np.ones(DRAWS, bool) for name in EVERYTHING}
    return z, rng.random(DRAWS) < chance("mortality", z, EFFECTS)


@cache
def simulated():
    return draw_latents(np.random.default_rng(5), 1_500_000, EFFECTS)


@cache
def ceilings():
    return truth.ceilings(EFFECTS, seed=0)


def log_loss(p, y):
    return -np.where(y, np.log(p), np.log(1 - p)).mean()


def standard_error(score, label):
    """Of an AUROC (Hanley and McNeil)."""
    a, m, n = truth.auroc(score, label), label.sum(), (~label).sum()
    q1, q2 = a / (2 - a) - a * a, 2 * a * a / (1 + a) - a * a
    return np.sqrt((a * (1 - a) + (m - 1) * q1 + (n - 1) * q2) / (m * n))


@pytest.mark.parametrize("letters", truth.SETS)
def test_oracle_probabilities_are_calibrated(letters):
    z, dies = population()
    p = truth.oracle(EFFECTS, "mortality", z, letters)
    for part in np.array_split(np.argsort(p, kind="stable"), 10):
        spread = np.sqrt((p[part] * (1 - p[part])).sum())
        assert abs(dies[part].sum() - p[part].sum()) < 4 * spread


@pytest.mark.parametrize("task", ["longstay", "readmission"])
def test_oracles_of_the_other_tasks_are_calibrated_in_their_episodes(task):
    rows = eligible(admissions(8000)).with_columns(pl.lit(True).alias(name) for name in EVERYTHING)
    label = rows["stay"] > 168 * 60
    if task == "readmission":
        rows = rows.filter(~pl.col("dies"), pl.col("number") < 7)  # the hospital knows 8 admissions
        label = (rows["gap"] < 30).cast(bool) & rows["again"]
    arrays = {name: rows[name].to_numpy() for name in rows.columns}
    p, y = truth.oracle(EFFECTS, task, arrays, "ecn"), label.to_numpy()
    for part in np.array_split(np.argsort(p), 5):
        assert abs(y[part].sum() - p[part].sum()) < 4 * np.sqrt((p[part] * (1 - p[part])).sum())
    assert truth.auroc(p, y) > truth.auroc(truth.oracle(EFFECTS, task, arrays, "e"), y)


def test_more_modalities_predict_better_and_no_distortion_of_the_oracle_does():
    z, dies = population()
    p = {s: truth.oracle(EFFECTS, "mortality", z, s) for s in truth.SETS}
    loss = {s: log_loss(p[s], dies) for s in truth.SETS}
    for small in truth.SETS:
        for large in truth.SETS:
            if set(small) < set(large):
                assert loss[large] < loss[small]
    odds = np.log(p["ecn"] / (1 - p["ecn"]))
    for distorted in (1.2 * odds, 0.8 * odds, odds + 0.2, odds - 0.2):
        assert log_loss(1 / (1 + np.exp(-distorted)), dies) > loss["ecn"]


@pytest.mark.parametrize("reader", ["shown_e", "shown_c", "shown_n", "sum"])
def test_oracle_beats_every_simple_reader_of_the_shown_latents(reader):
    z, dies = population()
    scores = {name: z[name] for name in ("shown_e", "shown_c", "shown_n")}
    scores["sum"] = 1.9 * z["shown_e"] + 2.1 * z["shown_c"] + 2.5 * z["shown_n"]
    best = truth.auroc(truth.oracle(EFFECTS, "mortality", z, "ecn"), dies)
    assert best > truth.auroc(scores[reader], dies) + 0.005


def test_multimodal_ceilings_lie_above_the_best_single_one():
    table = ceilings()["mortality"]
    best = max(table[s] for s in SINGLE)
    assert min(table[s] for s in truth.SETS if len(s) > 1) >= best + 0.04
    assert table["ecn"] >= max(table[s] for s in ("ec", "en", "cn")) + 0.04
    for task in truth.TASKS:
        assert ceilings()[task]["ecn"] == max(ceilings()[task].values())


@pytest.mark.parametrize("letters", truth.SETS)
def test_oracle_on_the_hospital_reaches_the_ceiling_where_nothing_is_missing(letters):
    rows = eligible(admissions(8000))
    arrays = {name: rows[name].to_numpy() for name in rows.columns}
    arrays |= {name: np.ones(rows.height, bool) for name in EVERYTHING}
    p, dies = truth.oracle(EFFECTS, "mortality", arrays, letters), arrays["dies"]
    error = np.hypot(standard_error(p, dies), 0.003)
    assert abs(truth.auroc(p, dies) - ceilings()["mortality"][letters]) < 3.5 * error


@pytest.mark.parametrize(
    ("letters", "shown_e", "shown_c", "shown_n", "shock", "arf"),
    [
        ("ecn", 0.4, 1.1, 0.2, 0, 0),
        ("ecn", 1.3, -0.6, 1.2, 1, 1),
        ("ecn", 0.3, 1.0, 2.9, 0, 1),  # the highest level: everything above it
        ("ec", -1.2, 0.7, 0.0, 1, 0),
        ("cn", 0.0, 1.5, 0.9, 0, 0),
        ("n", 0.0, 0.0, -1.4, 0, 0),
    ],
)
@pytest.mark.parametrize("task", ["mortality", "readmission"])
def test_integration_agrees_with_plain_monte_carlo(
    task, letters, shown_e, shown_c, shown_n, shock, arf
):
    one = {"shown_e": shown_e, "shown_c": shown_c, "shown_n": shown_n, "shock": shock, "arf": arf}
    arrays = {name: np.array([float(x)]) for name, x in one.items()}
    arrays |= {name: np.array([True]) for name in EVERYTHING}
    z = simulated()
    weight = np.ones(len(z["e"]))
    if "e" in letters:
        weight *= np.exp(-((z["e"] - shown_e) ** 2) / (2 * EFFECTS.noise**2))
        weight *= (z["shock"] == shock) & (z["arf"] == arf)
    if "c" in letters:
        weight *= np.exp(-((z["c"] - shown_c) ** 2) / (2 * EFFECTS.noise**2))
    if "n" in letters:
        weight *= level(z["shown_n"]) == level(np.array([shown_n]))
    event = chance("mortality", z, EFFECTS)
    if task == "readmission":
        weight *= 1 - event
        event = chance(task, z, EFFECTS)
    expected = np.average(event, weights=weight)
    spread = np.sqrt((weight**2 * (event - expected) ** 2).sum()) / weight.sum()
    assert spread < 0.01
    found = truth.oracle(EFFECTS, task, arrays, letters).item()
    assert abs(found - expected) < 4 * spread + 1e-4


def test_a_missing_modality_is_as_one_that_was_not_asked_for():
    z, _ = population()
    part = {name: values[:200] for name, values in z.items()}
    blind = part | {"has_c": np.zeros(200, bool), "shown_c": np.full(200, 9.0)}
    full = truth.oracle(EFFECTS, "mortality", blind, "ecn")
    assert full == pytest.approx(truth.oracle(EFFECTS, "mortality", part, "en"), abs=1e-12)
    alone = [
        truth.oracle(EFFECTS, "mortality", {k: v[i : i + 1] for k, v in part.items()}, "ecn")
        for i in range(5)
    ]
    together = truth.oracle(EFFECTS, "mortality", part, "ecn")[:5]
    assert np.concatenate(alone) == pytest.approx(together, abs=1e-12)


def test_oracles_beside_the_files_know_which_modalities_are_there():
    oracle = pl.read_parquet(files() / "truth" / "oracle_mortality.parquet")
    assert oracle["hadm_id"].sort().to_list() == admissions()["hadm_id"].sort().to_list()
    assert oracle.columns == ["hadm_id", *truth.SETS]
    joined = eligible().join(oracle.rename({s: f"p_{s}" for s in truth.SETS}), on="hadm_id")
    assert joined.filter(~pl.col("has_film"))["p_c"].n_unique() == 1  # the prior
    assert joined.filter(pl.col("has_film"))["p_c"].n_unique() > 300
    assert joined.filter(~pl.col("has_note"))["p_n"].n_unique() == 1
    assert joined.filter(pl.col("has_note"))["p_n"].n_unique() <= 17 + 1


def test_default_hospital_has_enough_episodes_and_the_asked_prevalence():
    config = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())
    shares = {name: config["split"][name] for name in ("train", "fusion", "val", "test")}
    split = split_by(config["split"]["salt"], shares)
    rows = eligible(admissions(config["hospital"]["patients"], config["hospital"]["seed"]))
    assert 0.15 <= rows["dies"].mean() <= 0.20
    test = rows.filter([split_of(s, split) == "test" for s in rows["subject_id"]])
    assert test["dies"].sum() >= 100
    assert 0.15 <= test["dies"].mean() <= 0.20


def logistic(features, label):
    """Coefficients and standard errors of a logistic regression (Newton), intercept last."""
    x = np.column_stack([*features, np.ones(len(label))])
    weights = np.zeros(x.shape[1])
    for _ in range(12):
        p = 1 / (1 + np.exp(-x @ weights))
        information = x.T @ (x * (p * (1 - p))[:, None])
        weights += np.linalg.solve(information, x.T @ (label - p))
    return weights, np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize("chain", [0.0, 1.0])
def test_each_event_of_the_chain_raises_the_next_one_and_only_with_the_chain(chain):
    effects = Effects(chain=chain)
    rng = np.random.default_rng(3)
    z = draw_latents(rng, 60_000, effects)
    (_, after_shock, _), (_, error, _) = logistic([z["e"], z["shock"]], z["arf"])
    assert abs(after_shock - chain * effects.arf.shock) < 4 * error < 0.2
    dies = rng.random(60_000) < chance("mortality", z, effects)
    latents = [z["e"], z["c"], z["n"], z["e"] * z["c"]]
    found, error = logistic([*latents, z["shock"], z["arf"]], dies)
    expected = np.array([effects.mortality.shock, effects.mortality.arf]) * chain
    assert (np.abs(found[4:6] - expected) < 4 * error[4:6]).all()
    assert (4 * error[4:6] < 0.4).all()


def arrived():
    """Early stays and when the patient came: from theatre, some are treated before."""
    return early_stays().select("stay_id", arrived=pl.coalesce("arrival", "intime"))


def first_start(item):
    name = "icu/inputevents" if item == 221906 else "icu/procedureevents"
    rows = timed(table(name), minute="starttime").filter(pl.col("itemid") == item)
    rows = rows.join(arrived(), on="stay_id").filter(pl.col("starttime") >= pl.col("arrived"))
    return rows.group_by("hadm_id").agg(pl.col("minute").min().alias(f"at_{item}"))


def test_vasopressors_precede_ventilation_with_peep_which_precedes_death_and_codes():
    rows = admissions()
    for item in (221906, 225792):
        rows = rows.join(first_start(item), on="hadm_id", how="left")
    shocked, ventilated = pl.col("at_221906").is_not_null(), pl.col("at_225792").is_not_null()
    assert rows.select((shocked == (pl.col("shock") > 0)).all()).item()
    assert rows.select((ventilated == (pl.col("arf") > 0)).all()).item()
    both = rows.filter(shocked & ventilated)
    assert both.height > 20
    assert both.select((pl.col("at_221906") < pl.col("at_225792")).all()).item()
    assert both.select((pl.col("at_225792") < pl.col("stay")).all()).item()
    peep = timed(table("icu/chartevents").filter(pl.col("itemid") == 220339), minute="charttime")
    peep = peep.join(arrived(), on="stay_id").filter(pl.col("charttime") >= pl.col("arrived"))
    peep = peep.join(rows, on="hadm_id", how="left")
    assert peep["hadm_id"].n_unique() > 0.9 * rows["arf"].sum()
    assert peep.select((pl.col("minute") > pl.col("at_225792")).all()).item()
    assert peep["valuenum"].is_between(5, 10).all()


@pytest.mark.parametrize(
    ("event", "codes"),
    [("shock", ["78552", "R6521"]), ("arf", ["51881", "J9601"]), ("dies", ["4275", "I469"])],
)
def test_codes_follow_the_events(event, codes):
    coded = table("hosp/diagnoses_icd").filter(pl.col("icd_code").cast(pl.String).is_in(codes))
    rows = admissions().join(later_stays(), on="hadm_id", how="anti")
    rows = rows.with_columns(coded=pl.col("hadm_id").is_in(coded["hadm_id"].implode()))
    happened = pl.col(event).cast(float) > 0
    assert rows.filter(happened)["coded"].mean() > 0.8
    assert rows.filter(~happened)["coded"].mean() < 0.05
