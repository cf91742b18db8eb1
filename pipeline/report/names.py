"""What letters, models and tasks are called, and the order in which pages list them.

Words come from where a thing is registered: of a letter from `pipeline/<modality>/registry.py`, of
a model from `pipeline/fusion/registry.py`. What is not registered is shown by its name.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from pipeline.cohort.task import query_and_hours
from pipeline.fusion.registry import DECODER, MODELS, is_decoder
from pipeline.stage.errors import InputError

STATISTICS = "-stats"  # ending of models on summary statistics, as in gbdt-stats
ALL = "all"  # as the task of a target: all tasks of ICU stays by one decoder
TASKS = {"shock": "Shock", "arf": "ARF", "mortality": "Mortality", "diagnoses": "Diagnoses"}
TOKENS = {"S": "time-invariant", "X": "time series"}  # FIDDLE's; other tokens are letters
CONFIG = Path("config.yaml")

Letters = Mapping[str, str]  # letter of a modality → what it is called, in the config's order


def letters_in_words(config: Mapping[str, Any]) -> dict[str, str]:
    """Letter → what its modality is called: by its registry, or by its folder's name.

    Takes the config: `modalities` and what a registry reads of it.
    """
    words = {}
    for letter, name in config["modalities"].items():
        try:
            words[letter] = import_module(f"pipeline.{name}.registry").modality(config).words
        except ModuleNotFoundError:
            words[letter] = name
    return words


def add_words_argument(arguments: argparse.ArgumentParser) -> None:
    """The option --words; without it, the words of the config.yaml in the working directory."""
    arguments.add_argument(
        "--words", type=_parsed, default=None, help="JSON: letter → what its modality is called"
    )


def _parsed(text: str) -> dict[str, str]:
    try:
        words = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--words: not JSON ({error.msg})") from error
    if not isinstance(words, dict):
        raise InputError('--words: expected letter → words, as in {"e": "EHR"}')
    return words


def letters_of(args: argparse.Namespace) -> dict[str, str]:
    """The words that --words gives, or those of config.yaml; none where there is no such file."""
    if args.words is not None:
        return args.words
    return letters_in_words(yaml.safe_load(CONFIG.read_text())) if CONFIG.is_file() else {}


def letter_words(letter: str, letters: Letters) -> str:
    """A modality in words; the letter itself where it has none.

    >>> letter_words("c", {"c": "chest films"}), letter_words("g", {})
    ('chest films', 'g')
    """
    return letters.get(letter, letter)


def task_words(task: str) -> str:
    """A task for readers.

    >>> task_words("arf_12h"), task_words("sepsis_6h"), task_words("readmission_unplanned")
    ('ARF 12 h', 'sepsis 6 h', 'readmission_unplanned')
    """
    query, hours = query_and_hours(task)
    return f"{TASKS.get(query, query)} {hours} h" if hours else task


def unit_words(task: str) -> str:
    """What a task is asked of: stays, or episodes (admissions).

    >>> unit_words("arf_12h"), unit_words("mortality")
    ('stays', 'episodes')
    """
    return "stays" if task_hours(task) else "episodes"


def task_hours(task: str) -> float:
    """When a task is predicted: hours in the ICU; of admissions, which have no hours, first.

    >>> task_hours("arf_12h"), task_hours("mortality")
    (12.0, 0.0)
    """
    return float(query_and_hours(task)[1] or 0)


def model_words(model: str) -> str:
    """A model for readers: its words of the registry, a variant of UniMed with its name.

    >>> model_words("late"), model_words("unimed-gru"), model_words("new")
    ('late fusion', 'UniMed gru', 'new')
    """
    if is_decoder(model):
        return f"UniMed {model.removeprefix(DECODER).lstrip('-')}".strip()
    return MODELS[model].words if model in MODELS else model


def is_multimodal(model: str) -> bool:
    """Whether a model never reads one modality alone.

    >>> is_multimodal("early"), is_multimodal("unimodal"), is_multimodal("new")
    (True, False, False)
    """
    return model in MODELS and 1 not in MODELS[model].sizes


def unique(values: Iterable[str]) -> list[str]:
    """The distinct values in the order of their first appearance."""
    return list(dict.fromkeys(values))


def sets_in_order(sets: Iterable[str]) -> list[str]:
    """Distinct modality sets: small ones first, letters in the order of the largest set.

    >>> sets_in_order(["cn", "e", "ecn", "n", "ec", "c", "en", "e"])
    ['e', 'c', 'n', 'ec', 'en', 'cn', 'ecn']
    """
    known = unique(sets)
    letters = "".join(unique("".join(sorted(known, key=len, reverse=True))))
    return sorted(known, key=lambda s: (len(s), [letters.index(letter) for letter in s]))


def models_in_order(models: Iterable[str]) -> list[str]:
    """Distinct models: the registered ones in their order, then UniMed's, statistics last.

    >>> models_in_order(["gbdt-stats", "logistic-stats", "unimed", "new", "late", "early"])
    ['early', 'late', 'new', 'unimed', 'logistic-stats', 'gbdt-stats']
    """
    place = {model: position for position, model in enumerate(MODELS)}

    def key(model: str) -> tuple[bool, bool, int]:
        base = model.removesuffix(STATISTICS)
        return base != model, is_decoder(model), place.get(base, len(MODELS))

    return sorted(unique(models), key=key)


def names_in_order(names: Iterable[str]) -> list[str]:
    """Distinct names of modalities and model: by modality set, then by model.

    >>> names_in_order(["ecn_late", "ec_joint", "ec_early"])
    ['ec_early', 'ec_joint', 'ecn_late']
    """
    split = [(s, model) for s, model in (name.split("_") for name in unique(names))]
    sets, models = sets_in_order(s for s, _ in split), models_in_order(model for _, model in split)
    ordered = sorted(split, key=lambda n: (sets.index(n[0]), models.index(n[1])))
    return ["_".join(name) for name in ordered]


def full_set(sets: Iterable[str]) -> str:
    """The largest modality set; empty where there is none.

    >>> full_set(["e", "ecn", "ec"])
    'ecn'
    """
    return max(sets, key=len, default="")
