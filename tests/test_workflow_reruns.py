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


def protocol(name, old, new):
    """An edit of a protocol's own choices."""
    return lambda checkout: checkout.edit(f"workflow/protocols/{name}.yaml", old, new)


def shell(checkout):
    """A rule's command."""
    checkout.edit("rules/fusion.smk", " --dropout {params", "  --dropout {params")


EDITS = {
    "early.dropout": (setting("early.dropout", 0.4), FUSE),
    "modality_dropout": (setting("modality_dropout", 0.2), FUSE),
    "schedule": (setting("schedule.learning_rate", 0.002), TRAIN),
    "cxr.pixels": (setting("cxr.pixels", 48), {"decode_films"} | TRAIN_CXR),
    "cxr.views": (setting("cxr.views", ["antero-posterior", "postero-anterior"]), FILMS),
    "note.doc2vec": (
        setting("note.doc2vec.epochs", 4),
        {"train_doc2vec", "infer_vectors"} | TRAIN_NOTE,
    ),
    "seeds": (setting("seeds", [0, 1]), TRAIN),
    "torch.threads": (setting("torch.threads", 2), TRAIN),
    "torch.processes": (setting("torch.processes", 2), TRAIN),
    "folds": (setting("folds", 2), SPLIT),
    "ehr.start_by_value": (protocol("corrected", "by_value: true", "by_value: false"), TRAIN_EHR),
    "cxr.full": (protocol("corrected", "full: false", "full: true"), {"decode_films"} | TRAIN_CXR),
    "note.standardise": (protocol("corrected", "dise: true", "dise: false"), TRAIN_NOTE),
    "note.fitted_on": (
        protocol("corrected", "fitted_on: train", "fitted_on: all"),
        {"train_doc2vec", "infer_vectors"} | TRAIN_NOTE,
    ),
    "head_on": (protocol("corrected", "head_on: fusion", "head_on: train"), EMBED),
    "schedule of fusions": (
        protocol("corrected", "schedules: {}", "schedules: { multimodal: { epochs: 2 } }"),
        FUSE,
    ),
    "published protocol": (protocol("published", "epochs: 30", "epochs: 3"), set()),
    "missing": (setting("missing", "complete"), LABEL),
    "cohort.min_age": (setting("cohort.min_age", 40), COHORT),
    "split.salt": (setting("split.salt", "another"), SPLIT),
    "availability.labs": (setting("availability.labs", ["charttime"]), EVENTS),
    "availability.notes": (setting("availability.notes", ["charttime"]), NOTES),
    "availability.enforced": (setting("availability.enforced", False), SELECT),
    "sample": (setting("sample", 0.8), SOURCE),
    "hospital.seed": (setting("hospital.seed", 1), ALL),
    "tasks": (setting("tasks", ["mortality"]), set()),
    "task query": (comment("pipeline/cohort/tasks/mortality.sql"), LABEL),
    "query of another task": (comment("pipeline/cohort/tasks/longstay.sql"), set()),
    "published query of a task": (
        comment("pipeline/cohort/tasks/published/mortality.sql"),
        set(),
    ),
    "query of events": (comment("pipeline/ehr/events.sql"), EVENTS),
    "encoder of films": (comment("pipeline/cxr/encoder.py"), TRAIN_CXR),
    "training loop": (comment("pipeline/training/loop.py"), TRAIN),
    "heads": (comment("pipeline/fusion/heads.py"), FUSE),
    "another fusion": (comment("pipeline/fusion/joint.py"), set()),
    "planning": (comment("pipeline/common/planning.py"), set()),
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
    "early.dropout", "ehr.start_by_value", "published protocol", "missing", "cohort.min_age",
    "availability.enforced", "split.salt", "seeds", "task query", "encoder of films",
    "shared helper", "row of a source table",
]  # fmt: skip
RUN = ["early.dropout"]
RUN_SLOWLY = [
    "missing", "folds", "head_on", "cxr.full", "seeds", "note.doc2vec", "cxr.pixels", "cohort.ids",
    "split.salt", "task query", "availability.notes", "sample", "hospital.seed",
    "physiological limit", "shared helper", "rule", "row of a source table", "metrics",
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
    EDITS["ehr.start_by_value"][0](copied)
    planned = copied.plan(MAIN, SINGLE).planned
    assert planned == dict.fromkeys(TRAIN_EHR, 1) | {"evaluate_model": 2}


def test_one_fold_more_is_made_beside_those_that_are_there(copied):
    copied.configure({"folds": 2})
    made = {"select_episodes", "label_task", "fit_bins"} | EVENTS - {"fuse_early"}
    assert copied.plan(SINGLE).planned == dict.fromkeys(made, 1)
