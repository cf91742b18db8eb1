"""How tables show numbers, and words a gain."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.evaluation.statistics.significance import SEEDS, undecided_for
from pipeline.report.numbers import number, with_interval

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


def gain_words(single: dict[str, Any], seeds: int) -> str:
    """The gain over a single model, with its interval, and what follows from it.

    >>> gain = {"value": 0.1, "low": 0.08, "high": 0.12, "seed_sd": 0.004}
    >>> gain_words({"model_minus_single": gain, "p_holm": 0.01}, 5)
    '+0.100 (+0.080 to +0.120), excludes 0, SD between seeds 0.004; p 0.010 (Holm)'
    >>> gain_words({"model_minus_single": gain, "p_holm": 0.01}, 1)
    '+0.100 (+0.080 to +0.120), over patients alone; not decided: 1 seed, 5 needed'
    """
    gain = single["model_minus_single"]
    text, sd = with_interval(gain, sign=True), gain.get("seed_sd")
    if reason := undecided_for(seeds):
        return f"{text}, over patients alone; {reason}"
    if gain["low"] is None:
        return text
    text += ", includes 0" if gain["low"] <= 0 <= gain["high"] else ", excludes 0"
    text += f", SD between seeds {number(sd)}" if sd is not None else ""
    return f"{text}; p {number(single['p_holm'])} (Holm)"


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
