"""The report of a prediction: who was predicted, what is odd in their data, and in words.

Counts of real patients below ten are hidden, as in results.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl

from pipeline.cohort import attrition
from pipeline.evaluation.sections.suppression import shown, shown_attrition, shown_part
from pipeline.predict import quality
from pipeline.predict.reference import ITEMS, items_of
from pipeline.predict.tables import Work
from pipeline.stage.prediction import REPORT_SCHEMA, PredictionReport, Present, Unknown, Unseen
from pipeline.stage.privacy import tell, warn

if TYPE_CHECKING:
    from pipeline.predict.predictor import Predictor


@dataclass(frozen=True)
class Facts:
    """What a prediction knows of its patients.

    `episodes` of the cohort, `risk`: who of them is at risk, `rows`: the cohort's attrition,
    `absent` tables, `units`: what was seen of signals, `least`: counts below are hidden, `data` of
    the `asked` episodes (ids), how many are `waiting` for their prediction time.
    """

    episodes: pl.DataFrame
    risk: pl.DataFrame
    rows: list[dict[str, Any]]
    absent: list[str]
    units: quality.UnitCheck | None
    least: int
    data: Mapping[str, Any]
    asked: np.ndarray
    waiting: int


def of(predictor: "Predictor", work: Work, risks: pl.DataFrame, facts: Facts) -> PredictionReport:
    """The report of a prediction."""
    model, least = predictor.model, facts.least
    mine = facts.episodes.filter(pl.col("episode_id").is_in(facts.asked))
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
        "waiting": shown(facts.waiting, least),
        "selection": [
            {"condition": row["condition"], "episodes": row["episodes"]}
            for row in shown_attrition(steps(facts), least)
        ],
        "modalities": _present(predictor, work, facts),
        "combinations": _combinations(risks, least),
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
        "notes": predictor.notes(),
    }  # fmt: skip
    return made


def steps(facts: Facts) -> list[dict[str, Any]]:
    """Who is left after each condition of the cohort and of the task."""
    conditions = attrition.texts(attrition.named(facts.risk, attrition.CONDITION))
    return [*facts.rows, *attrition.count(facts.risk, conditions)]


def _running(work: Work, episodes: pl.DataFrame, unit: str) -> int:
    """How many of the episodes have no end in the source."""
    table, key, end = {
        "admission": ("admissions", "hadm_id", "dischtime"),
        "stay": ("icustays", "stay_id", "outtime"),
    }[unit]
    ends = pl.read_parquet(work.source / f"{table}.parquet", columns=[key, end])
    open_ended = ends.filter(pl.col(end).is_null())
    return episodes.join(open_ended, left_on="episode_id", right_on=key, how="semi").height


def _present(predictor: "Predictor", work: Work, facts: Facts) -> dict[str, Present]:
    reasons = {"note": ("radiology", "no radiology reports"), "cxr": ("cxr_metadata", "no films")}
    told: dict[str, Present] = {}
    for name in predictor.model["modalities"].values():
        have = facts.data[name].present() if name in facts.data else np.ones(len(facts.asked), bool)
        count, total = int(have.sum()), len(have)
        part = shown_part(count, total, facts.least)
        table, words = reasons.get(name, ("", ""))
        why = f"the source has {words}" if table in facts.absent else None
        if name == "cxr" and not why and work.films is None:
            why = "the source has no folder of films"
        share = round(count / total, 4) if part == count else None
        told[name] = {"episodes": part, "share": share, "reason": why}
    return told


def _combinations(risks: pl.DataFrame, least: int) -> dict[str, int | str | None]:
    """How many have exactly which letters, small ones hidden with a second one."""
    one = risks.filter(seed=risks["seed"].max())
    counts = dict(one["modalities"].value_counts().sort("modalities").rows())
    small = [name for name, count in counts.items() if 0 < count < least]
    if len(small) == 1 and len(counts) > 1:
        others = sorted((count, name) for name, count in counts.items() if name not in small)
        small.append(others[0][1])
    return {name: None if name in small else count for name, count in counts.items()}


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
        mine = pl.scan_parquet(path).filter(pl.col("episode_id").is_in(facts.asked))
        tokens = mine.select("token").collect()["token"]
        told.append(quality.unseen_tokens(tokens, predictor.reference["tokens"], facts.least))
    if predictor.vocabulary:
        told.append(quality.unseen_words(work.words, predictor.vocabulary, facts.least))
    return told


def say(report: PredictionReport) -> None:
    """The report in lines: what is as it should be in the log, what is odd on the screen."""
    tell(f"{report['target']}: risks of {report['episodes']} episodes of {report['patients']} "
         f"patients; {report['running']} of them still run")  # fmt: skip
    for name, here in report["modalities"].items():
        why = f" ({here['reason']})" if here["reason"] else ""
        (warn if why else tell)(f"{name}: {here['episodes']} of them{why}")
    for item in report["unknown_items"]:
        warn(f"{item['table']}: {item['items']} items that training never had, "
             f"{item['share']:.1%} of its rows")  # fmt: skip
    for unit in report["units"]:
        why = (
            f"they look like {unit['looks_like']}" if unit["looks_like"] else "no unit explains it"
        )
        warn(f"{unit['signal']}: {unit['unlike']:.0%} of the readings are unlike those of training "
             f"(median {unit['median']:g}, there {unit['training_median']:g}): {why}")  # fmt: skip
    for unseen in report["unseen"]:
        if unseen["share"] is not None:
            tell(f"{unseen['kind']} that training never had: {unseen['share']:.2%}")
    for one in report["shift"]:
        if one["mean"] is None:
            continue
        odd = one["psi"] is not None and one["psi"] > 0.25
        (warn if odd else tell)(
            f"seed {one['seed']}: mean risk {one['mean']:.3f}, {one['training_mean']:.3f} where it "
            f"was trained; PSI {one['psi']}, KS {one['ks']}"
        )
    for note in report.get("notes", []):
        warn(note)
