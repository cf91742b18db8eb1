"""Logs, errors and tracebacks tell of no few people, and of nobody by an id or a date."""

import ast
import hashlib
import os
import re
import subprocess
import sys
from datetime import datetime
from itertools import pairwise

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest

from pipeline.cohort.attrition import as_text, merged
from pipeline.evaluation.sections.suppression import shown_attrition
from pipeline.stage.modules import ROOT
from pipeline.stage.privacy import hidden, shown_part, shown_parts, tell, warn

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


ROW = "10000032,29079034,abc"
WHOLE = {"subject_id": "BIGINT", "hadm_id": "BIGINT", "x": "BIGINT"}
WHEN = datetime(2180, 5, 7, 9, 30)


def read_by_duckdb(path):
    duckdb.sql(f"FROM read_csv('{path}', columns={WHOLE}, header=true)").fetchall()


def read_by_arrow(path):
    as_whole = {"x": pa.int64()}
    options = pyarrow.csv.ConvertOptions(column_types=as_whole)
    path.write_text(path.read_text().replace("abc", "29079034x"))
    pyarrow.csv.read_csv(path, convert_options=options)


def read_ragged(path):
    path.write_text(f"subject_id,hadm_id\n{ROW}\n")
    pyarrow.csv.read_csv(path)


MESSAGES = {  # of libraries about a file with the row, or about its values
    "DuckDB, a row": read_by_duckdb,
    "DuckDB, a key": lambda _: duckdb.sql(
        "CREATE TEMP TABLE keyed (k BIGINT PRIMARY KEY);"
        "INSERT INTO keyed VALUES (10000032), (10000032)"
    ),
    "DuckDB, a list": lambda _: duckdb.sql("SELECT [10000032, 29079034]::VARCHAR::DATE").fetchall(),
    "DuckDB, a float": lambda _: duckdb.sql("SELECT 29079034.0::DOUBLE::SMALLINT").fetchall(),
    "DuckDB, a time": lambda _: duckdb.sql("SELECT '2180-05-07 9h'::TIMESTAMP").fetchall(),
    "Polars, text": lambda _: pl.Series(["p10000032", "29079034.0"]).cast(pl.Int64),
    "Polars, floats": lambda _: pl.Series([29079034.0, 1e20]).cast(pl.Int16),
    "Polars, whole": lambda _: pl.Series([10000032, 29079034]).cast(pl.Int8),
    "Polars, a predicate": lambda _: pl.DataFrame({"stay_id": [30000000]}).row(
        by_predicate=pl.col("stay_id") == 39553978
    ),
    "Polars, a time": lambda _: pl.Series(["2180-05-07 x"]).str.to_datetime("%Y-%m-%d"),
    "Arrow, a value": read_by_arrow,
    "Arrow, a row": read_ragged,
    "Arrow, a float": lambda _: pa.array([29079034.5]).cast(pa.int32()),
    "Arrow, out of range": lambda _: pa.array([29079034]).cast(pa.int16()),
    "Arrow, a time": lambda _: pa.array([10000032, WHEN]),
    "Arrow, a time as a number": lambda _: pa.array([WHEN.replace(year=2380)]).cast(
        pa.timestamp("ns")
    ),
    "Python, a key": lambda _: {}[29079034],
    "Python, text": lambda _: int("29079034.0"),
}
PATIENT = re.compile(r"10000032|29079034|39553978|2\.9079034|2[13]80|\d{14}")


@pytest.mark.parametrize("library", MESSAGES)
def test_messages_of_libraries_name_nobody(library, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"subject_id,hadm_id,x\n10000032,29079034,5\n{ROW}\n")
    with pytest.raises(Exception) as raised:
        MESSAGES[library](path)
    assert PATIENT.search(str(raised.value))  # it would
    assert not PATIENT.search(hidden(str(raised.value)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Original Line: 10000032,29079034,abc", "Original Line: [id],[id],abc"),
        ("[10000032,22595853]", "[[id],[id]]"),
        ('["29079034.0", "x"], 29079034.', '["[id]", "x"], [id].'),
        ("p10000032/s50414267 and s50414267.txt", "p[id]/s[id] and s[id].txt"),
        ("subject_10000032, x_10000032_y, hadm29079034", "subject_[id], x_[id]_y, hadm[id]"),
        (str(np.array([29079034.0, 1.5])), "[[id] 1.5000000e+00]"),
        ("2.9079034e7, 2.9079e+07", "[id], [id]"),
        (repr(WHEN), "datetime.datetime([date])"),
        ("2180-05-07T09:30:00, 2180/05/07, x_2180-05-07", "[date], [date], x_[date]"),
        (FILM[-48:].upper(), "[id].JPG"),
        ("10000032.29079034, 10000032-29079034, 1,10000032", "[id].[id], [id]-[id], 1,[id]"),
        ("10000032-RR-14", "[id]"),
    ],
)
def test_ids_and_dates_are_hidden_whatever_stands_beside_them(text, expected):
    assert hidden(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "results/corrected/admission/labels/mortality.json, results/cxr/store/p10/320px",
        "12,345,678 rows, 432,997,491 rows, 123456789 bytes, 1234567, 78901234",
        "AUROC .12345678, 0.12345678, [0.12345678,0.23456789], -0.29079034, 1.2345678e-07",
        f"sha256 {hashlib.sha256(b'x').hexdigest()}, 12345678abcdef12, results/x/12345678abcd/y",
        "line 12345678: column itemid holds a value that is not BIGINT",
        "2026-11-30 09:30:00, shape (2180, 3, 224), 1e7 steps",
    ],
)
def test_what_names_nobody_stays_readable(text):
    assert hidden(text) == text


def test_a_part_does_not_tell_how_few_are_left(caplog):
    caplog.set_level("INFO")
    for part in (12, 3, 1230, 1234, 1240, 1300):
        tell("%s of %s", shown_part(part, 1234), 1234)
    assert [line.removesuffix(" of 1,234") for line in caplog.messages] == [
        "12", "<10", "all but <10", "1,234", "<10 more", "1,300"
    ]  # fmt: skip


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
    # nor is a part shown beside its total as if it stood alone
    spoken = [call for call in calls_in(text) if ast.unparse(call.func) in ("tell", "warn")]
    assert not [one for call in spoken for one in parts_of(call) if one]
    # a count in an error is shown as `shown` does
    errors = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)]
    counts = [one for error in errors for one in counted(error)]
    known = ("shown(", "shown_part(", "MIN_PATIENTS", "split")
    assert not [one for one in counts if not one.startswith(known)]


def calls_in(text):
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


def parts_of(call):
    """The values of a logged line that stand before "of %s" or "of them", but for `shown_part`."""
    texts = call.args[0].values if isinstance(call.args[0], ast.JoinedStr) else call.args[:1]
    line = "".join(one.value if isinstance(one, ast.Constant) else "" for one in texts)
    places = re.finditer(r"%(?:\.\d+)?[sdfg]", line)
    for place, value in zip(places, call.args[1:], strict=False):
        if re.match(r" of (?:them|%s)", line[place.end() :]):
            yield "" if ast.unparse(value).startswith("shown_part(") else ast.unparse(value)


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
