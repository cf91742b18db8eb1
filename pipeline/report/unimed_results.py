"""Results of several tasks by name, and the figure of each task that the tables show."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipeline.report.catalogue import SIDECAR, same_definitions, unique
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.multitask import hours

ALL, MODEL = "all", "unimed"
Name = tuple[str, str, str]  # modalities, model, task of the target
Results = dict[Name, dict[str, Any]]
Row = dict[str, Any]


def read_results(paths: list[str]) -> Results:
    """Results by modalities, model and task, in the order given, without sidecars.

    Raises `InputError` for a file that is no such result, and for two of one name.
    """
    results: Results = {}
    files: list[tuple[str, dict[str, Any]]] = []
    for path in paths:
        if path.endswith(SIDECAR):
            continue
        result = read_json(path)
        if not isinstance(result, dict) or "tasks" not in result:
            raise InputError(
                f"{path}: not a result; expected the JSON of pipeline.evaluation.result"
            )
        name = (result["modalities"], result["model"], result["task"])
        if name in results:
            raise InputError(f"{path}: a second result of {'_'.join(name)}")
        results[name] = result
        files.append((path, result))
    same_definitions(files)
    if not results:
        raise InputError("--results: no results given")
    return results


def tasks_of(results: Results) -> list[str]:
    """Every task, in the order of time."""
    known = unique(task for result in results.values() for task in result["tasks"])
    return sorted(known, key=hours)


def reference(results: Results) -> str:
    """The modalities that most results have; of several the first.

    >>> reference({("e", "unimed", "all"): {}, ("en", "unimed", "all"): {}, ("en", "x", "all"): {}})
    'en'
    """
    return Counter(modalities for modalities, *_ in results).most_common(1)[0][0]


def is_diagnoses(found: dict[str, Any]) -> bool:
    """Whether a task's part of a result is about diagnosis groups."""
    return "vocabulary" in found


def figure_of(results: Results, name: Name, task: str, complete: bool = False
              ) -> dict[str, Any] | None:  # fmt: skip
    """The estimate of a task on the test stays: AUROC, or Recall@10; None where there is none.

    `complete`: on those that have all modalities of the config.
    """
    found = results.get(name, {"tasks": {}})["tasks"].get(task)
    measured = found if not (found and complete) else found.get("complete")
    if not measured or not measured["metrics"]:
        return None
    test = measured["metrics"]["test"]
    if not is_diagnoses(found or {}):
        return test["auroc"]
    return test["recall"]["10"]["model"] if test["recall"] else None


def csv_rows(results: Results) -> Iterator[Row]:
    """One row per result, task and metric, on all test stays and on those with all modalities."""
    for (modalities, model, trained_on), result in results.items():
        for task, stays, found in _parts(result):
            test = found["metrics"]["test"]
            head = {"protocol": result["protocol"], "modalities": modalities, "model": model}
            head |= {"trained_on": trained_on, "task": task}
            head |= {"stays": stays, "n": test["n"]}
            head |= {"patients": test["patients"], "positives": test.get("positives")}
            for metric, own in _metrics(found):
                numbers = {key: own.get(key) for key in ("value", "low", "high", "sd")}
                yield {**head, "metric": metric, **numbers}


def _parts(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each task on all stays, and on those with all modalities as far as there are figures."""
    for task, found in result["tasks"].items():
        yield task, "all", found
        fewer = found.get("complete")
        if fewer and not fewer["reason"]:
            yield task, "with all modalities", {**found, **fewer}


def _metrics(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    test = found["metrics"]["test"]
    if not is_diagnoses(found):
        yield from ((name, test[name]) for name in ("auroc", "auprc", "brier", "log_loss"))
        if found["ceiling"]:
            yield "oracle_auroc", found["ceiling"]["oracle_auroc"]
        return
    for k, own in (test["recall"] or {}).items():
        yield from ((f"recall@{k} {kind}", estimate) for kind, estimate in own.items())
    yield from ((name, test[name]) for name in ("macro_auroc", "micro_auroc"))
