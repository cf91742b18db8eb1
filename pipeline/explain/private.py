"""Draws the attributions of single patients, into a folder that is never shared.

    snakemake --cores 2 private/corrected/admission/c_mortality.pdf

A page an item: a film with its patches, a report with its sentences, a record with its signals and
hours. That is patient data: under MIMIC's data use agreement it stays with those who signed it. It
is made only when it is asked for by name, is an input of no rule, and lies below private/, beside
results/, whose folders are for their owner alone even where a group may read results. Elsewhere
this command refuses to write.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.explain.common import Explained
from pipeline.explain.encoder import arguments_of, prepare
from pipeline.explain.parts import attribute
from pipeline.stage.command import run
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.modules import ROOT
from pipeline.stage.privacy import tell, warn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = "private"  # of this checkout
MOST = 24  # items drawn


def private_place(path: str | Path) -> Path:
    """The path, if it lies in the private folder of this checkout, whose folders are made and shut.

    Wherever it is run from. Raises `InputError` for any other place, below any folder called
    results, and where a folder on the way is a link.

    >>> private_place("results/c_mortality.pdf")
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: results/c_mortality.pdf: pictures of single patients are \
written below private/ of this checkout alone, which is never shared
    """
    root = ROOT / FOLDER
    target = Path(os.path.normpath(Path(path).absolute()))
    if root not in target.parents or any(one.name == "results" for one in target.parents):
        raise InputError(f"{path}: pictures of single patients are written below {FOLDER}/ of this "
                         "checkout alone, which is never shared")  # fmt: skip
    folders = [one for one in reversed(target.parents) if one == root or root in one.parents]
    for folder in folders:
        if folder.is_symlink():
            raise InputError(f"{folder}: a link; pictures of single patients would lie elsewhere")
        folder.mkdir(mode=0o700, exist_ok=True)
        if stat.S_IMODE(folder.stat().st_mode) & 0o7777 != 0o700:
            folder.chmod(0o700)
    return target


def draw(panel: "Axes", shows: Mapping[str, Any], value: np.ndarray) -> None:
    """One item with its attributions: red raises the risk, blue lowers it."""
    most = float(np.abs(value).max()) or 1.0
    colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    if "film" in shows:
        edge = shows["film"].shape[0]
        place = (-0.5, edge - 0.5, edge - 0.5, -0.5)
        size = round(len(value) ** 0.5)
        panel.imshow(shows["film"], cmap="gray", extent=place)
        panel.imshow(value.reshape(size, size), alpha=0.4, extent=place, **colours)
        panel.axis("off")
    elif "sentences" in shows:
        panel.barh(np.arange(len(value)), value, color=np.where(value > 0, "#B2182B", "#2166AC"))
        panel.set_yticks(np.arange(len(value)), [one.strip()[:80] for one in shows["sentences"]])
        panel.invert_yaxis()
        panel.set_xlabel("change of the log odds")
    else:
        names = sorted(set(shows["signals"]))
        table = np.full((len(names), len(shows["edges"]) - 1), np.nan)
        row = [names.index(one) for one in shows["signals"]]
        table[row, shows["eighths"]] = value
        panel.imshow(table, aspect="auto", **colours)
        panel.set_yticks(np.arange(len(names)), names)
        panel.set_xticks(np.arange(len(shows["edges"])) - 0.5, [f"{h:g}" for h in shows["edges"]])
        panel.set_xlabel("hours from clock zero")


def write(model: Explained, path: Path) -> None:
    """A page for each of the first items; readable by their owner alone."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    odds, value = attribute(model.occluded, model.items, model.size)
    start = model.items.start
    with whole(path) as part:
        with rc_context({"font.size": 7}), PdfPages(part, metadata={"CreationDate": None}) as pages:
            for item in range(min(MOST, len(odds))):
                page = Figure(figsize=(8.3, 8.3), layout="constrained")
                panel = page.subplots()
                own = value[start[item] : start[item + 1]]
                draw(panel, model.of_item(item), own)
                panel.set_title(
                    f"episode {model.items.episode[item]}: log odds {odds[item]:.2f}, outcome "
                    f"{model.items.label[item]}; strongest part {np.abs(own).max():.2f}"
                )
                pages.savefig(page)
        part.chmod(0o600)


def main() -> None:
    """Refuses other places before anything is read."""
    given = arguments_of(__doc__)
    path = private_place(given.output)
    given.most = min(given.most or MOST, MOST)
    _, model = prepare(given)
    if isinstance(model, str):
        raise InputError(f"{given.target}: {model}")
    write(model, path)
    warn(f"{path} shows single patients: it stays with those who signed the agreement of the data")
    tell("%s items drawn", min(MOST, len(model.items.subject)))


if __name__ == "__main__":
    run(main)
