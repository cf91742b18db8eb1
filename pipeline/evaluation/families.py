"""Which models are compared with which: each family of comparisons answers one question.

Of Wang et al.'s models on a task:

* `best-single`: a model of several modalities minus the best unimodal model of its own modalities;
  the best is chosen on validation, once, not on the test episodes that it is judged by;
* `early`: any other model of a set of modalities minus early fusion of that set;
* `one-less`: a model of all modalities minus the same kind of model without one of them.

Of UniMed's:

* `multitask`: the decoder of all tasks minus the decoder of this task alone;
* `bound`: the decoder of this task alone, told the truth about earlier tasks, minus itself without:
  what feeding outcomes on could win at most;
* `ablation`: each variant minus the model that it changes, both on all tasks;
* `modality`: a set of modalities minus the set without one of them.

Across the papers:

* `papers`: UniMed, of this task alone and of all tasks, minus every model of Wang et al. and every
  baseline on the same modalities.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.cohort.task import SEQUENCES
from pipeline.evaluation.predictions import name_parts
from pipeline.stage.comparison import Family

SINGLE, EARLY, UNIMED = "unimodal", "early", "unimed"

Pair = tuple[str, str]  # names of two targets; the difference is first − second
Variants = Mapping[str, Mapping[str, Any]]  # variant of UniMed → the settings that it changes
BestSingle = Callable[[Sequence[str]], str | None]  # names of unimodal targets → the best of them


class Target(NamedTuple):
    """A target's name in its parts."""

    letters: str
    model: str
    task: str

    @classmethod
    def named(cls, name: str) -> "Target":
        """The target of a name; `InputError` where it has not three parts."""
        return cls(*name_parts(name).values())

    @property
    def name(self) -> str:
        """modalities_model_task."""
        return "_".join(self)

    @property
    def is_unimed(self) -> bool:
        """Whether its model is of UniMed's family."""
        return self.model == UNIMED or self.model.startswith(f"{UNIMED}-")


def families(
    names: Sequence[str], task: str, wanted: Sequence[Family], variants: Variants, best: BestSingle
) -> dict[Family, list[Pair]]:
    """The comparisons of each wanted family about one task, as far as both targets are there.

    >>> names = ["e_unimed_all", "en_unimed_all", "en_unimed_arf_12h", "en_unimed-gru_all"]
    >>> several = families(names, "arf_12h", ["multitask", "ablation", "modality"],
    ...                    {"gru": {"decoder": "gru"}}, lambda singles: None)
    >>> several["multitask"], several["modality"]
    ([('en_unimed_all', 'en_unimed_arf_12h')], [('en_unimed_all', 'e_unimed_all')])
    >>> several["ablation"]
    [('en_unimed-gru_all', 'en_unimed_all')]
    """
    targets = [Target.named(name) for name in names]
    pairs = {
        "best-single": lambda: _best_single(targets, task, best),
        "early": lambda: _early(targets, task),
        "one-less": lambda: _one_less(targets),
        "multitask": lambda: _multitask(targets, task),
        "bound": lambda: _bound(targets, task, variants),
        "ablation": lambda: _ablation(targets, variants),
        "modality": lambda: _modality(targets),
        "papers": lambda: _papers(targets),
    }
    known = set(names)
    return {
        family: [(one, two) for one, two in pairs[family]() if {one, two} <= known]
        for family in wanted
    }


def _best_single(targets: list[Target], task: str, best: BestSingle) -> list[Pair]:
    singles = {
        target.letters: best([f"{letter}_{SINGLE}_{task}" for letter in target.letters])
        for target in targets
        if len(target.letters) > 1
    }
    return [(t.name, single) for t in targets if (single := singles.get(t.letters))]


def _early(targets: list[Target], task: str) -> list[Pair]:
    return [
        (t.name, f"{t.letters}_{EARLY}_{task}")
        for t in targets
        if len(t.letters) > 1 and t.model != EARLY
    ]


def _one_less(targets: list[Target]) -> list[Pair]:
    full = max((t.letters for t in targets), key=len, default="")
    if len(full) < 3:
        return []  # what is left is a single modality: its model is of another kind
    return [pair for t in targets if t.letters == full for pair in _less(t)]


def _less(target: Target) -> list[Pair]:
    """A target beside itself without one of its modalities, the last one first."""
    rest = [target.letters.replace(letter, "") for letter in reversed(target.letters)]
    return [(target.name, target._replace(letters=letters).name) for letters in rest]


def _together(targets: list[Target]) -> list[Target]:
    return [target for target in targets if target.task in SEQUENCES]


def _multitask(targets: list[Target], task: str) -> list[Pair]:
    return [(t.name, t._replace(task=task).name) for t in _together(targets)]


def _bound(targets: list[Target], task: str, variants: Variants) -> list[Pair]:
    told = [
        t._replace(task=task)
        for t in _together(targets)
        if variants.get(variant_of(t.model), {}).get("feedback") == "truth"
    ]
    return [(t.name, t._replace(model=reference(t.model, variants)).name) for t in told]


def _ablation(targets: list[Target], variants: Variants) -> list[Pair]:
    return [
        (t.name, t._replace(model=reference(t.model, variants)).name)
        for t in _together(targets)
        if t.model != UNIMED
    ]


def _modality(targets: list[Target]) -> list[Pair]:
    return [pair for t in _together(targets) for pair in _less(t)]


def _papers(targets: list[Target]) -> list[Pair]:
    return [
        (one.name, two.name)
        for one in targets
        for two in targets
        if one.is_unimed and not two.is_unimed and one.letters == two.letters
    ]


def variant_of(model: str) -> str:
    """The variant's name in the config.

    >>> variant_of("unimed-gru")
    'gru'
    """
    return model.removeprefix(f"{UNIMED}-")


def reference(model: str, variants: Variants) -> str:
    """The model that a variant changes: of those whose changes are part of its own the nearest.

    >>> variants = {"first-4h": {"hours": 4}, "x": {"hours": 4, "order": "reversed"}}
    >>> reference("unimed-x", variants), reference("unimed-first-4h", variants)
    ('unimed-first-4h', 'unimed')
    """
    changes = variants.get(variant_of(model), {}).items()
    within = {
        name: len(other)
        for name, other in variants.items()
        if other.items() <= changes and len(other) < len(changes)
    }
    nearest = max(within, key=lambda name: within[name], default="")
    return f"{UNIMED}-{nearest}" if nearest else UNIMED
