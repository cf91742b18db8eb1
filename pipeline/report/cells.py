"""How the tables of all results show numbers."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.evaluation.significance import SEEDS
from pipeline.report.numbers import number

SIGNIFICANT = 0.05


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


def sd_cell(difference: dict[str, Any] | None) -> str:
    """The standard deviation of a difference between training seeds; a dash of one seed.

    >>> sd_cell({"seed_sd": 0.0042}), sd_cell({"seed_sd": None}), sd_cell(None)
    ('.004', '–', '–')
    """
    return short((difference or {}).get("seed_sd"))


def with_sd(difference: dict[str, Any] | None) -> str:
    """A difference with its interval and, of several seeds, its standard deviation between them.

    >>> with_sd({"value": 0.17, "low": 0.16, "high": 0.19, "seed_sd": 0.004})
    '+.170 (+.160 to +.190), SD .004'
    """
    sd = sd_cell(difference)
    return cell(difference, sign=True) + (f", SD {sd}" if sd != "–" else "")


def is_clear(difference: dict[str, Any]) -> bool:
    """Whether a difference is above 0 beyond chance: its interval, and p after correction.

    Never where too few seeds were trained: the interval then holds no training noise.
    """
    low, p = difference["low"], difference["p_holm"]
    above = low is not None and low > 0 and p is not None and p < SIGNIFICANT
    return above and difference["seeds"] >= SEEDS


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
