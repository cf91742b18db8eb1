"""What is known after the prediction time tells the outcome; what is known by then does not."""

import numpy as np
import polars as pl
import pytest
from hospital_files import eligible, files, films, pixels, r_squared, table, timed

from pipeline.hospital.settings import PREDICTION
from pipeline.hospital.truth import auroc

HEART_RATE, RESPIRATION, LACTATE, DIALYSIS = 220045, 220210, 50813, 225802


def told_by(values, at_least=0.3):
    """AUROC of a value per admission, in the episodes that have it; a fair share must."""
    both = eligible().join(values, on="hadm_id")
    assert both.height > at_least * eligible().height
    return auroc(both["told"].to_numpy(), both["dies"].to_numpy())


def charted(item, when):
    name = "hosp/labevents" if item == LACTATE else "icu/chartevents"
    rows = timed(table(name), minute="charttime", stored="storetime")
    rows = rows.filter(when, pl.col("itemid") == item, pl.col("valuenum") != 999)
    return rows.group_by("hadm_id").agg(pl.col("valuenum").mean().alias("told"))


def reports(when):
    rows = timed(table("note/radiology"), minute="charttime", stored="storetime").filter(when)
    told = pl.col("text").str.contains("terminal extubation").cast(float).max().alias("told")
    return (
        rows.filter(pl.col("text").str.contains("Goals|Marked recovery"))
        .group_by("hadm_id")
        .agg(told)
    )


LATER = pl.col("minute") > PREDICTION
STORED_LATER = (pl.col("minute") <= PREDICTION) & (pl.col("stored") > PREDICTION)
KNOWN = pl.col("stored") <= PREDICTION


@pytest.mark.parametrize("when", [LATER, STORED_LATER], ids=["charted later", "stored later"])
@pytest.mark.parametrize("item", [HEART_RATE, RESPIRATION, LACTATE])
def test_vitals_and_labs_known_too_late_tell_who_dies(item, when):
    assert told_by(charted(item, when)) > 0.95
    assert told_by(charted(item, KNOWN)) < 0.8


@pytest.mark.parametrize("when", [LATER, STORED_LATER], ids=["charted later", "stored later"])
def test_reports_known_too_late_tell_who_dies(when):
    assert told_by(reports(when)) > 0.95
    assert reports(KNOWN).is_empty()


def test_films_taken_too_late_tell_who_dies():
    late = films().filter(pl.col("minute") > PREDICTION)
    brightness = pixels(late)[:, 7:11].mean(axis=(1, 2))
    assert told_by(late.select("hadm_id", told=pl.Series(brightness))) > 0.95


def test_a_procedure_begun_too_late_tells_who_dies():
    rows = timed(table("icu/procedureevents"), minute="starttime")
    dialysis = rows.filter(pl.col("itemid") == DIALYSIS)
    assert dialysis["minute"].min() > PREDICTION
    told = eligible().select("hadm_id", told=pl.col("hadm_id").is_in(dialysis["hadm_id"].implode()))
    assert told_by(told.with_columns(pl.col("told").cast(float))) > 0.95


def test_traps_of_the_chart_lie_within_an_icu_stay():
    rows = timed(table("icu/chartevents"), minute="charttime", stored="storetime")
    stays = table("icu/icustays").select("stay_id", "intime", "outtime")
    rows = rows.filter(pl.col("stored") > PREDICTION).join(stays, on="stay_id", how="left")
    assert rows.select((pl.col("charttime") >= pl.col("intime")).all()).item()
    assert rows.select((pl.col("charttime") <= pl.col("outtime")).all()).item()


def known_facts():
    """Numbers that a model could take from what is known by the prediction time."""
    parts = []
    for name in ("icu/chartevents", "hosp/labevents", "icu/outputevents"):
        rows = timed(table(name), minute="charttime", stored="storetime").filter(KNOWN)
        number = pl.col("value").cast(pl.Float64, strict=False)
        facts = [number.mean().alias("mean"), number.max().alias("max"), pl.len().alias("count")]
        parts.append(rows.group_by("hadm_id", "itemid").agg(facts))
    for name in ("icu/procedureevents", "icu/inputevents"):
        rows = timed(table(name), minute="starttime").filter(~LATER)
        facts = [pl.len().alias(name), pl.col("minute").min()]
        parts.append(rows.group_by("hadm_id", "itemid").agg(facts))
    parts = [part.sort("itemid").pivot("itemid", index="hadm_id") for part in parts]
    rows = timed(table("note/radiology"), minute="charttime", stored="storetime").filter(KNOWN)
    length = pl.col("text").str.len_chars().max()
    parts.append(rows.group_by("hadm_id").agg(length, pl.len(), pl.col("stored").max()))
    taken = films().filter(~LATER)
    taken = taken.with_columns(grey=pl.Series(pixels(taken).mean(axis=(1, 2))))
    parts.append(
        taken.group_by("hadm_id").agg(pl.len(), pl.col("minute").max(), pl.col("grey").max())
    )
    facts = eligible().select(
        "hadm_id", "ed", "icu", "number", "anchor_age", "has_film", "has_note"
    )
    for k, part in enumerate(parts):
        named = part.rename({name: f"{name} {k}" for name in part.columns if name != "hadm_id"})
        facts = facts.join(named, on="hadm_id", how="left", maintain_order="left")
    return facts.drop("hadm_id").cast(pl.Float64).fill_null(0).fill_nan(0).to_numpy()


def scores(facts, residual):
    """Score test of each fact: standard normal where it has nothing to say about the residual."""
    centred = facts - facts.mean(axis=0)
    return centred.T @ residual / np.sqrt((centred**2).T @ residual**2 + 1e-9)


def test_nothing_known_by_then_explains_what_the_oracle_leaves_open():
    """The oracle is P(death | all that is known): its residuals go with no known fact."""
    oracle = pl.read_parquet(files() / "truth" / "oracle_mortality.parquet")
    episodes = eligible().join(oracle.select("hadm_id", "ecn"), on="hadm_id", maintain_order="left")
    residual = episodes["dies"].cast(float).to_numpy() - episodes["ecn"].to_numpy()
    facts = known_facts()
    assert facts.shape[0] == len(residual) and facts.shape[1] > 100
    assert np.abs(scores(facts, residual)).max() < 4.5
    assert r_squared(facts, residual, penalty=100) < 0.01
    trap = charted(HEART_RATE, STORED_LATER)
    told = episodes.join(trap, on="hadm_id", how="left", maintain_order="left")["told"]
    assert scores(told.fill_null(0).to_numpy()[:, None], residual) > 8  # and it would show
