"""Modality radiology reports; its encoders as the planner knows them."""

from collections.abc import Mapping
from typing import Any

from pipeline.stage.model_folders import tracked_files
from pipeline.stage.registry import Encoder, Modality

FOLDER = "results/{protocol}/{unit}/note"
OWN_BERT = "results/{protocol}/note/bert"
EMBEDDED_STORE = "results/note/embedded"  # no rule's output: a changed cohort must not delete it


def bert_files(config: Mapping[str, Any]) -> list[str]:
    """The files of the text model that the config names, so that an edit is seen."""
    return tracked_files(config["note"]["bert"]["model"])


def modality(config: Mapping[str, Any]) -> Modality:
    """Doc2Vec (Wang et al. 2024), BERT (Zhao et al. 2022) or another text model, and a user's
    embeddings."""
    doc2vec = Encoder(
        files={"notes": f"{FOLDER}/notes.parquet", "vectors": f"{FOLDER}/vectors.parquet"},
        settings={"standardise": "note.standardise"},
        stages=("pipeline.note.clean", "pipeline.note.notes", "pipeline.note.doc2vec",
                "pipeline.note.vectors"),
        queries=("pipeline/note/notes",),
        kept=True,
    )  # fmt: skip
    precomputed = Encoder(
        files={
            "notes": f"{FOLDER}/notes.parquet",
            "precomputed": f"{FOLDER}/precomputed.parquet",
        },
        external=(config["note"]["precomputed"],) if config["note"]["precomputed"] else (),
        counts=f"{FOLDER}/precomputed.json",
        stages=("pipeline.note.clean", "pipeline.note.notes", "pipeline.training.precomputed"),
        queries=("pipeline/note/notes",),
    )
    return Modality(
        words="notes",
        encoders={"doc2vec": doc2vec, "bert": _bert(config), "precomputed": precomputed},
        present=f"{FOLDER}/notes.parquet",
    )


def _bert(config: Mapping[str, Any]) -> Encoder:
    """Frozen: a vector per report; learning: pieces of reports, and the model's files."""
    model, frozen = config["note"]["bert"]["model"], config["note"]["bert"]["trained"] == "frozen"
    own = bert_files(config) if model else f"{OWN_BERT}/model.safetensors"
    table, weights = ("bert", []) if frozen else ("tokens", own)
    return Encoder(
        files={
            "notes": f"{FOLDER}/notes.parquet",
            table: f"{FOLDER}/{table}.parquet",
            "weights": weights,
        },
        settings={"trained": "note.bert.trained"},
        places={"model": model or OWN_BERT},
        external=tuple(bert_files(config)),
        stages=("pipeline.note.clean", "pipeline.note.notes", "pipeline.note.train_bert",
                "pipeline.note.pieces", "pipeline.note.embed"),
        queries=("pipeline/note/notes",),
    )  # fmt: skip
