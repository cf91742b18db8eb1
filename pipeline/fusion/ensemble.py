"""The mean of the seeds' probabilities of a fused model: one prediction per episode.

    python -m pipeline.fusion.ensemble --predictions ecn_early_mortality.parquet
        --missing … --output predictions.parquet --absent absent.parquet

Nothing is trained here. In place of a seed the tables have `ALL_SEEDS`. Intervals of an ensemble
hold the patients alone; how it would differ with other seeds is not seen.
"""

from pathlib import Path

import polars as pl

from pipeline.cohort.definitions import VERSION
from pipeline.cohort.rows import ABSENT, ALL_SEEDS, PREDICTIONS
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell
from pipeline.stage.tables import (
    Contract,
    one_version,
    read_table,
    version_of_tables,
    write_table,
)


def mean_of_seeds(table: pl.DataFrame, contract: Contract, path: str) -> pl.DataFrame:
    """A table of probabilities by seed with the mean over its seeds; `path` is for messages.

    Raises `InputError` where there are fewer than two.

    >>> table = pl.DataFrame({"episode_id": [7, 7], "seed": [0, 1], "modality": ["e", "e"],
    ...                       "rate": [0.5, 0.5], "probability": [0.2, 0.4]})
    >>> mean_of_seeds(table, ABSENT, "absent.parquet").rows()
    [(7, -1, 'e', 0.5, 0.3)]
    """
    seeds = table["seed"].n_unique()
    if seeds < 2:
        raise InputError(f"{path}: predictions of {seeds} training seed(s), an ensemble is the "
                         "mean of two or more: name them in config.seeds")  # fmt: skip
    columns = list(contract.columns)
    keys = [name for name in columns if name not in ("seed", "probability")]
    mean = table.sort(*keys, "seed").group_by(keys, maintain_order=True).agg(
        pl.col("probability").mean().round(7)
    )  # fmt: skip
    return mean.with_columns(seed=pl.lit(ALL_SEEDS, pl.Int64)).select(columns)


def main() -> None:
    """Averages predictions, and those with a modality missing, over the seeds."""
    options = parser(__doc__)
    options.add_argument("--predictions", required=True, help="of the fused model, by seed")
    options.add_argument("--missing", required=True, help="of the same with a modality missing")
    options.add_argument("--output", required=True, help="predictions")
    options.add_argument("--absent", required=True, help="those with a modality missing")
    arguments = options.parse_args()
    read, written = [arguments.predictions], arguments.output
    one_version({written: VERSION, read[0]: version_of_tables(read)}, "ensemble")
    for path, output, contract in (
        (arguments.missing, arguments.absent, ABSENT),
        (arguments.predictions, arguments.output, PREDICTIONS),
    ):
        table = mean_of_seeds(read_table(path), contract, path)
        write_table(table, output, contract)
    tell("%s: %s predictions, each a mean of seeds", Path(written).stem, table.height)


if __name__ == "__main__":
    run(main)
