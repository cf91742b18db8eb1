"""Whom a prediction is asked for: lists of ids, the time now; what the command takes and writes."""

import json
import os
import stat
import subprocess
import sys
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from checkout import REPOSITORY
from new_patients import SINGLE

from pipeline.predict import __main__ as command
from pipeline.predict.asked import Asked, choose, read_ids, told
from pipeline.predict.predictor import Predictor
from pipeline.stage.errors import InputError


def risk_of(count, eligible):
    """A cohort with the ids 100, 101, …, of whom the first `eligible` are at risk."""
    ids = range(100, 100 + count)
    return pl.DataFrame({"episode_id": ids, "subject_id": ids}).with_columns(
        eligible=pl.int_range(pl.len()) < eligible
    )


def chosen(ids, now=None):
    """Of 300 admissions 200 in the cohort, 150 at risk; 20 of them came a day later."""
    start = [datetime(2150, 1, 1 + (130 <= place < 150)) for place in range(200)]
    risk = risk_of(200, 150)
    episodes = risk.select("episode_id", clock_zero=pl.Series(start))
    return choose(risk, episodes, pl.Series(range(100, 400)), 48, ids, now)


def test_who_of_a_list_has_no_risk_is_counted():
    made = chosen([*range(0, 120), *range(250, 270), *range(380, 400)])
    assert made.ids.tolist() == list(range(100, 120))
    assert made.listed == {"asked": 160, "unknown": 100, "outside": 20, "not_at_risk": 20}
    assert made.rows[-1] == {"condition": "on the list of ids", "episodes": 20, "subjects": 20}
    late = chosen(list(range(220, 250)), datetime(2150, 1, 3))
    assert late.ids.tolist() == list(range(220, 230))
    assert [late.waiting, *late.listed.values()] == [20, 30, 0, 0, 0]
    assert late.rows[-1]["episodes"] == 10
    assert chosen(None).listed is None


@pytest.mark.parametrize("ids", [["1"], [1.5], [float("inf")], [None], [2**70], [True]])
def test_ids_that_are_no_whole_numbers_are_refused(ids):
    with pytest.raises(InputError, match="ids: expected whole numbers"):
        chosen(ids)


def asked(predicted, waiting=0, **parts):
    listed = {"unknown": 0, "outside": 0, "not_at_risk": 0, **parts}
    total = predicted + waiting + sum(listed.values())
    return Asked(np.arange(predicted), waiting, [], {"asked": total, **listed})


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (asked(50, unknown=20, outside=30), [100, 20, 30, 0]),
        (asked(50, unknown=3), [None, "<10", 0, 0]),  # 53 would tell
        (asked(50, unknown=3, outside=4), [None, "<10", "<10", 0]),
        (asked(50, unknown=3, outside=30), [83, "<10", None, 0]),
        (asked(50, unknown=6, outside=6, not_at_risk=30), [92, "<10", "<10", 30]),
        (asked(5, unknown=40), [45, None, 0, 0]),  # the 5 would follow
        (asked(50, waiting=4, unknown=40), [94, None, 0, 0]),
    ],
)
def test_no_small_part_of_a_list_follows_from_the_others(made, expected):
    _, listed = told(made, 10)
    assert list(listed.values()) == expected
    exact = told(made, 0)[1]
    assert exact == made.listed


def write(tmp_path, text):
    (tmp_path / "ids.csv").write_text(text)
    return tmp_path / "ids.csv"


def test_a_csv_is_read_by_what_an_episode_of_the_model_is(tmp_path):
    both = write(tmp_path, "stay_id,hadm_id\n30000001,20000001.0\n30000002,20000002\n")
    assert read_ids(both, "admission") == [20000001, 20000002]
    assert read_ids(both, "stay") == [30000001, 30000002]
    short = write(tmp_path, "note,hadm_id\nof nobody\nof one,20000001\n")
    assert read_ids(short, "admission") == [20000001]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hadm_id\n20013578.7\n", "no whole number"),
        ("hadm_id\ninf\n", "no whole number"),
        ("subject_id\n1\n", "no column hadm_id, episode_id"),
    ],
)
def test_a_csv_that_is_no_list_is_refused_in_one_line(tmp_path, text, why):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=why) as refused:
        read_ids(path, "admission")
    assert "\n" not in str(refused.value)


# from the shell


@pytest.fixture(scope="module")
def everybody(stored):
    return Predictor(stored / f"results/models/{SINGLE}", device="cpu").predict(
        stored / "results/hospital"
    )


@pytest.fixture
def shell(stored, tmp_path, monkeypatch):
    """Runs the command; the risks and the report that it wrote."""

    def ran(**options):
        output = tmp_path / "out/risks.parquet"
        given = {"model": stored / f"results/models/{SINGLE}", "device": "cpu",
                 "source": stored / "results/hospital", "output": output, **options}  # fmt: skip
        words = [str(word) for name, value in given.items()
                 for word in (f"--{name.replace('_', '-')}", value)]  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["predict", *words])
        command.main()
        return pl.read_parquet(output), json.loads(output.with_suffix(".report.json").read_text())

    return ran


def test_ids_and_a_time_from_the_shell(shell, everybody, tmp_path, caplog):
    risks = everybody.risks.sort("prediction_time", "episode_id")
    now = risks["prediction_time"][80]
    some = [1, 2, *everybody.risks["episode_id"].to_list()]
    path = write(tmp_path, "episode_id\n" + "\n".join(map(str, some)) + "\n")
    made, report = shell(ids=path, now=now.isoformat(), suppress_below=0, temp=tmp_path)
    assert made.equals(everybody.risks.filter(pl.col("prediction_time") <= now))
    assert report["listed"] == {"asked": len(some), "unknown": 2, "outside": 0, "not_at_risk": 0}
    assert report["waiting"] == everybody.risks.height - made.height > 0
    steps = [row["condition"] for row in report["selection"]]
    assert steps[-2:] == ["on the list of ids", "at the prediction time by now"]
    assert "2 not in the source" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ids.csv", "out"]


def test_files_are_for_the_owner_alone_and_nothing_else_is_left(stored, everybody, tmp_path):
    words = ["--model", stored / f"results/models/{SINGLE}", "--device", "cpu", "--source",
             stored / "results/hospital", "--output", tmp_path / "out/risks.parquet"]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline.predict", *map(str, words)], cwd=tmp_path, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    made = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert sorted(made) == ["risks.parquet", "risks.report.json"]
    assert pl.read_parquet(made["risks.parquet"]).equals(everybody.risks)
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.values()} == {0o600}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"now": "2150-01-31T12:00+01:00"}, "now: it has a time zone"),
        ({"source": "/nowhere"}, "--source /nowhere: no such folder"),
        ({"temp": "/nowhere"}, "--temp /nowhere: no such folder"),
    ],
)
def test_what_the_command_cannot_use_is_refused_in_one_line(shell, options, why):
    with pytest.raises(InputError, match=why) as refused:
        shell(**options)
    assert "\n" not in str(refused.value)
