"""The planted causes of the synthetic hospital, as parts of what a model reads.

`pipeline.hospital.causes` writes where the risk is planted; here it is told in the terms of the
pipeline: signals of its catalogue, hours from an episode's clock zero, words of sentences.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.ehr.signals import catalogue
from pipeline.stage.files import read_json
from pipeline.stage.tables import read_table

BEFORE = {"shock": 0, "arf": 5}  # minutes before the onset at which something of it is charted
SHOWS = 0.1  # share of the latent that an hour must show to carry it
CHANGES = 0.25  # share of the largest change of a film's patches from which on one carries it


class Truth:
    """The files `causes…` of a folder, for one task."""

    def __init__(self, folder: Path, task: str) -> None:
        self.folder, self.task = folder, task
        self.facts = read_json(folder / "causes.json")

    def carried_by(self, what: str) -> bool:
        """Whether e, c, n, shock or arf changes the chance of the task."""
        return what in self.facts["tasks"].get(self.task, [])

    def why_none(self, letter: str) -> str | None:
        """Why a modality has no cause of the task; None where it has."""
        known = self.facts["tasks"]
        if self.task not in known:
            return f"the causes of {self.task} are not written out: of {', '.join(known)} alone"
        return None if self.carried_by(letter) else f"nothing of it is planted in modality {letter}"

    @cached_property
    def signals(self) -> pl.DataFrame:
        """signal, what (severity, shock, arf): each signal of the catalogue that tells something of
        the task."""
        told = read_table(self.folder / "causes_signals.parquet")
        asked = {"severity": "e", "shock": "shock", "arf": "arf"}
        counts = [what for what, name in asked.items() if self.carried_by(name)]
        told = told.filter(pl.col("what").is_in(counts))
        names = catalogue().with_columns(pl.col("words").is_not_null().alias("texts"))
        told = told.with_columns(pl.col("words").is_not_null().alias("texts"))
        by_item = names.drop_nulls("itemid").join(told, on=["itemid", "texts"])
        by_label = names.filter(pl.col("itemid").is_null()).join(told, on=["label", "texts"])
        found = pl.concat([part.select("signal", "what") for part in (by_item, by_label)])
        return found.unique().sort("signal", "what")

    def onsets(self, episodes: pl.DataFrame) -> pl.DataFrame:
        """since (minutes from the start of the hospital's clock to clock zero), shock, arf (minutes
        from clock zero; null: never) of episodes (N,), in their order.

        The clock starts with the admission; of episodes that are ICU stays it is that of the stay.
        """
        of_stays = episodes["episode_id"].equals(episodes["stay_id"])
        name, key = ("stays", "stay_id") if of_stays else ("admissions", "hadm_id")
        asked = episodes.select(key, zero="clock_zero")
        table = asked.join(read_table(self.folder / f"causes_{name}.parquet"), on=key,
                           how="left", maintain_order="left")  # fmt: skip
        since = (pl.col("zero") - pl.col("admitted")).dt.total_minutes()
        return table.select(
            since.fill_null(0).alias("since"),
            *(pl.when(pl.col(one) >= 0).then(pl.col(one) - since).alias(one)
              for one in ("shock", "arf")),
        )  # fmt: skip

    def hours(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Whether signals show the latent, enough of it, between two hours of the clock.

        `first`, `last` (…) hours; what lies before its start or after the second day counts as
        the nearest hour does.
        """
        shows = np.concatenate([[0], np.cumsum(self.facts["hours"])])
        most = len(shows) - 1
        begin = np.clip(np.floor(first), 0, most - 1).astype(int)
        end = np.clip(np.ceil(last), begin + 1, most).astype(int)
        mean: np.ndarray = (shows[end] - shows[begin]) / (end - begin)
        return mean >= SHOWS

    def films(self, dicom_id: list[str]) -> np.ndarray:
        """(films, patches) bool: which patches of films carry the cause, row by row."""
        asked = pl.DataFrame({"dicom_id": dicom_id})
        table = asked.join(read_table(self.folder / "causes_films.parquet"), on="dicom_id",
                           how="left", maintain_order="left")  # fmt: skip
        known = table["change"].is_not_null().to_numpy()
        change = np.zeros((len(dicom_id), read_width(table)), np.float32)
        change[known] = np.stack(table["change"].drop_nulls().to_list()) if known.any() else 0
        most = change.max(axis=1, keepdims=True)
        return (change >= CHANGES * most) & (most > 0)

    @cached_property
    def sentences(self) -> list[str]:
        """The wordings that tell something."""
        return read_table(self.folder / "causes_sentences.parquet")["wording"].to_list()


def read_width(table: pl.DataFrame) -> int:
    """The length of the array column `change`."""
    dtype = table.schema["change"]
    assert isinstance(dtype, pl.Array)
    return int(dtype.shape[0])
