"""Judges somebody's predictions on the synthetic hospital, whose best reachable scores are known.

    python -m pipeline.hospital.judge predictions.csv --task mortality

The predictions are a csv or parquet file of hadm_id (tasks of ICU stays: stay_id) and probability,
one row each. Says the AUROC, how far it is from the best reachable on the same patients, whether it
leaks and into which trap, calibration, and patients in two splits (--train, --test: csv files of
subject_id). `make hospital OUT=…` makes the files that are predicted from, and the answers.
"""

import sys

from pipeline.evaluation.statistics.bootstrap import (
    Resampling,
    auroc_difference,
    auroc_estimate,
    described,
    per_seed,
    replicate,
)
from pipeline.evaluation.statistics.calibration import slope_and_intercept
from pipeline.evaluation.statistics.figures import SHARE, rounded
from pipeline.evaluation.statistics.metrics import brier
from pipeline.hospital.answers import KEYS
from pipeline.hospital.judge_inputs import Case, read_case, read_patients
from pipeline.hospital.judge_traps import outcome_beyond_risk, read_traps, traps
from pipeline.hospital.judge_words import lines
from pipeline.hospital.truth import SETS
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.judgement import SCHEMA_VERSION, Judged, Judgement, Leak, Leakage, Splits
from pipeline.stage.sections import Difference, Estimate

DRAWS = Resampling()
LEAST = 1000  # resamples: fewer tell no p-value that survives a correction for the traps


def judge(case: Case, task: str, modalities: str, lists: list[set[int]] | None = None,
          resampling: Resampling = DRAWS) -> Judgement:  # fmt: skip
    """Everything that is said of the predictions; `lists`: the patients of training and of test."""
    own, best = auroc_estimate(case.model, resampling), auroc_estimate(case.oracle, resampling)
    distance = auroc_difference(case.oracle, case.model, resampling)
    weak = replicate(case.model, per_seed(slope_and_intercept, case.model), resampling)
    losses = [
        replicate(sample, per_seed(brier, sample), resampling, SHARE).estimate()
        for sample in (case.model, case.oracle)
    ]
    made: Judgement = {
        "schema_version": SCHEMA_VERSION,
        "task": task,
        "modalities": modalities,
        "counts": counted(case, lists),
        "auroc": own,
        "oracle_auroc": best,
        "oracle_minus_model": distance,
        "population_auroc": case.population,
        "brier": losses[0],
        "oracle_brier": losses[1],
        "calibration": {"slope": weak.estimate(0), "intercept": weak.estimate(1)},
        "leak": leakage(case, own, best, distance, resampling),
        "splits": splits(case, *lists) if lists else None,
        "bootstrap": described(resampling, 1),
    }
    return rounded(made)


def counted(case: Case, lists: list[set[int]] | None) -> Judged:
    """How many of the predictions are judged, and how many episodes have none."""
    episodes = case.known.drop_nulls("label")
    key = case.known.columns[0]
    if lists:
        episodes = episodes.filter(episodes["subject_id"].is_in(sorted(lists[1])))
    lacking = ~episodes[key].is_in(case.model.episode.tolist())
    counts = case.model.counts
    return {
        "rows": case.rows,
        "judged": counts["n"],
        "patients": counts["patients"],
        "positives": counts["positives"],
        "no_episode": case.rows - counts["n"],
        "missing": int(lacking.sum()),
    }


def leakage(case: Case, own: Estimate, best: Estimate, distance: Difference,
            resampling: Resampling) -> Leakage:  # fmt: skip
    """Whether the predictions use what could not be known in time."""
    told, certain = outcome_beyond_risk(case, resampling)
    above = (own["value"] or 0) > (best["high"] or 1)
    paired = (distance["high"] or 0) < 0
    # of many honest models one goes with some trap by chance: none is named of those
    into = read_traps(case, resampling) if certain or paired else []
    verdict: Leak = "leaks" if paired or into else "suspect" if certain else "none seen"
    return {
        "verdict": verdict, "above_oracle": above, "paired": paired, "outcome_beyond_risk": told,
        "into": into, "baits": traps(case, resampling),
    }  # fmt: skip


def splits(case: Case, train: set[int], test: set[int]) -> Splits:
    """Patients in two splits, and judged patients where they should not be."""
    judged = set(case.model.subject.tolist())
    return {
        "train": len(train),
        "test": len(test),
        "in_both": len(train & test),
        "judged_in_train": len(judged & train),
        "judged_not_in_test": len(judged - test),
    }


def main() -> None:
    """Prints what the judge says, and with --output writes it."""
    options = parser(__doc__)
    options.add_argument("predictions", help=".csv, .csv.gz or .parquet")
    options.add_argument("--task", required=True, choices=list(KEYS))
    options.add_argument("--modalities", default="ecn", choices=SETS,
                         help="what they were made of: record, films, notes")  # fmt: skip
    options.add_argument("--truth", default="results/judge", help="folder with the answers")
    options.add_argument("--train", help="csv of subject_id of the training patients")
    options.add_argument("--test", help="csv of subject_id of the test patients")
    options.add_argument("--resamples", type=int, default=1000, help="of the patients")
    options.add_argument("--output", help="JSON to write")
    given = options.parse_args()
    if bool(given.train) != bool(given.test):
        raise InputError("--train, --test: give both lists or none")
    if given.resamples < LEAST:
        raise InputError(f"--resamples is {given.resamples}: expected {LEAST} or more")
    case = read_case(given.predictions, given.truth, given.task, given.modalities)
    lists = [read_patients(path, case.known) for path in (given.train, given.test) if path] or None
    made = judge(case, given.task, given.modalities, lists, Resampling(given.resamples))
    sys.stdout.write("\n".join(lines(made)) + "\n")
    if given.output:
        write_json(given.output, made)


if __name__ == "__main__":
    run(main)
