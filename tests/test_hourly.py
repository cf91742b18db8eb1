"""Hourly concept tables as a source: values, times, labels, what is refused; the open demos."""

import json
import sys
from datetime import datetime, timedelta

import duckdb
import polars as pl
import pytest
from episodes_at_hand import RULE, cohort_of, split_by

from pipeline.cohort.episodes import select_episodes
from pipeline.cohort.labels import label_task
from pipeline.ehr import events
from pipeline.ehr.signals import catalogue
from pipeline.extract.contracts import TABLES as CONTRACTS
from pipeline.hourly import adapt, given
from pipeline.hourly.source import OFFERED, TASK, files
from pipeline.plan import targets
from pipeline.stage.errors import InputError

SHARES = {"train": 0.4, "fusion": 0.2, "val": 0.2, "test": 0.2}
BEGIN = datetime(2150, 1, 1)


def tables_of(folder, **change):
    """Three stays: hours as durations; the second dies."""
    dyn = pl.DataFrame(
        {
            "stay_id": [11, 11, 11, 12, 12],
            "time": [timedelta(hours=h) for h in (0, 5, 24, 23, 25)],
            "hr": [80.0, None, 200.0, 120.0, 210.0],
            "po2": [None, 90.0, None, None, None],
            "urine": [None, 150.0, None, None, None],
            "crp": [None, 3.0, None, None, None],
        }
    )
    people = {"age": [70.9, 50.0, 33.0], "sex": ["Male", "Female", "Female"]}
    sta = pl.DataFrame({"stay_id": [11, 12, 13], **people, "height": [180.0, None, None]})
    outc = pl.DataFrame({"stay_id": [11, 12, 13], "label": [0, 1, 0]})
    for name, frame in {"dyn": dyn, "sta": sta, "outc": outc, **change}.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def adapted(folder, monkeypatch, output):
    """Runs the stage; the tables by name."""
    words = ["adapt", "--root", str(folder), "--output"]
    words += [str(output / f"{name}.parquet") for name in OFFERED]
    monkeypatch.setattr(sys, "argv", words)
    adapt.main()
    return {name: pl.read_parquet(output / f"{name}.parquet") for name in OFFERED}


def selected(source, output, monkeypatch):
    """Episodes, labels and events of the tables in a folder, by the stages that follow."""
    with duckdb.connect() as database:
        cohort = cohort_of(min_age=18)
        database.register("chartevents", source["chartevents"])
        split = split_by("a", SHARES)
        people = {name: source[name] for name in ("patients", "admissions", "icustays")}
        episodes, _ = select_episodes(database, people, cohort, split, 2019, "stay")
        own = {"episodes": episodes, "admissions": source["admissions"]}
        labels = label_task(database, TASK, own)
    episodes.write_parquet(output / "episodes.parquet")
    words = ["events", "--episodes", str(output / "episodes.parquet"), "--source", str(output)]
    words += ["--availability", json.dumps(RULE), "--output", str(output / "events.parquet")]
    monkeypatch.setattr(sys, "argv", words)
    events.main()
    return episodes, labels, pl.read_parquet(output / "events.parquet")


@pytest.fixture
def made(tmp_path, monkeypatch):
    given, output = tmp_path / "given", tmp_path / "source"
    given.mkdir()
    output.mkdir()
    source = adapted(tables_of(given), monkeypatch, output)
    return source, *selected(source, output, monkeypatch)


def test_tables_are_those_of_the_contracts(made):
    source = made[0]
    for name, table in source.items():
        assert table.columns == list(CONTRACTS[name].columns), name
    assert source["inputevents"].is_empty() and source["procedureevents"].is_empty()


def test_an_hour_is_known_at_its_end_and_the_prediction_sees_what_was_known(made):
    _, _, _, rows = made
    found = rows.sort("episode_id", "minute", "signal").select(
        "episode_id", "minute", "known", "signal", "value"
    )
    assert found.rows() == [
        (11, 0, 59, "heart_rate", 80.0),
        (11, 300, 359, "pao2", 90.0),
        (11, 300, 359, "urine", 150.0),
        (12, 1380, 1439, "heart_rate", 120.0),
    ]
    assert rows.filter(pl.col("known") >= 24 * 60).is_empty()


def test_labels_and_episodes_are_those_of_the_data_set(made):
    _, episodes, labels, _ = made
    assert labels.sort("episode_id")["eligible"].all()
    assert labels.sort("episode_id")["label"].to_list() == [0, 1, 0]
    ordered = episodes.sort("episode_id")
    assert ordered["clock_zero"].to_list() == [BEGIN] * 3  # a stay without a heart rate, too
    assert ordered["age"].to_list() == [70, 50, 33] and ordered["sex"].to_list() == ["M", "F", "F"]
    assert ordered["subject_id"].to_list() == [11, 12, 13]


def test_hours_may_be_numbers():
    times = pl.DataFrame({"stay_id": 1, "time": [0, 1, 23, 24, -1], "hr": 80.0})
    for kind in (pl.Int32, pl.Float64):
        found = given.hours(times.with_columns(pl.col("time").cast(kind)))
        assert found["hour"].to_list() == [0, 1, 23]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dyn": pl.DataFrame({"stay_id": [1], "hr": [80.0]})}, "dyn.parquet: no column time"),
        (
            {"dyn": pl.DataFrame({"stay_id": [1], "time": ["1"], "hr": [80.0]})},
            "expected hours or a duration",
        ),
        ({"outc": pl.DataFrame({"stay_id": [1, 1], "label": [0, 1]})}, "outc.parquet: stay_id rep"),
        ({"outc": pl.DataFrame({"stay_id": [1], "label": [7.5]})}, "label is not 0 or 1"),
        ({"sta": pl.DataFrame({"stay_id": [1], "age": [50]})}, "no column sex"),
        ({"sta": pl.DataFrame({"stay_id": [None, 1], "age": [50, 5], "sex": "M"})}, "is empty in"),
        ({"sta": pl.DataFrame({"stay_id": [11], "age": ["> 89"], "sex": "M"})}, "age is String"),
        ({"sta": pl.DataFrame({"stay_id": [11], "age": [50], "sex": 1})}, "sex is Int"),
        ({"sta": pl.DataFrame({"stay_id": [99], "age": [50], "sex": "M"})}, "sta.parquet: none of"),
        ({"outc": pl.DataFrame({"stay_id": [11], "label": ["no"]})}, "label is String"),
        ({"outc": pl.DataFrame({"stay_id": [11.5], "label": [0]})}, "stay_id is Float64"),
        ({"outc": pl.DataFrame({"stay_id": ["s11"], "label": [0]})}, "stay_id is String"),
        ({"dyn": pl.DataFrame({"stay_id": [11], "time": [1], "hr": ["80"]})}, "hr is String"),
        ({"dyn": pl.DataFrame({"stay_id": [11], "time": [1], "x": [1]})}, "none of its columns"),
        ({"dyn": pl.DataFrame({"stay_id": [99], "time": [1], "hr": [1]})}, "dyn.parquet: none of"),
        ({"dyn": pl.DataFrame({"stay_id": 11, "time": [1.0, 1.5], "hr": [1, 2]})}, "hour repeat"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, monkeypatch, change, words):
    with pytest.raises(InputError, match=words):
        adapted(tables_of(tmp_path, **change), monkeypatch, tmp_path)


def test_what_is_not_read_is_told(tmp_path, monkeypatch, caplog):
    dyn = pl.DataFrame({"stay_id": [11, 11, 11, 99], "time": [0, 60, 120, 180], "hr": 80.0})
    sta = pl.DataFrame({"stay_id": [11, 12, 13], "age": [70, 50, 33], "sex": ["M", "F", "other"]})
    adapted(tables_of(tmp_path, dyn=dyn, sta=sta), monkeypatch, tmp_path)
    said = caplog.text
    assert "rows lie outside the first 24 hours" in said
    assert "stays of outc have no row there" in said and "stays are not in outc" in said
    assert "sex is none of Male, Female" in said


def test_concepts_are_items_of_the_catalogue():
    listed = adapt.concepts()
    known = {row[:3] for row in catalogue().select("signal", "source", "label").iter_rows()}
    assert set(listed.select("signal", "table", "label").iter_rows()) <= known
    assert listed["concept"].is_unique().all() and listed["signal"].is_unique().all()


@pytest.mark.parametrize(
    ("demo", "size", "positives"), [("eicu_demo", 1367, 70), ("mimic_demo", 99, 21)]
)
def test_open_demos(open_data, tmp_path, monkeypatch, demo, size, positives):
    given = open_data / "yaib" / "mortality24" / demo
    if not given.is_dir():
        pytest.skip(f"no open data at {given}")
    source = adapted(given, monkeypatch, tmp_path)
    _, labels, rows = selected(source, tmp_path, monkeypatch)
    outcome = pl.read_parquet(given / "outc.parquet").cast({"stay_id": pl.Int64})
    both = labels.filter("eligible").join(outcome, left_on="episode_id", right_on="stay_id")
    # one stay of the eICU demo has no age
    assert both.height == size - (demo == "eicu_demo") and outcome["label"].sum() == positives
    assert (both["label"] == both["label_right"]).all()
    hourly = pl.read_parquet(given / "dyn.parquet")
    counted = hourly.filter(
        pl.col("time") < pl.duration(hours=24), pl.col("hr").is_between(10, 300)
    )
    there = rows.filter(signal="heart_rate")
    assert (
        counted.filter(pl.col("stay_id").is_in(both["episode_id"].implode())).height == there.height
    )


def test_a_target_is_planned_and_others_are_refused(fresh, tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    tables_of(given)
    config = ["--config", f"source={{kind: hourly, root: {given}}}"]
    target = f"results/e_gbdt-stats_{TASK}.json"
    planned = fresh.snakemake("--dry-run", "--quiet", "rules", *config, "--", target)
    assert planned.status == 0, planned.text
    assert "adapt_hourly" in planned.text and "known at its end" in planned.text
    for other, words in {
        "results/e_gbdt-stats_mortality.json": f"labels of {TASK} alone",
        "results/ec_early_mortality.json": "kind hourly",
        "results/meds/metadata/dataset.json": "MEDS data are not written",
        "results/meds/metadata/subject_splits.parquet": "MEDS data are not written",
        f"results/meds/labels/{TASK}.parquet": "MEDS data are not written",
        "results/corrected/stay/labels/mortality_12h.parquet": f"labels of {TASK} alone",
    }.items():
        refused = fresh.snakemake("--dry-run", "--quiet", "rules", *config, "--", other)
        assert refused.status and words in refused.text, refused.text


def test_the_planner_knows_the_files(tmp_path):
    assert [path.rsplit("/", 1)[1] for path in files(tmp_path)] == [
        "dyn.parquet", "sta.parquet", "outc.parquet"
    ]  # fmt: skip
    config = {"tasks": [], "unimed": {"all": []}}
    assert targets.beyond_hourly(config, "sofa", "corrected", TASK)
