"""What the judge says, as lines of text."""

from collections.abc import Mapping
from typing import Any

from pipeline.hospital.judge_traps import CERTAIN
from pipeline.stage.judgement import Judgement, Leakage, Splits

NO_TRAP = (
    "no trap left a trace of its own: read is the outcome itself (discharge columns, discharge "
    "summaries), or several traps that tell alike"
)


def number(figure: Mapping[str, Any], digits: int = 3) -> str:
    """A value with its interval.

    >>> number({"value": 0.8123, "low": 0.7, "high": 0.9})
    '0.812 (0.700 to 0.900)'
    >>> number({"value": None, "low": None, "high": None})
    'none'
    """
    if figure["value"] is None:
        return "none"
    if figure["low"] is None:
        return f"{figure['value']:.{digits}f}"
    return (
        f"{figure['value']:.{digits}f} ({figure['low']:.{digits}f} to {figure['high']:.{digits}f})"
    )


def lines(made: Judgement) -> list[str]:
    """All that is said, line by line."""
    counts, weak = made["counts"], made["calibration"]
    share = counts["positives"] / counts["judged"]
    return [
        f"{made['task']}: {counts['judged']:,} of {counts['rows']:,} predictions judged, of "
        f"{counts['patients']:,} patients, {counts['positives']:,} positive ({share:.1%})",
        f"  {counts['no_episode']:,} are of no episode of the task; {counts['missing']:,} episodes "
        "have no prediction",
        f"AUROC           {number(made['auroc'])}",
        f"best reachable  {number(made['oracle_auroc'])}, from modalities {made['modalities']}",
        f"distance        {number(made['oracle_minus_model'])}, best reachable − predictions",
        f"Brier score     {number(made['brier'])}; of the best reachable "
        f"{number(made['oracle_brier'])}",
        f"calibration     slope {number(weak['slope'], 2)} (1 is right), in the large "
        f"{number(weak['intercept'], 2)} (0 is right)",
        f"leak            {why(made['leak'])}",
        *table(made["leak"]),
        *(of_lists(made["splits"]) if made["splits"] else ["splits          no lists given"]),
    ]  # fmt: skip


def why(leak: Leakage) -> str:
    """The verdict and what it rests on."""
    told = number(leak["outcome_beyond_risk"])
    beyond = f"correlation with the death, given the risk that can be known in time: {told}"
    if leak["verdict"] == "none seen":
        return f"none seen; {beyond}; suspect would be above 0 at p < {CERTAIN:g}"
    reasons = [
        words
        for words, holds in (
            ("above the interval of the best reachable", leak["above_oracle"]),
            ("better than the best reachable on the same patients", leak["paired"]),
        )
        if holds
    ]
    into = f"into {', then '.join(map(' or '.join, leak['into']))}" if leak["into"] else NO_TRAP
    return "; ".join([f"{leak['verdict']}: {beyond}", *reasons, into])


def table(leak: Leakage) -> list[str]:
    """A line per trap; those that were read are marked."""
    head = ("trap", "held by", "correlation", "honest", "given risk", "apart")
    rows = [
        "  held by: judged episodes that have it; of the predictions: correlation, what the best "
        "reachable ones have (honest),",
        "  given the risk, and given the risk, the outcome and the length of stay (apart; 0 of "
        "honest predictions)",
        "  {:24}{:>8}{:>13}{:>8}{:>12}{:>8}".format(*head),
    ]
    for bait in leak["baits"]:
        figures = (
            bait["correlation"]["value"], bait["honest"], bait["beyond_risk"]["value"],
            bait["apart"]["value"],
        )  # fmt: skip
        texts = ["–" if value is None else f"{value:.2f}" for value in figures]
        line = "  {:24}{:>8,}{:>13}{:>8}{:>12}{:>8}".format(
            bait["name"], bait["admissions"], *texts
        )
        rows.append(line + "  ← read" * any(bait["name"] in group for group in leak["into"]))
    return rows


def of_lists(found: Splits) -> list[str]:
    """Patients in two splits."""
    return [
        f"splits          {found['in_both']:,} patients on both lists ({found['train']:,} of "
        f"training, {found['test']:,} of test); judged are {found['judged_in_train']:,} on the "
        f"list of training, {found['judged_not_in_test']:,} not on that of test"
    ]
