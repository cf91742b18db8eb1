"""Makes the kits of results and, of several, one page of them all (`make kit`).

    python -m pipeline.plan.kits ecn_early_mortality e_gbdt-stats_mortality --experiments window_6h

Without a result: of all results that are made and have a kit, but for those of the published
protocol: `snakemake results/published/kit/<result>/report.html` makes one of these. Without an
experiment: of the config alone; `config` among several stands for it. Results, numbers and
explanations that are missing or older than the config or the code are made first. Exit status that
of Snakemake where it fails.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.kit.names import PAGE
from pipeline.plan import experiments, refusals, targets
from pipeline.plan.estimate import read_config
from pipeline.plan.reported import made
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError

CONFIG = "config"  # among experiments: the config without one


def why_none(config: Mapping[str, Any], target: str) -> str | None:
    """Why a target has no kit; None where it has one."""
    parts = target.split("_", 2)
    modalities, model, task = [*parts, "", ""][:3]
    if why := refusals.refusal(config, modalities, model, task):
        return why
    kinds = [one.kind for one in targets.tasks(config, task)]
    if kinds != ["binary"]:
        return f"{target}: a kit is of a result of one binary task"
    return None


def asked(config: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The targets whose kits are made: `names`, or all results that are made and have a kit.

    Raises `InputError` for a name that has none, and where nothing is made yet.
    """
    home = Path(experiments.home(config))
    for name in names:
        if why := why_none(config, name):
            raise InputError(why)
    if names:
        return list(dict.fromkeys(names))
    there = [Path(path).stem for path in made(config)
             if Path(path).parent == home and path.endswith(".json")]  # fmt: skip
    if kept := [name for name in there if why_none(config, name) is None]:
        return kept
    raise InputError(f"nothing with a kit is made yet below {home}/: name a result, such as "
                     "ecn_early_mortality")  # fmt: skip


def target_of(config: Mapping[str, Any], name: str) -> str:
    """The target of a name that may be a path: results/ecn_early_mortality.json.

    Raises `InputError` for a path into another folder than the config's or the experiment's.

    >>> target_of({"name": "elderly"}, "results/elderly/ecn_early_mortality.json")
    'ecn_early_mortality'
    """
    path, home = Path(name), experiments.home(config)
    if str(path.parent) in (".", home):
        return path.stem
    raise InputError(
        f"{name}: not in {home}/; name a result without its folder, with EXPERIMENT=… for one of "
        "an experiment; of the published protocol ask snakemake for "
        f"{home}/published/kit/{path.stem}/{PAGE}"
    )


def pages_of(config: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The pages of the kits of some targets.

    >>> pages_of({"name": "elderly"}, ["ecn_early_mortality"])
    ['results/elderly/kit/ecn_early_mortality/report.html']
    """
    return [f"{experiments.home(config)}/kit/{name}/{PAGE}" for name in names]


def main() -> None:
    """Runs Snakemake for each experiment; of several kits writes one page."""
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("results", nargs="*", help="targets, such as ecn_early_mortality")
    add("--config", type=Path, nargs="+", default=[Path("config.yaml")],
        help="a file, and others over it such as config/mimic.yaml")  # fmt: skip
    add("--experiments", nargs="+", default=[CONFIG], help=f"by name; {CONFIG}: without one")
    add("--cores", default="1", help="of Snakemake")
    args = arguments.parse_args()
    shown: list[str] = []
    for name in args.experiments:
        own = experiments.FOLDER / f"{name}.yaml"
        named = {} if name == CONFIG else {"name": name}
        if named and not own.is_file() and not Path(experiments.home(named)).is_dir():
            raise InputError(f"--experiments: {name}: neither {own} nor results of it are there")
        config = read_config([*args.config, *([own] if named and own.is_file() else [])]) | named
        names = asked(config, [target_of(config, one) for one in args.results])
        command = [sys.executable, "-m", "snakemake", "--cores", args.cores]
        command += ["--configfile", *map(str, args.config[1:])] if args.config[1:] else []
        command += ["--config", f"name={name}"] if named else []
        if status := subprocess.run(
            [*command, "--", *pages_of(config, names)], check=False
        ).returncode:
            sys.exit(status)
        shown += [f"{experiments.home(config)}/{target}.json" for target in names]
    if len(shown) > 1:
        page = f"{experiments.RESULTS}/kit/{PAGE}"
        subprocess.run([sys.executable, "-m", "pipeline.kit.page", "--results", *shown,
                        "--output", page], check=True)  # fmt: skip
        print(f"{len(shown)} kits on one page: {page}")


if __name__ == "__main__":
    run(main)
