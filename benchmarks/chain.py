"""UniMed's claim, that earlier tasks inform later ones: on a hospital where they do, and where not.

    python benchmarks/chain.py --size full --folder /tmp/chain --output chain.json

The hospital of benchmarks/unimed.yaml with its chain shock → respiratory failure → death on (1) and
off (0). Of mortality at 48 h, five training seeds: the decoder of all tasks minus that of this task
alone (`multitask`), and that of this task alone, told the truth about earlier tasks, minus itself
without (`bound`): what feeding outcomes on could win at most. Differences are paired by stay and by
seed, with verdicts as in results. 30 trainings, about an hour on two cores; the same command goes
on from what lies on disk. Not among the questions of `make bench`: make bench QUESTIONS=chain.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from learning_curve import TRY
from record import REPOSITORY, Record, parser
from workflow_runs import project, run, snakemake

sys.path.insert(0, str(REPOSITORY))

from pipeline.evaluation.panel import differences, measured, read_panels
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.significance import verdict
from pipeline.stage.result import read_result

TASK = "mortality_48h"
ALONE, TOLD, ALL = f"en_unimed_{TASK}", f"en_unimed-teacher-forced_{TASK}", "en_unimed_all"
PAIRS = {"multitask": (ALL, ALONE), "bound": (TOLD, ALONE)}
CHAINS = {"on": 1.0, "off": 0.0}
TINY = {"patients": 700}  # a try of this script


def settings(chain: float, tiny: bool) -> dict[str, Any]:
    """What differs from config.yaml."""
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / "benchmarks/unimed.yaml").read_text())
    found |= {**TRY, "seeds": [0, 1]} if tiny else {}
    found["hospital"] |= {"chain": chain} | (TINY if tiny else {})
    return found


def figures(folder: Path) -> dict[str, Any]:
    """Oracle − model of each decoder, and the differences with their verdicts."""
    tables = folder / "results/corrected/stay/predictions"
    panel = read_panels({t: [str(tables / f"{t}.parquet")] for t in (ALONE, TOLD, ALL)})[TASK]
    panel, test, drawn = measured(panel, Resampling(), 0)
    rows = differences(list(PAIRS.values()), list(panel.tests), drawn)
    below = {
        target: read_result(folder / f"results/{target}.json")["tasks"][TASK]["ceiling"]
        for target in (ALONE, ALL)
    }
    return {
        "test": test,
        "oracle": below[ALONE]["oracle_auroc"],
        "oracle_minus_model": {name: one["oracle_minus_model"] for name, one in below.items()},
        "differences": {
            family: {**row, "verdict": verdict(row)}
            for family, row in zip(PAIRS, rows, strict=True)
        },
    }


def main() -> None:
    """Makes both hospitals' results, writes and prints their figures."""
    options = parser(__doc__)
    options.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    given = options.parse_args()
    record, found = Record("Do earlier tasks inform later ones? Mortality at 48 h"), {}
    for name, chain in CHAINS.items():
        folder = given.folder.resolve() / "chain" / name
        project(folder)
        targets = [f"results/{target}.json" for target in (ALONE, TOLD, ALL)]
        call = snakemake(folder, settings(chain, given.size == "small"), targets, given.cores)
        if run(call, folder):
            sys.exit(f"chain {name} failed; the same command tries again")
        found[name] = figures(folder)
        for family, row in found[name]["differences"].items():
            note = "95 % {low:+.3f} to {high:+.3f}, {seeds} seeds: {verdict}".format(**row)
            what = "chain {}, {}: {first} − {second}".format(name, family, **row)
            record.add(what, [round(row["value"], 4)], "AUROC", note=note)
    record.limit = "Only mortality at 48 h, of `en`; other tasks are in results/tables/unimed.md"
    record.write(given.output)
    whole = json.loads(given.output.read_text()) | {"hospitals": found}
    given.output.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
