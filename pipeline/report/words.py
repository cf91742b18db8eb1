"""Results in words, for the screen: how good, on whom, how good it could be, and where they are.

A result of one admission task has a line per question, one of several tasks a line per task. Of
more than two results each has one line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.report.names import Letters, add_words_argument, letters_of, task_words
from pipeline.report.numbers import with_interval
from pipeline.report.results import shown_metrics, test_of
from pipeline.report.task_lines import Lines, lines_of_one, lines_of_several
from pipeline.report.verdicts import era_words, noise_words
from pipeline.stage.command import parser, run
from pipeline.stage.result import Result, read_result

WIDTH = 16
IN_FULL = 2  # results that are told in full
AHEAD = "the cohort asks for what is known only after the prediction time"


def words(result: Result, path: Path, letters: Letters) -> str:
    """The lines that are printed for the result in the file `path`."""
    parts = list(result["tasks"].values())
    alone = len(parts) == 1 and {"comparisons", "missing"} <= parts[0].keys()
    lines = (lines_of_one if alone else lines_of_several)(result, letters)
    if reasons := result.get("cohort", {}).get("looks_ahead"):
        lines["Looks ahead"] = f"{AHEAD}: {'; '.join(reasons)}"
    if split := era_words([result]):
        lines["Split"] = split.removeprefix("Split ").rstrip(".")
    lines |= {
        "Definitions": defined(result),
        **_films(result.get("unreadable_films")),
        **_training(result.get("training", [])),
        **_embeddings(result),
        "Intervals": f"95 %, {noise_words([result])[:-1]}",
        "Files": ", ".join(str(path.with_suffix(end)) for end in (".json", ".svg", ".run.json")),
    }
    head = f"{result['target']}, {result['protocol']} protocol"
    head += f", experiment {result['experiment']}" if "experiment" in result else ""
    definition = parts[0].get("definition") if len(parts) == 1 else None
    lines = ({"Question": definition["question"]} if definition else {}) | lines
    return "\n".join([head, *(f"  {name:<{WIDTH - 1}} {text}" for name, text in lines.items())])


def headline(result: Result) -> Lines:
    """Column → text, for Snakemake's report. The name comes first: its rows are sorted by it.

    >>> auroc, few = ({"value": value, "low": 0.7, "high": 0.8} for value in (0.75, None))
    >>> test = {"auroc": auroc, "auprc": few}
    >>> parts = {"mortality": {"metrics": {"test": test}}}
    >>> headline({"target": "e_unimodal_mortality", "tasks": parts})
    {'result': 'e_unimodal_mortality', 'AUROC': '0.750 (0.700 to 0.800)', 'average precision': '–'}
    """
    texts = {
        task: {
            metric: with_interval(estimate)
            for metric, estimate in shown_metrics(test_of(part)).items()
        }
        for task, part in result["tasks"].items()
    }
    name = {"result": result["target"]}
    if len(texts) == 1:
        return name | next(iter(texts.values()))
    first = {task_words(task): next(iter(metrics.items())) for task, metrics in texts.items()}
    return name | {f"{task}, {metric}": text for task, (metric, text) in first.items()}


def defined(result: Result) -> str:
    """Version of the definitions, clock, items of the tasks and releases, in one line.

    >>> definition = {"unit": "ICU stay", "clock_zero": "arrival in the ICU", "hours": 4,
    ...               "items": [{"itemid": 221906, "label": "Norepinephrine"}],
    ...               "releases": {"MIMIC-IV": "3.1"}}
    >>> defined({"definitions_version": 2, "tasks": {"shock_4h": {"definition": definition}}})
    'version 2; ICU stay, 4 h from arrival in the ICU; Norepinephrine (221906); MIMIC-IV 3.1'
    """
    definitions = [part.get("definition") for part in result["tasks"].values()]
    known = [definition for definition in definitions if definition]
    parts = [f"version {result.get('definitions_version', 1)}"]
    if known:
        hours = ", ".join(dict.fromkeys(f"{one['hours']:g}" for one in known if one["hours"]))
        parts.append(f"{known[0]['unit']}, {hours} h from {known[0]['clock_zero']}")
    items = sorted({(i["itemid"], i.get("label") or "item") for one in known for i in one["items"]})
    parts += [", ".join(f"{label} ({item})" for item, label in items)] if items else []
    releases = dict(pair for one in known for pair in one["releases"].items())
    return "; ".join([*parts, *(f"{title} {version}" for title, version in releases.items())])


def _films(films: Mapping[str, Any] | None) -> Lines:
    """How many films the result lacks, if any."""
    if not films or not films["unreadable"]:
        return {}
    text = f"{films['unreadable']} of {films['needed']} cannot be read and count as missing"
    return {"Films": text}


def _embeddings(result: Result) -> Lines:
    """How many films or reports lack an embedding that was made elsewhere, if any."""
    texts = [
        f"{one['missing']} of {one['needed']} items of {name} have none and count as missing"
        for name, one in result.get("external", {}).items()
        if one.get("missing")
    ]
    return {"Embeddings": "; ".join(texts)} if texts else {}


def _training(ended: Sequence[Mapping[str, Any]]) -> Lines:
    """Which trainings were still rising when their budget ended, if any.

    >>> ended = [{"part": "ehr", "rising": True, "steps": 400}, {"part": "note", "rising": False}]
    >>> _training(ended)
    {'Training': 'ehr still rising at the end of the budget (400 steps): more may give more'}
    """
    rising = [one for one in ended if one["rising"]]
    if not rising:
        return {}
    parts = ", ".join(dict.fromkeys(one["part"] for one in rising))
    steps = max(one["steps"] for one in rising)
    text = f"{parts} still rising at the end of the budget ({steps} steps): more may give more"
    return {"Training": text}


def main() -> None:
    """Reads results and prints them."""
    arguments = parser(__doc__)
    arguments.add_argument("--result", required=True, nargs="+", help="results, JSON")
    add_words_argument(arguments)
    args = arguments.parse_args()
    for path in args.result:
        if len(args.result) > IN_FULL:
            values = headline(read_result(path)).items()
            print(f"{path}:", ", ".join(f"{k} {v}" for k, v in values if k != "result"))
        else:
            print(words(read_result(path), Path(path), letters_of(args)))


if __name__ == "__main__":
    run(main)
