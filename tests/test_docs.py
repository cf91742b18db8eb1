"""The documentation: links lead somewhere, commands and keys exist, generated parts are current."""

import functools
import importlib
import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from checkout import REPOSITORY, environment
from pages import PAGES, blocks, cells
from rulegraph import mermaid

from pipeline.plan import configuration

LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
TARGET = re.compile(r"results/[\w./-]+\.(?:json|md|txt|parquet)$|tables|corrected")
README = (REPOSITORY / "README.md").read_text()
NAMES = [path.relative_to(REPOSITORY).as_posix() for path in PAGES]
# made by another part of this change: their pages name them, and lose this line when they are there


def text_of(name):
    """A page, of a notebook its text alone."""
    if name.endswith(".ipynb"):
        return "\n\n".join(source for kind, source in cells(name) if kind == "markdown")
    return (REPOSITORY / name).read_text()


@functools.cache
def anchors(name):
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    without_code = re.sub(r"^```.*?^```", "", text_of(name), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)", without_code, re.M)
    return {re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("name", [*NAMES, "docs/python.ipynb"])
def test_links_lead_to_files_and_headings_that_exist(name):
    text = re.sub(r"^```.*?^```", "", text_of(name), flags=re.M | re.S)
    wrong = []
    for target in LINK.findall(text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (REPOSITORY / name).parent / path if path else REPOSITORY / name
        known = file.exists()
        if known and anchor:
            known = anchor in anchors(file.resolve().relative_to(REPOSITORY).as_posix())
        wrong += [] if known else [target]
    assert wrong == []


def without_files(text):
    """A page without the files that its examples make."""
    return re.sub(r"^```\w+ title=.*?^```", "", text, flags=re.M | re.S)


def commands():
    """(page, words) of each command of the shell in the pages; continued lines are one command."""
    found = []
    for name in NAMES:
        text = text_of(name)
        shell = [block.text for block in blocks(text) if block.language == "sh"]
        lines = [line for one in shell for line in one.replace("\\\n", " ").splitlines()]
        lines += [" ".join(one.split()) for one in re.findall(r"`(snakemake [^`]+)`", text)]
        found += [(name, shlex.split(line, comments=True)) for line in lines]
    return [(name, words) for name, words in found if words]


def test_commands_of_make_have_targets():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    made = [words[words.index("make") + 1 :] for _, words in commands() if "make" in words]
    asked = {word for words in made for word in words if re.fullmatch("[a-z-]+", word)}
    assert {"demo", "test", "docs"} <= targets
    assert asked <= targets
    everywhere = {word for name in NAMES for word in re.findall(r"`make ([a-z-]+)", text_of(name))}
    assert everywhere <= targets


def test_commands_of_python_name_modules_and_files_that_exist():
    for name in NAMES:
        for module in re.findall(r"python -m (pipeline[\w.]*)", without_files(text_of(name))):
            assert importlib.util.find_spec(module), f"{name}: {module}"
        for file in re.findall(r"python ((?:tests|benchmarks)/\w+\.py)", text_of(name)):
            assert (REPOSITORY / file).is_file(), f"{name}: {file}"


def test_targets_of_snakemake_are_planned(fresh):
    """But for results of examples in docs/extending.md, and of variants: tests of their own."""
    asked, files, experiments = set(), set(), {}
    for name, words in commands():
        if "snakemake" not in words or name == "docs/extending.md":
            continue
        targets = {word for word in words if TARGET.match(word) and "download" not in word}
        if named := [word for word in words if word.startswith("name=")]:
            experiments.setdefault(named[0], set()).update(targets)
        else:
            asked |= targets
        files |= {word for word in words if re.match(r"(profiles|config|benchmarks)/", word)}
    assert len(asked) > 5
    assert all((REPOSITORY / file).exists() for file in files)
    assert fresh.plan(*sorted(asked)).planned["evaluate_model"] > 5
    assert experiments
    for name, targets in experiments.items():
        quietly = ("--dry-run", "--quiet", "rules", "reason", "host")
        planned = fresh.snakemake(*quietly, "--config", name, "--", *sorted(targets)).planned
        assert planned["evaluate_model"]


def config_blocks():
    """Blocks of config in the pages: YAML whose keys are sections of config.yaml."""
    known = set(yaml.safe_load((REPOSITORY / "config.yaml").read_text()))
    for name in NAMES:
        for number, block in enumerate(blocks(text_of(name))):
            if block.language == "yaml" and known & set(yaml.safe_load(block.text)):
                yield pytest.param(name, block.text, id=f"{name}-{number}")


def merged(base, change):
    """A config with a block over it, as Snakemake merges them."""
    for key, value in change.items():
        base[key] = merged(base[key], value) if isinstance(base.get(key), dict) else value
    return base


@pytest.mark.parametrize(("name", "text"), list(config_blocks()))
def test_settings_in_the_pages_are_keys_of_the_config(name, text):
    if name == "docs/extending.md":
        pytest.skip("what it sets is not there yet: test_docs_extending.py")
    base = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    configuration.typed(merged(base, yaml.safe_load(text)))


def test_blocks_in_python_are_code():
    found = [block for name in NAMES for block in blocks(text_of(name))]
    assert all(block.language in {"sh", "python", "sql", "yaml", "text", "json", "diff", "mermaid"}
               for block in found)  # fmt: skip
    for block in found:
        if block.language == "python" and not block.title.endswith(".smk"):
            compile(block.text, block.title or "page", "exec")
        if block.language == "json":
            json.loads(block.text)


def test_the_readme_is_one_screen_and_keeps_its_commands():
    assert len(README.splitlines()) <= 120
    assert {"demo", "test"} <= set(re.findall(r"^make ([a-z-]+)", README, re.M))
    assert "\nmake test" in (REPOSITORY / ".ci/run").read_text()


def test_every_page_is_in_the_navigation_and_reached_from_the_readme():
    navigation = (REPOSITORY / "mkdocs.yml").read_text()
    linked = {target.partition("#")[0] for target in LINK.findall(README)}
    from_there = [LINK.findall(text_of(name)) for name in linked if name.endswith(".md")]
    reached = {target.partition("#")[0] for targets in from_there for target in targets}
    for path in (REPOSITORY / "docs").glob("*.md"):
        assert f": {path.name}" in navigation, path.name
        assert f"docs/{path.name}" in linked or path.name in reached, path.name


def test_the_rule_graph_is_what_snakemake_plans(fresh):
    page = (REPOSITORY / "docs/architecture.md").read_text()
    shown = re.search(r"```mermaid\n.*?```", page, re.S)
    assert shown, "docs/architecture.md has no mermaid block"
    assert shown[0] == mermaid(fresh.root), "run python tests/rulegraph.py and paste it"


def test_the_module_layout_names_every_package():
    page = (REPOSITORY / "docs/architecture.md").read_text()
    packages = {path.parent.name for path in (REPOSITORY / "pipeline").glob("*/__init__.py")}
    assert {name for name in packages if f"](../pipeline/{name})" not in page} == set()


@pytest.mark.slow
def test_the_notebook_runs_from_end_to_end(finished, tmp_path):
    code = "\n\n".join(source for kind, source in cells("docs/python.ipynb") if kind == "code")
    (tmp_path / "notebook.py").write_text(code)
    done = subprocess.run(
        [sys.executable, tmp_path / "notebook.py"], cwd=finished.root, text=True,
        env=environment() | {"PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "agg"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
