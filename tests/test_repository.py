"""What the repository promises about itself: pins, docstrings, licence, privacy of addresses."""

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from checkout import REPOSITORY, tracked_files

MODULES = sorted((REPOSITORY / "pipeline").rglob("*.py"))
EDITING = (REPOSITORY / "docs/editing.md").read_text()


def pins(text):
    """Package → versions, of `name==version` lines."""
    found = {}
    for name, version in re.findall(r"^\s*-?\s*([a-z0-9-]+)==([^ ;\\\s]+)", text, re.M):
        found.setdefault(name, set()).add(version)
    return found


def test_conda_environment_has_the_pins_of_the_lock():
    lock = pins((REPOSITORY / "requirements.lock").read_text())
    environment = yaml.safe_load((REPOSITORY / "envs/pipeline.yaml").read_text())
    conda = pins("\n".join(environment["dependencies"][-1]["pip"]))
    asked = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(conda) == {re.split("[=<>]", name)[0] for name in asked}
    assert all(versions <= lock[name] for name, versions in conda.items())


def test_every_pin_of_the_lock_has_a_hash():
    blocks = re.split(r"\n(?=[a-z])", (REPOSITORY / "requirements.lock").read_text())
    assert len(blocks) > 100
    assert [b.split("\n")[0] for b in blocks if "--hash=sha256:" not in b] == []


def test_no_tracked_file_names_a_package_index_or_is_large():
    index = re.compile(r"--(extra-)?index-url|--find-links|https?://[^\s]*/(simple|packages)/")
    for name in tracked_files():
        path = REPOSITORY / name
        assert path.stat().st_size < 2**20, name
        if path.name != "test_repository.py":
            assert not index.search(path.read_text(errors="replace")), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_public_functions_are_typed_and_documented(path):
    module = ast.parse(path.read_text())
    assert ast.get_docstring(module)
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    # a function within a function is nobody's interface
    inner = {n for f in functions for n in ast.walk(f) if n is not f and n in functions}
    for function in set(functions) - inner:
        if function.name.startswith("_"):
            continue
        where = f"{path.name}: {function.name}"
        assert ast.get_docstring(function), where
        assert function.returns is not None, where
        arguments = [a for a in function.args.args if a.arg not in ("self", "cls")]
        assert all(a.annotation is not None for a in arguments), where


def test_lines_of_queries_and_rules_are_short():
    """As ruff has it for Python."""
    command = ["git", "ls-files", "*.sql", "*.smk"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True)
    names = listed.stdout.split()
    lines = [(name, line) for name in names for line in (REPOSITORY / name).read_text().split("\n")]
    assert len(lines) > 1000
    assert [(name, line) for name, line in lines if len(line) > 100] == []


def test_licence_and_citation_are_there():
    assert "MIT License" in (REPOSITORY / "LICENSE").read_text()
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert {"article", "conference-paper", "dataset"} <= {r["type"] for r in citation["references"]}


def test_results_are_ignored_by_git():
    command = ["git", "check-ignore", "results/x.json", "logs/a.log", ".snakemake/x"]
    ignored = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
    assert ignored.returncode == 0
    assert len(ignored.stdout.split()) == 3


def test_every_figure_of_the_results_page_and_of_the_table_of_reruns_is_a_record(tmp_path):
    page, records = tmp_path / "RESULTS.md", REPOSITORY / "benchmarks/records"
    script = REPOSITORY / "benchmarks/results.py"
    given = ["--records", records, "--size", "full", "--output", page]
    subprocess.run([sys.executable, script, *given], check=True)
    committed = (REPOSITORY / "benchmarks/RESULTS.md").read_text()
    assert committed.partition("\n## ")[2] == page.read_text().partition("\n## ")[2]
    rows = json.loads((records / "reruns.json").read_text())["rows"][1:]
    saved = {row["what"]: re.search(r"(\S+)% saved", row["note"])[1] for row in rows}
    table = EDITING.split("<!-- reruns -->")[1].splitlines()[3:]
    cells = [line.strip("|").split("|") for line in table]
    assert {first.strip(): last.strip().removesuffix(" %") for first, *_, last in cells} == saved
