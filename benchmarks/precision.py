"""What channels last and bfloat16 give films on a CPU: ResNet-18, trained and embedding.

    python benchmarks/precision.py --size full --folder /tmp/precision --output precision.json

One core, batches of 32 films; the ways in turn, on the same films and weights: float32 (as before,
and torch.precision fp32), float32 with channels last in memory, bfloat16 autocast, and that with
channels last (bf16). A step is forward, backward and optimiser; seconds are CPU seconds.
"""

import statistics
import sys
import time

import torch
from record import REPOSITORY, Record, arguments, spread

sys.path.insert(0, str(REPOSITORY))

from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.training.precision import half_precision, precision_of, use_precision
from pipeline.training.processes import make_repeatable

CPU = torch.device("cpu")
BATCH = 32
# edge in pixels → batches that are trained on, and embedded, per round; rounds
SIZES = {"small": ({64: (1, 1)}, 1), "full": ({64: (8, 24), 224: (1, 3)}, 5)}
WAYS = {  # words → precision, channels last
    "float32": ("fp32", False),
    "float32, channels last": ("fp32", True),
    "bfloat16": ("bf16", False),
    "bfloat16, channels last": ("bf16", True),
}


class Films:
    """ResNet-18 on random films of one size."""

    def __init__(self, pixels: int) -> None:
        make_repeatable(0, 1)
        self.network = FilmsNetwork(48.0)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-4, fused=True)
        self.film = torch.randint(0, 256, (BATCH, pixels, pixels), dtype=torch.uint8)
        self.form = torch.contiguous_format
        self.network.show.register_forward_hook(
            lambda layer, given, image: image.contiguous(memory_format=self.form)
        )

    def choose(self, precision: str, channels_last: bool) -> None:
        """One of the `WAYS`."""
        use_precision(precision)
        self.form = torch.channels_last if channels_last else torch.contiguous_format

    def train(self) -> None:
        """A step."""
        self.network.train()
        with half_precision(CPU):
            feature = self.network.features(self.film)
        self.optimiser.zero_grad(set_to_none=True)
        feature.square().mean().backward()
        self.optimiser.step()

    @torch.no_grad()
    def embed(self) -> None:
        """A pass in evaluation."""
        self.network.eval()
        with half_precision(CPU):
            self.network.features(self.film)

    def speed(self, what: str, batches: int) -> float:
        """Films per CPU second."""
        started = time.process_time()
        for _ in range(batches):
            getattr(self, what)()
        return batches * BATCH / (time.process_time() - started)


def main() -> None:
    """Every size, training and embedding, the ways in turn."""
    given = arguments(__doc__)
    sizes, rounds = SIZES[given.size]
    record = Record(f"Films on one core by precision, torch {torch.__version__}")
    use_precision("auto")
    native = precision_of(CPU) == "bf16"
    limits = []
    for pixels, counts in sizes.items():
        films = Films(pixels)
        for what, batches in zip(("train", "embed"), counts, strict=True):
            speeds: dict[str, list[float]] = {way: [] for way in WAYS}
            for way in WAYS.values():  # starts what starts once
                films.choose(*way)
                films.speed(what, 1)
            for _ in range(rounds):
                for name, way in WAYS.items():
                    films.choose(*way)
                    speeds[name].append(films.speed(what, batches))
            words = {"train": "training", "embed": "embedding"}[what]
            first, *others = WAYS
            for name in WAYS:
                record.add(f"{words}, {pixels} pixels: {name}", speeds[name], "films/s")
            gains = {
                name: [a / b for a, b in zip(speeds[name], speeds[first], strict=True)]
                for name in others
            }
            limits += [f"{words} at {pixels}, {name}: {spread(gain)} ×"
                       for name, gain in gains.items()]  # fmt: skip
            record.ask(f"bfloat16 is faster than float32 where it is native: {words}, {pixels}",
                       f"{spread(gains[others[-1]])} ×",
                       statistics.median(gains[others[-1]]) > 1 or not native)  # fmt: skip
    has = "has" if native else "has no"
    record.limit = f"The processor {has} native bfloat16. Against float32: {'; '.join(limits)}."
    record.write(given.output)


if __name__ == "__main__":
    main()
