"""How numbers of a result are shown to readers."""

from collections.abc import Iterable
from typing import Any

from pipeline.evaluation.statistics.significance import SEEDS

MODALITIES = {"e": "EHR", "c": "chest films", "n": "notes"}


def modality_name(letter: str) -> str:
    """A modality in words; the letter itself where it has none here.

    >>> modality_name("c"), modality_name("g")
    ('chest films', 'g')
    """
    return MODALITIES.get(letter, letter)


def interval_words(results: Iterable[dict[str, Any]], what: str = "intervals") -> str:
    """What the 95 % intervals (or bands) of results hold, for a title.

    >>> interval_words([{"bootstrap": {"training_noise": False}}])
    '95 % intervals over patients, without training noise'
    """
    noise = all(one["bootstrap"]["training_noise"] for one in results)
    over = "patients and seeds" if noise else "patients, without training noise"
    return f"95 % {what} over {over}"


def noise_words(results: Iterable[dict[str, Any]]) -> str:
    """What the intervals of results hold, in a sentence.

    >>> one = {"bootstrap": {"training_noise": False, "resamples": 1000}, "seeds": [0]}
    >>> noise_words([one])
    '1,000 bootstrap resamples of patients; training noise is not in them (1 seed, 5 needed).'
    """
    known = list(results)
    resamples = " or ".join(sorted({f"{one['bootstrap']['resamples']:,}" for one in known}))
    counts = sorted({len(one["seeds"]) for one in known})
    seeds = f"{' or '.join(map(str, counts))} seed{'s' * (counts != [1])}"
    if all(one["bootstrap"]["training_noise"] for one in known):
        return f"{resamples} bootstrap resamples of patients and training seeds ({seeds})."
    missing = f"training noise is not in them ({seeds}, {SEEDS} needed)."
    return f"{resamples} bootstrap resamples of patients; {missing}"


def averaged(result: dict[str, Any]) -> str:
    """What a result's metrics are means of; empty for one run.

    >>> averaged({"seeds": [0, 1], "folds": 5}), averaged({"seeds": [0], "folds": 1})
    ('mean of 2 training seeds and 5 folds', '')
    """
    counts = {"training seeds": len(result["seeds"]), "folds": result["folds"]}
    several = [f"{count} {what}" for what, count in counts.items() if count > 1]
    return f"mean of {' and '.join(several)}" if several else ""


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
