"""A protocol's settings: config.yaml with the choices of `workflow/protocols/<name>.yaml` over it.

A protocol is data, merged while the workflow is planned. The folds of a cross-validation are the
corrected protocol with its shares moved round the hash: `corrected/fold1` and so on.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from pipeline.fusion.registry import is_decoder
from pipeline.stage.modules import ROOT

# a split or an availability table is one choice, not a mapping to be mixed
WHOLE = ("split", "availability", "schedule", "doc2vec")
Settings = Mapping[str, Any]


def merged(base: Settings, over: Settings) -> dict[str, Any]:
    """`base` with the values of `over`, mapping by mapping; neither is changed.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    result = dict(base)
    for key, value in over.items():
        own = result.get(key)
        if isinstance(own, Mapping) and isinstance(value, Mapping) and key not in WHOLE:
            value = merged(own, value)
        result[key] = value
    return result


@cache
def choices(name: str) -> Settings:
    """The file of a protocol."""
    return yaml.safe_load((ROOT / "workflow" / "protocols" / f"{name}.yaml").read_text())


def settings(config: Settings, protocol: str) -> dict[str, Any]:
    """All settings under a protocol or fold, such as `published` or `corrected/fold1`."""
    name, _, fold = protocol.partition("/fold")
    found = merged(config, choices(name))
    if fold:
        found["split"] = {**found["split"], "fold": int(fold), "folds": config["folds"]}
    return found


def folds(config: Settings, protocol: str) -> list[str]:
    """The protocol once per fold of the cross-validation; the first keeps its plain name.

    >>> folds({"folds": 3}, "corrected"), folds({"folds": 3}, "published")
    (['corrected', 'corrected/fold1', 'corrected/fold2'], ['published'])
    """
    count = config["folds"] if protocol == "corrected" else 1
    return [protocol, *(f"{protocol}/fold{k}" for k in range(1, count))]


def encoders(merged: Settings, model: str) -> Mapping[str, str]:
    """Letter → encoder of a model: UniMed's own, or those of all other models.

    >>> merged = {"encoders": {"e": "tokens"}, "unimed": {"encoders": {"e": "fiddle"}}}
    >>> encoders(merged, "unimed-gru"), encoders(merged, "early")
    ({'e': 'fiddle'}, {'e': 'tokens'})
    """
    chosen: Mapping[str, str] = (merged["unimed"] if is_decoder(model) else merged)["encoders"]
    return chosen


def schedule(found: Settings, modalities: str, model: str, task: str) -> str:
    """The schedule of one training under the settings `found`, as JSON with sorted keys.

    `modalities`, `model`: of the target; the kinds that a protocol may tell apart are unimodal and
    multimodal, and of class weights each single letter.
    """
    kind = "unimodal" if model == "unimodal" else "multimodal"
    weights = found["class_weights"].get(task, {})
    own = weights.get(modalities if kind == "unimodal" else kind)
    extra = {"class_weights": own} if own else {}
    return json.dumps({**found["schedule"], **found["schedules"].get(kind, {}), **extra},
                      sort_keys=True)  # fmt: skip
