"""Results in MEDS: of the schema, at the time when it was known, with our labels and splits."""

import json
from datetime import datetime, timedelta

import meds
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hospital_files import files
from meds_at_hand import SPLIT, TASKS, derived, exported, extracted, run, tables

from pipeline.meds import labels, predictions, splits
from pipeline.meds.parquet import aligned, write_frame
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return extracted(files(300, films=False) / "mimiciv/3.1", tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    return derived(source, tmp_path_factory.mktemp("direct"))


@pytest.fixture(scope="module")
def data_set(source, tmp_path_factory):
    return exported(source, tmp_path_factory.mktemp("meds"), release="3.1")


@pytest.fixture(scope="module")
def events(data_set):
    return pl.read_parquet(data_set / "data/*.parquet")


def test_every_file_is_of_meds_own_schema(data_set):
    for file in data_set.glob("data/*.parquet"):
        table = pq.read_table(file)
        meds.DataSchema.validate(table)
        assert table.schema.field("text_value").type == pa.large_string()
    meds.CodeMetadataSchema.validate(pq.read_table(data_set / meds.code_metadata_filepath))
    facts = json.loads((data_set / meds.dataset_metadata_filepath).read_text())
    meds.DatasetMetadataSchema.validate(facts)
    assert facts["dataset_version"] == "3.1" and facts["meds_version"].startswith("0.4")


def test_a_patient_is_in_one_file_in_the_order_of_time_and_every_code_is_described(data_set):
    seen = set()
    for file in sorted(data_set.glob("data/*.parquet")):
        rows = pl.read_parquet(file)
        assert rows.equals(rows.sort("subject_id", "time", maintain_order=True, nulls_last=False))
        own = set(rows["subject_id"])
        assert own and not own & seen
        seen |= own
    codes = pl.read_parquet(data_set / "metadata/codes.parquet")
    used = pl.scan_parquet(data_set / "data/*.parquet").select("code").unique().collect()["code"]
    assert set(codes["code"]) == set(used)
    named = codes.filter(pl.col("code").str.starts_with("LAB//220045//"))
    assert named["description"].to_list() == ["Heart Rate"]


def test_the_same_source_gives_the_same_bytes(source, data_set, tmp_path):
    again = exported(source, tmp_path, release="3.1")
    for file in [*data_set.glob("data/*.parquet"), *data_set.glob("metadata/*")]:
        assert file.read_bytes() == (again / file.relative_to(data_set)).read_bytes()


def test_a_result_is_there_when_it_was_known_not_when_it_was_drawn(source, events):
    labs = pl.read_parquet(source / "labevents.parquet").unique()
    known = pl.max_horizontal("charttime", pl.coalesce("storetime", "charttime"))
    own = labs.select("subject_id", "hadm_id", "charttime", time=known).sort(pl.all())
    written = events.filter(pl.col("code").str.starts_with("LAB//RESULT//"))
    assert (own["time"] > own["charttime"]).mean() > 0.5
    assert written.select(own.columns).unique().sort(pl.all()).equals(own.unique().sort(pl.all()))


def test_an_infusion_is_known_as_it_starts_and_its_amount_as_it_ends(source, events):
    rows = pl.read_parquet(source / "inputevents.parquet").unique().sort("starttime")
    begun = events.filter(pl.col("code").str.starts_with("INFUSION_START"))
    assert begun["time"].sort().equals(rows["starttime"].sort().rename("time"))
    ended = events.filter(pl.col("code").str.starts_with("INFUSION_END"))
    assert ended["time"].sort().equals(rows["endtime"].drop_nulls().sort().rename("time"))
    assert set(ended["statusdescription"]) >= {"ChangeDose/Rate"}
    assert begun["statusdescription"].null_count() == begun.height  # not known yet


def test_a_patient_dies_once_and_in_hospital_within_the_admission(events, made):
    deaths = events.filter(code="MEDS_DEATH")
    assert deaths["subject_id"].is_unique().all() and deaths.height > 20
    positive = made["mortality"].filter(label=1).join(made["admission episodes"], on="episode_id")
    joined = positive.join(deaths.select("subject_id", died="time"), on="subject_id", how="left")
    assert joined.select((pl.col("died") <= pl.col("end")).all()).item()
    assert joined.select((pl.col("died") > pl.col("prediction_time")).all()).item()


def test_notes_are_events_with_their_text_where_the_source_has_them(source, tmp_path):
    path = tmp_path / "radiology.parquet"
    subject = pl.read_parquet(source / "patients.parquet")["subject_id"][0]
    text = {"note_id": "a", "subject_id": subject, "hadm_id": None, "note_type": "RR",
            "note_seq": 1, "charttime": datetime(2150, 1, 1), "storetime": datetime(2150, 1, 2),
            "text": "Lungs clear."}  # fmt: skip
    pl.DataFrame([text], schema_overrides={"hadm_id": pl.Int64}).write_parquet(path)
    root = exported(source, tmp_path / "meds", beside=[path])
    notes = pl.read_parquet(root / "data/*.parquet").filter(code="NOTE//RR")
    assert notes.select("time", "text_value").rows() == [(datetime(2150, 1, 2), "Lungs clear.")]


def test_labels_are_asked_a_microsecond_before_our_prediction_time(made, tmp_path):
    for unit, tasks in TASKS.items():
        episodes = made[f"{unit} episodes"]
        for task in tasks:
            paths = [tmp_path / f"{task}-{name}.parquet" for name in ("episodes", "labels", "out")]
            episodes.write_parquet(paths[0])
            made[task].write_parquet(paths[1])
            run(labels, task=task, episodes=paths[0], labels=paths[1], output=paths[2])
            meds.LabelSchema.validate(pq.read_table(paths[2]))
            eligible = made[task].filter("eligible").join(episodes, on="episode_id")
            hours = int(task.split("_")[1][:-1]) if unit == "stay" else 48
            at = eligible["clock_zero"] + timedelta(hours=hours) - MICROSECOND
            written = pl.read_parquet(paths[2])
            assert written["prediction_time"].sort().equals(at.sort().rename("prediction_time"))
            assert written["boolean_value"].sum() == eligible["label"].sum()


def test_a_task_of_many_labels_is_refused(made):
    with pytest.raises(InputError, match="diagnoses_48h: it has many labels"):
        labels.of_task(made["stay episodes"], made["mortality_48h"], "diagnoses_48h")


def test_patients_are_split_as_the_episodes_are(source, made, tmp_path):
    output = tmp_path / "splits.parquet"
    run(splits, patients=source / "patients.parquet", split=json.dumps(SPLIT), output=output)
    meds.SubjectSplitSchema.validate(pq.read_table(output))
    table = pl.read_parquet(output)
    assert table.height == 300 and set(table["split"]) == {"train", "tuning", "held_out"}
    both = made["admission episodes"].join(table, on="subject_id", suffix="_of_meds")
    assert both.height == made["admission episodes"].height
    assert both["split"].replace_strict(splits.SPLITS).to_list() == both["split_of_meds"].to_list()


def predicted(made, tmp_path, by_run, recalibrated=(), folds=1):
    """The predictions of a made-up result, written as MEDS: our table, MEDS' table."""
    rows = made["mortality"].filter("eligible").join(made["admission episodes"], on="episode_id")
    place = pl.int_range(pl.len()) / pl.len()
    own = rows.select(
        "episode_id", "subject_id", "split", "label", task=pl.lit("mortality"),
        seed=pl.lit(0, pl.Int64), probability=place,
    )  # fmt: skip
    both = pl.concat([own, own.with_columns(seed=pl.lit(1, pl.Int64), probability=pl.lit(0.5))])
    both.write_parquet(tmp_path / "predictions.parquet")
    made["admission episodes"].write_parquet(tmp_path / "episodes.parquet")
    part = {"threshold": {"by_run": by_run}}
    if recalibrated:
        part["recalibration"] = {"method": "platt", "by_run": list(recalibrated)}
    result = {"schema_version": 1, "target": "x", "seeds": [0, 1], "folds": folds,
              "tasks": {"mortality": part}}  # fmt: skip
    write_json(tmp_path / "result.json", result)
    output = tmp_path / "out.parquet"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipeline.stage.result.SCHEMA_VERSION", 1)
        run(predictions, result=tmp_path / "result.json", task="mortality", seed=0, output=output,
            episodes=tmp_path / "episodes.parquet",
            predictions=tmp_path / "predictions.parquet")  # fmt: skip
    return own, pq.read_table(output)


@pytest.mark.parametrize("threshold", [0.3, None])
def test_a_prediction_always_has_a_value_by_the_threshold_of_the_result(made, tmp_path, threshold):
    by_run = [{"seed": 1, "fold": 0, "threshold": 0.9}]
    by_run += [] if threshold is None else [{"seed": 0, "fold": 0, "threshold": threshold}]
    own, table = predicted(made, tmp_path, by_run)
    predictions.PredictionSchema.validate(table)
    test = own.filter(split="test")
    assert table.num_rows == test.height > 20
    positive = table["predicted_boolean_value"].to_pylist()
    assert sum(positive) == (test["probability"] >= (threshold or 0.5)).sum()
    assert None not in positive and None not in table["predicted_boolean_probability"].to_pylist()


def test_predictions_are_recalibrated_as_those_that_the_result_measured(made, tmp_path):
    fits = [{"seed": seed, "fold": fold, "slope": slope, "intercept": 1.0, "reason": None}
            for seed, fold, slope in ((0, 1, 3.0), (1, 0, 3.0), (0, 0, 0.5))]  # fmt: skip
    by_run = [{"seed": 0, "fold": fold, "threshold": at} for fold, at in ((1, 0.1), (0, 0.8))]
    own, table = predicted(made, tmp_path, by_run, fits, folds=2)
    clipped = own.filter(split="test").sort("probability")["probability"].clip(1e-7, 1 - 1e-7)
    odds = (clipped / (1 - clipped)).log()
    expected = 1 / (1 + (-(1.0 + 0.5 * odds)).exp())
    made_of_it = pl.DataFrame(table).sort("predicted_boolean_probability")
    assert made_of_it["predicted_boolean_probability"].to_list() == pytest.approx(
        expected.to_list(), abs=1e-6
    )
    positive = made_of_it["predicted_boolean_value"].to_list()
    assert positive == (expected >= 0.8).to_list() and 0 < sum(positive) < len(positive)
    assert sum(positive) != (clipped >= 0.8).sum()


def test_of_several_folds_the_first_is_written_whose_patients_are_held_out(fresh):
    target = "results/meds/predictions/e_gbdt-stats_mortality.parquet"
    plan = fresh.snakemake("--dry-run", "--config", "folds=3", "--", target)
    assert plan.status == 0, plan.text
    job = plan.text.split("rule write_meds_predictions:")[1].split("output:")[0]
    assert "corrected/admission/predictions/e_gbdt-stats_mortality.parquet" in job
    assert "fold1" not in job and "fold2" not in job


def test_what_is_not_of_the_schema_is_refused_by_name():
    table = pa.table({"subject_id": ["x"], "split": ["train"]})
    with pytest.raises(InputError, match=r"a\.parquet: not MEDS: .*subject_id"):
        aligned(table, meds.SubjectSplitSchema, "a.parquet")


def test_a_table_without_rows_is_written_with_its_columns(tmp_path):
    empty = pl.DataFrame(schema={"subject_id": pl.Int64, "split": pl.String})
    write_frame(empty, tmp_path / "a.parquet", meds.SubjectSplitSchema)
    meds.SubjectSplitSchema.validate(pq.read_table(tmp_path / "a.parquet").schema)


def test_a_source_without_a_table_is_refused(source, tmp_path):
    with pytest.raises(InputError, match="labevents missing"):
        some = [path for path in tables(source) if path.stem != "labevents"]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("meds_at_hand.tables", lambda _: some)
            exported(source, tmp_path)
