"""What the files show: each modality its own noisy latent, whole, and nothing of the others."""

import numpy as np
import polars as pl
import pytest
from hospital_files import (
    admissions,
    eligible,
    films,
    known_reports,
    known_values,
    pixels,
    r_squared,
)

from pipeline.hospital.charting import items
from pipeline.hospital.course import share_shown
from pipeline.hospital.reports import ABNORMAL, LEVELS, level
from pipeline.hospital.settings import PREDICTION

LATENTS = ("shown_e", "shown_c", "shown_n")


def test_least_squares_on_the_charted_vitals_recovers_what_the_ehr_shows():
    signals = items().filter(pl.col("shape") == "vital").select(
        "itemid", pl.col("mean", "slope").cast(float), steps=10.0 ** pl.col("decimals")
    )  # fmt: skip
    rows = known_values().join(signals, on="itemid").filter(pl.col("slope") != 0)
    rows = rows.with_columns(pl.Series("drift", share_shown("level", rows["minute"].to_numpy())))
    expected = pl.col("slope") * pl.col("drift") * pl.col("steps") ** 2
    top, bottom = (
        expected * (pl.col("valuenum") - pl.col("mean")),
        expected**2 / pl.col("steps") ** 2,
    )
    read = rows.group_by("hadm_id").agg((top.sum() / bottom.sum()).alias("read"))
    both = eligible().join(read, on="hadm_id")
    assert both.height == eligible().height
    error = both["shown_e"].to_numpy() - both["read"].to_numpy()
    assert np.abs(error).max() < 0.03  # charted in whole numbers; nine signals, nine times or more
    assert error.std() < 0.006


def test_labs_alone_tell_it_of_patients_without_an_icu_stay():
    items_read = {50912: (1.4, 0.5625), 51006: (27, 10), 50882: (24, -3), 51301: (11, 3.125)}
    rows = known_values().filter(pl.col("itemid").is_in(list(items_read)))
    mean = pl.col("itemid").replace_strict({k: m for k, (m, _) in items_read.items()})
    slope = pl.col("itemid").replace_strict({k: s for k, (_, s) in items_read.items()})
    estimate = ((pl.col("valuenum") - mean) / slope).mean().alias("read")
    read = rows.group_by("hadm_id").agg(estimate)
    both = admissions().filter(pl.col("icu") < 0).join(read, on="hadm_id")
    assert both.height > 50
    assert np.corrcoef(both["shown_e"], both["read"])[0, 1] > 0.95


def test_number_of_abnormal_observations_is_the_level_of_every_report():
    sentences = [part.strip() + "." for part in ABNORMAL.split(".") if part.strip()]
    assert len(sentences) == LEVELS
    reports = known_reports().join(admissions().select("hadm_id", "shown_n"), on="hadm_id")
    findings = pl.col("text").str.split("FINDINGS:").list.get(1).str.split("IMPRESSION:")
    count = pl.sum_horizontal(
        findings.list.get(0).str.contains(sentence, literal=True).cast(int)
        for sentence in sentences
    )
    counted = reports.select(count.alias("count"))["count"]
    assert reports.height > 1000
    assert counted.to_list() == level(reports["shown_n"].to_numpy()).tolist()
    assert counted.n_unique() == LEVELS + 1


def test_a_simple_reader_of_the_pixels_recovers_what_the_films_show():
    known = films().filter(pl.col("ViewPosition") == "AP", pl.col("minute") < PREDICTION)
    known = known.join(admissions().select("hadm_id", "shown_c"), on="hadm_id")
    flat = pixels(known).reshape(known.height, -1)
    flat = flat - flat.mean(axis=0)
    bent = np.column_stack([flat, flat[:, 24:80] ** 2 / 50])
    assert r_squared(bent, known["shown_c"].to_numpy()) > 0.98


def _ehr():
    wide = known_values().group_by("hadm_id", "itemid").agg(pl.col("valuenum").mean())
    wide = wide.sort("itemid").pivot("itemid", index="hadm_id", values="valuenum")
    numbers = pl.exclude("hadm_id")
    return wide.with_columns(numbers.fill_null(numbers.mean()))


def _films():
    known = films().filter(pl.col("ViewPosition") == "AP", pl.col("minute") < PREDICTION)
    known = known.unique("hadm_id", keep="first", maintain_order=True)
    flat = pixels(known).reshape(known.height, -1)
    return known.select("hadm_id").hstack(pl.DataFrame(flat))


def _notes():
    reports = known_reports().unique("hadm_id", keep="first", maintain_order=True)
    words = reports.select("hadm_id", pl.col("text").str.to_lowercase().str.extract_all("[a-z]+"))
    counts = words.explode("text").group_by("hadm_id", "text").len().sort("text")
    return counts.pivot("text", index="hadm_id", values="len").fill_null(0)


@pytest.mark.parametrize(
    ("features", "own"), [(_ehr, "shown_e"), (_films, "shown_c"), (_notes, "shown_n")]
)
def test_a_modality_shows_its_own_latent_and_no_other(features, own):
    both = features().join(admissions().select("hadm_id", *LATENTS), on="hadm_id").sort("hadm_id")
    shown = both.drop("hadm_id", *LATENTS).to_numpy().astype(float)
    read = {name: r_squared(shown, both[name].to_numpy(), penalty=30) for name in LATENTS}
    assert read.pop(own) > 0.9
    assert max(read.values()) < 0.02


def test_latents_are_independent_of_each_other_and_of_identifiers_and_traits():
    rows = admissions(8000)
    latents = [rows[name].to_numpy() for name in ("e", "c", "n", *LATENTS)]
    others = [
        rows[name].to_numpy().astype(float)
        for name in ("subject_id", "hadm_id", "patient", "number", "anchor_age", "icu", "ed",
                     "has_film", "has_note")
    ] + [rows["hadm_id"].to_numpy() % 10, rows["admittime"].dt.epoch("s").to_numpy()]  # fmt: skip
    limit = 4.5 / np.sqrt(rows.height)
    assert np.abs(np.corrcoef(latents[:3], others)[:3, 3:]).max() < limit
    between = np.corrcoef(latents)
    own = np.kron(np.ones((2, 2)), np.eye(3)).astype(bool)
    assert np.abs(between[~own]).max() < limit
    noise = rows["shown_e"].to_numpy() - rows["e"].to_numpy()
    assert noise.std() == pytest.approx(0.3, rel=0.05)
