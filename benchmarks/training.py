"""Training speed of each encoder on a CPU, against the published definition read literally.

    python benchmarks/training.py --size full --folder /tmp/training --output training.json

A step is forward, backward and optimiser on a batch of 32 admissions, one thread. The literal
reading is `published_encoder.py`: admission by admission, token by token. Both compute the same
features from the same weights: that is checked first. Seconds are CPU seconds; of the pipeline they
include making the batch.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from record import REPOSITORY, Record, arguments, spread
from torch import nn
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(REPOSITORY))

import mimic_like
import published_encoder

from pipeline.training.examples import batch_loss
from pipeline.training.features import Unimodal
from pipeline.training.loop import optimiser_of
from pipeline.training.modality import ModalityData, feature_of
from pipeline.training.processes import make_repeatable

BATCH = 32
# pixels, rounds, admissions read literally per round
SIZES = {
    "small": (64, 1, {"ehr": 4, "cxr": 4, "note": 16}),
    "full": (224, 3, {"ehr": 16, "cxr": 8, "note": 32}),
}
PUBLISHED = {
    "ehr": published_encoder.PublishedEhr,
    "cxr": published_encoder.PublishedCxr,
    "note": published_encoder.PublishedNote,
}
WORDS = {"ehr": "EHR", "cxr": "films", "note": "notes"}


class Compared:
    """An encoder with its head, and its literal reading with the same weights."""

    def __init__(self, name: str, data: ModalityData) -> None:
        everyone = np.arange(len(data.present()))
        feature = feature_of(name, mimic_like.settings()[name], data, everyone)
        self.data, self.model = data, Unimodal(feature)
        self.literal = PUBLISHED[name](feature.network)
        self.schedule = mimic_like.schedule(BATCH)
        self.optimiser = optimiser_of(self.schedule, self.model)

    def batched(self, rows: np.ndarray) -> torch.Tensor:
        """Features as the pipeline computes them."""
        return self.model.feature(self.data.batch(rows))

    def one_by_one(self, rows: np.ndarray) -> torch.Tensor:
        """Features as the definition is read."""
        return self.literal(self.data, rows)

    @torch.no_grad()
    def difference(self, rows: np.ndarray) -> float:
        """The largest difference of the two features; an error where it is no rounding."""
        self.model.eval()
        one, other = self.batched(rows), self.one_by_one(rows)
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
        self.model.train()
        return float((one - other).abs().max())

    def speed(self, feature: Callable[[np.ndarray], torch.Tensor], rows: np.ndarray) -> float:
        """Samples per CPU second of a step: forward, backward, optimiser."""
        started = time.process_time()
        logits = self.model.head(feature(rows))
        loss = batch_loss(logits, torch.arange(len(rows)) % 2, torch.ones(2), len(rows))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.schedule.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip)
        self.optimiser.step()
        return len(rows) / (time.process_time() - started)

    def largest(self, rows: np.ndarray) -> str:
        """The largest operations of a step and their share of it, in words."""
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            self.speed(self.batched, rows)
        parts = sorted(seen.key_averages(), key=lambda part: -part.self_cpu_time_total)
        total = sum(part.self_cpu_time_total for part in parts)
        return ", ".join(
            f"{part.key.removeprefix('aten::')} {part.self_cpu_time_total / total:.0%}"
            for part in parts[:3]
        )


def main() -> None:
    """Every encoder: the two in turn."""
    given = arguments(__doc__)
    pixels, rounds, literally = SIZES[given.size]
    make_repeatable(0, 1)
    each = mimic_like.everything(2 * BATCH, given.folder, pixels)
    record = Record(f"Training on one core, batches of {BATCH}, torch {torch.__version__}")
    limits = []
    for name, data in each.items():
        compared = Compared(name, data)
        off = compared.difference(np.arange(4))
        for feature in (compared.batched, compared.one_by_one):
            compared.speed(feature, np.arange(2))  # starts what starts once
        few = literally[name]
        ours, theirs = [], []
        for number in range(rounds):
            random = np.random.default_rng(number)
            rows = random.permutation(2 * BATCH)[:BATCH]
            theirs.append(compared.speed(compared.one_by_one, rows[:few]))
            ours.append(compared.speed(compared.batched, rows))
        words = WORDS[name]
        record.add(f"{words}: the pipeline", ours, "samples/s", note=mimic_like.described(data))
        literal = f"{words}: the published definition, admission by admission, token by token"
        record.add(literal, theirs, "samples/s", note=f"features differ by at most {off:.1e}")
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        if name == "ehr":
            record.ask("EHR encoder ≥ 10 × the published definition", f"{spread(ratios, 1)} ×",
                       statistics.median(ratios) >= 10)  # fmt: skip
        limits.append(f"{words} {compared.largest(np.arange(BATCH))} ({spread(ratios, 1)} ×)")
    record.limit = "Largest operations of a step (and times the definition): " + "; ".join(limits)
    record.write(given.output)


if __name__ == "__main__":
    main()
