"""The report of a prediction: who was predicted, and what is odd in their data.

Counts of real patients below ten are hidden, as in results.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl

from pipeline.cohort import attrition
from pipeline.evaluation.sections import coverage
from pipeline.evaluation.sections.coverage import Presence
from pipeline.evaluation.sections.suppression import shown, shown_attrition, shown_part
from pipeline.predict import quality
from pipeline.predict.asked import Asked, told
from pipeline.predict.reference import ITEMS, items_of
from pipeline.predict.selection import Selected
from pipeline.predict.source import EPISODES
from pipeline.predict.tables import Work
from pipeline.predict.units import UnitCheck
from pipeline.stage.prediction import REPORT_SCHEMA, PredictionReport, Present, Unknown, Unseen
from pipeline.stage.sections import SplitCoverage

if TYPE_CHECKING:
    from pipeline.predict.predictor import Predictor

NOT_ASKED = "a condition of training that is known only later is not asked: {}"


@dataclass(frozen=True)
class Facts:
    """What a prediction knows of its patients.

    Who was `chosen` and who of them is at risk,
    `absent` tables, `units`: what was seen of signals, `least`: counts below are hidden, `data` of
    the `asked` episodes.
    """

    chosen: Selected
    absent: list[str]
    units: UnitCheck | None
    least: int
    data: Mapping[str, Any]
    asked: Asked


def of(predictor: "Predictor", work: Work, risks: pl.DataFrame, facts: Facts) -> PredictionReport:
    """The report of a prediction."""
    model, least = predictor.model, facts.least
    mine = facts.chosen.episodes.filter(pl.col("episode_id").is_in(facts.asked.ids))
    waiting, listed = told(facts.asked, least)
    covered = having(_has(predictor, facts), facts.asked.ids, least)
    total = mine.height
    running = _running(work, mine, model["unit"])
    made: PredictionReport = {
        "schema_version": REPORT_SCHEMA,
        "target": model["target"],
        "definitions_version": model["definitions_version"],
        "suppressed_below": least,
        "episodes": shown(total, least),
        "patients": shown(mine["subject_id"].n_unique(), least),
        "running": shown_part(running, total, least),
        "waiting": waiting,
        "listed": listed,
        "selection": [
            {"condition": row["condition"], "episodes": row["episodes"]}
            for row in shown_attrition(steps(facts), least)
        ],
        "modalities": _present(predictor, work, facts, covered),
        "combinations": {**covered["combinations"]},
        "films_unreadable": shown(work.counts.get("unreadable", 0), least),
        "absent_tables": facts.absent,
        "absent_signals": _absent_signals(predictor, facts),
        "unknown_items": _unknown(predictor, work, least),
        "unseen": _unseen(predictor, work, facts),
        "units": facts.units.found(least) if facts.units else [],
        "shift": [
            quality.shift(risks.filter(seed=one["seed"])["risk"].to_numpy(), one["seed"],
                          model["reference"][str(one["seed"])], one["threshold"], least)
            for one in model["seeds"]
        ],
        "notes": [*map(NOT_ASKED.format, facts.chosen.not_asked), *predictor.notes()],
    }  # fmt: skip
    return made


def steps(facts: Facts) -> list[dict[str, Any]]:
    """Who is left after each condition of the cohort and of the task."""
    risk = facts.chosen.risk
    conditions = attrition.texts(attrition.named(risk, attrition.CONDITION))
    return [*facts.chosen.rows, *attrition.count(risk, conditions), *facts.asked.rows]


def _running(work: Work, episodes: pl.DataFrame, unit: str) -> int:
    """How many of the episodes have no end in the source."""
    table, key, end = EPISODES[unit]
    ends = pl.read_parquet(work.source / f"{table}.parquet", columns=[key, end])
    open_ended = ends.filter(pl.col(end).is_null())
    return episodes.join(open_ended, left_on="episode_id", right_on=key, how="semi").height


def having(has: Mapping[str, np.ndarray], ids: np.ndarray, least: int) -> SplitCoverage:
    """How many of the episodes `ids` have each letter, and exactly which, as a result tells it.

    `has`: letter → ids. No combination of fewer than `least` follows from the others and from how
    many have each letter; combinations that nobody has are left out.
    """
    made = coverage.counts(ids, Presence(has, dict.fromkeys(has, "assumed"), {}), least)
    there = {some: count for some, count in made["combinations"].items() if count != 0}
    return {**made, "combinations": there}


def _has(predictor: "Predictor", facts: Facts) -> dict[str, np.ndarray]:
    """Letter → the ids that have it; of statistics of the EHR everybody."""
    ids, data = facts.asked.ids, facts.data
    return {letter: ids[data[name].present()] if name in data else ids
            for letter, name in predictor.model["modalities"].items()}  # fmt: skip


def _present(predictor: "Predictor", work: Work, facts: Facts, made: SplitCoverage
             ) -> dict[str, Present]:  # fmt: skip
    reasons = {"note": ("radiology", "no radiology reports"), "cxr": ("cxr_metadata", "no films")}
    told: dict[str, Present] = {}
    for letter, name in predictor.model["modalities"].items():
        count, total = made["modalities"][letter], len(facts.asked.ids)
        exact = isinstance(count, int) and isinstance(made["n"], int)
        table, words = reasons.get(name, ("", ""))
        why = f"the source has {words}" if table in facts.absent else None
        if name == "cxr" and not why and work.films is None:
            why = "the source has no folder of films"
        share = round(count / total, 4) if exact and isinstance(count, int) else None
        told[name] = {"episodes": count, "share": share, "reason": why}
    return told


def _absent_signals(predictor: "Predictor", facts: Facts) -> list[str]:
    if facts.units is None:
        return []
    there = facts.units.seen()
    known = predictor.reference["signals"].drop_nulls("median")["signal"].to_list()
    return sorted(set(known) - there)


def _unknown(predictor: "Predictor", work: Work, least: int) -> list[Unknown]:
    if "items" not in predictor.reference:
        return []
    names = [name for name in ITEMS if name in predictor.tables]
    with duckdb.connect() as database:
        found = items_of(database, work.source, names)
    labels: dict[int, str] = {}
    for name in ("d_items", "d_labitems"):
        path = work.source / f"{name}.parquet"
        labels |= dict(pl.read_parquet(path, columns=["itemid", "label"]).rows())
    return quality.unknown_items(found, predictor.reference["items"], labels, least)


def _unseen(predictor: "Predictor", work: Work, facts: Facts) -> list[Unseen]:
    told = []
    path = work.folder / "ehr" / "tokens.parquet"
    if path.is_file() and "tokens" in predictor.reference:
        mine = pl.scan_parquet(path).filter(pl.col("episode_id").is_in(facts.asked.ids))
        tokens = mine.select("token").collect()["token"]
        told.append(quality.unseen_tokens(tokens, predictor.reference["tokens"], facts.least))
    if predictor.vocabulary:
        told.append(quality.unseen_words(work.words, predictor.vocabulary, facts.least))
    return told
