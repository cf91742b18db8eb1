"""Counts a task's labels by ACES: python count.py task.yaml <folder of MEDS data> labels.parquet.

It runs in an environment of its own (tests/test_meds_peers.py). The task is read anew for every
file: ACES 0.7.3 changes it while it counts, and the files after the first come out wrong.
"""

import sys
from pathlib import Path

import polars as pl
from aces import predicates, query
from aces.config import TaskExtractorConfig
from omegaconf import DictConfig


def counted(task, path):
    """The labels of one file."""
    config = TaskExtractorConfig.load(task)
    data = DictConfig({"path": str(path), "standard": "meds", "ts_format": None})
    rows = query.query(config, predicates.get_predicates_df(config, data))
    return rows.select("subject_id", "index_timestamp", pl.col("label").cast(pl.Int64))


if __name__ == "__main__":
    task, folder, output = sys.argv[1:]
    files = [file for file in sorted(Path(folder).glob("*.parquet"))
             if pl.scan_parquet(file).select(pl.len()).collect().item()]  # fmt: skip
    pl.concat(counted(task, file) for file in files).write_parquet(output)
