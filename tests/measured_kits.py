"""Results and kits of small hospitals for tests: all tables that the two commands read."""

import json
import sys

import numpy as np
import polars as pl
from prediction_tables import DEFINITION

from pipeline.cohort.characteristics import CHARACTERISTICS
from pipeline.cohort.rows import PREDICTIONS
from pipeline.evaluation import kit, result
from pipeline.evaluation.predictions import SPLITS
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import write_table

FIRST = 20_000_000
SHARES = {"train": 0.4, "fusion": 0.15, "val": 0.15, "test": 0.3}
HOURS = 48
LEVELS = {
    "sex": (["F", "M"], [0.45, 0.55]),
    "race": (["WHITE", "BLACK/AFRICAN AMERICAN", "ASIAN - CHINESE", "PORTUGUESE", None],
             [0.7, 0.12, 0.06, 0.08, 0.04]),
    "insurance": (["Medicare", "Private", "Medicaid", None], [0.5, 0.35, 0.12, 0.03]),
    "language": (["English", "Spanish", None], [0.9, 0.07, 0.03]),
    "admission_type": (["EW EMER.", "URGENT", "ELECTIVE", "DIRECT EMER."], [0.7, 0.2, 0.07, 0.03]),
}  # fmt: skip
UNITS = (["Medical ICU", "Surgical ICU", "Neuro ICU", None], [0.6, 0.3, 0.08, 0.02])


def hospital(folder, n=900, seeds=1, folds=1, prevalence=0.2, slope=1.0, draw=0):
    """Writes every table of n episodes; a patient has one or two of them.

    `slope`: of the predictions' logit on that of the truth; below 1 predictions are too weak.
    """
    random = np.random.default_rng(draw)
    folder.mkdir(parents=True, exist_ok=True)
    episode, patient = np.arange(n) + FIRST, np.arange(n) * 2 // 3
    odds = random.normal(np.log(prevalence / (1 - prevalence)), 1.5, n)
    label = random.random(n) < 1 / (1 + np.exp(-odds))
    hashed = random.random(patient.max() + 1)[patient]
    ends = np.cumsum(list(SHARES.values()))
    for fold in range(folds):
        share = (hashed + fold * SHARES["test"]) % 1
        split = np.array(SPLITS)[np.searchsorted(ends[:-1], share, side="right")]
        facts = pl.DataFrame({
            "task": ["mortality"] * n, "episode_id": episode, "subject_id": patient + 10_000_000,
            "split": split, "label": label.astype(np.int8),
        })  # fmt: skip
        runs = [
            facts.with_columns(
                seed=pl.lit(seed, pl.Int64),
                probability=pl.Series(1 / (1 + np.exp(-slope * odds - random.normal(0, 0.3, n)))),
            )
            for seed in range(seeds)
        ]
        write_table(pl.concat(runs), folder / f"fold{fold}/e_unimodal_mortality.parquet",
                    PREDICTIONS)  # fmt: skip
    drawn = {name: random.choice(np.array(values, dtype=object), n, p=shares).tolist()
             for name, (values, shares) in LEVELS.items()}  # fmt: skip
    first = random.integers(2008, 2020, n)
    pl.DataFrame({
        "episode_id": episode, "subject_id": patient, "split": split,
        "age": random.integers(18, 92, n), **drawn, "first_year": first, "last_year": first + 2,
    }).write_parquet(folder / "episodes.parquet")  # fmt: skip
    units = random.choice(np.array(UNITS[0], dtype=object), n, p=UNITS[1]).tolist()
    described = pl.DataFrame(
        {"episode_id": episode, "care_unit": pl.Series(units, dtype=pl.String)}
    )
    write_table(described, folder / "characteristics.parquet", CHARACTERISTICS)
    eligible = pl.DataFrame({"episode_id": episode, "label": label.astype(np.int8),
                             "eligible": [True] * n})  # fmt: skip
    eligible.write_parquet(folder / "labels.parquet")
    points = np.clip(np.round(4 + odds + random.normal(0, 2, n)), 0, 24).astype(np.int32)
    pl.DataFrame({"episode_id": episode, "total": points}).write_parquet(folder / "sofa.parquet")
    files(folder, episode, random)
    people, names = int(patient.max()) + 1, {"of the source": 60, "adult": 25, "alive": 0}
    conditions = [{"condition": name, "episodes": n + more, "subjects": people + more}
                  for name, more in names.items()]  # fmt: skip
    (folder / "attrition.json").write_text(
        json.dumps({"conditions": conditions, "definition": DEFINITION})
    )
    return folder


def files(folder, episode, random):
    """Films (some after the prediction, some that cannot be read) and reports of some episodes."""
    for name, key, share in (("films", "dicom_id", 0.7), ("notes", "note_id", 0.9)):
        who = np.repeat(episode[random.random(len(episode)) < share], 2)
        minute = random.integers(0, 60 * HOURS + 600, len(who)).astype(np.int32)
        table = pl.DataFrame({"episode_id": who, key: [f"{key}{k}" for k in range(len(who))],
                              "minute": minute})  # fmt: skip
        table.write_parquet(folder / f"{name}.parquet")
        if name == "films":
            fault = np.where(random.random(len(who)) < 0.05, "absent", None).tolist()
            table.select(key, fault=pl.Series(fault, dtype=pl.String)).write_parquet(
                folder / "decoded.parquet"
            )


def present(folder):
    """The argument `--present`."""
    return json.dumps({
        "e": {"table": f"{folder}/episodes.parquet", "by": "assumed"},
        "c": {"table": f"{folder}/films.parquet", "by": "selected"},
        "n": {"table": f"{folder}/notes.parquet", "by": "selected"},
    })  # fmt: skip


def predictions(folder):
    """Its tables of predictions, a fold each."""
    return sorted(map(str, folder.glob("fold*/e_unimodal_mortality.parquet")))


def made_result(monkeypatch, folder, *more):
    """The result of the hospital, in `result.json`; with its curves, in `curves.json`."""
    command = ["result", "--target", "e_unimodal_mortality", "--protocol", "corrected",
               "--predictions", *predictions(folder), "--labels",
               f"mortality={folder}/labels.parquet", "--attrition",
               f"mortality={folder}/attrition.json", "--episodes", f"{folder}/episodes.parquet",
               "--present", present(folder), "--resamples", "100", "--lock",
               f"{ROOT}/requirements.lock", "--modules", "pipeline.evaluation.result", "--usage",
               f"{folder}/usage", "--output", f"{folder}/result.json", "--curves",
               f"{folder}/curves.json", "--sidecar", f"{folder}/run.json", *more]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    result.main()
    return json.loads((folder / "result.json").read_text())


def made_kit(monkeypatch, folder, *more, score=True):
    """The figures of the hospital's kit, read; its result must be there."""
    scores = ["--scores", f"{folder}/sofa.parquet"] if score else ["--no-scores", "no tables"]
    command = ["kit", "--result", f"{folder}/result.json", "--predictions", *predictions(folder),
               "--labels", f"{folder}/labels.parquet", "--episodes", f"{folder}/episodes.parquet",
               "--characteristics", f"{folder}/characteristics.parquet", "--attrition",
               f"{folder}/attrition.json", "--present", present(folder), "--hours", str(HOURS),
               "--faults", json.dumps({"c": [f"{folder}/decoded.parquet"]}), *scores,
               "--resamples", "100", "--output", f"{folder}/numbers.json", *more]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    kit.main()
    return json.loads((folder / "numbers.json").read_text())
