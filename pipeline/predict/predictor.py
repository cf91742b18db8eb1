"""Risks of new patients by a stored model: loaded once, asked as often as wanted.

    predictor = Predictor("results/models/en_early_mortality")
    made = predictor.predict("/data/new")
    made.risks, made.report

Nothing is fitted. From source files to features the functions of the workflow's stages do the work,
so the patients of the training source have the risks of its result, to the last digit.
"""

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.cohort.episodes import contract
from pipeline.fusion.registry import MODELS
from pipeline.predict import networks, reference, report, tables
from pipeline.predict.asked import checked_ids, checked_now, choose
from pipeline.predict.folder import notes_of, read_model
from pipeline.predict.risks import described, of_seeds
from pipeline.predict.selection import select
from pipeline.predict.source import Source, ids_in, tables_of, write_source
from pipeline.predict.stored import Kind, kind_of
from pipeline.predict.units import UnitCheck
from pipeline.predict.vectors import vectors_by
from pipeline.stage.prediction import PredictionReport, SeedFacts
from pipeline.stage.privacy import LEAST
from pipeline.stage.tables import write_table
from pipeline.training.modality import read_data
from pipeline.training.precision import native_bf16
from pipeline.training.processes import pick_device


@dataclass(frozen=True)
class Prediction:
    """Risks (`RISKS`), what is odd in the data, and who is left step by step, of any size: never
    written as it is."""

    risks: pl.DataFrame
    report: PredictionReport
    steps: list[dict[str, Any]]


class Predictor:
    """A stored model with everything that it needs in memory."""

    def __init__(self, folder: str | Path, device: str = "auto", threads: int = 2,
                 memory_mb: int = 4000, temp: str | Path | None = None) -> None:  # fmt: skip
        """Reads and checks the folder, and loads what was fitted; `InputError` where it is refused.

        `threads`: of tables, films and reports (torch's are the model's). `memory_mb`: of DuckDB.
        `temp`: folder for the source's tables while it predicts; else that of the system.
        """
        self.folder, self.threads, self.memory_mb = Path(folder), threads, memory_mb
        self.temp = temp
        self.model = read_model(folder)
        self.tables = tables_of("".join(self.model["modalities"]), self.model["unit"],
                                self.model["task"], self.model["cohort"]["films"])  # fmt: skip
        self.device = pick_device(device)
        self.reference = reference.present(
            {one: self.folder / "reference" / f"{one}.parquet"
             for one in ("signals", "tokens", "items")}
        )  # fmt: skip
        self.infer, self.vocabulary = vectors_by(self.folder / "note" / "doc2vec", threads)
        with self._computing():
            self.seeds = self._load()

    def _computing(self) -> AbstractContextManager[None]:
        return networks.computing(self.model["threads"], self.model["precision"])

    def _load(self) -> list[tuple[SeedFacts, Kind]]:
        """The model of every seed, built on the tables of nobody."""
        kind = kind_of(self.model["model"])
        with self._folder() as name:
            work = self._work(Path(name), None)
            write_source({}, self.tables, work.source, self.threads, self.memory_mb, strict=False)
            own = contract(self.model["unit"], "corrected")
            write_table(pl.DataFrame(schema=own.columns), work.episodes, own)
            settings = self._settings(work)
            data = read_data(settings, networks.NOBODY)
            return [(facts, kind(self.model, facts, self.folder / "weights", settings, data,
                                 self.device)) for facts in self.model["seeds"]]  # fmt: skip

    def _folder(self) -> AbstractContextManager[str]:
        return tempfile.TemporaryDirectory(prefix="predict-", dir=self.temp)

    def _work(self, folder: Path, films: Path | None) -> tables.Work:
        return tables.Work(self.model, self.folder, folder, films, self.threads, self.memory_mb,
                           infer=self.infer)  # fmt: skip

    def _settings(self, work: tables.Work) -> dict[str, Any]:
        """Makes the tables of every modality; the settings of the encoders with their files."""
        return {
            name: tables.MAKERS[name](work, own) for name, own in self.model["encoders"].items()
        }

    def predict(self, source: Source, ids: Sequence[int] | None = None,
                suppress_below: int = LEAST, films: str | Path | None = None,
                now: datetime | None = None) -> Prediction:  # fmt: skip
        """The risks of those who are at risk at the prediction time, and a report.

        `source`: a folder of source files, or tables by name. `ids`: of these episodes (hadm_id, or
        stay_id) alone. `films`: the folder of MIMIC-CXR-JPG, where `source` is tables. `now`: who
        has not reached the prediction time by then has no risk yet; None: all have. `InputError`
        where the source lacks what is needed, or nobody is left.
        """
        checked_ids(() if ids is None else ids)
        checked_now(now)
        with self._computing(), self._folder() as name:
            work = self._work(Path(name), tables.films_folder(source, films))
            absent = write_source(source, self.tables, work.source, self.threads, self.memory_mb)
            chosen = select(
                self.model, source, work.source, work.folder, self.threads, self.memory_mb
            )
            asked = choose(
                chosen.risk, chosen.episodes, ids_in(work.source, self.model["unit"]),
                self.model["hours"], ids, now,
            )  # fmt: skip
            units = None
            if "signals" in self.reference:
                units = UnitCheck(self.reference["signals"], chosen.episodes)
                work.look = units.look
            settings = self._settings(work)
            statistics = None
            if MODELS[self.model["model"]].kept == "statistics":
                tables.record(work, {"encoder": "none"})
                statistics = tables.statistics(work, str(self.model["hours"]))
            data = read_data(settings, asked.ids)
            about = described(self.model, data, chosen.episodes, asked.ids)
            risks = of_seeds(about, [
                (facts, one.risks(data, statistics, asked.ids)) for facts, one in self.seeds
            ])  # fmt: skip
            facts = report.Facts(chosen, absent, units, suppress_below, data, asked)
            told = report.of(self, work, risks, facts)
        return Prediction(risks, told, report.steps(facts))

    def notes(self) -> list[str]:
        """What may move the last digits of a risk here."""
        flags = Path("/proc/cpuinfo")
        native = flags.is_file() and native_bf16(flags.read_text(errors="replace"))
        return notes_of(self.model, native)
