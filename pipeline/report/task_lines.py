"""What a result says of its tasks, line by line: all of one task, or a line of each of several."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pipeline.report.beaten import beaten_lines
from pipeline.report.names import Letters, letter_words, task_words, unique, unit_words
from pipeline.report.numbers import number, with_interval
from pipeline.report.results import RANKED, Part, figure_of, is_ranked
from pipeline.report.robustness import coverage_words
from pipeline.report.verdicts import averaged, gain_words
from pipeline.stage.result import Result

Lines = dict[str, str]  # name of a line → its text


def lines_of_one(result: Result, letters: Letters) -> Lines:
    """Everything that a result says of its one task, a binary one."""
    ((task, part),) = cast(dict[str, Part], result["tasks"]).items()
    test, seeds, unit = part["metrics"]["test"], len(result["seeds"]), unit_words(task)
    return {
        f"Test {unit}": _who(test, averaged(result)),
        "AUROC": _auroc(part["metrics"]),
        **beaten_lines(part["comparisons"], seeds),
        "Other metrics": "average precision {auprc}, Brier {brier}, log loss {log_loss}".format(
            **{name: number(test[name]["value"]) for name in ("auprc", "brier", "log_loss")}
        ),
        **_ceiling(part["ceiling"]),
        **_gain(part["comparisons"], seeds),
        **_all_modalities(part, seeds, unit, letters),
        "Calibration": "slope {slope}, intercept {intercept}".format(
            **{name: with_interval(fit, 2) for name, fit in part["calibration"].items()}
        ),
        "Threshold": _threshold(part["threshold"]),
        **_subgroups(part["subgroups"]),
        **_missing(part["missing"], result["modalities"], letters),
        **_without(part["sensitivity"]),
    }


def _who(test: Mapping[str, Any], mean: str) -> str:
    share = test["prevalence"]
    prevalence = f" (prevalence {100 * share:.1f} %)" if share is not None else ""
    who = f"{test['n']}, of {test['patients']} patients, {test['positives']} positive"
    return f"{who}{prevalence}{'; ' if mean else ''}{mean}"


def _auroc(metrics: Mapping[str, Any]) -> str:
    if reason := metrics["test"]["reason"]:
        return f"none: {reason}"
    others = ", ".join(f"{s} {number(metrics[s]['auroc']['value'])}" for s in ("train", "val"))
    auroc = metrics["test"]["auroc"]
    sd = f", SD over runs {number(auroc['sd'])}" if auroc["sd"] is not None else ""
    return f"{with_interval(auroc)}{sd}; {others}"


def _ceiling(ceiling: Mapping[str, Any] | None) -> Lines:
    if ceiling is None:
        return {"Ceiling": "unknown (known of the synthetic hospital's own tasks alone)"}
    oracle = with_interval(ceiling["oracle_auroc"])
    return {
        "Ceiling": f"{number(ceiling['population_auroc'])} in the whole hospital; oracle {oracle}",
        "Oracle − model": with_interval(ceiling["oracle_minus_model"], sign=True),
    }


def _gain(comparisons: Mapping[str, Any], seeds: int) -> Lines:
    best = comparisons["best_single"]
    if best is None:
        return {}
    single = comparisons["singles"][best]
    test = number(single["test_auroc"])
    return {
        "Best single": f"{best} {test} (best of {len(comparisons['singles'])} on validation)",
        "Gain over it": gain_words(single, seeds),
    }


def _all_modalities(part: Part, seeds: int, unit: str, letters: Letters) -> Lines:
    """Who has which modality, and the AUROC of those that have all, with the gain."""
    lines = {}
    if (coverage := part.get("coverage")) and (text := coverage_words(coverage, letters)):
        lines["Modalities"] = f"{text} of the test {unit}"
    if complete := part.get("complete"):
        lines["Complete only"] = _complete(complete, seeds, unit)
    return lines


def _complete(complete: Mapping[str, Any], seeds: int, unit: str) -> str:
    """The AUROC on the episodes with all modalities, and the gain over the best single model."""
    if complete["reason"]:
        return f"not measured: {complete['reason']}"
    test, compared = complete["metrics"]["test"], complete.get("comparisons") or {}
    text = (
        f"AUROC {with_interval(test['auroc'])} on the {test['n']} test {unit} with all modalities"
    )
    if best := compared.get("best_single"):
        text += f"; over {best} {gain_words(compared['singles'][best], seeds)}"
    return text


def _threshold(threshold: Mapping[str, Any]) -> str:
    if threshold["reason"]:
        return f"none: {threshold['reason']}"
    values = {name: with_interval(threshold[name]) for name in ("sensitivity", "specificity")}
    return "sensitivity {sensitivity}, specificity {specificity}".format(**values)


def _subgroups(subgroups: Mapping[str, Any] | None) -> Lines:
    """The group with the lowest AUROC among those that have one."""
    known = [
        (group["auroc"]["value"], f"{attribute} {group['group']}", group)
        for attribute, groups in (subgroups or {}).items()
        for group in groups or []
        if group["auroc"]["value"] is not None
    ]
    if not known:
        return {}
    _, name, group = min(known, key=lambda entry: entry[:2])
    auroc = with_interval(group["auroc"])
    return {"Weakest group": f"{name} {auroc}, n {group['n']}; lowest of {len(known)} groups"}


def _missing(missing: Sequence[Mapping[str, Any]] | None, order: str, letters: Letters) -> Lines:
    """AUROC where a modality is missing in as many episodes as was tried."""
    if not missing:
        return {}
    most = max(row["rate"] for row in missing)
    last = sorted(
        (r for r in missing if r["rate"] == most), key=lambda r: order.find(r["modality"])
    )
    each = (f"{letter_words(r['modality'], letters)} {number(r['auroc']['value'])}" for r in last)
    return {"AUROC without": f"{', '.join(each)} (missing in {100 * most:.0f} %)"}


def _without(analyses: Sequence[Mapping[str, Any]]) -> Lines:
    """AUROC of each sensitivity analysis."""
    each = [
        f"{one['left_out']}: {one['reason'] or with_interval(one['auroc'])}" for one in analyses
    ]
    return {"Sensitivity": "; ".join(f"without {text}" for text in each)} if each else {}


def lines_of_several(result: Result, letters: Letters) -> Lines:
    """A line per task of a result of several, then who has which modality by when."""
    parts = cast(dict[str, Part], result["tasks"])
    lines = {}
    for task, part in parts.items():
        beaten = beaten_lines(part.get("comparisons"), len(result["seeds"]))
        others = [f"{name.lower()} {text}" for name, text in beaten.items()]
        lines[task_words(task)] = "; ".join([*others, _task_line(part, unit_words(task))])
    covered = {task: coverage_words(part["coverage"], letters) for task, part in parts.items()
               if "coverage" in part}  # fmt: skip
    texts = unique(f"{task_words(task)}: {text}" for task, text in covered.items() if text)
    lines |= {"Modalities": "; ".join(texts), "Metrics": averaged(result)}
    return {name: text for name, text in lines.items() if text}


def _task_line(part: Part, unit: str) -> str:
    """How good on one of several tasks, on all test episodes and on those with all modalities."""
    test = part["metrics"]["test"]
    if test["reason"]:
        return f"none: {test['reason']}"
    text = _recall(test, unit) if is_ranked(part) else _binary(test, part, unit)
    complete = part.get("complete")
    if not complete:
        return text
    if complete["reason"]:
        return f"{text}; with all modalities not measured: {complete['reason']}"
    estimate, n = figure_of(part, complete=True), complete["metrics"]["test"]["n"]
    return f"{text}; with all modalities {with_interval(estimate)}, {n} {unit}"


def _binary(test: Mapping[str, Any], part: Part, unit: str) -> str:
    text = (
        f"AUROC {with_interval(test['auroc'])}, average precision {number(test['auprc']['value'])}"
    )
    if part["ceiling"]:
        distance = with_interval(part["ceiling"]["oracle_minus_model"], sign=True)
        text += f", oracle − model {distance}"
    for one in part["sensitivity"]:
        text += f", without {one['left_out']} {one['reason'] or with_interval(one['auroc'])}"
    who = f"{test['n']} {unit} of {test['patients']} patients"
    return f"{text}; {who}, {test['positives']} positive"


def _recall(test: Mapping[str, Any], unit: str) -> str:
    recall = test["recall"][RANKED]
    return (
        f"Recall@{RANKED} {with_interval(recall['model'])}, by frequency alone "
        f"{number(recall['prior']['value'])}, at most {number(recall['ceiling']['value'])}; "
        f"{test['n']} {unit} with {test['labels_per_stay']:.1f} groups each"
    )
