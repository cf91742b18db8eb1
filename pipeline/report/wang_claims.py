"""The paper's two claims, answered in sentences by the numbers at hand, protocol by protocol.

Wang et al. 2024 claim that models of several modalities beat those of one on every task, and that
the EHR contributes most. The first is read from the paired differences between the model of all
modalities and the best single one, the second from the Shapley values.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.evaluation.statistics.significance import SEEDS
from pipeline.report.names import Letters, full_set, is_multimodal, letter_words, unique
from pipeline.report.numbers import cell, p_cell, short
from pipeline.report.results import Differences, Row
from pipeline.report.verdicts import PLANTED, corrected, is_clear, opposite, why_undecided
from pipeline.stage.comparison import Attribution
from pipeline.stage.registry import PROTOCOLS

EHR = "e"
CLEAR = (
    "Clearly means: the 95 % interval of the paired difference lies above 0, and p < .05 after "
    "Holm's correction over all comparisons that a verdict rests on. Interval and p hold the "
    f"chance of patients and that of training, which needs {SEEDS} seeds: with fewer, training "
    "noise is not in them, and nothing is decided. The training patients are taken as they are."
)


def first_claim(protocol: str, differences: Differences) -> str:
    """Does multimodal beat unimodal on every task? A verdict, and a line per task."""
    gains = corrected(_gains(protocol, differences))
    if not gains:
        return "not answered: no comparisons with single modalities."
    clear = [row for row in gains if is_clear(row)]
    tasks = unique(task for of, task in differences.tasks if of == protocol)
    lines = [_of_task(task, [row for row in gains if row["task"] == task]) for task in tasks]
    if reason := why_undecided(gains):
        summary = (
            f"**{reason}.** Gain of the model of all modalities over the best single "
            "modality in AUROC, intervals over patients, training noise not in them:"
        )
        return _listed(summary, lines)
    shown, won = unique(row["task"] for row in gains), unique(row["task"] for row in clear)
    verdict = "It does not hold for any task."
    if len(clear) == len(gains) and shown == tasks:
        verdict = "It holds for every task, with every fusion."
    elif won == tasks:
        verdict = "It holds for every task, but not with every fusion."
    elif won:
        verdict = f"It holds for {_list(won)}, not for {_list([t for t in tasks if t not in won])}."
    summary = (
        f"**{verdict}** The model of all modalities is clearly better than the best single "
        f"modality in {len(clear)} of {len(gains)} combinations of task and fusion; gain in AUROC:"
    )
    return _listed(summary, lines)


def _gains(protocol: str, differences: Differences) -> list[Row]:
    """Fusions of all modalities minus their best single one."""
    gains: list[Row] = []
    for compared in differences.tasks:
        rows = [row for row in differences.of_family("best-single")
                if (row["protocol"], row["task"]) == compared]  # fmt: skip
        of_model = [(*row["first"].split("_")[:2], row) for row in rows]
        full = full_set(modalities for modalities, _, _ in of_model)
        if compared[0] == protocol:
            gains += [row for s, model, row in of_model if s == full and is_multimodal(model)]
    return gains


def _of_task(task: str, gains: list[dict[str, Any]]) -> str:
    """The gains on one task: their range, how many are clear, and which are not."""
    if not gains:
        return f"{task}: not shown, too few patients or one class only"
    texts = [f"{row['first'].split('_')[1]} {cell(row, sign=True)}" for row in gains]
    if why_undecided(gains):
        return f"{task}: {', '.join(texts)}"
    unclear = [f"{text}, p {p_cell(row['p_holm'])}" for text, row in zip(texts, gains, strict=True)
               if not is_clear(row)]  # fmt: skip
    but = f"; not clear: {' and '.join(unclear)}" if unclear else ""
    values = _range([row["value"] for row in gains], sign=True)
    return f"{task}: {values}, clear with {len(gains) - len(unclear)} of {len(gains)} fusions{but}"


def second_claim(protocol: str, attributions: list[Attribution], letters: Letters) -> str:
    """Does the EHR matter most? A verdict, and a line per task."""
    asked = [a for a in attributions if a["protocol"] == protocol]
    known = _jointly_corrected([a for a in asked if EHR in a["shapley"]])
    if not known:
        return "not answered: no Shapley values that include the EHR."
    largest = [a for a in known if _largest(a) == EHR]
    lines = [_shares(task, known, letters) for task in unique(a["task"] for a in known)]
    if reason := why_undecided([row for a in known for row in a["differences"]]):
        summary = (
            f"**{reason}.** Of {len(known)} combinations of task and fusion, the EHR has "
            f"the largest Shapley value in {len(largest)}. Over the fusions:"
        )
        return _listed(summary, lines)
    clear = [a for a in known if all(map(is_clear, _against(a)))]
    refuted = [a for a in known if any(is_clear(opposite(d)) for d in _against(a))]
    verdict = "It cannot be decided: the differences are within chance."
    if len(clear) == len(asked):
        verdict = "It holds for every task, with every fusion."
    elif len(refuted) == len(known):
        verdict = "It does not hold: everywhere another modality contributes clearly more."
    elif refuted:
        verdict = "It does not hold throughout."
    elif clear:
        verdict = "It holds in part; elsewhere the differences are within chance."
    summary = (
        f"**{verdict}** Of {len(known)} combinations of task and fusion, the EHR has the largest "
        f"Shapley value in {len(largest)}, clearly larger than every other modality's in "
        f"{len(clear)}; another modality's is clearly larger in {len(refuted)}. Over the fusions:"
    )
    return _listed(summary, lines)


def _jointly_corrected(attributions: list[Attribution]) -> list[dict[str, Any]]:
    """The attributions with the p-values of their differences corrected over all of them."""
    rows = iter(corrected([row for a in attributions for row in a["differences"]]))
    return [{**a, "differences": [next(rows) for _ in a["differences"]]} for a in attributions]


def _largest(attribution: dict[str, Any]) -> str:
    values = attribution["shapley"]
    return max(values, key=lambda letter: values[letter]["value"])


def _against(attribution: dict[str, Any]) -> list[dict[str, Any]]:
    """The EHR's Shapley value minus that of each other modality."""
    rows = [row for row in attribution["differences"] if EHR in (row["first"], row["second"])]
    return [row if row["first"] == EHR else opposite(row) for row in rows]


def _shares(task: str, attributions: Sequence[Mapping[str, Any]], letters: Letters) -> str:
    """Shapley values of each modality, from the smallest to the largest over the fusions."""
    shapley = [a["shapley"] for a in attributions if a["task"] == task]
    parts = [
        f"{letter_words(letter, letters)} {_range([values[letter]['value'] for values in shapley])}"
        for letter in shapley[0]
    ]
    return f"{task}: {', '.join(parts)}"


def _range(values: list[float], sign: bool = False) -> str:
    low, high = short(min(values), sign), short(max(values), sign)
    return low if low == high else f"{low} to {high}"


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _listed(summary: str, lines: list[str]) -> str:
    return "\n".join([summary, *(f"  * {line}" for line in lines)])


def answers(
    differences: Differences,
    attributions: list[Attribution],
    synthetic: bool,
    letters: Letters,
) -> str:
    """Both claims for every protocol, as Markdown."""
    claims = {
        "Multimodal beats unimodal on every task": [first_claim(p, differences) for p in PROTOCOLS],
        "The EHR matters most": [second_claim(p, attributions, letters) for p in PROTOCOLS],
    }
    parts = ["## The paper's two claims"]
    for claim, texts in claims.items():
        lines = [f"* {p} protocol: {text}" for p, text in zip(PROTOCOLS, texts, strict=True)]
        parts.append("\n".join([f"**“{claim}”**", "", *lines]))
    parts.append(CLEAR)
    return "\n\n".join([*parts, *([f"> {PLANTED}"] if synthetic else [])])
