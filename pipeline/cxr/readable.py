"""Checks that enough of the films that a cohort needs can be read, over all shards.

    python -m pipeline.cxr.readable --films films.parquet --decoded decoded/p10.parquet …
        --root …/mimic-cxr-jpg/2.1.0 --limit 0.01 --output readable.json

A film that cannot be read is a missing film, and the results of a copy that lacks many are results
of other patients: where more than `--limit` (a share of the films, each counted once) cannot be
read, the run stops. Else the screen and every result give their number. `unreadable.txt` beside the
output lists them, with what is wrong with each.
"""

from pathlib import Path

import polars as pl

from pipeline.cxr.decode import in_words
from pipeline.cxr.film_files import flat_folder, path_of
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole, write_json
from pipeline.stage.privacy import shown, tell, warn
from pipeline.stage.tables import read_table

NOWHERE = "of patients in none of the folders p10 … p19"


def faults(films: pl.DataFrame, decoded: pl.DataFrame) -> pl.DataFrame:
    """Each film of the cohort once, with what is wrong with it (dicom_id, fault; null: nothing).

    >>> films = pl.DataFrame({"dicom_id": ["a", "a", "b", "c"]})
    >>> decoded = pl.DataFrame({"dicom_id": ["a", "b"], "fault": [None, "absent"]})
    >>> faults(films, decoded)["fault"].to_list()
    [None, 'absent', 'of patients in none of the folders p10 … p19']
    """
    needed = films.unique("dicom_id").sort("dicom_id")
    looked_for = decoded.select("dicom_id", "fault", looked_for=True)
    table = needed.join(looked_for, on="dicom_id", how="left", maintain_order="left")
    nowhere = pl.when(pl.col("looked_for").is_null()).then(pl.lit(NOWHERE))
    return table.with_columns(pl.coalesce("fault", nowhere).alias("fault")).drop("looked_for")


def write_list(table: pl.DataFrame, root: Path, path: Path) -> None:
    """Writes a line per film that cannot be read: what is wrong, its path; no file if none is."""
    bad = table.drop_nulls("fault")
    path.unlink(missing_ok=True)
    if bad.height:
        path_of_film = path_of(root, flat_folder(root))
        lines = bad.select(pl.concat_str("fault", path_of_film, separator="\t"))
        with whole(path) as part:
            part.write_text("\n".join(lines.to_series()) + "\n")


def check(table: pl.DataFrame, limit: float, root: Path, where: Path) -> None:
    """Warns of films that cannot be read; `InputError` where they are more than `limit` of all.

    `where`: the file that lists them.
    """
    bad = table.height - table["fault"].null_count()
    if not bad:
        return
    line = f"{root}/files: of {shown(table.height)} films that the cohort needs {in_words(table)}"
    if bad <= limit * table.height:
        warn("%s; they count as missing (%s lists them)", line, where)
        return
    raise InputError(
        f"{line}; at most {limit:.1%} may be unreadable (config: cxr.unreadable). Copy the films "
        f"listed in {where} again (make verify compares a copy with its checksums), then run the "
        "same command with '--forcerun decode_films --' before its targets"
    )


def main() -> None:
    """Counts the films that cannot be read, warns or stops, writes the counts."""
    options = parser(__doc__)
    options.add_argument("--films", required=True, help="the films of a cohort's episodes")
    options.add_argument("--decoded", nargs="+", required=True, help="tables of the shards")
    options.add_argument("--root", required=True, type=Path, help="folder of MIMIC-CXR-JPG")
    options.add_argument("--limit", required=True, type=float, help="share of the films")
    options.add_argument("--output", required=True, help="JSON: needed, unreadable")
    arguments = options.parse_args()
    decoded = pl.concat(read_table(path, ["dicom_id", "fault"]) for path in arguments.decoded)
    films = read_table(arguments.films, ["dicom_id", "subject_id", "study_id"])
    table, where = faults(films, decoded), Path(arguments.output).with_name("unreadable.txt")
    write_list(table, arguments.root, where)
    check(table, arguments.limit, arguments.root, where)
    needed, readable = table.height, table["fault"].null_count()
    write_json(arguments.output, {"needed": needed, "unreadable": needed - readable})
    tell("%s films, %s", needed, in_words(table))


if __name__ == "__main__":
    run(main)
