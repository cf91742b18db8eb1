"""The kit of a result: figures, tables, words and the page, beside `report.html`.

In: result, curves, numbers (`pipeline.evaluation.kit`) and explanations (`pipeline.explain`), JSON.
Out: the files of `pipeline.kit.names`, in the folder of --output. Aggregates only.
"""

from pathlib import Path

from pipeline.kit import card, checklist
from pipeline.kit.figures import draw, pictures
from pipeline.kit.inputs import Kit, read_kit
from pipeline.kit.methods import methods
from pipeline.kit.names import EXPLANATIONS, TEXTS
from pipeline.kit.page import render, shown, table_page
from pipeline.kit.style import write_csv
from pipeline.kit.tables import Table, tables
from pipeline.kit.words import paragraphs, results
from pipeline.report.names import add_words_argument, letters_of
from pipeline.stage.command import parser, run
from pipeline.stage.explanations import read_explanations
from pipeline.stage.files import whole, write_json


def texts(kit: Kit) -> dict[str, str]:
    """The pages of words by the names of their files."""
    written = (
        paragraphs(f"Methods: {kit.name}", methods(kit)),
        paragraphs(f"Results: {kit.name}", results(kit)),
        checklist.markdown(kit),
        card.markdown(kit),
    )
    return dict(zip(TEXTS, written, strict=True))


def write_text(path: Path, text: str) -> None:
    """Writes a text, whole or not at all."""
    with whole(path) as part:
        part.write_text(text)


def write_table(one: Table, base: Path, name: str) -> None:
    """Writes a table as csv, Markdown and HTML: `base` and ending; `name`: of the result."""
    write_csv(base.with_suffix(".csv"), one.rows())
    write_text(base.with_suffix(".md"), one.markdown())
    write_text(base.with_suffix(".html"), table_page(one, name))


def write(kit: Kit, page: Path) -> None:
    """Writes every file of a kit; the page, which shows them, last."""
    folder, drawn, made = page.parent, pictures(kit), tables(kit)
    draw(drawn, folder / "figures")
    for name, one in made.items():
        write_table(one, folder / "tables" / name, kit.name)
    for name, text in texts(kit).items():
        write_text(folder / f"{name}.md", text)
    write_json(folder / EXPLANATIONS, list(kit.explanations))
    write_text(page, render([shown(kit, drawn, made, folder / "figures")]))


def main() -> None:
    """Reads what a kit is made of, writes it."""
    arguments = parser(__doc__)
    add = arguments.add_argument
    add("--result", required=True, help="the result, JSON")
    add("--curves", required=True, help="its curves, JSON")
    add("--numbers", required=True, help="its numbers, JSON")
    add("--explanations", nargs="*", default=[], help="of the models behind it, JSON")
    add("--output", required=True, type=Path, help="the page; the other files lie beside it")
    add_words_argument(arguments)
    args = arguments.parse_args()
    explanations = [read_explanations(path) for path in args.explanations]
    kit = read_kit(args.result, args.curves, args.numbers, explanations, letters_of(args))
    write(kit, args.output)


if __name__ == "__main__":
    run(main)
