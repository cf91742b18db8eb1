"""Settings as types: sections of the config, and the JSON in which stages get them.

A section is a class whose keys have a type, limits and a meaning; the planner puts the config
together from them (`pipeline.plan.sections`), and a stage reads its own with `json_argument`.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import PydanticCustomError

from pipeline.stage.errors import InputError

LAST_SEED = 2**32 - 1  # NumPy takes no larger one


def _as_written(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """A number as the file has it: 1 stays 1, so that the JSON of settings keeps its bytes."""
    validate(value)
    return value


def _each_once(items: list[Any]) -> list[Any]:
    names = [repr(item) for item in items]
    for item, name in zip(items, names, strict=True):
        if names.count(name) > 1:
            text = f"{item} is listed twice"
            raise PydanticCustomError("each_once", "{text}", {"text": text[:60]})
    return items


AS_WRITTEN = WrapValidator(_as_written)  # after the limits, or the schema has them not
Number = Annotated[float, AS_WRITTEN]
Share = Annotated[float, Field(gt=0, lt=1), AS_WRITTEN]
Whole = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=LAST_SEED)]
Text = Annotated[str, Field(min_length=1, pattern=r"^\S(.*\S)?$")]  # no blanks at its ends
EACH_ONCE = AfterValidator(_each_once)
Item = TypeVar("Item")
Items = Annotated[
    list[Item], Field(min_length=1, json_schema_extra={"uniqueItems": True}), EACH_ONCE
]


def key(description: str, **limits: Any) -> Any:
    """A key that must be there."""
    return Field(description=description, **limits)


def optional(description: str, default: Any, **limits: Any) -> Any:
    """A key that may be left out."""
    return Field(default, description=description, **limits)


class Section(BaseModel):
    """A section: no other keys, no conversions (true is no number, 1.0 no whole one), no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def dump(self) -> dict[str, Any]:
        """The section as the file has it: same keys, same values."""
        return self.model_dump(exclude_unset=True)


def some_of(full: type[Section], title: str, description: str) -> type[Section]:
    """A class of the same keys, none of which must be there; absent ones are None."""
    fields: dict[str, Any] = {
        name: (info.rebuild_annotation(), optional(info.description or "", None))
        for name, info in full.model_fields.items()
    }
    return create_model(title, __base__=full, __doc__=description, **fields)


Kind = TypeVar("Kind", bound=Section)


def json_argument(name: str, kind: type[Kind]) -> Callable[[str], Kind | None]:
    """How an option reads a section `name` of the config from JSON; null is None.

    >>> class Early(Section):
    ...     dropout: Number = key("dropout of the head", ge=0, lt=1)
    >>> json_argument("early", Early)('{"dropout": 0.5}').dropout
    0.5
    >>> json_argument("early", Early)('{"dropout": 1}')
    Traceback (most recent call last):
    pipeline.stage.errors.InputError: config: early.dropout: Input should be less than 1
    """

    def parse(text: str) -> Kind | None:
        try:
            return None if text.strip() == "null" else kind.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, (name, *first["loc"])))
            raise InputError(f"config: {where}: {first['msg']}") from error

    return parse
