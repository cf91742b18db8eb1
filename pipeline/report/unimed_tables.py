"""UniMed's tables: I to III of Zhao et al. 2022 with published figures, and what it left out.

Published figures are of MIMIC-III and not comparable: other patients, other labels (prevalent stays
among them), a split by stay, one run. The columns are those of the paper: shock at 4 h, ARF at
12 h, mortality at 48 h (AUROC), diagnoses (Recall@10). None: not published.
"""

from typing import Any

from pipeline.fusion.registry import DECODER
from pipeline.report.names import ALL, sets_in_order, task_words, unique
from pipeline.report.numbers import cell, number, short, table, with_sd
from pipeline.report.results import RANKED, Name, Results, figure_of, is_ranked, parts_of

COLUMNS = ("shock_4h", "arf_12h", "mortality_48h", "diagnoses_48h")
MARK = "MIMIC-III†"
DAGGER = (
    "† Published on MIMIC-III (Zhao et al. 2022; rows marked Tang: Tang et al. 2020) and **not "
    "comparable**: other patients, other labels, a split by stay, one run."
)
EACH = "each"  # as the task of a target: every task by its own decoder

Row = tuple[float | None, ...]  # in the order of COLUMNS

# Zhao et al. 2022, Table I
MODELS: dict[str, Row] = {
    "FIDDLE CNN": (0.824, 0.757, 0.885, 0.309),
    "FIDDLE LSTM": (0.811, 0.760, 0.863, 0.310),
    "LstmBert": (0.843, 0.779, 0.867, 0.303),
    "BertEncoder": (0.811, 0.717, 0.860, 0.331),
    "MUFASA": (0.848, 0.775, 0.871, 0.344),
    "UniMed, single task": (0.831, 0.764, 0.873, 0.331),
    "UniMed, multitask": (0.836, 0.781, 0.892, 0.385),
}
# Table II; its column "ARF 4h" holds the shock values of the other tables
MODALITIES: dict[str, Row] = {
    "e": (0.802, 0.756, 0.857, 0.281),
    "n": (0.742, 0.715, 0.839, 0.336),
    "en": (0.836, 0.781, 0.892, 0.385),
}
# Table III: single task → multitask, by model
DECODERS: dict[str, tuple[str, Row, Row]] = {
    "unimed-gru": ("GRU", (0.815, 0.746, 0.865, 0.316), (0.821, 0.760, 0.871, 0.331)),
    "unimed-gru-attention": (
        "GRU with attention",
        (0.823, 0.758, 0.867, 0.329),
        (0.836, 0.770, 0.886, 0.363),
    ),
    "unimed": ("transformer", (0.831, 0.764, 0.873, 0.331), (0.836, 0.781, 0.892, 0.385)),
}
# Tang et al. 2020, AUROC; the paper has no diagnoses
FIDDLE: dict[str, Row] = {
    "logistic regression (Tang)": (0.825, 0.757, 0.856, None),
    "random forest (Tang)": (0.809, 0.760, 0.814, None),
    "CNN (Tang)": (0.831, 0.768, 0.886, None),
    "LSTM (Tang)": (0.824, 0.771, 0.868, None),
}


def figure_named(
    results: Results, modalities: str, model: str, target: str, task: str
) -> dict[str, float] | None:
    """The figure of a task by the model of a target; None where it was not made."""
    result = results.get(Name("corrected", target, modalities, model))
    return figure_of(result["tasks"].get(task)) if result else None


def table_one(results: Results, modalities: str) -> str:
    """Models × tasks; models that are not run here have published numbers only."""
    here = {
        "UniMed, single task": _cells(results, modalities, DECODER, EACH),
        "UniMed, multitask": _cells(results, modalities, DECODER, ALL),
    }
    nothing = ["–"] * len(COLUMNS)
    rows = {**FIDDLE, **MODELS}.items()
    return _table(
        "model", [[name, *_beside(here.get(name, nothing), published)] for name, published in rows]
    )


def table_two(results: Results) -> str:
    """Modality sets × tasks, by the decoder of all tasks."""
    sets = sets_in_order([*MODALITIES, *(name.modalities for name in results)])
    cells = {letters: _cells(results, letters, DECODER, ALL) for letters in sets}
    return _table("modalities", [[f"`{s}`", *_beside(cells[s], MODALITIES.get(s))] for s in sets])


def table_three(results: Results, modalities: str) -> str:
    """Decoders × tasks: single task, then multitask."""
    return _table("decoder", [
        [f"{words}, {kind}", *_beside(_cells(results, modalities, model, target), published)]
        for model, (words, alone, together) in DECODERS.items()
        for kind, target, published in (("single", EACH, alone), ("multi", ALL, together))
    ])  # fmt: skip


def _table(first: str, rows: list[list[str]]) -> str:
    return table([first, *(text for c in COLUMNS for text in (task_words(c), MARK))], rows)


def _beside(cells: list[str], published: Row | None) -> list[str]:
    """Our cells, each followed by the published number."""
    known = published or (None,) * len(cells)
    return [text for ours, p in zip(cells, known, strict=True) for text in (ours, short(p))]


def _cells(results: Results, modalities: str, model: str, target: str) -> list[str]:
    """The paper's columns of a model; `target`: a task, all, or each."""
    return [
        cell(figure_named(results, modalities, model, task if target == EACH else target, task))
        for task in COLUMNS
    ]


def ablations(results: Results, modalities: str, tasks: list[str]) -> list[list[str]]:
    """Every model of all tasks on the reference modalities, the reference first."""
    models = [name.model for name in results if (name.modalities, name.task) == (modalities, ALL)]
    return [
        [f"`{model}`", *(cell(figure_named(results, modalities, model, ALL, t)) for t in tasks)]
        for model in sorted(models, key=lambda model: model != DECODER)
    ]


def other_tasks(results: Results) -> str:
    """Tasks that the paper has no column for."""
    rows = [
        [f"`{name.target}`", task_words(task), cell(figure_of(part))]
        for name, task, part in parts_of(results)
        if task not in COLUMNS
    ]
    header = ["model", "task", "AUROC"]
    return f"## Other predictions\n\n{table(header, rows, words=2)}" if rows else ""


def diagnoses(results: Results) -> str:
    """Vocabulary and labels per stay; recall of every model beside its ceiling and the prior."""
    ranked = [(name, part) for name, _, part in parts_of(results) if is_ranked(part)]
    rows = [
        [f"`{name.target}`", stays, k, *(cell(at[kind]) for kind in ("model", "prior", "ceiling")),
         with_sd(at["model_minus_prior"])]
        for name, part in ranked
        for (stays, k), at in _recalls(part["metrics"]["test"]).items()
    ]  # fmt: skip
    if not rows:
        return "–"
    sizes = unique(f"{' / '.join(map(str, part['vocabulary']))} groups, "
                   f"{number(part['metrics']['test']['labels_per_stay'], 1)} per test stay"
                   for _, part in ranked)  # fmt: skip
    header = ["model", "stays", "k", "Recall@k", "prior", "ceiling", "model − prior"]
    sentence = (
        f"Vocabulary: {'; '.join(sizes)}. The ceiling is the mean of min(k, n) / n over "
        "stays with n groups; the prior names the groups that are most frequent in training."
    )
    return f"{sentence}\n\n{table(header, rows, words=2)}"


def _recalls(test: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Stays in words and k → recall; of several versions of the ICD, each at the paper's k too."""
    recalls = {("all", k): at for k, at in (test["recall"] or {}).items()}
    versions = test["by_icd_version"] or {}
    for version, part in versions.items() if len(versions) > 1 else ():
        coded = " and ".join(f"ICD-{one}" for one in version.split(" and "))
        if part.get("recall"):
            recalls[f"coded in {coded}", RANKED] = part["recall"][RANKED]
    return recalls
