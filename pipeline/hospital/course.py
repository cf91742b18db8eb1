"""How severity shows in vitals, labs and urine: four ways, one latent.

`x` is `shown_e`, what the EHR shows of its latent; `t` is the time since the admission (of later
ICU stays: since their start). A signal is, in units of its slope,

* level: `x · (¾ + ¼ · t / 48 h)`. It is high or low from admission on.
* drift: `u + x · t / 24 h` for one day, `u + x` from then on. The start `u` is standard normal, one
  for all signals of an admission, and tells nothing, so that the level at admission tells nothing.
* transient: `u + x · (1 − |t − 12 h| / 12 h)` for one day, `u` from then on: a crisis on the first
  day that has gone by the prediction time.
* variability: `u` of its own for each signal; what tells is the standard deviation of the readings
  around it, `jitter · exp(0.4 · x)`.

To each comes jitter. Within an admission the jitter of *vitals* (level: of labs, too) is made so
that the rows known by the prediction time give `x` back, up to rounding: under level, drift and
transient it is orthogonal to what least squares fit, under variability it has sample mean 0 and
sample standard deviation 1. What is known by an earlier hour tells `x` with an error: `read_by`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from scipy.special import digamma, polygamma

from pipeline.hospital.settings import HOUR, PREDICTION

Way = Literal["level", "drift", "variability", "transient"]
RISING = 24 * HOUR  # drift: minutes until all of the latent shows
PEAK = 12 * HOUR  # transient: when all of it shows; as long again until none does
SPREAD = 0.4  # variability: change of a signal's log standard deviation per unit of the latent
NOTHING = 1e3  # standard error of a latent of which nothing is known


def share_shown(way: Way, minute: np.ndarray) -> np.ndarray:
    """The share of the latent that a signal's mean shows at a minute.

    >>> share_shown("level", np.array([0, 2880])).tolist()
    [0.75, 1.0]
    >>> share_shown("drift", np.array([0, 720, 2880])).tolist()
    [0.0, 0.5, 1.0]
    >>> share_shown("transient", np.array([0, 720, 1080, 2880])).tolist()
    [0.0, 1.0, 0.5, 0.0]
    """
    if way == "level":
        return 0.75 + 0.25 * np.clip(minute / PREDICTION, 0, 1)
    if way == "transient":
        return np.clip(1 - np.abs(minute / PEAK - 1), 0, 1)
    return np.clip(minute / RISING, 0, 1) * (way == "drift")


@dataclass(frozen=True)
class Course:
    """How signals show the latent; `exact`: the rows known by 48 h give it back.

    `starts`: where each signal of each admission starts, in units of its slope, (N, signals).
    """

    way: Way
    starts: np.ndarray
    exact: bool = False

    def of(self, some: pl.Series) -> "Course":
        """The course of some of the signals (bool)."""
        return replace(self, starts=self.starts[:, some.to_numpy()])


def draw_course(
    rng: np.random.Generator, way: Way, admissions: pl.DataFrame, signals: int, exact: bool = False
) -> Course:
    """The course of so many signals; `admissions` hold `start_e`, their start.

    It is common to the signals under drift and transient, and none under level.
    """
    size = admissions.height, signals
    if way == "variability":
        return Course(way, rng.spawn(1)[0].standard_normal(size), exact)  # leaves `rng` as it was
    level = way == "level"
    common = np.zeros(admissions.height) if level else admissions["start_e"].to_numpy()
    return Course(way, np.broadcast_to(common[:, None], size), exact or level)


@dataclass(frozen=True)
class Rows:
    """Times of readings: the row of the admission, the minute, and whether it is known by 48 h."""

    row: np.ndarray
    minute: np.ndarray
    known: np.ndarray


def draw_values(
    rng: np.random.Generator,
    course: Course,
    signals: pl.DataFrame,
    shown: np.ndarray,
    rows: Rows,
) -> np.ndarray:
    """Values (rows, signals) of signals with mean, slope, jitter; `shown` is x of each admission.

    Signals of slope 0 show nothing of x.
    """
    mean, slope, jitter = (signals[c].cast(float).to_numpy() for c in ("mean", "slope", "jitter"))
    row, g, tells = rows.row, share_shown(course.way, rows.minute), slope != 0
    noise = rng.standard_normal((len(row), len(mean))) * jitter
    if course.exact:
        noise = np.where(tells, _exact(course.way, noise, jitter, g, rows, len(shown)), noise)
    if course.way == "variability":
        noise *= np.where(tells, np.exp(SPREAD * shown)[row][:, None], 1.0)
    place = (shown[row] * g)[:, None] + course.starts[row]
    return mean + slope * place + noise


def _exact(
    way: Way, noise: np.ndarray, jitter: np.ndarray, g: np.ndarray, rows: Rows, size: int
) -> np.ndarray:
    """Noise that hides nothing of the latent from who knows the rows known by 48 h."""
    if way == "level":
        return noise - _along(noise, g, rows, size)
    noise = noise - _mean(noise, rows, size)
    if way == "variability":
        return _rescaled(noise, jitter, rows, size)
    turned = (g - _mean(g[:, None], rows, size)[:, 0]) * rows.known
    return noise - _along(noise, turned, rows, size)


def _sums(values: np.ndarray, rows: Rows, size: int) -> np.ndarray:
    """Sums over the known rows of each admission, (rows, signals) → (size, signals)."""
    known = values * rows.known[:, None]
    return np.stack([np.bincount(rows.row, column, size) for column in known.T], axis=1)


def _mean(values: np.ndarray, rows: Rows, size: int) -> np.ndarray:
    count = np.maximum(np.bincount(rows.row, rows.known, size), 1)
    return (_sums(values, rows, size) / count[:, None])[rows.row]


def _along(noise: np.ndarray, g: np.ndarray, rows: Rows, size: int) -> np.ndarray:
    """The part of the noise along g over the known rows of each admission."""
    norm = np.bincount(rows.row, g * g * rows.known, size)
    share = _sums(noise * g[:, None], rows, size) / np.maximum(norm, 1e-9)[:, None]
    return g[:, None] * share[rows.row]


def _rescaled(noise: np.ndarray, jitter: np.ndarray, rows: Rows, size: int) -> np.ndarray:
    """Noise of mean 0 with the standard deviation `jitter` over three known rows or more."""
    count = np.bincount(rows.row, rows.known, size)
    squares = _sums(noise**2, rows, size)
    scale = jitter * np.sqrt(np.maximum(count - 1, 1)[:, None] / np.maximum(squares, 1e-9))
    return noise * np.where(count >= 3, scale.T, 1.0).T[rows.row]


def read_by(
    way: Way, readings: pl.DataFrame, signals: pl.DataFrame, until: pl.Series
) -> pl.DataFrame:
    """What a perfect reader makes of `shown_e` from the rows known before the minute `until`.

    `readings`: row, itemid, minute, stored, valuenum, of any way but level; `until`: a minute of
    each admission. Returns, per admission, the estimate `read_e` and its standard error `error_e`.

    drift, transient: least squares given normal jitter, over the start `u`. variability: the
    logarithm of the pooled variance around each signal's mean, whose mean and variance are known;
    its error is taken for normal. ASSUME jitter is independent from row to row. It is not quite,
    since the known rows of 48 h give x back exactly; of few of them this takes away little.
    """
    tells = signals.filter(pl.col("slope").cast(float) != 0).select(
        "itemid",
        pl.col("mean", "slope", "jitter").cast(float),
        step=pl.lit(0.1) ** pl.col("decimals").cast(float),
    )
    limit = pl.DataFrame({"until": until}).with_row_index("row").cast({"row": pl.Int64})
    rows = readings.drop_nulls("valuenum").join(limit, on="row").join(tells, on="itemid")
    rows = rows.filter(pl.col("stored") < pl.col("until"))
    read = _read_variability(rows) if way == "variability" else _read_mean(way, rows)
    whole = limit.join(read, on="row", how="left", maintain_order="left")
    return whole.select(pl.col("read_e").fill_null(0.0), pl.col("error_e").fill_null(NOTHING))


def _read_mean(way: Way, rows: pl.DataFrame) -> pl.DataFrame:
    """Least squares on the share shown, with the start as an intercept of known prior."""
    g = pl.Series("g", share_shown(way, rows["minute"].to_numpy()))
    weight = pl.col("slope") ** 2 / (pl.col("jitter") ** 2 + pl.col("step") ** 2 / 12)
    rows = rows.with_columns(g, weight.alias("w"), y=_in_slopes())
    w, wg = pl.col("w"), pl.col("w") * pl.col("g")
    sums = rows.group_by("row").agg(
        w.sum(), wg=wg.sum(), wgg=(wg * pl.col("g")).sum(), wy=(w * pl.col("y")).sum(),
        wgy=(wg * pl.col("y")).sum(),
    )  # fmt: skip
    share = pl.col("wg") / (pl.col("w") + 1)  # the start has variance 1
    precision = pl.max_horizontal(pl.col("wgg") - share * pl.col("wg"), NOTHING**-2)
    read = (pl.col("wgy") - share * pl.col("wy")) / precision
    return sums.select("row", read_e=read, error_e=1 / precision.sqrt())


def _in_slopes() -> pl.Expr:
    return (pl.col("valuenum") - pl.col("mean")) / pl.col("slope")


def _read_variability(rows: pl.DataFrame) -> pl.DataFrame:
    """The pooled variance of the signals around their means, in units of their jitter."""
    free = pl.len() - 1
    squares = pl.col("valuenum").var() * free - free * pl.col("step").first() ** 2 / 12
    one = rows.group_by("row", "itemid").agg(
        free.alias("free"), squares / pl.col("jitter").first() ** 2
    )
    sums = one.filter(pl.col("free") > 0).group_by("row").agg(pl.col("free", "valuenum").sum())
    half = sums["free"].to_numpy() / 2
    ratio = np.maximum(sums["valuenum"].to_numpy() / (2 * half), 1e-3)
    read = (np.log(ratio) - digamma(half) + np.log(half)) / (2 * SPREAD)
    error = np.sqrt(polygamma(1, half)) / (2 * SPREAD)
    return sums.select("row", pl.Series("read_e", read), pl.Series("error_e", error))
