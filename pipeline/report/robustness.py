"""The same models on other episodes: with all modalities, with one taken away, with some left out.

Tables of Wang's page are of results of one task (`results.of_one_task`), with their protocol;
those of UniMed's page have a row per task inside a result.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report.names import Letters, full_set, letter_words, task_words, unique
from pipeline.report.numbers import bullets, cell, count, folded, p_cell, sd_cell, table
from pipeline.report.results import (
    Differences,
    FlatResults,
    Name,
    Results,
    figure_of,
    gain,
    parts_of,
    test_of,
)

COMPLETE = (
    "All other tables are of all test episodes, whatever they lack. Here are those that have every "
    "modality of the config, by the same code; gains are paired, their p corrected as above. Who "
    "has what among the test episodes:"
)
MISSING = (
    "Test AUROC when a modality is taken away, at random, from a share of the episodes that have "
    "it; 100 %: from all. The loss is the paired difference to the prediction with everything."
)


def coverage_words(coverage: Mapping[str, Any], letters: Letters) -> str:
    """Who has which modality among the test episodes, in words; empty where nothing is known.

    >>> counts = {"n": 200, "modalities": {"e": 200, "c": 30}, "combinations": {"ec": 30, "e": 170}}
    >>> coverage = {"by": {"e": "assumed"}, "unknown": {}, "splits": {"test": counts}}
    >>> coverage_words(coverage, {"e": "EHR", "c": "chest films"})
    'EHR assumed for all, chest films 15.0 %; all modalities 15.0 %'
    """
    test, by = coverage["splits"]["test"], coverage.get("by", {})
    known = [letter for letter in test["modalities"] if letter not in coverage["unknown"]]
    parts = [
        f"{letter_words(letter, letters)} "
        + ("assumed for all" if by.get(letter) == "assumed"
           else share_words(test["modalities"][letter], test["n"]))
        for letter in known
    ]  # fmt: skip
    if known and not coverage["unknown"]:
        together = share_words(test["combinations"].get("".join(known)), test["n"])
        parts[-1] += f"; all modalities {together}"
    reasons = [f"{letter_words(x, letters)}: {why}" for x, why in coverage["unknown"].items()]
    return "; ".join([*[", ".join(parts)] * bool(parts), *reasons])


def share_words(number: int | str | None, n: int | str) -> str:
    """A share in words; of a count that is hidden as ">n" a bound.

    >>> share_words(30, 200), share_words(">29", 200), share_words(None, 200), share_words(0, 0)
    ('15.0 %', 'at least 15.0 %', 'hidden (small numbers)', 'of nobody')
    """
    if n == 0:
        return "of nobody"
    if number is None or not isinstance(n, int):
        return "hidden (small numbers)"
    if isinstance(number, str):
        return f"at least {100 * (int(number[1:]) + 1) / n:.1f} %"
    return f"{100 * number / n:.1f} %"


def complete_table(results: FlatResults, differences: Differences, letters: Letters) -> str:
    """AUROC of every model on all test episodes and on those with all modalities, and its gain."""
    known = {name: result for name, result in results.items() if result.get("complete")}
    if not known:
        return ""
    rows = []
    for name, result in known.items():
        test = {} if result["complete"]["reason"] else test_of(result, complete=True)
        row = gain(differences.complete, name)
        gained = [cell(row, sign=True), p_cell(row["p_holm"])] if row["second"] else ["", ""]
        figures = [cell(figure_of(result)), cell(test.get("auroc")), str(test.get("n") or "–")]
        rows.append([*_head(name), *figures, *gained])
    header = ["task", "model", "protocol", "AUROC of all", "AUROC with all modalities"]
    header += ["how many", "gain over the best single", "p (Holm)"]
    lines = [f"{name.task}, {name.protocol}: {coverage_words(result['coverage'], letters)}"
             for name, result in known.items()]  # fmt: skip
    lines += [f"not shown, {name.task}: {reason}" for name, result in known.items()
              if (reason := result["complete"]["reason"])]  # fmt: skip
    shown = folded("AUROC of all episodes and of those with all modalities",
                   table(header, rows, words=3))  # fmt: skip
    title = "## Episodes with all modalities"
    return "\n\n".join([title, COMPLETE, bullets(unique(lines)), shown])


def _head(name: Name) -> list[str]:
    return [name.task, f"{name.modalities} {name.model}", name.protocol]


def complete_by_task(results: Results, letters: Letters) -> str:
    """Figures of all stays and of those that have all modalities when a task is predicted."""
    parts = parts_of(results)
    if not any(part.get("complete") for _, _, part in parts):
        return ""
    rows = []
    for name, task, part in parts:
        cells = [cell(figure_of(part, complete)) for complete in (False, True)]
        reason = (part.get("complete") or {}).get("reason")
        size = reason or str(test_of(part, complete=True).get("n") or "–")
        rows.append([f"`{name.target}`", task_words(task), *cells, size])
    lines = unique(f"{task_words(task)}: {coverage_words(part['coverage'], letters)}"
                   for _, task, part in parts if "coverage" in part)  # fmt: skip
    header = ["model", "task", "all stays", "with all modalities", "how many"]
    figures = folded("Figures of both", table(header, rows, words=2))
    return f"## Stays with all modalities\n\nWho has what:\n\n{bullets(lines)}\n\n{figures}"


def missing_table(results: FlatResults, letters: Letters) -> str:
    """AUROC with a modality missing at random at each rate; the full set first, the rest folded."""
    known = {name: result for name, result in results.items() if result.get("missing")}
    if not known:
        return ""
    full = full_set(name.modalities for name in known)
    rates = sorted({row["rate"] for result in known.values() for row in result["missing"]})
    header = ["task", "model", "protocol", "missing", *(f"{100 * rate:.0f} %" for rate in rates)]
    header += [f"loss at {100 * rates[-1]:.0f} %", "its SD between seeds"]
    complete = {name: result["complete"]["missing"] for name, result in known.items()
                if (result.get("complete") or {}).get("missing")}  # fmt: skip
    groups = {
        "": {name: r["missing"] for name, r in known.items() if name.modalities == full},
        "Of the episodes with all modalities": complete,
        "Smaller sets of modalities": {
            name: r["missing"] for name, r in known.items() if name.modalities != full
        },
    }
    parts = ["## Missing modalities", MISSING]
    for title, group in groups.items():
        rows = [row for name, missing in group.items()
                for row in _missing_rows(name, missing, rates, letters)]  # fmt: skip
        text = table(header, rows, words=4)
        parts += [folded(title, text) if title else text] * bool(rows or not title)
    return "\n\n".join(parts)


def _missing_rows(
    name: Name, missing: list[dict[str, Any]], rates: list[float], letters: Letters
) -> Iterator[list[str]]:
    """A row per modality that is taken away, in the order of the target's letters."""
    for letter in [m for m in name.modalities if any(row["modality"] == m for row in missing)]:
        by_rate = {row["rate"]: row for row in missing if row["modality"] == letter}
        values = [cell(by_rate[rate]["auroc"]) if rate in by_rate else "–" for rate in rates]
        loss = by_rate[rates[-1]]["minus_complete"] if rates[-1] in by_rate else None
        words = letter_words(letter, letters)
        yield [*_head(name), words, *values, cell(loss, sign=True), sd_cell(loss)]


def sensitivity_table(results: FlatResults) -> str:
    """Test AUROC without the episodes that each of a task's sensitivity analyses leaves out."""
    analyses = [(name, result, analysis) for name, result in results.items()
                for analysis in result["sensitivity"]]  # fmt: skip
    if not analyses:
        return ""
    rows = [
        [*_head(name), analysis["left_out"], cell(figure_of(result)), cell(analysis["auroc"]),
         count(analysis["n"])]
        for name, result, analysis in analyses
    ]  # fmt: skip
    header = ["task", "model", "protocol", "without", "AUROC of all", "AUROC without them"]
    lines = unique(f"{name.task}: {analysis['left_out']}" for name, _, analysis in analyses)
    figures = folded("AUROC with and without them", table([*header, "episodes left"], rows, 4))
    title = "## Sensitivity analyses\n\nLeft out of the test episodes:"
    return "\n\n".join([title, bullets(lines), figures])


def sensitivity_by_task(results: Results) -> str:
    """AUROC without the stays that each sensitivity analysis of a task leaves out."""
    rows = [
        [f"`{name.target}`", task_words(task), analysis["left_out"], cell(figure_of(part)),
         cell(analysis["auroc"])]
        for name, task, part in parts_of(results)
        for analysis in part.get("sensitivity", [])
    ]  # fmt: skip
    header = ["model", "task", "without", "AUROC of all", "AUROC without them"]
    return f"## Sensitivity analyses\n\n{table(header, rows, words=3)}" if rows else ""
