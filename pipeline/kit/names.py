"""The names of all files of a kit, one by one: what its rule makes. Imports nothing heavy."""

FORMATS = ("svg", "pdf", "png")
FIGURES = (
    "flow",
    "coverage",
    "roc",
    "precision_recall",
    "comparisons",
    "calibration",
    "recalibration",
    "decision",
    "fairness",
    "differences",
    "missing",
    "explained_ehr",
    "explained_statistics",
    "explained_cxr",
    "explained_note",
    "explained_scores",
)
TABLES = (
    "table_one",
    "performance",
    "comparison",
    "calibration",
    "operating_points",
    "groups",
    "group_differences",
    "sensitivity",
)
TEXTS = ("methods", "results", "tripod_ai", "model_card")
PAGE, NUMBERS, EXPLANATIONS = "report.html", "numbers.json", "explanations.json"


def beside() -> list[str]:
    """Every file that `pipeline.kit.make` writes beside the page, relative to the kit's folder.

    >>> names = beside()
    >>> names[0], "figures/roc.csv" in names, "tables/table_one.md" in names, PAGE in names
    ('explanations.json', True, True, False)
    """
    figures = [f"figures/{name}.{kind}" for name in FIGURES for kind in (*FORMATS, "csv")]
    tables = [f"tables/{name}.{kind}" for name in TABLES for kind in ("csv", "html", "md")]
    return [EXPLANATIONS, *figures, *tables, *(f"{name}.md" for name in TEXTS)]
