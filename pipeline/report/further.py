"""Tables across tasks: Shapley values, missing modalities, sensitivity analyses."""

from typing import Any

import numpy as np

from pipeline.evaluation.attribution import shapley
from pipeline.report.catalogue import LETTERS, Name, Results, full_set, unique
from pipeline.report.cells import cell, folded, p_cell, sd_cell, short, table
from pipeline.stage.names import subsets


def shapley_table(attributions: list[dict[str, Any]], results: Results) -> str:
    """Shapley values and their differences, with the values that the known ceilings give."""
    known = [a for a in attributions if a["shapley"]]
    if not known:
        return ""
    letters = known[0]["modalities"]
    pairs = [(row["first"], row["second"]) for row in known[0]["differences"]]
    names = [LETTERS.get(letter, letter) for letter in letters]
    header = ["task", "fusion", "protocol", "episodes", *names, "all − .500"]
    header += [f"{one} − {two}, SD between seeds, p (Holm)" for one, two in pairs]
    rows = []
    for task in unique(a["task"] for a in known):
        mine = [a for a in known if a["task"] == task]
        rows += [
            _shapley_row({**a, **part}, letters, pairs, who)
            for a in mine
            for who, part in (("all", a), (EVERY, a.get("complete") or {}))
            if part.get("shapley")
        ]
        if truth := _planted(task, letters, results):
            rows.append(
                [task, "ceiling", "–", "–", *map(short, truth), short(sum(truth)), *_blank(pairs)]
            )
    return "\n\n".join(["## What each modality contributes", SHAPLEY, table(header, rows, words=4)])


SHAPLEY = (
    "Shapley values: the gain in test AUROC by a modality, averaged over all orders in which the "
    "modalities can be added; they sum to the AUROC of all minus .500. p-values are corrected over "
    "the pairs of modalities. Episodes: all, or those that have all modalities of the config."
)
EVERY = "with all modalities"


def _blank(columns: list[Any]) -> list[str]:
    return [""] * len(columns)


def _shapley_row(
    found: dict[str, Any], letters: list[str], pairs: list[tuple[str, str]], who: str
) -> list[str]:
    values = [cell(found["shapley"].get(letter)) for letter in letters]
    between = {(row["first"], row["second"]): row for row in found["differences"]}
    differences = [
        f"{cell(row, sign=True)}, {sd_cell(row)}, {p_cell(row['p_holm'])}"
        if (row := between.get(pair))
        else "–"
        for pair in pairs
    ]
    head = [found["task"], found["fusion"], found["protocol"], who]
    return [*head, *values, cell(found["total"]), *differences]


def _planted(task: str, letters: list[str], results: Results) -> list[float]:
    """Shapley values of the best reachable AUROCs in the population; empty where unknown."""
    ceilings = {
        modalities: result["ceiling"]["population_auroc"]
        for (_, of, modalities, _), result in results.items()
        if of == task and result["ceiling"]
    }
    worth = [ceilings.get(s) for s in subsets("".join(letters))]
    if None in worth:
        return []
    return shapley(np.array(worth, dtype=float), "".join(letters)).tolist()


def missing_table(results: Results) -> str:
    """AUROC with a modality missing at random at each rate; the full set first, the rest folded."""
    known = {name: result for name, result in results.items() if result.get("missing")}
    if not known:
        return ""
    fewer = {n: r["complete"] for n, r in known.items() if (r.get("complete") or {}).get("missing")}
    full = full_set(name[2] for name in known)
    rates = sorted({row["rate"] for result in known.values() for row in result["missing"]})
    header = ["task", "model", "protocol", "missing"]
    header += [f"{100 * rate:.0f} %" for rate in rates]
    header += [f"loss at {100 * rates[-1]:.0f} %", "its SD between seeds"]
    first = [row for n, r in known.items() if n[2] == full for row in _missing_rows(n, r, rates)]
    rest = [row for n, r in known.items() if n[2] != full for row in _missing_rows(n, r, rates)]
    parts = ["## Missing modalities", MISSING, table(header, first, words=4)]
    if fewer:
        own = [row for n, r in fewer.items() for row in _missing_rows(n, r, rates)]
        parts.append(folded("Of the episodes with all modalities", table(header, own, words=4)))
    if rest:
        parts.append(folded("Smaller sets of modalities", table(header, rest, words=4)))
    return "\n\n".join(parts)


MISSING = (
    "Test AUROC when a modality is taken away, at random, from a share of the episodes that have "
    "it; 100 %: from all. The loss is the paired difference to the prediction with everything."
)


def _missing_rows(name: Name, result: dict[str, Any], rates: list[float]) -> list[list[str]]:
    protocol, task, modalities, model = name
    rows = []
    for letter in [m for m in modalities if any(row["modality"] == m for row in result["missing"])]:
        by_rate = {row["rate"]: row for row in result["missing"] if row["modality"] == letter}
        values = [cell(by_rate[rate]["auroc"]) if rate in by_rate else "–" for rate in rates]
        last = by_rate.get(rates[-1])
        loss = last and last["minus_complete"]
        head = [task, f"{modalities} {model}", protocol, LETTERS.get(letter, letter)]
        rows.append([*head, *values, cell(loss, sign=True), sd_cell(loss)])
    return rows


def sensitivity_table(results: Results) -> str:
    """Test AUROC without the episodes that each of a task's sensitivity analyses leaves out."""
    known = {name: result for name, result in results.items() if result.get("sensitivity")}
    if not known:
        return ""
    said = unique(
        f"{name[1]}: {fewer['left_out']}"
        for name, result in known.items()
        for fewer in result["sensitivity"]
    )
    rows = []
    for (protocol, task, modalities, model), result in known.items():
        everyone, head = result["metrics"]["test"], [task, f"{modalities} {model}", protocol]
        rows += [
            [*head, fewer["left_out"], cell(everyone["auroc"]), cell(fewer["auroc"]),
             _count(fewer["n"])]
            for fewer in result["sensitivity"]
        ]  # fmt: skip
    header = ["task", "model", "protocol", "without", "AUROC of all", "AUROC without them"]
    header.append("episodes left")
    return "\n\n".join(
        [
            "## Sensitivity analyses",
            "Left out of the test episodes:",
            "\n".join(f"* {text}" for text in said),
            folded("AUROC with and without them", table(header, rows, words=4)),
        ]
    )


def _count(count: int | str | None) -> str:
    return f"{count:,}" if isinstance(count, int) else count or "–"
