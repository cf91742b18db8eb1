"""All figures of a kit, by the names of their files."""

from collections.abc import Callable
from pathlib import Path

from pipeline.kit import explained
from pipeline.kit.calibration import calibration, decision, recalibration
from pipeline.kit.discrimination import comparisons, precision_recall, roc
from pipeline.kit.flow import flow
from pipeline.kit.groups import coverage, differences, fairness, missing
from pipeline.kit.inputs import Kit
from pipeline.kit.style import Picture, write

FIGURES: dict[str, Callable[[Kit], Picture]] = {
    "flow": flow,
    "coverage": coverage,
    "roc": roc,
    "precision_recall": precision_recall,
    "comparisons": comparisons,
    "calibration": calibration,
    "recalibration": recalibration,
    "decision": decision,
    "fairness": fairness,
    "differences": differences,
    "missing": missing,
    "explained_ehr": explained.ehr,
    "explained_statistics": explained.statistics,
    "explained_cxr": explained.cxr,
    "explained_note": explained.note,
    "explained_scores": explained.scores,
}


def pictures(kit: Kit) -> dict[str, Picture]:
    """Every figure of a kit by name, before it is drawn."""
    return {name: made(kit) for name, made in FIGURES.items()}


def draw(made: dict[str, Picture], folder: Path) -> None:
    """Writes every figure into a folder, in every format."""
    for name, picture in made.items():
        write(picture, folder / name)
