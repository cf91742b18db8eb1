"""Modality chest films; its encoder as the planner knows it."""

from collections.abc import Mapping
from typing import Any

from pipeline.stage.registry import Encoder, Modality

FOLDER = "results/{protocol}/{unit}/cxr"
STORE = "results/cxr/store"  # no rule's output: a changed cohort must not delete it
SHARDS = [f"p{number}" for number in range(10, 20)]


def modality(config: Mapping[str, Any]) -> Modality:
    """ResNet-18 on every film."""
    resnet18 = Encoder(
        files={
            "films": f"{FOLDER}/films.parquet",
            "decoded": [f"{FOLDER}/decoded/{shard}.parquet" for shard in SHARDS],
            "readable": f"{FOLDER}/readable.json",  # nothing is trained before it is there
            "pretrained": config["cxr"]["pretrained"] or [],
        },
        settings={
            "pixels": "cxr.pixels",
            "full": "cxr.full",
            "hours_scale": "cxr.hours_scale",
            "one_by_one": "cxr.one_by_one",
        },
        places={"store": STORE},
        stages=("pipeline.cxr.films", "pipeline.cxr.decode", "pipeline.cxr.readable"),
        queries=("pipeline/cxr/films",),
    )
    return Modality(
        words="chest films", encoders={"resnet18": resnet18}, present=f"{FOLDER}/films.parquet"
    )
