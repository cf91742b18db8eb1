"""A result in words, for the screen: how good, on whom, how good it could be, and where it is."""

from pathlib import Path
from typing import Any

from pipeline.common.command import parser, run
from pipeline.common.files import read_json
from pipeline.report.numbers import number, with_interval

WIDTH = 16


def words(result: dict[str, Any], path: Path) -> str:
    """The lines that are printed for the result in the file `path`; see `result.schema.json`."""
    test = result["metrics"]["test"]
    lines = {
        "Test episodes": _who(test, result["seeds"]),
        "AUROC": _auroc(result["metrics"]),
        "Other metrics": "average precision {auprc}, Brier {brier}, log loss {log_loss}".format(
            **{name: number(test[name]["value"]) for name in ("auprc", "brier", "log_loss")}
        ),
        **_ceiling(result["ceiling"]),
        **_gain(result["comparisons"]),
        "Calibration": "slope {slope}, intercept {intercept}".format(
            **{name: with_interval(fit, 2) for name, fit in result["calibration"].items()}
        ),
        "Intervals": f"95 %, {result['bootstrap']['resamples']:,} bootstrap resamples of patients",
        "Files": ", ".join(str(path.with_suffix(end)) for end in (".json", ".svg", ".run.json")),
    }
    head = f"{result['target']}, {result['protocol']} protocol"
    return "\n".join([head, *(f"  {name:<{WIDTH}}{text}" for name, text in lines.items())])


def _who(test: dict[str, Any], seeds: list[int]) -> str:
    share = test["prevalence"]
    prevalence = f" (prevalence {100 * share:.1f} %)" if share is not None else ""
    mean = f"; mean of {len(seeds)} training seeds" if len(seeds) > 1 else ""
    who = f"{test['n']}, of {test['patients']} patients, {test['positives']} positive"
    return f"{who}{prevalence}{mean}"


def _auroc(metrics: dict[str, Any]) -> str:
    if reason := metrics["test"]["reason"]:
        return f"none: {reason}"
    others = ", ".join(f"{s} {number(metrics[s]['auroc']['value'])}" for s in ("train", "val"))
    return f"{with_interval(metrics['test']['auroc'])}; {others}"


def _ceiling(ceiling: dict[str, Any] | None) -> dict[str, str]:
    if ceiling is None:
        return {"Ceiling": "unknown (no truth is known for this source and task)"}
    oracle = with_interval(ceiling["oracle_auroc"])
    return {
        "Ceiling": f"{number(ceiling['population_auroc'])} in the population; oracle {oracle}",
        "Oracle − model": with_interval(ceiling["oracle_minus_model"], sign=True),
    }


def _gain(comparisons: dict[str, Any]) -> dict[str, str]:
    best = comparisons["best_single"]
    if best is None:
        return {}
    single = comparisons["singles"][best]
    gain, test = single["model_minus_single"], number(single["test_auroc"])
    verdict = ""
    if gain["low"] is not None:
        verdict = ", includes 0" if gain["low"] <= 0 <= gain["high"] else ", excludes 0"
    return {
        "Best single": f"{best} {test} (best of {len(comparisons['singles'])} on validation)",
        "Gain over it": f"{with_interval(gain, sign=True)}{verdict}",
    }


def main() -> None:
    """Reads a result and prints it."""
    arguments = parser(__doc__)
    arguments.add_argument("--result", required=True, help="the result, JSON")
    args = arguments.parse_args()
    print(words(read_json(args.result), Path(args.result)))


if __name__ == "__main__":
    run(main)
