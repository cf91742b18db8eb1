"""How the tables of all results show numbers, and in which order they list models."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.report.numbers import number

PROTOCOLS = ("corrected", "published")
FUSIONS = ("early", "joint", "late", "late-averaged")
MODELS = ("unimodal", *FUSIONS, "logistic", "gbdt")
STATISTICS = "-stats"  # ending of models on summary statistics, as in gbdt-stats
LETTERS = {"e": "EHR", "c": "chest films", "n": "notes"}
SIGNIFICANT = 0.05

Name = tuple[str, str, str, str]  # protocol, task, modalities, model
Results = dict[Name, dict[str, Any]]


def short(value: float | None, sign: bool = False) -> str:
    """Three decimals without a leading zero.

    >>> short(0.8956), short(-0.012, sign=True), short(1.0), short(None)
    ('.896', '−.012', '1.000', '–')
    """
    text = number(value, sign=sign)
    return text.replace("0.", ".", 1) if text.lstrip("+−").startswith("0.") else text


def cell(estimate: dict[str, Any] | None, sign: bool = False) -> str:
    """A value with its 95 % interval, or a dash.

    >>> cell({"value": 0.896, "low": 0.88, "high": 0.911})
    '.896 (.880–.911)'
    >>> cell({"value": 0.171, "low": -0.002, "high": 0.195}, sign=True), cell(None)
    ('+.171 (−.002 to +.195)', '–')
    """
    if estimate is None or estimate["value"] is None:
        return "–"
    low, high = (short(estimate[end], sign) for end in ("low", "high"))
    dash = " to " if sign or low.startswith("−") else "–"
    return f"{short(estimate['value'], sign)} ({low}{dash}{high})"


def p_cell(p: float | None) -> str:
    """A p-value with three decimals.

    >>> p_cell(0.0004), p_cell(0.048), p_cell(1.0), p_cell(None)
    ('<.001', '.048', '1.000', '–')
    """
    return "<.001" if p is not None and p < 0.001 else short(p)


def is_clear(difference: dict[str, Any]) -> bool:
    """Whether a difference is above 0 beyond chance: its interval, and p after correction."""
    low, p = difference["low"], difference["p_holm"]
    return low is not None and low > 0 and p is not None and p < SIGNIFICANT


def opposite(difference: dict[str, Any]) -> dict[str, Any]:
    """The same difference the other way round."""
    turned = {"value": "value", "low": "high", "high": "low"}
    signs = {to: None if (v := difference[at]) is None else -v for to, at in turned.items()}
    return {**difference, **signs, "first": difference["second"], "second": difference["first"]}


def table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A Markdown table; the first `words` columns are text, the others numbers.

    >>> print(table(["set", "early"], [["ec", ".8"]]))
    | set | early |
    |---|--:|
    | ec | .8 |
    """
    rule = ["---"] * words + ["--:"] * (len(header) - words)
    lines = [f"| {' | '.join(row)} |" for row in (header, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def folded(title: str, text: str) -> str:
    """Markdown that opens on a click."""
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"


def unique(values: Iterable[str]) -> list[str]:
    """The distinct values in the order of their first appearance."""
    return list(dict.fromkeys(values))


def in_order(sets: Iterable[str]) -> list[str]:
    """Distinct modality sets: small ones first, letters in the order of the largest set.

    >>> in_order(["cn", "e", "ecn", "n", "ec", "c", "en", "e"])
    ['e', 'c', 'n', 'ec', 'en', 'cn', 'ecn']
    """
    known = unique(sets)
    letters = "".join(unique("".join(sorted(known, key=len, reverse=True))))
    return sorted(known, key=lambda s: (len(s), [letters.index(letter) for letter in s]))


def models_in_order(models: Iterable[str]) -> list[str]:
    """Distinct models: the known ones first, in the order of `MODELS`, statistics last.

    >>> models_in_order(["gbdt-stats", "new", "late", "early"])
    ['early', 'late', 'new', 'gbdt-stats']
    """
    place = {model: position for position, model in enumerate(MODELS)}

    def key(model: str) -> tuple[bool, int]:
        return model.endswith(STATISTICS), place.get(model, len(MODELS))

    return sorted(unique(models), key=key)


def full_set(sets: Iterable[str]) -> str:
    """The largest modality set; empty where there is none.

    >>> full_set(["e", "ecn", "ec"])
    'ecn'
    """
    return max(sets, key=len, default="")


def arranged(results: Results) -> Results:
    """The results by task (in the order given), modality set, model and protocol."""
    tasks = unique(name[1] for name in results)
    sets, models = in_order(name[2] for name in results), models_in_order(n[3] for n in results)

    def place(name: Name) -> tuple[int, int, int, str]:
        protocol, task, modalities, model = name
        return tasks.index(task), sets.index(modalities), models.index(model), protocol

    return {name: results[name] for name in sorted(results, key=place)}
