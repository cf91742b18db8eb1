"""The figure of an external validation: reliability at home, there, and after a refit there.

python -m pipeline.report.external --result results/external/north/x.json --output x.svg
"""

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from pipeline.report.drawing import BAR, MODEL, ORACLE, save
from pipeline.report.numbers import with_interval
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.external import ExternalValidation
from pipeline.stage.files import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFITTED = "#009E73"


def lines_of(made: ExternalValidation) -> list[tuple[str, str, str, Any]]:
    """Words, colour, dashes and smooth curve of what is drawn: the refit is the largest one."""
    sides = [("at home", BAR, "--", made["home"]), (made["name"], MODEL, "-", made["there"])]
    lines = []
    for words, colour, dashes, side in sides:
        if side and side["calibration"]["smooth"]:
            slope = with_interval(side["calibration"]["slope"], 2)
            lines.append((f"{words}: slope {slope}", colour, dashes, side["calibration"]["smooth"]))
    for refit in made["refits"][::-1]:
        if refit["smooth"] and refit["after"]:
            words = f"{made['name']}, refitted on {refit['patients']:,} patients"
            lines.append((words, REFITTED, "-.", refit["smooth"]))
            break
    return lines


def figure(made: ExternalValidation) -> "Figure":
    """Smooth curves with their bands; in words why there are none."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4.6, 4.8), layout="constrained")
    panel, lines = drawn.add_subplot(), lines_of(made)
    if not made["there"]["calibration"]["smooth"]:
        reason = made["there"]["metrics"]["reason"] or "no smooth curve can be fitted"
        panel.text(0.5, 0.5, f"{made['name']}: no curve, {reason}", ha="center", wrap=True,
                   transform=panel.transAxes)  # fmt: skip
    panel.plot([0, 1], [0, 1], color=ORACLE, lw=0.8, ls=":", label="perfect")
    for words, colour, dashes, curve in lines:
        panel.fill_between(curve["risk"], curve["low"], curve["high"], color=colour, alpha=0.15,
                           lw=0)  # fmt: skip
        panel.plot(curve["risk"], curve["observed"], color=colour, ls=dashes, label=words)
    ends = [end for *_, curve in lines for end in (curve["risk"][-1], max(curve["high"]))]
    end = min(1.0, 1.06 * max(ends, default=1.0))
    panel.set(xlim=(0, end), ylim=(0, end), xlabel="Predicted risk", ylabel="Observed share",
              title=f"{made['model']['target']} at {made['name']}")  # fmt: skip
    drawn.legend(loc="outside lower left", frameon=False, ncols=1)
    return drawn


def main() -> None:
    """Reads a validation, draws it."""
    options = parser(__doc__)
    options.add_argument("--result", required=True, help="the validation, JSON")
    options.add_argument("--output", required=True, help="the picture, SVG")
    asked = options.parse_args()
    try:
        made = TypeAdapter(ExternalValidation).validate_python(read_json(asked.result))
    except ValidationError as error:
        raise InputError(f"{asked.result}: no validation on another source; make it again"
                         ) from error  # fmt: skip
    save(figure(made), asked.output, f"{made['model']['target']} at {made['name']}")


if __name__ == "__main__":
    run(main)
