"""Who has which modality, and figures on those with all modalities: in words, as a table."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.catalogue import Results, unique
from pipeline.report.cells import cell, folded, gain_words, p_cell, table
from pipeline.report.numbers import modality_name, with_interval

Contrasts = Mapping[tuple[str, str], dict[str, Any]]


def shares(coverage: Mapping[str, Any]) -> str:
    """Who has which modality among the test episodes, in words; empty where nothing is known.

    >>> counts = {"n": 200, "modalities": {"e": 200, "c": 30}, "combinations": {"ec": 30, "e": 170}}
    >>> shares({"by": {"e": "assumed"}, "unknown": {}, "splits": {"test": counts}})
    'EHR assumed for all, chest films 15.0 %; all modalities 15.0 %'
    """
    test, by = coverage["splits"]["test"], coverage.get("by", {})
    known = [letter for letter in test["modalities"] if letter not in coverage["unknown"]]
    parts = [
        f"{modality_name(letter)} "
        + ("assumed for all" if by.get(letter) == "assumed"
           else _share(test["modalities"][letter], test["n"]))
        for letter in known
    ]  # fmt: skip
    if known and not coverage["unknown"]:
        together = _share(test["combinations"].get("".join(known)), test["n"])
        parts[-1] += f"; all modalities {together}"
    reasons = [f"{modality_name(x)}: {why}" for x, why in coverage["unknown"].items()]
    return "; ".join([*[", ".join(parts)] * bool(parts), *reasons])


def _share(count: int | str | None, n: int | str) -> str:
    """A share in words; of a count that is hidden as ">n" a bound.

    >>> _share(30, 200), _share(">29", 200), _share(None, 200), _share(0, 0)
    ('15.0 %', 'at least 15.0 %', 'hidden (small numbers)', 'of nobody')
    """
    if n == 0:
        return "of nobody"
    if count is None or not isinstance(n, int):
        return "hidden (small numbers)"
    if isinstance(count, str):
        return f"at least {100 * (int(count[1:]) + 1) / n:.1f} %"
    return f"{100 * count / n:.1f} %"


def lines(result: Mapping[str, Any]) -> dict[str, str]:
    """What the words of a result say of its modalities, and of the episodes that have all."""
    found = {}
    if (coverage := result.get("coverage")) and (text := shares(coverage)):
        found["Modalities"] = f"{text} of the test episodes"
    if complete := result.get("complete"):
        found["All modalities"] = _complete(complete, len(result["seeds"]))
    return found


def _complete(complete: Mapping[str, Any], seeds: int) -> str:
    """The AUROC on the episodes with all modalities, and the gain over the best single model."""
    if complete["reason"]:
        return f"not measured: {complete['reason']}"
    test, compared = complete["metrics"]["test"], complete.get("comparisons") or {}
    text = f"AUROC {with_interval(test['auroc'])} on the {test['n']} test episodes that have them"
    if best := compared.get("best_single"):
        text += f"; over {best} {gain_words(compared['singles'][best], seeds)}"
    return text


def complete_table(results: Results, contrasts: Contrasts) -> str:
    """AUROC of every model on all test episodes and on those with all modalities, and its gain."""
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
    header = ["task", "model", "protocol", "AUROC of all", "AUROC with all modalities"]
    header += ["how many", "gain over the best single", "p (Holm)"]
    reasons = unique(f"{n[1]}: {o['complete']['reason']}" for n, o in known.items()
                     if o["complete"]["reason"])  # fmt: skip
    return "\n\n".join(
        [
            "## Episodes with all modalities",
            COMPLETE,
            "\n".join(f"* {text}" for text in [*said, *(f"not shown, {why}" for why in reasons)]),
            folded(
                "AUROC of all episodes and of those with all modalities",
                table(header, rows, words=3),
            ),
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
