"""The judge: what it knows agrees with the hospital, honest models pass, each trap is named, and
wrong inputs are refused in one line."""

import json
import subprocess
import sys
from datetime import timedelta
from functools import cache

import jsonschema
import numpy as np
import polars as pl
import pytest
from checkout import REPOSITORY
from hospital_files import admissions, eligible, files, written

from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.hospital import answers, judge, judge_words
from pipeline.hospital.judge_inputs import read_case, read_patients
from pipeline.stage.errors import InputError
from pipeline.stage.judgement import Judgement
from pipeline.stage.schemas import json_schema

DRAWS = Resampling(1000)
PATIENTS = 1500
# traps that nearly always tell the same: who has one has the others
ALIKE = {
    "vitals": {"vitals stored later", "vitals charted later", "dialysis begun later"},
    "lactate": {"lactate stored later", "lactate drawn later"},
}


def made(root, folder):
    """The folder of the judge of a hospital, made by the command."""
    source = folder / "hospital"
    source.mkdir()
    for part in ("mimiciv", "mimic-cxr-jpg", "mimic-iv-note", "truth"):
        (source / part).symlink_to(root / part)
    (source / "hospital.json").write_text("{}")
    command = [sys.executable, "-m", "pipeline.hospital.answers", "--hospital", source]
    done = subprocess.run(
        [*command, "--output", folder / "judge"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "judge"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(files(PATIENTS), tmp_path_factory.mktemp("judge"))


@cache
def table(path):
    return pl.read_parquet(path)


def known(folder, task):
    """The episodes of a task with oracles and baits."""
    key = answers.KEYS[task]
    rows = table(folder / f"outcomes_{task}.parquet").drop_nulls("label")
    rows = rows.join(table(folder / f"oracle_{task}.parquet"), on=key)
    return rows.join(table(folder / "baits.parquet").drop_nulls(key), on=key).sort(key)


def judged(folder, path, task, rows, logit, modalities="ecn", lists=None):
    key = answers.KEYS[task]
    given = rows.select(key, probability=pl.Series(1 / (1 + np.exp(-logit))))
    given.write_csv(path)
    case = read_case(path, str(folder), task, modalities)
    return judge.judge(case, task, modalities, lists, DRAWS)


def log_odds(rows, letters, seed=0):
    """Those of the oracle with noise: an honest model that is no perfect reader."""
    p = rows[letters].to_numpy()
    return np.log(p / (1 - p)) + np.random.default_rng(seed).normal(0, 0.5, len(p))


def test_outcomes_of_admissions_are_those_that_were_drawn(folder):
    rows = eligible(admissions(PATIENTS))
    expected = {
        "mortality": rows.select("hadm_id", label="dies"),
        "longstay": rows.select("hadm_id", label=pl.col("stay") > 168 * 60),
        "readmission": rows.filter(~pl.col("dies")).select(
            "hadm_id", label=(pl.col("gap") < 30) & pl.col("again") & (pl.col("number") < 7)
        ),
    }
    for task, labels in expected.items():
        found = table(folder / f"outcomes_{task}.parquet")
        assert found["hadm_id"].to_list() == sorted(admissions(PATIENTS)["hadm_id"])
        episodes = found.drop_nulls("label").select("hadm_id", "label")
        assert episodes.equals(labels.sort("hadm_id")), task


def test_outcomes_are_the_labels_of_the_workflow(stays, tmp_path):
    """Task by task, of all early ICU stays and of all admissions of a run."""
    results = stays.root / "results"
    folder = made(results / "hospital", tmp_path)
    found = list((results / "corrected").glob("*/labels/*.parquet"))
    compared = 0
    for path in found:
        task = path.stem
        if task not in answers.KEYS:
            continue
        own = pl.read_parquet(folder / f"outcomes_{task}.parquet")
        labels = pl.read_parquet(path).filter("eligible")
        early = pl.read_parquet(folder / "baits.parquet")["stay_id"]
        if answers.KEYS[task] == "stay_id":
            oracle = pl.read_parquet(folder / f"oracle_{task}.parquet")
            labels = labels.filter(pl.col("episode_id").is_in(oracle["stay_id"].implode()))
            assert set(labels["episode_id"]) <= set(early)
        own = own.drop_nulls("label").rename({answers.KEYS[task]: "episode_id"})
        both = own.join(labels.cast({"label": pl.Boolean}), on="episode_id", how="full")
        assert both.null_count().select("episode_id", "episode_id_right").row(0) == (0, 0), task
        assert (both["label"] == both["label_right"]).all(), task
        compared += 1
    assert compared >= 4, [path.stem for path in found]


def test_baits_are_what_the_files_show(folder):
    root = files(PATIENTS)
    baits = table(folder / "baits.parquet").join(
        eligible(admissions(PATIENTS)).select("hadm_id", truly="dies"), on="hadm_id"
    )
    assert baits["dies"].equals(baits["truly"])
    sign = pl.when("dies").then(1.0).otherwise(-1.0)
    for name in answers.SIGNED:
        told = baits.filter(pl.col(name).abs() == 1)
        assert told.height > 0.25 * baits.height, name
        assert told.select((pl.col(name) == sign).mean()).item() > 0.995, name
    there = baits.filter(pl.col("dialysis begun later") == 1)
    assert there["dies"].all() and there.height > 0.7 * baits["dies"].sum()
    came = written("hosp/admissions", root).select("hadm_id", "admittime")
    late = written("icu/chartevents", root).filter(pl.col("itemid") == 220045)
    late = late.join(came, on="hadm_id").with_columns(
        until=pl.col("admittime") + timedelta(hours=48)
    )
    late = late.filter(pl.col("storetime") > pl.col("until"))
    for name, rows in {
        "vitals stored later": late.filter(pl.col("charttime") <= pl.col("until")),
        "vitals charted later": late.filter(pl.col("charttime") > pl.col("until")),
    }.items():
        held = table(folder / "baits.parquet").drop_nulls(name)["hadm_id"]
        assert set(held) == set(rows["hadm_id"]), name


@pytest.mark.parametrize("letters", ["e", "c", "en", "ecn"])
@pytest.mark.parametrize("task", ["mortality", "longstay", "shock_4h"])
def test_honest_models_do_not_leak(folder, tmp_path, task, letters):
    rows = known(folder, task)
    found = judged(folder, tmp_path / "p.csv", task, rows, log_odds(rows, letters), letters)
    assert found["leak"]["verdict"] == "none seen", found["leak"]
    assert found["leak"]["into"] == []
    assert abs(found["leak"]["outcome_beyond_risk"]["value"]) < 0.06
    distance = found["oracle_minus_model"]
    assert -0.01 < distance["value"] < 0.1 and found["counts"]["missing"] == 0


def test_the_oracle_itself_is_at_no_distance(folder, tmp_path):
    rows = known(folder, "mortality")
    p = rows["ecn"].to_numpy()
    found = judged(folder, tmp_path / "p.csv", "mortality", rows, np.log(p / (1 - p)))
    assert found["oracle_minus_model"]["value"] == 0
    assert found["auroc"] == found["oracle_auroc"]
    assert found["calibration"]["slope"]["low"] < 1 < found["calibration"]["slope"]["high"]
    assert found["leak"]["verdict"] == "none seen"


@pytest.mark.parametrize("trap", [name for name in answers.BAITS if "dialysis" not in name])
def test_a_model_that_reads_a_trap_is_found_and_the_trap_named(folder, tmp_path, trap):
    rows = known(folder, "mortality")
    logit = log_odds(rows, "e") + rows[trap].fill_null(0.0).to_numpy()
    found = judged(folder, tmp_path / "p.csv", "mortality", rows, logit, "e")
    leak = found["leak"]
    assert leak["verdict"] == "leaks" and leak["outcome_beyond_risk"]["low"] > 0.05
    assert trap in leak["into"][0], leak["into"]
    assert set(leak["into"][0]) - {trap} <= ALIKE.get(trap.split()[0], set()), leak["into"]
    first = " or ".join(leak["into"][0])
    told = "\n".join(judge_words.lines(found))
    assert f"into {first}" in told and "leaks" in told


def test_a_model_that_reads_the_outcome_itself_leaks_into_no_trap(folder, tmp_path):
    rows = known(folder, "mortality")
    logit = log_odds(rows, "e") + 4 * rows["dies"].cast(float).to_numpy()
    found = judged(folder, tmp_path / "p.csv", "mortality", rows, logit)
    assert found["leak"]["verdict"] == "leaks" and found["leak"]["above_oracle"]
    assert found["leak"]["into"] == []
    assert judge_words.NO_TRAP in "\n".join(judge_words.lines(found))


def test_some_predictions_and_lists_of_patients_are_counted(folder, tmp_path):
    rows = known(folder, "mortality")
    half = rows.filter(pl.col("subject_id") % 2 == 0)
    strangers = table(folder / "outcomes_mortality.parquet").filter(pl.col("label").is_null())
    ids = [*half["hadm_id"], *strangers["hadm_id"][:7]]
    p = [*half["ecn"], *[0.5] * 7]
    pl.DataFrame({"hadm_id": ids, "probability": p}).write_parquet(tmp_path / "p.parquet")
    pl.DataFrame({"subject_id": rows["subject_id"].unique()}).write_csv(tmp_path / "all.csv")
    half.select("subject_id").unique().write_csv(tmp_path / "half.csv")
    case = read_case(str(tmp_path / "p.parquet"), str(folder), "mortality", "ecn")
    every, some = (read_patients(tmp_path / f"{n}.csv", case.known) for n in ("all", "half"))
    counts = judge.counted(case, None)
    assert counts["no_episode"] == 7 and counts["judged"] == half.height
    assert counts["missing"] == rows.height - half.height
    assert judge.counted(case, [every, some])["missing"] == 0
    found = judge.splits(case, every, some)
    assert found["in_both"] == found["test"] == found["judged_in_train"] == len(some)
    assert found["judged_not_in_test"] == 0


def test_the_command_prints_and_writes_what_its_schema_says(folder, tmp_path):
    rows = known(folder, "mortality_48h")
    given, output = tmp_path / "p.csv", tmp_path / "judgement.json"
    rows.select("stay_id", "subject_id", probability="ec").write_csv(given)
    call = [sys.executable, "-m", "pipeline.hospital.judge", given, "--task", "mortality_48h"]
    done = subprocess.run([*call, "--truth", folder, "--modalities", "ec", "--output", output],
                          cwd=REPOSITORY, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in ("AUROC", "best reachable", "calibration", "none seen", "vitals stored later"):
        assert words in done.stdout
    jsonschema.validate(json.loads(output.read_text()), json_schema(Judgement))


def wrong(rows):
    """Name → predictions that are refused, and words of the refusal."""
    good = rows.select("hadm_id", probability="ecn").head(400)
    ids, p = pl.col("hadm_id"), pl.col("probability")
    return {
        "wrong id": (good.rename({"hadm_id": "stay_id"}), "predicted per hadm_id"),
        "no probability": (good.rename({"probability": "risk"}), "no column probability"),
        "above 1": (good.with_columns(p * 2), "not between 0 and 1"),
        "not a number": (good.with_columns(p.fill_null(float("nan")) * float("nan")), "0 and 1"),
        "empty": (good.with_columns(pl.when(p > 0.1).then(p).alias("probability")), "empty"),
        "text": (good.with_columns(probability=pl.lit("high")), "expected numbers"),
        "repeated": (pl.concat([good, good.head(3)]), "repeats in 3 row"),
        "unknown": (good.with_columns(ids + 1), "unknown to this hospital"),
        "id as text": (good.with_columns(ids.cast(pl.String) + "a"), "whole numbers"),
        "id missing": (good.with_columns(pl.when(ids % 2 == 0).then(ids)), "is empty"),
        "no rows": (good.head(0), "whole numbers"),
        "one class": (good.join(rows.filter("label"), on="hadm_id", how="semi"), "of one class"),
    }


@pytest.mark.parametrize("kind", [*wrong(pl.DataFrame(
    schema={"hadm_id": pl.Int64, "ecn": pl.Float64, "label": pl.Boolean}))])  # fmt: skip
def test_wrong_predictions_are_refused_in_one_line(folder, tmp_path, kind):
    frame, words = wrong(known(folder, "mortality"))[kind]
    frame.write_csv(tmp_path / "p.csv")
    with pytest.raises(InputError, match=words) as refused:
        read_case(str(tmp_path / "p.csv"), str(folder), "mortality", "ecn")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"hadm_id": [1, 2], " hadm_id": [1, 2], "probability": 0.1}, "hadm_id is there twice"),
        ({"hadm_id": [2**63 + 1, 5], "probability": 0.1}, "is empty or no id in 1"),
    ],
)
def test_odd_columns_are_refused_in_one_line(folder, tmp_path, frame, words):
    pl.DataFrame(frame).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputError, match=words):
        read_case(str(tmp_path / "p.parquet"), str(folder), "mortality", "ecn")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--train", "list.csv"], "give both lists"),
        (["--truth", "nowhere"], "no answers there"),
        (["--resamples", "5"], "expected 1000 or more"),
        (["--train", "list.csv", "--test", "strangers.csv"], "unknown to this hospital"),
        (["--train", "list.csv", "--test", "p.csv"], "no column subject_id"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(folder, tmp_path, monkeypatch, more, words):
    rows = known(folder, "mortality")
    rows.select("hadm_id", probability="ecn").write_csv(tmp_path / "p.csv")
    rows.select("subject_id").write_csv(tmp_path / "list.csv")
    pl.DataFrame({"subject_id": [1, 2]}).write_csv(tmp_path / "strangers.csv")
    monkeypatch.chdir(tmp_path)
    base = ["judge", "p.csv", "--task", "mortality", "--truth", str(folder)]
    monkeypatch.setattr(sys, "argv", [*base, *more])
    with pytest.raises(InputError, match=words):
        judge.main()
