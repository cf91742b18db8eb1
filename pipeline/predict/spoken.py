"""The report of a prediction in lines: what is as it should be in the log, what is odd on the
screen, too."""

from collections.abc import Mapping
from typing import Any

from pipeline.stage.prediction import PredictionReport, Shift, Unit
from pipeline.stage.privacy import tell, warn

SHIFTED = 0.25  # population stability index, by custom
WITHOUT = {"unknown": "not in the source", "outside": "not in the cohort",
           "not_at_risk": "not at risk at the prediction time"}  # fmt: skip


def say(report: PredictionReport) -> None:
    """Says the report."""
    tell(f"{report['target']}: risks of {report['episodes']} episodes of {report['patients']} "
         f"patients; {report['running']} of them still run")  # fmt: skip
    if report["listed"]:
        _say_listed(report["listed"])
    for name, here in report["modalities"].items():
        why = f" ({here['reason']})" if here["reason"] else ""
        (warn if why else tell)(f"{name}: {_shown(here['episodes'])} of them{why}")
    _say_absent(report)
    for item in report["unknown_items"]:
        share = "" if item["share"] is None else f", {item['share']:.1%} of its rows"
        warn(f"{item['table']}: {item['items']} items that training never had{share}")
    for unit in report["units"]:
        _say_unit(unit)
    for unseen in report["unseen"]:
        if unseen["share"] is not None:
            tell(f"{unseen['kind']} that training never had: {unseen['share']:.2%}")
    for one in report["shift"]:
        _say_shift(one)
    for note in report.get("notes", []):
        warn(note)


def _shown(count: int | str | None) -> int | str:
    return "a number that is hidden" if count is None else count


def _say_absent(report: PredictionReport) -> None:
    """Tables and signals that the source lacks."""
    for kind, absent in {"tables": report["absent_tables"],
                         "signals": report["absent_signals"]}.items():  # fmt: skip
        if absent:
            warn(f"{kind} that the source lacks: {', '.join(absent)}")


def _say_listed(listed: Mapping[str, Any]) -> None:
    """What became of a list of ids."""
    parts = [f"{_shown(listed[part])} {words}" for part, words in WITHOUT.items()
             if listed[part] != 0]  # fmt: skip
    line = "; ".join([f"the list names {_shown(listed['asked'])} ids", *parts])
    (warn if parts else tell)(line)


def _say_unit(unit: Unit) -> None:
    """A signal whose numbers are unlike those of training."""
    why = f"they look like {unit['looks_like']}" if unit["looks_like"] else "no unit explains it"
    share = "many" if unit["unlike"] is None else f"{unit['unlike']:.0%}"
    warn(f"{unit['signal']}: {share} of the readings are unlike those of training "
         f"(median {unit['median']:g}, there {unit['training_median']:g}): {why}")  # fmt: skip


def _say_shift(one: Shift) -> None:
    """The risks of a seed beside those of training."""
    if one["mean"] is None:
        return
    odd = one["psi"] is not None and one["psi"] > SHIFTED
    (warn if odd else tell)(
        f"seed {one['seed']}: mean risk {one['mean']:.3f}, {one['training_mean']:.3f} where it "
        f"was trained; PSI {one['psi']}, KS {one['ks']}"
    )
