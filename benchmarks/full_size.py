"""Whether the main job at the size of MIMIC-IV 3.1 fits into 8 GB: every stage that grows with it.

    python benchmarks/full_size.py --size full --folder /tmp/bench --output full_size.json

100,000 admissions, 2.3 million reports; of chartevents a quarter, with all that the cohort keeps of
them: the rest is read past, by scans that stream. Extraction streams, too (see extraction.py). One
epoch of each training: more take as much memory, and so do more training patients than `TRAINED` of
those that are read. Films are trained on at 224 pixels, from arrays of the store, which are mapped,
not read: some hundred admissions. Not among the questions of `make bench`, for its half hour: make
bench QUESTIONS=full_size.
"""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
from record import REPOSITORY, Record, Runs, arguments, once, python
from source import admissions, reports
from stages import CONFIG, commands

sys.path.insert(0, str(REPOSITORY))

from pipeline.cxr.decode import DECODED
from pipeline.cxr.films import FILMS
from pipeline.plan import protocols
from pipeline.stage import store

SIZES = {"small": (1, 5, 10), "full": (18, 5, 10)}  # copies; rows and reports for each one
LIMIT_MB = 8000
FOUND = protocols.settings(CONFIG, "corrected")
PIXELS, WITH_FILMS, FILMS_EACH = 224, 640, 2
PROCESSES = {"infer_vectors": 2}  # of one size; others are one process
TRAINED = 1500  # admissions; the other training patients are only read
EPOCH = -(-TRAINED // CONFIG["schedule"]["batch_size"])  # steps
SCHEDULE = json.dumps(CONFIG["schedule"] | {"steps": EPOCH, "check": EPOCH})


def note_stages(folder: Path, made: Path, radiology: Path) -> dict[str, list[str]]:
    """Reports: cleaned, Doc2Vec for one epoch, selected, a vector for each that is used."""
    clean, model, notes = made / "clean.parquet", made / "doc2vec", made / "notes.parquet"
    resources = ("--threads", "2", "--memory-mb", "4000", "--temp", folder)
    settings = json.dumps(CONFIG["note"]["doc2vec"] | {"epochs": 1})
    return {
        "clean_notes": python("pipeline.note.clean", "--radiology", radiology, "--output", clean,
                              *resources),
        "train_doc2vec": python(
            "pipeline.note.doc2vec", "--notes", clean, "--fitted-on", "train", "--split",
            json.dumps(CONFIG["split"]), "--settings", settings, "--output", model,
        ),
        "select_notes": python(
            "pipeline.note.notes", "--query", "pipeline/note/notes.sql", "--episodes",
            made / "episodes.parquet", "--notes", clean, "--availability",
            json.dumps(CONFIG["availability"]), "--output", notes, *resources,
        ),
        "infer_vectors": python(
            "pipeline.note.vectors", "--notes", clean, "--episode-notes", notes, "--model", model,
            "--output", made / "vectors.parquet", "--threads", "2",
        ),
    }  # fmt: skip


def films(made: Path) -> dict[str, str | list[str]]:
    """Films of some episodes in a store, and labels of these episodes alone."""
    labels = pl.read_parquet(made / "labels.parquet")
    first = labels.filter("eligible").head(WITH_FILMS)["episode_id"]
    mine = pl.DataFrame({"episode_id": first}).join(
        pl.DataFrame({"minute": pl.Series(range(60, 60 + FILMS_EACH), dtype=pl.Int32)}), how="cross"
    )
    ids = pl.format("{}-{}", "episode_id", "minute").alias("dicom_id")
    table = mine.with_columns(ids, subject_id=pl.lit(10), study_id=pl.lit(1))
    table = table.cast({"subject_id": pl.Int64, "study_id": pl.Int64}).select(list(FILMS.columns))
    table.write_parquet(made / "films.parquet")
    folder = store.size_folder(made / "store", PIXELS) / "p10"
    pixels = np.random.default_rng(0).integers(0, 256, (table.height, PIXELS, PIXELS), np.uint8)
    store.append(folder, table.select("dicom_id", stamp=pl.lit("x")), pixels, "dicom_id")
    placed = store.read_index(folder, "dicom_id").with_columns(fault=pl.lit(None, pl.String))
    placed.select(list(DECODED.columns)).write_parquet(made / "p10.parquet")
    some = pl.col("eligible") & pl.col("episode_id").is_in(first.implode())
    labels.with_columns(eligible=some).write_parquet(made / "few.parquet")
    return {"films": str(made / "films.parquet"), "decoded": [str(made / "p10.parquet")],
            "store": str(made / "store")}  # fmt: skip


def training_stages(made: Path) -> dict[str, list[str]]:
    """Every encoder, and the joint model of the three, one epoch each."""
    episodes = pl.read_parquet(made / "episodes.parquet")
    beyond = (pl.col("split") == "train") & (pl.int_range(pl.len()).over("split") >= TRAINED)
    split = pl.when(beyond).then(pl.lit("test")).otherwise("split").alias("split")
    episodes.with_columns(split).write_parquet(made / "fewer.parquet")
    data = {
        "ehr": {"encoder": "tokens", "before": None, "window_hours": 48, **FOUND["ehr"],
                "tokens": str(made / "tokens.parquet"),
                "demographics": str(made / "demographics.parquet")},
        "note": {"encoder": "doc2vec", "before": None, "standardise": True,
                 "notes": str(made / "notes.parquet"), "vectors": str(made / "vectors.parquet")},
        "cxr": {"encoder": "resnet18", "before": None, "one_by_one": False, **films(made),
                "pixels": PIXELS, "full": False, "pretrained": None,
                "hours_scale": FOUND["cxr"]["hours_scale"]},
    }  # fmt: skip
    shared = ("--task", "mortality", "--episodes", made / "fewer.parquet", "--schedule", SCHEDULE,
              "--seeds", "0", "--torch-threads", "1", "--device", "cpu")  # fmt: skip
    found = {}
    for name, own in data.items():
        labels = made / ("few.parquet" if name == "cxr" else "labels.parquet")
        given = (*shared, "--labels", labels, "--data", json.dumps({name: own}))
        found[f"pretrain_{name}"] = python(
            "pipeline.training.pretrain", *given, "--output", made / name
        )
    found["fuse_jointly"] = python(
        "pipeline.fusion.joint", "--head", "joint", "--head-on", "fusion", *shared, "--labels",
        made / "few.parquet", "--data", json.dumps({k: data[k] for k in ("ehr", "cxr", "note")}),
        "--letters", "ecn", "--modality-dropout", "0.1", "--weights", made / "joint",
        "--absent", made / "absent.parquet", "--output", made / "joint.parquet",
    )  # fmt: skip
    return found


def main() -> None:
    """Runs every stage once; what is asked is that none takes more than 8 GB."""
    given = arguments(__doc__)
    copies, denser, again = SIZES[given.size]
    source = admissions(given.folder, copies, denser)
    radiology, made = reports(given.folder, copies, again), given.folder / f"full-size-{copies}"
    counts = {
        name: pl.scan_parquet(path).select(pl.len()).collect().item()
        for name, path in (
            ("rows charted", source / "chartevents.parquet"),
            ("admissions", source / "admissions.parquet"),
            ("reports", radiology),
        )
    }
    sizes = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    record, peaks = Record(f"The main job at full size in 8 GB ({sizes})"), {}
    parts = (
        lambda: commands(source, made, given.folder, "6000"),  # as the rules say
        lambda: note_stages(given.folder, made, radiology),
        lambda: training_stages(made),
    )
    for part in parts:  # later ones read what earlier ones made
        for name, command in part().items():
            runs = Runs()
            once(command, runs)
            record.stage(name, runs)
            peaks[name] = runs.peak_mb[0] * PROCESSES.get(name, 1)
    most = max(peaks, key=lambda name: peaks[name])
    record.ask("every stage in 8 GB", f"at most {peaks[most] / 1000:.1f} GB, of {most}",
               peaks[most] <= LIMIT_MB)  # fmt: skip
    record.limit = f"Memory: {most}, {peaks[most]:,} MB."
    record.write(given.output)


if __name__ == "__main__":
    main()
