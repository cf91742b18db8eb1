"""The finished run: what lies there, that it is private, that it is the same again."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import polars as pl
import pytest
import yaml
from checkout import MAIN, REPOSITORY, SINGLE, Checkout
from test_workflow_kept import forget
from test_workflow_stale import EHR_LOG

from pipeline.cohort.definitions import VERSION

SCHEMA = json.loads((REPOSITORY / "pipeline/evaluation/result.schema.json").read_text())
EPISODES = "results/corrected/admission/episodes.parquet"
MODELS = "results/corrected/admission/models/mortality"
STAGES = {
    "extract.tables", "cohort.episodes", "cohort.labels", "ehr.events",
    "ehr.bins", "ehr.tokens", "cxr.films", "cxr.decode", "note.clean", "note.doc2vec", "note.notes",
    "note.vectors", "training.pretrain", "training.embed", "fusion.early",
}  # fmt: skip


def read(checkout, name):
    return json.loads((checkout / name).read_text())


def digests(checkout, pattern="results/**/*"):
    """Path → digest of every file; what differs between two runs by design is left out."""
    # times and their digest, and what a failed run set aside
    differs = {".run.json", ".run.json.sha256", ".stale"}
    return {
        str(path.relative_to(checkout.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(checkout.root.glob(pattern))
        if path.is_file()
        and not any(path.name.endswith(end) for end in differs)
        and path.parent.name != "usage"
    }


@pytest.mark.parametrize("target", [MAIN, SINGLE])
def test_result_is_what_its_schema_describes(finished, target):
    result = read(finished, target)
    jsonschema.Draft202012Validator(SCHEMA).validate(result)
    assert result["target"] == Path(target).stem
    assert result["ceiling"]["population_auroc"] > 0.7
    assert result["definitions_version"] == VERSION
    assert result["task_definition"]["query"] == "pipeline/cohort/tasks/admission/mortality.sql"
    assert result["source"] == {"kind": "synthetic", "releases": {}}
    assert (finished / target).with_suffix(".svg").read_text().startswith("<?xml")


def test_result_counts_the_episodes_of_the_cohort(finished):
    result = read(finished, MAIN)
    episodes = pl.read_parquet(finished / EPISODES)
    labels = pl.read_parquet(finished / "results/corrected/admission/labels/mortality.parquet")
    known = episodes.join(labels.filter("eligible"), on="episode_id")
    counted = {row["split"]: row["len"] for row in known.group_by("split").len().to_dicts()}
    assert {split: part["n"] for split, part in result["metrics"].items()} == counted
    assert result["cohort"]["episodes"] == known.height


def test_sidecar_tells_time_memory_and_host_of_every_stage(finished):
    sidecar = read(finished, MAIN.replace(".json", ".run.json"))
    assert {f"pipeline.{name}" for name in STAGES} <= {row["stage"] for row in sidecar["stages"]}
    for row in sidecar["stages"]:
        assert row["seconds"] >= 0 and row["peak_mb"] > 10 and row["host"]
    assert sidecar["total_seconds"] > 1


@pytest.mark.parametrize(
    "log",
    ["pretrain_ehr/corrected/admission/mortality", "pretrain_note/corrected/admission/mortality"],
)
def test_training_tells_its_course_in_the_log(finished, log):
    scores = r"loss \d\.\d{4}  val AUROC in training 0\.\d{4}"
    line = rf"step 5/10  {scores}  \d+ samples/s  at most \d+ s left"
    assert re.search(line, (finished / f"logs/{log}.log").read_text())


def test_the_screen_shows_jobs_the_projects_lines_and_the_results_in_words(finished):
    lines = finished.outcome.text.splitlines()
    jobs = len(finished.outcome.ran)
    head = f"{jobs} jobs; the log of each is below logs/"
    assert lines.count(head) == 1
    assert re.search(rf"^\[\d+/{jobs}\] pretrain_cxr mortality$", finished.outcome.text, re.M)
    assert sum(line.startswith("[") for line in lines) <= 2 * jobs
    for detail in ("input:", "jobid", "reason:", "Select jobs", "pipeline.training.pretrain"):
        assert detail not in finished.outcome.text
    for result in (MAIN, SINGLE):
        assert f"{Path(result).stem}, corrected protocol" in lines
    (named,) = re.findall(r"Complete log\(s\): \S*/(\S+)", finished.outcome.text)
    log = (finished / ".snakemake/log" / named).read_text()  # others, of looks at it, lie beside
    assert "jobid: " in log and "reason: " in log


def test_nothing_is_to_be_done_after_a_run(finished):
    assert finished.plan(MAIN, SINGLE).planned == {}


def turn(value):
    """The same settings with the keys of every mapping in the opposite order."""
    if not isinstance(value, dict):
        return value
    return {key: turn(value[key]) for key in reversed(value)}


def test_touched_files_and_reordered_settings_rerun_nothing(finished, tmp_path):
    copied = finished.copy(tmp_path / "copied", whole=True)
    config = yaml.safe_load((copied / "config.yaml").read_text())
    turned = turn(config) | {"modalities": config["modalities"]}  # whose order names the targets
    (copied / "config.yaml").write_text(yaml.safe_dump(turned, sort_keys=False))
    assert list(turned["cohort"]) != list(config["cohort"])
    touched = [path for path in copied.root.rglob("*") if ".snakemake" not in path.parts]
    for path in touched:
        os.utime(path)
    assert len(touched) > 1000
    assert copied.plan(MAIN, SINGLE).planned == {}


def test_only_the_owner_can_read_what_was_made(finished):
    made = [path for top in ("results", "logs") for path in (finished / top).rglob("*")]
    files = [path for path in made if path.is_file() and path.name != ".gitkeep"]
    assert len(files) > 100
    assert [path for path in files if path.stat().st_mode & 0o077] == []
    assert (finished / ".snakemake").stat().st_mode & 0o077 == 0


def test_no_pickle_is_written(finished):
    pickled = re.compile(rb"\x80[\x02-\x05].*\.\Z", re.S)
    for path in (finished / "results").rglob("*"):
        if path.is_file() and path.suffix != ".jpg":
            assert path.suffix not in {".pkl", ".pickle", ".pt", ".pth", ".joblib"}
            assert not pickled.match(path.read_bytes()), path


def test_no_patient_can_be_found_in_logs_and_results(finished):
    admissions = pl.read_parquet(finished / "results/source/admissions.parquet")
    stays = pl.read_parquet(finished / "results/source/icustays.parquet")
    ids = {str(n) for frame in (admissions["subject_id"], admissions["hadm_id"], stays["stay_id"])
           for n in frame}  # fmt: skip
    told = [*finished.root.glob("logs/**/*.log"), *finished.root.glob(".snakemake/log/*.log")]
    told += filter(Path.is_file, finished.root.glob("results/*.*"))
    told += finished.root.glob("results/corrected/**/*.json")
    assert len(told) > 50
    for path in told:
        found = set(re.findall(r"(?<![0-9a-f])\d{8}(?![0-9a-f])", path.read_text()))
        assert not found & ids, path


def test_an_estimate_takes_for_made_what_snakemake_made(finished):
    command = [sys.executable, "-m", "pipeline.plan.estimate", MAIN]
    told = subprocess.run(command, cwd=finished.root, capture_output=True, text=True, check=True)
    for line in ("patients", "chartevents", "films", "events, bins, tokens"):
        assert re.search(rf"^{line} .*is made +–$", told.stdout, re.M), told.stdout


def test_retraining_with_the_same_seed_gives_the_same_bytes(copied):
    forget(copied)  # else the finished training would be taken up
    before = digests(copied)
    assert f"{MODELS}/ehr/seed0.safetensors" in before and SINGLE in before
    ran = copied.make("--forcerun", "pretrain_ehr", "--", SINGLE).ran
    assert ran == ["pretrain_ehr", "embed_ehr", "evaluate_model"]
    assert "step 10/10" in (copied / EHR_LOG).read_text()
    again = {path: digest for path, digest in digests(copied).items() if ".progress" not in path}
    assert again == before


@pytest.mark.slow
def test_a_second_run_elsewhere_with_other_threads_gives_the_same_bytes(finished, tmp_path):
    other = Checkout.fresh(tmp_path / "elsewhere")
    other.warm = False  # each job an interpreter of its own
    other.make("--cores", "1", "--", MAIN, SINGLE)
    assert digests(other, "results/corrected/**/*") == digests(finished, "results/corrected/**/*")
    assert digests(other, "results/*.*") == digests(finished, "results/*.*")


@pytest.mark.slow
def test_another_seed_gives_another_result(copied):
    copied.configure({"seeds": [1]})
    before = read(copied, MAIN)["metrics"]["test"]["auroc"]
    copied.make(MAIN)
    assert read(copied, MAIN)["seeds"] == [1]
    assert read(copied, MAIN)["metrics"]["test"]["auroc"] != before
