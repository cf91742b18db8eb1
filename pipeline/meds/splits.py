"""Writes the split of every patient of a source as MEDS: train, tuning or held_out.

    python -m pipeline.meds.splits --patients patients.parquet --split '{…}'
        --output results/meds/metadata/subject_splits.parquet

By the hash that splits the episodes; train and fusion, both of which models are fitted on, are
MEDS' train, val is its tuning, test its held_out. A split by era is one of a cohort's episodes, of
which MEDS' file of subjects knows nothing, and is refused.
"""

import polars as pl
from meds import SubjectSplitSchema, held_out_split, train_split, tuning_split

from pipeline.cohort.settings import Fold
from pipeline.cohort.split import split_of
from pipeline.meds.parquet import write_frame
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.settings import json_argument
from pipeline.stage.tables import read_table

SPLITS = {"train": train_split, "fusion": train_split, "val": tuning_split, "test": held_out_split}

REFUSED = ("split.by: era divides episodes of a cohort, and MEDS the patients of a source; "
           "set split.by: patient for MEDS' splits, or leave them out")  # fmt: skip


def main() -> None:
    """Reads the patients, writes their splits."""
    arguments = parser(__doc__)
    arguments.add_argument("--patients", required=True, help="of the source, parquet")
    parse_split = json_argument("split", Fold)
    arguments.add_argument("--split", type=parse_split, required=True, help="JSON: salt and shares")
    arguments.add_argument("--output", required=True)
    asked = arguments.parse_args()
    if asked.split.by == "era":
        raise InputError(REFUSED)
    subjects = read_table(asked.patients, ["subject_id"])["subject_id"].drop_nulls().unique()
    splits = [SPLITS[split_of(subject, asked.split)] for subject in subjects]
    table = pl.DataFrame({"subject_id": subjects, "split": splits})
    write_frame(table, asked.output, SubjectSplitSchema)
    tell("%s patients", table.height)


if __name__ == "__main__":
    run(main)
