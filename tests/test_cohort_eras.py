"""The split by calendar era: who is in which split, who is left out, what a fit may read."""

import json
import sys
from datetime import datetime
from types import SimpleNamespace

import duckdb
import numpy as np
import polars as pl
import pytest
import yaml
from checkout import REPOSITORY
from episodes_at_hand import cohort_of
from hospital_files import files
from hypothesis import given, settings
from hypothesis import strategies as st
from kit_at_hand import kit_of
from meds_at_hand import extracted

from pipeline.cohort import eras
from pipeline.cohort.episodes import select_episodes
from pipeline.cohort.settings import ERA_TABLES, Fold
from pipeline.cohort.split import split_of
from pipeline.ehr import bins as stage
from pipeline.kit.methods import methods
from pipeline.meds import splits
from pipeline.plan.configuration import check
from pipeline.plan.wiring import Wiring
from pipeline.report.verdicts import era_words
from pipeline.stage.errors import InputError
from pipeline.stage.settings import json_argument

SHARES = {"train": 0.45, "fusion": 0.22, "val": 0.08, "test": 0.25}
LATE = 2014
SPLIT = Fold(salt="a", **SHARES, by="era", late=LATE)
TEXTS = ("insurance", "language", "marital_status", "race", "admission_type", "admission_location")
GROUPS = ("2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019", None)
ANCHOR = 2150


def hospital(patients):
    """Tables of patients {subject: (anchor_year_group, years since the anchor of each admission)},
    all adults, in an ICU after an hour for two days."""
    rows = [
        {
            "subject_id": subject,
            "hadm_id": 10 * subject + number,
            "stay_id": 10_000 + 10 * subject + number,
            "admittime": datetime(ANCHOR + years, 3, 1, 8),
            "dischtime": datetime(ANCHOR + years, 3, 9, 8),
            "intime": datetime(ANCHOR + years, 3, 1, 9),
            "outtime": datetime(ANCHOR + years, 3, 4, 9),
            "deathtime": None,
            "edregtime": None,
            "first_careunit": "MICU",
            **dict.fromkeys(TEXTS, "Other"),
        }
        for subject, (_, all_years) in patients.items()
        for number, years in enumerate(all_years)
    ]
    frame = pl.DataFrame(rows).with_columns(
        pl.col("admittime", "dischtime", "deathtime", "edregtime", "intime", "outtime").cast(
            pl.Datetime("us")
        )
    )
    persons = pl.DataFrame({
        "subject_id": list(patients),
        "anchor_year_group": pl.Series([group for group, _ in patients.values()], dtype=pl.String),
    }).with_columns(gender=pl.lit("F"), anchor_age=60, anchor_year=ANCHOR,
                    dod=pl.lit(None, pl.Date))  # fmt: skip
    return {
        "patients": persons,
        "admissions": frame.drop("stay_id", "intime", "outtime", "first_careunit"),
        "icustays": frame.select(
            "subject_id", "hadm_id", "stay_id", "intime", "outtime", "first_careunit"
        ),
    }


def select(sources, unit="admission", split=SPLIT):
    """Episodes and attrition; of stays the first heart rate is charted as they begin."""
    with duckdb.connect() as database:
        beats = sources["icustays"].select("stay_id", charttime="intime", itemid=220045)
        database.register("chartevents", beats)
        return select_episodes(database, sources, cohort_of(), split, 2022, unit)


def year(group, since):
    """The calendar year that counts, worked out by hand: the middle of the group, moved."""
    return int(group[:4]) + 1 + since


# two patients so that both eras are there; further ones at random
PATIENT = st.tuples(
    st.sampled_from(GROUPS), st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True)
)
FIRM = {901: ("2008 - 2010", [0]), 902: ("2017 - 2019", [0])}


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.integers(1, 60), PATIENT, max_size=12),
    st.sampled_from(["admission", "stay"]),
)
def test_no_patient_is_in_two_splits_and_eras_do_not_mix(drawn, unit):
    patients = drawn | FIRM
    found, rows = select(hospital(patients), unit)
    assert found.group_by("subject_id").agg(pl.col("split").n_unique())["split"].max() == 1
    expected = {}
    for subject, (group, since) in patients.items():
        if group is None:
            continue
        sides = {s: year(group, s) >= LATE for s in since}
        own = sides[min(since)]
        for number, s in enumerate(since):
            if sides[s] == own:
                name = "test" if own else split_of(subject, SPLIT)
                expected[10 * subject + number] = name
    assert dict(found.select("hadm_id", "split").iter_rows()) == expected
    # as the result's subgroups name the eras
    starts = found.select("split", start=eras.era().str.head(4).cast(pl.Int64))
    assert (starts.filter(pl.col("split") == "test")["start"] >= LATE).all()
    assert (starts.filter(pl.col("split") != "test")["start"] < LATE).all()
    assert rows[-1]["episodes"] == found.height
    known = sum(len(since) for group, since in patients.values() if group)
    assert [row["episodes"] for row in rows[-2:]] == [known, len(expected)]


def test_a_late_admission_of_an_early_patient_is_left_out_and_counted():
    sources = hospital({1: ("2011 - 2013", [0, 4]), 2: ("2014 - 2016", [0]), 3: (None, [0])})
    found, rows = select(sources)
    assert found.sort("episode_id")["hadm_id"].to_list() == [10, 20]
    assert [(row["condition"], row["episodes"], row["subjects"]) for row in rows[-3:]] == [
        ("in an ICU within 48 h of admission", 4, 3),
        ("whose calendar years are known", 3, 2),
        ("in the era (before 2014, or from it on) of the patient's first episode", 2, 2),
    ]


def test_first_means_the_first_episode_of_the_cohort():
    """An early admission that the cohort leaves out does not make its patient an early one."""
    sources = hospital({1: ("2011 - 2013", [0, 4]), 2: ("2008 - 2010", [0])})
    sources["icustays"] = sources["icustays"].filter(pl.col("hadm_id") != 10)
    found, _ = select(sources)
    assert dict(found.select("hadm_id", "split").iter_rows())[11] == "test"


def test_early_patients_keep_their_proportions():
    patients = {s: ("2008 - 2010", [0]) for s in range(1, 4001)} | {9999: ("2017 - 2019", [0])}
    found, _ = select(hospital(patients))
    shares = dict(found["split"].value_counts(normalize=True).iter_rows())
    for name in ("train", "fusion", "val"):
        assert shares[name] == pytest.approx(SHARES[name] / 0.75, abs=0.02)
    assert found.filter(split="test").height == 1


def test_a_cohort_on_one_side_is_refused_with_the_eras_that_there_are():
    patients = {s: ("2008 - 2010", [0]) for s in range(1, 13)} | {99: ("2011 - 2013", [0])}
    message = r"split.late: 2014 divides no episodes.* 2008 - 2010: 12, 2011 - 2013: <10; set"
    with pytest.raises(InputError, match=message):
        select(hospital(patients))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "era"}, "split: by era, but late is null; set it to .* 2011, 2014, 2017, 2020"),
        ({"by": "era", "late": 2015}, "split: by era, but late is 2015"),
        ({"late": 2014}, "split: late is 2014, but the split is by patient"),
        ({"by": "ward"}, "config: split.by: "),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(InputError, match=message):
        json_argument("split", Fold)(json.dumps({"salt": "a", **SHARES, **change}))


@pytest.fixture
def fit(tmp_path):
    """A connection as a fit on the source has it."""
    patients = {
        1: ("2008 - 2010", [0, 1]),
        2: ("2011 - 2013", [0, 4]),  # a late admission: in another cohort it may be the first
        3: ("2014 - 2016", [0]),
        4: (None, [0]),
    }
    patients |= {s: ("2008 - 2010", [0]) for s in range(10, 60)}
    sources = hospital(patients)
    files = []
    for name in eras.TABLES:
        files.append(str(tmp_path / f"{name}.parquet"))
        sources[name].write_parquet(files[-1])
    with duckdb.connect() as database:
        eras.prepare_fit(database, SPLIT, files)
        yield database, sources


def test_what_a_fit_reads_is_of_early_training_patients_and_not_late(fit):
    database, sources = fit
    times = pl.DataFrame({"years": np.arange(8)}).select(
        time=pl.datetime(ANCHOR + pl.col("years"), 1, 1)
    )
    rows = sources["patients"].select("subject_id").join(times, how="cross")
    database.register("charted", rows)
    read = database.sql("FROM charted WHERE trained_on(subject_id, time)").pl()
    hashed = {s for s in sources["patients"]["subject_id"] if split_of(s, SPLIT) == "train"}
    assert set(read["subject_id"]) == hashed - {2, 3, 4}
    # 2008 - 2010: 2009 is the anchor year, so that 2014 begins five years later
    assert read["time"].max() == datetime(ANCHOR + 4, 1, 1)
    assert database.sql("SELECT split_of(4), split_of(2), split_of(NULL)").fetchall() == [
        ("test", "test", "test")
    ]


def test_a_fit_by_patient_reads_what_it_read():
    by_patient = Fold(salt="a", **SHARES)
    with duckdb.connect() as database:
        eras.prepare_fit(database, by_patient, [])
        read = database.sql("SELECT s FROM range(500) AS t(s) WHERE trained_on(s, NULL)").fetchall()
    assert [s for (s,) in read] == [s for s in range(500) if split_of(s, by_patient) == "train"]


def test_every_fit_on_the_source_asks_the_one_function():
    """The stages ask the one function, and no stage asks the hash alone."""
    stages = ("pipeline/ehr/bins.py", "pipeline/note/doc2vec.py", "pipeline/note/train_bert.py")
    for path in stages:
        text = (REPOSITORY / path).read_text()
        assert "eras.prepare_fit(" in text and "trained_on(subject_id, " in text
    users = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "pipeline").rglob("*.py")
        if "create_macro(" in path.read_text()
    }
    assert users == {f"pipeline/cohort/{name}.py" for name in ("episodes", "eras", "split")}


def test_bins_by_era_do_not_change_with_what_is_charted_late(tmp_path, monkeypatch):
    """Absurd heart rates of late patients, and of early ones in the late era, move no bin."""
    source = extracted(files(300, films=False) / "mimiciv/3.1", tmp_path / "source")
    split = json.dumps({"salt": "a", **SHARES, "by": "era", "late": LATE})

    def bins():
        tables = [source / f"{name}.parquet" for name in ERA_TABLES]
        output = tmp_path / "bins.parquet"
        words = ["bins", "--source", source, "--split", split, "--output", output]
        words += ["--eras", *tables]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        stage.main()
        return pl.read_parquet(tmp_path / "bins.parquet")

    before = bins()
    path = source / "chartevents.parquet"
    charted = pl.read_parquet(path)
    years = pl.read_parquet(source / "patients.parquet").select("subject_id", "anchor_year")
    rates = charted.filter(itemid=220045).join(years, on="subject_id")
    planted = rates.with_columns(
        charttime=pl.datetime(pl.col("anchor_year") + 20, 1, 1), valuenum=pl.lit(290.0)
    ).select(charted.columns)
    pl.concat([charted, planted]).write_parquet(path)
    assert bins().equals(before)
    soon = planted.with_columns(rates["charttime"])  # in time: a fit must see it
    pl.concat([charted, soon]).write_parquet(path)
    assert not bins().equals(before)


def test_folds_are_refused_and_the_test_share_is_not_asked():
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    config["split"] |= {"by": "era", "late": LATE}
    check({**config})
    with pytest.raises(InputError, match=r"folds: 4, but split.by is era.*; set folds: 1"):
        check({**config, "folds": 4})
    with pytest.raises(InputError, match="kind meds tells no calendar years"):
        check({**config, "source": {"kind": "meds", "root": "."}})


def test_only_a_split_by_era_gives_fits_the_tables_of_eras():
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    corrected, published = (SimpleNamespace(protocol=name) for name in ("corrected", "published"))
    assert Wiring(config).eras(corrected) == []
    config["split"] |= {"by": "era", "late": LATE}
    files = ["results/source/patients.parquet", "results/source/admissions.parquet"]
    assert Wiring(config).eras(corrected) == files
    assert Wiring(config).eras(published) == []


def test_the_kit_and_the_screen_name_the_era():
    kit = kit_of()
    before = " ".join(methods(kit))
    kit.result["settings"]["split"] = {**SHARES, "by": "era", "late": LATE}
    after = " ".join(methods(kit))
    assert "2014 or later: test" in after and "2014" not in before
    assert "test (25 %" in before and "test (25 %" not in after  # a share that was not used
    assert era_words([kit.result]).startswith("Split by era: trained on patients whose first")


def test_meds_splits_are_refused(tmp_path, monkeypatch):
    pl.DataFrame({"subject_id": [1]}).write_parquet(tmp_path / "patients.parquet")
    asked = ["--patients", tmp_path / "patients.parquet", "--output", tmp_path / "s.parquet"]
    split = json.dumps({"salt": "a", **SHARES, "by": "era", "late": LATE})
    monkeypatch.setattr(sys, "argv", ["splits", *map(str, asked), "--split", split])
    with pytest.raises(InputError, match=r"split.by: era .*; set split.by: patient"):
        splits.main()
    assert not (tmp_path / "s.parquet").exists()


def test_a_fit_by_era_without_the_tables_is_refused():
    with duckdb.connect() as database, pytest.raises(InputError, match="needs patients and adm"):
        eras.prepare_fit(database, SPLIT, [])
