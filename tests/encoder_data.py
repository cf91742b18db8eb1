"""Made-up data of every encoder, with the hours from which each item is known; no file is read."""

import numpy as np
from torch import nn

from pipeline.cxr.film_data import Films
from pipeline.ehr.encoder_fiddle import Features
from pipeline.ehr.grid import READ, RUN, Flat, Grid
from pipeline.ehr.signals import BINS, CLASSES, Vocabulary
from pipeline.ehr.steps import NEVER, Steps
from pipeline.note.reports import Reports, Vectors

WORDS = Vocabulary(
    (
        ("heart_rate", "chart", BINS, True),
        ("gcs_eye", "chart", 4, False),
        ("spo2", "chart", BINS, True),
        ("lactate", "lab", BINS, True),
        ("sodium", "lab", BINS, True),
        ("eeg", "interval", 1, False),
        ("crrt", "interval", 1, False),
    )
)


def starts(count):
    return np.concatenate([[0], np.cumsum(count)]).astype(int)


def flat(hours):
    return np.array([hour for times in hours for hour in times], np.float32)


def films(hours, seed=0, pixels=32):
    """Episodes with films at these hours, a list per episode."""
    count = [len(times) for times in hours]
    images = np.random.default_rng(seed).integers(0, 256, (sum(count), pixels, pixels), np.uint8)
    chunk, row = np.zeros(sum(count), int), np.arange(sum(count))
    return Films(flat(hours), starts(count), [images], chunk, row, (pixels, pixels))


def reports(hours, size=512, seed=0):
    """Episodes with reports known at these hours, a list per episode, each in order."""
    count, random = [len(times) for times in hours], np.random.default_rng(seed)
    vector = random.normal(2, 3, (sum(count), size)).astype(np.float32)
    which = random.permutation(sum(count))
    return Reports(flat(hours), starts(count), Vectors(vector), which)


def steps(steps_of_each, seed=0):
    """Episodes of so many steps, each of some tokens; 0 stands for an episode without events.

    Tokens become known at random minutes of 48 hours.
    """
    random = np.random.default_rng(seed)
    lengths = np.maximum(steps_of_each, 1)
    tokens = np.concatenate(
        [random.integers(1, 6, n) if n else np.zeros(1, int) for n in steps_of_each]
    )
    bins = random.integers(0, BINS, lengths.sum())
    return Steps(
        time_bin=np.where(tokens > 0, bins, 0),
        token=random.integers(0, WORDS.size, tokens.sum()),
        step_start=starts(tokens),
        episode_start=starts(lengths),
        demographics=np.stack([random.integers(0, n, len(lengths)) for n in CLASSES.values()], 1),
        known=random.integers(-60, 48 * 60, tokens.sum()),
        until=np.full(tokens.sum(), NEVER),
    )


def features(random, episodes, bins=48, sizes=(5, 11)):
    """FIDDLE's features of every episode, some in most bins."""
    few = random.integers(0, 4, episodes)
    many = random.integers(0, 5, episodes * bins)
    return Features(
        random.integers(0, sizes[0], few.sum()), starts(few),
        random.integers(0, sizes[1], many.sum()), starts(many),
        (many.reshape(episodes, bins) > 0).argmax(1), bins, sizes,
    )  # fmt: skip


def rows_of(random, episodes, signals, most=60):
    """Rows of episodes; those of one have minutes in order, some are known later, some are void."""
    count = random.integers(0, most, episodes)
    size = count.sum()
    owner, signal = np.repeat(np.arange(episodes), count), random.integers(0, signals, size)
    minute = random.integers(-1440, 2800, size)
    order = np.lexsort((minute, signal, owner))
    signal, minute = signal[order], minute[order]
    known = minute + random.integers(0, 400, size) * (random.random(size) < 0.3)
    known = np.minimum(known, 48 * 60 - 1)
    end = minute + random.integers(0, 600, size)
    until = np.where(random.random(size) < 0.1, np.maximum(end, known), NEVER)
    columns = (signal, minute, end, known, until, random.normal(50, 20, size).astype(np.float32))
    return Flat(*columns, starts(count))


def grid(episodes, seed=0):
    """Readings and intervals of so many episodes."""
    random = np.random.default_rng(seed)
    codes = [random.integers(0, n, episodes) for n in CLASSES.values()]
    readings, intervals = rows_of(random, episodes, len(READ)), rows_of(random, episodes, len(RUN))
    return Grid(readings, intervals, np.stack(codes, 1))


class ToyNetwork(nn.Module):
    """`size` numbers of an episode → one token of the width that heads take."""

    widths = {"t": 512}  # noqa: RUF012

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, batch, horizons):
        feature = self.net(batch["value"])[:, None].expand(-1, len(horizons), -1)
        return {"t": (feature, feature.new_ones(feature.shape[:2]).bool())}
