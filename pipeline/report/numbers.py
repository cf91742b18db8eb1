"""How pages, figures and words write numbers, intervals and tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Estimate = Mapping[str, Any]  # value, low, high; of a difference also seed_sd


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A number with fixed decimals and a true minus sign; a dash where there is none.

    >>> number(0.71234), number(-0.0312, sign=True), number(0.02, sign=True), number(None)
    ('0.712', '−0.031', '+0.020', '–')
    """
    if value is None:
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def short(value: float | None, sign: bool = False) -> str:
    """Three decimals without a leading zero.

    >>> short(0.8956), short(-0.012, sign=True), short(1.0), short(None)
    ('.896', '−.012', '1.000', '–')
    """
    text = number(value, sign=sign)
    return text.replace("0.", ".", 1) if text.lstrip("+−").startswith("0.") else text


def count(number: int | str | None) -> str:
    """A count with thousands separated; a hidden one as it is shown, a dash where there is none.

    >>> count(2264), count("<10"), count(None)
    ('2,264', '<10', '–')
    """
    return f"{number:,}" if isinstance(number, int) else (number or "–")


def with_interval(estimate: Estimate | None, digits: int = 3, sign: bool = False) -> str:
    """A value and its 95 % interval, in a sentence; a dash where there is none.

    >>> with_interval({"value": 0.7123, "low": 0.68, "high": 0.74})
    '0.712 (0.680 to 0.740)'
    >>> with_interval({"value": None, "low": None, "high": None})
    '–'
    """
    if estimate is None or estimate["value"] is None:
        return "–"
    ends = [number(estimate[end], digits, sign) for end in ("low", "high")]
    return f"{number(estimate['value'], digits, sign)} ({ends[0]} to {ends[1]})"


def cell(estimate: Estimate | None, sign: bool = False) -> str:
    """A value and its 95 % interval, in a table; a dash where there is none.

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


def sd_cell(difference: Estimate | None) -> str:
    """The standard deviation of a difference between training seeds; a dash of one seed.

    >>> sd_cell({"seed_sd": 0.0042}), sd_cell({"seed_sd": None}), sd_cell(None)
    ('.004', '–', '–')
    """
    return short((difference or {}).get("seed_sd"))


def with_sd(difference: Estimate | None) -> str:
    """A difference with its interval and, of several seeds, its standard deviation between them.

    >>> with_sd({"value": 0.17, "low": 0.16, "high": 0.19, "seed_sd": 0.004})
    '+.170 (+.160 to +.190), SD .004'
    """
    sd = sd_cell(difference)
    return cell(difference, sign=True) + (f", SD {sd}" if sd != "–" else "")


def columns(name: str, estimate: Estimate | None) -> dict[str, Any]:
    """Columns of a csv: a value and the ends of its interval, empty where there is none.

    >>> columns("auroc", {"value": 0.7, "low": 0.6, "high": 0.8})
    {'auroc': 0.7, 'auroc_low': 0.6, 'auroc_high': 0.8}
    """
    known = estimate or {}
    return {name: known.get("value")} | {f"{name}_{end}": known.get(end) for end in ("low", "high")}


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


def bullets(lines: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"* {line}" for line in lines)


def folded(title: str, text: str) -> str:
    """Markdown that opens on a click."""
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"


def flat(value: object, key: str = "") -> dict[str, str]:
    """Every value below a mapping by its path, as text.

    >>> flat({"cohort": {"min_age": 65, "ids": None}, "seeds": [0]})
    {'cohort.min_age': '65', 'cohort.ids': 'null', 'seeds': '[0]'}
    """
    if isinstance(value, Mapping):
        pairs = [flat(part, f"{key}.{name}".strip(".")) for name, part in value.items()]
        return {name: text for part in pairs for name, text in part.items()}
    return {key: "null" if value is None else str(value)}
