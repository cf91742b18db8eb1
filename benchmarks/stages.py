"""What cohort, events and tokens of 100,000 admissions take, and FIDDLE of 10,000 ICU stays.

    python benchmarks/stages.py --size full --folder /tmp/bench --output stages.json

Each stage once, in a process of its own, as its rule starts it on four cores or more, on tables as
dense as MIMIC's.
"""

import json
from pathlib import Path

import long_table
import yaml
from record import REPOSITORY, Record, Runs, arguments, once, python
from source import admissions

SIZES = {"small": (1, 1_300, 100), "full": (18, 4_000, 10_000)}  # copies of patients, ICU stays
WORK = {  # what each stage is busy with
    "select_episodes": "It reads three tables and writes one row per admission.",
    "label_task": "It reads two tables and writes one row per episode.",
    "select_events": "It scans every row, and puts those of the cohort into the order of episodes, "
    "on disk where memory ends.",
    "fit_bins": "It scans every row, and keeps the training readings for its quantiles.",
    "tokenise_events": "It streams the events in parts: bins, intervals that run, order.",
    "describe_events": "It streams the events in parts: order, then one pass for all statistics.",
}
THREADS = "2"
FIDDLE_MB = "8000"
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())


def commands(source: Path, made: Path, temp: Path, memory_mb: str) -> dict[str, list[str]]:
    """The stages in their order, by the names of their rules."""
    resources = ("--threads", THREADS, "--memory-mb", memory_mb, "--temp", temp)
    split = ("--split", json.dumps(CONFIG["split"]))
    episodes, events, bins = (made / f"{name}.parquet" for name in ("episodes", "events", "bins"))
    attrition = made / "attrition.json"
    tables = {name: source / f"{name}.parquet" for name in ("patients", "admissions", "icustays")}
    return {
        "select_episodes": python(
            "pipeline.cohort.episodes", "--tables", *tables.values(), *split,
            "--cohort", json.dumps(CONFIG["cohort"] | {"definition": "corrected"}),
            "--last-year", "2022", "--output", episodes,
            "--attrition", attrition, *resources,
        ),
        "label_task": python(
            "pipeline.cohort.labels", "--task", "mortality", "--definition", "corrected",
            "--fitted", "train", "fusion", "--tables", tables["patients"], tables["admissions"],
            "--episodes", episodes, "--attrition", attrition, "--output", made / "labels.parquet",
            "--task-attrition", made / "labels.json", *resources,
        ),
        "select_events": python(
            "pipeline.ehr.events", "--episodes", episodes, "--source", source, "--availability",
            json.dumps(CONFIG["availability"]), "--output", events, *resources,
        ),
        "fit_bins": python(
            "pipeline.ehr.bins", "--source", source, *split, "--output", bins, *resources,
        ),
        "tokenise_events": python(
            "pipeline.ehr.tokens", "--episodes", episodes, "--events", events, "--bins", bins,
            "--output", made / "tokens.parquet", "--demographics", made / "demographics.parquet",
        ),
        "describe_events": python(
            "pipeline.ehr.statistics", "--episodes", episodes, "--events", events, "--hours", "48",
            "--output", made / "statistics.parquet",
        ),
    }  # fmt: skip


def fiddle_stages(folder: Path, stays: int) -> dict[str, list[str]]:
    """FIDDLE's two stages on a long table of its own."""
    long, episodes = long_table.make(folder, stays, int(THREADS))
    shared = ("--long", long, "--episodes", episodes, "--threads", THREADS, "--memory-mb",
              FIDDLE_MB, "--temp", folder)  # fmt: skip
    fitted = folder / "fitted.json"
    return {
        "fit_fiddle": python(
            "pipeline.fiddle.fit", *shared, "--fitted-on", "train", "--output", fitted
        ),
        "transform_fiddle": python(
            "pipeline.fiddle.transform", *shared, "--fitted", fitted, "--output",
            folder / "X.parquet", "--static", folder / "S.parquet", "--features",
            folder / "features.parquet",
        ),
    }  # fmt: skip


def main() -> None:
    """Makes the tables where they are not there, runs every stage once, writes the record."""
    given = arguments(__doc__)
    copies, patients, stays = SIZES[given.size]
    source = admissions(given.folder, copies, patients=patients)
    made = given.folder / "stages"
    rows, people = (
        long_table.rows(source / f"{name}.parquet") for name in ("chartevents", "admissions")
    )
    title = f"From tables to tokens: {people:,} admissions, {rows / 1e6:.0f} million rows charted"
    record, all_runs = Record(f"{title}; FIDDLE: {stays:,} stays of 48 h, 4,000 variables"), {}
    stages = commands(source, made, given.folder, "6000")
    for name, command in {**stages, **fiddle_stages(given.folder / "fiddle", stays)}.items():
        all_runs[name] = Runs()
        once(command, all_runs[name])
        record.stage(name, all_runs[name])
    tokens = sum(all_runs[name].seconds[0] for name in stages)
    record.add("cohort, events, tokens, statistics together", [tokens])
    wide = [all_runs[name] for name in ("fit_fiddle", "transform_fiddle")]
    minutes, peak = sum(r.seconds[0] for r in wide) / 60, max(r.peak_mb[0] for r in wide)
    record.ask("FIDDLE in 15 minutes and 8 GB", f"{minutes:.1f} min, {peak / 1000:.1f} GB",
               minutes <= 15 and peak <= 8000)  # fmt: skip
    slowest = max(stages, key=lambda name: all_runs[name].seconds[0])
    own = all_runs[slowest]
    record.limit = (
        f"{slowest} is {100 * own.seconds[0] / tokens:.0f} % of the time to tokens "
        f"({own.cpu[0]:.0f} s of processors in {own.seconds[0]:.0f} s). {WORK[slowest]}"
    )
    record.write(given.output)


if __name__ == "__main__":
    main()
