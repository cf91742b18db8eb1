"""What the report's list of results says of each: its name and its figures on the test rows.

For `labels` of Snakemake's `report()`, called while the report is made.
"""

from typing import Any

from pipeline.report.numbers import with_interval
from pipeline.report.task_names import in_words
from pipeline.stage.files import read_json


def headline(wildcards: Any, output: Any) -> dict[str, str]:
    """Column → text, of the result whose JSON is `output.result`."""
    return columns(read_json(output.result))


def columns(result: dict[str, Any]) -> dict[str, str]:
    """Column → text. The name comes first: rows of the report are sorted and told apart by it.

    >>> auroc, few = ({"value": value, "low": 0.7, "high": 0.8} for value in (0.75, None))
    >>> test = {"auroc": auroc, "auprc": few}
    >>> columns({"target": "e_unimodal_mortality", "metrics": {"test": test}})
    {'result': 'e_unimodal_mortality', 'AUROC': '0.750 (0.700 to 0.800)', 'average precision': '–'}
    """
    name = {"result": result["target"]}
    if "tasks" not in result:
        return name | metrics(result["metrics"]["test"])
    found = {task: metrics(own["metrics"]["test"]) for task, own in result["tasks"].items()}
    if len(found) == 1:
        return name | next(iter(found.values()))
    first = {in_words(task): next(iter(own.items())) for task, own in found.items()}
    return name | {f"{task}, {metric}": value for task, (metric, value) in first.items()}


def metrics(test: dict[str, Any]) -> dict[str, str]:
    """The two metrics of a task that are shown, the more important first."""
    if "recall" in test:
        recall = test["recall"] or {}
        shown = {"Recall@10": recall.get("10", {}).get("model"), "AUROC": test["macro_auroc"]}
    else:
        shown = {"AUROC": test["auroc"], "average precision": test["auprc"]}
    return {name: with_interval(own) if own else "–" for name, own in shown.items()}
