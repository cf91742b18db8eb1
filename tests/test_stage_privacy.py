"""Logs, errors and tracebacks tell of no few people, and of nobody by an id or a date."""

import ast
import os
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from pipeline.cohort.attrition import as_text, merged
from pipeline.evaluation.sections.suppression import shown_attrition
from pipeline.stage.modules import ROOT
from pipeline.stage.privacy import shown_parts, tell, warn

FILM = "files/p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.jpg"
STAGE = f"""
import sys
from pipeline.stage.command import run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell, warn

def main():
    tell("%s films, of which %s", 7, "{FILM}")
    warn("note_id 10000032-RR-14 of 2180-05-07 09:30:00")
    if sys.argv[1] == "bad":
        raise InputError("{FILM} of 2180-05-07: hadm_id 29079034 has 12,345,678 rows")
    raise ValueError('Could not convert "2180-05-07" of {FILM}')

if __name__ == "__main__":
    run(main)
"""
MODULES = [path for path in (ROOT / "pipeline").rglob("*.py") if "hospital" not in path.parts]
# their numbers are seconds, megabytes, percent, steps of an optimiser
OTHER_NUMBERS = {"stage/privacy.py", "stage/command.py", "stage/progress.py", "training/loop.py"}
PEOPLE = "row|episode|admission|stay|patient|subject|film|report|note|label|reading|event|token"
COUNTED = rf" (?:of the |eligible |test )?(?:{PEOPLE})(?:\(s\)|s\b)"


@pytest.mark.parametrize("how", ["bad", "defect"])
def test_a_stage_names_no_film_no_person_and_no_date(tmp_path, how):
    (tmp_path / "stage.py").write_text(STAGE)
    command = [sys.executable, tmp_path / "stage.py", how]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    written = done.stdout + done.stderr
    assert done.returncode == 1
    assert not re.search(r"10000032|50414267|02aa804e|29079034|2180", written)
    assert "<10 films, of which files/p10/p[id]/s[id]/[id].jpg" in done.stderr
    assert "warning: note_id [id] of [date]" in done.stdout  # the screen
    if how == "bad":
        expected = "files/p10/p[id]/s[id]/[id].jpg of [date]: hadm_id [id] has 12,345,678 rows"
        assert f"error: {expected}\n" in done.stderr
    else:
        assert 'ValueError: Could not convert "[date]"' in done.stderr


def test_counts_are_hidden_and_settings_are_not(caplog):
    caplog.set_level("INFO")
    tell("%s of %s, %.2f of them, %s", np.int64(3), 12_000, 0.5, True)
    warn("seed 3: 100 %% of %s", 9)
    assert caplog.messages == ["<10 of 12,000, 0.50 of them, True", "seed 3: 100 % of <10"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_logs_by_the_one_function(path):
    text = path.read_text()
    if str(path.relative_to(ROOT / "pipeline")) not in OTHER_NUMBERS:
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        names = {ast.unparse(call.func) for call in calls}
        assert not {name for name in names if re.fullmatch(r"log\.\w+|logging\.\w+", name)} - {
            "logging.getLogger", "logging.disable_progress_bar", "logging.set_verbosity_error"
        }  # fmt: skip
    # a count in an error is shown as `shown` does
    errors = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)]
    counts = [one for error in errors for one in counted(error)]
    assert not [one for one in counts if not one.startswith(("shown(", "MIN_PATIENTS", "split"))]


def counted(error):
    """The numbers in an error's message before a word for people or rows."""
    texts = [node for node in ast.walk(error) if isinstance(node, ast.JoinedStr)]
    for value, after in (pair for text in texts for pair in pairwise(text.values)):
        following = after.value if isinstance(after, ast.Constant) else ""
        if isinstance(value, ast.FormattedValue) and re.match(COUNTED, following):
            yield ast.unparse(value.value)


def step(name, episodes, subjects=None):
    return {"condition": name, "episodes": episodes, "subjects": subjects or episodes}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([100, 91, 80, 80], [100, 80, 80]),  # 9 are told with the 11 after them
        ([100, 90, 81], [100, 81]),  # the cohort's own counts stand
        ([100, 100, 99, 98], [98]),
        ([100, 85, 84, 74, 73], [100, 85, 73]),
        ([30], [30]),
    ],
)
def test_steps_that_few_failed_are_told_with_others(counts, expected):
    rows = merged([step(f"step {n}", count) for n, count in enumerate(counts)])
    assert [row["episodes"] for row in rows] == expected
    told = [name for row in rows for name in row["condition"].split("; ")]
    assert told == [f"step {n}" for n in range(len(counts))]  # no condition is lost
    shown = shown_attrition([step(f"step {n}", c) for n, c in enumerate(counts)], 10)
    assert [row["episodes"] for row in shown] == expected
    assert len(shown_attrition([step("any", c) for c in counts], 0)) == len(counts)  # synthetic


def test_neither_episodes_nor_patients_may_differ_by_few():
    steps = [step("any", 100, 50), step("adult", 80, 50), step("alive", 79, 47)]
    assert [(row["episodes"], row["subjects"]) for row in merged(steps)] == [(79, 47)]


def test_a_merged_step_still_looks_ahead():
    rows = merged([step("any", 50), step("filmed", 45) | {"looks_ahead": True}, step("old", 30)])
    assert rows[1]["looks_ahead"]
    assert "filmed; old (looks ahead)" in as_text(rows)


def test_a_part_does_not_follow_from_the_total_and_the_others():
    assert shown_parts({"absent": 40, "empty": 3, "damaged": 12}) == "40 absent, damaged, <10 empty"
    assert shown_parts({"absent": 40, "damaged": 12}) == "40 absent, 12 damaged"
    assert shown_parts({"empty": 3}) == "<10 empty"
