"""How numbers of a result are shown to readers."""

from typing import Any


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A number with fixed decimals and a true minus sign; a dash where there is none.

    >>> number(0.71234), number(-0.0312, sign=True), number(0.02, sign=True), number(None)
    ('0.712', '−0.031', '+0.020', '–')
    """
    if value is None:
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def with_interval(estimate: dict[str, Any], digits: int = 3, sign: bool = False) -> str:
    """A value and its 95 % interval.

    >>> with_interval({"value": 0.7123, "low": 0.68, "high": 0.74})
    '0.712 (0.680 to 0.740)'
    >>> with_interval({"value": None, "low": None, "high": None})
    '–'
    """
    if estimate["value"] is None:
        return "–"
    ends = [number(estimate[end], digits, sign) for end in ("low", "high")]
    return f"{number(estimate['value'], digits, sign)} ({ends[0]} to {ends[1]})"
