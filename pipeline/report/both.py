"""The page across papers: Wang's fusions, UniMed and the baselines on the same tasks.

All on the same cohort, split and test episodes, all of the modalities of the config; differences
are paired. The page refuses results of other episodes. The csv has a row per model and task.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.fusion.registry import DECODER, is_decoder
from pipeline.report import forest, page
from pipeline.report.beaten import beaten_table
from pipeline.report.both_tables import (
    COUNTS,
    METRICS,
    TRAINED,
    TRAINED_ON,
    Cells,
    auroc_table,
    by_task,
    differences_of,
    models_of,
    section,
    tested_table,
    trained_table,
)
from pipeline.report.names import full_set, letter_words, task_words, unique
from pipeline.report.numbers import bullets, columns
from pipeline.report.page import Page, Study, joined, looking_ahead, pictures
from pipeline.report.results import Results, is_synthetic, parts_of, test_of
from pipeline.report.verdicts import (
    PLANTED,
    interval_lines,
    interval_words,
    verdict_rule,
    why_undecided,
)
from pipeline.stage.command import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def text(study: Study, figures: list[str]) -> str:
    """The Markdown page; `figures` are paths relative to it."""
    cells = by_task(study.results)
    return joined([
        "# Both papers on the same tasks",
        introduction(study, cells),
        verdict_rule(study.differences.margin),
        f"> {PLANTED}" if is_synthetic(study.results) else "",
        "## AUROC",
        auroc_table(cells),
        beaten_table(parts_of(study.results)),
        *pictures(figures),
        "## What follows, and what does not",
        caveats(study, cells),
        "## Who is tested",
        tested_table(cells, study.letters),
        "## Who is trained on",
        TRAINED,
        trained_table(cells, study.differences.trained),
        *(part for task in cells for part in section(task, study, cells)),
    ])  # fmt: skip


def introduction(study: Study, cells: Cells) -> str:
    """What is compared, and how to read a cell."""
    letters = full_set(name.modalities for name in study.results)
    words = ", ".join(letter_words(letter, study.letters) for letter in letters)
    return bullets([
        f"Fusions and baselines of Wang et al. 2024 and UniMed (Zhao et al. 2022), modalities "
        f"`{letters}` ({words}): the same tasks, cohort, split and test episodes.",
        "Cells: AUROC on the test episodes with its 95 % interval; a dash: not made, or too few "
        "patients. Tasks of admissions are predicted once, those of ICU stays some hours after "
        "arrival there.",
        *interval_lines(study.results.values()),
        "UniMed, all tasks together: one decoder of all tasks of the unit, in the order of time.",
        *looking_ahead(study.results.values()),
    ])  # fmt: skip


def caveats(study: Study, cells: Cells) -> str:
    """What may be concluded from the differences, and what may not."""
    rows = [row for task in cells for row in differences_of(task, study)]
    reason = why_undecided(rows)
    return bullets([
        *([f"{reason}: the intervals hold the chance of patients alone, so no model is called "
           "better or worse."] if reason else []),
        "A difference is one of whole systems: encoders, fusion or decoder, training episodes and "
        "budget differ together. It does not say which of them makes it.",
        *_settings_lines(study.results),
        "p-values are corrected (Holm) over all differences of a unit's tasks, UniMed alone and "
        "together minus every other model.",
        "Tasks of admissions and of ICU stays are of other patients: columns are not compared.",
    ])  # fmt: skip


def _settings_lines(results: Results) -> list[str]:
    """Encoders and budgets of both, as the results record them."""
    lines = []
    for what, *keys in (
        ("Encoders", ["encoders"], ["encoders"]),
        ("Budgets", ["schedule"], ["unimed", "schedule"]),
    ):
        sides = {
            decoder: unique(
                text
                for name, result in results.items()
                if is_decoder(name.model) == decoder
                if (text := _listed(result["settings"], keys[decoder]))
            )
            for decoder in (False, True)
        }
        if all(sides.values()):
            wang, unimed = (" or ".join(texts) for texts in sides.values())
            lines.append(f"{what}: {wang}; of UniMed {unimed}.")
    return lines


def _listed(settings: Mapping[str, Any], keys: list[str]) -> str:
    """The settings below some keys in words; empty where there are none."""
    for key in keys:
        settings = settings.get(key, {})
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def csv_rows(study: Study) -> Iterator[dict[str, Any]]:
    """A row per model and task: counts, metrics, oracle − model, UniMed − model."""
    cells, trained = by_task(study.results), study.differences.trained
    for task, models in cells.items():
        between = {(row["first"], row["second"]): row for row in differences_of(task, study)}
        unimed = {model.together: name.target for model, (name, _) in models.items()
                  if model.name == DECODER}  # fmt: skip
        for model, (name, part) in models.items():
            test = test_of(part)
            counts: Mapping[str, Any] = trained.get(name.target, {}).get(task, {})
            row: dict[str, Any] = {"task": task, "model": model.name, "target": name.target}
            row |= {f"trained_{what}": counts.get(what) for what in TRAINED_ON}
            row |= {key: test[key] for key in (*COUNTS, "prevalence")}
            for metric in METRICS:
                row |= columns(metric, test[metric]) | {f"{metric}_sd": test[metric].get("sd")}
            row |= columns("oracle_minus_model", (part["ceiling"] or {}).get("oracle_minus_model"))
            for together, key in ((False, "unimed_minus"), (True, "unimed_together_minus")):
                difference = between.get((unimed.get(together, ""), name.target), {})
                row |= columns(key, difference)
                row |= {f"{key}_{what}": difference.get(what) for what in ("seed_sd", "p_holm")}
            yield row


def _figure(study: Study) -> "Figure":
    cells = by_task(study.results)
    tasks = {
        task_words(task): {
            model.words: (model.name, model.together, part) for model, (_, part) in models.items()
        }
        for task, models in cells.items()
    }
    known = any(part["ceiling"] for models in cells.values() for _, part in models.values())
    title = interval_words(study.results.values()) + "; bar: oracle (best reachable)" * known
    return forest.by_task(tasks, [model.words for model in models_of(cells)], title)


PAGE = Page(text, csv_rows, {"both": (forest.TITLE, _figure)})


def main() -> None:
    """Reads results and comparisons, writes the page, the csv and the figure."""
    page.write(PAGE, page.arguments(__doc__))


if __name__ == "__main__":
    run(main)
