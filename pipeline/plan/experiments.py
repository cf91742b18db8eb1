"""Named experiments: what an experiment states, where its files lie, what it shares with others.

An experiment has a `name` in the config. Its results, cohort and models lie below `results/<name>/`
where those of a run without a name lie below `results/`. `experiments/<name>.yaml` states only what
differs; it is read over config.yaml and --configfile, and --config over it.

What all experiments stand on is what the config says without the experiment: config.yaml and each
--configfile without a name. They share the source and the hospital (an experiment that states
others is refused), the cleaned notes, the stores of decoded and embedded films and reports, and
what is fitted on the training patients of the source: bins, Doc2Vec and the small BERT, of which an
experiment with other settings (another split, say) makes its own. So none makes another stale.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.plan.mistakes import LOADER, set_twice
from pipeline.stage.errors import InputError

Config = Mapping[str, Any]
FOLDER, RESULTS = Path("experiments"), "results"
NAME = re.compile("[a-z][a-z0-9_-]*")
RESERVED = frozenset((  # folders below results/ and within an experiment, and words of messages
    "admission", "attribution", "benchmarks", "cohort", "contrasts", "corrected", "curves",
    "download", "embedded", "embeddings", "experiments", "explanations", "external", "fiddle",
    "hospital", "kit", "labels", "logs", "meds", "missing", "models", "predictions", "published",
    "results", "source", "statistics", "stay", "store", "tables", "truth", "usage", "verify",
    "without",
))  # fmt: skip
MODALITIES = ("ehr", "cxr", "note")
GROUND = ("source", "sample", "hospital")  # sections that no experiment changes
# fits on the training patients of the source → the keys that decide them
SPLIT = ("split", "folds")
FITS = {
    "results/{protocol}/ehr/bins": SPLIT,
    "results/{protocol}/note/doc2vec": (*SPLIT, "note.doc2vec"),
    "results/{protocol}/note/bert": (
        *SPLIT, "note.bert.tiny", "note.bert.tokens", "torch.threads", "torch.device",
    ),
}  # fmt: skip
OWN_FITS = "own_fits"  # key that the Snakefile adds to the checked config


def read(config: dict[str, Any], files: Sequence[Path], command_line: Config) -> list[str]:
    """Reads the experiment's file into the config, in place; the fits (of `FITS`) of its own.

    `config`: as Snakemake merged it. `files`: those of --configfile; one in `experiments/` names
    the experiment. `command_line`: what --config says. Nothing is done where no experiment is
    named. Raises `InputError` where the file cannot be read, or changes what all experiments share.
    """
    from snakemake.logging import logger
    from snakemake.utils import update_config

    named = {path.stem for path in files if path.parent.name == FOLDER.name}
    named |= {config["name"]} if config.get("name") is not None else set()
    if len(named) > 1:
        raise InputError(f"config.name: {' and '.join(sorted(map(str, named)))}: one run makes one "
                         "experiment; name one of the two")  # fmt: skip
    if not named:
        return []
    config["name"] = name = named.pop()
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return []  # the types of the config say so
    if (own := FOLDER / f"{name}.yaml").is_file():
        if wrong := set_twice(own):
            raise InputError("\n".join(wrong))
        stated = _load(own)
        if stated.get("name", name) != name:
            raise InputError(f"{own}: it is named {stated['name']}; call it {name}, as its file")
        update_config(config, stated)
        update_config(config, dict(command_line))
        logger.info(f"experiment {name}: {own} over the config")
    elif near := difflib.get_close_matches(name, [path.stem for path in FOLDER.glob("*.yaml")], 1):
        logger.warning(f"{own} is not there: the experiment {name} follows the config alone (did "
                       f"you mean {near[0]}?)")  # fmt: skip
    ground = common_ground(files)
    if changed := [key for key in GROUND if config.get(key) != ground.get(key)]:
        raise InputError("\n".join(
            f"config.{key}: differs in the experiment {name}, but all experiments share the source;"
            " set it in config.yaml or a --configfile without a name, or make the experiment in "
            "another folder" for key in changed
        ))  # fmt: skip
    return [
        fit for fit, keys in FITS.items() if any(_at(config, k) != _at(ground, k) for k in keys)
    ]


def common_ground(files: Iterable[Path]) -> dict[str, Any]:
    """The config without the experiment: config.yaml and those of `files` that name none."""
    from snakemake.utils import update_config

    ground = _load(Path("config.yaml"))
    for path in files:
        stated = _load(path)
        if stated.get("name") is None and path.parent.name != FOLDER.name:
            update_config(ground, stated)
    return ground


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), LOADER) or {}
    return loaded


def _at(config: Config, key: str) -> object:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def refusal(name: str | None, modalities: Iterable[str]) -> str | None:
    """Why an experiment cannot have a name; `modalities`: the folders of the config's.

    >>> refusal("tables", ["ecg"])
    'name: tables is a folder of every experiment; call it otherwise'
    >>> refusal("elderly", ["ecg"])
    """
    if name in RESERVED.union(MODALITIES, modalities):
        return f"name: {name} is a folder of every experiment; call it otherwise"
    return None


def home(config: Config) -> str:
    """The folder of an experiment's results.

    >>> home({}), home({"name": "elderly"})
    ('results', 'results/elderly')
    """
    return f"{RESULTS}/{config['name']}" if config.get("name") else RESULTS


def placed(config: Config, path: Any) -> Any:
    """Where an artefact of a protocol lies in the config's experiment; also of a list of paths.

    Other paths (the source, stores, files of the user's) are the same in all experiments.

    >>> elderly = {"name": "elderly", "own_fits": ["results/{protocol}/ehr/bins"]}
    >>> placed(elderly, "results/{protocol}/{unit}/episodes.parquet")
    'results/elderly/{protocol}/{unit}/episodes.parquet'
    >>> placed(elderly, ["results/{protocol}/note/bert/config.json", "results/cxr/store"])
    ['results/{protocol}/note/bert/config.json', 'results/cxr/store']
    >>> placed(elderly, "results/{protocol}/ehr/bins.parquet")
    'results/elderly/{protocol}/ehr/bins.parquet'
    """
    if not isinstance(path, str):
        return [placed(config, one) for one in path]
    fit = next((fit for fit in FITS if path.startswith(fit)), None)
    shared = fit is not None and fit not in config.get(OWN_FITS, ())
    if shared or not path.startswith(f"{RESULTS}/{{protocol}}/"):
        return path
    return f"{home(config)}{path.removeprefix(RESULTS)}"


def name_of(config: Config, path: str) -> str | None:
    """The experiment whose file lies at a path; None: of all, or of a run without a name.

    >>> name_of({}, "results/old/x.json"), name_of({}, "results/source/x.parquet")
    ('old', None)
    """
    top, first, *below = [*Path(path).parts, "", ""]
    free = top == RESULTS and any(below) and NAME.fullmatch(first)
    return first if free and not refusal(first, config.get("modalities", {}).values()) else None


def owns(config: Config, path: str) -> bool:
    """Whether a file is of the config's experiment; without a name, what all share is, too."""
    return name_of(config, path) == (config.get("name") or None)


def elsewhere(config: Config, target: str) -> str | None:
    """Why a result that is asked for is of another experiment than the config's.

    >>> elsewhere({}, "results/old/e_sofa_mortality.json")
    'results/old/e_sofa_mortality.json is of the experiment old; add --config name=old before --'
    >>> print(elsewhere({"name": "old"}, "results/e_sofa_mortality.json"))
    results/e_sofa_mortality.json is of the config without a name; the experiment old makes \
results/old/e_sofa_mortality.json
    """
    if owns(config, target) or not target.startswith(f"{RESULTS}/"):
        return None
    if other := name_of(config, target):
        return f"{target} is of the experiment {other}; add --config name={other} before --"
    below = target.removeprefix(f"{RESULTS}/")
    if not re.match(
        r"(published/|tables/|external/[^/]+/|(published/)?kit/[^/]+/)?[^/]+\.\w+$", below
    ):
        return None  # the source, say, which all share
    return (f"{target} is of the config without a name; the experiment {config['name']} makes "
            f"{home(config)}/{below}")  # fmt: skip


def separate_logs(rules: Iterable[Any], config: Config) -> None:
    """Logs of the experiment's own files go to logs/<rule>/<name>/… instead of logs/<rule>/…"""
    from snakemake.iocontainers import Log

    if not config.get("name"):
        return
    for rule in rules:
        if any(str(output).startswith(f"{home(config)}/") for output in rule.output):
            logs = [
                re.sub(r"^logs/(\w+)", rf"logs/\1/{config['name']}", str(one)) for one in rule.log
            ]
            rule._log = Log()
            rule.set_log(*logs)
