"""What is charted beside the regular sets: gases, ventilators, oxygen, rates, urine, weight."""

import numpy as np
import polars as pl
import pytest
from hospital_files import admissions, icu_stays, table, timed

from pipeline.hospital import bedside
from pipeline.hospital.charting import items
from pipeline.hospital.settings import HOUR, PREDICTION
from pipeline.hospital.treatments import (
    ANGIOTENSIN,
    IRRIGANT_IN,
    IRRIGANT_OUT,
    NOREPINEPHRINE,
    PHENYLEPHRINE,
    VASOPRESSIN,
)

CHARTED = {"minute": "charttime", "stored": "storetime"}
SHOWS = {  # item: of what reads it
    "hosp/labevents": [50820, 50821, 50885, 51237],
    "icu/chartevents": [223835, 224690, 225309, 225312],
    "icu/inputevents": [NOREPINEPHRINE],
}


def readings(name, item):
    """Readings of an item, of arterial blood, in percent; the rate of an infusion."""
    rows = table(name).filter(pl.col("itemid") == item)
    if name == "icu/inputevents":
        return rows.with_columns(value=pl.col("rate"))
    if item == bedside.PO2:
        arterial = table(name).filter(pl.col("itemid") == bedside.SPECIMEN, value="ART.")
        rows = rows.join(arterial, on="specimen_id", how="semi")
    percent = (pl.col("itemid") == bedside.FIO2) & (pl.col("valuenum") <= 1)
    number = pl.col("valuenum")
    return rows.with_columns(value=pl.when(percent).then(number * 100).otherwise(number))


@pytest.mark.parametrize(("name", "item"), [(n, i) for n, ids in SHOWS.items() for i in ids])
def test_new_signals_show_the_latent_of_the_ehr_in_the_direction_that_clinicians_expect(name, item):
    mean = readings(name, item).drop_nulls("value").group_by("hadm_id").agg(pl.col("value").mean())
    both = mean.drop_nulls("hadm_id").join(admissions(), on="hadm_id")
    worse = np.corrcoef(both["value"], both["shown_e"])[0, 1]
    slope = items().filter(pl.col("itemid") == item)["slope"].cast(float).item()
    assert both.height > 50
    assert worse * np.sign(slope) > 0.85
    assert np.sign(slope) == (-1 if item in (50820, 50821, 225309, 225312) else 1)


def test_a_gas_is_of_one_specimen_and_venous_oxygen_shows_nothing():
    labs = table("hosp/labevents")
    kinds = labs.filter(pl.col("itemid") == bedside.SPECIMEN).select("specimen_id", kind="value")
    assert kinds["specimen_id"].is_unique().all()
    assert 0.15 < (kinds["kind"] == "VEN.").mean() < 0.25
    oxygen = labs.filter(pl.col("itemid") == bedside.PO2).join(kinds, on="specimen_id", how="left")
    assert oxygen["kind"].null_count() == 0
    venous = oxygen.filter(pl.col("kind") == "VEN.").join(admissions(), on="hadm_id")
    assert 38 < venous["valuenum"].mean() < 44
    assert abs(np.corrcoef(venous["valuenum"], venous["shown_e"])[0, 1]) < 0.15
    assert labs.filter(pl.col("itemid") == bedside.LAB_FIO2)["valuenum"].is_between(21, 100).all()


def test_oxygen_is_charted_as_a_fraction_now_and_then():
    charted = table("icu/chartevents").filter(pl.col("itemid") == bedside.FIO2)["valuenum"]
    assert 0.01 < (charted <= 1).mean() < 0.06
    assert (charted.is_between(0.21, 1) | charted.is_between(21, 100)).all()


def test_who_is_ventilated_has_a_mode_in_words_and_a_tube_then_alone():
    """Nothing at the bedside tells of respiratory failure before its onset."""
    charts = table("icu/chartevents")
    modes = charts.filter(pl.col("itemid").is_in([bedside.MODE, bedside.HAMILTON]))
    assert set(modes["value"]) == {*bedside.MODES, *bedside.HAMILTON_MODES}
    assert modes["valuenum"].null_count() == modes.height
    runs = table("icu/procedureevents").filter(pl.col("itemid") == 225792)
    tubes = charts.filter(
        (pl.col("itemid") == bedside.DEVICE) & (pl.col("value") == bedside.TUBE)
        | pl.col("itemid").is_in([bedside.FIO2, 224690, bedside.MODE, bedside.HAMILTON])
    )
    both = tubes.join(runs.select("stay_id", "starttime", "endtime"), on="stay_id", how="left")
    within = (pl.col("charttime") >= pl.col("starttime")) & (
        pl.col("charttime") <= pl.col("endtime")
    )
    inside = both.with_columns(inside=within).group_by("stay_id", "charttime").agg(
        pl.col("inside").any()
    )  # fmt: skip
    assert inside["inside"].all() and inside.height > 500
    per_stay = modes.group_by("stay_id").len()
    assert per_stay.height > 0.95 * runs["stay_id"].n_unique()


def test_devices_of_the_others_depend_on_nothing():
    charts = table("icu/chartevents").filter(pl.col("itemid") == bedside.FLOW)
    flow = charts.group_by("hadm_id").agg(pl.col("valuenum").mean())
    both = flow.join(admissions(), on="hadm_id")
    for name in ("shown_e", "dies", "shock", "arf"):
        assert abs(np.corrcoef(both["valuenum"], both[name].cast(float))[0, 1]) < 4 / np.sqrt(
            both.height
        )


def test_rates_and_weights_explain_the_amounts_and_norepinephrine_comes_first():
    rows = table("icu/inputevents").with_columns(
        hours=(pl.col("endtime") - pl.col("starttime")).dt.total_minutes() / 60
    )
    per_weight = pl.col("rate") * pl.col("patientweight") * pl.col("hours") * 60
    expected = {
        NOREPINEPHRINE: per_weight / 1000,
        PHENYLEPHRINE: per_weight / 1000,
        ANGIOTENSIN: per_weight,
        VASOPRESSIN: pl.col("rate") * pl.col("hours"),
    }
    for item, amount in expected.items():
        found = rows.filter(pl.col("itemid") == item)
        assert found.height > 5
        off = found.select((pl.col("amount") - amount).abs().max()).item()
        assert off < 1e-3 * found["amount"].max()
    weight = table("icu/chartevents").filter(pl.col("itemid") == bedside.WEIGHT)
    weighed = rows.join(weight.select("stay_id", "valuenum"), on="stay_id")
    assert (weighed["patientweight"] - weighed["valuenum"]).abs().max() < 1e-9
    first = rows.group_by("stay_id", "itemid").agg(pl.col("starttime").min())
    first = first.pivot("itemid", index="stay_id", values="starttime")
    for item in (VASOPRESSIN, ANGIOTENSIN):
        later = first.drop_nulls(str(item))
        assert (later[str(item)] > later[str(NOREPINEPHRINE)]).all()


def test_norepinephrine_is_one_order_whose_rows_touch():
    rows = table("icu/inputevents").filter(pl.col("itemid") == NOREPINEPHRINE)
    rows = rows.sort("stay_id", "starttime")
    touch = pl.col("starttime") == pl.col("endtime").shift(1).over("stay_id")
    assert rows.select(touch.drop_nulls().all()).item()
    orders = rows.group_by("stay_id").agg(pl.col("linkorderid").n_unique(), pl.len())
    assert (orders["linkorderid"] == 1).all() and orders["len"].is_between(2, 5).mean() > 0.9
    assert rows.select((pl.col("starttime") < pl.col("endtime")).all()).item()


def test_irrigation_is_charted_in_and_out_at_the_same_minute_and_the_rest_is_urine():
    rows = table("icu/outputevents")
    amount = pl.col("value").cast(float)
    ways = [rows.filter(pl.col("itemid") == item) for item in (IRRIGANT_OUT, IRRIGANT_IN)]
    both = ways[0].join(ways[1], on=["stay_id", "charttime"], suffix="_in")
    assert 0 < ways[0].height == ways[1].height == both.height
    net = both.select(amount - pl.col("value_in").cast(float))["value"]
    other = rows.filter(~pl.col("itemid").is_in([IRRIGANT_OUT, IRRIGANT_IN]))["value"].cast(float)
    assert net.min() >= 0 and abs(net.mean() - other.mean()) < 15


def test_what_is_known_by_48_h_at_the_bedside_lies_within_the_stay():
    rows = timed(table("icu/chartevents"), **CHARTED)
    rows = rows.filter(pl.col("itemid").is_in([bedside.FLOW, bedside.WEIGHT, 225309, 223835]))
    stays = icu_stays().select("stay_id", "intime", "outtime")
    rows = rows.join(stays, on="stay_id", how="left")
    assert rows.select((pl.col("charttime") >= pl.col("intime")).all()).item()
    assert rows.select((pl.col("charttime") <= pl.col("outtime")).all()).item()
    labs = timed(table("hosp/labevents").filter(pl.col("itemid").is_in([50820, 50885])), **CHARTED)
    assert labs["stored"].max() < PREDICTION
    assert labs["minute"].max() <= PREDICTION - 2 * HOUR


def test_services_know_surgery_and_orders_lie_within_the_admission():
    stays = table("hosp/admissions").select("hadm_id", "admission_type", "admittime", "dischtime")
    services = table("hosp/services").join(stays, on="hadm_id", how="left")
    elective = services.filter(pl.col("admission_type") == "ELECTIVE")
    surgical = elective["curr_service"].is_in(["SURG", "CSURG", "ORTHO"]).mean()
    assert elective.height > 50 and 0.5 < surgical < 0.9
    orders = table("hosp/prescriptions").join(stays, on="hadm_id", how="left")
    assert orders.select((pl.col("starttime") >= pl.col("admittime")).all()).item()
    assert orders.select((pl.col("stoptime") <= pl.col("dischtime")).all()).item()
