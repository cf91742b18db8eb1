"""Names of tasks and tokens of ICU stays, as readers see them."""

KINDS = {"shock": "Shock", "arf": "ARF", "mortality": "Mortality", "diagnoses": "Diagnoses"}
TOKENS = {"S": "time-invariant", "X": "time series", "n": "notes", "c": "films"}


def in_words(task: str) -> str:
    """A task for readers.

    >>> in_words("arf_12h"), in_words("sepsis_6h")
    ('ARF 12 h', 'sepsis 6 h')
    """
    kind, _, hours = task.rpartition("_")
    return f"{KINDS.get(kind, kind)} {hours.removesuffix('h')} h"
