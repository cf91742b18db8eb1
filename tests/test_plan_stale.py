"""What a failed run sets aside as stale: only what waits for a job that has lost its outputs."""

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.plan.checks import outputs_there, withdraw_stale_outputs

# upstream → weights → result; other → table; all wait for a rerun, "drawn" was made of the result
JOBS = {"upstream": [], "weights": ["upstream"], "result": ["weights"],
        "other": [], "table": ["other"]}  # fmt: skip


class Dag:
    """As much of Snakemake's as the hook uses: jobs that wait, and what depends on them."""

    def __init__(self, finished=()):
        self.jobs = {name: Job(name) for name in JOBS}
        self.finished = finished
        self.depending = defaultdict(dict)
        for name, needs in JOBS.items():
            for other in needs:
                self.depending[self.jobs[other]][self.jobs[name]] = set()

    def needrun_jobs(self, exclude_finished=True):
        done = self.finished if exclude_finished else ()
        return [job for name, job in self.jobs.items() if name not in done]

    def bfs(self, direction, *jobs):
        waiting, seen = list(jobs), set(jobs)
        while waiting:
            job = waiting.pop(0)
            yield job
            more = [other for other in direction[job] if other not in seen]
            seen.update(more)
            waiting += more


class Job:
    def __init__(self, name):
        self.output = [f"results/{name}.json"]


@pytest.fixture
def fail(tmp_path, monkeypatch):
    """A run in which a job fails whose outputs are gone; the files that are there after it."""
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    incomplete = []

    def failed(there, gone=(), made=(), finished=()):
        for name in there:
            Path(f"results/{name}.json").write_text("earlier")
        read = {"drawn": ["results/result.json"], "old/x": ["results/weights.json"]}
        records = {f"results/{name}.json": SimpleNamespace(input=of) for name, of in read.items()}
        persistence = SimpleNamespace(
            _read_record=records.get,
            _mark_incomplete=lambda path, _: incomplete.append(path),
        )
        workflow = SimpleNamespace(dag=Dag(), persistence=persistence)
        earlier = outputs_there(workflow)
        for name in gone:
            Path(f"results/{name}.json").unlink(missing_ok=True)
        for name in made:
            Path(f"results/{name}.json").write_text("now")
        workflow.dag.finished = finished
        withdraw_stale_outputs(workflow, earlier, {})
        return {path.name.removesuffix(".json") for path in Path("results").iterdir()}

    failed.incomplete = incomplete
    return failed


ALL = [*JOBS, "drawn"]


def test_what_waits_for_the_failed_job_is_stale_and_what_was_made_of_it(fail):
    left = fail(ALL, gone=["weights"])
    assert left == {"upstream", "result.json.stale", "drawn.json.stale", "other", "table"}


def test_what_waits_for_a_job_that_was_not_started_stands(fail):
    left = fail(ALL, gone=["other"])
    assert left == {"upstream", "weights", "result", "drawn", "table.json.stale"}


def test_nothing_that_a_first_run_has_made_is_stale(fail):
    """After Ctrl-C: a job was about to be marked as finished, another had written a part."""
    left = fail([], gone=["upstream", "result"], made=["weights", "table"], finished=["other"])
    assert left == {"weights", "table"}


def test_what_another_experiment_made_of_a_lost_file_is_marked_and_stands(fail, tmp_path):
    other = tmp_path / "results/old/x.json"
    other.parent.mkdir()
    other.write_text("earlier")
    fail(ALL, gone=["weights"])
    assert other.read_text() == "earlier"
    assert fail.incomplete == ["results/old/x.json"]
