"""An edit reruns exactly what it touches: settings, code, queries, data.

The plan of every kind of edit is compared; a sample, and with --all every kind, is run as well.
"""

import gzip

import polars as pl
import pytest
from checkout import MAIN, SINGLE

EVALUATE = {"evaluate_model"}
FUSE = {"fuse_early"} | EVALUATE
EMBED_EHR = {"embed_ehr"} | FUSE
TRAIN_EHR = {"pretrain_ehr"} | EMBED_EHR
TRAIN_CXR = {"pretrain_cxr", "embed_cxr"} | FUSE
TRAIN_NOTE = {"pretrain_note", "embed_note"} | FUSE
EMBED = {"embed_ehr", "embed_cxr", "embed_note"} | FUSE
TRAIN = TRAIN_EHR | TRAIN_CXR | TRAIN_NOTE
LABEL = {"label_task"} | TRAIN
TOKENISE = {"tokenise_events"} | TRAIN_EHR
EVENTS = {"select_events"} | TOKENISE
FILMS = {"select_films", "decode_films"} | TRAIN_CXR
NOTES = {"select_notes", "infer_vectors"} | TRAIN_NOTE
SELECT = EVENTS | FILMS | NOTES
COHORT = {"select_episodes"} | LABEL | SELECT
SPLIT = {"fit_bins", "train_doc2vec"} | COHORT
SOURCE = {"extract_table", "clean_notes"} | SPLIT
ALL = {"make_hospital"} | SOURCE


def setting(name, value):
    """An edit of config.yaml."""
    return lambda checkout: checkout.configure({name: value})


def comment(name):
    """An edit of a file that changes its bytes and not what it does."""
    mark = "-- edited\n" if name.endswith(".sql") else "# edited\n"

    def edit(checkout):
        text = (checkout / name).read_text()
        (checkout / name).write_text(text + mark if name.endswith(".py") else mark + text)

    return edit


def last_row(checkout):
    """A laboratory table that lost its last row."""
    path = checkout / "results/hospital/mimiciv/3.1/hosp/labevents.csv.gz"
    rows = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(rows[:-1])))


def half(checkout):
    """A cohort given as a csv of admissions."""
    episodes = pl.read_parquet(checkout / "results/corrected/admission/episodes.parquet")
    episodes.select("hadm_id").sample(fraction=0.5, seed=0).write_csv(checkout / "cohort.csv")
    checkout.configure({"cohort.ids": "cohort.csv"})


def limit(checkout):
    """A physiological limit of a signal."""
    checkout.edit("pipeline/ehr/signals.csv", "Heart Rate,10,300,", "Heart Rate,10,290,")


def shell(checkout):
    """A rule's command."""
    checkout.edit("rules/fusion.smk", " --dropout {params", "  --dropout {params")


EDITS = {
    "early.dropout": (setting("early.dropout", 0.4), FUSE),
    "early.schedule": (setting("early.schedule.epochs", 2), FUSE),
    "ehr.schedule": (setting("ehr.schedule.learning_rate", 0.002), TRAIN_EHR),
    "cxr.schedule": (setting("cxr.schedule.learning_rate", 0.002), TRAIN_CXR),
    "cxr.pixels": (setting("cxr.pixels", 48), {"decode_films"} | TRAIN_CXR),
    "cxr.views": (setting("cxr.views", ["antero-posterior", "postero-anterior"]), FILMS),
    "note.schedule": (setting("note.schedule.learning_rate", 0.002), TRAIN_NOTE),
    "note.doc2vec": (
        setting("note.doc2vec.epochs", 4),
        {"train_doc2vec", "infer_vectors"} | TRAIN_NOTE,
    ),
    "seeds": (setting("seeds", [0, 1]), TRAIN),
    "torch.threads": (setting("torch.threads", 2), TRAIN),
    "missing": (setting("missing", "complete"), EMBED),
    "cohort.min_age": (setting("cohort.min_age", 40), COHORT),
    "split.salt": (setting("split.salt", "another"), SPLIT),
    "availability.labs": (setting("availability.labs", ["charttime"]), EVENTS),
    "availability.notes": (setting("availability.notes", ["charttime"]), NOTES),
    "availability.enforced": (setting("availability.enforced", False), SELECT),
    "sample": (setting("sample", 0.8), SOURCE),
    "hospital.seed": (setting("hospital.seed", 1), ALL),
    "tasks": (setting("tasks", ["mortality", "longstay"]), set()),
    "task query": (comment("pipeline/cohort/tasks/mortality.sql"), LABEL),
    "query of another task": (comment("pipeline/cohort/tasks/longstay.sql"), set()),
    "query of events": (comment("pipeline/ehr/events.sql"), EVENTS),
    "encoder of films": (comment("pipeline/cxr/encoder.py"), TRAIN_CXR),
    "training loop": (comment("pipeline/training/loop.py"), TRAIN),
    "metrics": (comment("pipeline/evaluation/metrics.py"), EVALUATE),
    "figure": (comment("pipeline/report/curves.py"), EVALUATE),
    "shared helper": (comment("pipeline/common/files.py"), ALL),
    "pins": (comment("requirements.lock"), EVALUATE),
    "rule": (shell, FUSE),
    "readme": (comment("README.md"), set()),
    "physiological limit": (limit, EVENTS | {"fit_bins"}),
    "cohort.ids": (half, COHORT),
    "row of a source table": (last_row, EVENTS | {"fit_bins", "extract_table"}),
}
QUICK = [
    "early.dropout", "ehr.schedule", "cohort.min_age", "availability.enforced", "split.salt",
    "task query", "encoder of films", "shared helper", "row of a source table",
]  # fmt: skip
RUN = ["early.dropout"]
RUN_SLOWLY = [
    "missing", "seeds", "note.doc2vec", "cxr.pixels", "cohort.ids", "split.salt", "task query",
    "availability.notes", "sample", "hospital.seed", "physiological limit", "shared helper", "rule",
    "row of a source table", "metrics",
]  # fmt: skip


def cases(quick, slow):
    """Parameters of a test: names of edits, the slow ones marked."""
    return [pytest.param(name, id=name) for name in quick] + [
        pytest.param(name, id=name, marks=pytest.mark.slow) for name in slow
    ]


@pytest.mark.parametrize("name", cases(QUICK, [name for name in EDITS if name not in QUICK]))
def test_an_edit_plans_exactly_the_rules_that_it_touches(copied, name):
    edit, expected = EDITS[name]
    edit(copied)
    assert set(copied.plan(MAIN).planned) == expected


@pytest.mark.parametrize("name", cases(RUN, RUN_SLOWLY))
def test_an_edit_runs_what_it_touches_once(copied, name):
    edit, expected = EDITS[name]
    edit(copied)
    assert set(copied.make(MAIN).ran) == expected
    assert copied.plan(MAIN).planned == {}


def test_two_targets_share_what_they_share(copied):
    copied.configure({"ehr.schedule.learning_rate": 0.002})
    planned = copied.plan(MAIN, SINGLE).planned
    assert planned == dict.fromkeys(TRAIN_EHR, 1) | {"evaluate_model": 2}
