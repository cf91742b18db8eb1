"""The pages of the documentation, and their code blocks as tests run them."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import yaml
from checkout import REPOSITORY

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    REPOSITORY / "benchmarks/RESULTS.md",
    REPOSITORY / "benchmarks/records/learning_curve.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


class Block(NamedTuple):
    """A fenced block of code; `title`: the file that it is or changes, empty if none."""

    language: str
    title: str
    text: str


def blocks(text):
    """The fenced blocks of a page, in their order."""
    return [Block(*found) for found in FENCE.findall(text)]


def of_section(page, heading):
    """The blocks below a heading of the second level of a page in docs/."""
    text = (REPOSITORY / "docs" / page).read_text()
    assert f"\n## {heading}\n" in text, f"{page} has no section {heading}"
    return blocks(text.split(f"\n## {heading}\n")[1].split("\n## ")[0])


def cells(notebook):
    """(kind, source) of the cells of a notebook."""
    found = json.loads((REPOSITORY / notebook).read_text())["cells"]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in found]


def apply(checkout, found):
    """Writes the files of titled blocks into a checkout, and edits what diffs and config name."""
    for block in found:
        if not block.title:
            continue
        if block.language == "diff":
            checkout.edit(block.title, *sides(block.text))
        elif block.title == "config.yaml":
            checkout.configure(flat(yaml.safe_load(block.text)))
        else:
            path = Path(checkout / block.title)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)


def sides(diff):
    """The text before and after a diff of whole lines.

    >>> sides(" a\\n-b\\n+c\\n")
    ('a\\nb\\n', 'a\\nc\\n')
    """
    lines = diff.splitlines(keepends=True)
    return tuple("".join(one[1:] for one in lines if one[0] in kept) for kept in (" -", " +"))


def flat(settings):
    """Keys of a block of config as paths; a section within a section is replaced as a whole.

    >>> flat({"encoders": {"n": "average"}, "unimed": {"encoders": {"x": "y"}}, "folds": 2})
    {'encoders': {'n': 'average'}, 'unimed.encoders': {'x': 'y'}, 'folds': 2}
    """
    found = {}
    for key, value in settings.items():
        inner = value if isinstance(value, dict) else {}
        deep = any(isinstance(part, dict) for part in inner.values())
        found |= {f"{key}.{name}": part for name, part in inner.items()} if deep else {key: value}
    return found
