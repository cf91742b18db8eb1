"""`pip install .`: the package `pipeline` with its data, and nothing else."""

import subprocess
import sys
import tomllib
import zipfile

import pytest
from checkout import REPOSITORY, Checkout, environment, tracked_files

STAGE = """
import pipeline, tempfile
import polars as pl
from pipeline.cohort.task import find
from pipeline.fiddle.fit import fit
from pipeline.fiddle.options import Options
from pipeline.stage.database import connect
assert pipeline.__file__.startswith({folder!r}), pipeline.__file__
assert find("mortality").kind == "binary"
long = pl.DataFrame({{"episode_id": [1, 2], "t": [0.5, 1.5], "variable": "pulse", "value": "80"}})
with connect(1, 500, tempfile.gettempdir()) as database:
    print(fit(database, long, long["episode_id"].to_numpy(), Options(hours=2)).sizes())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that pip builds from the repository's files."""
    folder = tmp_path_factory.mktemp("wheel")
    source = Checkout.fresh(folder / "source").root
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
               "--no-build-isolation", "--wheel-dir", folder, source]  # fmt: skip
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_holds_the_package_with_its_data_and_no_other_folder(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {str(path) for path in tracked_files() if path.parts[0] == "pipeline"}
    assert {"pipeline/ehr/events.sql", "pipeline/ehr/signals.csv"} < names


def test_the_package_works_where_there_is_no_clone(wheel, tmp_path):
    wheel.extractall(tmp_path / "installed")
    done = subprocess.run(
        [sys.executable, "-c", STAGE.format(folder=str(tmp_path))], cwd=tmp_path, text=True,
        env=environment() | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "'X'" in done.stdout


def test_the_pythons_are_those_that_the_documentation_names():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    named = [text.rsplit(" ", 1)[1] for text in project["classifiers"] if ":: Python ::" in text]
    assert named == ["3.11", "3.12", "3.13"]
    assert "Python 3.11 to 3.13" in (REPOSITORY / "README.md").read_text()
    assert "Python 3.11, 3.12 or 3.13" in (REPOSITORY / "docs/installation.md").read_text()
