"""Radiology reports and discharge summaries in the language of reports.

They show the latent of the notes in steps: the higher it is, the more of 16 observations are
abnormal. Reports of chest films, CT and ultrasound make the same observations. An observation has
one wording (`fixed`), or one of several synonyms and negations, drawn for each report (`varied`).
No wording is that of two observations or of both states: the level is readable in either way.

Addenda add nothing, a few reports have no text. Reports from after 48 h, or stored after it, tell
who dies (traps), and so do all discharge summaries.
"""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.hospital.charting import draw_times
from pipeline.hospital.settings import HOUR, PREDICTION
from pipeline.hospital.stays import postponed

STEP, LEVELS = 0.375, 16  # 16 observations cover −3 … +3
NORMAL = (
    "The lungs are clear bilaterally. No pleural effusion is seen. There is no pneumothorax. "
    "The cardiomediastinal silhouette is unremarkable. The hila are within normal limits. "
    "Pulmonary vascularity is preserved. No acute osseous abnormality. Lung volumes are adequate. "
    "The diaphragm is well visualized. The trachea is midline. No free air is identified. "
    "The visualized upper abdomen is benign. Soft tissues are intact. No suspicious nodule. "
    "The aorta is normal in caliber. Heart size is stable and normal."
)
ABNORMAL = (
    "There is extensive multifocal consolidation. A large layering effusion is increasing. "
    "There is tension on the mediastinum with worsening shift. Severe cardiomegaly has progressed. "
    "The hila are engorged and indistinct. Marked interstitial edema has worsened. "
    "Acute displaced rib fractures are noted. Severe atelectasis with volume loss. "
    "Diffuse opacification obscures the hemidiaphragm. Endotracheal tube requires repositioning. "
    "Concerning subdiaphragmatic lucency is present. Large ascites with distended bowel. "
    "Extensive subcutaneous emphysema. Enlarging cavitary lesion suspicious for abscess. "
    "Dilated tortuous aorta with hematoma. Findings compatible with florid decompensation."
)
EXAMS = ["CHEST (PORTABLE AP)", "CT CHEST W/CONTRAST", "US ABD LIMIT, SINGLE ORGAN"]
TEMPLATE = (
    "EXAMINATION:  {}\n\nINDICATION:  ___ year old with {}.  // evaluate\n\nTECHNIQUE:  {}\n\n"
    "COMPARISON:  ___.\n\nFINDINGS: \n\n{}\n\nIMPRESSION: \n\n{} {}"
)
ADDENDUM = "ADDENDUM:  The findings were discussed with Dr. ___ by telephone on ___ at ___."
TECHNIQUE = [
    "Single portable frontal view of the chest.",
    "Multidetector helical scanning was performed after intravenous contrast.",
    "Grey scale and Doppler ultrasound images were obtained.",
]
REASONS = ["dyspnea", "fever and leukocytosis", "altered mental status", "line placement", "pain"]
REVEALING = [  # of who dies, of who survives
    "Goals of care discussed; comfort measures, terminal extubation planned. Family at bedside.",
    "Patient transferred to the floor, ready for home with services. Marked recovery.",
]


def level(shown: np.ndarray) -> np.ndarray:
    """How many of the 16 observations are abnormal for a latent as shown.

    >>> level(np.array([-9.0, 0.0, 9.0])).tolist()
    [0, 8, 16]
    """
    return np.clip(np.rint((shown + STEP * LEVELS / 2) / STEP), 0, LEVELS).astype(int)


def read_level(count: np.ndarray) -> np.ndarray:
    """The latent that a perfect reader infers from the number of abnormal observations."""
    return count * STEP - STEP * LEVELS / 2


def note_rows(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """One row per radiology report: row, minute, stored, exam, kind, and whether it tells.

    Kinds: report, addendum, empty (no text).
    """
    stay, has = admissions["stay"].to_numpy(), admissions["has_note"].to_numpy()
    row, minute = draw_times(
        rng, np.full(len(stay), 20), np.where(has, np.minimum(stay, 43 * HOUR), -1), 1, 2
    )
    late = np.flatnonzero(stay > PREDICTION + 4 * HOUR)
    after = late[rng.random(len(late)) < 0.4]
    hidden = late[rng.random(len(late)) < 0.4]  # charted before 48 h, written up after
    wait, tells = postponed(admissions, after, 4 * HOUR)
    longer, hints = postponed(admissions, hidden, 4 * HOUR)
    at, early = PREDICTION + wait, np.full(len(hidden), PREDICTION - 60)
    parts = [
        (row, minute, minute + rng.integers(30, 240, len(row)), np.zeros(len(row), bool)),
        (after, at + 30, at + 90, tells),
        (hidden, early, PREDICTION + longer + 60, hints),
    ]
    notes = pl.concat(
        pl.DataFrame({"row": r, "minute": m, "stored": s, "tells": t.astype(int)})
        for r, m, s, t in parts
    )
    exam = rng.choice(3, notes.height, p=[0.7, 0.2, 0.1])
    notes = notes.with_columns(pl.Series("exam", exam), pl.lit("report").alias("kind"))
    notes = _with_addenda(rng, notes, np.flatnonzero(~has))
    return notes.sort("row", "minute", "tells", maintain_order=True)


def _with_addenda(
    rng: np.random.Generator, notes: pl.DataFrame, without: np.ndarray
) -> pl.DataFrame:
    """Adds addenda of a few reports, and reports without text after a few others.

    Some of the admissions `without` reports have only such an empty one.
    """
    chance = pl.Series(rng.random(notes.height))
    addenda = notes.filter(chance < 0.02).with_columns(
        minute=pl.col("stored") + 20, stored=pl.col("stored") + 45, kind=pl.lit("addendum")
    )
    empty = notes.filter(chance > 0.985).with_columns(
        minute=pl.col("minute") + 7, stored=pl.col("stored") + 7, kind=pl.lit("empty")
    )
    alone = pl.DataFrame({"row": without[rng.random(len(without)) < 0.2]})
    alone = alone.select(
        "row", minute=6 * HOUR, stored=7 * HOUR, tells=0, exam=0, kind=pl.lit("empty")
    )
    return pl.concat([notes, addenda, empty, alone], how="vertical_relaxed")


def _sentences(text: str) -> list[str]:
    return [part.strip() + "." for part in text.split(".") if part.strip()]


@cache
def wordings() -> tuple[list[list[str]], list[list[str]]]:
    """The varied wordings of each observation: in the normal state, in the abnormal one."""
    table = pl.read_csv(Path(__file__).with_name("reports_wordings.csv"))
    ordered = table.group_by("observation", "state").agg("wording").sort("observation")
    normal, abnormal = (
        ordered.filter(pl.col("state") == state)["wording"].to_list()
        for state in ("normal", "abnormal")
    )
    return normal, abnormal


def observations(shown: np.ndarray, varied: np.random.Generator | None = None) -> pl.DataFrame:
    """The sentences s0 … s15, which turn abnormal one after the other as the latent rises.

    `impression` repeats s0. `varied` draws the wordings, each anew; None: they are fixed.

    >>> observations(np.array([-9.0, 9.0]))["s3"].to_list()
    ['The cardiomediastinal silhouette is unremarkable.', 'Severe cardiomegaly has progressed.']
    """
    abnormal = np.arange(LEVELS) < level(shown)[:, None]
    good, bad = wordings() if varied else ([[s] for s in _sentences(t)] for t in (NORMAL, ABNORMAL))

    def worded(k: int) -> np.ndarray:
        texts = (
            np.array(each[k])[varied.integers(0, len(each[k]), len(shown)) if varied else 0]
            for each in (bad, good)
        )
        return np.where(abnormal[:, k], *texts)

    columns = {f"s{k}": worded(k) for k in range(LEVELS)}
    return pl.DataFrame({**columns, "impression": worded(0)})


def write_up(
    rng: np.random.Generator, notes: pl.DataFrame, admissions: pl.DataFrame, varied: bool
) -> pl.Series:
    """The text of each report, null where it is empty; `varied`: with synonyms and negations."""
    row, exam = notes["row"].to_numpy(), notes["exam"].to_numpy()
    dies = admissions["dies"].to_numpy()[row]
    drawn = rng.spawn(1)[0] if varied else None  # leaves `rng` as it was
    frame = observations(admissions["shown_n"].to_numpy()[row], drawn).with_columns(
        pl.Series("exam", np.array(EXAMS)[exam]),
        pl.Series("reason", np.array(REASONS)[rng.integers(0, len(REASONS), len(row))]),
        pl.Series("technique", np.array(TECHNIQUE)[exam]),
        pl.Series(
            "revealing", np.where(notes["tells"].to_numpy() == 1, np.where(dies, *REVEALING), "")
        ),
        notes["kind"],
    )
    findings = pl.concat_str([f"s{k}" for k in range(LEVELS)], separator=" ")
    report = pl.format(TEMPLATE, "exam", "reason", "technique", findings, "impression", "revealing")
    kind = pl.col("kind")
    text = pl.when(kind == "report").then(report).when(kind == "addendum").then(pl.lit(ADDENDUM))
    return frame.select(text.alias("text"))["text"]


def discharge_text(dies: np.ndarray) -> pl.Series:
    """Discharge summaries, which are written after the outcome and tell it."""
    ending = np.where(
        dies, "The patient expired. Time of death ___.", "Discharged home in good state."
    )
    head = "Name:  ___    Unit No:   ___\n\nService: MEDICINE\n\nBrief Hospital Course:\n"
    return pl.Series("text", head + ending.astype(object) + "\n\nDischarge Condition:\n___\n")
