"""Where the JPEG of each film lies, and which file it is.

Films lie as PhysioNet has them, or resized and flat: `<dicom_id>.jpg` in `files` or in the data
set's folder.
"""

import hashlib
import stat
from functools import cache
from pathlib import Path

import polars as pl

NO_FILE = "no file"


def flat_folder(root: Path) -> Path | None:
    """The folder that holds all films, `<dicom_id>.jpg`; None where each patient has a folder.

    Copies of reduced size that are passed around lie so.
    """
    for folder in (root / "files", root):
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        if any(len(name) == 3 and name.startswith("p1") for name in names):
            return None
        if any(name.endswith(".jpg") for name in names):
            return folder
    return None


def path_of(root: Path, flat: Path | None = None) -> pl.Expr:
    """The JPEG of a film: files/p10/p10000032/s50414267/<dicom_id>.jpg; <dicom_id>.jpg in `flat`.

    >>> film = pl.DataFrame({"subject_id": [10000032], "study_id": [5], "dicom_id": ["a-b"]})
    >>> film.select(path_of(Path("/x")))["path"].to_list()
    ['/x/files/p10/p10000032/s5/a-b.jpg']
    """
    if flat:
        return pl.concat_str(pl.lit(f"{flat}/"), "dicom_id", pl.lit(".jpg")).alias("path")
    subject = pl.col("subject_id").cast(pl.String)
    return pl.format(
        f"{root}/files/p{{}}/p{{}}/s{{}}/{{}}.jpg",
        subject.str.slice(0, 2), subject, "study_id", "dicom_id",
    ).alias("path")  # fmt: skip


def stamp_of(path: str) -> str | None:
    """A stamp that changes where a film must be decoded again; None where there is no file.

    It holds size and time of the file, as make and rsync do, and a digest of the code that decodes.
    Hashing 557 GB would cost more than decoding the few films that were copied anew.
    """
    try:
        status = Path(path).stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        return NO_FILE
    return f"{status.st_size}:{status.st_mtime_ns}:{_code_digest()}"


@cache
def _code_digest() -> str:
    return hashlib.sha256(Path(__file__).with_name("decode.py").read_bytes()).hexdigest()[:12]


def locate(films: pl.DataFrame, shard: str, root: Path) -> pl.DataFrame:
    """The films of a shard, each once: dicom_id, path, stamp (null where there is no file)."""
    in_shard = pl.col("subject_id").cast(pl.String).str.starts_with(shard.removeprefix("p"))
    located = films.filter(in_shard).unique("dicom_id").sort("dicom_id")
    located = located.select("dicom_id", path_of(root, flat_folder(root)))
    stamps = [stamp_of(path) for path in located["path"]]
    return located.with_columns(pl.Series("stamp", stamps, dtype=pl.String))
