"""What the comparisons of UniMed's models say, in tables and in sentences that follow from them."""

from collections import Counter
from itertools import pairwise
from typing import Any

from pipeline.evaluation.statistics.significance import MARGIN, SEEDS, undecided_for
from pipeline.report.cells import SIGNIFICANT, cell, p_cell, sd_cell, short, table, with_sd
from pipeline.report.task_names import in_words
from pipeline.report.unimed_results import ALL, MODEL

Rows = list[dict[str, Any]]
# share of the training patients, smallest first; the models of config unimed.variants
SIZES = {f"{MODEL}-quarter": "a quarter", f"{MODEL}-half": "half", MODEL: "all"}
AUROC_TASKS = "binary tasks"


def said(row: dict[str, Any], margin: float) -> str:
    """A difference's verdict in words; better and worse must outlast Holm's correction.

    >>> row = {"verdict": "better", "p_holm": 0.2, "seeds": 5}
    >>> said(row, 0.02), said({**row, "p_holm": 0.01}, 0.02), said({**row, "seeds": 2}, 0.02)
    ('undecided (not after correction)', 'better', 'not decided: 2 seeds, 5 needed')
    """
    if reason := undecided_for(row["seeds"]):
        return reason
    if row["verdict"] == "equivalent":
        return f"equivalent within {short(margin).rstrip('0')}"
    if row["verdict"] in ("better", "worse") and row["p_holm"] >= SIGNIFICANT:
        return "undecided (not after correction)"
    return row["verdict"]


def of_family(contrasts: dict[str, Any] | None, family: str) -> Rows:
    """The comparisons of one question."""
    return [row for row in (contrasts or {"contrasts": []})["contrasts"] if row["family"] == family]


def margin_of(contrasts: dict[str, Any] | None) -> float:
    """Within which two models are equivalent."""
    return (contrasts or {}).get("margin", MARGIN)


def how_decided(margin: float) -> str:
    """What a verdict means, in one sentence for each word."""
    within = short(margin).rstrip("0")
    return (
        "Verdicts rest on 95 % intervals of paired differences, over patients and training seeds, "
        f"and need {SEEDS} seeds. Equivalent: the interval lies within ±{within}, a margin fixed "
        "before any result was seen. Better, worse: it excludes 0, and p < .05 after Holm's "
        "correction. SD: of the difference between seeds."
    )


def differences(rows: Rows, margin: float) -> str:
    """Every comparison as a line of a table; a dash where there is none."""
    if not rows:
        return "–"
    lines = [
        [
            f"`{row['first']}`",
            f"`{row['second']}`",
            in_words(row["task"]),
            said(row, margin),
            cell(row, sign=True),
            sd_cell(row),
            p_cell(row["p_holm"]),
        ]
        for row in rows
    ]
    header = ["model", "minus", "task", "verdict", "difference", "SD", "p (Holm)"]
    return table(header, lines, words=4)


def count(rows: Rows, margin: float, what: str) -> str:
    """One sentence: how many comparisons came out how.

    >>> row = {"verdict": "worse", "p_holm": 0.01, "seeds": 5}
    >>> count([], 0.02, "Multitask"), count([row], 0.02, "It")
    ('Multitask: nothing was compared.', 'It: the one comparison is worse.')
    >>> count([{**row, "seeds": 1}] * 2, 0.02, "It")
    'It: of 2 comparisons 2 are not decided (1 seed, 5 needed).'
    """
    if not rows:
        return f"{what}: nothing was compared."
    found = Counter(_in_brackets(said(row, margin)) for row in rows)
    if len(rows) == 1:
        return f"{what}: the one comparison is {next(iter(found))}."
    parts = [f"{number} {'is' if number == 1 else 'are'} {name}"
             for name, number in found.most_common()]  # fmt: skip
    return f"{what}: of {len(rows)} comparisons {', '.join(parts)}."


def _in_brackets(verdict: str) -> str:
    """A verdict with its reason in brackets, to stand within a sentence.

    >>> _in_brackets("not decided: 1 seed, 5 needed"), _in_brackets("worse")
    ('not decided (1 seed, 5 needed)', 'worse')
    """
    name, _, reason = verdict.partition(": ")
    return f"{name} ({reason})" if reason else name


def by_size(rows: Rows, tasks: list[str], modalities: str) -> str:
    """Multitask minus single task by training size and task; a dash where it was not compared."""
    found = {(row["first"], row["task"]): row for row in rows}
    lines = []
    for model, words in SIZES.items():
        own = [found.get((f"{modalities}_{model}_{ALL}", task)) for task in tasks]
        if any(own):
            lines.append([words, *map(with_sd, own)])
    header = ["training patients", *map(in_words, tasks)]
    return table(header, lines) if lines else "–"


def size_sentence(rows: Rows, modalities: str, margin: float) -> str:
    """What the numbers by size say about multitask learning, whatever their sign.

    Of a trend nothing is said where too few seeds were trained.
    """
    means, own = {}, {}
    for model, words in SIZES.items():
        own[words] = [row for row in rows if row["first"] == f"{modalities}_{model}_{ALL}"]
        binary = [row["value"] for row in own[words] if not row["task"].startswith("diagnoses")]
        if binary:
            means[words] = sum(binary) / len(binary)
    if not means:
        return "Multitask was not compared with single task at any training size."
    lines = [count(own[words], margin, f"With {words} of the training patients") for words in means]
    listed = ", ".join(f"{short(mean, sign=True)} with {words}" for words, mean in means.items())
    trend = f"Mean difference over the {AUROC_TASKS}: {listed}."
    if undecided_for(min(row["seeds"] for words in means for row in own[words])):
        return " ".join([*lines, trend])
    return " ".join([*lines, trend, *_trend(list(means.values()))])


def bound_sentence(rows: Rows, margin: float) -> str:
    """What the upper bound says about the paper's claim that tasks inform later ones.

    >>> row = {"task": "arf_12h", "verdict": "better", "p_holm": 0.01, "seeds": 5}
    >>> bound_sentence([row], 0.02).split(": ")[1]
    'knowing the outcomes of earlier tasks helps to predict ARF 12 h; a decoder could gain there.'
    >>> bound_sentence([{**row, "verdict": "equivalent"}], 0.02).split(": ")[1]
    'within .02 the bound equals single task for every task compared; feeding outcomes on gains \
nothing.'
    """
    if not rows:
        return "No teacher-forced model was compared."
    if reason := undecided_for(min(row["seeds"] for row in rows)):
        return f"{reason[0].upper()}{reason[1:]}."
    helped = [in_words(row["task"]) for row in rows if said(row, margin) == "better"]
    if helped:
        return (f"The claim can hold here: knowing the outcomes of earlier tasks helps to predict "
                f"{', '.join(helped)}; a decoder could gain there.")  # fmt: skip
    if all(row["verdict"] == "equivalent" for row in rows):
        within = short(margin).rstrip("0")
        return (f"The claim is refuted here: within {within} the bound equals single task for "
                "every task compared; feeding outcomes on gains nothing.")  # fmt: skip
    return "Undecided: the bound is clearly better for no task, and not equivalent for all."


def _trend(values: list[float]) -> list[str]:
    """How the gain moves as training shrinks, from mean differences, the smallest size first.

    In principle the best single-task model of the same memory equals the multitask one: multitask
    can win by needing fewer patients only, so its gain should shrink as they become more.
    """
    if len(values) < 2:
        return []
    if not all(a > b for a, b in pairwise(values)):
        return [
            "It does not grow steadily as the training patients become fewer: the numbers do not "
            "show the sample efficiency by which alone multitask can win."
        ]
    if values[0] <= 0:
        return [
            "It rises as the training patients become fewer, but is not above 0 at any size: "
            "multitask does not win."
        ]
    return [
        "It grows as the training patients become fewer, as sample efficiency predicts (a trend of "
        "point estimates, not tested)."
    ]
