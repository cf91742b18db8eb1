"""What stops a training best, and is kept: docs/choices.md, the budget.

    python benchmarks/budget.py --truth oracle_mortality.parquet --letter n --data '{"note": …}' …

One encoder is trained for all steps of a schedule; after every check its scores of the patients
that it did not learn from are kept, by its weights as they are and by their mean over steps. Then
validation sets are drawn from these patients, with labels drawn by their known risk, and each rule
chooses a check on each set. How good a check is, is its AUROC for the known risk itself: no noise
of labels. Arguments are those of pipeline.training.pretrain, its paths those of a finished run.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from sklearn.metrics import log_loss, roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cohort.rows import read_rows
from pipeline.stage.command import parser
from pipeline.training.batches import evaluate
from pipeline.training.budget import Budget, batches_of
from pipeline.training.examples import Examples
from pipeline.training.features import Unimodal
from pipeline.training.loop import average_of, optimiser_of, rates, train_steps
from pipeline.training.modality import add_data_argument, feature_of, read_data
from pipeline.training.processes import CPU, make_repeatable
from pipeline.training.seeds import add_training_arguments
from pipeline.training.settings import add_schedule_argument

DRAWS, PATIENCE = 200, (3, 5, 8)
Scores = dict[str, list[np.ndarray]]  # weights → logit of each patient, check by check


def curve(arguments: argparse.Namespace, seed: int) -> tuple[Scores, np.ndarray]:
    """The scores at every check, and the episodes: those of the fusion and test shares."""
    ((name, settings),) = arguments.data.items()
    rows = read_rows(arguments.episodes, arguments.labels, arguments.task)
    data = read_data(arguments.data, rows.episode)[name]
    have, schedule = data.present(), arguments.schedule
    train, fusion, test = (part[have[part]] for part in map(rows.of, ("train", "fusion", "test")))
    unseen = np.concatenate([fusion, test])
    make_repeatable(seed, arguments.torch_threads, arguments.precision)
    model = Unimodal(feature_of(name, settings, data, train))
    examples = Examples(data, rows.label, train, unseen)
    optimiser, averaged = (
        optimiser_of(schedule, model),
        average_of(model, Budget(schedule.steps, schedule.check, 1)),
    )
    assert averaged is not None
    scores: Scores = {"as they are": [], "mean": []}
    for first in range(0, schedule.steps, schedule.check):
        steps = range(first, first + schedule.check)
        parts = batches_of(train, schedule.batch_size, seed, steps)
        pace = rates(schedule, steps, schedule.steps)
        train_steps(model, examples, parts, schedule, pace, optimiser, CPU, averaged)
        for kind, validated in (("as they are", model), ("mean", averaged.module)):
            output = evaluate(validated, data, unseen, 128, CPU)
            scores[kind].append((output[:, 1] - output[:, 0]).numpy())
    return scores, rows.episode[unseen]


def true_auroc(score: np.ndarray, risk: np.ndarray) -> float:
    """AUROC of a score where each patient is positive by a known risk: no label is drawn."""
    positive = risk[np.argsort(score, kind="stable")]
    below = np.cumsum(1 - positive) - (1 - positive)
    pairs = risk.sum() * (1 - risk).sum() - (risk * (1 - risk)).sum()
    return float((positive * below).sum() / pairs)


def chosen(figures: list[float], patience: int) -> tuple[int, int]:
    """The check that is kept and the last one that is trained; higher figures are better."""
    best = 0
    for check, figure in enumerate(figures):
        if figure > figures[best]:
            best = check
        elif check - best >= patience:
            break
    return best, check


def judged(each: list[np.ndarray], risk: np.ndarray, size: int, check: int) -> None:
    """A line per rule: what it keeps, where, and how many steps it trains, on average."""
    worth = [true_auroc(score, risk) for score in each]
    print(f"  best {max(worth):.4f} at {check * (1 + int(np.argmax(worth)))}, last {worth[-1]:.4f}")
    rules: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "AUROC": lambda label, logit: float(roc_auc_score(label, logit)),
        "loss": lambda label, logit: -float(log_loss(label, 1 / (1 + np.exp(-logit)))),
    }
    random = np.random.default_rng(0)
    drawn = [random.choice(len(risk), size, replace=False) for _ in range(DRAWS)]
    labels = [random.random(size) < risk[who] for who in drawn]
    for rule, figure in rules.items():
        figures = [
            [figure(y, score[who]) for score in each] for who, y in zip(drawn, labels, strict=True)
        ]
        for patience in PATIENCE:
            kept = [chosen(one, patience) for one in figures]
            value = np.mean([worth[best] for best, _ in kept])
            best, last = (check * (1 + np.mean(k)) for k in zip(*kept, strict=True))
            print(f"  {rule}, patience {patience}: {value:.4f}, kept {best:.0f}, ran {last:.0f}")


def main() -> None:
    """Curves of every seed, and what each rule makes of them."""
    options = parser(__doc__)
    add_training_arguments(options)
    add_data_argument(options)
    add_schedule_argument(options)
    options.add_argument("--truth", required=True, help="oracle_<task>.parquet of the hospital")
    options.add_argument("--letter", required=True, help="the modality's column of it")
    options.add_argument("--size", type=int, default=200, help="episodes of a validation set")
    arguments = options.parse_args()
    truth = pl.read_parquet(arguments.truth)
    known = dict(zip(truth["hadm_id"], truth[arguments.letter], strict=True))
    for seed in arguments.seeds:
        scores, episodes = curve(arguments, seed)
        risk = np.array([known[episode] for episode in episodes.tolist()])
        for kind, each in scores.items():
            print(f"seed {seed}, weights {kind}; oracle {true_auroc(risk, risk):.4f}")
            judged(each, risk, arguments.size, arguments.schedule.check)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
