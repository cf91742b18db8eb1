"""Writes the split of every patient of a source as MEDS: train, tuning or held_out.

    python -m pipeline.meds.splits --patients patients.parquet --split '{…}'
        --output results/meds/metadata/subject_splits.parquet

By the hash that splits the episodes; train and fusion, both of which models are fitted on, are
MEDS' train, val is its tuning, test its held_out.
"""

import polars as pl
from meds import SubjectSplitSchema, held_out_split, train_split, tuning_split

from pipeline.cohort.settings import Fold
from pipeline.cohort.split import create_macro
from pipeline.meds.parquet import write_frame
from pipeline.stage.command import parser, run
from pipeline.stage.database import add_resource_arguments, connect
from pipeline.stage.privacy import tell
from pipeline.stage.settings import json_argument

SPLITS = {"train": train_split, "fusion": train_split, "val": tuning_split, "test": held_out_split}


def main() -> None:
    """Reads the patients, writes their splits."""
    arguments = parser(__doc__)
    arguments.add_argument("--patients", required=True, help="of the source, parquet")
    parse_split = json_argument("split", Fold)
    arguments.add_argument("--split", type=parse_split, required=True, help="JSON: salt and shares")
    arguments.add_argument("--output", required=True)
    add_resource_arguments(arguments)
    asked = arguments.parse_args()
    with connect(asked.threads, asked.memory_mb, asked.temp) as database:
        create_macro(database, asked.split)
        rows = database.sql(
            "SELECT DISTINCT subject_id, split_of(subject_id) AS split "
            f"FROM '{asked.patients}' WHERE subject_id IS NOT NULL"
        ).pl()
    table = rows.with_columns(pl.col("split").replace_strict(SPLITS))
    write_frame(table, asked.output, SubjectSplitSchema)
    tell("%s patients", table.height)


if __name__ == "__main__":
    run(main)
