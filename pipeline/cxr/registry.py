"""Modality chest films; its encoders as the planner knows them."""

from collections.abc import Mapping
from typing import Any

from pipeline.stage.model_folders import PICTURES, tracked_files
from pipeline.stage.registry import Encoder, Modality, Paths

KEY = "config.cxr.backbone"
FOLDER = "results/{protocol}/{unit}/cxr"
# no rule's outputs: a changed cohort must not delete them
STORE, EMBEDDED_STORE = "results/cxr/store", "results/cxr/embedded"
SHARDS = [f"p{number}" for number in range(10, 20)]
DECODED = [f"{FOLDER}/decoded/{shard}.parquet" for shard in SHARDS]
# nothing is trained before it is there
READABLE = {"films": f"{FOLDER}/films.parquet", "readable": f"{FOLDER}/readable.json"}
READING = ("pipeline.cxr.films", "pipeline.cxr.decode", "pipeline.cxr.readable")
QUERIES = ("pipeline/cxr/films",)


def backbone_files(config: Mapping[str, Any]) -> list[str]:
    """The files of the network that the config names, so that an edit is seen: weights and JSON of
    a folder, of torchvision's network its weights."""
    backbone = config["cxr"]["backbone"]
    if backbone["weights"]:
        return [backbone["weights"]]
    if "/" not in backbone["model"]:
        return []
    return tracked_files(backbone["model"], f"{KEY}.model", PICTURES)


def modality(config: Mapping[str, Any]) -> Modality:
    """ResNet-18 (Wang et al. 2024), any vision network by its name, and a user's embeddings."""
    encoders = {
        "resnet18": _resnet18(config),
        "backbone": _backbone(config),
        "precomputed": Encoder(
            files={
                "films": f"{FOLDER}/films.parquet",
                "precomputed": f"{FOLDER}/precomputed.parquet",
            },
            settings={"hours_scale": "cxr.hours_scale"},
            external=(config["cxr"]["precomputed"],) if config["cxr"]["precomputed"] else (),
            counts=f"{FOLDER}/precomputed.json",
            stages=("pipeline.cxr.films", "pipeline.training.precomputed"),
            queries=QUERIES,
        ),
    }
    return Modality(words="chest films", encoders=encoders, present=f"{FOLDER}/films.parquet")


def _resnet18(config: Mapping[str, Any]) -> Encoder:
    """Films, and the weights that it starts from, if any."""
    pretrained = config["cxr"]["pretrained"]
    return Encoder(
        files={**READABLE, "decoded": DECODED, "pretrained": pretrained or []},
        external=(pretrained,) if pretrained else (),
        settings={
            "pixels": "cxr.pixels",
            "full": "cxr.full",
            "hours_scale": "cxr.hours_scale",
            "one_by_one": "cxr.one_by_one",
            "standardise": "cxr.standardise",
            "augment": "cxr.augment",
        },
        places={"store": STORE},
        stages=READING,
        queries=QUERIES,
        kept=True,
    )


def _backbone(config: Mapping[str, Any]) -> Encoder:
    """Frozen: a vector per film, made once; fine-tuned: films, and the network's files."""
    frozen = config["cxr"]["backbone"]["trained"] == "frozen"
    settings = {"trained": "cxr.backbone.trained", "hours_scale": "cxr.hours_scale"}
    if frozen:
        embedded: Mapping[str, Paths] = {"embedded": f"{FOLDER}/embedded.parquet"}
        return Encoder(
            files={**READABLE, **embedded},
            settings=settings,
            places={"store": EMBEDDED_STORE},
            external=tuple(backbone_files(config)),
            stages=(*READING, "pipeline.cxr.embed"),
            queries=QUERIES,
        )
    return Encoder(
        files={**READABLE, "decoded": DECODED, "network": backbone_files(config)},
        external=tuple(backbone_files(config)),
        settings={
            **settings,
            "model": "cxr.backbone.model",
            "weights": "cxr.backbone.weights",
            "pixels": "cxr.pixels",
            "full": "cxr.full",
            "augment": "cxr.augment",
        },
        places={"store": STORE},
        stages=READING,
        queries=QUERIES,
    )
