"""Which episodes there are and in which split, as the config and the stages know it."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.stage.settings import Items, Section, Seed, Share, Text, Whole, key, optional

WINDOW = "window"  # of icu_within_hours: the window of the prediction
LISTED_BY = ("stay_id", "hadm_id", "subject_id")  # the first that a csv has counts
ERA, YEARS = 2008, 3  # MIMIC's anchor_year_groups: 2008 - 2010, 2011 - 2013, …
ERAS = range(ERA + YEARS, 2021, YEARS)  # first years of those that may be the late one
ERA_TABLES = ("patients", "admissions")  # of the source: they tell when a patient was there
NAMES = ("train", "fusion", "val", "test")  # also the order in which the shares are cumulated


def key_of(columns: Iterable[str], names: Iterable[str] = LISTED_BY) -> str | None:
    """The column by which a csv lists a cohort: the finest of stays, admissions and patients.

    `names`: of others the first.

    >>> key_of(["subject_id", "hadm_id"])
    'hadm_id'
    """
    return next((name for name in names if name in columns), None)


class Cohort(Section):
    """Which admissions are predicted, and when."""

    min_age: int | None = key("least age at admission, years; null: any", ge=0, le=120)
    max_age: int | None = optional(
        "greatest age at admission, years, min_age or more; null: any. Above 89 all are 91", None,
        ge=0, le=120,
    )  # fmt: skip
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
    first_stay: bool = optional(
        "of each patient the first ICU stay alone; of admissions those without an ICU stay under "
        "an earlier one", False,
    )  # fmt: skip
    admission_types: Items[Text] | None = optional(
        "values of admission_type, such as URGENT: these admissions only; null: all", None
    )
    ids: Text | None = key(
        "csv with a column stay_id, hadm_id or subject_id, of several the first of these: these "
        "ICU stays (or their admissions), admissions or patients only; null: all"
    )

    @model_validator(mode="after")
    def _ages_in_order(self) -> Self:
        if None not in (self.min_age, self.max_age) and self.max_age < self.min_age:  # type: ignore[operator]
            text = f"max_age {self.max_age} is below min_age {self.min_age}, so that nobody is left"
            raise PydanticCustomError("contradiction", "{text}", {"text": text})
        return self


class DefinedCohort(Cohort):
    """The cohort, and by whose rules it is selected."""

    definition: Literal["corrected", "published"] = key("whose rules select episodes")
    ed_hours: int = optional(
        "hours before the admission in which the emergency department counts", 24, ge=0, le=720
    )

    @property
    def settings(self) -> dict[str, Any]:
        """What a query may name, all but the definition, with the hours of the window.

        A condition is asked where its setting is not null, so that `first_stay` is true or null.
        """
        values = self.model_dump(exclude={"definition"})
        values["first_stay"] = self.first_stay or None
        values["admission_types"] = self.admission_types and [
            name.upper() for name in self.admission_types
        ]
        if self.icu_within_hours == WINDOW:
            values["icu_within_hours"] = self.window_hours
        return values

    def as_known(self, unit: str = "admission") -> tuple[Self, list[str]]:
        """The cohort as far as it is known at the prediction, and what is not asked by then.

        >>> section = {"min_age": 18, "window_hours": 48, "ids": None, "definition": "corrected"}
        >>> cohort = DefinedCohort(**section, films="any", icu_within_hours=720)
        >>> now, told = cohort.as_known()
        >>> now.films, now.icu_within_hours, len(told)
        (None, 48, 2)
        """
        now: dict[str, Any] = {}
        told = []
        hours, window = self.settings["icu_within_hours"], self.window_hours
        if unit == "admission" and hours is not None and hours > window:
            now["icu_within_hours"] = window
            told.append(f"in an ICU within {hours} h of admission (asked: within {window} h)")
        if self.films == "any":
            now["films"] = None
            told.append("of patients with a film at any time")
        return self.model_copy(update=now), told


class Split(Section):
    """Shares of the patients, by a hash of subject_id; they sum to 1."""

    salt: Text = key("text that is hashed with subject_id; another one draws another split")
    train: Share = key("share of the patients for encoders, bins and Doc2Vec")
    fusion: Share = key("share of training patients that encoders never see: heads are fitted here")
    val: Share = key("share of the patients that stop trainings and choose thresholds")
    test: Share = key(
        "share of the patients that results are computed on; by era the late patients are, "
        "whatever their share, and the others keep their proportions"
    )
    by: Literal["patient", "era"] = optional(
        "patient: all shares by the hash; era: train, fusion and val by the hash among patients "
        "whose first episode is early, test: all others", "patient",
    )  # fmt: skip
    late: int | None = optional(
        "by era: first calendar year of the late era, a first year of MIMIC's anchor_year_groups: "
        f"{', '.join(map(str, ERAS))}; null: by patient", None,
    )  # fmt: skip

    @property
    def upper_ends(self) -> list[tuple[str, float]]:
        """Each split and the end of its part of [0, 1), in the order of `NAMES`; by era without
        test.

        >>> shares = {"train": 0.5, "fusion": 0.25, "val": 0.125, "test": 0.125}
        >>> Split(salt="a", **shares).upper_ends
        [('train', 0.5), ('fusion', 0.75), ('val', 0.875), ('test', 1.0)]
        >>> Split(salt="a", **shares, by="era", late=2014).upper_ends[-1]
        ('val', 1.0)
        """
        ends = list(zip(NAMES, accumulate(getattr(self, name) for name in NAMES), strict=True))
        if self.by == "era":
            return [(name, end / ends[-2][1]) for name, end in ends[:-1]]
        return ends

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if abs((total := sum(getattr(self, name) for name in NAMES)) - 1) > 1e-9:
            shares = f"the shares of {', '.join(NAMES[:-1])} and {NAMES[-1]} sum to {total:.12g}"
            raise PydanticCustomError("contradiction", "{text}", {"text": f"{shares}, expected 1"})
        return self

    @model_validator(mode="after")
    def _late_era(self) -> Self:
        there = ", ".join(map(str, ERAS))
        if self.by == "era" and self.late not in ERAS:
            text = (f"by era, but late is {'null' if self.late is None else self.late}; set it to "
                    f"the first year of the late era: {there}")  # fmt: skip
            raise PydanticCustomError("contradiction", "{text}", {"text": text})
        if self.by != "era" and self.late is not None:
            text = f"late is {self.late}, but the split is by patient; set by: era, or remove late"
            raise PydanticCustomError("contradiction", "{text}", {"text": text})
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
