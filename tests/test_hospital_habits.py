"""What makes real tables awkward is there: repeats, gaps, oddities, early and late deaths."""

from dataclasses import replace

import duckdb
import numpy as np
import polars as pl
import pytest
from episodes_at_hand import cohort_of, split_by
from hospital_files import (
    HABITS,
    admissions,
    digests,
    eligible,
    files,
    films,
    table,
    timed,
    written,
)

from pipeline.cohort.episodes import select_episodes
from pipeline.hospital import events
from pipeline.hospital.layout import location
from pipeline.hospital.settings import HOUR, PREDICTION, Habits


def share(condition):
    """The share of rows of a table for which the condition holds."""
    return condition.cast(float).mean()


def test_patients_come_back_and_some_have_several_icu_stays_in_one_admission():
    per_patient = table("hosp/admissions").group_by("subject_id").len()["len"]
    assert per_patient.max() >= 4 and 0.1 < share(per_patient > 1) < 0.6
    per_admission = table("icu/icustays").group_by("hadm_id").len()["len"]
    assert per_admission.max() == 2 and 0.03 < share(per_admission > 1) < 0.2
    assert 0.03 < 1 - per_admission.len() / table("hosp/admissions").height < 0.15  # no ICU at all


def test_admissions_of_a_patient_do_not_overlap():
    rows = table("hosp/admissions").sort("subject_id", "admittime")
    gap = pl.col("admittime").shift(-1).over("subject_id") - pl.col("dischtime")
    assert rows.select((gap.drop_nulls() >= pl.duration(days=1)).all()).item()
    assert rows.select((pl.col("admittime") < pl.col("dischtime")).all()).item()
    days = rows.select(gap.dt.total_days())["admittime"].drop_nulls()
    assert (days < 30).sum() > 20 and (days > 30).sum() > 20  # readmissions, and later admissions


def test_first_years_are_those_of_the_anchor():
    rows = table("hosp/admissions").join(table("hosp/patients"), on="subject_id")
    years = rows.select(pl.col("admittime").dt.year() - pl.col("anchor_year"))["admittime"]
    assert years.min() == 0 and years.max() < 20
    ages = table("hosp/patients")["anchor_age"]
    assert ages.is_between(18, 91).all() and 90 not in ages and 91 in ages


def episodes_of(root, **cohort):
    """The product's episodes of a hospital, with the era in which their patient first came."""
    names = {"patients": "hosp", "admissions": "hosp", "icustays": "icu"}
    sources = {name: table(f"{folder}/{name}", root) for name, folder in names.items()}
    shares = {"train": 0.4, "fusion": 0.2, "val": 0.2, "test": 0.2}
    with duckdb.connect() as database:
        asked = cohort_of(min_age=None, window_hours=48, icu_within_hours=None, ids=None, **cohort)
        found, _ = select_episodes(database, sources, asked, split_by("a", shares), 2022)
    first = admissions().filter(number=0).select("hadm_id", came="anchor_year_group")
    own = sources["patients"].select("subject_id", "anchor_year_group", "anchor_year", "anchor_age")
    return found.join(first, on="hadm_id").join(own, on="subject_id")


def test_some_patients_come_years_after_their_anchor_year():
    start, end = (pl.col("came").str.slice(k, 4).cast(pl.Int64) for k in (0, 7))
    inside = (pl.col("first_year") <= end) & (pl.col("last_year") >= start)
    found = episodes_of(files())
    later = pl.col("start").dt.year() - pl.col("anchor_year")
    assert found.select(inside.all()).item()  # an admission is in the era in which it happened
    other = found.filter(pl.col("anchor_year_group") != pl.col("came"))
    assert 0.15 < other.height / found.height < 0.5  # which the patient's does not name
    assert found["last_year"].max() == 2022 and (found["first_year"] <= found["last_year"]).all()
    beyond = pl.col("anchor_year_group").str.slice(7, 4).cast(pl.Int64) + later
    assert found.select((beyond > 2022).sum()).item() > 20  # but for the end of the release
    assert found.select((pl.col("anchor_age") + later > 91).sum()).item() > 3
    assert found["age"].max() == 91 and 90 not in found["age"]


def test_without_later_years_the_first_admission_is_of_the_anchor_year_and_nothing_else_changes():
    plain = files(250, films=False, habits=Habits(later_years=False))
    habit = files(250, films=False)
    found = episodes_of(plain)
    assert found.height > 200
    assert (found["anchor_year_group"] == found["came"]).all()
    one, other = digests(plain), digests(habit)
    assert {name for name in one if one[name] != other[name]} == {location("hosp/patients", "3.1")}


def test_emergencies_were_registered_in_the_ed_before_admission():
    rows = timed(table("hosp/admissions"), registered="edregtime", left="edouttime")
    ed = rows.filter(pl.col("edregtime").is_not_null())
    assert 0.4 < ed.height / rows.height < 0.8
    assert ed["registered"].is_between(-24 * HOUR, -HOUR).all() and (ed["left"] > 0).all()
    assert (ed["admission_location"] == "EMERGENCY ROOM").all()


def test_deaths_early_in_hospital_after_48_h_and_after_discharge():
    rows = table("hosp/admissions").join(table("hosp/patients"), on="subject_id")
    hours = (pl.col("deathtime") - pl.col("admittime")).dt.total_minutes() / HOUR
    told = rows.filter(pl.col("hospital_expire_flag") == 1).with_columns(hours.alias("hours"))
    assert (told["deathtime"] == told["dischtime"]).all()
    assert (told["discharge_location"] == "DIED").all()
    assert (told["hours"] < 48).sum() > 10 and (told["hours"] > 48).sum() > 100
    home_early = rows.filter(
        pl.col("hospital_expire_flag") == 0,
        pl.col("dischtime") - pl.col("admittime") < pl.duration(hours=48),
    )
    assert home_early.height > 10
    alive = rows.filter(pl.col("hospital_expire_flag") == 0)
    assert alive["deathtime"].null_count() == alive.height
    death = pl.col("dod").cast(pl.String).str.to_date()
    assert told.select((death == pl.col("deathtime").dt.date()).all()).item()
    last = rows.sort("admittime").unique("subject_id", keep="last")
    later = last.filter(pl.col("hospital_expire_flag") == 0, pl.col("dod").is_not_null())
    after = later.select((death - pl.col("dischtime").dt.date()).dt.total_days())["dod"]
    assert 0.05 < later.height / last.height < 0.2
    assert after.is_between(1, 366).all()  # as far as MIMIC looks


def test_ways_between_the_wards_are_whole_and_agree_with_the_icu_stays():
    rows = timed(table("hosp/transfers"), enter="intime", leave="outtime")
    stays = table("icu/icustays")
    kinds = rows["eventtype"].value_counts().sort("eventtype")["eventtype"].to_list()
    assert kinds == ["ED", "admit", "discharge", "transfer"]
    inside = rows.filter(pl.col("eventtype") != "ED").sort("hadm_id", "enter", "leave")
    gone = pl.col("leave").fill_null(pl.col("enter"))
    gap = inside.select((pl.col("enter").shift(-1) - gone).over("hadm_id").drop_nulls())
    assert (gap["enter"] == 0).all()  # each way begins where the one before ended
    assert inside.group_by("hadm_id").agg(pl.col("enter").min())["enter"].unique().to_list() == [0]
    icu = rows.join(stays, left_on="transfer_id", right_on="stay_id")
    assert icu.height == stays.height
    for mine, theirs in [("careunit", "first_careunit"), ("intime", "intime_right"),
                         ("outtime", "outtime_right")]:  # fmt: skip
        assert (icu[mine] == icu[theirs]).all()
    los = (pl.col("outtime") - pl.col("intime")).dt.total_minutes() / (24 * HOUR)
    assert stays.select(((pl.col("los") - los).abs() < 1e-9).all()).item()
    dead = table("hosp/admissions").filter(pl.col("hospital_expire_flag") == 1)
    last = stays.sort("intime").unique("hadm_id", keep="last").join(dead, on="hadm_id")
    assert last.select((pl.col("outtime") == pl.col("deathtime")).all()).item()


def test_charting_is_irregular():
    rows = table("icu/chartevents")
    times = rows.filter(pl.col("itemid") == 220045).sort("stay_id", "charttime")
    steps = times.select(pl.col("charttime").diff().over("stay_id"))["charttime"].drop_nulls()
    minutes = steps.dt.total_minutes()
    assert minutes.quantile(0.1) < 60 < 240 < minutes.quantile(0.9)
    delay = (rows["storetime"] - rows["charttime"]).dt.total_minutes()
    assert delay.min() >= 0 and delay.n_unique() > 20


class Tables(dict):
    """Takes the rows of tables in place of a `Writer`."""

    def write(self, name, rows):
        self[name] = rows


def test_the_hour_of_a_limit_does_not_tell_how_long_the_stay_is():
    """At 48 hours a limit is as frequent in stays that end soon as in long ones."""
    few, rows = Tables(), pl.int_range(40_000)
    stays = pl.select(rows.alias("stay_id"), hadm_id=rows, subject_id=rows, icu=60).with_columns(
        icu_out=pl.when(pl.col("stay_id") < 20_000).then(50 * HOUR).otherwise(600 * HOUR),
        admittime=pl.datetime(2150, 1, 1),
    )
    events.write_code_status(few, np.random.default_rng(0), stays)
    charts = few["icu/chartevents"].filter(pl.col("value").fill_null("") != "Full code")
    assert charts["minute"].max() > 100 * HOUR  # some come later
    assert charts.filter(pl.col("stay_id") < 20_000)["minute"].max() <= 50 * HOUR
    told = charts.filter(pl.col("minute") <= PREDICTION)["stay_id"]
    shares = [(told < 20_000).sum() / 20_000, (told >= 20_000).sum() / 20_000]
    assert 0.03 < shares[0] < 0.07 and abs(shares[0] - shares[1]) < 0.01


def test_no_two_parts_of_the_hospital_draw_from_one_stream(monkeypatch):
    seeds, make = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: seeds.append(seed) or make(seed))
    files(20, films=False, seed=99)
    numbers = [tuple(seed) for seed in seeds]
    assert len(numbers) == len(set(numbers)) > 15


def without(habit):
    """A small hospital without one habit."""
    return files(300, films=False, habits=replace(HABITS, **{habit: False}))


@pytest.mark.parametrize("name", ["icu/chartevents", "note/radiology", "cxr/metadata"])
def test_some_rows_are_written_twice_by_habit_alone(name):
    rows = written(name)
    repeated = (rows.height - table(name).height) / rows.height
    assert 0.001 < repeated < 0.01
    plain = without("repeated_rows")
    clean = table(name, plain)
    assert written(name, plain).height == clean.height
    few = clean["subject_id"].unique()  # else the same rows
    assert table(name).filter(pl.col("subject_id").is_in(few.implode())).equals(clean)


@pytest.mark.parametrize(("item", "wrong", "low", "high"), [(220045, [999, 0, -5, 1e7], 20, 220),
                                                            (220179, [0], 40, 220)])  # fmt: skip
def test_some_values_are_implausible(item, wrong, low, high):
    values = table("icu/chartevents").filter(pl.col("itemid") == item)["valuenum"]
    error = values.is_in([float(value) for value in wrong])
    assert 0.005 < share(error) < 0.05
    assert values.filter(error).n_unique() == len(wrong)
    assert values.filter(~error).is_between(low, high).all()
    right = table("icu/chartevents", without("impossible_values")).filter(itemid=item)["valuenum"]
    assert right.is_between(low, high).all()


def test_fahrenheit_is_charted_as_celsius():
    """As on the open demo, where 3 of 391 values of 223762 are above 97."""
    rows = table("icu/chartevents").filter(itemid=223762)
    assert rows.height > 100 and rows["valuenum"].is_between(90, 110).all()
    assert rows["valueuom"].unique().to_list() == ["°C"]
    assert table("icu/chartevents", without("impossible_values")).filter(itemid=223762).is_empty()


def ventilated(charts, procedures):
    """Charted rows, and whether each lies within an invasive ventilation of its stay."""
    runs = procedures.filter(itemid=225792).select("stay_id", "starttime", "endtime")
    rows = charts.with_row_index("row")
    inside = rows.join(runs, on="stay_id").filter(
        pl.col("charttime") >= pl.col("starttime"), pl.col("charttime") <= pl.col("endtime")
    )
    return rows.with_columns(pl.col("row").is_in(inside["row"].unique().implode()).alias("inside"))


def test_verbal_response_of_the_ventilated_is_that_of_a_tube_and_of_nobody_else():
    small = files(300, films=False)
    charts = table("icu/chartevents", small).filter(itemid=223900)
    rows = ventilated(charts, table("icu/procedureevents", small))
    tube = rows["value"] == "No Response-ETT"
    assert tube.sum() > 200
    assert (tube == rows["inside"]).all()
    assert (rows.filter(tube)["valuenum"] == 1).all()
    plain = table("icu/chartevents", without("intubated_gcs")).filter(itemid=223900)
    assert "No Response-ETT" not in plain["value"]
    # nothing else differs, so what it tells is the ventilation and no latent
    outside = charts.filter(~tube)
    assert outside.equals(plain.filter(~tube))


def test_ones_of_the_open_demo_lie_within_invasive_ventilation(mimic_demo):
    """Its texts are missing, so it cannot say which of them are those of a tube."""
    ones, procedures = (
        duckdb.sql(f"FROM read_csv('{mimic_demo}/icu/{name}.csv.gz') WHERE {chosen}").pl()
        for name, chosen in {
            "chartevents": "itemid = 223900 AND valuenum = 1",
            "procedureevents": "itemid = 225792",
        }.items()
    )
    inside = ventilated(ones, procedures)["inside"].sum()
    assert (ones.height, inside) == (1426, 1353)


@pytest.mark.parametrize("habit", ["intubated_gcs", "impossible_values"])
def test_without_a_habit_of_charting_all_else_is_the_same(habit):
    usual, changed = digests(files(300, films=False)), digests(without(habit))
    charts = "mimiciv/3.1/icu/chartevents.csv.gz"
    assert {name for name in usual if usual[name] != changed[name]} == {charts}


def test_some_lab_values_are_text_and_a_twentieth_lacks_the_admission():
    rows = table("hosp/labevents")
    rows = rows.filter(pl.col("itemid") != 52033)  # the type of a specimen has no number
    text = rows.filter(pl.col("valuenum").is_null())
    assert 0.003 < text.height / rows.height < 0.02
    assert "___" in text["value"] and "NEG" in text["value"]
    numbers = rows.filter(pl.col("valuenum").is_not_null())
    assert (numbers["value"].cast(float) == numbers["valuenum"]).all()
    assert 0.03 < rows["hadm_id"].null_count() / rows.height < 0.07
    coma = table("icu/chartevents").filter(pl.col("itemid") == 223900)
    assert "Confused" in coma["value"] and coma["valuenum"].null_count() == 0


def test_reports_some_without_text_admission_or_of_ct_and_ultrasound():
    rows = table("note/radiology")
    empty = rows["text"].is_null()
    assert 0.005 < share(empty) < 0.03
    assert 0.03 < rows["hadm_id"].null_count() / rows.height < 0.07
    addenda = rows.filter(pl.col("note_type") == "AR")
    assert 0.005 < addenda.height / rows.height < 0.04
    assert addenda["text"].str.starts_with("ADDENDUM").all()
    full = rows.filter(~empty, pl.col("note_type") == "RR")["text"]
    for exam, least, most in [("CHEST (PORTABLE AP)", 0.6, 0.8), ("CT CHEST", 0.15, 0.25),
                              ("US ABD", 0.05, 0.15)]:  # fmt: skip
        assert least < share(full.str.contains(f"EXAMINATION:  {exam}", literal=True)) < most
    for section in ("INDICATION:", "TECHNIQUE:", "COMPARISON:", "FINDINGS:", "IMPRESSION:", "___"):
        assert full.str.contains(section, literal=True).all()
    assert (rows["charttime"] < rows["storetime"]).all()


def test_an_addendum_follows_a_report_of_its_patient():
    rows = table("note/radiology")
    addenda = rows.filter(pl.col("note_type") == "AR").select("subject_id", "charttime")
    reports = rows.filter(pl.col("note_type") == "RR").select("subject_id", "storetime")
    before = addenda.join(reports, on="subject_id").filter(
        (pl.col("charttime") - pl.col("storetime")).dt.total_minutes() == 20
    )
    assert before.select("subject_id", "charttime").unique().height == addenda.unique().height


def test_an_episode_with_empty_reports_only_has_no_notes_in_the_truth_either():
    rows = timed(table("note/radiology"), stored="storetime")
    rows = rows.filter(pl.col("stored") <= PREDICTION)
    kinds = rows.group_by("hadm_id").agg(pl.col("text").is_not_null().any().alias("worded"))
    oracle = pl.read_parquet(files() / "truth" / "oracle_mortality.parquet")
    oracle = oracle.select("hadm_id", read=pl.col("n"))
    noted = admissions().join(kinds, on="hadm_id").join(oracle, on="hadm_id")
    empty = noted.filter(~pl.col("worded"), ~pl.col("has_note"))
    assert empty.height > 5
    assert empty["read"].n_unique() == 1  # the prior
    assert noted.filter("worded")["has_note"].all()


def test_discharge_summaries_are_written_after_discharge_one_for_each_admission():
    rows = table("note/discharge").join(table("hosp/admissions"), on="hadm_id")
    assert rows.height == table("hosp/admissions").height
    assert (rows["storetime"] > rows["dischtime"]).all()
    told = rows["text"].str.contains("expired")
    assert (told == (rows["hospital_expire_flag"] == 1)).all()


def test_views_of_films_and_studies_of_several_films():
    rows = films()
    counts = {view: share(rows["ViewPosition"] == view) for view in ("AP", "PA", "LATERAL")}
    assert 0.6 < counts["AP"] < 0.9 and counts["PA"] > 0.05 and counts["LATERAL"] > 0.05
    assert (rows["minute"] < 0).any()  # in the emergency department
    per_study = rows.group_by("study_id").agg(pl.len(), pl.col("time").n_unique())
    assert per_study["len"].max() >= 2 and per_study["time"].max() == 1
    assert table("cxr/metadata")["StudyTime"].str.contains(r"^\d{1,5}\.").any()  # lost zeros


def test_some_episodes_lack_films_or_reports():
    early = films().filter(pl.col("minute") < PREDICTION)
    frontal = early.filter(pl.col("ViewPosition") == "AP")
    reported = timed(table("note/radiology"), stored="storetime")
    reported = reported.filter(pl.col("stored") <= PREDICTION, pl.col("text").is_not_null())
    found = [eligible()["hadm_id"].is_in(rows["hadm_id"].implode()) for rows in (frontal, reported)]
    for there, name in zip(found, ("has_film", "has_note"), strict=True):
        assert 0.03 < share(~there) < 0.2
        assert (there == eligible()[name]).mean() > 0.95  # reports without hadm_id are missed here
    only_pa = eligible().filter(~found[0])["hadm_id"].is_in(early["hadm_id"].implode())
    assert 0.2 < share(only_pa) < 0.8


def test_labellers_agree_mostly_and_differ_in_doubt():
    one, other = (table(f"cxr/{name}").sort("study_id") for name in ("chexpert", "negbio"))
    for column in ("Cardiomegaly", "Edema", "Pleural Effusion"):
        values = set(one[column].drop_nulls().unique())
        assert values == {1.0, 0.0, -1.0} and one[column].null_count() > 0
        same = one[column].eq_missing(other[column])
        assert 0.8 < share(same) < 1
    assert one["No Finding"].drop_nulls().unique().to_list() == [1.0]


def test_codes_of_both_versions_never_within_one_admission():
    rows = table("hosp/diagnoses_icd")
    assert {9, 10} == set(rows["icd_version"])
    assert rows.group_by("hadm_id").agg(pl.col("icd_version").n_unique())["icd_version"].max() == 1
    order = rows.group_by("hadm_id").agg(pl.col("seq_num"))["seq_num"]
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in order)
    titles = table("hosp/d_icd_diagnoses").join(rows, on=["icd_code", "icd_version"], how="right")
    assert titles["long_title"].null_count() == 0


def test_most_procedures_are_stored_after_they_end_and_cultures_mostly_do_not_grow():
    rows = table("icu/procedureevents")
    assert (rows["storetime"] > rows["endtime"]).all()
    grown = table("hosp/microbiologyevents")["org_name"].is_not_null()
    assert 0.05 < share(grown) < 0.3


def test_sparse_films_are_those_of_emergencies_in_the_years_of_mimic_cxr_and_the_truth_follows():
    root = files(films=False, habits=Habits(sparse_films=True))
    filmed = table("cxr/metadata", root)["subject_id"].unique()
    first = pl.col("anchor_year_group").str.slice(0, 4).cast(int)
    rows = eligible()
    first += pl.col("admittime").dt.year() - pl.col("anchor_year")
    covered = (pl.col("ed") > 0) & (first >= 2011) & (first + 2 <= 2016)
    expected = rows.select(covered & pl.col("has_film")).to_series()
    oracle, whole = (
        pl.read_parquet(folder / "truth" / "oracle_mortality.parquet", columns=["hadm_id", *sets])
        for folder, sets in ((root, ["c", "en", "ecn"]), (files(), ["c", "en", "ecn"]))
    )
    of = rows.select("hadm_id").join(oracle, on="hadm_id", how="left", maintain_order="left")
    with_film = of["c"] != of["c"].mode().item()  # the prior is that of most
    assert (with_film == expected).all()
    assert 0.1 < with_film.cast(float).mean() < 0.25
    assert (of.filter(~with_film)["ecn"] == of.filter(~with_film)["en"]).all()
    before = rows.select("hadm_id").join(whole, on="hadm_id", how="left", maintain_order="left")
    assert (before.filter(with_film)["ecn"] == of.filter(with_film)["ecn"]).all()
    never = admissions().filter(~(pl.col("ed") > 0).any().over("subject_id"))["subject_id"].unique()
    assert len(never) > 50 and not filmed.is_in(never.implode()).any()  # no film of any view


def test_sparse_films_change_no_other_table():
    root = files(films=False, habits=Habits(sparse_films=True))
    for name in ("hosp/admissions", "icu/chartevents", "note/radiology"):
        assert table(name, root).equals(table(name))
