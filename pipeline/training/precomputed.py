"""A user's own embeddings of films or reports: checked, and those of the cohort kept.

    python -m pipeline.training.precomputed --embeddings mine.parquet --items films.parquet
        --setting cxr.precomputed --output precomputed.parquet --counts precomputed.json

The table has a row per film (dicom_id) or report (note_id) and a column `embedding`: a list of
numbers, of one length. Rows that the cohort does not need are ignored. An item without an embedding
counts as missing; how many are is said on the screen.
"""

from pathlib import Path

import polars as pl

from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import shown, shown_part, tell, warn
from pipeline.stage.tables import Contract, read_table, write_table

KEYS = ("dicom_id", "note_id")
COLUMN = "embedding"
MOST = 16_384  # numbers of an embedding


def precomputed_contract(key: str, width: int) -> Contract:
    """The checked table: the key and `width` float32."""
    return Contract({key: pl.String, "vector": pl.Array(pl.Float32, width)}, key=(key,))


def read_embeddings(path: str | Path, key: str, setting: str) -> pl.DataFrame:
    """A user's table, checked: `key`, and vector as an array of float32.

    Raises `InputError` with one line that names the config's `setting`, the file and the column.
    """
    where = f"config.{setting}: {path}"
    table = read_table(path)
    for name in (key, COLUMN):
        if name not in table.columns:
            raise InputError(f"{where} has no column {name}; expected {key} (text) and {COLUMN} "
                             "(a list of numbers)")  # fmt: skip
    table = table.select(key, COLUMN)
    if table.schema[key] != pl.String:
        raise InputError(f"{where}: {key} is {table.schema[key]}, expected a text")
    if table[key].null_count() or (repeats := table.height - table[key].n_unique()):
        why = "is null" if table[key].null_count() else f"repeats in {shown(repeats)} rows"
        raise InputError(f"{where}: {key} {why}; expected one row each")
    return table.select(key, _vectors(table[COLUMN], where))


def _vectors(column: pl.Series, where: str) -> pl.Series:
    """The embeddings as an array of float32, all of one width and finite."""
    kind = column.dtype
    inner = kind.inner if isinstance(kind, pl.List | pl.Array) else None
    if not isinstance(inner, pl.DataType) or not inner.is_numeric():
        raise InputError(f"{where}: {COLUMN} is {kind}, expected a list of numbers")
    lists = column.cast(pl.List(pl.Float32))
    widths = lists.list.len().unique().to_list()
    if len(widths) != 1 or widths[0] is None or not 0 < widths[0] <= MOST:
        found = ", ".join("null" if width is None else str(width) for width in sorted(
            widths, key=lambda width: width or 0)[:5]) or "none"  # fmt: skip
        raise InputError(f"{where}: {COLUMN} holds lists of {found} numbers; expected one length, "
                         f"1 to {MOST}, in every row")  # fmt: skip
    numbers = lists.explode()
    bad = numbers.is_null() | ~numbers.is_finite()
    if count := int(bad.sum()):
        raise InputError(f"{where}: {COLUMN} holds {shown(count)} numbers that are null, NaN or "
                         "infinite; expected finite ones")  # fmt: skip
    return lists.cast(pl.Array(pl.Float32, widths[0])).alias("vector")


def main() -> None:
    """Checks the table, writes the embeddings of the cohort's items, and counts."""
    options = parser(__doc__)
    options.add_argument("--embeddings", required=True, help="the user's table")
    options.add_argument("--items", required=True, help="the cohort's films or reports")
    options.add_argument("--setting", required=True, help="key of the config, for messages")
    options.add_argument("--output", required=True)
    options.add_argument("--counts", required=True, help="JSON: needed and missing")
    arguments = options.parse_args()
    setting, cohort = arguments.setting, read_table(arguments.items)
    key = next(key for key in KEYS if key in cohort.columns)
    table = read_embeddings(arguments.embeddings, key, setting)
    needed = cohort.select(pl.col(key).unique()).sort(key)
    kept = table.join(needed, on=key, how="semi")
    missing = needed.height - kept.height
    items = "films" if key == "dicom_id" else "reports"
    if needed.height and not kept.height:
        raise InputError(f"config.{setting}: {arguments.embeddings} has none of the "
                         f"{shown(needed.height)} {items} that the cohort needs; expected their "
                         f"{key} as MIMIC writes it")  # fmt: skip
    width = kept["vector"].dtype.shape[0]  # type: ignore[attr-defined]
    write_table(kept, arguments.output, precomputed_contract(key, width))
    write_json(arguments.counts, {"needed": needed.height, "missing": missing, "width": width})
    tell(f"%s embeddings of {width} numbers", shown_part(kept.height, needed.height))
    if missing:
        warn(
            "%s: %s of %s %s have no embedding; they count as missing",
            arguments.embeddings,
            shown_part(missing, needed.height),
            needed.height,
            items,
        )


if __name__ == "__main__":
    run(main)
