"""The signals of the EHR and the vocabulary of tokens made of them.

`signals.csv` is the list that a clinician reads: signal, kind (chart, lab or interval), source
table, MIMIC's label, physiological limits, conversion `value · scale + shift`, number of categories
for scores. Where it names an itemid, that decides and the label is for the reader: vasopressors are
those of the task shock, and angiotensin II. Limits are what a living body can show, not what is
normal: hypotension stays in. `words`: a charted text that is a signal of its own.

Sources: Wang et al. 2024 (HAIM's lists); the rest is added (corrected protocol), with the items of
mimic-code's concepts: arterial pressures of both lines and the ventilator's rate (vitalsign), FiO2
in percent and PaO2 of arterial specimens (bg), bilirubin (enzyme), INR (coagulation), urine with
what went in for irrigation taken off (urine_output), and vasopressors, whether one runs and at
which rate (norepinephrine, …): mcg/kg/min, vasopressin in units/hour, angiotensin II in ng/kg/min.

`signals_published.csv` is the list of the paper, with its "normal" ranges as limits: hypotension
and hypoxia are missing there (wang2024.md 6.4, 6.12). It converts nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

BINS = 200  # rows of the sinusoid table; row 0 is "no value", 1 underflow, 199 overflow
# demographics and their number of classes (Wang et al. 2024; sex in the corrected protocol)
CLASSES = {"age": 9, "sex": 2, "insurance": 3, "language": 2, "marital_status": 5, "race": 8}
# GCS verbal of the intubated: MIMIC charts "No Response-ETT" with the number 1, as if unresponsive.
# mimic-code's gcs.sql tells it by the text, too (CareVue's was "1.0 ET/Trach").
INTUBATED = """
    CREATE MACRO intubated(itemid, words) AS
        itemid = 223900 AND coalesce(regexp_matches(words, '(?i)\\bETT?\\b'), FALSE)
"""
# Numbers that are charted in several ways, after mimic-code's concepts.
# FiO2 (223835, blood gas 50816): a fraction becomes a percentage (bg, ventilator_setting).
# The oxygen of blood (50821) is PaO2 where the specimen is arterial (bg, sofa): `arterial` lists
# these. ASSUME the type of a specimen (52033; 50800 before release 2.0) is known with its results.
# Rates of vasopressors: in the units above; null where no conversion of their unit is known. With a
# weight of 1 kg a rate in mg/kg/min is one in mcg/kg/min (norepinephrine).
NUMBERS = """
    CREATE MACRO in_percent(itemid, number) AS CASE
        WHEN itemid IN (223835, 50816) AND number BETWEEN 0.2 AND 1 THEN 100 * number
        ELSE number
    END;
    CREATE MACRO rate_of(itemid, rate, unit, kilograms) AS CASE
        WHEN itemid = 222315 THEN CASE unit
            WHEN 'units/hour' THEN rate
            WHEN 'units/min' THEN 60 * rate
        END
        WHEN itemid IN (229709, 229764) THEN CASE unit
            WHEN 'ng/kg/min' THEN rate
            WHEN 'mcg/kg/min' THEN 1000 * rate
        END
        WHEN unit = 'mcg/kg/min' OR unit = 'mg/kg/min' AND kilograms = 1 THEN rate
        WHEN unit = 'mg/kg/min' THEN 1000 * rate
        WHEN unit = 'mcg/min' THEN rate / nullif(kilograms, 0)
    END
"""
ARTERIAL = """
    CREATE VIEW arterial AS
        SELECT DISTINCT specimen_id FROM labevents
        WHERE itemid IN (50800, 52033) AND value = 'ART.' AND specimen_id IS NOT NULL
"""
CATALOGUE = "signals.csv"  # of another protocol: signals_<protocol>.csv, tracked by its own jobs


def classes(name: str = "corrected") -> dict[str, int]:
    """Demographics and their number of classes; the published protocol has no sex.

    >>> list(classes("published"))
    ['age', 'insurance', 'language', 'marital_status', 'race']
    """
    without = {"corrected": (), "published": ("sex",)}[name]
    return {column: count for column, count in CLASSES.items() if column not in without}


def catalogue(name: str = "corrected") -> pl.DataFrame:
    """The list of signals of a protocol: one row per source label or item.

    >>> catalogue().filter(signal="vasopressor")["itemid"].sort().to_list()[:4]
    [221289, 221662, 221749, 221906]
    """
    path = Path(__file__).with_name(CATALOGUE)
    if name != "corrected":
        path = path.with_stem(f"{path.stem}_{name}")
    numbers = dict.fromkeys(("low", "high", "scale", "shift"), pl.Float64)
    whole = dict.fromkeys(("categories", "itemid"), pl.Int64)
    return pl.read_csv(path, schema_overrides={**numbers, **whole})


@dataclass(frozen=True)
class Vocabulary:
    """Where the tokens of each signal lie in the encoder's table.

    Numeric signals have `BINS` rows, scores one row per category, intervals and texts one row.
    `blocks`: (signal, kind, rows, is numeric) in the order of the table.
    """

    blocks: tuple[tuple[str, str, int, bool], ...]

    @property
    def size(self) -> int:
        """Number of tokens."""
        return sum(rows for _, _, rows, _ in self.blocks)

    def offsets(self) -> dict[str, int]:
        """Signal → its first row."""
        offsets, total = {}, 0
        for signal, _, rows, _ in self.blocks:
            offsets[signal] = total
            total += rows
        return offsets


def vocabulary(name: str = "corrected") -> Vocabulary:
    """The vocabulary of a protocol's catalogue, chart before lab before interval.

    >>> [block for block in vocabulary().blocks if block[0] in ("spo2", "gcs_eye", "eeg")]
    [('spo2', 'chart', 200, True), ('gcs_eye', 'chart', 4, False), ('eeg', 'interval', 1, False)]
    >>> len(vocabulary("published").blocks)
    41
    """
    signals = catalogue(name).unique("signal", keep="first", maintain_order=True)
    blocks = [
        (s["signal"], s["kind"], _rows(s["kind"], s["categories"]),
         s["kind"] != "interval" and s["categories"] is None)
        for s in signals.to_dicts()
    ]  # fmt: skip
    order = {"chart": 0, "lab": 1, "interval": 2}
    return Vocabulary(tuple(sorted(blocks, key=lambda block: order[block[1]])))


def _rows(kind: str, categories: int | None) -> int:
    if kind == "interval":
        return 1
    return BINS if categories is None else categories
