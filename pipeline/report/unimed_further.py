"""Tables of ICU stays that the paper does not have: ablations, horizons, recall and its bounds."""

from pipeline.report import unimed_published as published
from pipeline.report.catalogue import unique
from pipeline.report.cells import cell, folded, table, with_sd
from pipeline.report.complete import shares
from pipeline.report.task_names import in_words
from pipeline.report.unimed_results import ALL, MODEL, Results, figure_of, is_diagnoses

TELLING = "10"  # k of the paper


def ablations(results: Results, own: str, tasks: list[str]) -> list[list[str]]:
    """Every model of all tasks on the reference modalities, the reference first."""
    models = [model for letters, model, task in results if (letters, task) == (own, ALL)]
    return [
        [f"`{model}`", *(cell(figure_of(results, (own, model, ALL), task)) for task in tasks)]
        for model in sorted(models, key=lambda model: model != MODEL)
    ]


def others(results: Results) -> str:
    """Tasks that the paper has no column for."""
    rows = [
        [f"`{'_'.join(name)}`", in_words(task), cell(figure_of(results, name, task))]
        for name, result in results.items()
        for task in result["tasks"]
        if task not in published.COLUMNS
    ]
    header = ["model", "task", "AUROC"]
    return f"## Other predictions\n\n{table(header, rows, words=2)}" if rows else ""


def sensitivities(results: Results) -> str:
    """AUROC without the stays that each sensitivity analysis of a task leaves out."""
    rows = [
        [f"`{'_'.join(name)}`", in_words(task), fewer["left_out"],
         cell(found["metrics"]["test"]["auroc"]), cell(fewer["auroc"])]
        for name, result in results.items()
        for task, found in result["tasks"].items()
        for fewer in found.get("sensitivity", [])
    ]  # fmt: skip
    header = ["model", "task", "without", "AUROC of all", "AUROC without them"]
    return f"## Sensitivity analyses\n\n{table(header, rows, words=3)}" if rows else ""


def complete(results: Results) -> str:
    """Figures of all stays and of those that have all modalities when a task is predicted."""
    rows = []
    for name, result in results.items():
        for task, found in result["tasks"].items():
            fewer = found.get("complete") or {}
            test = (fewer.get("metrics") or {}).get("test", {})
            cells = [cell(figure_of(results, name, task, part)) for part in (False, True)]
            size = fewer.get("reason") or str(test.get("n") or "–")
            rows.append([f"`{'_'.join(name)}`", in_words(task), *cells, size])
    if not any(found.get("complete") for r in results.values() for found in r["tasks"].values()):
        return ""
    said = unique(
        f"{in_words(task)}: {shares(found['coverage'])}"
        for result in results.values()
        for task, found in result["tasks"].items()
        if "coverage" in found
    )
    header = ["model", "task", "all stays", "with all modalities", "how many"]
    text = "\n".join(f"* {line}" for line in said)
    figures = folded("Figures of both", table(header, rows, words=2))
    return f"## Stays with all modalities\n\nWho has what:\n\n{text}\n\n{figures}"


def diagnoses(results: Results) -> str:
    """Vocabulary and labels per stay; recall of every model beside its ceiling and the prior."""
    rows, sizes = [], []
    for name, result in results.items():
        for found in filter(is_diagnoses, result["tasks"].values()):
            test = found["metrics"]["test"]
            size = " / ".join(map(str, found["vocabulary"]))
            sizes.append(f"{size} groups, {_one(test['labels_per_stay'])} per test stay")
            by_k = {(k, "all"): at for k, at in (test["recall"] or {}).items()}
            versions = test["by_icd_version"] or {}
            for version, part in versions.items() if len(versions) > 1 else ():
                coded = " and ".join(f"ICD-{one}" for one in version.split(" and "))
                if part.get("recall"):
                    by_k[TELLING, f"coded in {coded}"] = part["recall"][TELLING]
            for (k, stays), at in by_k.items():
                kinds = (cell(at[kind]) for kind in ("model", "prior", "ceiling"))
                gain = with_sd(at["model_minus_prior"])
                rows.append([f"`{'_'.join(name)}`", stays, k, *kinds, gain])
    if not rows:
        return "–"
    header = ["model", "stays", "k", "Recall@k", "prior", "ceiling", "model − prior"]
    text = (
        f"Vocabulary: {'; '.join(unique(sizes))}. The ceiling is the mean of min(k, n) / n over "
        "stays with n groups; the prior names the groups that are most frequent in training."
    )
    return f"{text}\n\n{table(header, rows, words=2)}"


def _one(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
