"""What the judge is given: predictions, lists of patients, and the folder with the answers.

Every input that is wrong is refused by one line that says what was expected.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.evaluation.statistics.sample import Sample
from pipeline.hospital.answers import KEYS
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.tables import read_table

IDS = ("hadm_id", "stay_id", "subject_id", "episode_id")
PROBABILITY = "probability"


def read_rows(path: str | Path) -> pl.DataFrame:
    """A csv (.csv, .csv.gz) or parquet file; column names without blanks around them."""
    place = Path(path)
    if not place.is_file():
        raise InputError(f"{path}: no such file")
    if place.suffix == ".parquet":
        rows = read_table(place)
    elif place.name.endswith((".csv", ".csv.gz")):
        try:
            rows = pl.read_csv(place, infer_schema_length=None)
        except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a readable csv ({type(error).__name__})") from error
    else:
        raise InputError(f"{path}: expected a file named .csv, .csv.gz or .parquet")
    names = [name.strip() for name in rows.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: the column {twice[0]} is there twice")
    return rows.rename(dict(zip(rows.columns, names, strict=True)))


def read_ids(rows: pl.DataFrame, column: str, path: str | Path) -> pl.Series:
    """A column of whole numbers without gaps."""
    ids = rows[column]
    if ids.dtype.is_float() and ids.drop_nulls().map_elements(float.is_integer, pl.Boolean).all():
        ids = ids.cast(pl.Int64, strict=False)
    if not ids.dtype.is_integer():
        raise InputError(f"{path}: {column} holds {ids.dtype}, expected whole numbers")
    ids = ids.cast(pl.Int64, strict=False)  # what does not fit is no id that there is
    if lacking := ids.null_count():
        raise InputError(f"{path}: {column} is empty or no id in {lacking} row(s)")
    return ids


def read_predictions(path: str | Path, task: str, known: pl.DataFrame) -> pl.DataFrame:
    """The task's key and `probability`; `known`: a row per admission or stay of the hospital.

    Other columns are passed over.
    """
    rows, key = read_rows(path), KEYS[task]
    if key not in rows.columns:
        others = [name for name in IDS if name in rows.columns]
        instead = f"has {', '.join(others)}" if others else f"has {', '.join(rows.columns)}"
        raise InputError(f"{path}: task {task} is predicted per {key}; expected a column {key}, "
                         f"{instead}")  # fmt: skip
    if PROBABILITY not in rows.columns:
        raise InputError(f"{path}: no column {PROBABILITY} among {', '.join(rows.columns)}")
    ids, values = read_ids(rows, key, path), rows[PROBABILITY]
    if not values.dtype.is_numeric():
        raise InputError(f"{path}: {PROBABILITY} holds {values.dtype}, expected numbers")
    values = values.cast(pl.Float64)
    wrong = int((~values.is_between(0, 1)).fill_null(True).sum())
    if wrong:
        raise InputError(f"{path}: {PROBABILITY} is empty or not between 0 and 1 in {wrong} row(s)")
    if repeated := len(ids) - ids.n_unique():
        raise InputError(
            f"{path}: {key} repeats in {repeated} row(s); expected one prediction each"
        )
    if unknown := int((~ids.is_in(known[key].implode())).sum()):
        raise InputError(
            f"{path}: {unknown} of {len(ids)} {key} are unknown to this hospital; predictions of "
            "another one, or --truth of another one?"
        )
    if not len(ids):
        raise InputError(f"{path}: no rows")
    return pl.DataFrame({key: ids, PROBABILITY: values})


def read_patients(path: str | Path, known: pl.DataFrame) -> set[int]:
    """The subject_id of a list."""
    rows = read_rows(path)
    if "subject_id" not in rows.columns:
        raise InputError(f"{path}: no column subject_id among {', '.join(rows.columns)}")
    patients = set(read_ids(rows, "subject_id", path))
    if unknown := len(patients - set(known["subject_id"])):
        raise InputError(f"{path}: {unknown} subject_id are unknown to this hospital")
    return patients


@dataclass(frozen=True)
class Case:
    """The judged predictions with all that the judge knows of their episodes.

    `model`, `oracle`: the same episodes; `risk`: P(death) as far as it can be known in time;
    `dies`; `baits`: name → (n,) values, 0 where the admission has none, and who has it; `hours`:
    length of the admission; `episodes`: how many the task has; `rows`: predictions given.
    """

    model: Sample
    oracle: Sample
    population: float | None
    risk: np.ndarray
    dies: np.ndarray
    hours: np.ndarray
    baits: pl.DataFrame
    known: pl.DataFrame
    rows: int


def read_case(predictions: str, truth: str, task: str, modalities: str) -> Case:
    """Reads the predictions and what the folder `truth` knows of them."""
    folder, key = Path(truth), KEYS[task]
    if not (folder / "baits.parquet").is_file():
        raise InputError(
            f"{truth}: no answers there; make them (make hospital OUT=…) or give --truth"
        )
    known = read_table(folder / f"outcomes_{task}.parquet")
    given = read_predictions(predictions, task, known)
    best = read_table(folder / f"oracle_{task}.parquet").select(key, best=modalities)
    baits = read_table(folder / "baits.parquet").filter(pl.col(key).is_not_null())
    death = "mortality_48h" if key == "stay_id" else "mortality"
    risk = read_table(folder / f"oracle_{death}.parquet").select(key, risk="ecn")
    known = known.join(best, on=key, how="left").with_columns(
        label=pl.when(pl.col("best").is_finite()).then("label")
    )
    judged = given.join(known.drop_nulls("label"), on=key).sort(key)
    judged = judged.join(risk, on=key, how="left").join(baits, on=key, how="left").sort(key)
    if judged["label"].n_unique() < 2:
        raise InputError(
            f"{predictions}: {judged.height} prediction(s) of episodes of {task}, of one "
            "class; an AUROC needs both"
        )
    ids, subjects, label = (judged[name].to_numpy() for name in (key, "subject_id", "label"))
    sample = Sample(ids, subjects, label, judged[PROBABILITY].to_numpy()[None])
    numbers = judged.with_columns(pl.col("risk", "hours").cast(pl.Float64))
    return Case(
        sample, sample.scored(judged["best"].to_numpy()[None]),
        read_json(folder / "ceilings.json").get(task, {}).get(modalities),
        numbers["risk"].to_numpy(), judged["dies"].to_numpy(), numbers["hours"].to_numpy(),
        judged.select(pl.exclude(*given.columns, *known.columns, "risk", "dies", "hours", *IDS)),
        known, given.height,
    )  # fmt: skip
