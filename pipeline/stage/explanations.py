"""The types of explanations: what a trained model's log odds follow, and whether that can be told.

One file per model of one modality and task, `…/explanations/{letter}_{task}.json` of an encoder
with its head and `…/explanations/{letter}_{model}_{task}.json` of a baseline on statistics.
`pipeline.explain` writes them, the kit reads them.

An explained model reads *items* (films, reports, records of episodes), and each item has *parts*
(patches, sentences, signals in so many hours, columns). The *attribution* of a part is by how much
the log odds of the outcome fall when the part says what it says of the training patients on
average, or nothing: positive where the part raises the risk. Every field is described once.
"""

from pathlib import Path
from typing import Final, Literal, cast

from typing_extensions import TypedDict

from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json
from pipeline.stage.sections import AtLeastOne, Count, Estimate, Fit, Positive, Share, Whole, exact

SCHEMA_VERSION: Final = 2
LEAST = 10  # patients behind every score, and behind every mean that is shown of real data
# what attention weights are called wherever they are shown
ATTENTION = "descriptive, not an explanation: where a decoder looks, not what it rests on"


@exact
class Sample(TypedDict):
    """Whom the explanations are of: a sample of the test episodes that have the modality."""

    seed: int
    """Seed by which the items were drawn."""
    most: AtLeastOne
    """So many items at most are drawn."""
    of: Count
    """Items of the test episodes that could have been drawn."""
    items: Count
    """Items that were explained."""
    parts: Count
    """Parts of these items, together."""
    episodes: Count
    """Episodes of these items."""
    patients: Count
    """Patients of these episodes."""


@exact
class Method(TypedDict):
    """How attributions are made."""

    name: Literal["occlusion", "linear SHAP values"]
    """Its name."""
    item: str
    """What one item is: episode, film, report."""
    part: str
    """What one part is: patch, sentence, signal in so many hours, column."""
    baseline: str
    """What stands in place of a part that is taken away, and whose data it is from."""
    words: str
    """The method in a sentence or two, with what it cannot say."""


@exact
class Cells(TypedDict):
    """Signals × hours: mean attributions of the EHR, over the explained episodes."""

    signals: list[str]
    """Rows: names of signals, the highest mean strength first."""
    edges: list[float]
    """Hours from clock zero at which the columns begin, and where the last ends; the first also
    holds what was known before clock zero."""
    mean: list[list[float | None]]
    """Mean attribution over the episodes that have the cell, log odds; null where hidden or where
    no episode has it."""
    strength: list[list[float | None]]
    """Mean of its absolute value, likewise."""
    patients: list[list[Count]]
    """Patients behind each cell."""
    cause: list[list[Share]] | None
    """Share of the explained cells that carry the planted cause; null where no truth is known."""


@exact
class Film(TypedDict):
    """Patches of films: mean attributions over the explained films, rows from the top."""

    rows: AtLeastOne
    """Number of patches down a film."""
    columns: AtLeastOne
    """Number of patches across a film."""
    mean: list[list[float]]
    """Mean attribution, log odds."""
    strength: list[list[float]]
    """Mean of its absolute value."""
    cause: list[list[Share]] | None
    """Share of the explained films in which the patch carries the planted cause; the outline of the
    planted patch is where it is .5 or more. Null where no truth is known."""
    patients: Count
    """Patients behind every patch."""


@exact
class Named(TypedDict):
    """A word, a kind of sentence, or a column of statistics, with its mean attribution."""

    name: str
    """What it is."""
    mean: float
    """Mean attribution, log odds; of a word that of the sentences that hold it."""
    strength: Positive
    """Mean of its absolute value."""
    parts: Count
    """Sentences (of a column: episodes) behind the mean."""
    patients: Count
    """Patients behind the mean; never less than 10 on real data."""
    cause: Share | None
    """Share of these parts that carry the planted cause; null where no truth is known."""


@exact
class Text(TypedDict):
    """What sentences of reports are worth; no sentence is shown."""

    words: list[Named]
    """Words, the largest absolute mean first; only words of the explained reports of at least 10
    patients."""
    kinds: list[Named]
    """Sentences by the section of the report they stand in, the highest mean strength first."""


@exact
class Score(TypedDict):
    """One measure of the attributions against the planted cause, beside that of chance."""

    value: Estimate
    """Of the attributions: mean over items, with a 95 % interval over patients."""
    chance: Estimate
    """Of an attribution of the same shape at random: that of every item shuffled over its parts,
    mean over all orders."""
    difference: Fit
    """Value − chance, paired by item."""
    informative: bool
    """Whether the whole interval of the difference lies above 0; false: it cannot be told from
    chance."""


@exact
class Point(TypedDict):
    """One point of a deletion curve."""

    removed: Share
    """Share of the parts of every item that are taken away."""
    moved: Fit
    """Mean absolute change of the log odds where those with the largest absolute attribution are
    taken first, with a 95 % interval over patients."""
    moved_at_random: Fit
    """The same where they are taken in an order drawn at random."""
    auroc: Share | None
    """AUROC on the explained items of the former; null where one class is too small."""
    auroc_at_random: Share | None
    """AUROC on the explained items of the latter."""


@exact
class Deletion(TypedDict):
    """Deletion curve: the log odds as the top parts are taken away; it needs no known cause.

    It tells whether attributions say what the model rests on, not whether the model is right.
    """

    curve: list[Point]
    """From nothing to all of the parts."""
    moved: Fit
    """Mean over the curve's inner points, the attributions' order."""
    moved_at_random: Fit
    """The same of the random order."""
    difference: Fit
    """Their difference, paired by item."""
    informative: bool
    """Whether the whole interval of the difference lies above 0."""


@exact
class Scores(TypedDict):
    """How far attributions can be believed."""

    cause: str | None
    """The planted cause in words; null where no truth is known."""
    items: Count
    """Items that carry the cause, and are scored against it; null where no truth is known."""
    share: Score | None
    """Share of the absolute attribution that lies on the cause; null with a reason."""
    pointing: Score | None
    """Pointing game: whether the part of the largest absolute attribution is on the cause; of equal
    ones the share of them; null with a reason."""
    deletion: Deletion | None
    """Deletion curve; null with a reason."""
    reason: str | None
    """Why a score is null; null where all are there. Fewer than 10 patients (with the cause: for
    share and pointing) are not scored."""
    informative: bool | None
    """Whether every score that could be made is told from chance; null where none could be made.
    False: to be shown as not informative."""


@exact
class Explanations(TypedDict):
    """Explanations of one model of one modality on one task, by the first of its seeds.

    Two runs on one machine give the same bytes. Floats are rounded to 6 digits. Where the source is
    real nothing rests on fewer than 10 patients, counts of 1 to 9 are shown as "<10", the others
    rounded to tens, and no film and no sentence is in the file.
    """

    schema_version: Literal[2]
    """Version of these types."""
    target: str
    """Name of the result that is explained: modalities_model_task."""
    modality: str
    """Name of the modality: ehr, cxr, note."""
    encoder: str
    """Name of its encoder; of a baseline: statistics."""
    model: str
    """unimodal, or a baseline on statistics."""
    task: str
    """What is predicted."""
    protocol: str
    """Set of choices; of several folds the first alone is explained."""
    seed: int
    """The training seed that is explained."""
    suppressed_below: Whole
    """Counts below it are hidden; 0: none is."""
    method: Method | None
    """How attributions are made; null with a reason."""
    reason: str | None
    """Why there are no explanations; null where there are."""
    sample: Sample | None
    """Whom they are of; null with a reason."""
    reproduced: Positive | None
    """Largest difference between the probabilities of the explained model and those of the result,
    over the explained episodes. Above .01 it is not that model: nothing is explained, with a
    reason. Null with a reason."""
    floor: Fit | None
    """Where a text's vector is inferred from random draws: the mean absolute attribution that
    nothing would have, from the same item inferred again with other draws. Strengths near it are
    noise. Null where the model draws nothing, or with a reason."""
    cells: Cells | None
    """Of encoders of the EHR; else null."""
    film: Film | None
    """Of encoders of films; else null."""
    text: Text | None
    """Of encoders of notes; else null."""
    columns: list[Named] | None
    """Of baselines on statistics, by column, the highest mean strength first; else null."""
    signals: list[Named] | None
    """Of the EHR, by signal, its parts added up per episode, the highest mean strength first; else
    null."""
    scores: Scores | None
    """How far they can be believed; null with a reason."""


def read_explanations(path: str | Path) -> Explanations:
    """Explanations as they were written; `InputError` for a file that is none, or of other code."""
    return explanations_in(read_json(path), path)


def explanations_in(content: object, path: str | Path) -> Explanations:
    """The same of what was read from a file, or of a part of it."""
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(content, dict) or version != SCHEMA_VERSION or "scores" not in content:
        raise InputError(f"{path}: not the explanations of this version ({SCHEMA_VERSION}); make "
                         "them again")  # fmt: skip
    return cast(Explanations, content)
