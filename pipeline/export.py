"""Tables of a run as csv or npz: cohort, labels, predictions, embeddings.

    python -m pipeline.export cohort --csv --output cohort.csv
    python -m pipeline.export labels --task mortality --csv --output labels.csv
    python -m pipeline.export predictions --target ecn_early_mortality --csv --output out.csv
    python -m pipeline.export embeddings --task mortality --modality cxr --npz --output cxr.npz

Columns and rows are those of docs/files.md. A csv has a column for each number of an embedding; an
npz has an array per column: text as strings, empty where it is null; NaN or NaT for other nulls;
embeddings (rows, width). The file holds rows of patients: it is readable by its owner alone, and
stays where the source may stay.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.cohort.task import SEQUENCES, find
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.privacy import tell
from pipeline.stage.tables import read_table

NEEDED = {"cohort": (), "labels": ("task",), "predictions": ("target",),
          "embeddings": ("task", "modality")}  # options of what is exported  # fmt: skip


def path_of(asked: argparse.Namespace) -> Path:
    """Where the table lies; `InputError` where an option lacks, or is of no use."""
    for option in ("task", "target", "modality"):
        needed, value = option in NEEDED[asked.what], getattr(asked, option)
        if needed and not value:
            raise InputError(f"{asked.what}: add --{option}, see --help")
        if value and not needed:
            raise InputError(f"{asked.what}: --{option} {value} is of no use; leave it out")
    parts = (asked.target or "").split("_", 2)
    if asked.target and len(parts) != 3:
        raise InputError(f"--target {asked.target}: expected modalities_model_task, such as "
                         "ecn_early_mortality")  # fmt: skip
    unit = unit_of(asked.task or parts[-1], asked.protocol) if NEEDED[asked.what] else asked.unit
    folder = Path("results", asked.name or "", asked.protocol, unit)
    return {
        "cohort": folder / "episodes.parquet",
        "labels": folder / f"labels/{asked.task}.parquet",
        "predictions": folder / f"predictions/{asked.target}.parquet",
        "embeddings": folder / f"embeddings/{asked.task}/{asked.modality}.parquet",
    }[asked.what]


def unit_of(task: str, protocol: str) -> str:
    """The unit of a task, or of several by the name of their sequence.

    >>> unit_of("mortality", "corrected"), unit_of("shock_4h", "corrected/fold1")
    ('admission', 'stay')
    >>> unit_of("all", "corrected")
    'stay'
    """
    return SEQUENCES.get(task) or find(task, protocol.split("/")[0]).unit


def read(path: Path, name: str | None) -> pl.DataFrame:
    """The table; `InputError` that says how to make it, and what lies beside it."""
    if not path.is_file():
        there = sorted(one.name.split(".")[0] for one in path.parent.glob("[!.]*.parquet"))
        beside = f"; there are {', '.join(dict.fromkeys(there))}" if there else ""
        experiment = f"--config name={name} -- " if name else ""
        raise InputError(f"no file {path}{beside}. Make it with: "
                         f"snakemake --cores 8 {experiment}{path}")  # fmt: skip
    return read_table(path)


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """A csv; a column of vectors becomes a column for each of their numbers."""
    for name, dtype in table.schema.items():
        if isinstance(dtype, pl.Array):
            fields = [f"{name}_{place}" for place in range(dtype.shape[0])]
            table = table.with_columns(pl.col(name).arr.to_struct(fields)).unnest(name)
    table.write_csv(path)


def write_npz(table: pl.DataFrame, path: Path) -> None:
    """A compressed npz with an array per column, none of Python objects: no pickles."""
    arrays: dict[str, Any] = {one.name: array_of(one) for one in table}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def array_of(column: pl.Series) -> np.ndarray:
    """A column as an array without objects.

    >>> array_of(pl.Series(["a", None])).tolist(), array_of(pl.Series([True, None])).tolist()
    (['a', ''], [1.0, nan])
    """
    if column.dtype == pl.String:
        return column.fill_null("").to_numpy().astype(str)
    if column.dtype == pl.Boolean and column.null_count():
        column = column.cast(pl.Float64)
    return column.to_numpy()


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add = options.add_argument
    add("what", choices=list(NEEDED), help="the table")
    form = options.add_mutually_exclusive_group(required=True)
    form.add_argument("--csv", action="store_const", dest="write", const=write_csv, help="as csv")
    form.add_argument("--npz", action="store_const", dest="write", const=write_npz, help="as npz")
    add("--output", type=Path, required=True, help="the file to write")
    add("--task", help="of labels and embeddings: mortality, or of ICU stays shock_4h")
    add("--target", help="of predictions: ecn_early_mortality")
    add("--modality", help="of embeddings: ehr, cxr or note")
    add("--unit", choices=["admission", "stay"], default="admission", help="of the cohort")
    add("--protocol", default="corrected", help="corrected, published or corrected/fold1")
    add("--name", help="the experiment, where it has a name")
    return options.parse_args()


def main() -> None:
    """Reads a table and writes it."""
    asked = _arguments()
    path = path_of(asked)
    if asked.output.is_dir():
        raise InputError(f"--output {asked.output}: a folder; name a file in it")
    if asked.output.suffix == ".parquet" or asked.output.resolve() == path.resolve():
        raise InputError(f"--output {asked.output}: expected a name that ends in .csv or .npz")
    table = read(path, asked.name)
    write: Callable[[pl.DataFrame, Path], None] = asked.write
    with whole(asked.output) as part:
        write(table, part)
    tell("%s rows of %s", table.height, path)


if __name__ == "__main__":
    run(main)
