"""Risks of new patients by a stored model: loaded once, asked as often as wanted.

    predictor = Predictor("results/models/en_early_mortality")
    made = predictor.predict("/data/new")
    made.risks, made.report

Nothing is fitted. From source files to features the functions of the workflow's stages do the work,
so the patients of the training source have the risks of its result, to the last digit.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.cohort.episodes import contract
from pipeline.cohort.rows import ALL_SEEDS, rounded
from pipeline.fusion.registry import MODELS
from pipeline.predict import networks, quality, reference, report, tables
from pipeline.predict.folder import notes_of, read_model
from pipeline.predict.source import Source, contract_of, select, tables_of, write_source
from pipeline.predict.stored import Kind, kind_of
from pipeline.stage.errors import InputError
from pipeline.stage.prediction import PredictionReport, SeedFacts
from pipeline.stage.privacy import LEAST, shown
from pipeline.stage.tables import Contract, check, write_table
from pipeline.training.modality import ModalityData
from pipeline.training.precision import native_bf16
from pipeline.training.processes import pick_device

RISKS = Contract(
    columns={
        "task": pl.String,
        "episode_id": pl.Int64,
        "subject_id": pl.Int64,
        "seed": pl.Int64,
        "prediction_time": pl.Datetime("us"),
        "modalities": pl.String,
        "probability": pl.Float64,
        "risk": pl.Float64,
        "positive": pl.Boolean,
    },
    key=("task", "episode_id", "seed"),
    nullable=("positive",),
    units={
        "seed": "of the training; −1: the mean over all",
        "modalities": "letters of what the episode has",
        "probability": "of the model, as in its table of predictions",
        "risk": "the same, recalibrated where the result is: to be read",
        "positive": "risk at or above the threshold; null where there is none",
    },
)
NOBODY = np.empty(0, np.int64)


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
                 memory_mb: int = 4000) -> None:  # fmt: skip
        """Reads and checks the folder, and loads what was fitted; `InputError` where it is refused.

        `threads`: of tables, films and reports (torch's are the model's). `memory_mb`: of DuckDB.
        """
        self.folder, self.threads, self.memory_mb = Path(folder), threads, memory_mb
        self.model = read_model(folder)
        self.tables = tables_of("".join(self.model["modalities"]), self.model["unit"],
                                self.model["task"], self.model["cohort"]["films"])  # fmt: skip
        self.device = pick_device(device)
        self.reference = reference.present(
            {one: self.folder / "reference" / f"{one}.parquet"
             for one in ("signals", "tokens", "items")}
        )  # fmt: skip
        self.infer, self.vocabulary = _doc2vec(self.folder / "note" / "doc2vec", threads)
        with self._computing():
            self.seeds = self._load()

    def _computing(self) -> AbstractContextManager[None]:
        return networks.computing(self.model["threads"], self.model["precision"])

    def _load(self) -> list[tuple[SeedFacts, Kind]]:
        """The model of every seed, built on the tables of nobody."""
        kind = kind_of(self.model["model"])
        with tempfile.TemporaryDirectory() as name:
            work = self._work(Path(name), None)
            write_source({}, self.tables, work.source, self.threads, self.memory_mb, strict=False)
            own = contract(self.model["unit"], "corrected")
            write_table(pl.DataFrame(schema=own.columns), work.episodes, own)
            settings = self._settings(work)
            data = networks.read_some(settings, NOBODY)
            return [(facts, kind(self.model, facts, self.folder / "weights", settings, data,
                                 self.device)) for facts in self.model["seeds"]]  # fmt: skip

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
        with self._computing(), tempfile.TemporaryDirectory(prefix="predict-") as name:
            work = self._work(Path(name), tables.films_folder(source, films))
            absent = write_source(source, self.tables, work.source, self.threads, self.memory_mb)
            episodes, risk, attrition = select(
                self.model, source, work.source, work.folder, self.threads, self.memory_mb
            )
            units = quality.UnitCheck(self.reference["signals"]) if "signals" in self.reference \
                else None  # fmt: skip
            work.look = units.look if units else None
            settings = self._settings(work)
            statistics = None
            if MODELS[self.model["model"]].kept == "statistics":
                tables.record(work, {"encoder": "none"})
                statistics = tables.statistics(work, str(self.model["hours"]))
            asked, waiting = _asked(risk, ids, self._reached(episodes, now))
            data = networks.read_some(settings, asked)
            risks = self._risks(data, statistics, asked, episodes)
            facts = report.Facts(
                episodes, risk, attrition, absent, units, suppress_below, data, asked,
                waiting,
            )  # fmt: skip
            told = report.of(self, work, risks, facts)
        return Prediction(risks, told, report.steps(facts))

    def _reached(self, episodes: pl.DataFrame, now: datetime | None) -> pl.Series:
        """The ids of the episodes that have reached their prediction time."""
        if now is None:
            return episodes["episode_id"]
        time = pl.col("clock_zero") + pl.duration(hours=self.model["hours"])
        return episodes.filter(time <= now)["episode_id"]

    def _risks(self, data: Mapping[str, ModalityData], statistics: str | None, asked: np.ndarray,
               episodes: pl.DataFrame) -> pl.DataFrame:  # fmt: skip
        """The table of risks: of each seed, and of several their mean."""
        letters = _letters(self.model["modalities"], data, len(asked))
        about = pl.DataFrame({"episode_id": asked}).join(
            episodes.select("episode_id", "subject_id", "prediction_time"), on="episode_id",
            how="left", maintain_order="left",
        ).with_columns(modalities=letters, task=pl.lit(self.model["task"]))  # fmt: skip
        hours = pl.duration(hours=self.model["hours"])
        clock = episodes.select("episode_id", predicted=pl.col("clock_zero") + hours)
        about = about.join(clock, on="episode_id", how="left", maintain_order="left")
        about = about.with_columns(prediction_time=pl.col("predicted").cast(pl.Datetime("us")))
        each = [
            self._of_seed(about, facts, rounded(one.risks(data, statistics, asked)))
            for facts, one in self.seeds
        ]
        if len(each) > 1:
            mean = rounded(np.mean([one["probability"].to_numpy() for one in each], axis=0))
            risk = rounded(np.mean([one["risk"].to_numpy() for one in each], axis=0))
            each.append(about.with_columns(
                seed=pl.lit(ALL_SEEDS, pl.Int64), probability=pl.Series(mean), risk=pl.Series(risk),
                positive=pl.lit(None, pl.Boolean),
            ))  # fmt: skip
        return check(pl.concat(each), RISKS, "risks")

    @staticmethod
    def _of_seed(about: pl.DataFrame, facts: SeedFacts, probability: np.ndarray) -> pl.DataFrame:
        risk = rounded(reference.recalibrated(probability, facts))
        threshold = facts["threshold"]
        positive = pl.lit(None, pl.Boolean) if threshold is None else pl.Series(risk >= threshold)
        return about.with_columns(
            seed=pl.lit(facts["seed"], pl.Int64), probability=pl.Series(probability),
            risk=pl.Series(risk), positive=positive,
        )  # fmt: skip

    def notes(self) -> list[str]:
        """What may move the last digits of a risk here."""
        flags = Path("/proc/cpuinfo")
        native = flags.is_file() and native_bf16(flags.read_text(errors="replace"))
        return notes_of(self.model, native)

    def contract(self) -> dict[str, Any]:
        """What a source must hold."""
        return dict(contract_of(self.tables))


def _letters(modalities: Mapping[str, str], data: Mapping[str, ModalityData], count: int
             ) -> pl.Series:  # fmt: skip
    """The letters of what each of `count` episodes has."""
    here = {letter: data[name].present() for letter, name in modalities.items() if name in data}
    if not here:  # statistics of the EHR, which everybody has
        return pl.Series(["".join(modalities)] * count, dtype=pl.String)
    each = ["".join(letter for letter, have in here.items() if have[row]) for row in range(count)]
    return pl.Series(each, dtype=pl.String)


def _asked(risk: pl.DataFrame, ids: Sequence[int] | None, reached: pl.Series
           ) -> tuple[np.ndarray, int]:  # fmt: skip
    """The ids, ascending, of who is at risk, asked for and `reached` the prediction time; how many
    have not yet. `InputError` where nobody has."""
    there = risk.filter("eligible")
    if ids is not None:
        there = there.filter(pl.col("episode_id").is_in(list(ids)))
    ready = there.filter(pl.col("episode_id").is_in(reached.implode()))
    if ready.is_empty():
        raise InputError("nobody to predict: no episode of the cohort is at risk at the prediction "
                         "time" + " and among the ids" * (ids is not None)
                         + f"; {shown(there.height)} have not reached it" * bool(there.height)
                         )  # fmt: skip
    return ready["episode_id"].sort().to_numpy(), there.height - ready.height


def _doc2vec(folder: Path, threads: int
             ) -> tuple[Callable[[list[str]], np.ndarray] | None, Mapping[str, int]]:  # fmt: skip
    """A function from words of reports to vectors, and the vocabulary; none without reports."""
    if not folder.is_dir():
        return None, {}
    from pipeline.note.doc2vec import infer, load

    models = [load(folder) for _ in range(threads)]
    size = models[0].vector_size

    def of(part: list[str], model: Any) -> np.ndarray:
        return np.array([infer(model, text, seed=0) for text in part], np.float32)

    def vectors(texts: list[str]) -> np.ndarray:
        parts = [texts[place::threads] for place in range(threads)]
        made = np.empty((len(texts), size), np.float32)
        with ThreadPoolExecutor(threads) as pool:  # gensim leaves Python while it computes
            for place, part in enumerate(pool.map(of, parts, models)):
                if len(part):
                    made[place::threads] = part
        return made

    return vectors, models[0].wv.key_to_index
