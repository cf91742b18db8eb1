"""A Markdown page with its pictures as one HTML file, for Snakemake's report and for mailing.

In: a page of `pipeline.report.tables` or `pipeline.report.unimed` and the SVGs that it shows.
"""

import base64
from html import escape
from pathlib import Path

from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole

STYLE = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 75rem;
  margin: auto; padding: 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 13px }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: left }
td { white-space: nowrap }
img { max-width: 100% }
"""


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


def main() -> None:
    """Reads a Markdown page, writes it as HTML."""
    arguments = parser(__doc__)
    arguments.add_argument("--markdown", type=Path, required=True)
    arguments.add_argument("--output", required=True, help="HTML")
    args = arguments.parse_args()
    page = webpage(args.markdown.read_text(), args.markdown.parent)
    with whole(args.output) as part:
        part.write_text(page)


if __name__ == "__main__":
    run(main)
