"""Made-up ICU stays for tests of UniMed: features, reports, labels; no file is read."""

import numpy as np
import torch
from encoder_data import features
from torch import nn

from pipeline.ehr.encoder_fiddle import FiddleNetwork
from pipeline.unimed.data import Episodes
from pipeline.unimed.model import UniMed
from pipeline.unimed.settings import UnimedModel

NAMES = ["shock_4h", "arf_12h", "mortality_48h", "diagnoses_48h"]
GROUPS = 7
SMALL = UnimedModel(
    decoder="transformer", width=16, layers=2, heads=2, dropout=0.1, order="time",
    feedback="predicted", parallel=False, hours=None, weights="equal", diagnoses="bce",
    training_share=1.0,
)  # fmt: skip


def small(**change):
    """The settings `SMALL` with some changed."""
    return SMALL.model_copy(update=change)


class Reports:
    """One report per stay; `known` (N): hours after which it is known, NaN where there is none."""

    def __init__(self, known, value):
        self.known, self.value = known, value

    def batch(self, rows):
        known = torch.from_numpy(self.known[rows])
        return {"known": known, "value": torch.from_numpy(self.value[rows])}

    def present(self):
        return ~np.isnan(self.known)

    def known_by(self, hours):
        return self.known < hours


class ReportEncoder(nn.Module):
    widths = {"n": 3}  # noqa: RUF012

    def forward(self, batch, hours):
        present = torch.stack([batch["known"] < hour for hour in hours], dim=1)
        value = batch["value"][:, None] * present[..., None]
        return {"n": (value, present)}


def stays(count=40, names=NAMES, settings=SMALL, seed=0):
    """Stays with random labels; events set in after the prediction, of the ineligible before."""
    random = np.random.default_rng(seed)
    tasks = settings.tasks(names)
    eligible = random.random((count, len(tasks))) < 0.8
    label = (random.random((count, len(tasks))) < 0.4) & eligible
    for k, task in enumerate(tasks):
        label[:, k] &= not task.many
    hours = np.array([task.hours for task in tasks])
    onset = np.where(label, hours + random.random(label.shape) * 30, np.inf)
    onset = np.where(eligible, onset, random.random(label.shape) * hours)
    few = random.integers(0, 4, count)
    group = np.concatenate([random.permutation(GROUPS)[:n] for n in few]).astype(int)
    known = np.where(random.random(count) < 0.7, random.random(count) * 60 - 5, np.nan)
    value = random.normal(size=(count, 3)).astype(np.float32)
    several = any(task.many for task in tasks)
    few, group = (few, group) if several else (few * 0, group[:0])
    split = np.array(["train", "val", "test", "train"] * (count // 4))
    return Episodes(
        np.arange(count), np.arange(count) // 2, split,
        tasks, label.astype(np.float32), eligible, onset.astype(np.float32),
        group, np.concatenate([[0], few.cumsum()]), GROUPS if several else 0,
        {"ehr": features(random, count), "note": Reports(known, value)},
    )  # fmt: skip


def model_of(own, settings=SMALL, seed=0):
    torch.manual_seed(seed)
    encoders = {"ehr": FiddleNetwork(own.each["ehr"].sizes, 1.0), "note": ReportEncoder()}
    return UniMed(encoders, own.tasks, own.groups, settings)
