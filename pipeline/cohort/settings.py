"""Which episodes there are and in which split, as the config and the stages know it."""

from itertools import accumulate
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.stage.settings import Section, Seed, Share, Text, Whole, key, optional

WINDOW = "window"  # of icu_within_hours: the window of the prediction
NAMES = ("train", "fusion", "val", "test")  # also the order in which the shares are cumulated


class Cohort(Section):
    """Which admissions are predicted, and when."""

    min_age: int | None = key("least age at admission, years; null: any", ge=0, le=120)
    window_hours: Whole = key(
        "hours after admission at which is predicted, from what was known by then", le=720
    )
    icu_within_hours: Literal["window"] | Annotated[int, Field(ge=0, le=720)] | None = key(
        "hours after admission within which an ICU stay must begin; `window`: window_hours; more "
        "hours look ahead; null: no ICU is asked for"
    )
    films: Literal["covered", "any"] | None = key(
        "`covered`: through the emergency department, in years of MIMIC-CXR's films; `any`: of "
        "patients with a film at any time, which looks ahead; null: no films are asked for"
    )
    ids: Text | None = key("csv with a column hadm_id: these admissions only; null: all")


class DefinedCohort(Cohort):
    """The cohort, and by whose rules it is selected."""

    definition: Literal["corrected", "published"] = key("whose rules select episodes")
    ed_hours: int = optional(
        "hours before the admission in which the emergency department counts", 24, ge=0, le=720
    )

    @property
    def settings(self) -> dict[str, Any]:
        """What a query may name, all but the definition, with the hours of the window."""
        values = self.model_dump(exclude={"definition"})
        if self.icu_within_hours == WINDOW:
            values["icu_within_hours"] = self.window_hours
        return values


class Split(Section):
    """Shares of the patients, by a hash of subject_id; they sum to 1."""

    salt: Text = key("text that is hashed with subject_id; another one draws another split")
    train: Share = key("share of the patients for encoders, bins and Doc2Vec")
    fusion: Share = key("share of training patients that encoders never see: heads are fitted here")
    val: Share = key("share of the patients that stop trainings and choose thresholds")
    test: Share = key("share of the patients that results are computed on")

    @property
    def upper_ends(self) -> list[tuple[str, float]]:
        """Each split and the end of its part of [0, 1), in the order of `NAMES`.

        >>> Split(salt="a", train=0.5, fusion=0.25, val=0.125, test=0.125).upper_ends
        [('train', 0.5), ('fusion', 0.75), ('val', 0.875), ('test', 1.0)]
        """
        return list(zip(NAMES, accumulate(getattr(self, name) for name in NAMES), strict=True))

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if abs((total := self.upper_ends[-1][1]) - 1) > 1e-9:
            shares = f"the shares of {', '.join(NAMES[:-1])} and {NAMES[-1]} sum to {total:.12g}"
            raise PydanticCustomError("contradiction", "{text}", {"text": f"{shares}, expected 1"})
        return self


class Fold(Split):
    """The same in one fold of a cross-validation; fold 0 is the split without folds."""

    fold: int = optional("number of the fold, from 0", 0, ge=0)
    folds: Whole = optional("number of folds", 1)

    @property
    def turn(self) -> float:
        """By how much of the circle this fold turns the patients' numbers."""
        return self.fold / self.folds


class RandomSplit(Section):
    """A split drawn at random per task, among its eligible episodes."""

    random_state: Seed = key("seed of the draw")
    val: Share = key("share that validates, of what is not tested")
    test: Share = key("share that is tested")
