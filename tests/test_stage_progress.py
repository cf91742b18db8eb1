"""Long jobs say how far they are: in the log and on the screen, seldom, and in plain lines."""

import re
import subprocess
import sys
import threading

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.stage import database as databases
from pipeline.stage import progress as module
from pipeline.stage.parts import read_parts
from pipeline.stage.progress import JobProgress
from pipeline.training.batches import evaluate

JOB = """
import time
from pipeline.stage import progress
from pipeline.stage.command import log, run
progress.FIRST = {first}

def main():
    said = progress.JobProgress("counting sheep", 5)
    for sheep in said.each(range(5)):
        time.sleep(0.02)
    log.info("counted")
    log.warning("one is lame")

run(main)
"""
LINE = r"\d\d:\d\d:\d\d counting sheep: 20 %, \d+ s left"


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def said(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_line_after_10_s_and_then_every_30_s_with_percent_and_time_left(clock, caplog):
    caplog.set_level("INFO")
    for _ in JobProgress("decoding", 200).each(range(200)):
        clock[0] += 1
    assert said(caplog) == [
        "decoding: 5 %, 3 min left", "decoding: 20 %, 3 min left", "decoding: 35 %, 2 min left",
        "decoding: 50 %, 2 min left", "decoding: 65 %, 1 min left", "decoding: 80 %, 40 s left",
        "decoding: 95 %, 10 s left",
    ]  # fmt: skip


def test_a_short_job_says_nothing(clock, caplog):
    caplog.set_level("INFO")
    for _ in JobProgress("decoding", 9).each(range(9)):
        clock[0] += 1
    assert not said(caplog)


def run_job(first, **streams):
    return subprocess.run([sys.executable, "-c", JOB.format(first=first)], check=True, text=True,
                          **streams)  # fmt: skip


def test_progress_and_warnings_reach_the_screen_where_the_log_is_a_file(tmp_path):
    with (tmp_path / "job.log").open("w") as log:
        screen = run_job(0, stdout=subprocess.PIPE, stderr=log).stdout
    written = (tmp_path / "job.log").read_text()
    assert re.fullmatch(f"{LINE}\nwarning: one is lame", screen.strip()), screen  # these alone
    assert re.search(f"^{LINE}$", written, re.M) and "counted" in written
    assert re.search(r"^\d\d:\d\d:\d\d warning: one is lame$", written, re.M), written
    assert written.count("one is lame") == 1
    assert "\r" not in written and "\x1b" not in written


def test_progress_and_warnings_are_said_once_where_log_and_screen_are_one():
    both = run_job(0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    assert both.count("counting") == both.count("one is lame") == 1
    assert "counting" not in run_job(60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


def test_a_query_says_how_far_it_is(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(databases, "LOOK", 0.002)
    monkeypatch.setattr(module, "FIRST", 0)
    monkeypatch.setattr(module, "EVERY", 0)
    with databases.connect(1, 500, tmp_path) as database:
        rows = "SELECT i, hash(i) AS h FROM range(1_000_000) AS r(i)"
        database.execute(f"COPY ({rows}) TO '{tmp_path}/t.csv.gz' (FORMAT csv)")
        with databases.watched(database, "reading t"):
            types = "{i: 'BIGINT', h: 'UBIGINT'}"
            read = f"FROM read_csv('{tmp_path}/t.csv.gz', columns = {types})"
            database.execute(f"COPY ({read}) TO '{tmp_path}/t.parquet'")
    shares = [int(re.fullmatch(r"reading t: (\d+) %, .* left", line)[1]) for line in said(caplog)]
    assert len(set(shares)) > 5 and shares == sorted(shares), shares


def test_a_query_that_fails_ends_its_watch(tmp_path):
    threads = threading.active_count()
    with (
        databases.connect(1, 500, tmp_path) as database,
        pytest.raises(databases.duckdb.Error),
        databases.watched(database, "reading"),
    ):
        database.execute("SELECT * FROM nothing")
    assert threading.active_count() == threads


def test_a_table_that_is_read_in_parts_says_how_far_it_is(clock, caplog, tmp_path):
    caplog.set_level("INFO")
    path = tmp_path / "tokens.parquet"
    pl.DataFrame({"episode_id": np.arange(5_000_000)}).write_parquet(path)
    for _ in read_parts(path):
        clock[0] += 20
    assert [line.partition(":")[0] for line in said(caplog)] == ["reading tokens.parquet"]
    assert re.search(r": 4\d %, \d+ s left$", said(caplog)[0])


def test_a_pass_through_a_model_says_how_far_it_is(clock, caplog):
    class Slow(torch.nn.Module):
        def forward(self, batch):
            clock[0] += 15
            return batch["row"]

    class Rows:
        def batch(self, rows):
            return {"row": torch.from_numpy(rows).float()}

    caplog.set_level("INFO")
    made = evaluate(Slow(), Rows(), np.arange(8), 2, torch.device("cpu"))
    assert made.tolist() == list(range(8))
    line = "passing rows through the model: {}"
    assert said(caplog) == [line.format("25 %, 45 s left"), line.format("75 %, 15 s left")]
