"""Chest films: heart size and opacities show the latent of the films, nothing else does.

A film is drawn as a torso with two lungs and a heart. `shown_c` widens the heart and whitens the
lower lungs; position, exposure grain and build vary from film to film. Views are AP (those that
the models use), PA and lateral; some admissions have PA films only.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from pipeline.hospital.charting import draw_times
from pipeline.hospital.layout import CXR, FINDINGS
from pipeline.hospital.settings import HOUR, PREDICTION

HEIGHT, WIDTH = 78, 64  # pixels; portrait like a real film, so that resizing has work to do
VIEWS = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral"}
EXTREME = 6.0  # what a trap film shows, in units of the latent


def film_rows(rng: np.random.Generator, admissions: pl.DataFrame) -> pl.DataFrame:
    """One row per film: row (admission), minute, view and `shown`, the latent as it is drawn.

    Films known by 48 h show `shown_c`. Traps: films after 48 h show who dies.
    """
    stay, has = admissions["stay"].to_numpy(), admissions["has_film"].to_numpy()
    early = np.where(admissions["ed"].to_numpy() > 0, -50, 15)  # minutes; some in the ED
    row, minute = draw_times(rng, early, np.where(has, np.minimum(stay, 44 * HOUR), -99), 1, 2)
    view = np.where(rng.random(len(row)) < 0.12, "PA", "AP")
    first = np.concatenate([[True], row[1:] != row[:-1]]) if len(row) else np.zeros(0, bool)
    view = np.where(first, "AP", view)
    without = np.flatnonzero(~has & (rng.random(len(has)) < 0.5))  # PA only: no film for the models
    side = row[rng.random(len(row)) < 0.15]
    late = np.flatnonzero(stay > PREDICTION + 3 * HOUR)
    late = late[rng.random(len(late)) < 0.5]
    shown, dies = admissions["shown_c"].to_numpy(), admissions["dies"].to_numpy()
    parts = [
        (row, minute, view, shown[row]),
        (without, np.full(len(without), 5 * HOUR), np.full(len(without), "PA"), shown[without]),
        (side, np.full(len(side), 6 * HOUR), np.full(len(side), "LATERAL"), shown[side]),
        (late, np.full(len(late), PREDICTION + 20), np.full(len(late), "AP"),
         np.where(dies[late], EXTREME, -EXTREME)),
    ]  # fmt: skip
    films = pl.DataFrame(
        {
            "row": np.concatenate([p[0] for p in parts]),
            "minute": np.concatenate([p[1] for p in parts]),
            "view": np.concatenate([p[2] for p in parts]),
            "shown": np.concatenate([p[3] for p in parts]),
        }
    )
    # ASSUME an image taken after discharge belongs to nobody's stay: none is made
    films = films.filter(pl.col("minute") < pl.Series(stay)[films["row"]])
    return films.sort("row", "minute", "view")


def _blob(yy: np.ndarray, xx: np.ndarray, cy, cx, ry, rx) -> np.ndarray:  # noqa: ANN001
    """A soft-edged ellipse, (B, H, W) in 0 … 1."""
    distance = ((yy - cy) / ry) ** 2 + ((xx - cx) / rx) ** 2
    return 1 / (1 + np.exp(np.clip(10 * (distance - 1), -30, 30)))


def draw(rng: np.random.Generator, shown: np.ndarray, lateral: np.ndarray) -> np.ndarray:
    """Grey films (B, HEIGHT, WIDTH) uint8 for B values of the latent as shown."""
    size = len(shown)
    latent = np.clip(shown, -EXTREME, EXTREME)[:, None, None]
    yy = np.linspace(-1, 1, HEIGHT)[None, :, None] + 0.06 * rng.standard_normal((size, 1, 1))
    xx = np.linspace(-1, 1, WIDTH)[None, None, :] + 0.05 * rng.standard_normal((size, 1, 1))
    build = 1 + 0.04 * rng.standard_normal((size, 1, 1))
    torso = _blob(yy, xx, 0.15, 0, 1.15, 0.92 * build)
    gap = np.where(lateral[:, None, None], 0.12, 0.42)
    lungs = [_blob(yy, xx, -0.05, side * gap, 0.62, 0.32 * build) for side in (-1, 1)]
    low = [_blob(yy, xx, 0.28, side * gap, 0.3, 0.26) for side in (-1, 1)]
    heart = _blob(yy, xx, 0.25, 0.08, 0.3, np.clip(0.30 + 0.045 * latent, 0.08, 0.6))
    image = 20 + 135 * torso - 95 * np.maximum(*lungs)
    image = image + (16 + 13 * latent) * np.maximum(*low) * np.maximum(*lungs)
    image = image + 60 * heart * np.maximum(*lungs)
    grain = rng.standard_normal((size, HEIGHT, WIDTH)) * 6
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def with_ids(films: pl.DataFrame, admissions: pl.DataFrame) -> pl.DataFrame:
    """Adds subject, study, dicom id and clock time of each film."""
    person = admissions.select("subject_id", "hadm_id", "admittime").with_row_index("row")
    films = films.join(person.with_columns(pl.col("row").cast(pl.Int64)), on="row", how="left")
    films = films.with_columns(pl.int_range(pl.len()).over("hadm_id").alias("number"))
    serial = (pl.col("hadm_id") - 20_000_000) * 8 + pl.col("number")
    text = pl.format("{}-{}", "hadm_id", "number").hash(7)
    digest = pl.concat_str([text, text.hash(1), text.hash(2)], separator="-")
    return films.with_columns(
        (50_000_000 + serial).alias("study_id"),
        digest.alias("dicom_id"),
        (pl.col("admittime") + pl.duration(minutes="minute", seconds=7)).alias("time"),
    )


def metadata(films: pl.DataFrame) -> pl.DataFrame:
    """The rows of the metadata file."""
    return films.select(
        "dicom_id",
        "subject_id",
        "study_id",
        pl.when(pl.col("view") == "AP").then(pl.lit("CHEST (PORTABLE AP)"))
        .otherwise(pl.lit("CHEST (PA AND LAT)")).alias("PerformedProcedureStepDescription"),
        pl.col("view").alias("ViewPosition"),
        pl.lit(HEIGHT).alias("Rows"),
        pl.lit(WIDTH).alias("Columns"),
        pl.col("time").dt.strftime("%Y%m%d").alias("StudyDate"),
        # DICOM times are written as numbers: leading zeros are lost, fractions follow
        (pl.col("time").dt.strftime("%H%M%S").str.strip_chars_start("0") + ".312").alias("StudyTime"),
        pl.lit("CHEST").alias("ProcedureCodeSequence_CodeMeaning"),
        pl.col("view").replace_strict(VIEWS).alias("ViewCodeSequence_CodeMeaning"),
        pl.when(pl.col("view") != "LATERAL").then(pl.lit("Erect"))
        .alias("PatientOrientationCodeSequence_CodeMeaning"),
    )  # fmt: skip


def findings(films: pl.DataFrame) -> pl.DataFrame:
    """CheXpert-like findings per study: 1.0, 0.0, −1.0 (uncertain) or empty."""
    studies = films.group_by("study_id", maintain_order=True).agg(pl.first("subject_id", "shown"))
    x = pl.col("shown")
    grade = pl.when(x > 0.8).then(1.0).when(x > 0.5).then(-1.0).when(x < -0.5).then(0.0)
    sick = {"Cardiomegaly", "Edema", "Lung Opacity", "Pleural Effusion"}
    clear = pl.when(x < -0.5).then(1.0)
    empty = pl.lit(None, pl.Float64)
    named = [
        (grade if name in sick else clear if name == "No Finding" else empty).alias(name)
        for name in FINDINGS
    ]
    return studies.select("subject_id", "study_id", *named)


def write_jpegs(rng: np.random.Generator, root: Path, films: pl.DataFrame) -> None:
    """Writes `files/p10/p<subject>/s<study>/<dicom>.jpg` for every film."""
    images = draw(rng, films["shown"].to_numpy(), (films["view"] == "LATERAL").to_numpy())
    subject = films["subject_id"].cast(pl.String)
    folder = (
        f"{root / CXR}/files/p" + subject.str.slice(0, 2) + "/p" + subject
        + "/s" + films["study_id"].cast(pl.String)
    )  # fmt: skip

    def write(image: np.ndarray, where: str, name: str) -> None:
        Path(where).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(f"{where}/{name}.jpg", quality=92)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, images, folder, films["dicom_id"]))
