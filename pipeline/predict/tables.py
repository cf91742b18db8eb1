"""What encoders read of new episodes: the tables of each modality, made by the stages' functions.

Each function writes the tables of one modality into a folder and returns the settings with which
its encoder reads them. The work is that of the rules select_events, tokenise_events,
describe_events, select_films, decode_films, clean_notes, select_notes and infer_vectors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from pipeline.cxr.decode import DECODED, KEY, decode_new, places
from pipeline.cxr.film_files import locate
from pipeline.cxr.films import FILMS, open_metadata
from pipeline.cxr.registry import SHARDS
from pipeline.ehr.events import select_events
from pipeline.ehr.statistics import write_statistics
from pipeline.ehr.tokens import write_tokens
from pipeline.extract import release
from pipeline.note.clean import clean
from pipeline.note.notes import NOTES, select_notes
from pipeline.note.settings import Letters
from pipeline.note.vectors import words_of, write_vectors
from pipeline.predict.source import Prepared, Source
from pipeline.stage.availability import PartOfRule, query_of
from pipeline.stage.database import connect
from pipeline.stage.modules import ROOT
from pipeline.stage.prediction import StoredModel
from pipeline.stage.store import find, size_folder
from pipeline.stage.tables import write_table

Infer = Callable[[list[str]], np.ndarray]


@dataclass
class Work:
    """One prediction: the stored model (its folder), the folder of its tables, and resources.

    `source`: folder of the extracted tables, `films`: of the data set of films, if there is one.
    `look`: is shown the events before implausible ones are dropped. `infer`: words of reports →
    vectors. `counts`: what was counted, for the report. `words`: texts of the reports.
    """

    model: StoredModel
    stored: Path
    folder: Path
    films: Path | None
    threads: int
    memory_mb: int
    look: Callable[[pl.DataFrame], None] | None = None
    infer: Infer | None = None
    counts: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    @property
    def source(self) -> Path:
        """Folder of the extracted tables."""
        return self.folder / "source"

    @property
    def episodes(self) -> Path:
        """The episodes of the cohort."""
        return self.folder / "episodes.parquet"

    def rule(self, *kinds: str) -> Any:
        """From when these kinds of rows are known."""
        table = self.model["availability"]
        return PartOfRule.model_validate({kind: table[kind] for kind in ("enforced", *kinds)})

    def database(self) -> Any:
        """A database of its own, within a block."""
        return connect(self.threads, self.memory_mb, self.folder)


def films_folder(source: Source, films: str | Path | None = None) -> Path | None:
    """The folder of the data set of films of a source; None where it has none."""
    if films is not None or isinstance(source, Mapping):
        return None if films is None else Path(films)
    if isinstance(source, Prepared):
        return source.films
    found = release.locate({"root": str(source)}, "mimic_cxr_jpg")
    return found.folder if found.found else None


def record(work: Work, own: Mapping[str, Any]) -> dict[str, Any]:
    """The EHR: events, and of them tokens or a grid, and statistics.

    `own`: the settings of the encoder; `statistics`: hours → file, where it reads any.
    """
    folder = work.folder / "ehr"
    events = folder / "events.parquet"
    if not events.is_file():
        with work.database() as database:
            select_events(
                database, work.episodes, work.source,
                work.rule("vitals", "outputs", "labs", "procedures", "infusions"), events,
                work.look,
            )  # fmt: skip
    settings = dict(own)
    if own["encoder"] == "tokens":
        tokens, codes = folder / "tokens.parquet", folder / "demographics.parquet"
        write_tokens(work.episodes, events, work.stored / "ehr" / "bins.parquet", tokens, codes)
        settings |= {"tokens": str(tokens), "demographics": str(codes)}
    else:
        settings |= {"events": str(events), "episodes": str(work.episodes)}
    if own.get("statistics"):
        settings["statistics"] = {hours: statistics(work, hours) for hours in own["statistics"]}
    return settings


def statistics(work: Work, hours: str) -> str:
    """The statistics of the events at a horizon; events are selected before."""
    output = work.folder / "ehr" / f"statistics_{hours}h.parquet"
    if not output.is_file():
        events = work.folder / "ehr" / "events.parquet"
        write_statistics(work.episodes, events, float(hours), output)
    return str(output)


def films(work: Work, own: Mapping[str, Any]) -> dict[str, Any]:
    """Chest films, decoded into a store of their own."""
    folder = work.folder / "cxr"
    asked = SimpleNamespace(query=ROOT / "pipeline/cxr/films.sql", admissions=None,
                            availability=work.rule("films"))  # fmt: skip
    tables = {"cxr_metadata": work.source / "cxr_metadata.parquet", "episodes": work.episodes}
    with work.database() as database:
        open_metadata(database, tables, work.model["views"])
        taken = database.sql(query_of(asked, "films")).pl()  # type: ignore[arg-type]
    write_table(taken, folder / "films.parquet", FILMS)
    store = folder / "store"
    decoded, failed = [], 0
    for shard in _shards(taken):
        path = folder / "decoded" / f"{shard}.parquet"
        placed = _decode(work, taken, shard, own, store)
        failed += placed["fault"].count()
        write_table(placed, path, DECODED)
        decoded.append(str(path))
    nowhere = taken["dicom_id"].n_unique() - sum(pl.read_parquet(p).height for p in decoded)
    work.counts |= {"films": taken["dicom_id"].n_unique(), "unreadable": failed + nowhere}
    return {**own, "films": str(folder / "films.parquet"), "decoded": decoded, "store": str(store),
            "pretrained": []}  # fmt: skip


def _shards(taken: pl.DataFrame) -> list[str]:
    """The shards of some films; one at least, so that there is a table."""
    begin = taken["subject_id"].cast(pl.String).str.slice(0, 2).unique().to_list()
    return [shard for shard in SHARDS if shard[1:] in begin] or SHARDS[:1]


def _decode(work: Work, taken: pl.DataFrame, shard: str, own: Mapping[str, Any], store: Path
            ) -> pl.DataFrame:  # fmt: skip
    """Where the films of a shard lie in the store, or why they cannot be read (`DECODED`)."""
    located = locate(taken, shard, work.films or work.folder / "nowhere")
    folder = size_folder(store, own["pixels"], own["full"]) / shard
    new = find(located.drop_nulls("stamp"), folder, KEY).filter(pl.col("chunk").is_null())
    failed = decode_new(new.sort("dicom_id"), folder, own["pixels"], work.threads, own["full"])
    return places(located, failed, folder)


def reports(work: Work, own: Mapping[str, Any]) -> dict[str, Any]:
    """Radiology reports, cleaned, and their Doc2Vec vectors."""
    assert work.infer is not None
    folder = work.folder / "note"
    cleaned, used = folder / "clean.parquet", folder / "notes.parquet"
    asked = SimpleNamespace(query=ROOT / "pipeline/note/notes.sql", admissions=None,
                            availability=work.rule("notes"))  # fmt: skip
    with work.database() as database:
        clean(database, work.source / "radiology.parquet", cleaned)
        tables = {"episodes": work.episodes, "notes": cleaned}
        write_table(
            select_notes(database, query_of(asked, "notes"), tables), used, NOTES  # type: ignore[arg-type]
        )  # fmt: skip
    words = words_of(cleaned, used, Letters(**own["letters"]), work.threads)
    work.words = words["words"].to_list()
    write_vectors(words["note_id"], work.infer(work.words), folder / "vectors.parquet")
    return {**own, "notes": str(used), "vectors": str(folder / "vectors.parquet")}


MAKERS: dict[str, Callable[[Work, Mapping[str, Any]], dict[str, Any]]] = {
    "ehr": record,
    "cxr": films,
    "note": reports,
}
