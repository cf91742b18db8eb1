"""Extraction: MIMIC_IV_MEDS 0.2.0 against the pipeline's, the same tables of the same hospital.

    python benchmarks/meds.py --size full --folder /tmp/meds --output meds.json

MIMIC_IV_MEDS comes into an environment of its own in the folder. Its specification is cut to the
tables that the synthetic hospital makes; nothing else of it is changed. It needs MIT-LCP's concept
maps (mimic-code/mimic-iv/concepts/concept_map) in `mimic-concept-maps` below MIMIC_OPEN_DATA (else
below ../shared/data beside the repository). The pipeline runs as the workflow does, two threads a
table, but one table after the other. Memory is the largest process; of MIMIC_IV_MEDS, which runs
one stage at a time, the processes that wait for it are left out.
"""

import os
import shutil
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import yaml
from first_stages import MEMORY_MB, episodes, events, extracted, hospital
from record import REPOSITORY, Record, Runs, arguments, once, spread

MEDS = "mimic-iv-meds==0.2.0"
# patients (about 0.5 and 10 million rows), rounds of the pipeline; MIMIC_IV_MEDS runs once
SIZES = {"small": (1_300, 1), "full": (27_500, 3)}
PARTS = ("hosp", "icu")
FEW = 100_000  # rows below which a table's time is the process's start


def concept_maps() -> Path:
    """Where the concept maps are expected."""
    beside = REPOSITORY.parent / "shared" / "data"
    return Path(os.environ.get("MIMIC_OPEN_DATA", beside)) / "mimic-concept-maps"


def environment(folder: Path) -> Path:
    """The commands of an environment with MIMIC_IV_MEDS."""
    commands = folder / "meds-environment" / "bin"
    if not (commands / "meds-extract-run").is_file():
        uv, own = Path(sys.executable).with_name("uv"), commands / "python"
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable,
                        commands.parent], check=True)  # fmt: skip
        subprocess.run([uv, "pip", "install", "--quiet", "--python", own, MEDS], check=True)
    return commands.resolve()


def specification(commands: Path, release: Path, output: Path) -> list[str]:
    """MIMIC_IV_MEDS' specification without the tables that are not there; their names."""
    (whole,) = (commands.parent / "lib").glob("python*/site-packages/MIMIC_IV_MEDS/event_con*.yaml")
    tables = yaml.safe_load(whole.read_text())
    absent = [
        name for name in tables
        if name.startswith(PARTS) and not (release / f"{name}.csv.gz").is_file()
    ]  # fmt: skip
    kept = {name: spec for name, spec in tables.items() if name not in absent}
    output.write_text(yaml.safe_dump(kept, sort_keys=False))
    return absent


def read_by_both(release: Path, specification: str) -> list[str]:
    """Our names of the tables that the specification mentions, the largest first."""
    paths = sorted(release.glob("*/*.csv.gz"), key=lambda path: -path.stat().st_size)
    names = [(path.parent.name, path.name.removesuffix(".csv.gz")) for path in paths]
    return [table for part, table in names if f"{part}/{table}" in specification]


def published(folder: Path, commands: Path, release: Path, runs: Runs) -> dict[str, float]:
    """Runs MIMIC_IV_MEDS; the seconds of its stages."""
    given, made = folder / "meds-input", folder / "meds-output"
    for old in (given, made):
        shutil.rmtree(old, ignore_errors=True)
    given.mkdir()
    for path in [*(release / part for part in PARTS), *concept_maps().glob("*.csv")]:
        (given / path.name).symlink_to(path.resolve())
    once(
        [commands / "meds-extract-run", f"spec={(folder / 'meds.yaml').resolve()}",
         "do_download=false", "dataset_key=demo", f"input_dir={given.resolve()}",
         f"output_dir={made.resolve()}"],
        runs, {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    ends = {
        path.stem: path.stat().st_mtime
        for path in (made / ".logs").glob("*.done")
        if path.stem != "_all_stages"
    }
    began = {"begin": (made / ".meds_extract_run" / "pipeline.yaml").stat().st_mtime}
    order = sorted((began | ends).items(), key=lambda stage: stage[1])
    return {name: end - start for (_, start), (name, end) in pairwise(order)}


def rows(pattern: Path) -> int:
    """The rows of parquet files."""
    import duckdb

    found = duckdb.execute(f"SELECT count(*) FROM read_parquet('{pattern}')").fetchone()
    return found[0] if found else 0


def share(seconds: dict[str, float]) -> str:
    """The longest part in words, with its share of the whole."""
    longest = max(seconds, key=lambda name: seconds[name])
    return f"{longest} ({seconds[longest] / sum(seconds.values()):.0%})"


def measure(record: Record, folder: Path, patients: int, rounds: int) -> None:
    """The pipeline, MIMIC_IV_MEDS once, the pipeline again where it has more rounds."""
    commands, release = environment(folder), hospital(folder, patients)
    absent = specification(commands, release, folder / "meds.yaml")
    tables = read_by_both(release, (folder / "meds.yaml").read_text())
    source, theirs = folder / "source", Runs()
    each = {table: Runs() for table in [*tables, "d_labitems"]}
    gathered, gzip = Runs(), Runs()
    for number in range(rounds):
        for table in each:
            extracted(release, table, source, each[table])
        episodes(source, gathered)
        events(source, gathered)
        once(["gzip", "-dc", release / "icu" / "chartevents.csv.gz"], gzip)
        if number == 0:
            stages = published(folder, commands, release, theirs)
    count = {table: rows(source / f"{table}.parquet") for table in each}
    read = sum(count[table] for table in tables)
    ours = [sum(each[table].seconds[k] for table in tables) for k in range(rounds)]
    cpu = [sum(each[table].cpu[k] for table in tables) for k in range(rounds)]
    peaks = [max(each[table].peak_mb[k] for table in tables) for k in range(rounds)]
    product = rows(folder / "meds-output" / "data" / "**" / "*.parquet")
    note = f"{read:,} rows of {len(tables)} tables; makes typed tables, one file each"
    record.add("extraction, pipeline, sum of its processes", ours, "s", peaks, note)
    note = f"makes {product:,} events, sharded by subject, sorted by time, with code metadata; "
    note += f"one run; without {', '.join(absent)}, which the hospital lacks"
    record.add("extraction, MIMIC_IV_MEDS 0.2.0", theirs.seconds, "s", theirs.peak_mb, note)
    record.add("of that its stage convert_to_parquet", [stages["convert_to_parquet"]],
               note="makes what the pipeline's extraction makes: tables")  # fmt: skip
    record.add("CPU time of extraction, pipeline", cpu)
    record.add("CPU time of extraction, MIMIC_IV_MEDS 0.2.0", theirs.cpu, note="one run")
    pairs = zip(gathered.seconds[::2], gathered.seconds[1::2], strict=True)
    whole = [sum(pair) + time for pair, time in zip(pairs, ours, strict=True)]
    note = f"makes {rows(source / 'events.parquet'):,} events known by the prediction time, sorted"
    processes = zip(peaks, gathered.peak_mb[::2], gathered.peak_mb[1::2], strict=True)
    largest = [max(turn) for turn in processes]
    record.add("extraction, episodes and their events, pipeline", whole, "s", largest, note)
    answer(record, ours, peaks, theirs, stages, whole, largest)
    small = [table for table in tables if count[table] < FEW]
    hungry = max(tables, key=lambda table: max(each[table].peak_mb))
    took = {table: statistics.median(each[table].seconds) for table in tables}
    record.limit = (
        f"The pipeline: {share(took)}; decompressing that file alone, one thread of gzip, takes "
        f"{spread(gzip.seconds)} s. The {len(small)} tables below {FEW:,} rows take "
        f"{sum(took[table] for table in small):.1f} s of {sum(took.values()):.1f} s: starting a "
        f"process. MIMIC_IV_MEDS: {share(stages)}, its longest stage. Memory: the pipeline's "
        f"largest process, {hungry}, holds row groups and buffers of two threads, limited to "
        f"{MEMORY_MB:,} MB; MIMIC_IV_MEDS states 20.3 GB for all of MIMIC-IV 3.1."
    )


def answer(record: Record, ours: list[float], peaks: list[int], theirs: Runs,
           stages: dict[str, float], whole: list[float], more: list[int]) -> None:  # fmt: skip
    """What was asked for."""
    (seconds,), (peak,) = theirs.seconds, theirs.peak_mb
    ratio = [seconds / own for own in ours]
    tables = [stages["convert_to_parquet"] / own for own in ours]
    to_events = [seconds / own for own in whole]
    for what, ratios in {
        "extraction ≥ 5 × faster than all of MIMIC_IV_MEDS, which goes on to events": ratio,
        "extraction ≥ 5 × faster than its stage that makes tables": tables,
        "extraction, episodes and events ≥ 5 × faster than all of it": to_events,
    }.items():
        record.ask(what, f"{spread(ratios)} ×", statistics.median(ratios) >= 5)
    for what, own in {"extraction": peaks, "extraction, episodes and events": more}.items():
        part = [each / peak for each in own]
        found = f"{spread(part)} of {peak:,} MB"
        record.ask(f"{what}: ≤ 1/4 of its memory, the largest process", found, max(part) <= 1 / 4)


def main() -> None:
    """Measures, where the concept maps are at hand."""
    given = arguments(__doc__)
    record = Record("Extraction: the pipeline against MIMIC_IV_MEDS 0.2.0, the same tables")
    if (concept_maps() / "meas_chartevents_main.csv").is_file():
        given.folder.mkdir(parents=True, exist_ok=True)
        measure(record, given.folder, *SIZES[given.size])
    elif given.output.exists():
        return  # what was measured where they were at hand stays
    else:
        why = "not measured: MIMIC_IV_MEDS needs MIT-LCP's concept maps, and they are not at hand"
        record.ask("≥ 5 × faster, ≤ 1/4 of its memory", why, False)
        record.limit = "Set MIMIC_OPEN_DATA to a folder that holds them in mimic-concept-maps/."
    record.write(given.output)


if __name__ == "__main__":
    main()
