"""A hook of mkdocs: pages that lie elsewhere in the repository, and links that fit the site.

In docs/ links are relative, so that they work in the repository, too. In the site a link to another
page stays one, and a link to a file that is no page becomes its name.
"""

import json
import posixpath
import re
from typing import Any

from mkdocs.structure.files import File, Files

PAGES = {  # page of the site → file of the repository
    "index.md": "README.md",
    "python.md": "docs/python.ipynb",
    "benchmarks.md": "benchmarks/RESULTS.md",
    "learning_curve.md": "benchmarks/records/learning_curve.md",
    "contributing.md": "CONTRIBUTING.md",
    "changes.md": "CHANGELOG.md",
}
PAGE_OF = {file: page for page, file in PAGES.items()}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made of files elsewhere."""
    root = posixpath.dirname(config.config_file_path)
    for page, name in PAGES.items():
        with open(posixpath.join(root, name), encoding="utf-8") as file:  # noqa: PTH123
            text = file.read()
        if name.endswith(".ipynb"):
            text = of_notebook(text)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of a page as the site has them."""
    file = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return LINK.sub(lambda found: fitted(*found.groups(), file), markdown)


def fitted(picture: str, words: str, target: str, file: str) -> str:
    """A link of a file of the repository as the site has it.

    >>> fitted("", "Data", "docs/data.md#films", "README.md")
    '[Data](data.md#films)'
    >>> fitted("", "`a.sql`", "../pipeline/a.sql", "docs/data.md")
    '`a.sql`'
    """
    if re.match(r"[a-z]+:|#", target):
        return f"{picture}[{words}]({target})"
    path, mark, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
    page = PAGE_OF.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
    return f"{picture}[{words}]({page}{mark}{anchor})" if page else words


def of_notebook(text: str) -> str:
    """The cells of a notebook as a page: text, and fenced code."""
    cells = json.loads(text)["cells"]
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(
        f"```python\n{source}\n```" if kind == "code" else source for kind, source in sources
    )
