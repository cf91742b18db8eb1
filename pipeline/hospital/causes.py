"""Where the risk is planted: which signals and hours, which patches of films, which sentences.

    python -m pipeline.hospital.causes --output results/hospital/truth --patients 8000 …

What is known of the generator is written out, so that an explanation of a trained model can be
scored against it. No rule that trains or embeds reads it. Nothing here is written into the
hospital's own files: the draws of `pipeline.hospital.make` are repeated, with its settings.

* Signals: those whose values have a slope along the latent of the EHR (`severity`), in the hours in
  which `course` shows it; what is given or charted in shock and acute respiratory failure alone
  (`shock`, `arf`), from the onset on, of which every ICU stay has its own. All other signals tell
  nothing.
* Films: by how much a film without grain changes, patch by patch, when the latent moves by one.
  Position, build and grain tell nothing, nor does what lies outside heart and lungs.
* Reports: the sentences of the 16 observations, of which one after the other turns abnormal, and
  the impression, which repeats the first. Examination, indication, technique and comparison tell
  nothing.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.hospital import (
    arrivals,
    bedside,
    charting,
    films,
    later,
    reports,
    stays,
    truth,
    truth_stay,
)
from pipeline.hospital.course import share_shown
from pipeline.hospital.drawing import BATCH, EXTREME, Lesion, _shade, shade_focal
from pipeline.hospital.make import parse_habits
from pipeline.hospital.mischarting import INTUBATED, VERBAL
from pipeline.hospital.population import draw_chunk
from pipeline.hospital.settings import CHUNK, HOUR, PREDICTION, Effects, Habits, Settings, Severity
from pipeline.hospital.treatments import NOREPINEPHRINE
from pipeline.stage.command import parser, run
from pipeline.stage.files import write_json
from pipeline.stage.settings import json_argument
from pipeline.stage.tables import Contract, write_table

PATCHES = 8  # down and across a film
PIXELS = 4  # of a patch's side, at which a film is drawn for this
HOURS = PREDICTION // HOUR
TELLS = {"shock": "shock", "arf": "arf", "ventilator": "arf", "peep": "arf"}  # shape of an item
SIGNALS = Contract(
    {"itemid": pl.Int64, "label": pl.String, "words": pl.String, "what": pl.String},
    key=("itemid", "what"),
    nullable=("words",),
)
ADMISSIONS = Contract(
    {"hadm_id": pl.Int64, "admitted": pl.Datetime("us"), "shock": pl.Int64, "arf": pl.Int64},
    key=("hadm_id",),
    units={"shock, arf": "minutes from the admission to the onset; −1: never"},
)
STAYS = Contract(
    {"stay_id": pl.Int64, **{name: kind for name, kind in ADMISSIONS.columns.items()
                             if name != "hadm_id"}},
    key=("stay_id",),
    units={"admitted": "of a later stay: its start, from which its own clock counts",
           "shock, arf": "minutes from `admitted` to the onset; −1: never"},
)  # fmt: skip
FILMS = Contract(
    {"dicom_id": pl.String, "change": pl.Array(pl.Float32, PATCHES**2)},
    key=("dicom_id",),
    units={"change": "grey levels per unit of the latent, of each patch, row by row"},
)
SENTENCES = Contract(
    {"observation": pl.Int64, "state": pl.String, "wording": pl.String},
    key=("observation", "state", "wording"),
)


def of_signals(habits: Habits) -> pl.DataFrame:
    """`SIGNALS`: the items that tell something, and of what; `words`: of these texts alone.

    >>> told = of_signals(Habits())
    >>> told.filter(label="Lactate")["what"].to_list(), told.filter(label="Sodium").is_empty()
    (['severity'], True)
    >>> sorted(told.filter(label="Norepinephrine")["what"])
    ['severity', 'shock']
    """
    items = charting.items().select("itemid", "label", "slope", "shape")
    none = pl.lit(None, pl.String).alias("words")
    steep = items.filter(pl.col("slope").cast(pl.Float64).fill_null(0) != 0)
    parts = [steep.select("itemid", "label", none, pl.lit("severity").alias("what"))]
    given = items.filter(pl.col("shape").is_in(list(TELLS)))
    what = pl.col("shape").replace(TELLS).alias("what")
    parts.append(given.select("itemid", "label", none, what))
    if habits.intubated_gcs:
        verbal = items.filter(itemid=VERBAL)
        parts.append(verbal.select(
            "itemid", "label", pl.lit(INTUBATED).alias("words"), pl.lit("arf").alias("what")
        ))  # fmt: skip
    assert NOREPINEPHRINE in given["itemid"]
    return pl.concat(parts)


def by_hour(severity: Severity) -> list[float]:
    """The share of the latent that vitals and labs show in each hour of the first two days.

    >>> by_hour(Severity(vitals="transient"))[11:13], by_hour(Severity(vitals="transient"))[-1]
    ([0.9583, 0.9583], 0.0)
    """
    if severity.vitals == "variability":
        return [1.0] * HOURS
    middle = np.arange(HOURS) * HOUR + HOUR / 2
    return [round(share, 4) for share in share_shown(severity.vitals, middle).tolist()]


def by_task(effects: Effects) -> dict[str, list[str]]:
    """Task → what changes its chance: the latents e, c, n, and the earlier events shock and arf.

    >>> by_task(Effects())["mortality"], by_task(Effects(chain=0))["arf_4h"]
    (['e', 'c', 'n', 'shock', 'arf'], ['e'])
    """
    table = {}
    for task in (*truth.TASKS, *truth_stay.HOURS):
        effect = getattr(effects, task.split("_")[0])
        weights = {name: getattr(effect, name) for name in ("e", "c", "n")}
        weights |= {name: effects.chain * getattr(effect, name) for name in ("shock", "arf")}
        table[task] = [name for name, weight in weights.items() if weight]
    return table


def of_sentences(severity: Severity) -> pl.DataFrame:
    """`SENTENCES`: the wordings of the observations; the impression has those of the first."""
    if severity.reports == "varied":
        normal, abnormal = reports.wordings()
    else:
        texts = (reports.NORMAL, reports.ABNORMAL)
        normal, abnormal = ([[s.strip() + "."] for s in t.split(".") if s.strip()] for t in texts)
    rows = [
        {"observation": k, "state": state, "wording": wording}
        for state, each in (("normal", normal), ("abnormal", abnormal))
        for k, wordings in enumerate(each)
        for wording in wordings
    ]
    return pl.DataFrame(rows)


def changes(rng: np.random.Generator, shown: np.ndarray, lesion: Lesion | None) -> np.ndarray:
    """(films, patches) by how much each patch changes per unit of the latent, in grey levels.

    `rng`: as that of `drawing.draw` when it begins: it draws position and build of every film.
    Frontal films only: a lateral one counts as frontal.
    """
    size, edge = len(shown), PATCHES * PIXELS
    latent = np.clip(shown, -EXTREME, EXTREME)[:, None, None]
    down, right, broad = (rng.standard_normal((size, 1, 1)) for _ in range(3))
    gap, axis, made = np.full((size, 1, 1), 0.42), np.linspace(-1, 1, edge), []
    for first in range(0, size, BATCH):
        part = slice(first, first + BATCH)
        at = axis[None, :, None] + 0.06 * down[part], axis[None, None, :] + 0.05 * right[part]
        build = 1 + 0.04 * broad[part]
        some = lesion and Lesion(*(column[part] for column in lesion))
        low, high = (
            _shade(latent[part] + step, gap[part], build, at) if some is None
            else shade_focal(latent[part] + step, gap[part], build, at, some)
            for step in (-0.5, 0.5)
        )  # fmt: skip
        patches = np.abs(high - low).reshape(-1, PATCHES, PIXELS, PATCHES, PIXELS)
        made.append(patches.mean(axis=(2, 4)).reshape(-1, PATCHES**2))
    return np.concatenate([np.zeros((0, PATCHES**2)), *made]).round(3)


def onsets(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """`ADMISSIONS` or `STAYS` of rows with the columns of admissions."""
    return rows.select(
        key, pl.col("admittime").cast(pl.Datetime("us")).alias("admitted"),
        pl.col("shock_at").alias("shock"), pl.col("arf_at").alias("arf"),
    )  # fmt: skip


def of_chunk(settings: Settings, chunk: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """`ADMISSIONS`, `STAYS` and `FILMS` of a chunk, frontal films that tell no outcome.

    An admission has the onsets of its early ICU stay; each later stay draws its own (`later`). The
    draws are those of `make.write_chunk`, whose streams these are; a test holds them together.
    """

    def stream(number: int) -> np.random.Generator:
        return np.random.default_rng([settings.seed, chunk, number])

    patients, admissions = draw_chunk(settings, chunk)
    kept = patients["subject_id"].head(settings.patients - chunk * CHUNK)
    moves = stays.movements(stream(8), admissions)
    admissions = stays.with_stay_id(admissions, moves)
    admissions = arrivals.arrivals(stream(30), admissions, settings.habits.late_arrival)
    admissions = bedside.weights(stream(50), admissions)
    others = later.later_stays(stream(10), admissions, moves, settings.effects)
    taken = films.film_rows(stream(6), admissions)
    if settings.habits.sparse_films:
        taken = films.of_emergencies(taken, admissions)
    pictures = films.with_ids(taken, admissions)
    pictures, lesion = films.with_lesions(stream(41), pictures, settings.severity.films)
    change = changes(stream(7), pictures["shown"].to_numpy(), lesion)
    shape = pl.Array(pl.Float32, PATCHES**2)
    pictures = pictures.with_columns(pl.Series("change", change, dtype=shape)).filter(
        pl.col("view") != "LATERAL", ~pl.col("tells"), pl.col("subject_id").is_in(kept.implode())
    )
    own, again = (
        rows.filter(pl.col("subject_id").is_in(kept.implode())) for rows in (admissions, others)
    )
    early = own.drop_nulls("stay_id").join(again, on="stay_id", how="anti")
    each = pl.concat([onsets(early, "stay_id"), onsets(again, "stay_id")])
    return onsets(own, "hadm_id"), each, pictures.select("dicom_id", "change")


def main() -> None:
    """Writes the tables of the causes."""
    options = parser(__doc__)
    options.add_argument("--output", required=True, type=Path, help="folder of the truth")
    options.add_argument("--patients", type=int, required=True)
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--chain", type=float, required=True)
    options.add_argument("--habits", type=parse_habits, required=True, help="JSON")
    of_severity = json_argument("hospital.severity", Severity)
    options.add_argument("--severity", type=of_severity, required=True, help="JSON")
    given = options.parse_args()
    settings = Settings(given.patients, given.seed, effects=Effects(chain=given.chain),
                        habits=given.habits, severity=given.severity)  # fmt: skip
    chunks = range(-(-settings.patients // CHUNK))
    made = zip(*(of_chunk(settings, chunk) for chunk in chunks), strict=True)
    contracts = {"admissions": ADMISSIONS, "stays": STAYS, "films": FILMS}
    for (name, contract), parts in zip(contracts.items(), made, strict=True):
        write_table(pl.concat(parts), given.output / f"causes_{name}.parquet", contract)
    write_table(of_signals(given.habits), given.output / "causes_signals.parquet", SIGNALS)
    write_table(of_sentences(given.severity), given.output / "causes_sentences.parquet", SENTENCES)
    facts = {"tasks": by_task(settings.effects), "hours": by_hour(given.severity),
             "severity": json.loads(given.severity.model_dump_json())}  # fmt: skip
    write_json(given.output / "causes.json", facts)


if __name__ == "__main__":
    run(main)
