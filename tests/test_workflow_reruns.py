"""An edit reruns exactly what it touches: settings, code, queries, data.

The plan of every kind of edit is compared; a sample, and with --all every kind, is run as well.
"""

import fnmatch
import re
from collections import Counter

import pytest
from checkout import MAIN, REPOSITORY, SINGLE
from edits import EDITS, EVENTS, ORDER, TABLE, TRAIN_EHR, jobs

QUICK = [
    "modality_dropout", "published protocol", "missing", "cohort.min_age", "split.salt", "seeds",
    "task definition", "published query of admissions", "query of a task of ICU stays",
    "a condition of the cohort", "encoder of films", "shared helper", "film", "patient", "touched",
]  # fmt: skip
RUN = ["modality_dropout"]
RUN_SLOWLY = [
    "missing", "folds", "head_on", "cxr.full", "seeds", "note.doc2vec", "cxr.pixels", "cohort.ids",
    "split.salt", "task query", "availability.notes", "sample", "hospital.seed",
    "physiological limit", "shared helper", "rule", "row of a source table", "metrics",
    "cohort.window_hours", "a condition of the cohort", "film", "note", "patient",
]  # fmt: skip


def cases(quick, slow):
    """Parameters of a test: names of edits, the slow ones marked."""
    return [pytest.param(name, id=name) for name in quick] + [
        pytest.param(name, id=name, marks=pytest.mark.slow) for name in slow
    ]


@pytest.mark.parametrize("name", cases(QUICK, [name for name in EDITS if name not in QUICK]))
def test_an_edit_plans_exactly_the_jobs_that_it_touches(copied, name):
    edit, expected = EDITS[name]
    edit(copied)
    assert copied.plan(MAIN).planned == jobs(expected)


@pytest.mark.parametrize("name", cases(RUN, RUN_SLOWLY))
def test_an_edit_runs_what_it_touches_once(copied, name):
    edit, expected = EDITS[name]
    edit(copied)
    assert Counter(copied.make(MAIN).ran) == jobs(expected)
    assert copied.plan(MAIN).planned == {}


def test_two_targets_share_what_they_share(copied):
    EDITS["ehr.start_by_value"][0](copied)
    planned = copied.plan(MAIN, SINGLE).planned
    assert planned == dict.fromkeys(TRAIN_EHR, 1) | {"evaluate_model": 2}


def test_one_fold_more_is_made_beside_those_that_are_there(copied):
    copied.configure({"folds": 2})
    made = {"select_episodes", "label_task", "fit_bins"} | EVENTS - {"fuse_early"}
    assert copied.plan(SINGLE).planned == dict.fromkeys(made, 1)


def named(cell):
    """Rule → jobs, of a cell of the table in docs/editing.md."""
    found = Counter()
    for pattern, count in re.findall(r"`([a-z0-9_*]+)`(?: ×(\d+))?", cell):
        rules = fnmatch.filter(ORDER, pattern)
        for rule in rules:
            found[rule] = int(count or 1) // len(rules)
    return found


def test_the_table_of_the_documentation_says_what_the_tests_expect():
    text = (REPOSITORY / "docs/editing.md").read_text()
    table = text.split("<!-- reruns -->")[1].strip().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert [row[0] for row in rows] == list(TABLE.values())
    for name, (_, rules, count, saved) in zip(TABLE, rows, strict=True):
        expected = jobs(EDITS[name][1])
        assert named(rules) == expected, name
        assert int(count) == sum(expected.values()), name
        assert re.fullmatch(r"−?\d+ %", saved), name
