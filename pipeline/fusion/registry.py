"""Every model of the workflow: one entry makes it a target, a row of the tables and a word.

UniMed's variants (config `unimed.variants`) are models `unimed-<name>`.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.stage.registry import Model

SINGLE, REFERENCE, DECODER = "unimodal", "early", "unimed"
_SEVERAL, _ANY = ("two letters or more", range(2, 99)), ("any", range(1, 99))
_BASELINES = "pipeline.fusion.baselines"
_STATISTICS = (_BASELINES, "pipeline.ehr.statistics")


def _score(name: str, words: str, *tables: str) -> Model:
    """A clinical score: of the EHR alone, from the tables that it reads."""
    made_by = ("pipeline.fusion.scores", "pipeline.ehr.scores", f"pipeline/ehr/scores_{name}.sql")
    read = ("chartevents", "outputevents", "icustays", *tables)
    return Model(words, "e", range(1, 2), made_by, "scores", letters="e", tables=read)


MODELS: dict[str, Model] = {
    SINGLE: Model("single modality", "one letter", range(1, 2), (), "encoders", published=True,
                  kept="single"),
    REFERENCE: Model("early fusion", *_SEVERAL, ("pipeline.fusion.early",), "embeddings",
                     curves=True, published=True, kept="fused"),
    "joint": Model("joint fusion", *_SEVERAL, ("pipeline.fusion.joint",), "encoders",
                   curves=True, published=True, kept="joint"),
    "gated": Model("gated fusion", *_SEVERAL, ("pipeline.fusion.early",), "embeddings",
                   curves=True, kept="fused"),
    "gated-joint": Model("gated fusion, trained together", *_SEVERAL, ("pipeline.fusion.joint",),
                         "encoders", curves=True, kept="joint"),
    "early-ensemble": Model("early fusion, mean of the seeds", *_SEVERAL,
                            ("pipeline.fusion.early", "pipeline.fusion.ensemble"), "predictions",
                            curves=True, seeds=2),
    "late": Model("late fusion", *_SEVERAL, ("pipeline.fusion.late",), "embeddings",
                  curves=True, published=True, kept="late"),
    "late-averaged": Model("late fusion, trained together", *_SEVERAL, ("pipeline.fusion.joint",),
                           "encoders", curves=True, published=True, kept="joint"),
    "logistic": Model("logistic regression on embeddings", *_ANY, (_BASELINES,), "embeddings",
                      curves=True, kept="baseline"),
    "gbdt": Model("boosted trees on embeddings", *_ANY, (_BASELINES,), "embeddings", curves=True,
                  kept="baseline"),
    "logistic-stats": Model("logistic regression on statistics", "e", range(1, 2), _STATISTICS,
                            "statistics", letters="e", kept="statistics"),
    "gbdt-stats": Model("boosted trees on statistics", "e", range(1, 2), _STATISTICS,
                        "statistics", letters="e", kept="statistics"),
    "sofa": _score("sofa", "SOFA", "labevents", "inputevents"),
    "oasis": _score("oasis", "OASIS", "admissions", "services"),
}  # fmt: skip
UNIMED = Model("UniMed", *_ANY, ("pipeline.unimed.train",), "encoders", decoder=True)


def is_decoder(name: str) -> bool:
    """Whether a model's name is of UniMed's family, known or not.

    >>> is_decoder("unimed-gru"), is_decoder("early")
    (True, False)
    """
    return name == DECODER or name.startswith(f"{DECODER}-")


def decoders(config: Mapping[str, Any]) -> list[str]:
    """UniMed and its variants.

    >>> decoders({"unimed": {"variants": {"gru": {}}}})
    ['unimed', 'unimed-gru']
    """
    return [DECODER, *(f"{DECODER}-{variant}" for variant in config["unimed"]["variants"])]


def models(config: Mapping[str, Any], protocol: str = "corrected") -> dict[str, Model]:
    """The models of a protocol by name, UniMed's family last; the published one has the paper's.

    >>> list(models({"unimed": {"variants": {}}}, "published"))
    ['unimodal', 'early', 'joint', 'late', 'late-averaged']
    """
    if protocol == "published":
        return {name: model for name, model in MODELS.items() if model.published}
    return {**MODELS, **dict.fromkeys(decoders(config), UNIMED)}


def enough_seeds(config: Mapping[str, Any], model: Model) -> bool:
    """Whether the config trains as many seeds as a model needs.

    >>> enough_seeds({"seeds": [0]}, MODELS["early-ensemble"])
    False
    """
    return len(config["seeds"]) >= model.seeds


def fusions(protocol: str = "corrected", config: Mapping[str, Any] | None = None) -> list[str]:
    """The models that fuse several modalities; of a config, those that its seeds are enough for.

    >>> {"early", "early-ensemble"}.intersection(fusions(config={"seeds": [0]}))
    {'early'}
    """
    return [
        name
        for name, model in MODELS.items()
        if 1 not in model.sizes
        and (model.published or protocol != "published")
        and (config is None or enough_seeds(config, model))
    ]


def fitted_by(module: str, features: str | None = None) -> str:
    """A pattern of the names of the models that a module fits, on these features or any.

    >>> fitted_by("pipeline.fusion.joint").startswith("joint|gated-joint|late-averaged")
    True
    """
    return "|".join(
        name
        for name, model in MODELS.items()
        if module in model.modules and features in (None, model.features)
    )
