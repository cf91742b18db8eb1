"""A result of ICU stays in words: a line or two per task."""

from typing import Any

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
            lines[in_words(task)] = _recall(test) if "recall" in test else _auroc(own, test)
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


def _recall(test: dict[str, Any]) -> str:
    own = test["recall"][BEST]
    return (
        f"Recall@{BEST} {with_interval(own['model'])}, by frequency alone "
        f"{number(own['prior']['value'])}, at most {number(own['ceiling']['value'])}; "
        f"{test['n']} stays with {test['labels_per_stay']:.1f} groups each"
    )
