"""UniMed's comparisons in tables and sentences: multitask, training sizes, the upper bound."""

from collections.abc import Sequence
from itertools import pairwise

from pipeline.evaluation.statistics.significance import undecided_for
from pipeline.fusion.registry import DECODER
from pipeline.report.names import ALL, task_words
from pipeline.report.numbers import cell, p_cell, sd_cell, short, table, with_sd
from pipeline.report.results import Row
from pipeline.report.verdicts import verdict_counts, verdict_words, why_undecided

Rows = Sequence[Row]
# share of the training patients, smallest first; the models of config unimed.variants
SIZES = {f"{DECODER}-quarter": "a quarter", f"{DECODER}-half": "half", DECODER: "all"}
AUROC_TASKS = "binary tasks"


def differences(rows: Rows, margin: float) -> str:
    """Every comparison as a line of a table; a dash where there is none."""
    if not rows:
        return "–"
    lines = [
        [
            f"`{row['first']}`",
            f"`{row['second']}`",
            task_words(row["task"]),
            verdict_words(row, margin),
            cell(row, sign=True),
            sd_cell(row),
            p_cell(row["p_holm"]),
        ]
        for row in rows
    ]
    header = ["model", "minus", "task", "verdict", "difference", "SD", "p (Holm)"]
    return table(header, lines, words=4)


def size_table(rows: Rows, tasks: list[str], modalities: str) -> str:
    """Multitask minus single task by training size and task; a dash where it was not compared."""
    by_name = {(row["first"], row["task"]): row for row in rows}
    lines = []
    for model, words in SIZES.items():
        of_size = [by_name.get((f"{modalities}_{model}_{ALL}", task)) for task in tasks]
        if any(of_size):
            lines.append([words, *map(with_sd, of_size)])
    header = ["training patients", *map(task_words, tasks)]
    return table(header, lines) if lines else "–"


def size_sentence(rows: Rows, modalities: str, margin: float) -> str:
    """What the numbers by size say about multitask learning, whatever their sign.

    A trend is not called one where too few seeds were trained.
    """
    by_size = {
        words: [row for row in rows if row["first"] == f"{modalities}_{model}_{ALL}"]
        for model, words in SIZES.items()
    }
    means = {
        words: sum(values) / len(values)
        for words, of_size in by_size.items()
        if (values := [r["value"] for r in of_size if not r["task"].startswith("diagnoses")])
    }
    if not means:
        return "Multitask was not compared with single task at any training size."
    lines = [verdict_counts(by_size[words], margin, f"With {words} of the training patients")
             for words in means]  # fmt: skip
    listed = ", ".join(f"{short(mean, sign=True)} with {words}" for words, mean in means.items())
    trend = f"Mean difference over the {AUROC_TASKS}: {listed}."
    if undecided_for(min(row["seeds"] for words in means for row in by_size[words])):
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
    if reason := why_undecided(rows):
        return f"{reason}."
    helped = [task_words(row["task"]) for row in rows if verdict_words(row, margin) == "better"]
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
