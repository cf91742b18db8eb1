"""A page of results: read, written as Markdown, as one HTML file and as csv, with its figures.

In: results, contrasts and attributions, JSON. Each page is a module that says what its text, its
rows and its figures are; this one reads and writes. All of it is aggregates only.
"""

import argparse
import base64
import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report.drawing import save
from pipeline.report.names import Letters, add_words_argument, letters_of, unique
from pipeline.report.results import Differences, Results, by_name, differences_in
from pipeline.report.verdicts import era_words
from pipeline.stage.command import parser
from pipeline.stage.comparison import Attribution, read_attribution, read_comparison
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.registry import PROTOCOLS
from pipeline.stage.result import read_result
from pipeline.stage.tables import one_version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDECAR = ".run.json"  # lies beside a result, and is none
STYLE = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 75rem;
  margin: auto; padding: 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 13px }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: left }
td { white-space: nowrap }
img { max-width: 100% }
"""


@dataclass(frozen=True)
class Study:
    """What a page is about: results by name, what compares them, and words for letters."""

    results: Results
    differences: Differences
    attributions: list[Attribution]
    letters: Letters


@dataclass(frozen=True)
class Page:
    """`text`: the Markdown, given paths of figures; `rows`: of the csv; `figures`: by file name.

    A figure is its title, for screen readers, and what draws it.
    """

    text: Callable[[Study, list[str]], str]
    rows: Callable[[Study], Iterable[dict[str, Any]]]
    figures: Mapping[str, tuple[str, Callable[[Study], "Figure"]]]


def arguments(text: str | None) -> argparse.Namespace:
    """The command line of a page, described by `text`."""
    options = parser(text)
    add = options.add_argument
    add("--results", nargs="+", required=True, help="results, JSON; .run.json are passed over")
    add("--contrasts", nargs="*", default=[], help="comparisons of models, JSON")
    add("--attribution", nargs="*", default=[], help="of pipeline.evaluation.attribution, JSON")
    add("--markdown", required=True, help="the page")
    add("--html", help="the page with its pictures as one file")
    add("--csv", required=True, help="the numbers behind it")
    add("--figures", nargs="*", default=[], help="the page's pictures, SVG; named as it names them")
    add_words_argument(options)
    return options.parse_args()


def read_study(args: argparse.Namespace) -> Study:
    """The files that the command line names, sidecars apart.

    Raises `InputError` for files of another kind, and where two are of different definitions.
    """
    results = [(path, read_result(path)) for path in args.results if not path.endswith(SIDECAR)]
    comparisons = [(path, read_comparison(path)) for path in args.contrasts]
    attributions = [(path, read_attribution(path)) for path in args.attribution]
    files: list[tuple[str, Mapping[str, Any]]] = [*results, *comparisons, *attributions]
    one_version({path: one.get("definitions_version", 1) for path, one in files}, "a table")
    return Study(
        by_name(results),
        differences_in([one for _, one in comparisons]),
        [one for _, one in attributions],
        letters_of(args),
    )


def write(page: Page, args: argparse.Namespace) -> None:
    """Writes a page, its csv and its figures, each whole or not at all."""
    study = read_study(args)
    for path in args.figures:
        if Path(path).stem not in page.figures:
            raise InputError(f"--figures {path}: the page has {', '.join(page.figures)} alone")
        title, draw = page.figures[Path(path).stem]
        save(draw(study), path, title)
    rows = list(page.rows(study))
    with whole(args.csv) as part, Path(part).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    folder = Path(args.markdown).parent
    text = page.text(study, [relpath(path, folder) for path in args.figures])
    with whole(args.markdown) as part:
        part.write_text(text)
    if args.html:
        with whole(args.html) as part:
            part.write_text(webpage(text, folder))


def pictures(paths: Iterable[str]) -> list[str]:
    """The figures as Markdown shows them.

    >>> pictures(["figures/wang.svg"])
    ['![wang](figures/wang.svg)']
    """
    return [f"![{Path(path).stem}]({path})" for path in paths]


def joined(parts: Iterable[str]) -> str:
    """Paragraphs of a page; empty ones are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def looking_ahead(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the cohorts of each protocol ask for that is known only after the prediction time, and
    whether the split is by era.

    >>> looking_ahead([{"protocol": "corrected", "cohort": {"looks_ahead": ["with a film"]}}])
    ['The cohort of the corrected protocol looks ahead, beyond the prediction time: with a film.']
    """
    lines, known = [], list(results)
    for protocol in PROTOCOLS:
        cohorts = [r.get("cohort", {}) for r in known if r["protocol"] == protocol]
        reasons = unique(text for cohort in cohorts for text in cohort.get("looks_ahead", []))
        if reasons:
            lines.append(
                f"The cohort of the {protocol} protocol looks ahead, beyond the prediction time: "
                f"{'; '.join(reasons)}."
            )
    return [*lines, *filter(None, [era_words(known)])]


def webpage(markdown: str, folder: Path) -> str:
    """The HTML of a page; pictures, named relative to `folder`, become part of it.

    >>> page = webpage("# All of it\\n\\n| a | b |\\n|---|---|\\n| 1 | <2 |\\n", Path())
    >>> "<title>All of it</title>" in page, "<td>&lt;2</td>" in page
    (True, True)
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark").enable("table")
    tokens = reader.parse(markdown)
    for token in tokens:
        for part in token.children or []:
            if part.type == "image":
                part.attrs["src"] = embedded(folder / str(part.attrs["src"]))
    body = reader.renderer.render(tokens, reader.options, {})
    title = escape(markdown.partition("\n")[0].lstrip("# "))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{STYLE}</style></head><body>\n{body}</body></html>\n"
    )


def embedded(picture: Path) -> str:
    """An SVG as the address that holds it."""
    try:
        text = base64.b64encode(picture.read_bytes()).decode()
    except OSError as error:
        raise InputError(f"{picture}: the page shows it, but it cannot be read") from error
    return f"data:image/svg+xml;base64,{text}"
