"""An estimate of what a run will take: bytes of disk and seconds of one core, by table and stage.

It follows from the sizes of the source files; what is already made costs nothing. It covers the
stages of data: how long a training takes depends on the model and the device. Imports nothing heavy
and reads no table: it is used while the workflow is planned.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.extract import contracts, release
from pipeline.extract.release import Source, exists

# as `needed_by` of the contracts, names of encoders and of tables
Needs = str | tuple[str, ...]

# ASSUME sizes and speeds, of one core. "Measured": on the open demo and generated files of 4 to 107
# million rows (benchmarks/RESULTS.md); "a guess": not yet at full size.
# -- bytes of parquet per byte of the file
PARQUET_PER_GZ = 0.75  # measured .52 to .72
PARQUET_PER_CSV = 0.15  # measured .10
# -- bytes of the file per second of extraction
GZ_PER_SECOND = 4.3e6  # measured: 50 million rows in 94 s of processors, MIMIC's have 8 bytes each
CSV_PER_SECOND = 100e6  # measured 200 to 340 million
# -- bytes of a modality's parquet tables per second, all its stages of data together
# events, bins, tokens; measured: 107 million rows in 150 s of processors, MIMIC's have 6 bytes each
EVENTS_PER_SECOND = 4e6
# events to FIDDLE's features; measured: 10,000 stays in 240 s of processors, MIMIC has 94,458
FIDDLE_PER_SECOND = 2e6
NOTES_PER_SECOND = 10e6  # clean and select; a guess
WORDS_PER_SECOND = 270_000  # Doc2Vec, 512 numbers, per epoch; measured on generated reports
WORDS_PER_BYTE = 0.5  # of a parquet of reports; a guess
# -- bytes of events, tokens, features per byte of a modality's parquet tables
DERIVED_PER_PARQUET = 0.5  # a guess
# -- films
METADATA_PER_FILM = {True: 45, False: 150}  # bytes of the metadata, zipped or not; a guess
FILM_SHARE = 0.25  # of all films are those of eligible episodes; a guess
FILMS_PER_SECOND = 50  # decoded from 2,500 × 3,050 pixels; measured
# -- the synthetic hospital, per patient
HOSPITAL_SECONDS = 0.013  # measured, 700 patients
HOSPITAL_FILMS = 1.5  # of eligible admissions; measured
HOSPITAL_FILMS_PER_SECOND = 800  # decoded, small as they are; measured
HOSPITAL_BYTES = {  # of csv.gz; measured; dictionaries are next to nothing
    "chartevents": 3940, "labevents": 1241, "radiology": 160, "cxr_metadata": 133, "transfers": 128,
    "outputevents": 104, "procedureevents": 93, "diagnoses_icd": 81, "admissions": 65,
    "icustays": 54, "inputevents": 44, "chexpert": 25, "microbiologyevents": 18, "patients": 13,
}  # fmt: skip
# -- the rest
MODELS = 500e6  # bytes of weights, embeddings and reports; a guess


@dataclass(frozen=True)
class Settings:
    """Settings of the config that change the estimate.

    `sample`: share of the subjects. `pixels`: side of a decoded film. `passes`: how often Doc2Vec
    reads all reports: epochs × share of the training patients. `hospital`: number of patients of
    the synthetic hospital, 0 for real data.
    """

    sample: float = 1.0
    pixels: int = 224
    passes: float = 20 * 0.45
    hospital: int = 0


@dataclass(frozen=True)
class SourceFile:
    """A source file: bytes, whether it is zipped, its path (None where it is not made yet)."""

    size: float
    zipped: bool = True
    path: Path | None = None


@dataclass(frozen=True)
class Cost:
    """One line of an estimate: `size` of a source file and `disk` in bytes, seconds of one core.

    `films`: how many are to be decoded. `made`: it is already made, so disk and seconds are 0.
    """

    what: str
    size: float
    disk: float = 0.0
    seconds: float = 0.0
    films: int = 0
    made: bool = False


def source_files(needs: Needs, source: Source) -> dict[str, SourceFile]:
    """Table → its file, of the tables needed; without those that are missing (see preflight)."""
    paths = {name: release.table_path(source, name) for name in contracts.tables_for(needs)}
    return {
        name: SourceFile(path.stat().st_size, path.suffix == ".gz", path)
        for name, path in paths.items()
        if exists(path)
    }


def hospital_files(needs: Needs, patients: int) -> dict[str, SourceFile]:
    """The same of a synthetic hospital that is not made yet."""
    names = contracts.tables_for(needs)
    return {name: SourceFile(HOSPITAL_BYTES.get(name, 0) * patients) for name in names}


def is_made(made: Path, file: SourceFile) -> bool:
    """Whether results/source/… was made of this file, and not of another source.

    Snakemake's records tell what each output was made of.
    """
    if not exists(made) or file.path is None:
        return False
    root = made.parents[2]
    name = urlsafe_b64encode(str(made.relative_to(root)).encode()).decode()
    try:
        read = json.loads((root / ".snakemake" / "metadata" / name).read_text())["input"]
    except (OSError, ValueError, KeyError):
        return False
    return root / file.path in {root / each for each in read}


def table_cost(name: str, file: SourceFile, made: Path, settings: Settings) -> Cost:
    """The cost of extracting one table."""
    if is_made(made, file):
        return Cost(name, file.size, made=True)
    per_byte = PARQUET_PER_GZ if file.zipped else PARQUET_PER_CSV
    seconds = file.size / (GZ_PER_SECOND if file.zipped else CSV_PER_SECOND)
    return Cost(name, file.size, file.size * per_byte * settings.sample, seconds)


def film_cost(metadata: SourceFile, place: Path, settings: Settings, extracted: bool) -> Cost:
    """The cost of decoding a cohort's films; the size of the metadata tells how many there are.

    `place`: the folder of a protocol and unit, such as results/corrected/admission. `extracted`:
    whether the metadata are extracted already.
    """
    if extracted and len(list(place.glob("cxr/decoded/p1[0-9].parquet"))) == 10:
        return Cost("films", 0, made=True)
    films, speed = metadata.size / METADATA_PER_FILM[metadata.zipped] * FILM_SHARE, FILMS_PER_SECOND
    if settings.hospital:
        films, speed = settings.hospital * HOSPITAL_FILMS, HOSPITAL_FILMS_PER_SECOND
    number = round(films * settings.sample)
    return Cost("films", 0, number * settings.pixels**2, number / speed, number)


def stage_costs(needs: Needs, parquet: Mapping[str, float], kept: Collection[str], place: Path,
                settings: Settings) -> Iterator[Cost]:  # fmt: skip
    """The costs of the stages between tables and models.

    `parquet`: table → its bytes, made or to be made. `kept`: the tables that are made already; a
    stage that reads any other must run again.
    """
    reports = WORDS_PER_SECOND / WORDS_PER_BYTE / settings.passes
    doc2vec = 1 / (1 / NOTES_PER_SECOND + 1 / reports)
    # letter → encoder → its stages in words, what they end in, bytes per second; those of the first
    # encoder tell who has the modality
    stages = {
        "e": {
            "tokens": ("events, bins, tokens", "ehr/tokens.parquet", EVENTS_PER_SECOND),
            "grid": ("events", "ehr/events.parquet", EVENTS_PER_SECOND),
            "fiddle": ("events, FIDDLE", "fiddle/X.parquet", FIDDLE_PER_SECOND),
        },
        "n": {
            "bert": ("clean reports", "note/notes.parquet", NOTES_PER_SECOND),
            "doc2vec": ("clean reports, Doc2Vec", "note/vectors.parquet", doc2vec),
        },
    }
    for letter, by_encoder in stages.items():
        if letter in needs:
            # complete cases ask for a modality without an encoder
            default = next(iter(by_encoder.values()))
            what, end, speed = next((s for name, s in by_encoder.items() if name in needs), default)
            tables = [name for name in parquet if letter in contracts.table(name).needed_by]
            read = sum(parquet[name] for name in tables)
            done = exists(place / end) and set(tables) <= set(kept)
            yield (
                Cost(what, read, made=True)
                if done
                else Cost(what, 0, read * DERIVED_PER_PARQUET, read / speed)
            )


def costs(
    needs: Needs, files: Mapping[str, SourceFile], results: str | Path, settings: Settings
) -> list[Cost]:
    """The costs of every table, of the stages up to the models, and of films where needed."""
    unit = "stay" if "stay" in needs else "admission"
    place = Path(results, "published" if "published" in needs else "corrected", unit)
    lines, parquet = [], {}
    for name, file in files.items():
        made = Path(results, "source", f"{name}.parquet")
        lines.append(table_cost(name, file, made, settings))
        parquet[name] = made.stat().st_size if lines[-1].made else lines[-1].disk
    kept = {line.what for line in lines if line.made}
    lines += stage_costs(needs, parquet, kept, place, settings)
    if "c" in needs and "cxr_metadata" in files:
        extracted = "cxr_metadata" in kept
        lines.append(film_cost(files["cxr_metadata"], place, settings, extracted))
    if any(line.disk for line in lines):
        lines.append(Cost("models, results", 0, MODELS))
    return lines


def total(lines: list[Cost]) -> Cost:
    """The sum of an estimate.

    >>> total([Cost("a", 1.0, 2.0, 3.0), Cost("b", 1.0, made=True)]).seconds
    3.0
    """
    return Cost(
        "total",
        sum(line.size for line in lines),
        sum(line.disk for line in lines),
        sum(line.seconds for line in lines),
        sum(line.films for line in lines),
    )
