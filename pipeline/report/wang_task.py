"""Wang's page, one task: AUROC by modality set and model, and every figure of every model."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.fusion.registry import MODELS
from pipeline.report.names import (
    STATISTICS,
    models_in_order,
    names_in_order,
    sets_in_order,
    unique,
)
from pipeline.report.numbers import (
    Estimate,
    bullets,
    cell,
    count,
    folded,
    p_cell,
    sd_cell,
    short,
    table,
    with_sd,
)
from pipeline.report.results import Differences, FlatResults, Name, Row, gain
from pipeline.stage.registry import PROTOCOLS

SEED_SD = "its SD between seeds"
QUESTIONS = {
    "early": "Other models against early fusion of the same modalities",
    "one-less": "All modalities against one modality less",
}


def section(task: str, results: FlatResults, differences: Differences) -> str:
    """Everything about one task, as Markdown."""
    chosen = {name: result for name, result in results.items() if name.task == task}
    parts = [
        f"## {task}",
        bullets(line for p in PROTOCOLS if (line := _patients(p, chosen))),
        _by_set(task, chosen),
        folded(
            "Every figure, and the gain over the best single modality",
            _figures(chosen, differences.rows),
        ),
    ]
    for question, title in QUESTIONS.items():
        if text := _differences([r for r in differences.of_family(question) if r["task"] == task]):
            parts.append(folded(title, text))
    return "\n\n".join(parts)


def _patients(protocol: str, chosen: FlatResults) -> str:
    tests = [r["metrics"]["test"] for name, r in chosen.items() if name.protocol == protocol]
    counts = unique(counts_words(test) for test in tests)
    if not counts:
        return ""
    reasons = unique(test["reason"] for test in tests if test["reason"])
    missing = f" No figures: {'; '.join(reasons)}." if reasons else ""
    differ = " **Not all models were tested on the same episodes.**" if len(counts) > 1 else ""
    return f"{protocol}: {' / '.join(counts)}.{missing}{differ}"


def counts_words(test: Mapping[str, Any], what: str = "test episodes") -> str:
    """On whom a task was tested.

    >>> counts_words({"n": 2264, "patients": 1695, "positives": "<10", "prevalence": None})
    '2,264 test episodes of 1,695 patients, <10 positive'
    """
    n, patients, positives = (count(test[key]) for key in ("n", "patients", "positives"))
    share = test["prevalence"]
    prevalence = "" if share is None else f" ({100 * share:.1f} %)"
    return f"{n} {what} of {patients} patients, {positives} positive{prevalence}"


def _by_set(task: str, chosen: FlatResults) -> str:
    """A row per modality set and protocol, a column per model; statistics have their own rows."""
    models = [m for m in models_in_order(n.model for n in chosen) if not m.endswith(STATISTICS)]
    oracle = any(result["ceiling"] for result in chosen.values())
    header = ["modalities", "protocol", *models, *["oracle"] * oracle]
    rows = []
    for modalities in sets_in_order(name.modalities for name in chosen):
        for protocol in [p for p in PROTOCOLS if any(name.protocol == p for name in chosen)]:
            cells = [_auroc(chosen, Name(protocol, task, modalities, model)) for model in models]
            best = [_oracle(chosen, protocol, modalities)] * oracle
            rows.append([f"**{modalities}**", protocol, *cells, *best])
    on_statistics = {(n.protocol, n.modalities) for n in chosen if n.model.endswith(STATISTICS)}
    for protocol, letters in sorted(on_statistics):
        names = [Name(protocol, task, letters, model + STATISTICS) for model in models]
        cells = [_auroc(chosen, name) if name in chosen else "" for name in names]
        rows.append([f"**{letters}**, summary statistics", protocol, *cells, *[""] * oracle])
    return table(header, rows, words=2)


def _auroc(chosen: FlatResults, name: Name) -> str:
    """The cell of a model: blank where there is no such model, a dash where it was not made."""
    if name not in chosen:
        known = MODELS.get(name.model)
        return "–" if known is None or known.takes(name.modalities) else ""
    auroc = chosen[name]["metrics"]["test"]["auroc"]
    return cell(auroc) + _spread(auroc)


def _spread(metric: Estimate) -> str:
    return "" if metric.get("sd") is None else f", SD {short(metric['sd'])}"


def _oracle(chosen: FlatResults, protocol: str, modalities: str) -> str:
    """The best reachable AUROC on the test episodes; it depends on the set, not on the model."""
    known = [
        result["ceiling"]["oracle_auroc"]
        for name, result in chosen.items()
        if (name.protocol, name.modalities) == (protocol, modalities) and result["ceiling"]
    ]
    return cell(known[0]) if known else "–"


def _figures(chosen: FlatResults, differences: Iterable[Row]) -> str:
    """A row per model: metrics, distance to the oracle, gain over the best single modality."""
    header = ["model", "protocol", "AUROC", "average precision", "Brier score", "oracle − model"]
    header += ["best single", "gain over it", SEED_SD, "p (Holm)"]
    rows = []
    for name, result in chosen.items():
        test, ceiling = result["metrics"]["test"], result["ceiling"]
        metrics = [cell(test[m]) + _spread(test[m]) for m in ("auroc", "auprc", "brier")]
        distance = with_sd(ceiling and ceiling["oracle_minus_model"])
        row = gain(differences, name)
        best = [row["second"].split("_")[0], cell(row, sign=True), sd_cell(row)]
        best.append(p_cell(row["p_holm"]))
        gained = best if len(name.modalities) > 1 else [""] * len(best)
        rows.append([f"{name.modalities} {name.model}", name.protocol, *metrics, distance, *gained])
    return table(header, rows, words=2)


def _differences(family: list[Row]) -> str:
    """The comparisons of one question and task; empty where there are none."""
    order = names_in_order(_short(row[side]) for row in family for side in ("first", "second"))

    def place(row: Row) -> tuple[int, ...]:
        places = (order.index(_short(row[side])) for side in ("first", "second"))
        return PROTOCOLS.index(row["protocol"]), *places

    rows = [
        [*(_short(row[side]).replace("_", " ") for side in ("first", "second")), row["protocol"],
         cell(row, sign=True), sd_cell(row), p_cell(row["p"]), p_cell(row["p_holm"])]
        for row in sorted(family, key=place)
    ]  # fmt: skip
    header = ["model", "minus", "protocol", "difference of AUROC", SEED_SD, "p", "p (Holm)"]
    return table(header, rows, words=3) if rows else ""


def _short(target: str) -> str:
    """A target without its task, as in ecn_early."""
    return "_".join(target.split("_")[:2])
