"""The judge on three pipelines: ours, PyHealth by two cuts in time, one in the style of HAIM.

    python benchmarks/judged.py --size full --folder /tmp/judged --output judged.json

One hospital (`make hospital`), one split of its patients, one task: mortality, at 48 hours. All
pipelines predict the same test patients; the judge says the same of all. Those that are not ours
have one classifier, boosted trees with scikit-learn's defaults, and nothing was tuned:

* ours: `results/ecn_early_mortality.json` with config.yaml as it is, in a copy of the code
  (results that lie there are kept), the mean of its training seeds;
* PyHealth 2.1, in an environment of its own: `labevents` of each admission by
  `patient.get_events(start=…, end=…)`, which cuts by charttime, and of these those whose storetime
  lies before the end, too; statistics per item;
* in the style of HAIM: statistics of all that was charted and measured, and an embedding of all
  radiology reports, of the whole stay. HAIM itself does not run here.

Table and figure of docs/judge.md are made from the record by judged_page.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
from record import REPOSITORY, machine, parser
from workflow_runs import project, run, snakemake

sys.path.insert(0, str(REPOSITORY))

from pipeline.hospital.layout import location

PYHEALTH = "pyhealth==2.1.0"
PATIENTS = {"small": 1_000, "full": 8_000}
TARGET = "ecn_early_mortality"
RELEASE = "3.1"
WINDOW = pl.duration(hours=48)
WHEN = "%Y-%m-%d %H:%M:%S"
READ_LABS = """
import sys
from datetime import timedelta

import polars as pl
from pyhealth.datasets import MIMIC4EHRDataset

if __name__ == "__main__":
    root, cache, output = sys.argv[1:]
    dataset = MIMIC4EHRDataset(root=root, tables=["labevents"], cache_dir=cache)
    parts = []
    for patient in dataset.iter_patients():
        for admission in patient.get_events(event_type="admissions"):
            end = admission.timestamp + timedelta(hours=48)
            labs = patient.get_events("labevents", start=admission.timestamp, end=end,
                                      return_df=True)
            parts.append(labs.select(
                pl.lit(int(admission.hadm_id)).alias("hadm_id"), "timestamp",
                pl.lit(end).alias("end"),
                pl.col("labevents/itemid").cast(pl.Int64).alias("itemid"),
                pl.col("labevents/valuenum").cast(pl.Float64, strict=False).alias("valuenum"),
                pl.col("labevents/storetime").str.to_datetime("%Y-%m-%d %H:%M:%S",
                                                              time_unit="us").alias("storetime")))
    pl.concat(parts).write_parquet(output)
"""


def hospital(folder: Path, patients: int) -> tuple[Path, Path]:
    """The files to predict from, and the folder of the judge, as `make hospital` leaves them."""
    files, answers = folder / "hospital", folder / "judge"
    if not (answers / "baits.parquet").is_file():
        make = ["-m", "pipeline.hospital.make", "--output", files, "--patients", patients]
        call(make)
        call(["-m", "pipeline.hospital.answers", "--hospital", files, "--output", answers])
        subprocess.run(["rm", "-r", files / "truth", files / "hospital.json"], check=True)
    return files, answers


def call(words: list[Any]) -> None:
    """A command of this Python, in the repository."""
    subprocess.run([sys.executable, *map(str, words)], cwd=REPOSITORY, check=True)


def ours(folder: Path, patients: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The workflow's test predictions, and the split of all episodes."""
    place, target = folder / "workflow", f"results/{TARGET}.json"
    project(place)
    if run(snakemake(place, {"hospital": {"patients": patients}}, [target], 2), place):
        sys.exit(f"{target}: the run failed")
    admission = place / "results/corrected/admission"
    rows = pl.read_parquet(admission / f"predictions/{TARGET}.parquet")
    mean = rows.filter(split="test").group_by("episode_id").agg(pl.col("probability").mean())
    split = pl.read_parquet(
        admission / "episodes.parquet", columns=["hadm_id", "subject_id", "split"]
    )
    return mean.rename({"episode_id": "hadm_id"}).sort("hadm_id"), split


def labs_of_pyhealth(folder: Path, files: Path) -> pl.DataFrame:
    """The laboratory values that PyHealth gives of each admission by its `end`."""
    output = folder / "pyhealth-labs.parquet"
    if output.is_file():
        return pl.read_parquet(output)
    python = folder / "pyhealth-environment" / "bin" / "python"
    if not python.is_file():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", "3.12", python.parents[1]], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, PYHEALTH], check=True)
    script = folder / "read_labs.py"
    script.write_text(READ_LABS)
    root = (files / "mimiciv" / RELEASE).resolve()
    cache = (folder / "pyhealth-cache").resolve()
    subprocess.run(
        [python, script.resolve(), root, cache, output.resolve()], check=True, cwd=folder
    )
    return pl.read_parquet(output)


def statistics(rows: pl.DataFrame) -> pl.DataFrame:
    """Per admission and item: mean, lowest, highest, last value and how many; a row each."""
    value = pl.col("valuenum")
    facts = rows.drop_nulls("valuenum").sort("hadm_id", "timestamp", "valuenum")
    made = facts.group_by("hadm_id", "itemid", maintain_order=True).agg(
        value.mean().alias("mean"), value.min().alias("min"), value.max().alias("max"),
        value.last().alias("last"), pl.len().alias("count"),
    )  # fmt: skip
    return made.sort("itemid", "hadm_id").pivot("itemid", index="hadm_id")


def whole_stays(files: Path) -> pl.DataFrame:
    """Statistics of all charted and measured values of an admission, and its reports embedded."""
    parts = []
    for name in ("icu/chartevents", "hosp/labevents"):
        rows = pl.read_csv(
            files / location(name, RELEASE), columns=["hadm_id", "itemid", "charttime", "valuenum"],
            schema_overrides={"valuenum": pl.Float64},
        )  # fmt: skip
        rows = rows.drop_nulls().with_columns(timestamp="charttime")
        parts.append(statistics(rows))
    return (
        parts[0]
        .join(parts[1], on="hadm_id", how="full", coalesce=True)
        .join(embedded(files), on="hadm_id", how="left")
    )


def embedded(files: Path) -> pl.DataFrame:
    """All radiology reports of an admission as 32 numbers: weights of words, reduced by an SVD."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    notes = pl.read_csv(files / location("note/radiology", RELEASE)).drop_nulls(["hadm_id", "text"])
    texts = notes.sort("hadm_id", "charttime").group_by("hadm_id", maintain_order=True).agg("text")
    joined = texts["text"].list.join(" ").to_list()
    weights = TfidfVectorizer(min_df=20).fit_transform(joined)
    numbers = TruncatedSVD(32, random_state=0).fit_transform(weights)
    return texts.select("hadm_id").hstack(pl.DataFrame(numbers, [f"note {k}" for k in range(32)]))


def predicted(features: pl.DataFrame, split: pl.DataFrame, label: pl.DataFrame) -> pl.DataFrame:
    """Boosted trees fitted on the training patients; the probabilities of the test patients."""
    # waiting threads that spin make the trees ten times as slow where others share the cores
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when OpenMP is loaded
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = split.join(label, on="hadm_id").join(features, on="hadm_id", how="left").sort("hadm_id")
    numbers = pl.exclude("hadm_id", "split", "subject_id", "label")
    train, test = (rows.filter((pl.col("split") == "test") == there) for there in (False, True))
    model = HistGradientBoostingClassifier(random_state=0, early_stopping=False)
    model.fit(train.select(numbers).to_numpy(), train["label"].to_numpy())
    p = model.predict_proba(test.select(numbers).to_numpy())[:, 1]
    return test.select("hadm_id", probability=pl.Series(p))


def judged(folder: Path, name: str, rows: pl.DataFrame, modalities: str) -> dict[str, Any]:
    """What the judge's command says of predictions."""
    plain = name.lower().replace(", ", "-")
    given, said = folder / f"{plain}.csv", folder / f"{plain}.json"
    rows.write_csv(given)
    lists = [f"--{part}={folder / part}.csv" for part in ("train", "test")]
    call(["-m", "pipeline.hospital.judge", given, "--task", "mortality", "--modalities", modalities,
          "--truth", folder / "judge", "--output", said, *lists])  # fmt: skip
    return json.loads(said.read_text())


def measure(folder: Path, patients: int) -> list[dict[str, Any]]:
    """A row per pipeline: its name, what it does, and what the judge says."""
    files, answers = hospital(folder, patients)
    own, split = ours(folder, patients)
    for part, inside in (("train", pl.col("split") != "test"), ("test", pl.col("split") == "test")):
        split.filter(inside).select("subject_id").unique().sort("subject_id").write_csv(
            folder / f"{part}.csv"
        )
    # what the pipelines learn is in the files, too: hospital_expire_flag
    flag = pl.read_csv(files / location("hosp/admissions", RELEASE))
    label = flag.select("hadm_id", label=pl.col("hospital_expire_flag") == 1)
    episodes = pl.read_parquet(answers / "outcomes_mortality.parquet").drop_nulls("label")
    split = split.filter(pl.col("hadm_id").is_in(episodes["hadm_id"].implode()))
    labs = labs_of_pyhealth(folder, files)
    late = float((labs["storetime"] > labs["end"]).mean() or 0)
    stored = labs.filter(pl.col("storetime") <= pl.col("end"))
    pipelines = {
        "ours": ("ecn", own, "record, films, notes known by 48 h"),
        "PyHealth, end": (
            "e", predicted(statistics(labs), split, label),
            f"labs by `get_events(end=…)`; {late:.0%} of these rows are stored later",
        ),
        "PyHealth, storetime": (
            "e", predicted(statistics(stored), split, label),
            "the same labs, those stored before the end",
        ),
        "HAIM-style": (
            "en", predicted(whole_stays(files), split, label),
            "all values and reports of the stay",
        ),
    }  # fmt: skip
    return [
        {"name": name, "what": what, "judgement": judged(folder, name, rows, modalities)}
        for name, (modalities, rows, what) in pipelines.items()
    ]


def main() -> None:
    """Makes the record."""
    given = parser(__doc__).parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    patients = PATIENTS[given.size]
    made = {
        "title": "The judge on three pipelines", "patients": patients,
        "pipelines": measure(folder, patients), "machine": machine(),
    }  # fmt: skip
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
