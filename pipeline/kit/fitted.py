"""What was fitted where, and what was drawn at random, by the kind of model: what its code does.

Words of `pipeline.fusion` (encoders and heads; baselines; scores) and `pipeline.unimed`.
"""

from typing import Any

from pipeline.fusion.registry import MODELS, is_decoder
from pipeline.kit.inputs import Kit, listed
from pipeline.report.verdicts import noise_words

DECODER, UNKNOWN = "decoder", "unknown"
ENCODERS = ("encoders", "embeddings", "predictions")  # encoders, and a head on what they make
AS_DRAWN = ("statistics", "scores")  # the fit draws nothing at random
WAYS = {"platt": "Platt scaling", "temperature": "temperature scaling"}
CHOSEN = {"logistic": "the strength of the regression's penalty",
          "gbdt": "depth, rate and number of the trees"}  # fmt: skip
DROPPING = ("pipeline.fusion.early", "pipeline.fusion.joint")  # fit a head with modality dropout


def features(kit: Kit) -> str:
    """What the model is fitted on, as its registry says; a decoder's and an unknown one's apart."""
    name = kit.result["model"]
    if is_decoder(name):
        return DECODER
    return MODELS[name].features if name in MODELS else UNKNOWN


def is_drawn(kit: Kit) -> bool:
    """Whether another training seed would give another model."""
    return features(kit) not in AS_DRAWN


def base(kit: Kit) -> str:
    """The model without what it is fitted on: gbdt of gbdt-stats."""
    return kit.result["model"].removesuffix("-stats")


def split_words(kit: Kit) -> dict[str, str]:
    """The splits by what they are for; shares that both train the whole model are told by order."""
    apart = features(kit) in ENCODERS and kit.result["settings"].get("head_on") == "fusion"
    head = "training of fusion" if len(kit.result["modalities"]) > 1 else "training of the head"
    train = ("training of encoders", head) if apart else ("training, first share",
                                                          "training, second share")  # fmt: skip
    return dict(zip(("train", "fusion"), train, strict=True)) | {
        "val": "validation",
        "test": "test",
    }


def of_first(kit: Kit) -> str:
    """That splits are of the first fold, in brackets; empty of one fold."""
    return " (of the first fold)" if kit.result["folds"] > 1 else ""


def fitted_words(kit: Kit) -> str:
    """On which share what was fitted; empty where it is not known."""
    kind, head = features(kit), kit.result["settings"].get("head_on")
    if kind == "scores":
        return ("Points of the score became a probability by an intercept and a slope that were "
                "fitted on both training shares.")  # fmt: skip
    if kind == "statistics":
        return "The model was fitted on both training shares."
    if kind == DECODER:
        return "All of the model was trained together, on both training shares."
    if kind not in ENCODERS or head is None:
        return ""
    if head == "train" and base(kit) not in CHOSEN:
        return "The head was fitted on the patients that the encoders were fitted on."
    return "The head was fitted on patients that the encoders had not seen."


def ways(kit: Kit) -> list[str]:
    """The ways of recalibration that were fitted on validation, in words."""
    done = {one["method"] for one in kit.numbers["calibration"] if one["reason"] is None}
    return [words for way, words in WAYS.items() if way in done]


def choices(kit: Kit) -> list[str]:
    """What validation chose of this model."""
    made = ["the checkpoints of the networks"] if kit.result["training"] else []
    head = kit.result["settings"].get("head_on") == "fusion"
    if base(kit) in CHOSEN:
        made.append(CHOSEN[base(kit)])
    elif features(kit) in ENCODERS and head:
        made.append("penalty and width of the head (together with a cross-validation within the "
                    "share that it is fitted on)")  # fmt: skip
    if any(one["by_run"] for one in kit.numbers["operating_points"]):
        made.append("thresholds")
    return made


def validation_words(kit: Kit) -> str:
    """What validation was used for, and that test was used for nothing."""
    chosen = f"Validation chose {listed(choices(kit))}"
    scaled = ways(kit)
    chosen += (
        f"; on it {' and '.join(scaled)} w{'ere' if scaled[1:] else 'as'} fitted" if scaled else ""
    )
    return f"{chosen}. Nothing was fitted to test or chosen on it."


def weights_words(kit: Kit) -> str:
    """Whether losses were weighted by class; empty where it is not known."""
    if features(kit) in (DECODER, UNKNOWN):
        return ""
    own: Any = kit.result["settings"].get("class_weights", {}).get(kit.task)
    if own and features(kit) in ENCODERS:
        return "Losses of the networks were weighted by class (class_weights in the settings)."
    return "No class weights were used."


def has_dropout(kit: Kit) -> bool:
    """Whether the model's head was trained with modalities hidden at random."""
    known = MODELS.get(kit.result["model"])
    several = len(kit.result["modalities"]) > 1
    return several and known is not None and bool(set(DROPPING) & set(known.modules))


def seeds_words(kit: Kit) -> str:
    """Of how many trainings the figures are, in a sentence."""
    seeds, folds = len(kit.result["seeds"]), kit.result["folds"]
    over = f"{folds} folds" if folds > 1 else ""
    if features(kit) == "predictions":
        text = "The probability of an episode is the mean over training seeds."
    elif is_drawn(kit):
        over = " and ".join(filter(None, [f"{seeds} training seeds" if seeds > 1 else "", over]))
        text = "" if seeds > 1 else "One training seed was used."
    else:
        rows = " below 200,000 episodes" if base(kit) == "gbdt" else ""
        text = f"Its fit draws nothing at random{rows}."
    return " ".join(filter(None, [text, f"Figures are the mean of {over}." if over else ""]))


def resamples_words(kit: Kit) -> str:
    """What the intervals are made of, in a sentence."""
    if is_drawn(kit) and features(kit) != "predictions":
        return noise_words([kit.result])
    return f"{kit.result['bootstrap']['resamples']:,} bootstrap resamples of patients."
