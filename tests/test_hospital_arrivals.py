"""The habit `late_arrival`: beds assigned before the patient comes, and what that changes."""

import numpy as np
import polars as pl
from hospital_files import admissions, digests, eligible, files, icu_stays, table, timed

from pipeline.hospital import arrivals, truth
from pipeline.hospital.settings import HOUR, PREDICTION, Habits

ON_TIME = Habits(late_arrival=False)
MOVED = {"hosp/transfers", "icu/icustays", "icu/chartevents", "icu/inputevents"}
MOVED |= {"icu/procedureevents"}


def early():
    """Early stays with the minute `icu` at which the patient really arrives."""
    truly = admissions().select("hadm_id", "admittime", "icu", "dies", "e", "c", "n", "shown_e")
    stays = icu_stays().sort("intime").unique("hadm_id", keep="first", maintain_order=True)
    stays = stays.join(truly, on="hadm_id").filter(pl.col("icu").is_between(0, PREDICTION - 1))
    arrived = pl.col("admittime") + pl.duration(minutes="icu")
    return stays.with_columns(
        arrived.alias("arrived"),
        ((pl.col("intime") - arrived).dt.total_minutes()).alias("bed"),
        ((pl.col("first") - pl.col("intime")).dt.total_minutes()).alias("wait"),
    )


def theatre(name, item, time):
    """Rows of an item between the bed's assignment and the arrival of early stays, by stay."""
    rows = table(name).filter(pl.col("itemid") == item).join(early(), on="stay_id")
    return rows.filter(pl.col(time) < pl.col("arrived")).with_columns(pl.col(time).alias("begun"))


def test_clock_zero_is_the_minute_at_which_the_patient_comes():
    stays = early()
    assert (stays["arrival"].drop_nulls() == stays.drop_nulls("arrival")["arrived"]).all()
    assert 0.15 < (stays["bed"] <= -HOUR).mean() < 0.22
    assert stays["bed"].is_between(-6 * HOUR, 0).all() and (stays["bed"] == 0).mean() > 0.7
    assert 0.2 < (stays["wait"] < 0).mean() < 0.32
    assert 1 <= stays["first"].null_count() < 0.03 * stays.height


def test_on_time_every_bed_is_assigned_when_the_patient_comes():
    stays = icu_stays(files(films=False, habits=ON_TIME))
    assert stays["first"].null_count() == 0
    assert (stays["first"] == stays["intime"]).all()


def test_nothing_else_moves():
    late, on_time = (digests(files(films=False, habits=habit)) for habit in (Habits(), ON_TIME))
    assert late.keys() == on_time.keys()
    moved = {name for name in late if late[name] != on_time[name]}
    assert {"/".join(name.split(".csv")[0].split("/")[-2:]) for name in moved} == MOVED
    for name in MOVED - {"hosp/transfers", "icu/icustays"}:
        ours, theirs = (table(name, files(films=False, habits=h)) for h in (Habits(), ON_TIME))
        lost = theirs.join(ours, on=theirs.columns, how="anti", nulls_equal=True)
        others = ours.join(theirs, on=theirs.columns, how="anti", nulls_equal=True)
        changed = lost["stay_id"].n_unique() / table("icu/icustays")["stay_id"].n_unique()
        assert changed < (0.3 if name == "icu/chartevents" else 1e-9)
        assert others.height > 50


def test_some_come_from_theatre_ventilated_and_on_a_vasopressor():
    found = [
        theatre("icu/chartevents", arrivals.PEEP, "charttime"),
        theatre("icu/procedureevents", arrivals.VENTILATION, "starttime"),
        theatre("icu/inputevents", arrivals.PHENYLEPHRINE, "starttime"),
    ]
    who = [set(rows["stay_id"]) for rows in found]
    assert who[0] == who[1] == who[2] and 50 < len(who[0]) < 150
    for rows in found:
        assert (rows["bed"] < 0).all()
        assert (rows["begun"] >= rows["intime"]).all()
    for rows in found[1:]:  # over before any shock or respiratory failure sets in
        over = (rows["endtime"] - rows["arrived"]).dt.total_minutes()
        assert over.is_between(1, 4 * HOUR).all()
    assert (found[2]["amount"] > 0).all()


def test_who_is_late_or_from_theatre_depends_on_nothing():
    stays = early()
    from_theatre = theatre("icu/inputevents", arrivals.PHENYLEPHRINE, "starttime")["stay_id"]
    kinds = [
        stays["bed"] < 0,
        stays["wait"].fill_null(0) < 0,
        stays["stay_id"].is_in(from_theatre.implode()),
    ]
    for kind in kinds:
        for name in ("e", "c", "n", "shown_e", "dies"):
            both = np.corrcoef(kind.cast(float), stays[name].cast(float))[0, 1]
            assert abs(both) < 4 / np.sqrt(stays.height)


def test_the_oracle_of_admissions_reads_the_same_and_is_calibrated_among_the_late():
    """Theatre's vasopressor and ventilation are no sign of shock or respiratory failure."""
    name = "truth/oracle_mortality.parquet"
    late, on_time = (
        pl.read_parquet(files(films=False, habits=h) / name) for h in (Habits(), ON_TIME)
    )
    assert late.equals(on_time)
    came = theatre("icu/inputevents", arrivals.PHENYLEPHRINE, "starttime")["hadm_id"].implode()
    p = eligible().join(late, on="hadm_id").with_columns(theatre=pl.col("hadm_id").is_in(came))
    for _, part in p.group_by("theatre"):
        chance = part["ecn"].to_numpy()
        spread = np.sqrt((chance * (1 - chance)).sum())
        assert abs(part["dies"].sum() - chance.sum()) < 4 * spread
    assert truth.auroc(p["ecn"].to_numpy(), p["dies"].to_numpy()) > 0.9


def test_both_times_lie_within_the_admission_and_its_first_two_days():
    """icu_within_hours goes by intime: nobody enters or leaves the cohort of admissions."""
    stays = timed(icu_stays(), enter="intime")
    on_time = timed(icu_stays(files(films=False, habits=ON_TIME)), enter="intime")
    assert (stays["enter"] > 0).all()
    within = [set(s.filter(pl.col("enter") <= PREDICTION)["hadm_id"]) for s in (stays, on_time)]
    assert within[0] == within[1]
