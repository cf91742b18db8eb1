"""The fault matrix itself: what counts as held, as wrong, as hung; each source fault does spoil."""

import gzip
import random
import sys

import pytest
from checkout import REPOSITORY, Checkout

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import faults
import kills
from fault_kinds import KINDS, Kind

STAGE = faults.Stage("extract_table labevents", "", ("results/a.csv.gz",), ("results/out.parquet",))
CSV = "subject_id,hadm_id,text\n1,2,a\n3,,b\n"


@pytest.fixture
def ended(tmp_path):
    """The verdict on a trial that ended in some way, with an output of these bytes."""

    def judged(expected, status, log="", output=None):
        base, root = Checkout(tmp_path / "base"), tmp_path / "trial"
        for folder in (base.root, root):
            (folder / "results").mkdir(parents=True, exist_ok=True)
        (base / "results/out.parquet").write_bytes(b"undisturbed")
        (root / "results/out.parquet").unlink(missing_ok=True)
        if output is not None:
            (root / "results/out.parquet").write_bytes(output)
        outcome = faults.Ended(status, log, 1.0)
        return faults.verdict(STAGE, Kind(expected), outcome, base, root)[0]

    return judged


LINE, SAME = "error: a.csv.gz: cut off\n", b"undisturbed"


def test_what_counts_as_held(ended):
    assert ended("refused", 1, LINE) == faults.HELD
    assert ended("same", 0, output=SAME) == faults.HELD
    assert ended("either", 1, LINE) == ended("either", 0, output=SAME) == faults.HELD
    assert ended("ended", 143) == faults.HELD


@pytest.mark.parametrize("expected", ["refused", "same", "either", "ended"])
def test_other_bytes_and_a_success_without_an_output_are_wrong(ended, expected):
    assert ended(expected, 0, output=b"other") == faults.WRONG
    assert ended(expected, 0) == faults.WRONG
    assert ended(expected, None) == faults.HUNG


def test_a_traceback_and_a_failure_without_a_word_are_not_held(ended):
    assert ended("refused", 1, f"Traceback (most recent call last)\n{LINE}") == faults.UNCLEAR
    assert ended("ended", 130, "Traceback (most recent call last)") == faults.UNCLEAR
    assert ended("refused", 1) == faults.UNCLEAR
    assert ended("refused", 0, output=SAME) == faults.UNCLEAR  # was it read at all?
    assert ended("same", 1, LINE) == faults.UNCLEAR


OF_SOURCE = [name for name, kind in KINDS.items() if kind.suffix == ".csv.gz" and kind.spoil]


@pytest.mark.parametrize("name", [name for name in OF_SOURCE if "50 MB" not in name])
def test_a_fault_of_a_source_changes_the_link_and_never_what_it_points_to(tmp_path, name):
    original, link = tmp_path / "original.csv.gz", tmp_path / "link.csv.gz"
    original.write_bytes(before := gzip.compress(CSV.encode()))
    link.symlink_to(original)
    KINDS[name].spoil(link)
    assert original.read_bytes() == before
    beside = [path for path in tmp_path.iterdir() if path not in (original, link)]
    assert beside or not link.is_file() or link.read_bytes() != before


def test_there_are_many_kinds_and_the_page_counts_each():
    assert len(KINDS) >= 20
    name = next(iter(KINDS))
    trials = [{"stage": "a", "kind": name, "outcome": outcome, "why": "", "status": 1}
              for outcome in (faults.HELD, faults.WRONG)]  # fmt: skip
    kills = {"kills": [{"what": "a job", "orphans": 0}], "rounds": [{"equal": True}]}
    page = faults.page(trials, kills, None)
    assert "1 held, 1 wrong, 0 hung, 0 unclear" in page
    assert f"| {name} | refused | a | 2 | 1 |" in page
    assert "1 SIGKILLs at seeded random moments (1 of a job)" in page


def test_a_file_that_differs_or_lacks_is_a_difference_and_times_of_jobs_are_none(tmp_path):
    for run, files in {"one": {"a.json": "1", "b.json": "1", "usage/c.json": "1"},
                       "other": {"a.json": "2", "usage/c.json": "2"}}.items():  # fmt: skip
        for name, text in files.items():
            path = tmp_path / run / "results" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    found = kills.differences(tmp_path / "one", tmp_path / "other")
    assert found == ["results/a.json", "results/b.json"]


class Process:
    """A process that has ended."""

    def poll(self):
        return 0


def test_a_run_that_has_ended_is_not_counted_as_killed():
    assert not kills.kill(Process(), "the group", random.Random(0))
