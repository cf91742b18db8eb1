"""Who has which modality, and figures on the episodes that have all: in words, as a table."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.catalogue import Results, unique
from pipeline.report.cells import cell, folded, p_cell, table
from pipeline.report.numbers import modality_name, with_interval

Contrasts = Mapping[tuple[str, str], dict[str, Any]]


def shares(coverage: Mapping[str, Any]) -> str:
    """Who has which modality among the test episodes, in words; empty where nothing is known.

    >>> counts = {"n": 200, "modalities": {"e": 200, "c": 30}, "combinations": {"ec": 30, "e": 170}}
    >>> shares({"unknown": {}, "splits": {"test": counts}})
    'EHR 100.0 %, chest films 15.0 %; all 15.0 %'
    """
    test = coverage["splits"]["test"]
    known = [letter for letter in test["modalities"] if letter not in coverage["unknown"]]
    said = [
        f"{modality_name(letter)} {_share(test['modalities'][letter], test['n'])}"
        for letter in known
    ]
    if known and not coverage["unknown"]:
        said[-1] += f"; all {_share(test['combinations'][''.join(known)], test['n'])}"
    reasons = [f"{modality_name(x)}: {why}" for x, why in coverage["unknown"].items()]
    return "; ".join([*[", ".join(said)] * bool(said), *reasons])


def _share(count: int | str | None, n: int | str) -> str:
    """A share in words; of a count that is hidden as ">n" a bound.

    >>> _share(30, 200), _share(">29", 200), _share(None, 200)
    ('15.0 %', 'at least 15.0 %', 'not shown')
    """
    if count is None or not isinstance(n, int) or not n:
        return "not shown"
    if isinstance(count, str):
        return f"at least {100 * (int(count[1:]) + 1) / n:.1f} %"
    return f"{100 * count / n:.1f} %"


def lines(result: Mapping[str, Any]) -> dict[str, str]:
    """What the words of a result say of its modalities and of the complete episodes."""
    found = {}
    if (coverage := result.get("coverage")) and (text := shares(coverage)):
        found["Modalities"] = f"{text} of the test episodes"
    if complete := result.get("complete"):
        found["Complete"] = _complete(complete)
    return found


def _complete(complete: Mapping[str, Any]) -> str:
    """The AUROC on the episodes with all modalities, and the gain over the best single model."""
    if complete["reason"]:
        return f"not measured: {complete['reason']}"
    test, compared = complete["metrics"]["test"], complete.get("comparisons") or {}
    text = f"AUROC {with_interval(test['auroc'])} on the {test['n']} with all modalities"
    if best := compared.get("best_single"):
        gain = with_interval(compared["singles"][best]["model_minus_single"], sign=True)
        text += f"; {gain} over {best}"
    return text


def complete_table(results: Results, contrasts: Contrasts) -> str:
    """AUROC of every model on all test episodes and on the complete ones, and its gain on these."""
    known = {name: own for name, own in results.items() if own.get("complete")}
    if not known:
        return ""
    said = unique(f"{name[1]}, {name[0]}: {shares(own['coverage'])}" for name, own in known.items())
    rows = []
    for (protocol, task, modalities, model), own in known.items():
        fewer = own["complete"]
        test = {} if fewer["reason"] else fewer["metrics"]["test"]
        gained = _gain(contrasts.get((protocol, task), {}), f"{modalities}_{model}")
        rows.append(
            [task, f"{modalities} {model}", protocol, cell(own["metrics"]["test"]["auroc"]),
             cell(test.get("auroc")), str(test.get("n") or "–"), *gained]
        )  # fmt: skip
    header = ["task", "model", "protocol", "AUROC of all", "AUROC of the complete", "episodes"]
    header += ["gain over the best single", "p (Holm)"]
    reasons = unique(f"{n[1]}: {o['complete']['reason']}" for n, o in known.items()
                     if o["complete"]["reason"])  # fmt: skip
    return "\n\n".join(
        [
            "## Episodes with all modalities",
            COMPLETE,
            "\n".join(f"* {text}" for text in [*said, *(f"not shown, {why}" for why in reasons)]),
            folded("AUROC of all and of the complete episodes", table(header, rows, words=3)),
        ]
    )


COMPLETE = (
    "All other tables are of all test episodes, whatever they lack. Here are those that have every "
    "modality of the config, by the same code; gains are paired, their p corrected as above. Who "
    "has what among the test episodes:"
)


def _gain(contrast: Mapping[str, Any], name: str) -> list[str]:
    rows = (contrast.get("complete") or {}).get("contrasts") or []
    found = [row for row in rows if row["family"] == "best-single" and row["first"] == name]
    return [cell(found[0], sign=True), p_cell(found[0]["p_holm"])] if found else ["", ""]
