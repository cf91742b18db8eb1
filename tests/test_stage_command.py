"""How a stage ends: one line for bad input, a traceback for a defect, nothing half-made."""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from pipeline.stage.availability import PartOfRule
from pipeline.stage.database import connect
from pipeline.stage.errors import InputError
from pipeline.stage.settings import json_argument

STAGE = """
import sys, time
from pathlib import Path
from pipeline.stage.command import log, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.settings import json_argument
from pipeline.stage.files import whole

def main():
    arguments = parser("A stage that ends in some way.")
    arguments.add_argument("--how", default="well", help="the way")
    arguments.add_argument("--output", required=True)
    given = arguments.parse_args()
    with whole(given.output) as part:
        part.write_text("half")
        if given.how == "input":
            raise InputError(f"{given.output}: no column age; expected age")
        if given.how == "defect":
            raise ZeroDivisionError("a defect")
        if given.how == "wait":
            print("waiting", flush=True)
            time.sleep(60)
    log.info("made")

if __name__ == "__main__":
    run(main)
"""


@pytest.fixture
def stage(tmp_path):
    """Starts the stage; its output would be tmp_path / out / made.txt."""
    (tmp_path / "stage.py").write_text(textwrap.dedent(STAGE))
    environment = {k: v for k, v in os.environ.items() if k != "PIPELINE_USAGE"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])

    def start(*flags, **variables):
        return subprocess.Popen(
            [sys.executable, tmp_path / "stage.py", "--output", tmp_path / "out/made.txt", *flags],
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def made(tmp_path):
    folder = tmp_path / "out"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_stage_that_ends_well_leaves_an_owner_only_file_and_a_record(stage, tmp_path):
    process = stage(PIPELINE_USAGE=str(tmp_path / "usage"))
    _, said = process.communicate()
    assert process.returncode == 0
    assert "made" in said
    assert "peak memory" in said
    assert made(tmp_path) == ["made.txt"]
    assert stat.S_IMODE((tmp_path / "out/made.txt").stat().st_mode) == 0o600
    (record,) = (tmp_path / "usage").iterdir()
    kept = json.loads(record.read_text())
    assert kept["made"].endswith("made.txt")
    assert set(kept) == {"stage", "made", "seconds", "cpu", "peak_mb", "host", "started"}
    assert kept["seconds"] >= 0 and kept["cpu"] > 0
    assert kept["peak_mb"] > 1


def test_bad_input_is_one_line_and_exit_status_1(stage, tmp_path):
    process = stage("--how", "input")
    _, said = process.communicate()
    assert process.returncode == 1
    assert said == f"error: {tmp_path}/out/made.txt: no column age; expected age\n"
    assert made(tmp_path) == []


def test_a_defect_keeps_its_traceback(stage, tmp_path):
    process = stage("--how", "defect")
    _, said = process.communicate()
    assert process.returncode == 1
    assert "Traceback" in said
    assert "ZeroDivisionError: a defect" in said
    assert made(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_stage_leaves_nothing_half_made(stage, tmp_path, how):
    process = stage("--how", "wait")
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(how)
    process.communicate()
    assert process.returncode not in (0, None)
    assert made(tmp_path) == []


def test_help_shows_defaults(stage):
    said, _ = stage("--help").communicate()
    assert "the way (default: well)" in said


def test_the_database_has_the_threads_the_memory_and_the_disk_of_its_job(tmp_path):
    with connect(3, 500, tmp_path / "spill") as database:
        threads, memory, disk = (
            database.execute(f"SELECT current_setting('{name}')").fetchone()[0]
            for name in ("threads", "memory_limit", "temp_directory")
        )
        (folder,) = (tmp_path / "spill").iterdir()
    assert (threads, disk) == (3, str(folder))
    assert 300 < float(memory.removesuffix(" MiB")) * 2**20 / 1e6 <= 500
    assert not list((tmp_path / "spill").iterdir())  # nothing of the data stays on disk
    with pytest.raises(duckdb.Error):
        database.execute("SELECT 1")


RULE = {"enforced": True, "labs": ["storetime", "charttime"], "films": ["film_time"]}


def test_the_availability_rule_as_sql():
    rule = PartOfRule(**RULE)
    assert rule.known_from("labs") == "coalesce(storetime, charttime)"
    assert rule.known_from("films") == "film_time"
    assert rule.stands_in("labs") == "storetime IS NULL"
    assert rule.cut == "prediction_time"
    assert PartOfRule(**RULE | {"enforced": False}).cut != "prediction_time"


@pytest.mark.parametrize("times", [None, [], "storetime", ["charttime", "1; DROP TABLE x"]])
def test_a_rule_that_is_no_list_of_known_times_is_refused_by_its_key(times):
    parse = json_argument("availability", PartOfRule)
    with pytest.raises(InputError, match=r"availability\.labs"):
        parse(json.dumps(RULE | {"labs": times}))
    with pytest.raises(InputError, match=r"availability\.labs"):
        PartOfRule(enforced=True).known_from("labs")
