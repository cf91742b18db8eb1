"""Whether a GPU waits for data in training: a pass with the loader, and with batches on the device.

    python benchmarks/gpu.py --size full --device cuda --folder /tmp/gpu --output gpu.json

Every encoder and the joint model, batches of 32 and 256, in bfloat16 where the device has it. The
two passes are the stage's own (`pipeline.training.loop`), in turn, over the same batches; the
second is handed each batch where the model computes. What the first takes longer is what the device
waits for data.
`--device cpu` is a rehearsal.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from unittest.mock import patch

import numpy as np
import torch
from record import REPOSITORY, Record, parser, spread
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(REPOSITORY))

import mimic_like

from pipeline.fusion.heads import HEADS
from pipeline.fusion.joint import Encoders, JointData, JointExamples, JointModel
from pipeline.training import loop
from pipeline.training.batches import Batch, Data, ahead
from pipeline.training.examples import Examples
from pipeline.training.features import Unimodal
from pipeline.training.modality import Feature, ModalityData, feature_of
from pipeline.training.processes import make_repeatable, pick_device

# admissions, pixels, event times, sizes of a batch, seconds of a pass, passes of each kind
SIZES = {"small": (128, 64, 20, (32,), 0.3, 2), "full": (4096, 224, 250, (32, 256), 1.2, 3)}
MOST_STEPS = 40  # their batches lie ready in the device's memory


def models(each: dict[str, ModalityData]) -> dict[str, tuple[Data, Callable[[], nn.Module]]]:
    """Every encoder with its head, and the joint model: name → data, a fresh model."""
    given = mimic_like.settings()
    everyone = np.arange(len(each["ehr"].present()))

    def encoder(name: str) -> Feature:
        return feature_of(name, given[name], each[name], everyone)

    def joint() -> nn.Module:
        encoders = Encoders({name: encoder(name) for name in each})
        return JointModel(encoders, HEADS["joint"](len(each), told=True), 0.1)

    found: dict[str, tuple[Data, Callable[[], nn.Module]]] = {
        name: (data, lambda name=name: Unimodal(encoder(name))) for name, data in each.items()
    }
    here = np.stack([data.present() for data in each.values()], axis=1)
    return found | {"joint": (JointData(each, here), joint)}


class Trained:
    """A model in training on a device, in batches of one size."""

    def __init__(self, data: Data, model: nn.Module, size: int, count: int,
                 device: torch.device) -> None:  # fmt: skip
        self.random, self.size, self.count, self.device = (
            np.random.default_rng(0), size, count, device
        )  # fmt: skip
        kind = JointExamples if isinstance(data, JointData) else Examples
        self.examples = kind(data, self.random.integers(0, 2, count), np.arange(count),
                             np.arange(0))  # fmt: skip
        self.model, self.schedule = model.to(device), mimic_like.schedule(size)
        self.optimiser = loop.optimiser_of(self.schedule, model)

    def parts(self, steps: int) -> list[np.ndarray]:
        """The rows of `steps` batches."""
        return [self.random.choice(self.count, self.size, replace=False) for _ in range(steps)]

    def seconds(self, parts: list[np.ndarray], loader: Callable[..., Iterator[Batch]]) -> float:
        """What a pass of the training loop takes with this loader."""
        self._wait()
        started = time.perf_counter()
        with patch.object(loop, "ahead", loader):
            loop.train_steps(self.model, self.examples, parts, self.schedule,
                             [self.schedule.learning_rate] * len(parts), self.optimiser,
                             self.device)  # fmt: skip
        self._wait()
        return time.perf_counter() - started

    def busy(self, parts: list[np.ndarray]) -> float:
        """The share of a pass in which the GPU computes; 1 on a CPU, that does all itself."""
        if self.device.type != "cuda":
            return 1.0
        ready = list(ahead(self.examples.data, parts, self.device))
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            wall = self.seconds(parts, lambda *_: iter(ready))
        kernels = [e for e in seen.key_averages() if e.device_type == DeviceType.CUDA]
        return sum(e.self_device_time_total for e in kernels) / 1e6 / wall

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def passes(trained: Trained, seconds: float, count: int) -> dict[str, list[float]]:
    """`count` passes of about `seconds`: samples per second, shares of time waited and busy."""
    trained.seconds(trained.parts(3), ahead)  # starts what starts once
    each = trained.seconds(trained.parts(2), ahead) / 2
    parts = trained.parts(int(np.clip(seconds / each, 2, MOST_STEPS)))
    ready = list(ahead(trained.examples.data, parts, trained.device))
    found: dict[str, list[float]] = {"loaded": [], "ready": [], "waited": []}
    for _ in range(count):
        loaded = trained.seconds(parts, ahead)
        at_hand = trained.seconds(parts, lambda *_: iter(ready))
        samples = len(parts) * trained.size
        found["loaded"].append(samples / loaded)
        found["ready"].append(samples / at_hand)
        found["waited"].append(1 - at_hand / loaded)
    return found | {"busy": [trained.busy(parts[:10])]}


def bytes_per_sample(data: Data, rows: np.ndarray) -> float:
    """What a batch of these rows moves to the device, per admission."""
    return sum(value.nbytes for value in data.batch(rows).values()) / len(rows)


def main() -> None:
    """Every model at every size of a batch."""
    arguments = parser(__doc__)
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda")
    given = arguments.parse_args()
    count, pixels, times, sizes, seconds, rounds = SIZES[given.size]
    device = pick_device(given.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    record = Record(f"Training on {name}, torch {torch.__version__}: what it waits for data")
    each = mimic_like.everything(count, given.folder, pixels, times)
    waited, limits = {}, []
    for model, (data, fresh) in models(each).items():
        for size in sizes:
            make_repeatable(0, 1, "auto")
            found = passes(Trained(data, fresh(), size, count, device), seconds, rounds)
            what, mb = f"{model}, batch {size}", bytes_per_sample(data, np.arange(64)) / 1e6
            speed = statistics.median(found["ready"])
            record.add(f"{what}: from the loader", found["loaded"], "samples/s")
            record.add(f"{what}: batches on the device", found["ready"], "samples/s",
                       note=f"{speed * mb:.0f} MB/s of data")  # fmt: skip
            record.add(f"{what}: share of time waited", found["waited"], "")
            waited[what] = statistics.median(found["waited"])
            limits.append(f"{what} {spread(found['busy'])}")
    worst = max(waited, key=waited.__getitem__)
    found_most = f"at most {waited[worst]:.1%} ({worst})"
    record.ask("the GPU waits for data < 10 % of the time", found_most,
               device.type == "cuda" and waited[worst] < 0.1)  # fmt: skip
    record.limit = (
        "Share of the time in which the GPU computes: "
        + ", ".join(limits)
        + ("; the rest of it, kernels are being launched from Python.")
    )
    record.write(given.output)


if __name__ == "__main__":
    main()
