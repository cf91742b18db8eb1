"""The types of a stored model, `model.json` of its folder, and of the report of a prediction.

`pipeline.predict` writes and reads them; every field is described once, here.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from pipeline.stage.sections import Count, Share, Whole, exact

MODEL_SCHEMA: Final = 1
REPORT_SCHEMA: Final = 1
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@exact
class Columns(TypedDict):
    """What a source table must hold."""

    needed: bool
    """Whether the source must have the table; one that it may do without counts as empty."""
    columns: dict[str, str]
    """Column → its type in DuckDB's words."""
    may_lack: list[str]
    """Columns that may be absent: what is known only at the end of an admission or stay."""


@exact
class SeedFacts(TypedDict):
    """What a training seed's model says without a network, and the threshold of its run."""

    seed: int
    """Training seed."""
    guess: dict[str, float]
    """Modality → the risk of who lacks it, of single models (and of those that average them)."""
    prior: float | None
    """The risk of who has none of the modalities, of models that average; null: their heads
    know."""
    hidden: dict[str, int]
    """Head (a modality, or the model) → its hidden units."""
    threshold: float | None
    """Predicted positive at or above this risk (chosen on validation); null where there is none."""
    intercept: float | None
    """Of the recalibration, logit p' = intercept + slope · logit p; null without one."""
    slope: float | None
    """Of the recalibration; null without one."""


@exact
class Reference(TypedDict):
    """The risks of patients of the training source whom no fit saw: validation and test."""

    n: Whole
    """Episodes."""
    mean: Share
    """Mean risk."""
    quantiles: list[Share]
    """The 1st to 99th percentile of the risks."""


@exact
class StoredModel(TypedDict):
    """`model.json`: what a folder of a stored model holds, of what it was made, what it reads."""

    schema_version: Literal[1]
    """Version of this file."""
    definitions_version: Whole
    """Version of the definitions; see `pipeline/cohort/definitions.py`."""
    definitions: dict[str, str]
    """Query or catalogue → digest of its text, of all that select what the model reads."""
    target: str
    """{modalities}_{model}_{task}."""
    modalities: dict[str, str]
    """Letter → modality, in the order of the target."""
    model: str
    """Model."""
    task: str
    """Task."""
    question: str
    """What is predicted, as the task's query has it."""
    unit: Literal["admission", "stay"]
    """What an episode is: an admission, or an ICU stay."""
    hours: Whole
    """Hours from clock zero to the prediction."""
    experiment: str | None
    """Named experiment; null without a name."""
    source: dict[str, Any]
    """The training source: kind and releases."""
    cohort: dict[str, Any]
    """Settings of the cohort, by whose conditions new episodes are selected (but a list of ids)."""
    availability: dict[str, Any]
    """From when each kind of row is known."""
    encoders: dict[str, dict[str, Any]]
    """Modality → its encoder and the settings of that; empty of models on statistics."""
    views: list[str]
    """Views of films."""
    seeds: list[SeedFacts]
    """The seeds of the training, in the order of the result."""
    recalibration: Literal["none", "platt", "temperature"]
    """How risks were recalibrated on validation."""
    reference: dict[str, Reference]
    """Seed → the risks that new ones are compared with."""
    threads: Whole
    """Torch's threads, on which the last bits depend."""
    precision: Literal["fp32", "bf16"]
    """In what the encoders compute."""
    contract: dict[str, Columns]
    """Source table → what it must hold."""
    result: Sha256
    """Digest of the result that the model is of."""
    code: Sha256
    """Digest of the code that prepares data and predicts."""
    packages: dict[str, str]
    """Versions of the libraries."""
    files: dict[str, Sha256]
    """File of the folder → its digest; no other file is read, and any other is refused."""
    digest: Sha256
    """Digest of this file without this field."""


@exact
class Ineligible(TypedDict):
    """A condition of cohort or task, and how many are left after it."""

    condition: str
    """In words."""
    episodes: Count
    """Episodes left."""


@exact
class Present(TypedDict):
    """How many of the episodes have a modality."""

    episodes: Count
    """Episodes that have it."""
    share: Share | None
    """Share of all predicted episodes; null where it is hidden."""
    reason: str | None
    """Why the source has none of it; null where it has."""


@exact
class Unknown(TypedDict):
    """Charted items that the training source did not have."""

    table: str
    """Source table."""
    items: Count
    """How many different items."""
    rows: Count
    """How many rows they have."""
    share: Share
    """Their share of the table's rows."""
    examples: list[str]
    """Up to five of them, the most frequent first: item id and label; hidden where rows are
    few."""


@exact
class Unseen(TypedDict):
    """What the encoders never met in training."""

    kind: Literal["tokens", "words"]
    """Tokens of the record, or words of reports."""
    total: Count
    """How many there are."""
    share: Share | None
    """The share of them that training never had; null without any."""


@exact
class Unit(TypedDict):
    """A signal whose numbers are unlike those of training."""

    signal: str
    """Signal, in the unit of `signals.csv`."""
    readings: Count
    """Numeric readings in the source."""
    unlike: Share
    """Share outside the range that 99 % of the training readings have."""
    looks_like: str | None
    """The unit or slip that would explain most of them; null where none is known."""
    explained: Share | None
    """The share of the unlike ones that it would bring back among 90 % of training; null
    without."""
    median: float
    """Median of the unlike readings."""
    training_median: float
    """Median in training."""


@exact
class Shift(TypedDict):
    """The risks beside those of patients of the training source whom no fit saw; all but theirs are
    null where there are too few episodes to be shown."""

    seed: int
    """Training seed."""
    mean: Share | None
    """Mean risk here."""
    training_mean: Share
    """Mean risk there."""
    psi: float | None
    """Population stability index over tenths of the training risks: below .1 alike, above .25
    shifted, by custom. Null below 100 episodes."""
    ks: Share | None
    """Largest distance of the two distributions (Kolmogorov–Smirnov)."""
    positive: Share | None
    """Share at or above the threshold; null without one, or where few are on one side of it."""


@exact
class PredictionReport(TypedDict):
    """What is odd in the data of a prediction: `<output>.report.json`."""

    schema_version: Literal[1]
    """Version of this file."""
    target: str
    """The model."""
    definitions_version: Whole
    """Version of its definitions."""
    suppressed_below: Whole
    """Counts of 1 to one less are hidden."""
    episodes: Count
    """Episodes with a risk."""
    patients: Count
    """Their patients."""
    running: Count
    """Those of them whose end the source does not know."""
    waiting: Count
    """Who is at risk, but has not reached the prediction time now; 0 where no time was given."""
    selection: list[Ineligible]
    """Who is left after each condition of the cohort and of the task, as known by then."""
    modalities: dict[str, Present]
    """Modality → who has it."""
    combinations: dict[str, Count]
    """Letters that an episode has → how many have exactly these."""
    films_unreadable: Count
    """Films that cannot be read: they count as missing."""
    absent_tables: list[str]
    """Source tables that are not there and count as empty."""
    absent_signals: list[str]
    """Signals that training had, and of which this source has no reading."""
    unknown_items: list[Unknown]
    """Items that the training source did not have, by table."""
    unseen: list[Unseen]
    """Shares of what the encoders never met."""
    units: list[Unit]
    """Signals whose unit looks wrong."""
    shift: list[Shift]
    """The risks beside those of training, by seed."""
    notes: NotRequired[list[str]]
    """Remarks on versions and precision: what may move the last digits."""
