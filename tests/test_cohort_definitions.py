"""Definitions have a version: their texts are guarded, and a task says what it asks."""

import json
from pathlib import Path

import polars as pl
import pytest

from pipeline.cohort import definitions
from pipeline.cohort.definitions import CHANGES, KEPT, VERSION, changed, digests, of_task, plain
from pipeline.cohort.labels import definition_of
from pipeline.cohort.task import FOLDER, find
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import DEFINITIONS, Contract, version_of_tables, write_table

TASKS = sorted(path for path in FOLDER.glob("tasks/*/*.sql"))


def test_definitions_are_those_of_the_version():
    """Fails at every edit of a query or catalogue, until somebody has said what it means."""
    kept = json.loads(KEPT.read_text())
    edited = changed(kept["digests"], digests())
    assert not edited, (
        f"{', '.join(edited)} changed. If that changes who is in a cohort, what counts as an "
        "outcome or what is read, raise VERSION in pipeline/cohort/definitions.py and say in "
        "CHANGES what it means; then renew: python -m pipeline.cohort.definitions"
    )
    assert kept["version"] == VERSION


def test_every_version_says_what_it_means():
    assert list(CHANGES) == [*range(1, VERSION + 1)]


def test_all_that_defines_is_guarded():
    paths = set(digests())
    assert {path.relative_to(ROOT).as_posix() for path in TASKS} <= paths
    for name in ("cohort/units/admission.sql", "cohort/views/at_risk.sql", "cohort/diagnoses.sql",
                 "ehr/signals.csv", "ehr/long.sql", "cxr/films.sql", "note/notes.sql"):  # fmt: skip
        assert f"pipeline/{name}" in paths


def test_comments_and_spaces_change_no_digest_and_a_number_does():
    text = "SELECT a\n-- why\nFROM b WHERE c > 48 /* hours */\n"
    assert plain(text) == plain("SELECT   a FROM b\n\n  WHERE c > 48 -- or so")
    assert plain(text) != plain(text.replace("48", "47"))


def test_renewing_is_one_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(definitions, "KEPT", tmp_path / "definitions.json")
    definitions.main()
    assert json.loads((tmp_path / "definitions.json").read_text())["digests"] == digests()
    definitions.main()
    assert "renewed: nothing" in capsys.readouterr().out


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_every_task_asks_a_question(path):
    made = of_task([path.relative_to(ROOT).as_posix()], "admission", 48)
    assert made["query"] == path.relative_to(ROOT).as_posix()
    assert len(made["question"]) > 20 and "--" not in made["question"]
    assert "Kind" not in made["question"]  # nor more than the question


def test_items_of_shock_are_read_from_its_views_with_their_labels():
    items = pl.DataFrame({"itemid": [221906, 220045], "label": ["Norepinephrine", "Heart Rate"]})
    made = definition_of(find("shock_4h"), pl.DataFrame(), items)
    labels = {item["itemid"]: item["label"] for item in made["items"]}
    assert labels[221906] == "Norepinephrine"
    assert labels[229631] is None
    assert 220045 not in labels and len(labels) == 9
    assert (made["hours"], made["unit"], made["version"]) == (4, "ICU stay", VERSION)
    assert "vasopressor" in made["question"]
    assert definition_of(find("mortality"), pl.DataFrame())["items"] == []


def test_tables_carry_the_version_beside_their_rows(tmp_path):
    contract = {"columns": {"a": pl.Int64}, "key": ("a",)}
    frame = pl.DataFrame({"a": [1]})
    write_table(frame, tmp_path / "new.parquet", Contract(**contract, definitions=2))
    write_table(frame, tmp_path / "old.parquet", Contract(**contract))
    assert pl.read_parquet_metadata(tmp_path / "new.parquet")[DEFINITIONS] == "2"
    assert version_of_tables([tmp_path / "new.parquet"]) == 2
    assert version_of_tables([Path(tmp_path / "old.parquet")]) == 1
    assert pl.read_parquet(tmp_path / "new.parquet").equals(frame)
