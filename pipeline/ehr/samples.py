"""Records at random, as large as MIMIC's: to measure what a step of training takes."""

import numpy as np

from pipeline.ehr.signals import BINS, classes, vocabulary
from pipeline.ehr.steps import NEVER, Steps
from pipeline.training.items import offsets
from pipeline.training.modality import Settings

# ASSUME 48 h of an ICU stay; a chart of the open demo has about as many
TIMES, TOKENS = 250, 5


def tokens(settings: Settings, count: int, random: np.random.Generator, times: int = TIMES
           ) -> Steps:  # fmt: skip
    """Tokens of `count` episodes, of `times` event times on average. Settings: signals."""
    spread = random.lognormal(-0.08, 0.4, count)  # mean 1
    sizes = np.clip(times * spread, 1, 4 * times).astype(np.int64)
    each = 1 + random.poisson(TOKENS - 1, sizes.sum())
    words = vocabulary(settings["signals"])
    codes = [random.integers(0, n, count) for n in classes(settings["signals"]).values()]
    return Steps(
        time_bin=np.concatenate([np.sort(random.integers(0, BINS, size)) for size in sizes]),
        token=random.integers(0, words.size, each.sum()).astype(np.int32),
        known=np.zeros(each.sum(), np.int32),
        until=np.full(each.sum(), NEVER, np.int32),
        step_start=offsets(each),
        episode_start=offsets(sizes),
        demographics=np.stack(codes, axis=1),
    )


SAMPLES = {"tokens": tokens}
