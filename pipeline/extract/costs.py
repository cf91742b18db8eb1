"""What a run takes before it starts: bytes of disk and seconds of one core, by table and stage.

From the sizes of the files of a source; what was made before costs nothing. Data stages only: how
long a training takes depends on the model and the device. Imports nothing heavy and reads no
table: it is used while the workflow is planned.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.extract import contracts, release
from pipeline.extract.release import Source, exists

Needs = str | tuple[str, ...]  # modality letters, and a protocol that reads more

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
    """Settings of a config that change what a run takes.

    `sample`: share of the subjects. `pixels`: side of a decoded film. `passes`: how often Doc2Vec
    reads all reports, epochs × share of the training patients. `hospital`: patients of the
    synthetic hospital, 0 of a real copy.
    """

    sample: float = 1.0
    pixels: int = 224
    passes: float = 20 * 0.45
    hospital: int = 0


@dataclass(frozen=True)
class Found:
    """A file of a source: bytes, whether it is zipped, where it lies if it is there."""

    size: float
    zipped: bool = True
    path: Path | None = None


@dataclass(frozen=True)
class Cost:
    """One line of an estimate: `size` of a source file and `disk` in bytes, seconds of one core.

    `films`: to be decoded. `made`: it is there already; then disk and seconds are 0.
    """

    what: str
    size: float
    disk: float = 0.0
    seconds: float = 0.0
    films: int = 0
    made: bool = False


def files_found(asked: Needs, source: Source) -> dict[str, Found]:
    """The files that are there of the tables asked for; naming the others is the preflight's."""
    paths = {name: release.table_path(source, name) for name in contracts.tables_for(asked)}
    return {
        name: Found(path.stat().st_size, path.suffix == ".gz", path)
        for name, path in paths.items()
        if exists(path)
    }


def hospital_files(asked: Needs, patients: int) -> dict[str, Found]:
    """The same of a synthetic hospital that is not made yet."""
    names = contracts.tables_for(asked)
    return {name: Found(HOSPITAL_BYTES.get(name, 0) * patients) for name in names}


def is_made(made: Path, file: Found) -> bool:
    """Whether results/source/… is there and of this file, not of another source.

    By Snakemake's records: what each output was made of.
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


def table_cost(name: str, file: Found, made: Path, settings: Settings) -> Cost:
    """The extraction of one table."""
    if is_made(made, file):
        return Cost(name, file.size, made=True)
    per_byte = PARQUET_PER_GZ if file.zipped else PARQUET_PER_CSV
    seconds = file.size / (GZ_PER_SECOND if file.zipped else CSV_PER_SECOND)
    return Cost(name, file.size, file.size * per_byte * settings.sample, seconds)


def film_cost(metadata: Found, place: Path, settings: Settings, known: bool) -> Cost:
    """The decoding of the films of a cohort, their number told by the size of their metadata.

    `place`: the folder of a protocol's unit, such as results/corrected/admission. `known`: its
    metadata are made.
    """
    if known and len(list(place.glob("cxr/decoded/p1[0-9].parquet"))) == 10:
        return Cost("films", 0, made=True)
    films, speed = metadata.size / METADATA_PER_FILM[metadata.zipped] * FILM_SHARE, FILMS_PER_SECOND
    if settings.hospital:
        films, speed = settings.hospital * HOSPITAL_FILMS, HOSPITAL_FILMS_PER_SECOND
    number = round(films * settings.sample)
    return Cost("films", 0, number * settings.pixels**2, number / speed, number)


def stage_costs(asked: Needs, parquet: Mapping[str, float], kept: Collection[str], place: Path,
                settings: Settings) -> Iterator[Cost]:  # fmt: skip
    """The stages between tables and models.

    `parquet`: table → bytes of it, made or to be made. `kept`: those that are made: a stage that
    reads another is to be done again.
    """
    reports = WORDS_PER_SECOND / WORDS_PER_BYTE / settings.passes
    stages = [  # letter, its stages in words, what they end in, bytes per second
        ("e", "events, bins, tokens", "ehr/tokens.parquet", EVENTS_PER_SECOND),
        ("n", "clean reports, Doc2Vec", "note/vectors.parquet",
         1 / (1 / NOTES_PER_SECOND + 1 / reports)),
    ]  # fmt: skip
    if "fiddle" in asked:
        stages = [
            ("e", "events, FIDDLE", "fiddle/X.parquet", FIDDLE_PER_SECOND),
            ("n", "clean reports", "note/notes.parquet", NOTES_PER_SECOND),
        ]
    for letter, what, end, speed in stages:
        if letter in asked:
            mine = [name for name in parquet if letter in contracts.table(name).needed_by]
            read = sum(parquet[name] for name in mine)
            done = exists(place / end) and set(mine) <= set(kept)
            yield (
                Cost(what, read, made=True)
                if done
                else Cost(what, 0, read * DERIVED_PER_PARQUET, read / speed)
            )


def costs(
    asked: Needs, found: Mapping[str, Found], results: str | Path, settings: Settings
) -> list[Cost]:
    """Every table found, the stages up to the models, the films where they are asked for."""
    unit = "stay" if "stay" in asked else "admission"
    place = Path(results, "published" if "published" in asked else "corrected", unit)
    lines, parquet = [], {}
    for name, file in found.items():
        made = Path(results, "source", f"{name}.parquet")
        lines.append(table_cost(name, file, made, settings))
        parquet[name] = made.stat().st_size if lines[-1].made else lines[-1].disk
    kept = {line.what for line in lines if line.made}
    lines += stage_costs(asked, parquet, kept, place, settings)
    if "c" in asked and "cxr_metadata" in found:
        known = "cxr_metadata" in kept
        lines.append(film_cost(found["cxr_metadata"], place, settings, known))
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
