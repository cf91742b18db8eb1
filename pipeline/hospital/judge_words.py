"""What the judge says, as lines of text."""

from collections.abc import Mapping
from typing import Any

from pipeline.stage.judgement import Bait, Judgement, Leakage, Splits


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
        f"distance        {number(made['oracle_minus_model'])}, best reachable − predictions, paired",
        f"Brier score     {number(made['brier'])}; of the best reachable {made['oracle_brier']['value']:.3f}",
        f"calibration     slope {number(weak['slope'], 2)} (1 is right), in the large "
        f"{number(weak['intercept'], 2)} (0 is right)",
        f"leak            {why(made['leak'])}",
        *table(made["leak"]["baits"]),
        *(of_lists(made["splits"]) if made["splits"] else ["splits          no lists given"]),
    ]  # fmt: skip


def why(leak: Leakage) -> str:
    """The verdict and what it rests on."""
    beyond = f"correlation with the death, given the risk that can be known: {number(leak['outcome_beyond_risk'])}"
    named = sorted(
        (bait for bait in leak["baits"] if bait["named"]),
        key=lambda bait: -(bait["apart"]["value"] or 0),
    )
    if leak["verdict"] == "none seen":
        return f"none seen; {beyond}"
    if leak["verdict"] == "suspect":
        return f"suspect: the predictions tell the outcome beyond what can be known; {beyond}"
    reasons = [
        words
        for words, holds in (
            ("above the interval of the best reachable", leak["above_oracle"]),
            ("better than the best reachable on the same patients", leak["paired"]),
        )
        if holds
    ]
    into = ", ".join(bait["name"] for bait in named)
    none = (
        "no single trap stands out: read are several that tell alike, or the outcome itself "
        "(discharge columns, discharge summaries)"
    )
    return "leaks: " + "; ".join([*reasons, f"into {into}" if into else none, beyond])


def table(baits: list[Bait]) -> list[str]:
    """A line per trap; the strongest trace first is marked where it is named."""
    head = f"  {'trap':24}{'held by':>8}{'correlation':>13}{'honest':>8}{'given risk':>12}{'apart':>8}"
    rows = [head]
    for bait in baits:
        figures = (
            bait["correlation"]["value"], bait["honest"], bait["beyond_risk"]["value"],
            bait["apart"]["value"],
        )  # fmt: skip
        texts = ("–" if value is None else f"{value:.2f}" for value in figures)
        wide = "".join(f"{text:>{size}}" for text, size in zip(texts, (13, 8, 12, 8), strict=True))
        mark = "  ← read" if bait["named"] else ""
        rows.append(f"  {bait['name']:24}{bait['admissions']:>8,}{wide}{mark}")
    return rows


def of_lists(found: Splits) -> list[str]:
    """Patients in two splits."""
    return [
        f"splits          {found['in_both']:,} patients on both lists ({found['train']:,} of "
        f"training, {found['test']:,} of test); judged: {found['judged_in_train']:,} on the list of "
        f"training, {found['judged_not_in_test']:,} not on that of test"
    ]
