"""What the tests share: `--all`, the open data, and one run of the workflow from end to end."""

import atexit
import json
import os
import shutil
from pathlib import Path

import pytest
from checkout import ALONE, MAIN, MULTI, REPOSITORY, SINGLE, Checkout, Outcome, stored_model
from filelock import FileLock
from hypothesis import settings

collect_ignore = ["aces_tasks"]  # run in an environment of their own

# before numpy and torch are imported: what they compute here is small, and as many processes as
# there are cores run tests, so that a second thread of each would only wait for the first
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
# no test depends on time: a busy machine fails none
settings.register_profile("repository", deadline=None)
settings.load_profile("repository")
Checkout.warm = True  # a job takes seconds less


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="run the tests marked slow as well")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: runs with --all only (make test-all)")
    if "PYTEST_XDIST_WORKER" in os.environ:  # DuckDB's binding lists objects still held
        atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        skip = pytest.mark.skip(reason="make test-all")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)
    # the longest first: modules of seconds fill what is left at the end
    items.sort(key=lambda item: not item.path.name.startswith("test_workflow"))


@pytest.fixture(scope="session")
def open_data():
    """The folder of the open data: MIMIC_OPEN_DATA, else ../shared/data beside the repository."""
    folder = Path(os.environ.get("MIMIC_OPEN_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no open data at {folder}; set MIMIC_OPEN_DATA")
    return folder


@pytest.fixture(scope="session")
def mimic_demo(open_data):
    """The folder of the open MIMIC-IV demo, whole."""
    demo = open_data / "mimic-iv-demo"
    tables = [demo / f"{name}.csv.gz" for name in ("hosp/admissions", "icu/chartevents")]
    if lacking := [path for path in tables if not path.is_file()]:
        pytest.skip(f"no open MIMIC-IV demo: {lacking[0]} is missing")
    return demo


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a checkout in one of the processes that run tests; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name, prepare, *targets):
        root, said = shared / name / "checkout", shared / f"{name}.json"
        with FileLock(shared / f"{name}.lock"):
            if not said.exists():
                shutil.rmtree(root.parent, ignore_errors=True)  # of a process that died
                root.parent.mkdir()
                done = prepare(root).snakemake(*targets)
                said.write_text(json.dumps([done.status, done.text]))
        checkout = Checkout(root)
        checkout.outcome = Outcome(*json.loads(said.read_text()))
        assert checkout.outcome.status == 0, checkout.outcome.text
        return checkout

    return made


@pytest.fixture(scope="session")
def finished(once):
    """A checkout with two results of a small hospital. For reading: `copied` is there to change."""
    return once("finished", Checkout.fresh, MAIN, SINGLE)


@pytest.fixture(scope="session")
def stored(finished, once):
    """The finished run with the models of its results. For reading."""
    return once("stored", finished.copy, stored_model(MAIN), stored_model(SINGLE))


@pytest.fixture(scope="session")
def stays(finished, once):
    """The finished run with results of ICU stays beside those of admissions. For reading."""
    return once("stays", finished.copy, MULTI, ALONE)


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, with Snakemake's records, to be changed."""
    return finished.copy(tmp_path / "copied")


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A checkout in which nothing was run: for dry runs."""
    return Checkout.fresh(tmp_path_factory.mktemp("workflow") / "fresh")
