"""Tasks: each file says what it is, every name is found or refused with the known ones."""

import subprocess
import sys

import pytest

from pipeline.cohort import task as stage
from pipeline.cohort.task import find, known
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT

QUERIES = sorted(stage.FOLDER.rglob("*.sql"))


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_query_names_the_tables_that_it_reads(path):
    _, tables = stage._head(path)
    text = "\n".join(line for line in path.read_text().splitlines() if "--" not in line)
    views = {"limits": "chartevents"}  # a view's table
    for table in {*tables} - set(views.values()) - {"d_icd_diagnoses"}:
        assert f"FROM {table}" in text or f"JOIN {table}" in text
    for table in ("chartevents", "inputevents", "procedureevents", "diagnoses_icd"):
        assert f"FROM {table}" not in text or table in tables
    assert all(table in tables for view, table in views.items() if f"JOIN {view}" in text)


def test_a_task_is_found_with_what_its_head_says():
    task = find("arf_12h")
    assert (task.unit, task.hours, task.kind) == ("stay", 12, "binary")
    assert task.tables == ("chartevents", "procedureevents") and task.without is None
    assert find("diagnoses_48h").kind == "many"
    task = find("mortality")
    assert (task.unit, task.hours, task.tables) == ("admission", None, ())
    assert task.without_tables == ("chartevents",)
    published = find("mortality", "published")
    assert published.query == "pipeline/cohort/tasks/published/mortality.sql"
    assert published.unit == "admission" and published.without is None
    assert find("mortality", "corrected/fold2") == task


@pytest.mark.parametrize(
    "name",
    ["shock", "shock_h", "sepsis_4h", "shock_0h", "shock_49h", "shock_04h", "../x_4h", "mortallity",
     "longstay_4h"],
)  # fmt: skip
def test_unknown_tasks_list_the_known_ones(name):
    choice = rf"unknown task {name}; expected of admissions one of .*{known('admission')[0]}.*; of"
    with pytest.raises(InputError, match=choice + " ICU stays one of arf.* with the hours"):
        find(name)
    with pytest.raises(InputError, match=r"one of longstay, mortality, readmission$"):
        find("shock_4h", "published")


def test_a_query_without_a_head_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    monkeypatch.setattr(stage, "FOLDER", tmp_path)
    known.cache_clear()
    find.cache_clear()
    (tmp_path / "admission").mkdir()
    (tmp_path / "admission/relapse.sql").write_text("-- Task relapse: who?\nSELECT 1")
    try:
        with pytest.raises(InputError, match=r"admission/relapse\.sql: its head lacks the line"):
            find("relapse")
    finally:
        known.cache_clear()
        find.cache_clear()


def test_planning_with_tasks_imports_nothing_heavy():
    code = "import sys, pipeline.cohort.task; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
