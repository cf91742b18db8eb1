"""From the long table to the logits of a trained model: what is known only later changes no bit."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from checkout import environment

from pipeline.training.checkpoint import load_weights
from pipeline.unimed import train
from pipeline.unimed.examples import columns
from pipeline.unimed.settings import UnimedModel

TASKS = ["shock_4h", "arf_12h", "mortality_48h", "diagnoses_48h"]
TARGET = "ecn_unimed_all"


def featured(checkout, long, folder):
    """FIDDLE's tables of a long table, by what the run had fitted."""
    stay = checkout / "results/corrected/stay"
    folder.mkdir()
    long.write_parquet(folder / "long.parquet")
    made = {"output": "X", "static": "S", "features": "features"}
    command = ["-m", "pipeline.fiddle.transform", "--long", folder / "long.parquet"]
    command += ["--episodes", stay / "episodes.parquet", "--fitted", stay / "fiddle/fitted.json"]
    for option, name in made.items():
        command += [f"--{option}", folder / f"{name}.parquet"]
    done = subprocess.run([sys.executable, *map(str, command)], cwd=checkout.root,
                          env=environment(), capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def logits(checkout, fiddle, vectors, statistics):
    """Logits of the first 200 stays, task by task, with the weights of the run."""
    torch.set_num_threads(1)
    stay = checkout / "results/corrected/stay"
    model = yaml.safe_load((checkout / "config.yaml").read_text())["unimed"]["model"]
    labels = stay / "labels"
    given = argparse.Namespace(
        episodes=str(stay / "episodes.parquet"), tasks=TASKS, told=[],
        labels=[f"{task}={labels}/{task}.parquet" for task in TASKS],
        groups=str(labels / "diagnoses_48h.groups.parquet"),
        vocabulary=str(labels / "diagnoses_48h.vocabulary.parquet"),
        model=UnimedModel(**model),
        data={
            "ehr": {"encoder": "fiddle", "features": f"{fiddle}/features.parquet", "step": 1,
                    "static": f"{fiddle}/S.parquet", "series": f"{fiddle}/X.parquet",
                    "statistics": statistics, "before": 48},
            "note": {"encoder": "bert", "notes": str(stay / "note/notes.parquet"),
                     "bert": str(vectors), "trained": "frozen", "before": 48},
            "cxr": {"encoder": "resnet18", "films": str(stay / "cxr/films.parquet"),
                    "before": 48, "full": False,
                    "decoded": sorted(map(str, (stay / "cxr/decoded").glob("*.parquet"))),
                    "store": str(checkout / "results/cxr/store"), "pixels": 64,
                    "hours_scale": 48, "one_by_one": False, "pretrained": None,
                    "standardise": True, "augment": None},
        },
    )  # fmt: skip
    stays = train.read(given)
    own = train.build(given, stays, np.arange(len(stays.episode)))
    load_weights(own, stay / "models/all/ecn_unimed/seed0.safetensors")
    with torch.no_grad():
        said = own.eval()(stays.batch(np.arange(200)))
    return [said[:, part] for part in columns(stays.tasks, stays.groups)]


def turned_table(path, folder):
    """Statistics with other values; what those of an hour know is tested with `describe`."""
    table = pl.read_parquet(path)
    other = table.with_columns(pl.exclude("episode_id") * -2 + 1)
    other.write_parquet(folder / Path(path).name)
    return str(folder / Path(path).name)


@pytest.mark.parametrize("hour", [4, 12])
def test_rows_and_reports_known_later_change_no_bit_of_a_task(stays, tmp_path, hour):
    stay = stays / "results/corrected/stay"
    long = pl.read_parquet(stay / "ehr/long.parquet")
    late = (pl.col("t") >= hour).fill_null(False)  # null: of the stay, not of a time
    number = pl.col("value").cast(pl.Float64, strict=False)
    moved = pl.when(late & number.is_not_null()).then((number * 3 + 1).cast(pl.String))
    other = long.with_columns(moved.otherwise("value").alias("value"))
    other = other.filter(~late | (pl.col("episode_id") % 2 == 0))  # of every second stay none
    notes = pl.read_parquet(stay / "note/notes.parquet")
    soon = notes.filter(pl.col("minute") < 60 * hour)["note_id"].unique()
    vectors = pl.read_parquet(stay / "note/bert.parquet")
    kept = vectors["note_id"].is_in(soon.implode()).to_numpy()[:, None]
    value = vectors["vector"].to_numpy()
    turned = pl.Series("vector", np.where(kept, value, -value), dtype=vectors.schema["vector"])
    vectors.with_columns(turned).write_parquet(tmp_path / "bert.parquet")
    given = {str(h): str(stay / f"ehr/statistics/{h}h.parquet") for h in (4, 12, 48)}
    later = {h: turned_table(path, tmp_path) for h, path in given.items() if int(h) > hour}
    before = logits(stays, featured(stays, long, tmp_path / "a"), stay / "note/bert.parquet", given)
    after = logits(
        stays, featured(stays, other, tmp_path / "b"), tmp_path / "bert.parquet", given | later
    )
    for task, old, new in zip(TASKS, before, after, strict=True):
        known = int(task.split("_")[1][:-1]) <= hour
        assert torch.equal(old, new) == known, task
