"""The page of the learning curve: oracle − model of every hospital, and what was wanted of it."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LARGE, CENTRAL = 8000, 2500  # patients; joint fusion and UniMed are run at the second size alone
FUSED = ("early", "gated", "late", "logistic")
SINGLES = ("e_unimodal", "c_unimodal", "n_unimodal")
STAY_TASKS = ("shock_4h", "arf_12h", "mortality_48h")
UNIMED, STATISTICS = "en_unimed_all", "e_logistic-stats"
PAIRS = (("ecn_early", "ecn_logistic"), ("ecn_gated", "ecn_early"))  # of mortality: first − second
WITHIN = {CENTRAL: {"ecn": 0.04, "singles": 0.03}, LARGE: {"ecn": 0.015}}  # oracle − model, wanted
LEAST = -0.01  # early − logistic, in every hospital


def gaps(records: Iterable[Mapping[str, Any]], model: str, patients: int) -> list[float]:
    """oracle − model of mortality in every hospital of a size."""
    return [
        record["models"][f"{model}_mortality"]["oracle_minus_model"]["value"]
        for record in records
        if record["patients"] == patients and f"{model}_mortality" in record["models"]
    ]


def verdicts(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was wanted, what was found, whether it is met: by means over the hospitals of a size."""
    rows = []
    for patients, limits in WITHIN.items():
        models = {f"ecn_{model}": limits["ecn"] for model in FUSED}
        models |= dict.fromkeys(SINGLES, limits["singles"]) if "singles" in limits else {}
        for model, limit in models.items():
            if values := gaps(records, model, patients):
                inside = sum(value <= limit for value in values)
                found = f"mean {_short(statistics.mean(values))}; in {inside} of {len(values)}"
                asked = f"{patients:,} patients: oracle − {model} ≤ {_short(limit)}"
                rows.append(
                    {"asked": asked, "found": found, "met": statistics.mean(values) <= limit}
                )
    early, logistic = (f"{model}_mortality" for model in PAIRS[0])
    pairs = [("early − logistic ≥ 0 in the mean, nowhere below −.01", early, logistic, LEAST)]
    pairs += [
        (f"{UNIMED} not below {STATISTICS}, {task}", UNIMED, f"{STATISTICS}_{task}", -1.0)
        for task in STAY_TASKS
    ]
    for asked, first, second, least in pairs:
        if values := differences_of(records, first, second):
            mean, lowest = statistics.mean(values), min(values)
            found = f"mean {_short(mean)}, lowest {_short(lowest)}"
            rows.append({"asked": asked, "found": found, "met": mean >= 0 and lowest >= least})
    return rows


def differences_of(records: Iterable[Mapping[str, Any]], first: str, second: str) -> list[float]:
    """first − second in every hospital that has both."""
    pairs = (pair for record in records for pair in record["pairs"])
    return [p["value"] for p in pairs if (p["first"], p["second"]) == (first, second)]


def _short(value: float) -> str:
    """Three digits, without the zero before the point.

    >>> _short(0.0304), _short(-0.01)
    ('.030', '−.010')
    """
    return f"{value:.3f}".replace("-", "−").replace("0.", ".", 1)


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    low, high = (_short(figure[end]) for end in ("low", "high"))
    return f"{_short(figure['value'])} ({low} to {high})"


HEAD = """# Learning curve

oracle − model: how far a model stays below what is reachable with its own modalities, in AUROC on
the test patients, with 95 % intervals over patients; the oracle's own AUROC stands for the most
modalities of the row. A model may seem better than the oracle, an interval below 0: outcomes are
drawn by the risk, and few positives fall so by chance. Made by `benchmarks/learning_curve.py`: the
default recipe on hospitals on which nothing was chosen. One of them, drift with 1,500 patients and
seed 201, was seen before the choice of statistics beside the EHR's tokens, all of them before gated
was mended: docs/choices.md.

Both variants of a size and seed are the same patients with the same films and reports; their vitals
differ. So each figure of films (c) and notes (n) stands here twice, and "in 4 of 4" is of two
hospitals.
"""
MODELS = [*SINGLES, "e_gbdt-stats", *(f"ecn_{model}" for model in (*FUSED, "joint"))]


def page(
    records: Sequence[Mapping[str, Any]], missing: Sequence[str], skipped: Sequence[str]
) -> str:
    """The table as markdown; `missing`: hospitals not finished, `skipped`: models there are not."""
    lines = [HEAD]
    lines += [f"Not finished: {', '.join(missing)}.\n"] * bool(missing)
    lines += [f"Models that there are not yet: {', '.join(skipped)}.\n"] * bool(skipped)
    lines += ["## Mortality\n", *_table(records, [f"{model}_mortality" for model in MODELS])]
    lines += ["\n## UniMed beside logistic regression on statistics"]
    for task in STAY_TASKS:
        pair = [f"{model}_{task}" for model in ("en_unimed", STATISTICS)]
        central = [record for record in records if pair[0] in record["models"]]
        lines += ["", *_table(central, pair)]
    lines += ["\n## first − second on the same test episodes\n"]
    lines += ["| variant | patients | seed | first | second | difference |", "|---" * 6 + "|"]
    lines += [
        f"| {record['variant']} | {record['patients']:,} | {record['seed']} | {pair['first']} "
        f"| {pair['second']} | {_cell(pair)} |"
        for record in records
        for pair in record["pairs"]
    ]
    lines += ["\n## What was wanted\n", "| wanted | found | |", "|---|---|---|"]
    lines += [
        f"| {row['asked']} | {row['found']} | {'met' if row['met'] else '**not met**'} |"
        for row in verdicts(records)
    ]
    return "\n".join([*lines, ""])


def _table(records: Iterable[Mapping[str, Any]], models: Sequence[str]) -> list[str]:
    """A row per hospital: AUROC of the oracle of the most modalities, oracle − each model."""
    most = max((model.split("_")[0] for model in models), key=len)
    head = ["variant", "patients", "seed", "code", f"oracle of {most}", *models]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for record in records:
        known = record["models"]
        best = max(
            (known[m]["oracle"] for m in models if m in known),
            key=lambda oracle: oracle["value"] or 0,
            default=None,
        )
        cells = [record["variant"], f"{record['patients']:,}", str(record["seed"]), record["code"]]
        cells += [_cell(best)]
        cells += [_cell(known[m]["oracle_minus_model"] if m in known else None) for m in models]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
