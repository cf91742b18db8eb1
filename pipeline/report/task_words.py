"""A result of ICU stays in words: a line or two per task."""

from typing import Any

from pipeline.report.catalogue import unique
from pipeline.report.complete import shares
from pipeline.report.numbers import averaged, number, with_interval
from pipeline.report.task_names import in_words

BEST = "10"  # of the ranks k


def task_lines(result: dict[str, Any]) -> dict[str, str]:
    """Name of a task → what the result says of it on the test stays."""
    lines = {}
    for task, own in result["tasks"].items():
        test = own["metrics"]["test"]
        if test["reason"]:
            lines[in_words(task)] = f"none: {test['reason']}"
        else:
            text = _recall(test) if "recall" in test else _auroc(own, test)
            lines[in_words(task)] = text + _complete(own)
    lines["Modalities"] = "; ".join(unique(_covered(result)))
    lines["Metrics"] = averaged(result)
    return {name: text for name, text in lines.items() if text}


def _auroc(own: dict[str, Any], test: dict[str, Any]) -> str:
    who = f"{test['n']} stays of {test['patients']} patients, {test['positives']} positive"
    text = (
        f"AUROC {with_interval(test['auroc'])}, average precision {number(test['auprc']['value'])}"
    )
    if own["ceiling"]:
        text += f", oracle − model {with_interval(own['ceiling']['oracle_minus_model'], sign=True)}"
    for fewer in own["sensitivity"]:
        text += f", without {fewer['left_out']} {fewer['reason'] or with_interval(fewer['auroc'])}"
    return f"{text}; {who}"


def _covered(result: dict[str, Any]) -> list[str]:
    """Who has which modality before each task is predicted."""
    found = {task: own["coverage"] for task, own in result["tasks"].items() if "coverage" in own}
    texts = {task: shares(coverage) for task, coverage in found.items()}
    return [f"{in_words(task)}: {text}" for task, text in texts.items() if text]


def _complete(own: dict[str, Any]) -> str:
    """The figure on the stays that have all modalities, or why there is none."""
    complete = own.get("complete")
    if not complete:
        return ""
    if complete["reason"]:
        return f"; with all modalities not measured: {complete['reason']}"
    test = complete["metrics"]["test"]
    figure = test["recall"][BEST]["model"] if "recall" in test else test["auroc"]
    return f"; with all modalities {with_interval(figure)}, {test['n']} stays"


def _recall(test: dict[str, Any]) -> str:
    own = test["recall"][BEST]
    return (
        f"Recall@{BEST} {with_interval(own['model'])}, by frequency alone "
        f"{number(own['prior']['value'])}, at most {number(own['ceiling']['value'])}; "
        f"{test['n']} stays with {test['labels_per_stay']:.1f} groups each"
    )
