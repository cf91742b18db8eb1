"""The sections of a kit's page: text, figures and tables in their order."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.kit import explained
from pipeline.kit.inputs import Kit, listed
from pipeline.kit.names import FIGURES
from pipeline.kit.tables import Line, Table
from pipeline.kit.verdicts import (
    calibration_verdict,
    ceiling_verdict,
    decision_verdict,
    fairness_verdict,
    recalibration_verdict,
)
from pipeline.kit.words import headline, limits
from pipeline.report.names import letter_words, task_words
from pipeline.report.numbers import number
from pipeline.stage.explanations import ATTENTION, Explanations


@dataclass(frozen=True)
class Section:
    """A part of the page: paragraphs, a list, figures and tables by name, tables of its own."""

    key: str
    title: str
    text: Sequence[str] = ()
    bullets: Sequence[str] = ()
    figures: Sequence[str] = ()
    tables: Sequence[str] = ()
    more: Sequence[Table] = ()


def sections(kit: Kit) -> list[Section]:
    """All sections, in the order of the page."""
    return [
        Section("meaning", "What it means", headline(kit)),
        Section("coverage", "Coverage", figures=["coverage"]),
        Section("flow", "Selection of the episodes", figures=["flow"]),
        Section("characteristics", "Characteristics", tables=["table_one"]),
        Section("discrimination", "Discrimination", [ceiling_verdict(kit)],
                figures=["roc", "precision_recall", "comparisons"],
                tables=["performance", "comparison"]),
        Section("calibration", "Calibration",
                [calibration_verdict(kit), recalibration_verdict(kit)],
                figures=["calibration", "recalibration"], tables=["calibration"]),
        Section("decision", "Decision curve", [decision_verdict(kit)], figures=["decision"]),
        Section("points", "Operating points", tables=["operating_points"]),
        Section("groups", "Groups", [fairness_verdict(kit)], figures=["fairness", "differences"],
                tables=["groups", "group_differences"]),
        Section("missing", "Missing modalities", figures=["missing"]),
        attention(kit),
        explanations(kit),
        Section("sensitivity", "Sensitivity analyses", tables=["sensitivity"]),
        Section("limits", "What it cannot say", bullets=limits(kit)),
        Section("settings", "Settings and versions", [_files()],
                more=[settings(kit), versions(kit)]),
    ]  # fmt: skip


def attention(kit: Kit) -> Section:
    """What each modality is worth: where a decoder looks, which is no explanation."""
    own = kit.result["attention"]
    title, lines = "Attribution to modalities", []
    for task, tokens in (own or {"modality": {}})["modality"].items():
        lines.append(Line(task_words(task)))
        lines += [Line(letter_words(token, kit.letters), [number(weight["value"])])
                  for token, weight in tokens.items()]  # fmt: skip
    if not lines and len(kit.result["modalities"]) == 1:
        return Section("attribution", title, ["This model reads one modality alone: there is "
                                              "nothing to divide among modalities."])  # fmt: skip
    if not lines:
        told = [words for words, true in (
            ("under Missing modalities", kit.part.get("missing")),
            ("under Discrimination, beside single modalities",
             (kit.part.get("comparisons") or {}).get("singles")),
        ) if true]  # fmt: skip
        text = ("Shapley values of modalities need a model of every set of modalities: they are a "
                "target of their own (attribution/), not part of one result.")  # fmt: skip
        text += f" What a modality is worth to this model is told {listed(told)}." if told else ""
        return Section("attribution", title, [text])
    table = Table("Mean attention on the test episodes.", ["Token", "Weight"], lines,
                  f"Attention is {ATTENTION}.")  # fmt: skip
    return Section("attribution", title, [f"Attention is {ATTENTION}."], more=[table])


def explanations(kit: Kit) -> Section:
    """What single models of the modalities follow, and whether that is told from chance."""
    title = "Explanations"
    if not kit.explanations:
        return Section("explanations", title, ["No model behind this result was explained."])
    alone = len(kit.result["modalities"]) == 1
    text = ("Explained are models of one modality"
            f"{'' if alone else ' alone, not the fused model'}: mean attributions over a sample of "
            "the test episodes, no single patient.")  # fmt: skip
    has = {
        "explained_statistics": explained.of(kit, "ehr", statistics=True),
        "explained_scores": kit.explanations,
    }
    shown = [
        name
        for name in FIGURES
        if name.startswith("explained_")
        and has.get(name, explained.of(kit, name.removeprefix("explained_")))
    ]
    bullets = [explained_words(one) for one in kit.explanations]
    return Section("explanations", title, [text], bullets, shown)


def explained_words(one: Explanations) -> str:
    """What an explanation is of, whether it may be believed, and how it was made."""
    name = one["target"]
    if one["reason"] or not one["method"]:
        return f"{name}: no explanation, {one['reason']}."
    return f"{name} {explained.verdict(one)}. By {one['method']['name']}: {one['method']['words']}"


def settings(kit: Kit) -> Table:
    """Every setting behind the result by its path, as JSON; texts without quotes."""
    lines = [Line(key, [_json(value)]) for key, value in _paths(kit.result["settings"])]
    return Table("Settings behind the result.", ["Setting", "Value"], lines)


def _paths(value: object, key: str = "") -> list[tuple[str, object]]:
    """Every value below mappings by its path; an empty mapping is a value.

    >>> _paths({"cohort": {"min_age": 65}, "class_weights": {}})
    [('cohort.min_age', 65), ('class_weights', {})]
    """
    if not isinstance(value, dict) or not value:
        return [(key, value)]
    return [pair for name, part in value.items()
            for pair in _paths(part, f"{key}.{name}".strip("."))]  # fmt: skip


def _json(value: object) -> str:
    """A setting as JSON, a text as it is.

    >>> _json(True), _json(["film_time"]), _json(None), _json("any")
    ('true', '["film_time"]', 'null', 'any')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def versions(kit: Kit) -> Table:
    """Versions and fingerprints of what made the result."""
    environment, result = kit.result["environment"], kit.result
    head = {
        "target": result["target"],
        "protocol": result["protocol"],
        "experiment": result.get("experiment", "none"),
        "definitions": str(result["definitions_version"]),
        "cohort (SHA-256)": result["cohort"]["fingerprint"],
        "result (SHA-256)": kit.numbers["head"]["result_sha256"],
        "code (SHA-256)": environment["code_sha256"],
        "lock (SHA-256)": environment["lock_sha256"],
        "Python": environment["python"],
    }
    lines = [Line(key, [value]) for key, value in {**head, **environment["packages"]}.items()]
    return Table("Versions.", ["What", "Version"], lines)


def _files() -> str:
    return ("Beside this page: figures/ (svg, pdf, png of 300 dpi, and their numbers as csv), "
            "tables/ (csv, html, md), methods.md, results.md, tripod_ai.md, model_card.md and "
            "numbers.json.")  # fmt: skip
