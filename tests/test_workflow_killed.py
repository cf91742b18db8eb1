"""SIGKILL in the middle of each stage, then the same command: it completes, with the same result.

Nobody is told and nothing is cleared away; each stage dies with half of its output written.
"""

from collections import Counter

import pytest
from checkout import MAIN, Checkout
from edits import EDITS, UNDISTURBED, jobs

STAGES = {  # rule → the module that is killed, in the order of the data
    "make_hospital": "hospital.make",
    "extract_table": "extract.tables",
    "clean_notes": "note.clean",
    "select_episodes": "cohort.episodes",
    "label_task": "cohort.labels",
    "mark_left_out": "cohort.without",
    "fit_bins": "ehr.bins",
    "select_events": "ehr.events",
    "tokenise_events": "ehr.tokens",
    "select_films": "cxr.films",
    "decode_films": "cxr.decode",
    "count_films": "cxr.readable",
    "select_notes": "note.notes",
    "train_doc2vec": "note.doc2vec",
    "infer_vectors": "note.vectors",
    "describe_events": "ehr.statistics",
    "fit_statistics": "fusion.baselines",
    "pretrain_*": "training.pretrain",
    "embed_*": "training.embed",
    "fuse_early": "fusion.early",
    "evaluate_model": "evaluation.result",
}


@pytest.mark.slow
def test_a_run_that_is_killed_in_every_stage_ends_as_an_undisturbed_one(finished, tmp_path):
    checkout = Checkout.fresh(tmp_path / "killed")
    started, expected = Counter(), Counter(checkout.plan(MAIN).planned)
    waiting = dict(STAGES)
    while waiting:
        # one job at a time: the last that was started is the one that was killed
        stages = [f"pipeline.{module}" for module in waiting.values()]
        outcome = checkout.snakemake("--cores", "1", MAIN, killed=stages)
        assert outcome.status == -9, outcome.text
        started.update(outcome.ran)
        last = outcome.ran[-1]
        expected[last] += 1
        del waiting[last if last in waiting else f"{last.split('_')[0]}_*"]
        assert not (checkout / MAIN).exists()
    started.update(checkout.make("--cores", "1", MAIN).ran)
    assert (checkout / MAIN).read_bytes() == (finished / MAIN).read_bytes()
    assert started == expected  # each job once, and once more where it was killed
    assert checkout.plan(MAIN).planned == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["killed: a source table", "killed: films", "killed: a training", "killed: the evaluation",
     "failure", "failure of a training"],
)  # fmt: skip
def test_what_is_left_runs_once_and_the_result_is_the_undisturbed_one(
    finished, copied, tmp_path, name
):
    edit, expected = EDITS[name]
    edit(copied)
    ran = copied.make(MAIN).ran
    assert Counter(ran) == jobs(expected)
    smooth = finished.copy(tmp_path / "smooth")
    UNDISTURBED[name](smooth)
    smooth.make(MAIN)
    assert (copied / MAIN).read_bytes() == (smooth / MAIN).read_bytes()
    assert copied.plan(MAIN).planned == {}
