"""Validation on another source, while the workflow is planned: what it reads, what is refused.

`config.external` names the sources; a result is results/external/<name>/<target>.json, of an
experiment below results/<experiment>/external/.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.extract import contracts, release
from pipeline.plan import targets
from pipeline.plan.configuration import ADAPTERS, HOURLY, MEDS, codes, kind, source
from pipeline.stage.errors import InputError

ALWAYS = ("patients", "admissions", "icustays")
Config = Mapping[str, Any]


def of(config: Config, name: str) -> Config:
    """The config as of another source: `source` is that of the name."""
    return {**config, "source": config["external"][name]}


def refusal(config: Config, name: str, model: str, task: str) -> str | None:
    """Why a model cannot be validated on a source, in one line; None if it can.

    >>> refusal({"external": {"north": {"root": "/data"}}}, "nort", "early", "mortality")
    'config.external has no source nort; did you mean north? It has north'
    >>> refusal({}, "north", "early", "mortality")
    'config.external has no source north; it has none: add north: { root: … }'
    """
    known = list(config.get("external", {}))
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        there = (
            f"{hint}It has {', '.join(known)}"
            if known
            else f"it has none: add {name}: {{ root: … }}"
        )
        return f"config.external has no source {name}; {there}"
    other = of(config, name)
    adapter = ADAPTERS.get(kind(other))
    if adapter is None:
        return _lacking(other, name)
    if lines := adapter.problems(source(other)["root"], ()):
        return f"config.external.{name}: {lines[0]}"
    beyond = {MEDS: targets.beyond_meds, HOURLY: targets.beyond_hourly}[kind(other)]
    why = beyond(other, model, "corrected", task)
    return f"config.external.{name}: {why}" if why else None


def _lacking(config: Config, name: str) -> str | None:
    """Which table that every prediction needs a source of MIMIC's files lacks."""
    for table in ALWAYS:
        try:
            path = release.table_path(source(config), table)
        except InputError as error:
            return f"config.external.{name}: {error}"
        if not release.exists(path):
            return f"config.external.{name}: no table {table}, expected at {path}"
    return None


def files(config: Config, name: str, asked: Sequence[str]) -> list[str]:
    """The files that a validation reads, so that it is made again where one changes.

    `asked`: what the target needs, as `extract.contracts` words it. Of films their list alone.
    """
    other = of(config, name)
    root = source(other)["root"] or ""
    if kind(other) == MEDS:
        return [*ADAPTERS[MEDS].files(root), codes(other)]
    if kind(other) == HOURLY:
        return list(ADAPTERS[HOURLY].files(root))
    found = []
    for table in contracts.tables_for({*asked, *ALWAYS}):
        try:
            path = release.table_path(source(other), table)
        except InputError:  # its data set is not named: nobody there has the modality
            continue
        if release.exists(path):
            found.append(str(Path(path)))
    return found
