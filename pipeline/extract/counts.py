"""Row and cohort counts of a copy, compared with the known counts of its release.

    python -m pipeline.extract.counts --source '{"root": "/data/…"}' --tables …/admissions.parquet …
        --output results/source/counts.md

The known counts and their sources are in `counts.csv`. `extract_table` warns as soon as a table
differs, so that a bad copy is noticed before anything is trained on it. This stage collects the
tables that were extracted, and adds the counts of cohorts, as attrition tables have them. Neither
asks for a table that the target does not need.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from pipeline.extract.contracts import TABLES, table, tables_for
from pipeline.extract.failures import difference
from pipeline.extract.release import DATASETS, Source, exists, locate, table_path, version_of
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import whole
from pipeline.stage.privacy import shown, tell

COHORTS = {  # as in attrition tables: table, and column whose distinct values are counted
    "patients with an admission": ("admissions", "subject_id"),
    "patients with an ICU stay": ("icustays", "subject_id"),
    "admissions with an ICU stay": ("icustays", "hadm_id"),
}
DEMO = "demo "


@cache
def known() -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """Data set → release → table or cohort → its count."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    with Path(__file__).with_name("counts.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            release = counts.setdefault(row["dataset"], {}).setdefault(row["version"], {})
            release[row["count"]] = int(row["expected"])
    return counts


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def nearest(dataset: str, version: str) -> str:
    """The release whose known counts a version is compared with: itself where it has some.

    Of `3.x` the newest; else the last release before the version, or the first of all.

    >>> [nearest("mimic_iv", version) for version in ("2.2", "3.x", "2.5", "0.4", "demo 2.x")]
    ['2.2', '3.1', '2.2', '1.0', 'demo 2.2']
    """
    releases = [
        name for name in known()[dataset] if name.startswith(DEMO) == version.startswith(DEMO)
    ]
    releases.sort(key=_numbers)
    wanted = _numbers(version)
    if len(wanted) < 2 or version.endswith("or later"):
        wanted = [*wanted[:1], 99]
    before = [name for name in releases if _numbers(name) <= wanted]
    return before[-1] if before else releases[0]


def compared_with(source: Source, dataset: str) -> tuple[str, str]:
    """The release whose counts are used, and its name in messages, with the copy's own version.

    `InputError` where the copy's version cannot be determined.
    """
    version = version_of(locate(source, dataset))
    closest = nearest(dataset, version)
    name = f"{DATASETS[dataset].title} {closest}"
    return closest, name if closest == version else f"{name} (the nearest to {version})"


def tables_in(source: Source, asked: Iterable[str]) -> list[str]:
    """The tables asked for that a source has: a copy may lack a whole data set."""
    names = []
    for name in tables_for(asked):
        try:
            names += [name] * exists(table_path(source, name))
        except InputError:  # the config names no place for its data set
            continue
    return names


def expected_option(source: Source, name: str, sample: float) -> list[str]:
    """The options that tell `extract_table` how many rows to expect; none where no count is known.

    A sample of the subjects has no known count.
    """
    dataset = table(name).dataset
    if sample < 1 or not locate(source, dataset).found:
        return []
    try:
        version, title = compared_with(source, dataset)
    except InputError:  # no admissions that tell the release: the preflight reports them
        return []
    rows = known()[dataset][version].get(name)
    return [] if rows is None else ["--expected-rows", str(rows), "--expected-in", title]


def count(paths: Mapping[str, Path]) -> dict[str, int]:
    """Rows of each table (from the footers of parquet), and the cohorts that they hold."""
    import duckdb

    counts = {}
    with duckdb.connect() as database:
        for name, path in paths.items():
            database.read_parquet(str(path)).create_view(name)
            counts[name] = int(database.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0])
        for cohort, (name, column) in COHORTS.items():
            if name in paths:
                query = f"SELECT count(DISTINCT {column}) FROM {name}"
                counts[cohort] = int(database.sql(query).fetchall()[0][0])
    return counts


Row = tuple[str, str, int | None, int]  # release compared with, count, expected, found


def compare(source: Source, paths: Mapping[str, Path]) -> list[Row]:
    """Every count of the extracted tables, with the known one or None."""
    counted, rows = count(paths), []
    owner = {name: table(name).dataset for name in paths}
    owner |= {cohort: owner[name] for cohort, (name, _) in COHORTS.items() if name in paths}
    titles = {dataset: compared_with(source, dataset) for dataset in dict.fromkeys(owner.values())}
    for name, dataset in owner.items():
        version, title = titles[dataset]
        rows.append((title, name, known()[dataset][version].get(name), counted[name]))
    return rows


def as_markdown(rows: list[Row], differences: list[str], uncompared: str) -> str:
    """A heading with the number of counts as expected, the differences in words, all counts."""
    compared = sum(expected is not None for _, _, expected, _ in rows)
    heading = f"{compared - len(differences)} of {compared} known counts are as expected"
    lines = [uncompared or heading, "", *(f"* {line}" for line in differences)]
    lines += [""] * bool(differences)
    lines += ["| release | count | expected | found |", "|---|---|---|---|"]
    for title, name, expected, found in rows:
        wanted = "–" if expected is None else f"{expected:,}"
        lines.append(f"| {title} | {name} | {wanted} | {shown(found)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Counts, compares, logs every difference as one line, writes the table."""
    options = parser(__doc__)
    options.add_argument("--source", type=json.loads, required=True, help="the config's source")
    options.add_argument("--tables", type=Path, nargs="+", required=True, help="parquet files")
    options.add_argument("--uncompared", default="", help="why nothing can be compared")
    options.add_argument("--output", type=Path, required=True, help="markdown to write")
    arguments = options.parse_args()
    paths = {name: path for name in TABLES for path in arguments.tables if path.stem == name}
    if arguments.uncompared:
        rows: list[Row] = [("–", name, None, found) for name, found in count(paths).items()]
    else:
        rows = compare(arguments.source, paths)
    differences = [
        line
        for title, name, expected, found in rows
        if expected is not None and (line := difference(name, expected, title, found))
    ]
    for line in [arguments.uncompared] * bool(arguments.uncompared) + differences:
        tell(line)
    with whole(arguments.output) as part:
        part.write_text(as_markdown(rows, differences, arguments.uncompared))


if __name__ == "__main__":
    run(main)
