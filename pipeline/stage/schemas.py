"""JSON schemas generated from types: `python -m pipeline.stage.schemas` writes those of results
and of judgements, and docs/result_fields.md.

A field is described by the string below it, a type by its docstring. pydantic reads neither for
inherited fields, so both are taken from the source here; it makes everything else.
"""

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from pipeline.stage import (
    comparison,
    explanations,
    external,
    judgement,
    kit,
    prediction,
    result,
    sections,
)
from pipeline.stage.command import parser, run
from pipeline.stage.files import write_json
from pipeline.stage.modules import ROOT

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PAGE = "docs/result_fields.md"
SCHEMAS: dict[str, Any] = {
    "result": result.FlatResult,
    "multitask": result.Result,
    "comparison": comparison.Comparison,
    "attribution": comparison.Attribution,
    "kit": kit.Numbers,
    "explanations": explanations.Explanations,
    "judgement": judgement.Judgement,
    "model": prediction.StoredModel,
    "prediction": prediction.PredictionReport,
    "external": external.ExternalValidation,
}


class Untitled(GenerateJsonSchema):
    """pydantic's generator without a title for every field: names and descriptions say it all."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


@cache
def described(module: ModuleType) -> dict[str, dict[str, str]]:
    """Class → field → the string below it, of the classes that a module defines."""
    return {
        node.name: {
            one.target.id: inspect.cleandoc(text.value.value).replace("\n", " ")
            for one, text in zip(node.body, node.body[1:], strict=False)
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(text.value.value, str)
        }
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }


def descriptions(kind: Any) -> dict[str, str]:
    """Field → description of a typed dictionary, those of its bases first.

    >>> descriptions(result.Binary)["attrition"]
    'How many are left after each condition, in order.'
    """
    words: dict[str, str] = {}
    for base in getattr(kind, "__orig_bases__", ()):
        words |= descriptions(base)
    return words | described(sys.modules[kind.__module__]).get(kind.__name__, {})


def json_schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of a typed dictionary, every field described."""
    made = TypeAdapter(kind).json_schema(schema_generator=Untitled)
    kinds = {kind.__name__: kind}
    for module in (kit, comparison, result, prediction, sections, sys.modules[kind.__module__]):
        kinds |= vars(module)
    for name, part in [(kind.__name__, made), *made.get("$defs", {}).items()]:
        if "properties" not in part:
            continue  # a name for a plain type, which describes itself
        words = descriptions(kinds[name])
        part["description"] = " ".join(inspect.cleandoc(kinds[name].__doc__).split())
        for field, schema in part["properties"].items():
            schema["description"] = words[field]
    return {"$schema": DIALECT, **made}


def type_in_words(schema: Mapping[str, Any]) -> str:
    """The type of a field, with links to the sections of those that have fields of their own.

    >>> type_in_words({"anyOf": [{"$ref": "#/$defs/Ceiling"}, {"type": "null"}]})
    '[Ceiling](#ceiling) or null'
    >>> type_in_words({"type": "array", "items": {"type": "integer"}})
    'list of integer'
    """
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(type_in_words(one) for one in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_in_words(schema['items'])}" if schema.get("items") else "list"
    inner = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(inner, Mapping):
        return f"name → {type_in_words(inner)}"
    return str(schema.get("type", "any"))


def page() -> str:
    """docs/result_fields.md: every field of a result, of one task and of several."""
    lines = [
        "# Fields of a result",
        "",
        "Generated from the types by `python -m pipeline.stage.schemas`; as JSON schemas:",
        "[of one task of admissions](../pipeline/evaluation/result.schema.json),",
        "[of ICU stays and of several tasks](../pipeline/evaluation/multitask.schema.json).",
        "",
    ]
    parts: dict[str, Any] = {}
    for name in ("result", "multitask"):
        schema = json_schema(SCHEMAS[name])
        own = {key: value for key, value in schema.items() if key != "$defs"}
        parts |= {schema["title"]: own}
    for name in ("result", "multitask"):
        parts |= dict(sorted(json_schema(SCHEMAS[name])["$defs"].items()))
    for name, part in parts.items():
        lines += [f"## {name}", "", part["description"].replace("<", "&lt;"), ""]
        if "properties" not in part:
            lines += [f"Type: {type_in_words(part)}.", ""]
            continue
        lines += ["| field | type | meaning |", "|---|---|---|"]
        for field, schema in part["properties"].items():
            marked = f"`{field}`" if field in part.get("required", []) else f"*`{field}`*"
            meaning = schema["description"].replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| {marked} | {type_in_words(schema)} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Writes every schema beside the code that follows it, and the page of the documentation."""
    arguments = parser(__doc__)
    arguments.add_argument("--folder", default=ROOT / "pipeline/evaluation", help="of the schemas")
    args = arguments.parse_args()
    for name, kind in SCHEMAS.items():
        write_json(f"{args.folder}/{name}.schema.json", json_schema(kind))
    (ROOT / PAGE).write_text(page())


if __name__ == "__main__":
    run(main)
