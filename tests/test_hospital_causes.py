"""Where the risk is planted, against the hospital's own files."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hospital_files import files, table

from pipeline.hospital import causes, treatments
from pipeline.hospital import films as hospital_films
from pipeline.hospital.drawing import draw, draw_lesions
from pipeline.hospital.layout import Writer
from pipeline.hospital.make import write_chunk
from pipeline.hospital.reports import observations
from pipeline.hospital.settings import Effects, Habits, Settings, Severity

WAYS = ("congestion", "focal")


@pytest.mark.parametrize("habits", [Habits(), Habits(sparse_films=True)])
def test_films_and_admissions_are_those_of_the_hospital(habits):
    root = files(500, films=False, habits=habits)
    admissions, _, films = causes.of_chunk(Settings(500, habits=habits), 0)
    metadata = table("cxr/metadata", root).filter(pl.col("ViewPosition") != "LATERAL")
    assert films.height and films.join(metadata, on="dicom_id", how="anti").is_empty()
    if not habits.sparse_films:
        written = table("hosp/admissions", root).select("hadm_id", "admittime")
        both = admissions.join(written, on="hadm_id", how="full")
        assert both.null_count().sum_horizontal().item() == 0
        assert (both["admitted"] == both["admittime"]).all()


def test_a_smaller_hospital_has_the_same_causes_of_fewer_patients():
    some, all_of_them = (causes.of_chunk(Settings(size), 0) for size in (50, 500))
    for few, many in zip(some, all_of_them, strict=True):
        assert 0 < few.height < many.height
        assert few.join(many, on=few.columns[0], how="semi").equals(few)
        assert many.join(few, on=few.columns[0], how="semi").equals(few)


def first(events, item, root):
    """The first minute of an item of each ICU stay."""
    rows = table(f"icu/{events}", root).filter(itemid=item)
    return rows.group_by("stay_id").agg(begun=pl.col("starttime").min()).sort("stay_id")


@pytest.mark.parametrize(
    ("what", "events", "item", "minutes"),
    [("shock", "inputevents", treatments.NOREPINEPHRINE, 0),
     ("arf", "procedureevents", 224385, -5)],
)  # fmt: skip
def test_onsets_of_every_stay_are_those_that_are_written(what, events, item, minutes):
    """Norepinephrine begins at the onset of shock, intubation 5 minutes before that of failure."""
    admissions, stays, _ = causes.of_chunk(Settings(500), 0)
    begun = pl.col("admitted") + pl.duration(minutes=pl.col(what) + minutes)
    told = stays.filter(pl.col(what) >= 0).select("stay_id", begun=begun).sort("stay_id")
    written = first(events, item, files(500, films=False))
    assert told.height > 50 and told.equals(written.cast({"begun": pl.Datetime("us")}))
    icu = table("icu/icustays", files(500, films=False))
    assert set(icu["stay_id"]) == set(stays["stay_id"])
    early = icu.sort("intime").unique("hadm_id", keep="first").select("hadm_id", "stay_id")
    both = admissions.filter(pl.col(what) >= 0).join(early, on="hadm_id").join(stays, on="stay_id")
    assert both.height and both[what].equals(both[f"{what}_right"].rename(what))
    later = stays.filter(pl.col(what) >= 0).join(both, on="stay_id", how="anti")
    assert later.height > 5  # of these the table of admissions knows nothing


@pytest.mark.parametrize("way", WAYS)
def test_changes_of_films_are_of_the_films_that_are_written(monkeypatch, way):
    """From the generator and the lesions with which `make` draws them."""
    settings, made = Settings(40, severity=Severity(films=way)), []

    def told(rng, root, pictures, kept, lesion):
        shown = pictures["shown"].to_numpy()
        change = causes.changes(rng, shown, lesion).astype(np.float32)
        made.append(pictures.select("dicom_id", pl.Series("change", change)))

    monkeypatch.setattr(hospital_films, "write_jpegs", told)
    with tempfile.TemporaryDirectory() as root, Writer(Path(root), settings.release) as writer:
        write_chunk(writer, settings, 0)
    films = causes.of_chunk(settings, 0)[2]
    both = films.join(made[0], on="dicom_id", how="left", maintain_order="left")
    assert films.height > 20
    assert (both["change"].to_numpy() == both["change_right"].to_numpy()).all()


@pytest.mark.parametrize("way", WAYS)
def test_patches_that_carry_the_cause_are_those_where_films_change(way):
    """Films as they are written, of two latents, everything else drawn alike."""
    shown = np.linspace(-1, 2, 40)
    lesion = None if way == "congestion" else draw_lesions(np.random.default_rng(3), np.arange(40))
    pair = [
        np.concatenate([*draw(np.random.default_rng(7), shown + step, shown > 9, lesion)])
        for step in (-0.5, 0.5)
    ]
    change = np.abs(pair[1].astype(float) - pair[0])  # (40, 78, 64)
    rows = np.array_split(np.arange(78), causes.PATCHES)
    columns = np.array_split(np.arange(64), causes.PATCHES)
    real = np.array([[change[:, r][:, :, c].mean(axis=(1, 2)) for c in columns] for r in rows])
    told = causes.changes(np.random.default_rng(7), shown, lesion).reshape(40, *real.shape[:2])
    for film, own in zip(np.moveaxis(real, 2, 0), told, strict=True):
        assert np.corrcoef(film.ravel(), own.ravel())[0, 1] > 0.9
    corner = told[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corner == 0).all()


@pytest.mark.parametrize("reports", ["fixed", "varied"])
def test_every_observation_of_a_report_is_one_of_the_sentences(reports):
    varied = np.random.default_rng(0) if reports == "varied" else None
    told = causes.of_sentences(Severity(reports=reports))
    written = observations(np.linspace(-3, 3, 50), varied)
    for column in written.columns:
        assert set(written[column]) <= set(told["wording"])
    assert set(told["observation"]) == set(range(16))


def test_signals_without_a_slope_tell_nothing():
    told = causes.of_signals(Habits())
    named = told["label"].to_list()
    assert "O2 saturation pulseoxymetry" not in named and "Glucose" not in named
    assert {"Heart Rate", "Creatinine", "Foley"} <= set(named)
    silent = causes.of_signals(Habits(intubated_gcs=False))
    assert silent["words"].null_count() == silent.height
    assert told.height == silent.height + 1


@pytest.mark.parametrize(
    ("way", "shows"),
    [("level", [True, True, True]), ("drift", [False, True, True]),
     ("transient", [False, True, False]), ("variability", [True, True, True])],
)  # fmt: skip
def test_hours_are_those_in_which_the_course_shows_severity(way, shows):
    hours = causes.by_hour(Severity(vitals=way))
    assert len(hours) == 48 and [hours[h] > 0.1 for h in (0, 14, 40)] == shows


def test_tasks_have_the_causes_of_their_effects():
    assert causes.by_task(Effects())["shock_4h"] == ["e"]
    assert "arf" in causes.by_task(Effects())["longstay"]
    assert "arf" not in causes.by_task(Effects(chain=0))["longstay"]
