"""Which files a stage consists of: what an edit must rerun."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT, _data, _imports, path_of, source_files


def test_a_stage_consists_of_its_file_its_query_and_what_it_imports_over_several_steps():
    files = source_files("pipeline.ehr.events")
    assert files[0] == "pipeline/ehr/events.py"
    assert {
        "pipeline/ehr/events.sql",
        "pipeline/ehr/signals.py",
        "pipeline/ehr/signals.csv",
        "pipeline/stage/availability.py",
        "pipeline/stage/errors.py",  # through availability
    } <= set(files)
    assert len(files) == len(set(files))


def test_a_stage_does_not_consist_of_other_stages():
    files = source_files("pipeline.ehr.events")
    assert not [f for f in files if "/cxr/" in f or "/note/" in f or "/training/" in f]
    assert "pipeline/ehr/bins.sql" not in files


def test_the_papers_catalogue_belongs_to_the_papers_stage_alone():
    paper = "pipeline/ehr/signals_published.csv"
    assert paper in source_files("pipeline.ehr.published")
    for name in ("events", "bins", "tokens", "statistics", "long", "encoder_tokens"):
        files = source_files(f"pipeline.ehr.{name}")
        assert "pipeline/ehr/signals.csv" in files and paper not in files


def test_every_file_that_is_named_exists():
    stages = [
        path for path in Path(ROOT, "pipeline").rglob("*.py") if "__main__" in path.read_text()
    ]
    assert len(stages) > 15
    for stage in stages:
        module = ".".join(stage.relative_to(ROOT).with_suffix("").parts)
        assert all((ROOT / file).is_file() for file in source_files(module))


def test_a_query_stands_for_itself_and_a_foreign_or_missing_module_for_nothing():
    query = "pipeline/cohort/tasks/admission/mortality.sql"
    assert source_files(query) == [query]
    assert path_of("polars") is None
    assert path_of("pipeline.nowhere") is None
    with pytest.raises(InputError, match=r"no module pipeline\.nowhere .* pipeline/nowhere\.py"):
        source_files("pipeline.nowhere")


def test_imports_are_those_that_python_itself_reads():
    for path in Path(ROOT, "pipeline").rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        found = _imports(path.relative_to(ROOT).as_posix())
        assert {path_of(name) for name in names} - {None} == {*map(path_of, found)} - {None}


def test_data_belongs_to_the_module_that_names_it_in_a_string():
    """As Python's own parser reads the strings, docstrings apart."""
    for path in Path(ROOT, "pipeline").rglob("*.py"):
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        expected = {
            own.relative_to(ROOT).as_posix()
            for own in path.parent.rglob("*.*")
            if own.suffix in (".sql", ".csv", ".html", ".css", ".js")
            and own.relative_to(path.parent).as_posix() in strings
        }
        assert _data(path.relative_to(ROOT).as_posix()) == expected


def test_a_module_that_is_given_its_query_owns_none():
    for module in ("pipeline.cxr.films", "pipeline.note.notes"):
        files = source_files(module)
        assert not [f for f in files if f.endswith("_published.sql")]
    for module in ("pipeline.cohort.episodes", "pipeline.cohort.labels", "pipeline.cohort.without"):
        assert not [f for f in source_files(module) if f.endswith(".sql")]


SELECTIONS = [
    "pipeline.ehr.events",
    "pipeline.ehr.bins",
    "pipeline.ehr.tokens",
    "pipeline.cxr.films",
]
SELECTIONS += ["pipeline.cxr.decode", "pipeline.note.clean", "pipeline.note.notes"]
SELECTIONS += ["pipeline.note.doc2vec", "pipeline.note.vectors"]


def test_what_selects_decodes_and_cleans_does_not_import_torch():
    program = f"import sys, {', '.join(SELECTIONS)}; print('torch' in sys.modules)"
    made = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert made.stdout.strip() == "False"
