"""What is explained of a result: the models of its single modalities, and baselines on statistics.

Of a fused model that is each of its modalities by itself: frozen encoder and the head of
`{letter}_unimodal_{task}`. UniMed and clinical scores have no explanation: attention is none, and a
score says itself what it counts. Which files an explanation reads beside those of the encoder is
told here, so that only what it needs is made.
"""

from collections.abc import Callable
from typing import Any

from pipeline.fusion import registry
from pipeline.plan import protocols, targets
from pipeline.plan.wiring import UNIT, Of, Wiring
from pipeline.stage.modules import path_of

EXPLANATIONS = f"{UNIT}/explanations"
OF_MODELS = ("encoders", "embeddings", "predictions")  # features of models that are explained
# (modality, encoder) → what is read besides, by name, in the corrected protocol
BESIDE: dict[tuple[str, str], dict[str, str]] = {
    ("ehr", "tokens"): {
        "events": f"{UNIT}/ehr/events.parquet",
        "bins": "results/{protocol}/ehr/bins.parquet",
    },
    ("note", "doc2vec"): {
        "doc2vec": "results/{protocol}/note/doc2vec/model.json",
        "weights": "results/{protocol}/note/doc2vec/weights.safetensors",
        "radiology": "results/source/radiology.parquet",
        "clean": "results/note/clean.parquet",
    },
}


def is_explained(modality: str) -> bool:
    """Whether there is code that explains a modality.

    >>> is_explained("cxr"), is_explained("ecg")
    (True, False)
    """
    return path_of(f"pipeline.explain.{modality}") is not None


def beside(wiring: Wiring, letter: str) -> Callable[[Any], dict[str, str]]:
    """Name → file, of what the explanation of a modality's encoder reads besides."""

    def of(wildcards: Any) -> dict[str, str]:
        if wildcards.protocol == "published":
            return {}
        ((name, (encoder, _)),) = wiring.encoders(wildcards, letter).items()
        files = BESIDE.get((name, encoder), {})
        return {one: wiring.filled(path, wildcards) for one, path in files.items()}

    return of


def files(wiring: Wiring, letter: str) -> Of:
    """The files of `beside`."""
    of = beside(wiring, letter)
    return lambda wildcards: [*of(wildcards).values()]


def options(wiring: Wiring, letter: str) -> Of:
    """The same as options of a stage: name=path."""
    of = beside(wiring, letter)
    return lambda wildcards: [f"{name}={path}" for name, path in of(wildcards).items()]


def behind(wiring: Wiring, protocol: str = "corrected") -> Of:
    """The explanations behind a result of one binary task; of several folds those of the first.

    The two baselines on statistics explain what the record tells without an encoder: they stand
    beside every model that reads it.
    """

    def of(wildcards: Any) -> list[str]:
        asked = targets.tasks(wiring.config, wildcards.task, protocol)
        model = registry.models(wiring.config, protocol)[wildcards.model]
        if len(asked) > 1 or asked[0].kind != "binary" or model.decoder:
            return []
        names = []
        if model.features in OF_MODELS:
            names = [one for one in wildcards.modalities if is_explained(wiring.letters[one])]
        statistics = [f"e_{name}" for name, one in registry.models(wiring.config, protocol).items()
                      if one.features == "statistics"]  # fmt: skip
        if model.features == "statistics":
            names = [f"{wildcards.modalities}_{wildcards.model}"]
        elif "e" in names:
            names += statistics
        fold = protocols.folds(wiring.config, protocol)[0]
        return [
            wiring.located(f"{EXPLANATIONS}/{name}_{wildcards.task}.json", protocol=fold,
                           unit=asked[0].unit)
            for name in names
        ]  # fmt: skip

    return of
