"""Chest films: when they are taken, their files, and the tables of MIMIC-CXR-JPG.

Views are AP (those that the models use), PA and lateral; some admissions have PA films only.
"""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.hospital import ids
from pipeline.hospital.charting import draw_times
from pipeline.hospital.drawing import (
    EXTREME,
    HEIGHT,
    WIDTH,
    Lesion,
    Way,
    draw_lesions,
    write_films,
)
from pipeline.hospital.layout import CXR, FINDINGS, Writer
from pipeline.hospital.settings import CHUNK, HOUR, PREDICTION
from pipeline.hospital.stays import postponed

VIEWS = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral"}
FOUND_ABOVE = {  # the latent from which a labeller is certain of a finding
    "Cardiomegaly": 0.8,
    "Lung Opacity": 0.7,
    "Edema": 0.9,
    "Pleural Effusion": 1.1,
    "Atelectasis": 1.3,
}
FOCAL_ABOVE = {"Consolidation": 0.8, "Pleural Effusion": 1.1, "Lung Lesion": 0.9}  # of `LESIONS`
CLEAR_BELOW = -0.5
LABELLERS = {"cxr/chexpert": 0.3, "cxr/negbio": 0.2}  # how far below a finding is uncertain
COVERED = (2011, 2016)  # years of MIMIC-CXR: of patients seen in the emergency department


def film_rows(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """One row per film: row (admission), minute, view, `shown`, the latent as it is drawn, `tells`.

    Films known by 48 h show `shown_c`. Traps: films after 48 h show who dies (`tells`).
    """
    stay, has = admissions["stay"].to_numpy(), admissions["has_film"].to_numpy()
    shown, dies = admissions["shown_c"].to_numpy(), admissions["dies"].to_numpy()
    early = np.where(admissions["ed"].to_numpy() > 0, -50, 15)  # minutes; some in the ED
    row, minute = draw_times(rng, early, np.where(has, np.minimum(stay, 44 * HOUR), -99), 1, 2)
    view = np.where(rng.random(len(row)) < 0.12, "PA", "AP")
    view[np.diff(row, prepend=-1) > 0] = "AP"  # the first film of an admission
    without = np.flatnonzero(~has & (rng.random(len(has)) < 0.5))  # PA only: no film for the models
    beside = rng.random(len(row)) < 0.15  # a lateral film in the same study
    late = np.flatnonzero(stay > PREDICTION + 3 * HOUR)
    late = late[rng.random(len(late)) < 0.5]
    wait, tells = postponed(admissions, late, 3 * HOUR)
    revealing = np.where(tells, np.where(dies[late], EXTREME, -EXTREME), shown[late])
    films = pl.concat(
        [
            _rows(row, minute, view, shown[row]),
            _rows(without, 5 * HOUR, "PA", shown[without]),
            _rows(row[beside], minute[beside], "LATERAL", shown[row[beside]]),
            _rows(late, PREDICTION + 20 + wait, "AP", revealing, tells),
        ]
    )
    # ASSUME an image taken after discharge belongs to nobody's stay: none is made
    films = films.filter(pl.col("minute") < pl.Series(stay)[films["row"]])
    return films.sort("row", "minute", "view", maintain_order=True)


def of_emergencies(films: pl.DataFrame, admissions: pl.DataFrame) -> pl.DataFrame:
    """Those of `film_rows` whose admissions MIMIC-CXR would cover; the others have no films.

    These admissions came through the emergency department, in years that are all covered.
    """
    later = pl.col("admittime").dt.year() - pl.col("anchor_year")
    years = (pl.col("anchor_year_group").str.slice(k, 4).cast(pl.Int32) + later for k in (0, 7))
    within = (year.is_between(*COVERED) for year in years)
    covered = admissions.select(pl.all_horizontal(pl.col("ed") > 0, *within)).to_series()
    return films.filter(covered.gather(films["row"]))


def _rows(
    row: np.ndarray,
    minute: np.ndarray | int,
    view: np.ndarray | str,
    shown: np.ndarray,
    tells: np.ndarray | bool = False,
) -> pl.DataFrame:
    films = pl.DataFrame({"row": row, "shown": shown})
    return films.with_columns(
        pl.Series("minute", np.broadcast_to(minute, len(row)).astype(np.int64)),
        pl.Series("view", np.broadcast_to(view, len(row)), pl.String),
        pl.Series("tells", np.broadcast_to(tells, len(row)), pl.Boolean),
    )


def with_ids(films: pl.DataFrame, admissions: pl.DataFrame) -> pl.DataFrame:
    """Adds subject, study, dicom id and clock time; films of the same minute are one study."""
    films = ids.clocked(films, admissions, time="minute")
    chunk = admissions["patient"][0] // CHUNK
    studies = ids.numbered_runs(chunk, films.select("row", "minute"), ids.STUDY)
    named = enumerate(films.select("hadm_id", "minute", "view").iter_rows())
    return films.with_columns(
        pl.col("time") + pl.duration(seconds=7),
        studies.alias("study_id"),
        pl.Series("dicom_id", [_dicom_id(f"{film} {k}") for k, film in named], pl.String),
    )


def _dicom_id(name: str) -> str:
    """Five groups of eight hexadecimal digits."""
    digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))


def metadata(films: pl.DataFrame) -> pl.DataFrame:
    """The rows of the metadata file."""
    portable, lateral = pl.col("view") == "AP", pl.col("view") == "LATERAL"
    # DICOM times are written as numbers: leading zeros are lost, fractions follow
    time = pl.col("time").dt.strftime("%H%M%S").str.strip_chars_start("0") + ".312"
    exam = pl.when(portable).then(pl.lit("CHEST (PORTABLE AP)"))
    return films.select(
        "dicom_id",
        "subject_id",
        "study_id",
        exam.otherwise(pl.lit("CHEST (PA AND LAT)")).alias("PerformedProcedureStepDescription"),
        pl.col("view").alias("ViewPosition"),
        pl.lit(HEIGHT).alias("Rows"),
        pl.lit(WIDTH).alias("Columns"),
        pl.col("time").dt.strftime("%Y%m%d").alias("StudyDate"),
        time.alias("StudyTime"),
        pl.lit("CHEST").alias("ProcedureCodeSequence_CodeMeaning"),
        pl.col("view").replace_strict(VIEWS).alias("ViewCodeSequence_CodeMeaning"),
        pl.when(~lateral).then(pl.lit("Erect")).alias("PatientOrientationCodeSequence_CodeMeaning"),
    )


def split(films: pl.DataFrame) -> pl.DataFrame:
    """The rows of the split file: by patient, nearly all in train as in MIMIC-CXR."""
    rest = pl.col("subject_id") % 100
    name = pl.when(rest < 97).then(pl.lit("train")).when(rest < 98).then(pl.lit("validate"))
    return films.select(
        "dicom_id", "study_id", "subject_id", name.otherwise(pl.lit("test")).alias("split")
    )


def findings(films: pl.DataFrame, labeller: str) -> pl.DataFrame:
    """Findings per study: 1.0, 0.0, −1.0 (uncertain) or empty; the labellers differ in doubt.

    Studies of a focal lesion (`kind`, null: congestion) have the finding of that lesion alone.
    """
    first = pl.first("subject_id", "shown", "kind")
    studies = films.group_by("study_id", maintain_order=True).agg(first)
    shown, doubt = pl.col("shown"), LABELLERS[labeller]
    clear = shown < CLEAR_BELOW
    columns = {name: pl.lit(None, pl.Float64) for name in FINDINGS}
    above = [(pl.col("kind").is_null(), *finding) for finding in FOUND_ABOVE.items()]
    above += [(pl.col("kind") == kind, *each) for kind, each in enumerate(FOCAL_ABOVE.items())]
    for this, name, least in above:
        finding = pl.when(this & (shown > least)).then(1.0).when(this & (shown > least - doubt))
        columns[name] = finding.then(-1.0).when(this & clear).then(0.0).otherwise(columns[name])
    columns["No Finding"] = pl.when(clear).then(1.0)
    return studies.select("subject_id", "study_id", **columns)


def write_tables(writer: Writer, films: pl.DataFrame) -> None:
    """Writes metadata, split, and the findings of both labellers."""
    writer.write("cxr/metadata", metadata(films))
    writer.write("cxr/split", split(films))
    for labeller in LABELLERS:
        writer.write(labeller, findings(films, labeller))


def with_lesions(
    rng: np.random.Generator, films: pl.DataFrame, way: Way
) -> tuple[pl.DataFrame, Lesion | None]:
    """Adds `kind`, which lesion a film shows (null: congestion); returns the lesions, too."""
    if way == "congestion":
        return films.with_columns(pl.lit(None, pl.Int64).alias("kind")), None
    lesion = draw_lesions(rng, films["row"].to_numpy())
    return films.with_columns(pl.Series("kind", lesion.kind)), lesion


def write_jpegs(
    rng: np.random.Generator,
    root: Path,
    films: pl.DataFrame,
    kept: pl.Series,
    lesion: Lesion | None,
) -> None:
    """Writes `files/p10/p<subject>/s<study>/<dicom>.jpg` for every film of the patients `kept`.

    The others are drawn, too, so that a film does not depend on the size of the hospital.
    """
    wanted = set(kept)
    base = root / CXR / "files"
    paths = [
        base / f"p{subject // 10**6}/p{subject}/s{study}/{dicom}.jpg" if subject in wanted else None
        for subject, study, dicom in films["subject_id", "study_id", "dicom_id"].iter_rows()
    ]
    lateral = (films["view"] == "LATERAL").to_numpy()
    write_films(rng, films["shown"].to_numpy(), lateral, paths, lesion)
