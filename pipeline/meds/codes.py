"""What the codes of a MEDS data set mean: one csv, code → signal, unit, scale.

A row has a code, in which `*` stands for a part between two `//`, and its signal: one of
`pipeline/ehr/signals.csv`, or one of `ROLES` (an admission, a birth …), whose facts are the parts
at the stars, in their order. Of several rows that fit a code the first counts. Further columns may
be absent, and empty where they say nothing: `event`, start or end of an infusion or procedure,
drawn of a specimen whose result is an event of its own; `unit`, of the code's numbers; `scale` and
`shift`, which make numbers of signals.csv's unit of them (value · scale + shift); `item`, the one
of MIMIC-IV as which it is read, else the signal's first in `mimic_iv.csv`; `label`, of the item.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from pipeline.ehr.signals import catalogue
from pipeline.stage.errors import InputError

SHIPPED = Path(__file__).with_name("mimic_iv.csv")
ROLES = ("admission", "discharge", "icu_admission", "icu_discharge", "ed_registration", "ed_out",
         "birth", "death", "sex", "insurance", "language", "marital_status", "race", "weight",
         "specimen", "code_status")  # fmt: skip
READ = {"specimen": "labevents", "code_status": "chartevents"}  # roles that are rows of a table
COLUMNS = ("code", "signal", "event", "unit", "scale", "shift", "item", "label")
OWN_IDS = 900_000_000  # items that MIMIC does not have: several codes of one output
EVENTS = {  # table → what a row may say of its codes' events; a reading where it says nothing
    "inputevents": ("start", "end"),
    "procedureevents": ("start", "end"),
    "labevents": ("", "drawn"),
}

_TEXTS = ("code", "signal", "event", "unit", "source", "label", "words")
MEANINGS = pl.Schema(
    {
        **dict.fromkeys(_TEXTS, pl.String),
        "scale": pl.Float64,
        "shift": pl.Float64,
        "itemid": pl.Int64,
        "parts": pl.List(pl.String),
    }
)


@dataclass(frozen=True)
class Code:
    """A row of the csv; `event`: one of `EVENTS`. `item`: None where the csv names none."""

    code: str
    signal: str
    event: str
    unit: str
    scale: float
    shift: float
    item: int | None
    label: str

    def parts(self, code: str) -> list[str] | None:
        """The texts at the stars where the row fits a code; None where it does not.

        >>> row = Code("HOSPITAL_ADMISSION//*//*", "admission", "", "", 1, 0, None, "")
        >>> row.parts("HOSPITAL_ADMISSION//URGENT//UNK"), row.parts("HOSPITAL_ADMISSION//URGENT")
        (['URGENT', 'UNK'], None)
        """
        fits = _pattern(self.code).fullmatch(code)
        return list(fits.groups()) if fits else None


@cache
def _pattern(code: str) -> re.Pattern[str]:
    return re.compile("((?:(?!//).)*)".join(map(re.escape, code.split("*"))))


@cache
def sources() -> dict[str, str]:
    """Signal → the table of the source that it is read from, roles that are rows included.

    The first of those that it has: FiO2 is charted, and measured with blood gases.
    """
    rows = catalogue().unique("signal", keep="first", maintain_order=True)
    return {**dict(rows.select("signal", "source").iter_rows()), **READ}


@cache
def _tables() -> dict[tuple[str, str | None], str]:
    """Signal and MIMIC-IV's label of an item → the table that it is in."""
    return {(signal, label): table for signal, label, table in
            catalogue().select("signal", "label", "source").iter_rows()}  # fmt: skip


def read_codes(path: str | Path = SHIPPED) -> list[Code]:
    """The rows of a csv; `InputError` with the line where one is wrong."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable csv ({type(error).__name__})") from error
    if not rows or not {"code", "signal"} <= set(rows[0]):
        raise InputError(f"{path}: expected rows under a first line with code, signal and, where "
                         f"wanted, {', '.join(COLUMNS[2:-1])}")  # fmt: skip
    known, items = sources(), {} if Path(path) == SHIPPED else _shipped_items()
    found = [_row(row, f"{path}, line {k}", known, items) for k, row in enumerate(rows, start=2)]
    patterns = [one.code for one in found]
    if twice := sorted({code for code in patterns if patterns.count(code) > 1}):
        raise InputError(f"{path}: {twice[0]} is listed twice; one row per code")
    return found


def _row(
    row: Mapping[str, str], where: str, known: Mapping[str, str], items: Mapping[str, set[int]]
) -> Code:
    """One row, checked; `items`: of signals, those that a row may name; empty: any."""
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    signal, event = cells["signal"], cells["event"]
    if not cells["code"]:
        raise InputError(f"{where}: code is empty")
    if signal not in known and signal not in ROLES:
        raise InputError(f"{where}: no signal {signal}; expected one of signals.csv, or one of "
                         f"{', '.join(ROLES)}")  # fmt: skip
    table = _tables().get((signal, cells["label"]), known.get(signal, ""))
    if event not in (may_be := EVENTS.get(table, ("",))):
        need = " or ".join(name or "nothing" for name in may_be)
        raise InputError(f"{where}: event is {event or 'empty'}; of {signal} expected {need}")
    numbers: dict[str, float] = {}
    for name, usual in (("scale", 1.0), ("shift", 0.0), ("item", None)):
        try:
            numbers[name] = float(cells[name]) if cells[name] else usual  # type: ignore[assignment]
        except ValueError as error:
            raise InputError(f"{where}: {name} is {cells[name]}, expected a number") from error
    item = None if numbers["item"] is None else int(numbers["item"])
    if item is not None and items and item not in items.get(signal, set()):
        raise InputError(f"{where}: item {item} is none of {signal} in {SHIPPED.name}; leave it "
                         "empty")  # fmt: skip
    return Code(cells["code"], signal, event, cells["unit"], numbers["scale"], numbers["shift"],
                item, cells["label"])  # fmt: skip


@cache
def _shipped() -> tuple[Code, ...]:
    return tuple(read_codes(SHIPPED))


def _shipped_items() -> dict[str, set[int]]:
    items: dict[str, set[int]] = {}
    for one in _shipped():
        items.setdefault(one.signal, set()).update([] if one.item is None else [one.item])
    return items


def meanings(codes: Iterable[str], rows: list[Code]) -> pl.DataFrame:
    """What the codes of a data set mean: those that a row fits, each once.

    Columns: code, signal, event, unit (of the csv), scale, shift, source (table, or null of a
    role), itemid, label (of the item), parts (list of texts; UNK is null), words (a text that is
    the signal).
    """
    exact = {one.code: number for number, one in enumerate(rows) if "*" not in one.code}
    starred = [
        (number, one.code.split("*")[0], one) for number, one in enumerate(rows) if "*" in one.code
    ]
    known, labels = sources(), {one.item: one.label for one in _shipped() if one.item}
    words = dict(catalogue().drop_nulls("words").select("signal", "words").iter_rows())
    found = []
    for code in sorted(set(codes)):
        fits: list[tuple[int, list[str]]] = [(exact[code], [])] if code in exact else []
        for number, start, one in starred:
            if code.startswith(start) and (parts := one.parts(code)) is not None:
                fits.append((number, parts))
        if not fits:
            continue
        number, parts = min(fits, key=lambda fit: fit[0])
        one = rows[number]
        item, label = as_item(one, number, labels)
        found.append({
            "code": code, "signal": one.signal, "event": one.event, "unit": one.unit,
            "scale": one.scale, "shift": one.shift,
            "source": _tables().get((one.signal, label), known.get(one.signal)),
            "itemid": item, "label": label, "words": words.get(one.signal),
            "parts": [None if part == "UNK" else part for part in parts],
        })  # fmt: skip
    return pl.DataFrame(found, schema=MEANINGS)


def as_item(one: Code, number: int, labels: Mapping[int, str]) -> tuple[int | None, str | None]:
    """The item as which a row is read, and its label: the one that it names, or the signal's first.

    Several codes of outputs stay apart: what came out in two ways at one time is a sum.
    """
    if one.item is not None:
        return one.item, labels[one.item]
    first = next((each for each in _shipped() if each.signal == one.signal and each.item), None)
    if first is None or first.item is None:
        return None, None
    if sources()[one.signal] == "outputevents":
        return OWN_IDS + number, first.label
    return first.item, first.label


def lacking(found: pl.DataFrame) -> list[str]:
    """The signals of the catalogue of which a data set has no code, in its order.

    Those that are read from the rows of another (a vasopressor that runs, GCS of the intubated) are
    there with it.
    """
    names = catalogue()
    beside = names.filter(pl.col("itemid").is_not_null() & (pl.col("kind") == "interval"))
    derived = {*beside["signal"], *names.drop_nulls("words")["signal"]}
    there = {*found["signal"], *derived}
    return [name for name in names["signal"].unique(maintain_order=True) if name not in there]
