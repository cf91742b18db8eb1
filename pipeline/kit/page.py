"""One page of kits, for a browser without a net, on paper and read aloud.

    python -m pipeline.kit.page --results results/ecn_early_mortality.json \\
        results/elderly/ecn_early_mortality.json --output results/kit/report.html

Several results are shown one at a time, by a menu that works with the keyboard; without JavaScript,
and on paper, they stand one below another. The files of each kit must lie beside its result, in
kit/: what lies there is shown as it is (`make kit` brings it up to date first).
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.kit.figures import pictures
from pipeline.kit.inputs import Kit, read_made
from pipeline.kit.sections import sections
from pipeline.kit.style import Picture
from pipeline.kit.tables import Table, tables
from pipeline.report.names import add_words_argument, letters_of
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole

TEMPLATES = Path(__file__).parent
STYLE, SCRIPT = "templates/page.css", "templates/page.js"
PARTS = ("templates/page.html", "templates/table.html", "templates/alone.html")


def environment() -> Any:
    """Jinja's environment: everything that is filled in is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(TEMPLATES / "templates"), autoescape=True,
                       undefined=StrictUndefined)  # fmt: skip


def _inner(name: str) -> Any:
    """A style or a script as it stands in a page: ours, and therefore not escaped."""
    from markupsafe import Markup

    return Markup((TEMPLATES / name).read_text())


def policy() -> str:
    """What a browser may load: the pictures within the page, this style and this script alone."""
    style, script = (
        base64.b64encode(hashlib.sha256(_inner(name).encode()).digest()).decode()
        for name in (STYLE, SCRIPT)
    )
    return (f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; "
            f"script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'")  # fmt: skip


def image(path: Path) -> str:
    """An SVG as the address that holds it."""
    try:
        text = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InputError(f"{path}: the page shows it, but it cannot be read") from error
    return f"data:image/svg+xml;base64,{text}"


def by(kit: Kit) -> str:
    """The protocol of a title, where it is not the corrected one."""
    protocol = kit.result["protocol"]
    return "" if protocol == "corrected" else f", {protocol} protocol"


def label(kit: Kit) -> str:
    """A result within the menu, which groups them by experiment."""
    return f"{kit.result['target']}{by(kit)}"


def shown(kit: Kit, drawn: Mapping[str, Picture], made: Mapping[str, Table], folder: Path) -> Any:
    """What the page shows of a kit whose figures lie in a folder."""
    experiment = kit.result.get("experiment")
    return {
        "identity": kit.identity, "name": kit.name, "label": label(kit),
        "experiment": experiment or "no experiment", "words": kit.words, "task": kit.task_words,
        "protocol": kit.result["protocol"], "by": by(kit), "sections": sections(kit),
        "pictures": drawn, "tables": made, "images": {name: image(folder / f"{name}.svg")
                                   for name, picture in drawn.items() if picture.shown},
    }  # fmt: skip


def render(kits: Sequence[Any]) -> str:
    """The page of what `shown` gives of each kit."""
    if not kits:
        raise InputError("--results: no results given")
    names = [kit["identity"] for kit in kits]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"--results: a result twice: {', '.join(sorted(twice))}")
    experiments: dict[str, list[Any]] = {}
    for kit in kits:
        experiments.setdefault(kit["experiment"], []).append(kit)
    first = kits[0]
    title = (
        f"{first['task']}, {first['words']}{first['by']}"
        if len(kits) == 1
        else f"{len(kits)} results"
    )
    return str(environment().get_template("page.html").render(
        kits=kits, experiments=experiments, title=f"Risk prediction: {title}", policy=policy(),
        style=_inner(STYLE), script=_inner(SCRIPT),
    )) + "\n"  # fmt: skip


def table_page(one: Table, name: str) -> str:
    """A table as a page of its own."""
    page = environment().get_template("alone.html")
    return str(page.render(one=one, name=name, policy=policy(), style=_inner(STYLE))) + "\n"


def main() -> None:
    """Reads the kits of results and writes the page of them all."""
    arguments = parser(__doc__)
    arguments.add_argument("--results", nargs="+", required=True, type=Path, help="results, JSON")
    arguments.add_argument("--output", required=True, type=Path, help="the page, HTML")
    add_words_argument(arguments)
    args = arguments.parse_args()
    letters = letters_of(args)
    kits = []
    for path in args.results:
        kit, folder = read_made(path, letters)
        kits.append(shown(kit, pictures(kit), tables(kit), folder / "figures"))
    with whole(args.output) as part:
        part.write_text(render(kits))


if __name__ == "__main__":
    run(main)
