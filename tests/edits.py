"""What users change, and exactly which jobs each change runs again.

The tests compare plans and runs with it; benchmarks/reruns.py makes the table in docs/editing.md.
An edit is a function of a `Checkout` of the finished main job. Expected are the rules that run, one
job each but for those in `EACH`; or rule → jobs where it is otherwise.
"""

from changes import (
    another_film,
    another_note,
    another_patient,
    comment,
    failed,
    fewer_to_test,
    half,
    killed,
    last_row,
    made,
    reordered,
    replaced,
    setting,
    touched,
    window,
)

CORRECTED = "workflow/protocols/corrected.yaml"
EACH = {"decode_films": 10, "extract_table": 12}  # shards of films; source tables of the main job

EVALUATE = {"evaluate_model"}
STATISTICS = {"fit_statistics"} | EVALUATE
FUSE = {"fuse_early"} | EVALUATE
EMBED_EHR = {"embed_ehr"} | FUSE
TRAIN_EHR = {"pretrain_ehr"} | EMBED_EHR
TRAIN_CXR = {"pretrain_cxr", "embed_cxr"} | FUSE
TRAIN_NOTE = {"pretrain_note", "embed_note"} | FUSE
EMBED = {"embed_ehr", "embed_cxr", "embed_note"} | FUSE
TRAIN = TRAIN_EHR | TRAIN_CXR | TRAIN_NOTE
MARK = {"mark_left_out"} | EVALUATE
LABEL = {"label_task"} | MARK | STATISTICS | TRAIN
TOKENISE = {"tokenise_events"} | TRAIN_EHR
EVENTS = {"select_events", "describe_events"} | STATISTICS | TOKENISE
READABLE = {"count_films"} | TRAIN_CXR
DECODE = {"decode_films"} | READABLE
FILMS = {"select_films"} | DECODE
DOC2VEC = {"train_doc2vec", "infer_vectors"} | TRAIN_NOTE
NOTES = {"select_notes", "infer_vectors"} | TRAIN_NOTE
SELECT = EVENTS | FILMS | NOTES
COHORT = {"select_episodes"} | LABEL | SELECT
SPLIT = {"fit_bins", "train_doc2vec"} | COHORT
SOURCE = {"extract_table", "clean_notes"} | SPLIT
ALL = {"make_hospital"} | SOURCE


def jobs(expected):
    """Rule → number of jobs."""
    return dict(expected) if isinstance(expected, dict) else {r: EACH.get(r, 1) for r in expected}


def tables(count, rules):
    """The rules, and the extraction of so many source tables."""
    return jobs(rules) | {"extract_table": count}


TASK = "pipeline/cohort/tasks/admission/mortality.sql"
WITHOUT = "pipeline/cohort/tasks/admission/without/mortality.sql"
LABELLED = "    hospital_deaths.died AS label,\n"
A_DAY_LATER = (
    '    episodes."end" > episodes.prediction_time + TO_HOURS(24)\n'
    '        AS "condition: in hospital a day after the prediction time",\n'
)
WITH_STAY = (
    "    first_icu.stay_id IS NOT NULL\n"
    '        AS "condition if icu_within_hours: with an ICU stay",\n'
)
NOT_OTHER = (
    "    admissions.insurance IS DISTINCT FROM 'Other'\n        AS \"condition: insured\",\n"
)


DROPOUT = setting("modality_dropout", 0.2)
TOKENS = replaced("rules/ehr.smk", "-m pipeline.ehr.tokens", " -m pipeline.ehr.tokens")
PIXELS = setting("cxr.pixels", 48)
BASELINE = "results/corrected/admission/predictions/e_gbdt-stats_mortality.parquet"
LIMIT = replaced("pipeline/ehr/signals.csv", "Heart Rate,10,300,", "Heart Rate,10,290,")
UNDISTURBED = {  # the edits of those after which a job fails or is killed
    "failure": DROPOUT,
    "failure of a training": TOKENS,
    "killed: a source table": last_row,
    "killed: films": PIXELS,
    "killed: a training": LIMIT,
    "killed: the evaluation": DROPOUT,
}

EDITS = {
    "modality_dropout": (DROPOUT, FUSE),
    "schedule": (setting("schedule.learning_rate", 0.002), TRAIN),
    "ehr.grid": (setting("ehr.grid.hours", 1), set()),
    "ehr.statistics": (setting("ehr.statistics", False), TRAIN_EHR),
    "encoders": (setting("encoders.e", "grid"), TRAIN_EHR),
    "cxr.pixels": (PIXELS, DECODE),
    "cxr.unreadable": (setting("cxr.unreadable", 0.02), READABLE),
    "cxr.views": (setting("cxr.views", ["antero-posterior", "postero-anterior"]), FILMS),
    "cxr.augment": (
        setting("cxr.augment", {"shift": 0.05, "degrees": 5, "contrast": 0.2}),
        TRAIN_CXR,
    ),
    "note.doc2vec": (setting("note.doc2vec.epochs", 4), DOC2VEC),
    "seeds": (setting("seeds", [0, 1]), TRAIN | STATISTICS),
    "torch.threads": (setting("torch.threads", 2), TRAIN),
    "torch.precision": (setting("torch.precision", "bf16"), TRAIN),
    "torch.processes": (setting("torch.processes", 2), TRAIN),
    "folds": (setting("folds", 2), SPLIT),
    "missing": (setting("missing", "complete"), LABEL),
    "cohort.min_age": (setting("cohort.min_age", 40), COHORT),
    "cohort.icu_within_hours": (setting("cohort.icu_within_hours", 96), COHORT),
    "cohort.films": (setting("cohort.films", "covered"), COHORT),
    "cohort.window_hours": (window, COHORT),
    "cohort.ids": (half, COHORT),
    "cohort.ids: fewer test patients": (fewer_to_test, COHORT),
    "a condition of the cohort": (
        replaced("pipeline/cohort/units/admission.sql", WITH_STAY, NOT_OTHER + WITH_STAY),
        COHORT,
    ),
    "split.salt": (setting("split.salt", "another"), SPLIT),
    "availability.labs": (setting("availability.labs", ["charttime"]), EVENTS),
    "availability.notes": (setting("availability.notes", ["charttime"]), NOTES),
    "availability.enforced": (setting("availability.enforced", False), SELECT),
    "sample": (setting("sample", 0.8), SOURCE),
    "hospital.seed": (setting("hospital.seed", 1), ALL),
    "tasks": (setting("tasks", ["mortality"]), set()),
    "keys reordered": (reordered, set()),
    "touched": (touched, set()),
    "ehr.start_by_value": (
        replaced(CORRECTED, "by_value: true", "by_value: false"),
        TRAIN_EHR,
    ),
    "cxr.full": (
        replaced(CORRECTED, "full: false", "full: true"),
        DECODE,
    ),
    "note.standardise": (
        replaced(CORRECTED, "dise: true", "dise: false"),
        TRAIN_NOTE,
    ),
    "note.fitted_on": (
        replaced(CORRECTED, "fitted_on: train", "fitted_on: all"),
        DOC2VEC,
    ),
    "head_on": (
        replaced(CORRECTED, "head_on: fusion", "head_on: train"),
        LABEL,
    ),
    "schedule of fusions": (
        replaced(
            CORRECTED,
            "schedules: {}",
            "schedules: { multimodal: { steps: 20 } }",
        ),
        FUSE,
    ),
    "published protocol": (
        replaced("workflow/protocols/published.yaml", "epochs: 30", "epochs: 3"),
        set(),
    ),
    "task query": (comment(TASK), LABEL),
    "task definition": (replaced(TASK, LABELLED, A_DAY_LATER + LABELLED), LABEL),
    "query of another task": (comment("pipeline/cohort/tasks/admission/longstay.sql"), set()),
    "sensitivity analysis": (comment(WITHOUT), MARK),
    "published query of a task": (
        comment("pipeline/cohort/tasks/published/mortality.sql"),
        set(),
    ),
    "published query of admissions": (comment("pipeline/cohort/units/published.sql"), set()),
    "published query of films": (comment("pipeline/cxr/films_published.sql"), set()),
    "published catalogue of signals": (
        replaced("pipeline/ehr/signals_published.csv", "Heart Rate,40,200,", "Heart Rate,40,210,"),
        set(),
    ),
    "query of ICU stays": (comment("pipeline/cohort/units/stay.sql"), set()),
    "query of a task of ICU stays": (comment("pipeline/cohort/tasks/stay/shock.sql"), set()),
    "encoder of UniMed": (comment("pipeline/ehr/encoder_fiddle.py"), set()),
    "another encoder of the EHR": (comment("pipeline/ehr/encoder_grid.py"), set()),
    "query of a clinical score": (comment("pipeline/ehr/scores_sofa.sql"), set()),
    "query of events": (comment("pipeline/ehr/events.sql"), EVENTS),
    "encoder of films": (comment("pipeline/cxr/encoder_resnet18.py"), TRAIN_CXR),
    "training loop": (comment("pipeline/training/loop.py"), TRAIN),
    "heads": (comment("pipeline/fusion/heads.py"), FUSE),
    "another fusion": (comment("pipeline/fusion/joint.py"), set()),
    "targets": (comment("pipeline/plan/targets.py"), set()),
    "metrics": (comment("pipeline/evaluation/statistics/metrics.py"), EVALUATE),
    "figure": (comment("pipeline/report/curves.py"), EVALUATE),
    "helper of the datasets": (comment("pipeline/training/items.py"), TRAIN),
    "shared helper": (comment("pipeline/stage/files.py"), ALL),
    "pins": (comment("requirements.lock"), EVALUATE),
    "rule": (replaced("rules/fusion.smk", " --letters {wild", "  --letters {wild"), FUSE),
    "readme": (comment("README.md"), set()),
    "physiological limit": (LIMIT, EVENTS | {"fit_bins"}),
    "row of a source table": (last_row, tables(1, EVENTS | MARK | {"fit_bins"})),
    "film": (another_film, tables(1, FILMS)),
    "note": (another_note, tables(1, NOTES | DOC2VEC | {"clean_notes"})),
    "patient": (another_patient, tables(4, COHORT | {"fit_bins"})),
    "failure": (failed(DROPOUT, "evaluation.result"), EVALUATE),
    "failure of a training": (failed(TOKENS, "training.pretrain"), TRAIN_EHR),
    "killed: a source table": (
        killed(last_row, "extract.tables"),
        tables(1, EVENTS | MARK | {"fit_bins"}),
    ),
    "killed: films": (killed(PIXELS, "cxr.decode"), DECODE),
    # the baselines before it: whether they end before the kill is chance
    "killed: a training": (killed(made(LIMIT, BASELINE), "training.pretrain"), TRAIN_EHR),
    "killed: the evaluation": (killed(DROPOUT, "evaluation.result"), EVALUATE),
}

TABLE = {  # the rows of docs/editing.md
    "cohort.min_age": "`cohort.min_age`",
    "cohort.window_hours": "`cohort.window_hours`",
    "cohort.ids": "`cohort.ids`: half of the admissions",
    "cohort.ids: fewer test patients": "`cohort.ids`: fewer test patients, no encoder is trained",
    "a condition of the cohort": "a new exclusion in `pipeline/cohort/units/admission.sql`",
    "task definition": "a task's definition, `pipeline/cohort/tasks/admission/mortality.sql`",
    "published query of films": "the paper's query of films, `pipeline/cxr/films_published.sql`",
    "query of ICU stays": "the query of ICU stays, `pipeline/cohort/units/stay.sql`",
    "query of a task of ICU stays": "a task of ICU stays, `pipeline/cohort/tasks/stay/shock.sql`",
    "encoder of UniMed": "an encoder of UniMed, `pipeline/ehr/encoder_fiddle.py`",
    "modality_dropout": "`modality_dropout`",
    "encoder of films": "an encoder's code, `pipeline/cxr/encoder_resnet18.py`",
    "helper of the datasets": "a helper of all encoders, `pipeline/training/items.py`",
    "shared helper": "a helper of every stage, `pipeline/stage/files.py`",
    "film": "one more film in the source",
    "note": "one more note in the source",
    "patient": "one more patient in the source",
    "keys reordered": "keys of `config.yaml` reordered",
    "touched": "every file of code, config and source touched",
    "failure": "`modality_dropout`, but `evaluate_model` fails: the same command again",
    "killed: a source table": "SIGKILL while a table is extracted again: the same command",
    "killed: films": "… while films are decoded (`cxr.pixels` edited)",
    "killed: a training": "… while the EHR encoder is trained (`pipeline/ehr/signals.csv` edited)",
    "killed: the evaluation": "… while the result is evaluated (`modality_dropout` edited)",
}
ORDER = [  # of the data
    "make_hospital", "extract_table", "clean_notes", "fit_bins", "train_doc2vec", "select_episodes",
    "label_task", "mark_left_out", "select_events", "select_films", "select_notes",
    "tokenise_events", "describe_events", "decode_films", "count_films", "infer_vectors",
    "fit_statistics", "pretrain_ehr", "pretrain_cxr", "pretrain_note", "embed_ehr", "embed_cxr",
    "embed_note", "fuse_early", "evaluate_model",
]  # fmt: skip


def in_words(expected):
    """The rules of an edit as docs/editing.md names them: `pretrain_*` ×3 where all of them run."""
    left = {rule: count for rule in ORDER if (count := jobs(expected).get(rule))}
    words = []
    for rule in [*left]:
        family = [name for name in ORDER if name.split("_")[0] == rule.split("_")[0]]
        if rule in left and len(family) > 1 and left.keys() >= set(family):
            words.append(f"`{rule.split('_')[0]}_*` ×{len(family)}")
            left = {name: count for name, count in left.items() if name not in family}
        elif rule in left:
            count = left[rule]
            words.append(f"`{rule}`" + (f" ×{count}" if count > 1 else ""))
    return ", ".join(words) or "nothing"
