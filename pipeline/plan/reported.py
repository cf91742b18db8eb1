"""One page of all results and tables made so far, of the config or an experiment (`make report`).

    python -m pipeline.plan.reported --name elderly

Results that are older than the config or the code, whose settings the page would show, are left out
and named; so are those of a model or task that is no more. Writes report.html, or
report-<name>.html. Exit status 1 where no result is up to date.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.plan import experiments, refusals, targets
from pipeline.plan.estimate import read_config
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError


def made(config: Mapping[str, Any]) -> list[str]:
    """The results and pages of tables of the config that are there."""
    folders = targets.folders(config)
    results = [path for folder in folders.values() for path in Path(folder).glob("*_*_*.json")]
    pages = Path(folders["corrected"], "tables").glob("*.md")
    return [str(path) for path in sorted([*results, *pages]) if not path.match("*.run.json")]


def possible(config: Mapping[str, Any], path: str) -> bool:
    """Whether a result is of a model, task and modalities that there still are."""
    folders = {folder: protocol for protocol, folder in targets.folders(config).items()}
    protocol, name = folders.get(str(Path(path).parent)), Path(path).stem
    modalities, model, task = name.split("_", 2)
    return not protocol or not refusals.refusal(config, modalities, model, task, protocol)


def current(summary: str, files: Sequence[str]) -> list[str]:
    """Those of `files` that Snakemake's `--summary` would leave as they are.

    >>> head = "output_file\\tdate\\trule\\tlog-file(s)\\tstatus\\tplan"
    >>> rows = ["a.json\\t-\\tr\\t-\\tok\\tno update", "b.json\\t-\\tr\\t-\\tok\\tupdate pending"]
    >>> current("\\n".join([head, *rows]), ["a.json", "b.json"])
    ['a.json']
    """
    plans = {row[0]: row[-1] for line in summary.splitlines() if len(row := line.split("\t")) == 6}
    return [file for file in files if plans.get(file) == "no update"]


def main() -> None:
    """Writes the page; says what it leaves out."""
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")],
                           help="a file, and others over it such as config/mimic.yaml")  # fmt: skip
    arguments.add_argument("--name", help="of an experiment")
    asked = arguments.parse_args()
    stated = experiments.FOLDER / f"{asked.name}.yaml"
    config = read_config([*asked.config, *([stated] if asked.name and stated.is_file() else [])])
    config |= {"name": asked.name} if asked.name else {}
    snakemake = [sys.executable, "-m", "snakemake"]
    snakemake += ["--configfile", *map(str, asked.config[1:])] if asked.config[1:] else []
    snakemake += ["--config", f"name={asked.name}"] if asked.name else []
    there = made(config)
    if not there:
        folder = experiments.home(config)
        raise InputError(f"nothing is made yet below {folder}/: run snakemake for a result first, "
                         f"such as {folder}/ecn_early_mortality.json")  # fmt: skip
    known = [path for path in there if possible(config, path)]
    plan = subprocess.run([*snakemake, "--summary", "--", *known], capture_output=True, text=True,
                          check=False)  # fmt: skip
    if plan.returncode:
        raise InputError(f"the results at hand cannot be planned: {plan.stderr.strip()}")
    shown = current(plan.stdout, known)
    for path in [path for path in there if path not in shown]:
        why = "older than the config or the code" if path in known else "of no model or task now"
        print(f"left out: {path}: {why}")
    if not shown:
        raise InputError("no result is up to date: make one again, see snakemake -n")
    page = f"report-{config['name']}.html" if config.get("name") else "report.html"
    subprocess.run([*snakemake, "--report", page, "--", *shown], check=True)


if __name__ == "__main__":
    run(main)
