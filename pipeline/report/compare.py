"""How two results differ: settings, definitions, attrition, and AUROC on the same test patients.

    python -m pipeline.report.compare results/ecn_early_mortality.json \\
        results/elderly/ecn_early_mortality.json

Both AUROCs, and their difference, are of the test episodes that both results have: of two cohorts,
two experiments or two models. The difference is paired: each resample draws the same patients for
both. The predictions are read from where the workflow keeps them beside the results.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pipeline.cohort.task import find
from pipeline.evaluation.panel import Panel, differences, measured
from pipeline.evaluation.predictions import read_tasks, samples
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.figures import SHARE
from pipeline.evaluation.statistics.sample import Sample, pair, same_seeds
from pipeline.report.numbers import flat, with_interval
from pipeline.report.verdicts import noise_words
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import LEAST, shown
from pipeline.stage.result import Result, read_result

Row = tuple[str, str, str]  # what, in the first result, in the second
NOTHING = "–"
MADE_BY = ("python", "code_sha256", "lock_sha256")  # keys of `environment` that are compared
HEAD = ("target", "protocol", "experiment", "source", "seeds", "folds", "threads")


def settings(first: Result, second: Result) -> list[Row]:
    """The settings, and what else was decided before the run, that differ; files by their name."""
    both = [flat({key: one.get(key) for key in HEAD} | {"": one["settings"]})
            for one in (first, second)]  # fmt: skip
    for own, one in zip(both, (first, second), strict=True):
        environment: Mapping[str, Any] = one["environment"]
        own |= flat({"environment": {key: environment[key] for key in MADE_BY}})
    return differing(*both)


def definitions(first: Result, second: Result) -> list[Row]:
    """What the tasks mean, where that differs: version, question, clock, hours, items."""
    both = [
        flat({"version": one["definitions_version"]}
              | {task: part["definition"] for task, part in one["tasks"].items()})
        for one in (first, second)
    ]  # fmt: skip
    return differing(*both)


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[Row]:
    """Key, first and second value where these differ; a dash where one has no such key.

    >>> differing({"a": "1", "b": "2"}, {"a": "1", "c": "3"})
    [('b', '2', '–'), ('c', '–', '3')]
    """
    keys = dict.fromkeys([*first, *second])
    rows = [(key, first.get(key, NOTHING), second.get(key, NOTHING)) for key in keys]
    return [row for row in rows if row[1] != row[2]]


def in_both(first: Result, second: Result) -> list[str]:
    """The tasks that both results have, in the order of the first."""
    return [task for task in first["tasks"] if task in second["tasks"]]


def attrition(first: Result, second: Result, task: str) -> list[Row]:
    """How many episodes are left after each condition of either cohort, in their order."""
    both = [one["tasks"][task]["attrition"] for one in (first, second)]
    one_text, other_text = ([row["condition"] for row in rows] for rows in both)
    made: list[Row] = []
    for kind, a, b, c, d in SequenceMatcher(None, one_text, other_text, False).get_opcodes():
        if kind == "equal":
            pairs = zip(both[0][a:b], both[1][c:d], strict=True)
            made += [(one["condition"], _count(one), _count(other)) for one, other in pairs]
        else:
            made += [(row["condition"], _count(row), NOTHING) for row in both[0][a:b]]
            made += [(row["condition"], NOTHING, _count(row)) for row in both[1][c:d]]
    return made


def _count(row: Mapping[str, Any]) -> str:
    number = row["episodes"]
    return f"{number:,}" if isinstance(number, int) else str(number)


def predictions_of(path: Path, result: Result) -> list[str]:
    """The predictions behind the result in the file `path`, a table per fold."""
    task = next(iter(result["tasks"]))
    unit, protocol = find(task, result["protocol"]).unit, result["protocol"]
    home = path.parent.parent if protocol == "published" else path.parent
    folds = [protocol, *(f"{protocol}/fold{k}" for k in range(1, result["folds"]))]
    files = [home / fold / unit / "predictions" / f"{result['target']}.parquet" for fold in folds]
    if absent := [str(file) for file in files if not file.is_file()]:
        raise InputError(f"{path}: {absent[0]}, its predictions, are not there; make the result "
                         "again with its command, or compare it where they lie")  # fmt: skip
    return [str(file) for file in files]


def aurocs(
    first: Sample, second: Sample, name: str, resampling: Resampling, smallest: int
) -> list[str]:
    """AUROC of two samples on the episodes that both have, and their difference, in lines.

    Raises `InputError` where labels of an episode, folds or seeds differ.
    """
    one, two, left_out = pair(first, second, name)
    same_seeds(one, two, name)
    hidden = any(0 < number < smallest for number in left_out.values())
    size = "nearly all" if hidden else f"{len(one.label):,}"
    lines = [f"common test episodes: {size}; only in the first: {shown(left_out['model'])}, "
             f"only in the second: {shown(left_out['other'])}"]  # fmt: skip
    panel = Panel({"first": one, "second": two}, {}, {}, {})
    _, counts, figures = measured(panel, resampling, smallest)
    if counts["reason"]:
        return [*lines, f"no AUROC: {counts['reason']}"]
    (difference,) = differences([("second", "first")], ["first", "second"], figures)
    share = figures.within(SHARE)
    lines += [f"AUROC of the {name}: {with_interval(share.estimate(k))}"
              for k, name in enumerate(panel.tests)]  # fmt: skip
    return [*lines, f"second minus first: {with_interval(difference, sign=True)}"]


def compared(first: tuple[Path, Result], second: tuple[Path, Result]) -> Iterator[str]:
    """Every AUROC that can be compared, task by task, or why one cannot be."""
    tables = [read_tasks(predictions_of(*one)) for one in (first, second)]
    for task in in_both(first[1], second[1]):
        yield f"{task}:"
        if task not in tables[0] or task not in tables[1]:
            yield "  of many labels: no AUROC is compared"
            continue
        one, two = (samples(table[task], "test") for table in tables)
        kinds = {result["source"].get("kind") for _, result in (first, second)}
        smallest = 1 if kinds == {"synthetic"} else LEAST
        drawn = first[1]["bootstrap"]
        resampling = Resampling(drawn["resamples"], drawn["seed"], smallest)
        try:
            yield from (
                f"  {line}" for line in aurocs(one, two, str(second[0]), resampling, smallest)
            )
        except InputError as error:
            yield f"  not compared: {error}"


def in_columns(rows: Sequence[Row], empty: str) -> list[str]:
    """Rows as aligned lines; `empty` where there are none.

    >>> in_columns([("cohort.min_age", "18", "65")], "none")
    ['  cohort.min_age  18  65']
    """
    if not rows:
        return [f"  {empty}"]
    widths = [max(len(cell) for cell in column) for column in zip_longest(*rows, fillvalue="")]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def report(first: tuple[Path, Result], second: tuple[Path, Result]) -> Iterable[str]:
    """The lines that are printed for two results and the files that hold them."""
    a, b = first[1], second[1]
    if not in_both(a, b):
        raise InputError(f"{second[0]}: of {', '.join(b['tasks'])}, but {first[0]} is of "
                         f"{', '.join(a['tasks'])}: compare two results of one task")  # fmt: skip
    yield from (f"first:  {first[0]}", f"second: {second[0]}")
    yield from ("settings that differ", *in_columns(settings(a, b), "none"))
    yield from ("definitions that differ", *in_columns(definitions(a, b), "none"))
    for task in in_both(a, b):
        rows = in_columns(attrition(a, b, task), "none")
        yield from (f"episodes left, {task}", *rows)
    yield "AUROC on the common test patients"
    yield from (f"  {line}" for line in compared(first, second))
    yield f"95 %, {noise_words([a, b])}"


def main() -> None:
    """Prints how two results differ."""
    arguments = parser(__doc__)
    arguments.add_argument("results", nargs=2, type=Path, help="two results, JSON")
    paths = arguments.parse_args().results
    first, second = ((path, read_result(path)) for path in paths)
    print("\n".join(report(first, second)))


if __name__ == "__main__":
    run(main)
