"""What follows from a difference, and what its interval holds, in words."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.evaluation.statistics.significance import MARGIN, SEEDS, holm, undecided_for
from pipeline.report.numbers import number, short, with_interval

SIGNIFICANT = 0.05
PLANTED = (
    "These results were made from the synthetic hospital. How much each modality tells, and that "
    "they complement each other, was planted there: the answers show that the method finds what is "
    "there, not what holds for patients."
)

Row = Mapping[str, Any]  # a difference: first, second, value, low, high, seed_sd, seeds, p, p_holm


def interval_words(results: Iterable[Mapping[str, Any]], what: str = "intervals") -> str:
    """What the 95 % intervals (or bands) of results hold, for a title.

    >>> interval_words([{"bootstrap": {"training_noise": False}}])
    '95 % intervals over patients, without training noise'
    """
    noise = all(one["bootstrap"]["training_noise"] for one in results)
    over = "patients and seeds" if noise else "patients, without training noise"
    return f"95 % {what} over {over}"


def noise_words(results: Iterable[Mapping[str, Any]]) -> str:
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


def era_words(results: Iterable[Mapping[str, Any]]) -> str:
    """How results that are split by era are, in a sentence; empty where none is.

    >>> era_words([{"settings": {"split": {"by": "era", "late": 2017}}}])
    'Split by era: trained on patients whose first episode is before 2017, tested on those whose \
first is from 2017 on.'
    >>> era_words([{"settings": {"split": {"train": 0.45}}}])
    ''
    """
    splits = [one.get("settings", {}).get("split", {}) for one in results]
    years = sorted({split["late"] for split in splits if split.get("by") == "era"})
    if not years:
        return ""
    late = " or ".join(map(str, years))
    some = "" if len(years) == 1 and all(split.get("by") == "era" for split in splits) else "some, "
    return (f"Split by era: {some}trained on patients whose first episode is before {late}, "
            f"tested on those whose first is from {late} on.")  # fmt: skip


def interval_lines(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the intervals of the results hold, a line each of those with and without the noise.

    >>> few = {"bootstrap": {"training_noise": False, "resamples": 1000}, "seeds": [0]}
    >>> many = {"bootstrap": {"training_noise": True, "resamples": 1000}, "seeds": [*range(5)]}
    >>> [line[-24:] for line in interval_lines([few, many])]
    ['raining seeds (5 seeds).', 'them (1 seed, 5 needed).']
    """
    known = list(results)
    kinds = [[one for one in known if one["bootstrap"]["training_noise"] == noise]
             for noise in (True, False)]  # fmt: skip
    of = f" of the {len(known)} results"
    return [
        f"Intervals{f' of {len(kind)}{of}' if len(kind) < len(known) else ''}: {noise_words(kind)}"
        for kind in kinds
        if kind
    ]


def averaged(result: Mapping[str, Any]) -> str:
    """What a result's metrics are means of; empty for one run.

    >>> averaged({"seeds": [0, 1], "folds": 5}), averaged({"seeds": [0], "folds": 1})
    ('mean of 2 training seeds and 5 folds', '')
    """
    counts = {"training seeds": len(result["seeds"]), "folds": result["folds"]}
    several = [f"{count} {what}" for what, count in counts.items() if count > 1]
    return f"mean of {' and '.join(several)}" if several else ""


def gain_words(single: Mapping[str, Any], seeds: int) -> str:
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


def is_clear(difference: Row) -> bool:
    """Whether a difference is above 0 beyond chance: its interval, and p after correction.

    Never where too few seeds were trained: the interval then holds no training noise.
    """
    low, p = difference["low"], difference["p_holm"]
    above = low is not None and low > 0 and p is not None and p < SIGNIFICANT
    return above and difference["seeds"] >= SEEDS


def opposite(difference: Row) -> dict[str, Any]:
    """The same difference the other way round."""
    turned = {"value": "value", "low": "high", "high": "low"}
    signs = {to: None if (v := difference[at]) is None else -v for to, at in turned.items()}
    return {**difference, **signs, "first": difference["second"], "second": difference["first"]}


def corrected(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The differences with p-values corrected over all of them, not per task as they were.

    >>> [row["p_holm"] for row in corrected([{"p": 0.01}, {"p": 0.04}])]
    [0.02, 0.04]
    """
    values = holm([row["p"] for row in rows])
    return [{**row, "p_holm": value} for row, value in zip(rows, values, strict=True)]


def why_undecided(rows: Iterable[Row]) -> str:
    """Why nothing is decided, where a comparison rests on too few seeds; else empty."""
    reason = undecided_for(min((row["seeds"] for row in rows), default=SEEDS))
    return reason[:1].upper() + reason[1:]


def verdict_words(row: Row, margin: float = MARGIN) -> str:
    """A difference's verdict in words; better and worse must outlast Holm's correction.

    >>> row = {"verdict": "better", "p_holm": 0.2, "seeds": 5}
    >>> for change in ({}, {"p_holm": 0.01}, {"seeds": 2}):
    ...     verdict_words({**row, **change})
    'undecided (not after correction)'
    'better'
    'not decided: 2 seeds, 5 needed'
    """
    if reason := undecided_for(row["seeds"]):
        return reason
    if row["verdict"] == "equivalent":
        return f"equivalent within {short(margin).rstrip('0')}"
    if row["verdict"] in ("better", "worse") and row["p_holm"] >= SIGNIFICANT:
        return "undecided (not after correction)"
    return row["verdict"]


def verdict_rule(margin: float) -> str:
    """What a verdict means, in one sentence for each word."""
    within = short(margin).rstrip("0")
    return (
        "Verdicts rest on 95 % intervals of paired differences, over patients and training seeds, "
        f"and need {SEEDS} seeds. Equivalent: the interval lies within ±{within}, a margin fixed "
        "before any result was seen. Better, worse: it excludes 0, and p < .05 after Holm's "
        "correction. SD: of the difference between seeds."
    )


def verdict_counts(rows: Sequence[Row], margin: float, what: str) -> str:
    """One sentence: how many comparisons came out how.

    >>> row = {"verdict": "worse", "p_holm": 0.01, "seeds": 5}
    >>> verdict_counts([], 0.02, "Multitask"), verdict_counts([row], 0.02, "It")
    ('Multitask: nothing was compared.', 'It: the one comparison is worse.')
    >>> verdict_counts([{**row, "seeds": 1}] * 2, 0.02, "It")
    'It: of 2 comparisons 2 are not decided (1 seed, 5 needed).'
    """
    if not rows:
        return f"{what}: nothing was compared."
    counted = Counter(_in_brackets(verdict_words(row, margin)) for row in rows)
    if len(rows) == 1:
        return f"{what}: the one comparison is {next(iter(counted))}."
    parts = [f"{count} {'is' if count == 1 else 'are'} {name}"
             for name, count in counted.most_common()]  # fmt: skip
    return f"{what}: of {len(rows)} comparisons {', '.join(parts)}."


def _in_brackets(verdict: str) -> str:
    """A verdict with its reason in brackets, to stand within a sentence.

    >>> _in_brackets("not decided: 1 seed, 5 needed"), _in_brackets("worse")
    ('not decided (1 seed, 5 needed)', 'worse')
    """
    name, _, reason = verdict.partition(": ")
    return f"{name} ({reason})" if reason else name
