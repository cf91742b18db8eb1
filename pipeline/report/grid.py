"""Tables of one task: AUROC by modality set and model, and every figure of every model."""

from typing import Any

from pipeline.report.catalogue import (
    STATISTICS,
    Results,
    in_order,
    models_in_order,
    names_in_order,
    unique,
)
from pipeline.report.cells import cell, folded, p_cell, sd_cell, short, table, with_sd
from pipeline.stage.names import FUSIONS, PROTOCOLS

SEED_SD = "its SD between seeds"
Contrasts = dict[tuple[str, str], dict[str, Any]]  # by protocol and task

QUESTIONS = {
    "early": "Other models against early fusion of the same modalities",
    "one-less": "All modalities against one modality less",
}
NO_GAIN = {"value": None, "low": None, "high": None, "seed_sd": None, "second": ""}
NO_GAIN |= {"p": None, "p_holm": None}


def gain(contrasts: Contrasts, protocol: str, task: str, name: str) -> dict[str, Any]:
    """The difference of a model (`ecn_early`) and its best single one; nulls where not compared."""
    rows = contrasts.get((protocol, task), {"contrasts": []})["contrasts"]
    found = [row for row in rows if row["family"] == "best-single" and row["first"] == name]
    return found[0] if found else NO_GAIN


def section(task: str, results: Results, contrasts: Contrasts) -> str:
    """Everything about one task, as Markdown."""
    chosen = {name: result for name, result in results.items() if name[1] == task}
    parts = [
        f"## {task}",
        "\n".join(f"* {line}" for p in PROTOCOLS if (line := _patients(p, chosen))),
        _by_set(task, chosen),
        folded(
            "Every figure, and the gain over the best single modality", _figures(chosen, contrasts)
        ),
    ]
    for question, title in QUESTIONS.items():
        if text := _differences(question, task, contrasts):
            parts.append(folded(title, text))
    return "\n\n".join(parts)


def _patients(protocol: str, chosen: Results) -> str:
    tests = [result["metrics"]["test"] for name, result in chosen.items() if name[0] == protocol]
    said = unique(_who(test) for test in tests)
    if not said:
        return ""
    reasons = unique(test["reason"] for test in tests if test["reason"])
    missing = f" No figures: {'; '.join(reasons)}." if reasons else ""
    differ = " **Not all models were tested on the same episodes.**" if len(said) > 1 else ""
    return f"{protocol}: {' / '.join(said)}.{missing}{differ}"


def _who(test: dict[str, Any]) -> str:
    n, patients, positives = (
        f"{count:,}" if isinstance(count, int) else count
        for count in (test["n"], test["patients"], test["positives"])
    )
    share = test["prevalence"]
    prevalence = "" if share is None else f" ({100 * share:.1f} %)"
    return f"{n} test episodes of {patients} patients, {positives} positive{prevalence}"


def _by_set(task: str, chosen: Results) -> str:
    models = models_in_order(model for *_, model in chosen)
    columns = [model for model in models if not model.endswith(STATISTICS)]
    oracle = any(result["ceiling"] for result in chosen.values())
    header = ["modalities", "protocol", *columns, *(["oracle"] if oracle else [])]
    rows = []
    for modalities in in_order(name[2] for name in chosen):
        for protocol in PROTOCOLS:
            cells = [_auroc(chosen, (protocol, task, modalities, model)) for model in columns]
            best = [_oracle(chosen, protocol, modalities)] if oracle else []
            rows.append([f"**{modalities}**", protocol, *cells, *best])
    with_statistics = {n[:3] for n in chosen if n[3].endswith(STATISTICS)}
    for protocol, _, letters in sorted(with_statistics):
        names = [(protocol, task, letters, model + STATISTICS) for model in columns]
        cells = [_auroc(chosen, name) if name in chosen else "" for name in names]
        rows.append([f"**{letters}**, summary statistics", protocol, *cells, *[""] * oracle])
    return table(header, rows, words=2)


def _auroc(chosen: Results, name: tuple[str, str, str, str]) -> str:
    """The cell of a model: blank where there is no such model, a dash where it was not made."""
    *_, modalities, model = name
    if (model == "unimodal" and len(modalities) > 1) or (model in FUSIONS and len(modalities) == 1):
        return ""
    if name not in chosen:
        return "–"
    found = chosen[name]["metrics"]["test"]["auroc"]
    return cell(found) + _spread(found)


def _spread(metric: dict[str, Any]) -> str:
    return "" if metric.get("sd") is None else f", SD {short(metric['sd'])}"


def _oracle(chosen: Results, protocol: str, modalities: str) -> str:
    """The best reachable AUROC on the test episodes; it depends on the set, not on the model."""
    found = [
        result["ceiling"]["oracle_auroc"]
        for (p, _, s, _), result in chosen.items()
        if (p, s) == (protocol, modalities) and result["ceiling"]
    ]
    return cell(found[0]) if found else "–"


def _figures(chosen: Results, contrasts: Contrasts) -> str:
    header = ["model", "protocol", "AUROC", "average precision", "Brier score", "oracle − model"]
    header += ["best single", "gain over it", SEED_SD, "p (Holm)"]
    rows = []
    for (protocol, task, modalities, model), result in chosen.items():
        test, ceiling = result["metrics"]["test"], result["ceiling"]
        found = gain(contrasts, protocol, task, f"{modalities}_{model}")
        metrics = [cell(test[m]) + _spread(test[m]) for m in ("auroc", "auprc", "brier")]
        distance = with_sd(ceiling and ceiling["oracle_minus_model"])
        best = [found["second"].split("_")[0], cell(found, sign=True), sd_cell(found)]
        best.append(p_cell(found["p_holm"]))
        gained = best if len(modalities) > 1 else [""] * len(best)
        rows.append([f"{modalities} {model}", protocol, *metrics, distance, *gained])
    return table(header, rows, words=2)


def _differences(question: str, task: str, contrasts: Contrasts) -> str:
    rows = []
    for (protocol, of), found in contrasts.items():
        wanted = [r for r in found["contrasts"] if r["family"] == question and of == task]
        order = names_in_order(row[side] for row in wanted for side in ("first", "second"))
        wanted.sort(key=lambda row: (order.index(row["first"]), order.index(row["second"])))
        for row in wanted:
            names = [row[side].replace("_", " ") for side in ("first", "second")]
            p_values = [p_cell(row["p"]), p_cell(row["p_holm"])]
            rows.append([*names, protocol, cell(row, sign=True), sd_cell(row), *p_values])
    header = ["model", "minus", "protocol", "difference of AUROC", SEED_SD, "p", "p (Holm)"]
    return table(header, rows, words=3) if rows else ""
