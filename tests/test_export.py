"""Tables as csv and npz, and the page that says where they lie: in step with the contracts."""

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from checkout import REPOSITORY, environment

from pipeline import export
from pipeline.cohort.episodes import EPISODES, STAYS
from pipeline.cohort.labels import LABELS
from pipeline.cohort.rows import MANY_PREDICTIONS, PREDICTIONS
from pipeline.cxr.films import FILMS
from pipeline.ehr.events import EVENTS
from pipeline.note.notes import NOTES, vector_contract
from pipeline.stage.errors import InputError
from pipeline.stage.tables import write_table

PAGE = (REPOSITORY / "docs/files.md").read_text()
CONTRACTS = {
    "episodes": EPISODES, "labels": LABELS, "predictions": PREDICTIONS, "events": EVENTS,
    "films": FILMS, "notes": NOTES, "vectors": vector_contract(512),
}  # fmt: skip
BASE = re.search('^base = "(.*)"$', PAGE, re.M)[1]
SUBJECT = 10000032  # as MIMIC's ids look


def in_words(dtype):
    """A type as the page has it."""
    vector = dtype == pl.Array and getattr(dtype, "shape", None)
    return f"{dtype.inner} × {vector[0]}" if vector else re.sub(r"\(.*", "", str(dtype))


def rows_of(contract):
    """Of each column of a contract: name and type, as cells of a Markdown table, and its unit."""
    marks = dict.fromkeys(contract.key, " (key)") | dict.fromkeys(contract.nullable, ", or null")
    return [
        (f"| `{name}` | {in_words(dtype)}{marks.get(name, '')} | ", contract.units.get(name, ""))
        for name, dtype in contract.columns.items()
    ]


def wrong_rows(contract, lines):
    """Columns that the page lacks or tells otherwise, and rows that are of none."""
    rows = rows_of(contract)
    beyond = lines[len(rows) :]
    pairs = zip(rows, [*lines, *[""] * len(rows)], strict=False)
    return beyond + [
        start + unit
        for (start, unit), line in pairs
        if not line.startswith(start + unit) or line == f"{start} |"
    ]


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_page_has_the_columns_of_the_contract_each_with_its_meaning(name):
    block = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", PAGE, re.S)[1]
    assert wrong_rows(CONTRACTS[name], block.splitlines()[2:]) == []


def test_the_page_tells_what_other_tables_have_beside():
    more = set(STAYS.columns) - set(EPISODES.columns)
    assert more == {"first_careunit", "hours_to_icu"} and all(f"`{one}`" in PAGE for one in more)
    assert set(MANY_PREDICTIONS.columns) < set(PREDICTIONS.columns)


def test_embeddings_are_as_the_page_says():
    from pipeline.training.embed import embedding_contract

    contract = embedding_contract(512)
    assert list(contract.columns) == ["episode_id", "seed", "embedding"]
    assert contract.columns["embedding"] == pl.Array(pl.Float32, 512)
    block = re.search(r"<!-- embeddings -->\n(.*?)\n<!-- /embeddings -->", PAGE, re.S)[1]
    assert wrong_rows(contract, block.splitlines()[2:]) == []


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A working directory with the tables of a run."""
    monkeypatch.chdir(tmp_path)
    predictions = pl.DataFrame(
        {"task": "mortality", "episode_id": [2, 1], "subject_id": SUBJECT, "seed": 0,
         "split": "test", "label": [0, 1], "probability": [0.25, 0.75]},
        schema=dict(PREDICTIONS.columns),
    )  # fmt: skip
    labels = pl.DataFrame(
        {"episode_id": [1, 2], "eligible": [True, False], "label": [1, None]},
        schema=dict(LABELS.columns),
    )
    embeddings = pl.DataFrame(
        {"episode_id": [1, 2], "seed": [0, 0], "embedding": [[0.0, 1.0], [2.0, 3.0]]},
        schema={"episode_id": pl.Int64, "seed": pl.Int64, "embedding": pl.Array(pl.Float32, 2)},
    )
    base = tmp_path / "results/corrected/admission"
    write_table(predictions, base / "predictions/ecn_early_mortality.parquet", PREDICTIONS)
    write_table(predictions, tmp_path / "results/elderly/corrected/admission/predictions"
                "/e_unimodal_mortality.parquet", PREDICTIONS)  # fmt: skip
    write_table(labels, base / "labels/mortality.parquet", LABELS)
    (base / "embeddings/mortality").mkdir(parents=True)
    embeddings.write_parquet(base / "embeddings/mortality/cxr.parquet")
    times = {"prediction_time": [datetime(2180, 1, 1), None], "race": ["WHITE", None]}
    pl.DataFrame({"episode_id": [1, 2], **times}).write_parquet(base / "episodes.parquet")
    return tmp_path


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["export", *arguments])
    export.main()


def test_predictions_as_csv(made, monkeypatch):
    asked = ("--target", "ecn_early_mortality", "--csv", "--output", "out/p.csv")
    call(monkeypatch, "predictions", *asked)
    table = pl.read_csv(made / "out/p.csv")
    assert table.columns == list(PREDICTIONS.columns)
    assert table["probability"].to_list() == [0.75, 0.25]  # in the order of the ids


def test_predictions_of_a_named_experiment(made, monkeypatch):
    call(monkeypatch, "predictions", "--name", "elderly", "--target", "e_unimodal_mortality",
         "--csv", "--output", "p.csv")  # fmt: skip
    assert pl.read_csv(made / "p.csv").height == 2


def test_embeddings_as_csv_have_a_column_per_number_and_as_npz_an_array(made, monkeypatch):
    asked = ("embeddings", "--task", "mortality", "--modality", "cxr")
    call(monkeypatch, *asked, "--csv", "--output", "e.csv")
    table = pl.read_csv(made / "e.csv")
    assert table.columns == ["episode_id", "seed", "embedding_0", "embedding_1"]
    call(monkeypatch, *asked, "--npz", "--output", "e.npz")
    with np.load(made / "e.npz") as arrays:  # allow_pickle is false
        assert arrays["embedding"].tolist() == [[0, 1], [2, 3]]
        assert arrays["episode_id"].tolist() == [1, 2]


def test_an_npz_holds_nulls_without_objects(made, monkeypatch):
    call(monkeypatch, "cohort", "--npz", "--output", "c.npz")
    with np.load(made / "c.npz") as arrays:
        assert arrays["race"].tolist() == ["WHITE", ""]
        assert np.isnat(arrays["prediction_time"]).tolist() == [False, True]
    call(monkeypatch, "labels", "--task", "mortality", "--npz", "--output", "l.npz")
    with np.load(made / "l.npz") as arrays:
        assert arrays["label"].tolist()[0] == 1 and np.isnan(arrays["label"][1])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["labels"], "labels: add --task"),
        (["cohort", "--task", "mortality"], "--task mortality is of no use"),
        (["predictions", "--target", "early"], "expected modalities_model_task"),
        (["predictions", "--target", "ecn_late_mortality"],
         r"no file results/.*/ecn_late_mortality.parquet; there are ecn_early_mortality. Make it "
         "with: snakemake"),
        (["labels", "--task", "mortalty"], "mortalty"),
        (["cohort", "--name", "old"], "snakemake --cores 8 --config name=old -- results/old"),
        (["cohort", "--unit", "stay"], "no file results/corrected/stay/episodes.parquet. Make it"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_one_message(made, monkeypatch, arguments, why):
    with pytest.raises(InputError, match=why):
        call(monkeypatch, *arguments, "--csv", "--output", "x.csv")
    assert not (made / "x.csv").exists()


@pytest.mark.parametrize("output", ["results", "results/corrected/admission/episodes.parquet"])
def test_nothing_of_the_run_is_written_over(made, monkeypatch, output):
    with pytest.raises(InputError, match="--output"):
        call(monkeypatch, "cohort", "--csv", "--output", output)


def test_the_file_is_its_owners_and_ids_stay_in_it(made):
    (made / "p.csv").touch(0o644)
    asked = ["predictions", "--target", "ecn_early_mortality", "--csv", "--output", "p.csv"]
    command = [sys.executable, "-m", "pipeline.export", *asked]
    path = environment() | {"PYTHONPATH": str(REPOSITORY)}
    told = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
    assert (made / "p.csv").stat().st_mode & 0o077 == 0
    assert str(SUBJECT) in (made / "p.csv").read_text()
    assert str(SUBJECT) not in told.stdout + told.stderr and "<10 rows of" in told.stderr


def test_each_line_of_the_page_opens_its_file(made):
    pandas = pytest.importorskip("pandas")
    lines = [line for line in PAGE.splitlines() if re.match(r"(pl|pd|np)\.", line)]
    assert len(lines) == 10
    opened = []
    for line in lines:
        path = re.search(r'f"{base}/([^"]+)"', line)[1]
        if Path(BASE, path).exists():
            table = eval(line, {"pl": pl, "pd": pandas, "np": np, "base": BASE})
            opened.append((line[:2], len(table)))
    assert opened == [("pl", 2), ("pd", 2), ("pl", 1), ("pd", 1), ("pl", 2), ("pd", 2), ("pl", 2),
                      ("np", 2)]  # fmt: skip
