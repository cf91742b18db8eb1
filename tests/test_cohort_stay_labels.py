"""Labels of ICU stays: eligible at T, onset from T on, to the minute; item ids; the open demo."""

import json
from datetime import datetime, timedelta
from itertools import pairwise

import duckdb
import polars as pl
import pytest
from episodes_at_hand import cohort_of, split_by
from labelling import label_by_command

from pipeline.cohort import counts
from pipeline.cohort import labels as stage
from pipeline.cohort.episodes import select_episodes
from pipeline.cohort.labels import label_task
from pipeline.cohort.settings import NAMES
from pipeline.stage.errors import InputError

ZERO = datetime(2150, 3, 1, 8, 0)
VASOPRESSORS = [221906, 221289, 229617, 221662, 222315, 221749, 229630, 229631, 229632]
INFUSIONS = "stay_id hadm_id starttime endtime itemid amount statusdescription"
TIMES = (
    "starttime",
    "endtime",
    "charttime",
    "deathtime",
    "dischtime",
    "start",
    "end",
    "clock_zero",
    "prediction_time",
)


def at(hours=0, minutes=0):
    return ZERO + timedelta(hours=hours, minutes=minutes)


def table(rows, schema):
    types = {"itemid": pl.Int64, "stay_id": pl.Int64, "hadm_id": pl.Int64, "amount": pl.Float64}
    types |= dict.fromkeys(TIMES, pl.Datetime("us"))
    return pl.DataFrame(rows, {name: types.get(name, pl.String) for name in schema.split()})


def stays(*changes):
    """Stays 1, 2, … of 60 h, each of an own admission 101, 102, …, that ends at home.

    The patient is there from the start on.
    """
    rows = [
        {"episode_id": i, "stay_id": i, "subject_id": i, "hadm_id": 100 + i, "start": at(),
         "end": at(60), "clock_zero": change.get("start", at()), "split": NAMES[i % 4],
         "prediction_time": at(48), "deathtime": None, "admission_type": "EW EMER.",
         "dischtime": at(200), "hospital_expire_flag": 0, "discharge_location": "HOME", **change}
        for i, change in enumerate(changes, 1)
    ]  # fmt: skip
    whole = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.col(TIMES[3:]).cast(pl.Datetime("us"))
    )
    admission = ["hadm_id", "subject_id", "deathtime", "dischtime", "hospital_expire_flag",
                 "discharge_location", "admission_type"]  # fmt: skip
    return {
        "episodes": whole.drop(admission[2:]),
        "admissions": whole.select(*admission, admittime="start").unique("hadm_id", keep="first"),
    }


def infusion(stay, when, item=221906, amount=1.0, status="FinishedRunning", hadm=None, end=None):
    return {"stay_id": stay, "hadm_id": hadm or 100 + (stay or 0), "starttime": when,
            "endtime": end, "itemid": item, "amount": amount,
            "statusdescription": status}  # fmt: skip


def event(stay, when, item, hadm=None):
    return {"stay_id": stay, "hadm_id": hadm or 100 + (stay or 0), "time": when, "itemid": item}


def label(task, sources, infusions=(), charted=(), procedures=()):
    infusions = table(infusions, INFUSIONS)
    charted = [{("charttime" if k == "time" else k): v for k, v in e.items()} for e in charted]
    charted = table(charted, "stay_id hadm_id charttime itemid")
    procedures = [
        {("starttime" if k == "time" else k): v for k, v in e.items()} for e in procedures
    ]
    procedures = table(procedures, "stay_id hadm_id starttime itemid")
    with duckdb.connect() as database:
        database.register("inputevents", infusions)
        database.register("chartevents", charted)
        database.register("procedureevents", procedures)
        return label_task(database, task, sources).sort("episode_id")


def shock(infusions, task="shock_4h", number=None, **events):
    """Label and onset of stays, one infusion each unless their number is given."""
    sources = stays(*[{}] * (number or len(infusions)))
    found = label(task, sources, infusions, **events)
    return found["label"].to_list(), found["onset_hours"].to_list()


def test_the_onset_is_at_t_or_later():
    times = [at(3, 59), at(4), at(4, 1), at(59, 59), at(60), at(60, 1)]
    labels, onset = shock([infusion(i, when) for i, when in enumerate(times, 1)])
    # what begins at T is not in [0, T): it is predicted; what begins after outtime is of no stay
    assert labels == [None, 1, 1, 1, 1, 0]
    assert onset == [3.9833, 4.0, 4.0167, 59.9833, 60.0, None]


def test_each_t_is_its_own():
    infusions = [
        infusion(1, at(3)),
        infusion(2, at(4)),
        infusion(3, at(11, 59)),
        infusion(4, at(12)),
    ]
    assert shock(infusions, "shock_4h")[0] == [None, 1, 1, 1]
    assert shock(infusions, "shock_12h")[0] == [None, None, None, 1]
    # beyond the times of the tasks, a query asks at any T up to 48 h
    assert shock(infusions, "shock_1h")[0] == [1, 1, 1, 1]
    assert shock(infusions, "shock_48h")[0] == [None, None, None, None]


@pytest.mark.parametrize("task", ["shock_4h", "arf_4h", "mortality_4h"])
def test_alive_and_in_the_icu_at_t_to_the_minute(task):
    found = label(
        task,
        stays(
            {"end": at(4)},  # leaves at T: not in the ICU
            {"end": at(4, 1)},
            {"deathtime": at(4)},
            {"deathtime": at(4, 1)},
            {"end": at(3), "deathtime": at(3)},
            {"deathtime": at(-1)},
        ),
    )
    assert found["eligible"].to_list() == [False, True, False, True, False, False]
    assert [(row["condition"], row["episodes"]) for row in counts.count_conditions(found)][:2] == [
        ("alive at T = 4 h", 3),
        ("still in the ICU at T", 2),
    ]


def test_only_the_first_onset_counts_and_a_second_one_makes_no_case():
    times = [(1, at(20)), (1, at(2)), (2, at(30)), (2, at(9))]
    labels, onset = shock([infusion(*row) for row in times], number=3)
    assert labels == [None, 1, 0]
    assert onset == [2.0, 9.0, None]


def test_an_onset_before_intime_is_no_incident_case():
    labels, onset = shock(
        [infusion(1, at(0, -30)), infusion(1, at(10)), infusion(2, at())], number=2
    )
    assert labels == [None, None]
    assert onset == [-0.5, 0.0]


def late(number):
    """Stays whose patient arrives three hours after the bed was assigned, 60 h before the end."""
    return stays(*[{"clock_zero": at(3), "end": at(63)}] * number)


def test_hours_count_from_the_patients_arrival():
    times = [at(4), at(6, 59), at(7), at(7, 1)]
    infusions = [infusion(i, when) for i, when in enumerate(times, 1)]
    found = label("shock_4h", late(5), infusions)
    assert found["label"].to_list() == [None, None, 1, 1, 0]
    assert found["onset_hours"].to_list() == [1.0, 3.9833, 4.0, 4.0167, None]
    ends = [{"clock_zero": at(3), "end": end} for end in (at(7), at(7, 1))]
    ends += [{"clock_zero": at(3), "deathtime": time} for time in (at(7), at(7, 1))]
    for task in ("shock_4h", "arf_4h", "mortality_4h"):
        eligible = label(task, stays(*ends))["eligible"].to_list()
        assert eligible == [False, True, False, True]
    dies = {"hospital_expire_flag": 1, "deathtime": at(53), "clock_zero": at(3), "end": at(53)}
    assert label("mortality_48h", stays(dies))["onset_hours"].to_list() == [50.0]
    with duckdb.connect() as database:
        database.register("diagnoses_icd", pl.DataFrame({"hadm_id": [101, 102, 103, 104]}))
        found = label_task(database, "diagnoses_4h", stays(*ends)).sort("episode_id")
    assert found["eligible"].to_list() == [False, True, False, True]


def test_an_onset_between_intime_and_the_arrival_is_prevalent_and_not_incident():
    """From theatre, ventilated and on a vasopressor: within 4 hours of intime, yet no onset."""
    found = label("shock_4h", late(3), [infusion(1, at(2)), infusion(None, at(2), hadm=102)])
    assert found["label"].to_list() == [None, None, 0]
    assert found["onset_hours"].to_list() == [-1.0, -1.0, None]
    found = label(
        "arf_4h",
        late(4),
        charted=[event(1, at(1), 220339)],
        procedures=[event(2, at(2, 59), 225792), event(3, at(3), 225794)],
    )
    assert found["eligible"].to_list() == [False, False, False, True]
    assert found["onset_hours"].to_list() == [-2.0, -0.0167, 0.0, None]


def test_what_was_not_given_is_no_onset():
    infusions = [
        infusion(1, at(5), amount=0.0),
        infusion(2, at(5), amount=-1.0),
        infusion(3, at(5), amount=None),
        infusion(4, at(5), status="Rewritten"),
        infusion(5, at(5), status=None),
        infusion(6, at(5), amount=0.001),
        infusion(7, None),
    ]
    assert shock(infusions)[0] == [0, 0, 0, 0, 1, 1, 0]
    # nor does it make anybody a prevalent case
    assert shock([infusion(1, at(1), amount=0.0), infusion(1, at(5))], number=1)[0] == [1]


def test_the_vasopressors_and_no_other_drug():
    assert shock([infusion(i, at(5), item) for i, item in enumerate(VASOPRESSORS, 1)])[0] == [1] * 9
    # dobutamine, milrinone, norepinephrine's neighbours
    others = [221653, 221986, 221905, 221907, 229633]
    assert shock([infusion(i, at(5), item) for i, item in enumerate(others, 1)])[0] == [0] * 5


def test_items_count_in_their_own_table_alone():
    found = label(
        "shock_4h",
        stays({}, {}),
        [infusion(1, at(5), 220339), infusion(1, at(5), 225792)],
        charted=[event(2, at(5), 221906)],
        procedures=[event(2, at(5), 221906)],
    )
    assert found["label"].to_list() == [0, 0]
    found = label(
        "arf_4h",
        stays({}, {}, {}),
        [infusion(1, at(5), 225792)],
        charted=[event(2, at(5), 225792), event(2, at(5), 220338)],
        procedures=[event(3, at(5), 220339), event(3, at(5), 225793)],
    )
    assert found["label"].to_list() == [0, 0, 0]


def test_respiratory_failure_is_the_earliest_of_three():
    found = label(
        "arf_12h",
        stays(*[{}] * 6),
        charted=[event(1, at(12), 220339), event(4, at(11, 59), 220339), event(5, at(15), 220339)],
        procedures=[
            event(2, at(20), 225792),
            event(3, at(30), 225794),
            event(4, at(20), 225792),
            event(5, at(15), 225792),
        ],
    )
    assert found["label"].to_list() == [1, 1, 1, None, 1, 0]
    assert found["onset_hours"].to_list() == [12.0, 20.0, 30.0, 11.9833, 15.0, None]
    # of the same minute the procedure is named
    assert [(r["count"], r["episodes"]) for r in counts.count_remarks(found)] == [
        ("onset within 24 h from T on", 4),
        ("onset is invasive ventilation", 2),
        ("onset is non-invasive ventilation", 1),
        ("onset is a PEEP without a procedure up to then", 1),
    ]


BIPAP = [227577, 227578, 227579, 227580, 227583]


def test_charted_bipap_and_cpap_are_an_onset_of_their_task_alone():
    charted = [event(i, at(5), item) for i, item in enumerate(BIPAP, 1)]
    charted += [event(6, at(5), 227581), event(7, at(5), 227582)]  # rate, oxygen flow
    charted += [event(8, at(3, 59), 227579), event(9, at(4), 227579), event(10, at(20), 227583)]
    procedures = [event(10, at(20), 225794), event(11, at(6), 225792)]
    found = label("arf_bipap_4h", stays(*[{}] * 11), charted=charted, procedures=procedures)
    assert found["label"].to_list() == [1] * 5 + [0, 0, None, 1, 1, 1]
    assert found["onset_hours"].to_list()[7:] == [3.9833, 4.0, 20.0, 6.0]
    remarks = {row["count"]: row["episodes"] for row in counts.count_remarks(found)}
    # of the same minute the procedure is named
    assert remarks["onset is a charted BiPAP or CPAP without ventilation up to then"] == 6
    # so is a PEEP, which tells of a ventilator
    both = [event(1, at(5), 227579), event(1, at(5), 220339)]
    found_both = label("arf_bipap_4h", stays({}), charted=both)
    assert [row["episodes"] for row in counts.count_remarks(found_both)] == [1, 0]
    found = label("arf_4h", stays(*[{}] * 11), charted=charted, procedures=procedures)
    assert found["label"].to_list() == [0] * 9 + [1, 1]


def run_of(stay, *times, item=221906):
    """Rows of one drug from each time to the next."""
    return [infusion(stay, begin, item, end=end) for begin, end in pairwise(times)]


def test_shock_is_sustained_if_one_drug_runs_for_an_hour_without_a_gap():
    rows = [
        *run_of(1, at(5), at(6)),  # 60 minutes
        *run_of(2, at(5), at(5, 59)),
        *run_of(3, at(5), at(5, 20), at(5, 40), at(6)),  # a change of the rate is no gap
        *run_of(4, at(5), at(5, 30)), *run_of(4, at(5, 31), at(6, 30)),  # a gap of a minute
        *run_of(5, at(5), at(5, 40)), *run_of(5, at(5, 10), at(6, 5)),  # overlapping orders
        *run_of(6, at(5), at(5, 40)), *run_of(6, at(5, 40), at(6, 20), item=222315),  # two drugs
        *run_of(7, at(5), at(5, 40), item=221749), *run_of(7, at(5, 40), at(6), item=229632),
        *run_of(8, at(5), at(5, 10)), *run_of(8, at(9), at(11)),  # the second is the onset
        infusion(9, at(5)),  # without an end
        *run_of(10, at(5), at(7)), *run_of(10, at(5, 10), at(5, 20)),  # one within another
    ]  # fmt: skip
    rows += [infusion(11, at(5), end=at(7), amount=0.0)]
    found = label("shock_sustained_4h", stays(*[{}] * 11), rows)
    assert found["label"].to_list() == [1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 0]
    # when it is known: an hour after the run began
    assert found["onset_hours"].to_list() == [6.0, None, 6.0, None, 6.0, None, 6.0, 10.0, None, 6.0,
                                              None]  # fmt: skip


def test_who_is_asked_about_sustained_shock_does_not_depend_on_what_comes_after_t():
    before = [
        (run_of(1, at(1), at(2)), False),  # had lasted an hour by T
        (run_of(1, at(1), at(1, 59)), True),  # shorter, and over
        (run_of(1, at(3, 30), at(3, 50)), True),
        (run_of(1, at(3, 30), at(4)), False),  # that it ends at T is not known before T
        (run_of(1, at(3, 30), at(4, 10)), False),  # runs at T, and will not be sustained
        (run_of(1, at(3, 30), at(9)), False),  # runs at T, and will be
        (run_of(1, at(4), at(9)), True),  # begins at T
        (run_of(1, at(-1), at(0, -30)), True),
        (run_of(1, at(-2), at(0)), False),
    ]
    for rows, eligible in before:
        found = label("shock_sustained_4h", stays({}), rows)
        assert found["eligible"].to_list() == [eligible], rows
    # the same until T, whatever comes later
    first = run_of(1, at(3, 30), at(3, 50))
    for later in ([], run_of(1, at(4), at(8)), run_of(1, at(20), at(20, 5))):
        assert label("shock_sustained_4h", stays({}), [*first, *later])["eligible"].all()
    found = label("shock_sustained_4h", stays({}), [*first, *run_of(1, at(4, 1), at(8))])
    assert found.select("label", "onset_hours").rows() == [(1, 5.0167)]


def test_that_shock_is_sustained_is_not_known_to_a_task_before_the_run_has_lasted_an_hour():
    rows = run_of(1, at(11, 30), at(13))  # at 12 h it may yet end
    onset, positive = label("shock_sustained_4h", stays({}), rows)["onset_hours", "label"].row(0)
    assert positive and onset == 12.5
    # the label and the count of the first day are by the beginning of the run
    found = label("shock_sustained_4h", stays({}), run_of(1, at(27, 30), at(29)))
    assert found["onset_hours"].to_list() == [28.5]
    assert found["count: onset within 24 h from T on"].to_list() == [True]


def test_rows_belong_to_the_stay_that_they_name():
    # two stays of admission 500, from 0 to 60 h and from 70 to 100 h
    second = {"start": at(70), "end": at(100), "hadm_id": 500}
    sources = stays({"hadm_id": 500}, second, {"hadm_id": 500, "start": at(100), "end": at(160)})
    assert label("shock_4h", sources, [infusion(2, at(80), hadm=500)])["label"].to_list() == [
        0,
        1,
        0,
    ]
    # a row that names none falls into a stay of its admission, begin included, end not
    for when, expected in (
        (at(80), [0, 1, 0]),
        (at(60), [0, 0, 0]),
        (at(65), [0, 0, 0]),
        (at(70), [0, None, 0]),
        (at(100), [0, 0, None]),
        (at(0, -1), [0, 0, 0]),
    ):
        found = label("shock_4h", sources, [infusion(None, when, hadm=500)])
        assert found["label"].to_list() == expected
        found = label("arf_4h", sources, procedures=[event(None, when, 225792, hadm=500)])
        assert found["label"].to_list() == expected
    for foreign in (infusion(None, at(80), hadm=501), infusion(77, at(80), hadm=500)):
        assert label("shock_4h", sources, [foreign])["label"].to_list() == [0, 0, 0]


def test_mortality_after_48_hours_in_the_icu_or_after_it():
    end = {"hospital_expire_flag": 1, "discharge_location": "DIED"}
    found = label(
        "mortality_48h",
        stays(
            {**end, "deathtime": at(48)},
            {**end, "deathtime": at(48, 1)},
            {**end, "deathtime": at(150), "dischtime": at(150)},  # on the ward
            {**end, "end": at(48), "deathtime": at(150)},
            {**end, "dischtime": at(72)},  # without deathtime
            {"deathtime": at(150)},  # the flag wins
            {"hospital_expire_flag": None, "deathtime": at(150)},
            {},
        ),
    )
    assert found["label"].to_list() == [None, 1, 1, None, 1, 0, 1, 0]
    assert found["onset_hours"].to_list() == [48.0, 48.0167, 150.0, 150.0, 72.0, None, 150.0, None]
    assert [row["episodes"] for row in counts.count_remarks(found)] == [1, 3]


def test_mortality_in_the_icu_of_stays_that_last_six_hours_more():
    end = {"hospital_expire_flag": 1, "discharge_location": "DIED"}
    found = label(
        "icumortality_24h",
        stays(
            {**end, "deathtime": at(24), "end": at(24)},  # dies at T
            {**end, "deathtime": at(29), "end": at(29)},  # within six hours of T
            {"end": at(30)},  # leaves by then
            {**end, "deathtime": at(30, 1), "end": at(30, 1)},
            {**end, "deathtime": at(59), "end": at(60)},
            {**end, "deathtime": at(150), "dischtime": at(150)},  # after this stay
            {**end, "dischtime": at(60)},  # without deathtime: the admission ends with the stay
            {},
        ),
    )
    assert found["label"].to_list() == [None, None, None, 1, 1, 0, 1, 0]
    (ahead,) = [row for row in counts.count_conditions(found) if "6 h after T" in row["condition"]]
    assert ahead["looks_ahead"] and ahead["episodes"] == 5
    assert [row["episodes"] for row in counts.count_remarks(found)] == [1]


def test_diagnoses_have_no_single_label():
    sources = stays({}, {"end": at(48)}, {"deathtime": at(47)}, {}, {"end": at(48, 1)})
    with duckdb.connect() as database:
        database.register("diagnoses_icd", pl.DataFrame({"hadm_id": [101, 102, 103, 105, 105]}))
        found = label_task(database, "diagnoses_48h", sources).sort("episode_id")
    assert found["eligible"].to_list() == [True, False, False, False, True]  # 4 was never coded
    assert found["label"].null_count() == found["onset_hours"].null_count() == 5
    assert found["label"].dtype == pl.Int8 and found["onset_hours"].dtype == pl.Float64


def test_a_missing_event_table_is_named():
    with (
        duckdb.connect() as database,
        pytest.raises(InputError, match=r"located_inputevents asks for a table .*inputevents"),
    ):
        label_task(database, "shock_4h", stays({}))


def command(monkeypatch, tmp_path, sources, infusions, threads=1):
    sources = {**sources, "inputevents": infusions}
    return label_by_command(monkeypatch, tmp_path, stage, "shock_4h", sources, "ICU stays", threads)


def infused(*stays_and_times):
    rows = [infusion(stay, when) for stay, when in stays_and_times]
    return table(rows, INFUSIONS)


def test_outputs_of_the_command(monkeypatch, tmp_path):
    # stays 1 to 12 lie in fusion, val, test, train, fusion, …
    infusions = infused(*((i, at(5)) for i in (4, 1, 2, 3)), (5, at(1)), (6, at(0, -5)))
    output, attrition = command(monkeypatch, tmp_path, stays(*[{}] * 12), infusions)
    found = pl.read_parquet(output)
    assert found.schema == stage.contract("onset_hours").columns
    assert found["label"].to_list() == [1, 1, 1, 1, None, None] + [0] * 6
    table = json.loads(attrition.read_text())
    assert [(row["condition"], row["episodes"]) for row in table["conditions"]] == [
        ("ICU stays of the source", 1234),
        ("alive at T = 4 h", 12),
        ("still in the ICU at T", 12),
        ("without shock before T", 10),
    ]
    assert [(r["split"], r["episodes"], r["positives"]) for r in table["splits"]] == [
        ("train", 3, 1),
        ("fusion", 2, 1),
        ("val", 2, 1),
        ("test", 3, 1),
    ]
    assert [(row["count"], row["episodes"]) for row in table["counts"]] == [
        ("onset within 24 h from T on", 4),
        ("of all stays of the cohort: with an onset at any time", 6),
        ("of all stays of the cohort: with an onset known before the patient's arrival", 1),
    ]


def test_same_bytes_for_any_threads_and_row_order(monkeypatch, tmp_path):
    sources = stays(*[{}] * 400)
    infusions = infused(*((i, at(hour)) for i in range(1, 200) for hour in (i % 30, 5)))
    once = [p.read_bytes() for p in command(monkeypatch, tmp_path, sources, infusions, 1)]
    *shuffled, infusions = [
        frame.sample(fraction=1, shuffle=True, seed=1) for frame in (*sources.values(), infusions)
    ]
    again = command(monkeypatch, tmp_path, dict(zip(sources, shuffled, strict=True)), infusions, 2)
    assert [path.read_bytes() for path in again] == once


def test_train_and_fusion_need_both_classes_together(monkeypatch, tmp_path, caplog):
    # a positive in fusion is enough for one model; none elsewhere is logged
    command(monkeypatch, tmp_path, stays(*[{}] * 8), infused((1, at(5))))
    assert "not both classes in val, so its metrics are null" in caplog.text
    assert "not both classes in train, so no model that is fitted on it alone" in caplog.text
    assert "not both classes in fusion" not in caplog.text
    with pytest.raises(InputError, match="task shock_4h: not both classes in train, fusion"):
        command(monkeypatch, tmp_path, stays(*[{}] * 8), infused((2, at(5)), (3, at(5))))
    with pytest.raises(InputError, match="task shock_4h: no episode is eligible"):
        command(monkeypatch, tmp_path, stays(*[{"end": at(4)}] * 8), infused((2, at(5))))


IN_ICU = """
    SELECT
        count(*) FILTER (lasts),
        count(*) FILTER (lasts AND hospital_expire_flag = 1 AND deathtime <= s."end"),
        count(*) FILTER (hospital_expire_flag = 1)
    FROM (
        SELECT *, coalesce(least("end", deathtime), "end") > clock_zero + INTERVAL 24 HOUR
            AND "end" > clock_zero + INTERVAL 30 HOUR AS lasts
        FROM stays JOIN (SELECT hadm_id, deathtime, hospital_expire_flag FROM admitted)
        USING (hadm_id)
    ) AS s
"""
# Task → eligible, positive, with an onset at any time, known before the arrival. The same by SQL
# written from the definitions alone, to the row; by intime there were 105 and 21 (shock 4 h),
# 83 and 14 (ARF 4 h), of which 6 positives each had no heart rate before T.
DEMO = {
    "shock_4h": (97, 13, 52, 6),
    "shock_12h": (90, 8, 52, 6),
    "arf_4h": (77, 8, 67, 39),
    "arf_12h": (74, 7, 67, 39),
    "mortality_48h": (72, 12, 20, 0),
    "arf_bipap_4h": (76, 10, 70, 39),
    "icumortality_24h": (95, 10, 20, 0),
    "shock_sustained_4h": (104, 15, 46, 0),  # 5 begin before the arrival, less than an hour
}


def test_open_demo(mimic_demo):
    events = ("chartevents", "inputevents", "procedureevents")
    folders = {"patients": "hosp", "admissions": "hosp", "icustays": "icu"}
    shares = {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30}
    cohort = cohort_of(min_age=18, window_hours=48, icu_within_hours=48, ids=None)
    counted = {}
    with duckdb.connect() as database:
        sources = {
            name: database.sql(f"FROM read_csv('{mimic_demo / folder / name}.csv.gz')").pl()
            for name, folder in folders.items()
        }
        for name in events:
            items = (220045, 220339, 225792, 225794, *BIPAP, *VASOPRESSORS)
            path = mimic_demo / "icu" / f"{name}.csv.gz"
            database.execute(
                f"CREATE TABLE {name} AS FROM read_csv('{path}') WHERE itemid IN {items}"
            )
        sources["episodes"], _ = select_episodes(
            database, sources, cohort, split_by("a", shares), 2019, "stay"
        )
        own = {name: sources[name] for name in ("episodes", "admissions")}
        for task in DEMO:
            found = label_task(database, task, own)
            onsets = [row["episodes"] for row in stage.count_onsets(found)]
            counted[task] = (found["eligible"].sum(), found["label"].sum(), *onsets)
            assert not positives_without_heart_rate(database, own["episodes"], found, task)
        database.register("stays", own["episodes"])
        database.register("admitted", own["admissions"])
        witnesses = {"shock_sustained_4h": SUSTAINED, "arf_bipap_4h": MASKED,
                     "icumortality_24h": IN_ICU}  # fmt: skip
        for task, sql in witnesses.items():
            assert database.sql(sql).fetchall() == [(*counted[task][:3],)]
    assert counted == DEMO


# By SQL from the definitions alone: eligible, positive, with an onset at any time. A run begins
# with a row that no earlier one of its drug reaches, and ends with one that none outlasts:
# mimic-code's vasopressor_durations, per drug.
SUSTAINED = """
    WITH drug AS (
        SELECT
            i.stay_id, starttime, endtime,
            CASE WHEN itemid IN (221749, 229630, 229631, 229632) THEN 1
                WHEN itemid IN (221289, 229617) THEN 2 ELSE itemid END AS drug
        FROM inputevents AS i JOIN stays AS s ON i.stay_id = s.stay_id AND starttime <= s."end"
        WHERE amount > 0 AND statusdescription <> 'Rewritten'
    ),
    run AS (
        SELECT a.stay_id, a.starttime, min(b.endtime) AS endtime
        FROM drug AS a JOIN drug AS b
            ON a.stay_id = b.stay_id AND a.drug = b.drug AND a.starttime <= b.endtime
        WHERE NOT EXISTS (FROM drug AS c WHERE c.stay_id = a.stay_id AND c.drug = a.drug
                AND c.starttime < a.starttime AND a.starttime <= c.endtime)
            AND NOT EXISTS (FROM drug AS c WHERE c.stay_id = b.stay_id AND c.drug = b.drug
                AND c.starttime <= b.endtime AND b.endtime < c.endtime)
        GROUP BY a.stay_id, a.drug, a.starttime
    ),
    asked AS (
        SELECT
            s.stay_id, clock_zero + INTERVAL 4 HOUR AS t, s."end" AS leaves, deathtime,
            (SELECT min(starttime) FROM run WHERE run.stay_id = s.stay_id
                AND endtime - starttime >= INTERVAL 1 HOUR) AS onset
        FROM stays AS s JOIN admissions AS a ON s.hadm_id = a.hadm_id
    )
    SELECT
        count(*) FILTER (eligible), count(*) FILTER (eligible AND onset >= t), count(onset)
    FROM (
        SELECT *, leaves > t AND coalesce(deathtime > t, TRUE) AND NOT EXISTS (
            FROM run WHERE run.stay_id = asked.stay_id AND starttime < t
                AND (endtime >= t OR endtime - starttime >= INTERVAL 1 HOUR)) AS eligible
        FROM asked
    )
"""
MASKED = """
    WITH mark AS (
        SELECT stay_id, charttime AS onset FROM chartevents
        WHERE itemid IN (220339, 227577, 227578, 227579, 227580, 227583)
        UNION ALL
        SELECT stay_id, starttime FROM procedureevents WHERE itemid IN (225792, 225794)
    ),
    asked AS (
        SELECT clock_zero + INTERVAL 4 HOUR AS t, s."end" AS leaves, deathtime,
            (SELECT min(mark.onset) FROM mark
                WHERE mark.stay_id = s.stay_id AND mark.onset <= s."end") AS onset
        FROM stays AS s JOIN admissions AS a ON s.hadm_id = a.hadm_id
    )
    SELECT count(*) FILTER (there AND coalesce(onset >= t, TRUE)),
        count(*) FILTER (there AND onset >= t), count(onset)
    FROM (SELECT *, leaves > t AND coalesce(deathtime > t, TRUE) AS there FROM asked)
"""


def positives_without_heart_rate(database, episodes, found, task):
    """Positives of whom no heart rate was charted before T: absence alone would tell the label."""
    hours = int(task.rsplit("_", 1)[1].removesuffix("h"))
    first = database.sql(
        "SELECT stay_id, min(charttime) AS hr FROM chartevents WHERE itemid = 220045 GROUP BY ALL"
    ).pl()
    positive = found.filter(pl.col("label") == 1).select("episode_id")
    both = positive.join(episodes, on="episode_id").join(first, on="stay_id")
    return both.filter(pl.col("hr") >= pl.col("clock_zero") + pl.duration(hours=hours)).height
