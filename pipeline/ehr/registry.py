"""Modality EHR: what was charted, drawn and given; its encoders as the planner knows them."""

from collections.abc import Mapping
from typing import Any

from pipeline.stage.registry import Encoder, Modality, Paths

UNIT = "results/{protocol}/{unit}"


def modality(config: Mapping[str, Any]) -> Modality:
    """Tokens (Wang et al. 2024), a regular grid, and FIDDLE's features (Zhao et al. 2022)."""
    has_statistics = config["ehr"]["statistics"]
    statistics: dict[str, Paths] = {"statistics": f"{UNIT}/ehr/statistics/{{hours}}h.parquet"}
    files, stages = (statistics, ("pipeline.ehr.statistics",)) if has_statistics else ({}, ())
    tokens = Encoder(
        files={
            "tokens": f"{UNIT}/ehr/tokens.parquet",
            "demographics": f"{UNIT}/ehr/demographics.parquet",
            **files,
        },
        settings={
            "window_hours": "window",
            "signals": "ehr.signals",
            "start_by_value": "ehr.start_by_value",
        },
        stages=("pipeline.ehr.events", "pipeline.ehr.bins", "pipeline.ehr.tokens", *stages),
        published=("pipeline.ehr.published",),
        kept=True,
    )  # fmt: skip
    grid = Encoder(
        files={
            "events": f"{UNIT}/ehr/events.parquet",
            "episodes": f"{UNIT}/episodes.parquet",
            **files,
        },
        settings={"window_hours": "window", "grid": "ehr.grid"},
        stages=("pipeline.ehr.events", *stages),
        kept=True,
    )
    fiddle = Encoder(
        files={
            "features": f"{UNIT}/fiddle/features.parquet",
            "static": f"{UNIT}/fiddle/S.parquet",
            "series": f"{UNIT}/fiddle/X.parquet",
            **files,
        },
        settings={"step": "fiddle.step"},
        stages=("pipeline.ehr.long", "pipeline.fiddle.fit", "pipeline.fiddle.transform", *stages),
    )
    return Modality(
        words="EHR",
        encoders={"tokens": tokens, "grid": grid, "fiddle": fiddle},
        present=f"{UNIT}/ehr/tokens.parquet",
        assumed=f"{UNIT}/episodes.parquet",  # if only demographics
    )
