"""What is wrong with a config, in lines: keys that a file sets twice, values that no type allows.

Each line names the key, its value, what is expected and where it is described.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from pipeline.plan.sections import RESERVED, Config
from pipeline.stage.settings import Section

PAGE = "docs/configuration.md"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C a tenth of the time
Node = Mapping[str, Any]  # of a JSON schema
Key = tuple[str | int, ...]


def set_twice(*paths: str | Path) -> list[str]:
    """Keys that a file sets twice, where YAML's readers keep the last one; or why it is no config.

    Of files that are there.
    """
    lines = []
    for path in filter(Path.is_file, map(Path, paths)):
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), LOADER)
            lines += [f"{path}:{line}" for line in _repeated(root, (), (), set())]
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            lines.append(f"{path}: not a readable YAML file{_place(error)}; correct it there")
        else:
            if not isinstance(root, yaml.MappingNode):
                lines.append(f"{path}: holds no keys; expected those of {PAGE}, such as seeds: [0]")
    return [" ".join(line.split()) for line in lines]


def _repeated(
    node: yaml.Node | None, where: Key, above: tuple[int, ...], done: set[int]
) -> Iterator[str]:
    """Lines for the keys of a node, and below it, that are set twice; aliases are read once."""
    if not isinstance(node, yaml.CollectionNode):
        return
    if id(node) in above:
        yield f"{node.start_mark.line + 1}: {dotted(where)} contains itself; write it out"
    if id(node) in done:
        return
    done.add(id(node))
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _repeated(item, (*where, number), above, done)
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield f"{line}: {dotted(where)} has a key that is no text; expected one of {PAGE}"
        elif name in first:
            yield (f"{line}: {dotted((*where, name))} is set twice, first in line {first[name]}; "
                   "keep one of the two")  # fmt: skip
        first.setdefault(name, line)
        yield from _repeated(value, (*where, name), above, done)


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f" ({type(error).__name__})"
    return f", see line {mark.line + 1}: {getattr(error, 'problem', '')}"


@cache
def schema(model: type[Section] = Config) -> dict[str, Any]:
    """The JSON schema of a class of `sections.py`."""
    return model.model_json_schema()


def in_lines(errors: Sequence[ErrorDetails], model: type[Section], config: object) -> list[str]:
    """A line for each key that pydantic refuses."""
    lines: dict[Key, str] = {}
    for error in errors:
        where, node = _find(error["loc"], schema(model))
        if error["loc"][-1:] == ("[key]",):
            where, node = _find(error["loc"][:-2], schema(model))
            lines[error["loc"]] = _strange_key(where, error["input"], node)
        elif error["type"] in ("extra_forbidden", "invalid_key"):
            strange = error["loc"][-1]
            lines[(*where, strange)] = _unknown(where, strange, node)
        elif error["type"] == "contradiction":  # between the keys of a section
            lines[where] = f"{dotted(where)}: {error['msg']}"
        else:
            value = _MISSING if error["type"] == "missing" else _value(config, where)
            detail = error["msg"] if error["type"] == "each_once" else ""
            lines.setdefault(where, _refused(where, value, node, detail))
    return [" ".join(line.split()) for line in lines.values()]


def unknown_sections(config: object, model: type[Section]) -> list[str]:
    """Keys that are neither of the model nor the name of a further modality with own settings."""
    if not isinstance(config, Mapping):
        return []
    letters = config.get("modalities")
    names = list(letters.values()) if isinstance(letters, Mapping) else []
    strange = [key for key in config if isinstance(key, str) and key not in model.model_fields]
    near = {key: difflib.get_close_matches(key, model.model_fields, 1) for key in strange}
    return [
        f"{dotted([key])}: unknown key, and no further modality of that name; "
        f"{f'did you mean {near[key][0]}?' if near[key] else 'remove it.'} See {PAGE}"
        for key in strange
        if key not in names or key in RESERVED.values()
    ]


_MISSING = object()
TEXT = {"type": "string"}  # what a key is


def _strange_key(where: Key, name: object, node: Node) -> str:
    expected = in_words({"type": "string", "pattern": next(iter(node["patternProperties"]))})
    return (f"{dotted(where)}: the key {shown(name)}{_hint(name, TEXT)}; expected keys that "
            f"are {expected}; see {PAGE}")  # fmt: skip


def _find(loc: Key, node: Node) -> tuple[Key, Node]:
    """A place of pydantic's as a key and its node in the schema; parts of unions are left out."""
    where: list[str | int] = []
    root = node
    for part in loc:
        node = resolved(node, root)
        inner = _below(node, part)
        if inner is None:
            break
        where.append(part)
        node = inner
    return tuple(where), resolved(node, root)


def resolved(node: Node, root: Node) -> Node:
    """A node with what its reference holds; its own description counts."""
    if "$ref" not in node:
        return node
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return root["$defs"][node["$ref"].rsplit("/", 1)[1]] | beside


def _below(node: Node, part: str | int) -> Node | None:
    if part in node.get("properties", {}):
        below: Node = node["properties"][part]
        return below
    if isinstance(part, int):
        return node.get("items")
    if "additionalProperties" in node and isinstance(node["additionalProperties"], Mapping):
        return node["additionalProperties"]
    return next(iter(node.get("patternProperties", {}).values()), None)


def _value(config: Any, where: Key) -> object:
    try:
        for part in where:
            config = config[part]
    except (KeyError, IndexError, TypeError):
        return _MISSING
    return config


def dotted(where: Iterable[str | int]) -> str:
    """A key as messages name it, from `config` on."""
    return ".".join(["config", *(str(part)[:60] for part in where)])


def _unknown(where: Key, strange: object, node: Node) -> str:
    known = list(node.get("properties", {}))
    near = difflib.get_close_matches(str(strange), known, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    name = strange if isinstance(strange, str) else shown(strange)
    return (f"{dotted((*where, name))}: unknown key{_hint(strange, TEXT)}; {meant}"
            f"known: {', '.join(known)}; see {PAGE}")  # fmt: skip


def _refused(where: Key, value: object, node: Node, detail: str = "") -> str:
    expected = f"expected {in_words(node)}"
    about = node.get("description", "").split("\n")[0].rstrip(".")
    meaning = f" ({about})" if about and where else ""
    if value is _MISSING:
        return f"{dotted(where)}: missing; {expected}{meaning}; add it, see {PAGE}"
    hint = f": {detail}" if detail else _hint(value, node)
    return f"{dotted(where)}: {shown(value)}{hint}; {expected}{meaning}; see {PAGE}"


def _hint(value: object, node: Node) -> str:
    """Why a value is not what it looks like."""
    text = "string" in _kinds(node)
    if isinstance(value, bool):
        yaml_reads = "YAML reads yes, no, on and off as booleans: put a text in quotes"
        return f" ({yaml_reads if text else 'a boolean, no number'})"
    if isinstance(value, str) and not text:
        try:
            float(value)
        except ValueError:
            return ""
        return (" (a text: no quotes, and 1.0e-4 for 1e-4; --config makes texts of what lists and "
                "sections hold: put them into a file, --configfile own.yaml)")  # fmt: skip
    if isinstance(value, int | float) and text:
        return " (a number: put a text in quotes)"
    if isinstance(value, float) and value.is_integer():
        return f" (no whole number: write {value:.0f})"
    return " (nothing stands there)" if value is None else ""


def _kinds(node: Node) -> set[str]:
    """The types that a node allows, of a list those of its items."""
    if "items" in node:
        return _kinds(node["items"])
    return {node.get("type", "string" if "enum" in node else "object")}.union(
        *map(_kinds, node.get("anyOf", []))
    )


def shown(value: object) -> str:
    """A value in a few characters, as YAML has it.

    >>> shown(None), shown("a" * 99), shown({"a": 1})
    ('null', '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…', 'a section')
    """
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list):
        return "an empty list" if not value else "a list"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a huge number"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:40]}…"


def in_words(node: Node) -> str:
    """What a node of the schema allows.

    >>> in_words({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 48}, {"type": "null"}]})
    'a whole number from 1 to 48, or null'
    """
    if "anyOf" in node:
        *first, last = map(in_words, node["anyOf"])
        return f"{', '.join(first)}, or {last}"
    if "enum" in node or "const" in node:
        values = node.get("enum", [node.get("const")])
        texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
        return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
    kind = node.get("type", "object")
    if kind in ("integer", "number"):
        return f"a {'whole ' * (kind == 'integer')}number{_limits(node)}"
    if kind == "array":
        some = "one or more of" if node.get("minItems") else "any of"
        return f"a list, {some}: {in_words(node['items'])}"
    if kind == "string":
        return PATTERNS.get(node.get("pattern", ""), "a text")
    for pattern, value in node.get("patternProperties", {}).items():
        return f"a section, {PATTERNS[pattern]} → {in_words(value)}"
    return {"boolean": "true or false", "null": "null"}.get(kind, "a section of keys")


PATTERNS = {
    "^[a-z]$": "a letter a-z",
    "^[a-z][a-z0-9_]*$": "a name of a-z, 0-9 and _",
    "^[a-z][a-z0-9_-]*$": "a name of a-z, 0-9, _ and -",
    "^[a-z][a-z0-9_]*_[1-9][0-9]?h$": "a task such as shock_4h",
    "^[a-z0-9]+(-[a-z0-9]+)*$": "a name of a-z, 0-9 and -",
    "^(auto|cpu|mps|cuda(:(0|[1-9][0-9]*))?)$": "auto, cpu, mps, cuda or cuda:1",
}


def _limits(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = [f"at least {low}"] * (low is not None) + [f"above {above}"] * (above is not None)
    words += [f"at most {high}"] * (high is not None) + [f"below {below}"] * (below is not None)
    return f" {' and '.join(words)}" if words else ""
