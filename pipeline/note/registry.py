"""Modality radiology reports; its encoders as the planner knows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.stage.registry import Encoder, Modality

FOLDER = "results/{protocol}/{unit}/note"
OWN_BERT = "results/{protocol}/note/bert"


def bert_files(config: Mapping[str, Any]) -> list[str]:
    """The files of a BERT that the config names by its folder, so that an edit is seen; of a hub
    name none."""
    model = config["note"]["bert"]["model"]
    return sorted(map(str, Path(model).glob("*.*"))) if model else []


def modality(config: Mapping[str, Any]) -> Modality:
    """Doc2Vec (Wang et al. 2024), BERT (Zhao et al. 2022), and a user's embeddings."""
    doc2vec = Encoder(
        files={"notes": f"{FOLDER}/notes.parquet", "vectors": f"{FOLDER}/vectors.parquet"},
        settings={"standardise": "note.standardise"},
        stages=("pipeline.note.clean", "pipeline.note.notes", "pipeline.note.doc2vec",
                "pipeline.note.vectors"),
        queries=("pipeline/note/notes",),
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
    """Frozen: a vector per report; with its last layer in training: WordPieces and weights."""
    model, last = config["note"]["bert"]["model"], config["note"]["bert"]["trained"] == "last"
    weights = (bert_files(config) if model else f"{OWN_BERT}/model.safetensors") if last else []
    table = "tokens" if last else "bert"
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
                "pipeline.note.wordpiece", "pipeline.note.bert"),
        queries=("pipeline/note/notes",),
    )  # fmt: skip
