"""ICU stays: the chain of events within them, later stays, codes, and their truth."""

from functools import cache

import numpy as np
import polars as pl
import pytest
from hospital_files import admissions, early_stays, files, icu_stays, later_stays, table, timed

from pipeline.hospital import films as drawn
from pipeline.hospital import stays as wards
from pipeline.hospital import truth, truth_stay
from pipeline.hospital.model import draw_course, probability
from pipeline.hospital.population import draw_chunk
from pipeline.hospital.settings import HOUR, PREDICTION, Effects, Settings
from pipeline.hospital.treatments import CODED_BY, diagnoses

NOREPINEPHRINE, VENTILATION, HEART_RATE, LACTATE = 221906, 225792, 220045, 50813
DRAWS = 400_000


def since_arrival(rows, stays, *times):
    """Rows of these stays' admissions, with minutes since the patient's arrival in each stay."""
    told = stays.select("hadm_id", "arrival").drop_nulls()
    return rows.join(told, on="hadm_id").with_columns(
        (pl.col(time) - pl.col("arrival")).dt.total_minutes().alias(f"{time}_in") for time in times
    )


def onsets(item, root=None):
    """Hours from the patient's arrival to the first interval of an item from then on, by stay."""
    name = "icu/inputevents" if item == NOREPINEPHRINE else "icu/procedureevents"
    rows = table(name, root).filter(pl.col("itemid") == item).select("stay_id", "starttime")
    rows = rows.join(icu_stays(root), on="stay_id")
    arrival = pl.coalesce("arrival", "intime")  # of stays without a heart rate
    hours = (pl.col("starttime") - arrival).dt.total_minutes() / HOUR
    rows = rows.with_columns(hours.alias("hours")).filter(pl.col("hours") >= 0)
    return rows.group_by("stay_id").agg(pl.col("hours").min())


@pytest.mark.parametrize("name", ["icu/chartevents", "icu/inputevents", "icu/procedureevents"])
def test_rows_of_a_later_stay_lie_within_it_and_after_the_admissions_prediction_time(name):
    time = "charttime" if name == "icu/chartevents" else "starttime"
    rows = timed(table(name), minute=time).join(later_stays(), on="stay_id")
    if name == "icu/procedureevents":  # lines of those who come late are charted with the early
        rows = rows.filter(pl.col("minute") > PREDICTION)
    assert rows["stay_id"].n_unique() > 0.4 * later_stays().height
    assert rows.select((pl.col(time) >= pl.col("intime")).all()).item()
    assert rows.select((pl.col(time) <= pl.col("outtime")).all()).item()
    assert rows["minute"].min() > PREDICTION


def test_later_stays_are_charted_as_densely_and_show_the_same_latent():
    charts = table("icu/chartevents").filter(
        pl.col("itemid") == HEART_RATE, pl.col("valuenum") < 240
    )
    sets = charts.join(icu_stays().select("stay_id", "arrival"), on="stay_id")
    sets = sets.filter((pl.col("storetime") - pl.col("arrival")).dt.total_hours() < 24)
    found = sets.group_by("stay_id", "hadm_id").agg(pl.len(), pl.col("valuenum").mean())
    early = found.join(early_stays(), on="stay_id", how="semi")
    later = found.join(later_stays(), on="stay_id", how="semi")
    assert later.height > 0.85 * later_stays().height
    assert 0.8 < later["len"].mean() / early["len"].mean() < 1.6  # short stays are charted closely
    both = later.join(admissions().select("hadm_id", "shown_e"), on="hadm_id")
    assert np.corrcoef(both["valuenum"], both["shown_e"])[0, 1] > 0.9


@pytest.mark.parametrize("item", [NOREPINEPHRINE, VENTILATION])
def test_shock_and_arf_occur_in_later_stays_many_of_them_prevalent(item):
    later = onsets(item).join(later_stays(), on="stay_id", how="semi")["hours"]
    prevalent = (later < 4).sum() / later_stays().height
    assert later.min() >= 10 / HOUR
    least = 0.2 if item == NOREPINEPHRINE else 0.05
    assert least < prevalent < 0.4
    assert 0.04 < (later >= 4).sum() / later_stays().height < 0.3  # incident
    early = onsets(item).join(early_stays(), on="stay_id", how="semi")["hours"]
    assert early.min() > 4.4  # nobody's: the chain is one of incident events


@pytest.mark.parametrize(
    ("event", "hours", "low", "high"),
    [("shock", 4, 0.12, 0.19), ("shock", 12, 0.06, 0.12), ("arf", 12, 0.12, 0.2)],
)
def test_share_of_positives_among_the_eligible(event, hours, low, high):
    stays = icu_stays().with_columns(
        length=(pl.col("outtime") - pl.col("arrival")).dt.total_minutes() / HOUR
    )
    at = onsets(NOREPINEPHRINE if event == "shock" else VENTILATION)
    there = stays.filter(pl.col("length") >= hours).join(at, on="stay_id", how="left")
    eligible = there.filter(pl.col("hours").is_null() | (pl.col("hours") >= hours))
    assert 0.01 < 1 - eligible.height / there.height < 0.2
    assert low < eligible["hours"].is_not_null().mean() < high


def test_nothing_known_within_48_h_of_an_arrival_in_the_icu_tells_who_dies():
    """The traps of the admission stay traps for every ICU stay of it, whichever they are of."""
    stays = icu_stays()
    outcome = admissions().select("hadm_id", "dies")
    vitals = table("icu/chartevents").filter(pl.col("valuenum") == 165.0)
    vitals = vitals.filter(pl.col("itemid") == HEART_RATE)
    labs = table("hosp/labevents").filter(pl.col("itemid") == LACTATE, pl.col("valuenum") == 19.9)
    notes = table("note/radiology").filter(pl.col("text").str.contains("Goals of care discussed"))
    dialysis = table("icu/procedureevents").filter(pl.col("itemid") == 225802)
    traps = [
        (vitals, "storetime"),
        (labs, "storetime"),
        (notes, "storetime"),
        (dialysis, "starttime"),
    ]
    for rows, known in traps:
        found = since_arrival(rows.filter(pl.col("hadm_id").is_not_null()), stays, known)
        assert found.height > 30
        assert found[f"{known}_in"].min() > PREDICTION
        assert found.join(outcome, on="hadm_id")["dies"].mean() > 0.95


def test_films_known_within_48_h_of_an_icu_admission_show_the_latent_never_the_outcome():
    _, rows = draw_chunk(Settings(), 0)
    ways = wards.movements(np.random.default_rng([0, 0, 8]), rows)
    rows = wards.with_stay_id(rows, ways)
    made = drawn.film_rows(np.random.default_rng([0, 0, 6]), rows)
    made = made.with_columns(rows["shown_c", "last_icu"][made["row"]].rename({"shown_c": "own"}))
    known = made.filter(pl.col("minute") <= PREDICTION + pl.col("last_icu"))
    assert (known["shown"] == known["own"]).all()
    assert known.filter(pl.col("minute") > PREDICTION).height > 5  # no room to tell: as any film
    assert made.filter("tells")["shown"].abs().unique().to_list() == [6.0]


def code_frame(root=None):
    """hadm_id and name of each coded condition."""
    named = pl.concat(
        diagnoses().select("name", icd_code=f"icd{v}", icd_version=pl.lit(v)) for v in (9, 10)
    )
    rows = table("hosp/diagnoses_icd", root).with_columns(pl.col("icd_code").cast(pl.String))
    return rows.join(named, on=["icd_code", "icd_version"], how="left")


def test_there_are_many_coded_conditions_in_as_many_categories():
    model = diagnoses()
    assert 60 <= model["icd10"].str.slice(0, 3).n_unique() <= model.height <= 100
    for column in ("name", "icd9", "icd10"):
        assert model[column].is_unique().all()
    assert code_frame()["name"].null_count() == 0
    count = code_frame().group_by("hadm_id").len()["len"]
    assert 9 <= count.mean() <= 12 and count.max() > 18


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("shock", {"shock": 1}, 0.9),
        ("shock", {}, 0.02),
        ("dies", {"dies": 1}, 0.9),
        ("arf", {"arf": 1, "shock": 1}, 0.9),
        ("c", {"c": 2}, probability(np.array(2.2)).item()),
        ("hypertension", {"e": 3, "dies": 1}, 0.35),
    ],
)
def test_the_first_nine_codes_have_the_chances_they_always_had(name, state, expected):
    (row,) = diagnoses().filter(pl.col("name") == name).to_dicts()
    logit = row["intercept"] + sum(row[term] * state.get(term, 0) for term in CODED_BY)
    assert probability(np.array(logit)).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("chain", [0.0, 1.0])
def test_codes_follow_events_with_the_chain_only_and_are_as_frequent_without_it(chain):
    root = files() if chain else files(films=False, chain=0.0)
    at = {item: onsets(item, root) for item in (NOREPINEPHRINE, VENTILATION)}
    stays, coded = table("icu/icustays", root), code_frame(root)
    for item, names in [
        (NOREPINEPHRINE, ["shock", "sepsis"]),
        (VENTILATION, ["arf", "distress syndrome"]),
    ]:
        had = stays.join(at[item], on="stay_id", how="semi")["hadm_id"].implode()
        everyone = table("hosp/admissions", root).select(
            "hadm_id", had=pl.col("hadm_id").is_in(had)
        )
        for name in names:
            have = coded.filter(pl.col("name") == name)["hadm_id"].implode()
            has = everyone.with_columns(code=pl.col("hadm_id").is_in(have)).group_by("had").agg(
                pl.col("code").mean(), pl.len()
            ).sort("had")  # fmt: skip
            without, along = has["code"]
            overall = (has["code"] * has["len"]).sum() / has["len"].sum()
            assert (along > 3 * without) if chain else (abs(along - without) < 0.08)
            assert 0.02 < overall < 0.3


@cache
def course(chain=1.0):
    """Early stays of a large population, as draws."""
    z = draw_course(np.random.default_rng(11), DRAWS, Effects(chain=chain))
    z["shock_in"] = np.where(z["shock"] > 0, (z["shock_at"] - z["icu"]) / HOUR, np.inf)
    z["rest"] = (z["stay"] - z["icu"]) / HOUR
    z |= {f"has_{m}": np.ones(DRAWS, bool) for m in "ecn"}
    early = (z["icu"] >= 0) & (z["icu"] < PREDICTION)
    return {name: values[early] for name, values in z.items()}


def episodes(task, chain=1.0):
    """Eligible stays of a task and their labels."""
    z, event = course(chain), task.split("_")[0]
    hours = truth_stay.HOURS[task.removesuffix("_forced")]
    keep = z["rest"] > hours
    if event == "shock":
        keep &= z["shock_in"] >= hours
    part = {name: values[keep] for name, values in z.items()}
    return part, part["dies" if event == "mortality" else event].astype(int)


@pytest.mark.parametrize("letters", ["e", "c"])
@pytest.mark.parametrize("task", [t for t in truth_stay.TASKS if t != "mortality_48h"])
def test_oracles_of_shock_and_arf_are_calibrated_in_every_case(task, letters):
    z, label = episodes(task)
    p = truth_stay.oracle(Effects(), task, z, letters)
    seen = z["shock_in"] < truth_stay.HOURS[task.removesuffix("_forced")]
    to_come = np.isfinite(z["shock_in"]) & ~seen if task.endswith("forced") else 0 * seen
    case = seen * 1 + to_come * 2 if letters == "e" else np.isfinite(z["shock_in"]) * (
        task.endswith("forced")
    )  # fmt: skip
    for k in np.unique(case):
        rows = np.flatnonzero(case == k)
        for part in np.array_split(rows[np.argsort(p[rows], kind="stable")], 5):
            spread = np.sqrt((p[part] * (1 - p[part])).sum())
            assert abs(label[part].sum() - p[part].sum()) < 4 * spread


def test_mortality_oracle_is_calibrated_at_48_h_of_the_icu_stay():
    z, label = episodes("mortality_48h")
    z, label = {name: values[:40_000] for name, values in z.items()}, label[:40_000]
    p = truth_stay.oracle(Effects(), "mortality_48h", z, "ecn")
    for part in np.array_split(np.argsort(p), 8):
        assert abs(label[part].sum() - p[part].sum()) < 4 * np.sqrt((p[part] * (1 - p[part])).sum())


def test_to_be_told_of_shock_helps_to_predict_arf_with_the_chain_only():
    gain = {}
    for chain in (0.0, 1.0):
        z, label = episodes("arf_12h", chain)
        score = [
            truth.auroc(np.round(truth_stay.oracle(Effects(chain=chain), t, z, "e"), 12), label)
            for t in ("arf_12h", "arf_12h_forced")
        ]
        gain[chain] = score[1] - score[0]
    assert gain[1.0] > 0.02
    assert abs(gain[0.0]) < 0.002


def test_oracles_beside_the_files_are_those_of_early_stays_and_know_what_is_there():
    early = early_stays()["stay_id"].sort().to_list()
    for task in truth_stay.TASKS:
        oracle = pl.read_parquet(files() / "truth" / f"oracle_{task}.parquet")
        assert oracle.columns == ["stay_id", *truth.SETS]
        assert oracle["stay_id"].sort().to_list() == early
        assert oracle.drop("stay_id").null_count().sum_horizontal().item() == 0
    shock = pl.read_parquet(files() / "truth" / "oracle_shock_4h.parquet")
    names = ("icu/chartevents", "hosp/labevents")
    values = pl.concat(table(name).select("hadm_id", "storetime") for name in names)
    known = since_arrival(values, early_stays(), "storetime").filter(
        pl.col("storetime_in") < 4 * HOUR
    )
    there = early_stays().drop_nulls("arrival")["hadm_id"]
    assert there.is_in(known["hadm_id"].unique().implode()).all()  # so the oracle reads e of all
    assert shock["e"].n_unique() > 0.95 * shock.height
    assert shock["c"].n_unique() == 1


def test_a_forced_oracle_differs_from_the_plain_one_where_shock_comes_after_12_h():
    plain, forced = (
        pl.read_parquet(files() / "truth" / f"oracle_arf_12h{end}.parquet").sort("stay_id")
        for end in ("", "_forced")
    )
    at = plain.select("stay_id").join(onsets(NOREPINEPHRINE), on="stay_id", how="left")["hours"]
    seen, comes = at.is_not_null() & (at < 12), at.is_not_null() & (at >= 12)
    assert (plain.filter(seen)["e"] == forced.filter(seen)["e"]).all()
    assert (plain.filter(comes)["e"] < forced.filter(comes)["e"] - 0.1).all()
    assert (plain.filter(at.is_null())["e"] > forced.filter(at.is_null())["e"]).all()
