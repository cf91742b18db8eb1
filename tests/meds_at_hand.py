"""Stages run in this process: a source extracted, as MEDS, and what the pipeline makes of it."""

import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import polars as pl
from episodes_at_hand import RULE

from pipeline.cohort import episodes, labels
from pipeline.cohort.task import find
from pipeline.ehr import bins
from pipeline.ehr import events as ehr_events
from pipeline.extract.tables import extract
from pipeline.meds import adapt
from pipeline.meds import events as meds_events
from pipeline.meds.source import OFFERED, SHIPPED

SPLIT = {"salt": "meds", "train": 0.45, "fusion": 0.22, "val": 0.08, "test": 0.25}
COHORT = {"min_age": 18, "window_hours": 48, "icu_within_hours": "window", "films": None,
          "ids": None, "definition": "corrected"}  # fmt: skip
ICU = {"chartevents", "inputevents", "outputevents", "procedureevents", "icustays", "d_items"}
TASKS = {"admission": ("mortality",), "stay": ("mortality_48h", "shock_4h", "arf_4h")}


def run(stage, **flags):
    """Runs the `main` of a stage; a list of values is one option."""
    words = [stage.__name__]
    for key, value in flags.items():
        values = value if isinstance(value, list | tuple) else [value]
        words += [f"--{key.replace('_', '-')}", *map(str, values)]
    with mock.patch.object(sys, "argv", words):
        stage.main()


def extracted(release, folder):
    """The tables of MIMIC's files that a MEDS source offers, in a folder."""
    for name in OFFERED:
        file = release / ("icu" if name in ICU else "hosp") / f"{name}.csv.gz"
        extract(name, file, folder / f"{name}.parquet", temp=folder)
    return folder


def tables(source):
    """The paths of a source's tables."""
    return [source / f"{name}.parquet" for name in OFFERED]


def exported(source, folder, parts=3, **more):
    """A source as a MEDS data set in a folder."""
    data = [folder / f"data/{part}.parquet" for part in range(parts)]
    run(meds_events, tables=[*tables(source), *more.pop("beside", [])], name="test",
        availability=json.dumps(RULE), data=data, codes=folder / "metadata/codes.parquet",
        output=folder / "metadata/dataset.json", **more)  # fmt: skip
    return folder


def adapted(root, folder, codes=SHIPPED, **more):
    """A MEDS data set as the tables of a source in a folder."""
    run(adapt, root=root, codes=codes, output=tables(folder), **more)
    return folder


def derived(source, folder):
    """What the pipeline makes of a source: name → table, of both units."""
    made = {}
    for unit, tasks in TASKS.items():
        path = folder / unit
        run(episodes, unit=unit, tables=tables(source), last_year=2019, cohort=json.dumps(COHORT),
            split=json.dumps(SPLIT), output=path / "episodes.parquet",
            attrition=path / "attrition.json")  # fmt: skip
        made[f"{unit} episodes"] = pl.read_parquet(path / "episodes.parquet")
        run(ehr_events, episodes=path / "episodes.parquet", source=source,
            availability=json.dumps({k: v for k, v in RULE.items() if k not in ("notes", "films")}),
            output=path / "events.parquet")  # fmt: skip
        made[f"{unit} events"] = pl.read_parquet(path / "events.parquet")
        for task in tasks:
            read = {"patients", "admissions", *find(task).tables}
            with mock.patch("pipeline.cohort.labels.check_classes"):  # of a few patients
                run(labels, task=task, episodes=path / "episodes.parquet",
                    attrition=path / "attrition.json", output=path / f"{task}.parquet",
                    tables=[source / f"{name}.parquet" for name in sorted(read)],
                    task_attrition=path / "task.json")  # fmt: skip
            made[task] = pl.read_parquet(path / f"{task}.parquet")
    run(bins, source=source, split=json.dumps(SPLIT), output=folder / "bins.parquet")
    return {**made, "bins": pl.read_parquet(folder / "bins.parquet")}


def only_in(one, other):
    """The rows of a table that another lacks."""
    return one.join(other, on=one.columns, how="anti", nulls_equal=True)


def environment(folder, *packages):
    """The `bin` of an environment of its own with these packages."""
    uv, own = Path(sys.executable).with_name("uv"), folder / "bin/python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", own, *packages], check=True)
    return folder / "bin"
