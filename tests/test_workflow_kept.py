"""What a changed cohort does not do again: reading csv, fitting, decoding, training on the same."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from changes import UNIT, comment
from checkout import MAIN
from edits import EDITS
from test_workflow_stale import EHR_LOG, WEIGHTS

from pipeline.stage.digests import beside

SOURCES = ["results/hospital", "results/source"]
FITTED = ["results/note/clean.parquet", "results/corrected/ehr/bins.parquet",
          "results/corrected/note/doc2vec"]  # fmt: skip
DECODED = [f"{UNIT}/cxr/decoded/p{shard}.parquet" for shard in range(10, 20)]


def files(checkout, *names):
    """Every file of these names or below these folders → what tells that it was not written."""
    found = {}
    for name in names:
        path = checkout / name
        for file in filter(Path.is_file, [path, *path.rglob("*")]):
            status = file.stat()
            found[file.relative_to(checkout.root)] = (status.st_ino, status.st_mtime_ns)
    assert found
    return found


def films(checkout):
    """The films that a cohort needs, and those that the store holds: of both how many."""
    shards = [pl.read_parquet(checkout / path) for path in DECODED]
    index = pl.read_parquet(checkout / "results/cxr/store/*/*/*.parquet")
    return sum(shard.height for shard in shards), index.height


def test_a_wider_cohort_decodes_what_is_new_and_reads_and_fits_nothing_again(copied):
    kept = [*SOURCES, *FITTED]
    before, (at_first, in_store) = files(copied, *kept), films(copied)
    assert at_first == in_store
    stored = files(copied, "results/cxr/store")
    EDITS["cohort.icu_within_hours"][0](copied)
    copied.make(*DECODED, f"{UNIT}/ehr/tokens.parquet", f"{UNIT}/note/vectors.parquet")
    assert files(copied, *kept) == before
    needed, wider = films(copied)
    assert 0 < needed - at_first == wider - in_store < at_first
    assert stored.items() <= files(copied, "results/cxr/store").items()
    EDITS["cohort.min_age"][0](copied)  # a narrower one: all its films are there
    copied.make(*DECODED)
    assert 0 < films(copied)[0] < at_first
    assert films(copied)[1] == wider


STAGES = [f"{rule}_{name}" for rule in ("pretrain", "embed") for name in ("ehr", "cxr", "note")]


def trained(checkout):
    """The stages whose logs tell of steps, or of a head; the others kept what they had."""
    said = {rule: checkout / f"logs/{rule}/corrected/admission/mortality.log" for rule in STAGES}
    said["fuse_early"] = checkout / "logs/fuse_early/corrected/admission/ecn_early_mortality.log"
    said = {rule: log.read_text() for rule, log in said.items() if log.exists()}
    ran = {rule for rule, text in said.items() if "samples/s" in text or "head fitted on" in text}
    assert all("trained before on the same: kept" in said[rule] for rule in said.keys() - ran)
    return ran


def test_an_encoder_is_kept_where_only_test_patients_left_the_cohort(copied):
    weights = (copied / WEIGHTS).read_bytes()
    EDITS["cohort.ids: fewer test patients"][0](copied)
    copied.make(WEIGHTS)
    told = (copied / EHR_LOG).read_text()
    assert "trained before on the same: kept" in told
    assert "samples/s" not in told
    assert (copied / WEIGHTS).read_bytes() == weights


def forget(checkout):
    """Removes what came of earlier trainings."""
    kept = list((checkout / f"{UNIT}/models").rglob(".*.progress"))
    assert len(kept) == 3  # three encoders
    for path in kept:
        path.unlink()
        beside(path).unlink()


@pytest.mark.slow
def test_fewer_test_patients_train_no_encoder_and_the_result_is_that_of_a_fresh_training(
    finished, copied, tmp_path
):
    """Heads may be fitted again: embeddings differ in the last bit where their batch does."""
    EDITS["cohort.ids: fewer test patients"][0](copied)
    anew = copied.copy(tmp_path / "anew")
    forget(anew)
    for checkout in (copied, anew):
        checkout.make(MAIN)
    assert not [rule for rule in trained(copied) if rule.startswith("pretrain_")]
    assert trained(anew) == {*STAGES, "fuse_early"}
    assert (copied / MAIN).read_bytes() == (anew / MAIN).read_bytes()
    before, after = (json.loads((c / MAIN).read_text()) for c in (finished, copied))
    assert after["metrics"]["test"]["n"] < before["metrics"]["test"]["n"]


def without_one(split):
    """The cohort without one patient of a share who has films and reports."""

    def edit(checkout):
        unit = checkout / UNIT
        episodes, films, notes, labels = (
            pl.read_parquet(unit / f"{name}.parquet")
            for name in ("episodes", "cxr/films", "note/notes", "labels/mortality")
        )
        whole = episodes.filter(split=split).join(labels.filter("eligible"), on="episode_id")
        for each in (films, notes):
            whole = whole.join(each, on="episode_id", how="semi")
        left = episodes.filter(pl.col("subject_id") != whole["subject_id"].max())
        left.select("hadm_id").write_csv(checkout / "cohort.csv")
        checkout.configure({"cohort.ids": "cohort.csv"})

    return edit


HEADS = {"embed_ehr", "embed_cxr", "embed_note", "fuse_early"}
CHANGES = {
    "a patient of fusion": (without_one("fusion"), HEADS),
    "a patient of train": (without_one("train"), {*STAGES, "fuse_early"}),
    "code of an encoder": (
        comment("pipeline/ehr/encoder_tokens.py"),
        {"pretrain_ehr", "embed_ehr", "fuse_early"},
    ),
    "code of all": (comment("pipeline/training/batches.py"), {*STAGES, "fuse_early"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_rows_or_code_is_trained_and_nothing_else(copied, name):
    edit, expected = CHANGES[name]
    edit(copied)
    shutil.rmtree(copied / "logs")
    copied.make(MAIN)
    assert trained(copied) == expected
