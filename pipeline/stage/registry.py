"""What the planner and the report know of modalities, encoders and models: plain data, no torch.

A modality is a folder `pipeline/<name>/`, whose `registry.py` offers `modality(config)`, and rules
`rules/<name>.smk`. An encoder is one file of that folder, `encoder_<encoder>.py`, and an entry in
its registry. Models are in `pipeline/fusion/registry.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

PROTOCOLS = ("corrected", "published")
Paths = str | list[str]


@dataclass(frozen=True)
class Encoder:
    """An encoder of a modality: what its training is given.

    `files`: name → path or paths, with the wildcards {protocol} and {unit}; of one with {hours},
    a file for each horizon of a target's tasks, it is given hours → path. `settings`: name → key
    of the settings, as in "cxr.pixels", or "window", the unit's longest horizon in hours. `places`:
    name → path that is told but no input of a rule. `external`: files of the user's that it starts
    from or reads (pretrained weights, embeddings), whose digest a result says; `counts`: JSON of
    how many items need an embedding and lack one. `stages`: the modules that make the files,
    `published` under the published protocol, if others; `queries`: those that a protocol chooses,
    as in "pipeline/cxr/films". `kept`: whether a stored model can make the files from a new source
    (`pipeline.predict`). Tables of the source that it reads beside those of the modality name
    it in `pipeline.extract.contracts`.
    """

    files: Mapping[str, Paths]
    settings: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    external: tuple[str, ...] = ()
    counts: str | None = None
    stages: tuple[str, ...] = ()
    published: tuple[str, ...] | None = None
    queries: tuple[str, ...] = ()
    kept: bool = False


@dataclass(frozen=True)
class Modality:
    """A modality: what it is called, who has it, and its encoders by name.

    `present`: the table with the episodes that have it (and, where it has a column minute, from
    when). `assumed`: the table of those who are taken to have it, if not `present`.
    """

    words: str
    encoders: Mapping[str, Encoder]
    present: str | None = None
    assumed: str | None = None


@dataclass(frozen=True)
class Model:
    """A model: what the workflow and the report need to know of it.

    `sets`: its modality sets in words, `sizes`: how many letters these have. `modules`: the code
    that fits it, beside its encoders. `features`: what it reads: encoders (it trains them),
    embeddings (frozen encoders), statistics or scores (of the EHR), or predictions (of another
    model). `curves`: whether it is also scored with a modality missing. `published`: whether the
    published protocol has it. `decoder`: whether it takes several tasks, and tasks of many labels.
    `letters`: the only ones of its sets, if not all. `tables`: those of the source that it reads by
    itself. `seeds`: the fewest training seeds that it needs. `kept`: what is stored of it
    (`pipeline.predict.save`), empty of one that cannot be stored.
    """

    words: str
    sets: str
    sizes: range
    modules: tuple[str, ...]
    features: str
    curves: bool = False
    published: bool = False
    decoder: bool = False
    letters: str | None = None
    tables: tuple[str, ...] = ()
    seeds: int = 1
    kept: str = ""

    def takes(self, modalities: str) -> bool:
        """Whether it is a model of this modality set."""
        return len(modalities) in self.sizes and set(modalities) <= set(self.letters or modalities)


def subsets(letters: Iterable[str]) -> list[str]:
    """Every non-empty set of the letters, small ones first, letters in the order given.

    >>> subsets("ecn")
    ['e', 'c', 'n', 'ec', 'en', 'cn', 'ecn']
    """
    known = list(letters)
    sizes = range(1, len(known) + 1)
    return ["".join(chosen) for size in sizes for chosen in combinations(known, size)]
