"""Tasks: each file says what it is, every name is found or refused with the known ones."""

import re
import subprocess
import sys

import duckdb
import pytest

from pipeline.cohort import task as stage
from pipeline.cohort.inputs import _absent_named
from pipeline.cohort.task import find, known
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT

QUERIES = sorted(stage.FOLDER.rglob("*/*.sql"))
# of ids, films and who has which modality: a stage registers them; groups are diagnoses.py's
REGISTERED = {"episodes", "ids", "films", "with_cxr"}


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_query_names_the_tables_and_views_that_it_reads(path):
    text = re.sub("--[^\n]*", "", path.read_text())
    inner = set(re.findall(r"(\w+) AS \(\n", text))  # what WITH names
    words = set(re.findall(r"(?:FROM|JOIN)\s+([a-z_]+)", text)) - inner
    head = stage._head(path)
    views = stage.listed(head, "Views")
    named = {*stage.listed(head, "Tables"), *views}
    assert words - REGISTERED <= named, "read, but not in the head"
    unread = named - words - {"episodes", "d_icd_diagnoses", "possible"}
    assert {
        name for name in unread if "oddities" not in name and path.parent.name != "units"
    } == set()
    assert all(stage.view_file(name).is_file() for name in views)


def test_a_task_is_found_with_what_its_head_says():
    task = find("arf_12h")
    assert (task.unit, task.hours, task.kind) == ("stay", 12, "binary")
    assert task.tables == ["chartevents", "procedureevents", "d_items"] and task.without is None
    assert find("diagnoses_48h").kind == "many"
    task = find("mortality")
    assert (task.unit, task.hours, task.tables) == ("admission", None, [])
    assert task.without_tables == ["chartevents"]
    published = find("mortality", "published")
    assert published.query == "pipeline/cohort/tasks/published/mortality.sql"
    assert published.unit == "admission" and published.without is None
    assert find("mortality", "corrected/fold2") == task
    # a part of another task has that one's analyses, without a copy
    assert find("readmission_unplanned").without == find("readmission").without


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


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        ("-- Task relapse: who?", r"admission/relapse\.sql: no such file, or no"),
        ("-- Kind: binary. Tables: admissions.", r"comment lacks 'Task relapse: …\?'"),
        ("-- Task death: who? Kind: binary. Tables: admissions.", r"lacks 'Task relapse: …\?'"),
        (
            "-- Task relapse: who? Kind: many. Tables: admissions.",
            r"relapse\.sql: 'Kind: many\.' is of ICU stays",
        ),
        (
            "-- Task relapse: who? Kind: binary. Tables: admissions. Analyses: death.",
            r"without/death\.sql: no such",
        ),
    ],
)
def test_a_query_without_a_head_that_can_be_asked_is_refused(tmp_path, monkeypatch, head, refusal):
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    monkeypatch.setattr(stage, "FOLDER", tmp_path)
    known.cache_clear()
    find.cache_clear()
    (tmp_path / "tasks/admission").mkdir(parents=True)
    (tmp_path / "tasks/admission/relapse.sql").write_text(f"{head}\nSELECT 1")
    try:
        with pytest.raises(InputError, match=refusal):
            find("relapse")
    finally:
        known.cache_clear()
        find.cache_clear()


def test_planning_with_tasks_imports_nothing_heavy():
    code = "import sys, pipeline.cohort.task; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("name", ["shock_4h", "all", "admission", "MyShock", "my-shock"])
def test_a_task_file_that_no_target_could_mean_is_refused(tmp_path, name):
    (tmp_path / "admission").mkdir()
    (tmp_path / "admission" / "death_in_a_week.sql").write_text("")
    assert stage.misnamed(tmp_path) == []
    (tmp_path / "admission" / f"{name}.sql").write_text("")
    (line,) = stage.misnamed(tmp_path)
    assert line.startswith(f"admission/{name}.sql") and "rename the file" in line


def test_what_a_query_asks_for_in_vain_is_told_with_the_remedy():
    remedy = r"(?s)not exist!.*Tables: …, Views: …$"
    with pytest.raises(InputError, match=remedy), _absent_named("x.sql"):
        duckdb.sql("FROM hospital_deaths")
    with pytest.raises(InputError, match=r"(?s)dead[^…]*$"), _absent_named("x.sql"):
        duckdb.sql("SELECT d.dead FROM (SELECT 1 AS died) AS d")
