"""All results of a study by name, and the order in which tables and figures list them."""

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.report.numbers import noise_words
from pipeline.stage.comparison import Compared, Contrast
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.names import FUSIONS, PROTOCOLS
from pipeline.stage.tables import DEFINITIONS, one_version

MODELS = ("unimodal", *FUSIONS, "logistic", "gbdt")
STATISTICS = "-stats"  # ending of models on summary statistics, as in gbdt-stats
LETTERS = {"e": "EHR", "c": "chest films", "n": "notes"}
SCHEMA_VERSIONS = (3, 4)  # of results, and of comparisons and attributions
SIDECAR = ".run.json"  # lies beside a result, and is none

Name = tuple[str, str, str, str]  # protocol, task, modalities, model
Results = dict[Name, dict[str, Any]]


def read_results(paths: list[str]) -> Results:
    """Results by protocol, task, modalities and model, in the order given, without sidecars.

    Raises `InputError` for a file that is no result, and for two results of one name.
    """
    results: Results = {}
    files: list[tuple[str, dict[str, Any]]] = []
    for path in paths:
        if path.endswith(SIDECAR):
            continue
        result = read_json(path)
        if not isinstance(result, dict) or "metrics" not in result:
            raise InputError(
                f"{path}: not a result; expected the JSON of pipeline.evaluation.result"
            )
        name = (result["protocol"], result["task"], result["modalities"], result["model"])
        if name in results:
            raise InputError(f"{path}: a second result of {' '.join(name)}")
        results[name] = result
        files.append((path, result))
    same_definitions(files)
    if not results:
        raise InputError("--results: no results given")
    return results


def same_definitions(files: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Raises `InputError` where results, comparisons … are of two versions of the definitions.

    `files`: path and content; one that names no version is of version 1. Also where one names
    another form (`schema_version`) than the tables read.
    """
    files = list(files)
    for path, one in files:
        expected = SCHEMA_VERSIONS[{"contrasts", "shapley"} & one.keys() != set()]
        if (form := one.get("schema_version", expected)) != expected:
            raise InputError(
                f"{path}: schema_version {form}, expected {expected}; other code made it: "
                "make it again"
            )
    one_version({path: one.get(DEFINITIONS, 1) for path, one in files}, "a table")


def by_task(comparison: Any) -> Iterator[dict[str, Any]]:
    """The comparisons of each task, models named without it, as in ecn_early."""
    if "tasks" not in comparison:
        yield comparison
        return
    for task in comparison["tasks"]:
        shown: dict[str, Any] = {"protocol": comparison["protocol"], "task": task}
        yield (
            shown
            | _of_task(comparison, task)
            | {"complete": _of_task(comparison["complete"], task)}
        )


def _of_task(compared: Compared, task: str) -> dict[str, Any]:
    def named(row: Contrast) -> dict[str, Any]:
        names = {"first": row["first"], "second": row["second"]}
        return {**row, **{side: name.removesuffix(f"_{task}") for side, name in names.items()}}

    return {"contrasts": [named(row) for row in compared["contrasts"] if row["task"] == task]}


def looking_ahead(results: Iterable[dict[str, Any]]) -> list[str]:
    """What the cohorts of each protocol ask for that is known only after the prediction time.

    >>> looking_ahead([{"protocol": "corrected", "cohort": {"looks_ahead": ["with a film"]}}])
    ['The cohort of the corrected protocol looks ahead, beyond the prediction time: with a film.']
    """
    lines, known = [], list(results)
    for protocol in PROTOCOLS:
        own = [result for result in known if result["protocol"] == protocol]
        reasons = unique(text for r in own for text in r.get("cohort", {}).get("looks_ahead", []))
        if reasons:
            lines.append(
                f"The cohort of the {protocol} protocol looks ahead, beyond the prediction time: "
                f"{'; '.join(reasons)}."
            )
    return lines


def intervals(results: Iterable[dict[str, Any]]) -> list[str]:
    """What the intervals of the results hold, a line each of those with and without the noise.

    >>> few = {"bootstrap": {"training_noise": False, "resamples": 1000}, "seeds": [0]}
    >>> many = {"bootstrap": {"training_noise": True, "resamples": 1000}, "seeds": [*range(5)]}
    >>> [line[-24:] for line in intervals([few, many])]
    ['raining seeds (5 seeds).', 'them (1 seed, 5 needed).']
    """
    known = list(results)
    kinds = [[one for one in known if one["bootstrap"]["training_noise"] == noise]
             for noise in (True, False)]  # fmt: skip
    of = f" of the {len(known)} results"
    return [
        f"Intervals{f' of {len(kind)}{of}' if len(kind) < len(known) else ''}: {noise_words(kind)}"
        for kind in kinds
        if kind
    ]


def unique(values: Iterable[str]) -> list[str]:
    """The distinct values in the order of their first appearance."""
    return list(dict.fromkeys(values))


def in_order(sets: Iterable[str]) -> list[str]:
    """Distinct modality sets: small ones first, letters in the order of the largest set.

    >>> in_order(["cn", "e", "ecn", "n", "ec", "c", "en", "e"])
    ['e', 'c', 'n', 'ec', 'en', 'cn', 'ecn']
    """
    known = unique(sets)
    letters = "".join(unique("".join(sorted(known, key=len, reverse=True))))
    return sorted(known, key=lambda s: (len(s), [letters.index(letter) for letter in s]))


def models_in_order(models: Iterable[str]) -> list[str]:
    """Distinct models: the known ones first, in the order of `MODELS`, statistics last.

    >>> models_in_order(["gbdt-stats", "logistic-stats", "new", "late", "early"])
    ['early', 'late', 'new', 'logistic-stats', 'gbdt-stats']
    """
    place = {model: position for position, model in enumerate(MODELS)}

    def key(model: str) -> tuple[bool, int]:
        base = model.removesuffix(STATISTICS)
        return base != model, place.get(base, len(MODELS))

    return sorted(unique(models), key=key)


def names_in_order(names: Iterable[str]) -> list[str]:
    """Distinct names of modalities and model: by modality set, then by model.

    >>> names_in_order(["ecn_late", "ec_joint", "ec_early"])
    ['ec_early', 'ec_joint', 'ecn_late']
    """
    split = [(s, model) for s, model in (name.split("_") for name in unique(names))]
    sets, models = in_order(s for s, _ in split), models_in_order(model for _, model in split)
    ordered = sorted(split, key=lambda n: (sets.index(n[0]), models.index(n[1])))
    return ["_".join(name) for name in ordered]


def full_set(sets: Iterable[str]) -> str:
    """The largest modality set; empty where there is none.

    >>> full_set(["e", "ecn", "ec"])
    'ecn'
    """
    return max(sets, key=len, default="")


def arranged(results: Results) -> Results:
    """The results by task (in the order given), modality set, model and protocol."""
    tasks = unique(name[1] for name in results)
    sets, models = in_order(name[2] for name in results), models_in_order(n[3] for n in results)

    def place(name: Name) -> tuple[int, int, int, str]:
        protocol, task, modalities, model = name
        return tasks.index(task), sets.index(modalities), models.index(model), protocol

    return {name: results[name] for name in sorted(results, key=place)}
