"""The outcomes of those who were predicted: read after the prediction, for labels alone.

Cohort, conditions and label are those of the stages, on the tables of the source as they are now:
what became known after the prediction is read here, and only here. Who has a risk and no outcome
(still in hospital, no discharge, not at risk by what is known now) is counted, step by step.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.cohort import attrition, labels
from pipeline.cohort.task import find
from pipeline.predict.selection import cohort_of, open_events, training_cohort
from pipeline.predict.source import ALWAYS, Prepared
from pipeline.stage.database import connect
from pipeline.stage.errors import InputError
from pipeline.stage.prediction import StoredModel
from pipeline.stage.tables import read_table

ENDED = {"admission": "whose discharge is known", "stay": "whose ends of stay and admission are "
         "known"}  # fmt: skip
ENDS = (("icustays", "stay_id", "outtime"), ("admissions", "hadm_id", "dischtime"))


def labelled(model: StoredModel, source: Prepared, work: Path, threads: int, memory_mb: int
             ) -> pl.DataFrame:  # fmt: skip
    """episode_id, the task's `"condition: …"`, `eligible` and label (Int8) of the whole cohort.

    `InputError` where the source lacks what the task requires, or no episode is left.
    """
    folder, task = source.folder, find(model["task"])
    with connect(threads, memory_mb, work) as database:
        open_events(database, folder)
        sources = {name: read_table(folder / f"{name}.parquet") for name in ALWAYS}
        episodes, _ = cohort_of(database, training_cohort(model), model["unit"], sources, folder,
                                source.last_year)  # fmt: skip
        tables = {"episodes": episodes, **{n: sources[n] for n in ("admissions", "patients")}}
        answered = labels.asked_of(database, task, tables, {})
        labels.check_required(task, answered)
        return labels.decide(labels.joined(task, episodes, answered)).drop("subject_id", "split")


def running(model: StoredModel, source: Prepared, who: pl.DataFrame) -> pl.Series:
    """Of the episodes `who` (episode_id) those of which the end is not known: their ids."""
    if model["unit"] == "stay":
        stays = read_table(source.folder / "icustays.parquet", ["stay_id", "hadm_id"])
        ids = who.select(stay_id="episode_id").join(stays, on="stay_id", how="left")
        ids = ids.with_columns(episode_id="stay_id")
    else:
        ids = who.select("episode_id", hadm_id="episode_id")
    found = []
    for table, key, end in ENDS:
        if key not in ids.columns:
            continue
        rows = read_table(source.folder / f"{table}.parquet", [key, end])
        open_ended = rows.filter(pl.col(end).is_null())
        found.append(ids.join(open_ended, on=key, how="semi")["episode_id"])
    return pl.concat(found).unique()


def followed(
    model: StoredModel, source: Prepared, risks: pl.DataFrame, work: Path, threads: int,
    memory_mb: int, seen: Sequence[int] = (),
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:  # fmt: skip
    """Those with a risk whose outcome is known, with `label`; who is left step by step.

    `risks`: of `pipeline.predict`; `work`: a folder of one's own; `seen`: patients that home knows,
    who are left out. `InputError` where there is nobody.
    """
    who = risks.select("episode_id", "subject_id").unique().sort("episode_id")
    open_ended = running(model, source, who)
    if open_ended.len() == who.height:
        raise InputError(f"{source.words}: of nobody with a risk it knows the end (dischtime; of "
                         "ICU stays outtime, too): there is no outcome to judge a risk by"
                         )  # fmt: skip
    outcomes = labelled(model, source, work, threads, memory_mb)
    rows = who.join(outcomes.with_columns(in_cohort=True), on="episode_id", how="left",
                    maintain_order="left")  # fmt: skip
    rows = rows.with_columns(
        predicted=True,
        unseen=~pl.col("subject_id").is_in(list(seen)),
        ended=~pl.col("episode_id").is_in(open_ended.implode()),
        told=pl.col("label").is_not_null(),
    )  # fmt: skip
    asked: Mapping[str, str] = {
        "predicted": "with a risk",
        **({"unseen": "of no patient that was trained on, or chosen by, at home"} if seen else {}),
        "ended": ENDED[model["unit"]],
        "in_cohort": "of the cohort, by what is known now",
        **{
            name: f"{text}, by what is known now"
            for name, text in attrition.texts(attrition.named(rows, attrition.CONDITION)).items()
        },
        "told": "with an outcome that is known",
    }
    kept = rows.filter(attrition.all_met(asked)).select("episode_id", "label")
    if kept.is_empty():
        raise InputError(f"{source.words}: nobody with a risk has an outcome that is known")
    return kept, attrition.count(rows, asked)
