"""A protocol's settings: config.yaml with the choices of `workflow/protocols/<name>.yaml` over it.

A protocol is data, merged while the workflow is planned. The folds of a cross-validation are the
corrected protocol with its shares moved round the hash: `corrected/fold1` and so on.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import ConfigDict, ValidationError

from pipeline.cohort.settings import DefinedCohort, RandomSplit, Split
from pipeline.fusion.registry import is_decoder
from pipeline.note.settings import Letters
from pipeline.plan.mistakes import LOADER, in_lines, unknown_sections
from pipeline.plan.sections import (
    AdmissionTask,
    Common,
    Cxr,
    Ehr,
    Letter,
    Name,
    Note,
)
from pipeline.stage.availability import Availability
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT
from pipeline.stage.settings import (
    Items,
    Number,
    key,
    optional,
    some_of,
)
from pipeline.training.settings import Epochs, Schedule, Training, Weights

# a split or an availability table is one choice, not a mapping to be mixed
WHOLE = ("split", "availability", "schedule", "doc2vec")
Merged = Mapping[str, Any]  # of a config and a protocol's choices, as JSON has it


class EncodedEhr(Ehr):
    """Events of the record, and how they are encoded."""

    signals: Literal["corrected", "published"] = key("which list of signals")
    start_by_value: bool = key("whether initial weights make tokens depend on their values")


class EncodedCxr(Cxr):
    """Films, and how they are encoded."""

    full: bool = key("false: JPEGs are decoded at a reduced scale")
    hours_scale: Number = key("hours over which a film's weight grows e-fold", gt=0)
    one_by_one: bool = key("whether films pass the network one at a time in training")
    standardise: bool = key("whether ImageNet's weights get films by its mean and SD")


class EncodedNote(Note):
    """Reports, and how they are encoded."""

    letters: Letters = key("lengths of the words that Doc2Vec reads")
    fitted_on: Literal["train", "all"] = key("whose reports Doc2Vec learns from")
    standardise: bool = key("whether vectors are standardised by the training reports")


if TYPE_CHECKING:
    TrainingChange = Training
else:
    TrainingChange = some_of(Training, "TrainingChange", "What a kind of model changes.")


class Settings(Common):
    """config.yaml under a protocol."""

    model_config = ConfigDict(extra="allow")

    cohort: DefinedCohort = key("which admissions are predicted, and when")
    split: Split | RandomSplit = key("shares of the patients, or a draw per task")
    availability: Availability | None = key("null: the published queries know by themselves")
    ehr: EncodedEhr = key("events of the record")
    cxr: EncodedCxr = key("chest films")
    note: EncodedNote = key("radiology reports")
    schedule: Schedule | Epochs = key("how every model but UniMed is trained, in steps or epochs")
    definition: Literal["corrected", "published"] = key("whose queries select events and films")
    complete_of: Items[Name] | None = key("modalities of complete cases; null: all")
    head_on: Literal["fusion", "train"] = key("the split on which heads are fitted")
    required: dict[Name, dict[str, Any]] = key("modality → keys that a real source needs")
    schedules: dict[Literal["unimodal", "multimodal"], TrainingChange] = key(
        "kind of model → what it changes of the schedule"
    )
    class_weights: dict[AdmissionTask, dict[Letter | Literal["multimodal"], Weights]] = key(
        "task → kind of model → weights of the negative and the positive class"
    )
    assumed: dict[str, list[str]] = optional("what is assumed, by room; for readers", {})


def merged(base: Merged, over: Merged) -> dict[str, Any]:
    """`base` with the values of `over`, mapping by mapping; neither is changed.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    result = dict(base)
    for name, value in over.items():
        before = result.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and name not in WHOLE:
            value = merged(before, value)
        result[name] = value
    return result


@cache
def choices(name: str) -> Merged:
    """The file of a protocol."""
    text = (ROOT / "workflow" / "protocols" / f"{name}.yaml").read_text()
    read: Merged = yaml.load(text, LOADER)
    return read


def settings(config: Merged, protocol: str) -> dict[str, Any]:
    """All settings under a protocol or fold, such as `published` or `corrected/fold1`."""
    name, _, fold = protocol.partition("/fold")
    result = merged(config, choices(name))
    if fold:
        result["split"] = {**result["split"], "fold": int(fold), "folds": config["folds"]}
    return result


def typed(config: Merged, protocol: str) -> Settings:
    """The same typed; `InputError` with a line per mistake of the protocol's file."""
    merged_config = settings(config, protocol)
    file = f"workflow/protocols/{protocol.partition('/')[0]}.yaml"
    lines = unknown_sections(merged_config, Settings)
    try:
        checked = Settings.model_validate(merged_config)
    except ValidationError as error:
        lines += in_lines(error.errors(include_url=False), Settings, merged_config)
    if lines:
        raise InputError("\n".join(f"{file}: {line}" for line in lines))
    return checked


def folds(config: Merged, protocol: str) -> list[str]:
    """The protocol once per fold of the cross-validation; the first keeps its plain name.

    >>> folds({"folds": 3}, "corrected"), folds({"folds": 3}, "published")
    (['corrected', 'corrected/fold1', 'corrected/fold2'], ['published'])
    """
    count = config["folds"] if protocol == "corrected" else 1
    return [protocol, *(f"{protocol}/fold{k}" for k in range(1, count))]


def encoders(merged: Merged, model: str) -> Mapping[str, str]:
    """Letter → encoder of a model: UniMed's own, or those of all other models.

    >>> merged = {"encoders": {"e": "tokens"}, "unimed": {"encoders": {"e": "fiddle"}}}
    >>> encoders(merged, "unimed-gru"), encoders(merged, "early")
    ({'e': 'fiddle'}, {'e': 'tokens'})
    """
    chosen: Mapping[str, str] = (merged["unimed"] if is_decoder(model) else merged)["encoders"]
    return chosen


def fiddle(merged: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """FIDDLE's settings; of admissions its hours are those of their window."""
    hours = {"hours": merged["cohort"]["window_hours"]} if unit == "admission" else {}
    return {**merged["fiddle"], **hours}


def schedule(merged: Merged, modalities: str, model: str, task: str) -> str:
    """The schedule of one training under the settings `merged`, as JSON with sorted keys.

    `modalities`, `model`: of the target; the kinds that a protocol may tell apart are unimodal and
    multimodal, and of class weights each single letter.
    """
    kind = "unimodal" if model == "unimodal" else "multimodal"
    of_task = merged["class_weights"].get(task, {})
    weights = of_task.get(modalities if kind == "unimodal" else kind)
    extra = {"class_weights": weights} if weights else {}
    return json.dumps({**merged["schedule"], **merged["schedules"].get(kind, {}), **extra},
                      sort_keys=True)  # fmt: skip
