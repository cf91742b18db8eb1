"""Summary statistics of the EHR: HAIM's 11 per signal, for baselines without an encoder.

    python -m pipeline.ehr.statistics --episodes … --events … --hours 48 --output 48h.parquet

One row per episode, from events known before its horizon (`pipeline.ehr.events`), hours from clock
zero; at the prediction time the table of events ends, and nothing more is cut. Statistics as listed
by Soenksen et al. 2022 (HAIM), with rules where they leave a detail open:

* readings of one signal in one minute count once, with their mean;
* differences are between successive readings; variance is that of the population; the slope is that
  of least squares, per hour; a peak is higher than both its neighbours, so the ends are none;
* never read: all null; read once: what is undefined without a second reading (mean difference, mean
  and max absolute difference, slope) is null, the rest is 0.

Not inherited from HAIM: rows of zeros appended to every series, and procedures that nothing bounds
in time. An interval (line, procedure, infusion, ventilation) is two columns: the minutes in which
it ran until the horizon, and whether it ran then. A text that is a signal of its own (GCS
verbal of the intubated) has no number: one column says in how many minutes it was charted.
Demographics: age decade, rest one-hot.
"""

import math
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.ehr.events import EVENTS, at_horizon
from pipeline.ehr.signals import CLASSES, catalogue, vocabulary
from pipeline.ehr.tokens import demographics
from pipeline.stage.command import parser, run
from pipeline.stage.parts import read_parts
from pipeline.stage.privacy import tell
from pipeline.stage.tables import Contract, read_table, write_table

NAMES = ("max", "min", "mean", "variance", "mean_difference", "mean_absolute_difference",
         "max_absolute_difference", "sum_absolute_difference", "last_minus_first", "peaks",
         "slope")  # fmt: skip
BLOCKS = vocabulary().blocks
TEXTS = tuple(catalogue().drop_nulls("words")["signal"].unique(maintain_order=True))
READ = tuple(signal for signal, kind, *_ in BLOCKS if kind != "interval" and signal not in TEXTS)
RUN = tuple(signal for signal, kind, _, _ in BLOCKS if kind == "interval")
READING_COLUMNS = [f"{signal}_{name}" for signal in READ for name in NAMES]
TEXT_COLUMNS = [f"{signal}_charted" for signal in TEXTS]
INTERVAL_COLUMNS = [f"{signal}_{what}" for signal in RUN for what in ("minutes", "running")]
ONE_HOT = [f"{name}_{code}" for name in CLASSES if name != "age" for code in range(CLASSES[name])]
NO_EVENTS = pl.DataFrame(
    schema={name: EVENTS.columns[name] for name in EVENTS.columns if name != "kind"}
)
STATISTICS = Contract(
    {
        "episode_id": pl.Int64,
        **dict.fromkeys(
            [*READING_COLUMNS, *TEXT_COLUMNS, *INTERVAL_COLUMNS, "age_decade", *ONE_HOT], pl.Float32
        ),
    },
    key=("episode_id",),
    nullable=tuple(READING_COLUMNS),
    units={f"{signal}_slope": "unit of signals.csv per hour" for signal in READ}
    | {f"{signal}_minutes": "minutes until the horizon" for signal in RUN},
)


def summarise(begin: np.ndarray, hour: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The 11 statistics of many series: (S, 11) in the order of `NAMES`, NaN where undefined.

    `begin` (S,): where each series begins in `hour` and `value` (R,), which hold one series after
    the other, each in the order of time; none is empty.

    >>> summarise(np.array([0]), np.array([0.0, 1, 2]), np.array([5.0, 9, 7]))[0, [0, 4, 7, 9, 10]]
    array([9., 1., 6., 1., 1.])
    """
    count = np.diff(begin, append=len(value))  # (S,)
    series = np.repeat(np.arange(len(begin)), count)  # (R,)
    last = begin + count - 1
    rise = np.diff(value, prepend=np.nan)  # (R,)
    rise[begin] = 0  # no difference: nothing to a sum, nothing to a maximum of absolute values
    leaves = np.append(rise[1:], 0)  # the difference that follows, 0 after the last
    above = value - value[begin][series]  # exactly 0 in a constant series
    mean = np.add.reduceat(above, begin) / count
    apart = above - mean[series]
    since = hour - (np.add.reduceat(hour, begin) / count)[series]
    path, change = np.add.reduceat(np.abs(rise), begin), value[last] - value[begin]
    with np.errstate(divide="ignore", invalid="ignore"):  # read once: 0 / 0
        steps = np.where(count > 1, count - 1, np.nan)
        slope = np.add.reduceat(since * apart, begin) / np.add.reduceat(since**2, begin)
    columns = (
        np.maximum.reduceat(value, begin),
        np.minimum.reduceat(value, begin),
        value[begin] + mean,
        np.add.reduceat(apart**2, begin) / count,
        change / steps,
        path / steps,
        np.where(count > 1, np.maximum.reduceat(np.abs(rise), begin), np.nan),
        path,
        change,
        np.add.reduceat(((rise > 0) & (leaves < 0)).astype(float), begin),
        np.where(count > 1, slope, np.nan),
    )
    return np.stack(columns, axis=1)


def of_readings(events: pl.DataFrame, episodes: pl.DataFrame) -> pl.DataFrame:
    """`READING_COLUMNS` of `episodes`, in their order.

    Sorted by value, too: sums do not depend on the order of the events or the number of threads.
    """
    rows = episodes.select("episode_id").with_row_index("row")
    signals = pl.DataFrame({"signal": READ}).with_row_index("column")
    readings = events.join(signals, on="signal").join(rows, on="episode_id")
    readings = readings.select("row", "column", "minute", "value")
    readings = readings.sort("row", "column", "minute", "value")
    table = np.full((episodes.height, len(READ), len(NAMES)), np.nan, np.float32)
    if not readings.is_empty():
        row, column, minute, value = (readings[name].to_numpy() for name in readings.columns)
        series = row.astype(np.int64) * len(READ) + column
        at = np.flatnonzero(_differs(series) | _differs(minute))  # first reading of its minute
        value = np.add.reduceat(value, at) / np.diff(at, append=len(value))
        series, hour = series[at], minute[at] / 60
        begin = np.flatnonzero(_differs(series))
        table.reshape(-1, len(NAMES))[series[begin]] = summarise(begin, hour, value)
    flat = table.reshape(episodes.height, len(READING_COLUMNS))
    return pl.from_numpy(flat, READING_COLUMNS).fill_nan(None)


def _differs(key: np.ndarray) -> np.ndarray:
    """Where an element differs from the one before; the first does."""
    return np.append(True, key[1:] != key[:-1])


def of_texts(events: pl.DataFrame, episodes: pl.DataFrame) -> pl.DataFrame:
    """`TEXT_COLUMNS` of `episodes`, in their order: in how many minutes each text was charted.

    >>> episodes = pl.DataFrame({"episode_id": [7, 8]})
    >>> events = pl.DataFrame({"episode_id": 7, "signal": "gcs_verbal_intubated",
    ...                        "minute": [10, 10, 70]})
    >>> of_texts(events, episodes).rows()
    [(2.0,), (0.0,)]
    """
    minutes = events.filter(pl.col("signal").is_in(TEXTS)).group_by("episode_id").agg(
        pl.col("minute").filter(signal=signal).n_unique().alias(f"{signal}_charted")
        for signal in TEXTS
    )  # fmt: skip
    kept = episodes.select("episode_id").join(
        minutes, on="episode_id", how="left", maintain_order="left"
    )
    return kept.select(pl.col(TEXT_COLUMNS).fill_null(0).cast(pl.Float32))


def of_intervals(events: pl.DataFrame, episodes: pl.DataFrame, hours: float) -> pl.DataFrame:
    """`INTERVAL_COLUMNS` of `episodes`, in their order; two of a signal at once count once.

    >>> episodes = pl.DataFrame({"episode_id": [7]})
    >>> events = pl.DataFrame({"episode_id": 7, "signal": "eeg", "minute": [10, 20, 2870],
    ...                        "end_minute": [40, 50, None]})
    >>> of_intervals(events, episodes, 48).select("eeg_minutes", "eeg_running").row(0)
    (50.0, 1.0)
    """
    window = round(60 * hours)
    rows = episodes.select("episode_id").with_row_index("row")
    signals = pl.DataFrame({"signal": RUN}).with_row_index("column")
    ran = events.join(signals, on="signal").join(rows, on="episode_id").sort(
        "row", "column", "minute", "end_minute", nulls_last=True)  # fmt: skip
    key, until = ["row", "column"], pl.min_horizontal(pl.col("end_minute"), window)  # skips null
    covered = pl.col("until").cum_max().shift(1).over(key)
    new = (pl.col("until") - pl.max_horizontal("minute", covered)).clip(lower_bound=0)
    ended = pl.col("end_minute") < window
    running = (pl.col("minute") < window) & ~ended.fill_null(False)
    ran = ran.with_columns(until=until).with_columns(new=new, running=running)
    total = ran.group_by(key).agg(pl.col("new").sum(), pl.col("running").any())
    table = np.zeros((episodes.height, len(RUN), 2), np.float32)
    table[total["row"], total["column"]] = total.select("new", "running").to_numpy()
    return pl.from_numpy(table.reshape(episodes.height, 2 * len(RUN)), INTERVAL_COLUMNS)


def of_demographics(episodes: pl.DataFrame) -> pl.DataFrame:
    """Age decade and the other demographics one-hot, in the order of `episodes`."""
    codes = demographics(episodes)
    hot = [(pl.col(c) == k).alias(f"{c}_{k}") for c in CLASSES if c != "age"
           for k in range(CLASSES[c])]  # fmt: skip
    return codes.select(pl.col("age").alias("age_decade"), *hot).cast(pl.Float32)


def describe(events: pl.DataFrame, episodes: pl.DataFrame, hours: float) -> pl.DataFrame:
    """One row of statistics per episode of `episodes`, which may have no events (`STATISTICS`).

    `hours`: the horizon; that of the prediction time, where the table of events ends, or less.
    """
    window = (pl.col("prediction_time") - pl.col("clock_zero")).dt.total_minutes()
    ends_here = episodes.select((window <= 60 * hours).all()).item()
    known = at_horizon(events, math.inf if ends_here else hours)
    parts = (
        of_readings(known, episodes),
        of_texts(known, episodes),
        of_intervals(known, episodes, hours),
        of_demographics(episodes),
    )
    return pl.concat([episodes.select("episode_id"), *parts], how="horizontal")


def write_statistics(
    episodes: str | Path, events: str | Path, hours: float, output: str | Path
) -> int:
    """Describes a table of events part by part, writes a row per episode; returns their number."""
    left, described = read_table(episodes), []
    for part in read_parts(events, list(NO_EVENTS.columns)):
        here = left.join(part, on="episode_id", how="semi")
        described.append(describe(part, here, hours))
        left = left.join(here, on="episode_id", how="anti")
    described.append(describe(NO_EVENTS, left, hours))
    table = pl.concat(described)
    write_table(table, output, STATISTICS)
    return table.height


def main() -> None:
    """Parses the arguments, writes one row per episode."""
    command = parser(__doc__)
    for name in ("episodes", "events", "output"):
        command.add_argument(f"--{name}", required=True)
    command.add_argument("--hours", type=float, required=True, help="from clock zero")
    arguments = command.parse_args()
    rows = write_statistics(arguments.episodes, arguments.events, arguments.hours, arguments.output)
    tell(f"{len(STATISTICS.columns) - 1} columns of %s episodes", rows)


if __name__ == "__main__":
    run(main)
