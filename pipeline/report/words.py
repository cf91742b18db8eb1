"""A result in words, for the screen: how good, on whom, how good it could be, and where it is."""

from pathlib import Path
from typing import Any

from pipeline.report import complete
from pipeline.report.cells import gain_words
from pipeline.report.numbers import averaged, modality_name, noise_words, number, with_interval
from pipeline.report.task_words import task_lines
from pipeline.stage.command import parser, run
from pipeline.stage.files import read_json

WIDTH = 16
AHEAD = "the cohort asks for what is known only after the prediction time"


def words(result: dict[str, Any], path: Path) -> str:
    """The lines that are printed for the result in the file `path`."""
    lines = task_lines(result) if "tasks" in result else _lines(result)
    if reasons := result.get("cohort", {}).get("looks_ahead"):
        lines["Looks ahead"] = f"{AHEAD}: {'; '.join(reasons)}"
    lines |= {
        "Definitions": defined(result),
        **_films(result.get("unreadable_films")),
        "Intervals": f"95 %, {noise_words([result])[:-1]}",
        "Files": ", ".join(str(path.with_suffix(end)) for end in (".json", ".svg", ".run.json")),
    }
    head = f"{result['target']}, {result['protocol']} protocol"
    return "\n".join([head, *(f"  {name:<{WIDTH}}{text}" for name, text in lines.items())])


def defined(result: dict[str, Any]) -> str:
    """Version of the definitions, clock, items of the tasks and releases, in one line.

    >>> own = {"unit": "ICU stay", "clock_zero": "arrival in the ICU", "hours": 4,
    ...        "items": [{"itemid": 221906, "label": "Norepinephrine"}],
    ...        "releases": {"MIMIC-IV": "3.1"}}
    >>> defined({"definitions_version": 2, "task_definition": own})
    'version 2; ICU stay, 4 h from arrival in the ICU; Norepinephrine (221906); MIMIC-IV 3.1'
    """
    tasks = result.get("tasks") or {"": {"definition": result.get("task_definition")}}
    known = [own["definition"] for own in tasks.values() if own.get("definition")]
    parts = [f"version {result.get('definitions_version', 1)}"]
    if known:
        hours = ", ".join(dict.fromkeys(f"{own['hours']:g}" for own in known if own["hours"]))
        parts.append(f"{known[0]['unit']}, {hours} h from {known[0]['clock_zero']}")
    items = sorted({(i["itemid"], i.get("label") or "item") for own in known for i in own["items"]})
    parts += [", ".join(f"{label} ({item})" for item, label in items)] if items else []
    releases = dict(pair for own in known for pair in own["releases"].items())
    return "; ".join([*parts, *(f"{title} {version}" for title, version in releases.items())])


def _lines(result: dict[str, Any]) -> dict[str, str]:
    """What a result of one task says, see `result.schema.json`."""
    test = result["metrics"]["test"]
    return {
        "Test episodes": _who(test, averaged(result)),
        "AUROC": _auroc(result["metrics"]),
        "Other metrics": "average precision {auprc}, Brier {brier}, log loss {log_loss}".format(
            **{name: number(test[name]["value"]) for name in ("auprc", "brier", "log_loss")}
        ),
        **_ceiling(result["ceiling"]),
        **_gain(result["comparisons"], len(result["seeds"])),
        **complete.lines(result),
        "Calibration": "slope {slope}, intercept {intercept}".format(
            **{name: with_interval(fit, 2) for name, fit in result["calibration"].items()}
        ),
        "Threshold": _threshold(result["threshold"]),
        **_subgroups(result["subgroups"]),
        **_missing(result["missing"], result["modalities"]),
        **_without(result["sensitivity"]),
    }


def _who(test: dict[str, Any], mean: str) -> str:
    share = test["prevalence"]
    prevalence = f" (prevalence {100 * share:.1f} %)" if share is not None else ""
    who = f"{test['n']}, of {test['patients']} patients, {test['positives']} positive"
    return f"{who}{prevalence}{'; ' if mean else ''}{mean}"


def _auroc(metrics: dict[str, Any]) -> str:
    if reason := metrics["test"]["reason"]:
        return f"none: {reason}"
    others = ", ".join(f"{s} {number(metrics[s]['auroc']['value'])}" for s in ("train", "val"))
    auroc = metrics["test"]["auroc"]
    sd = f", SD over runs {number(auroc['sd'])}" if auroc["sd"] is not None else ""
    return f"{with_interval(auroc)}{sd}; {others}"


def _ceiling(ceiling: dict[str, Any] | None) -> dict[str, str]:
    if ceiling is None:
        return {"Ceiling": "unknown (no truth is known for this source and task)"}
    oracle = with_interval(ceiling["oracle_auroc"])
    return {
        "Ceiling": f"{number(ceiling['population_auroc'])} in the population; oracle {oracle}",
        "Oracle − model": with_interval(ceiling["oracle_minus_model"], sign=True),
    }


def _gain(comparisons: dict[str, Any], seeds: int) -> dict[str, str]:
    best = comparisons["best_single"]
    if best is None:
        return {}
    single = comparisons["singles"][best]
    test = number(single["test_auroc"])
    return {
        "Best single": f"{best} {test} (best of {len(comparisons['singles'])} on validation)",
        "Gain over it": gain_words(single, seeds),
    }


def _threshold(threshold: dict[str, Any]) -> str:
    if threshold["reason"]:
        return f"none: {threshold['reason']}"
    values = {name: with_interval(threshold[name]) for name in ("sensitivity", "specificity")}
    return "sensitivity {sensitivity}, specificity {specificity}".format(**values)


def _subgroups(subgroups: dict[str, Any] | None) -> dict[str, str]:
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


def _missing(missing: list[dict[str, Any]] | None, order: str) -> dict[str, str]:
    """AUROC where a modality is missing in as many episodes as was tried."""
    if not missing:
        return {}
    most = max(row["rate"] for row in missing)
    last = sorted(
        (r for r in missing if r["rate"] == most), key=lambda r: order.find(r["modality"])
    )
    each = (f"{modality_name(r['modality'])} {number(r['auroc']['value'])}" for r in last)
    return {"AUROC without": f"{', '.join(each)} (missing in {100 * most:.0f} %)"}


def _films(films: dict[str, Any] | None) -> dict[str, str]:
    """How many films the result lacks, if any."""
    if not films or not films["unreadable"]:
        return {}
    text = f"{films['unreadable']} of {films['needed']} cannot be read and count as missing"
    return {"Films": text}


def _without(analyses: list[dict[str, Any]]) -> dict[str, str]:
    """AUROC of each sensitivity analysis."""
    each = [
        f"{one['left_out']}: {one['reason'] or with_interval(one['auroc'])}" for one in analyses
    ]
    return {"Sensitivity": "; ".join(f"without {text}" for text in each)} if each else {}


def main() -> None:
    """Reads a result and prints it."""
    arguments = parser(__doc__)
    arguments.add_argument("--result", required=True, help="the result, JSON")
    args = arguments.parse_args()
    print(words(read_json(args.result), Path(args.result)))


if __name__ == "__main__":
    run(main)
