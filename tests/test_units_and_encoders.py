"""Every model on every task: fusions of ICU stays by encoders of both papers, UniMed of admissions.

End to end on tiny tables: what is known from the horizon on reaches no prediction, and who is
eligible for a task whose eligibility is decided later reaches no other task.
"""

import json
import sys
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pipeline.cohort.rows import ABSENT, PREDICTIONS
from pipeline.ehr.signals import classes
from pipeline.fusion import early, joint, late
from pipeline.stage.tables import check
from pipeline.training import embed, pretrain
from pipeline.unimed import train

IDS = np.arange(700, 780)
SPLITS = ["train"] * 36 + ["fusion"] * 16 + ["val"] * 14 + ["test"] * 14
LABEL = IDS % 2
SCHEDULE = {"epochs": 1, "batch_size": 16, "learning_rate": 0.003, "weight_decay": 0.01}
MODEL = {
    "decoder": "transformer", "width": 16, "layers": 1, "heads": 2, "dropout": 0.1, "order": "time",
    "feedback": "predicted", "parallel": False, "hours": None, "weights": "equal",
    "diagnoses": "bce", "training_share": 1.0,
}  # fmt: skip
PAPERS = {"wang": {"ehr": "tokens", "note": "doc2vec"}, "zhao": {"ehr": "fiddle", "note": "bert"}}


def vectors(names, random):
    value = random.normal(size=(len(names), 8)).astype(np.float32)
    return pl.DataFrame({"note_id": names}).with_columns(
        vector=pl.Series(value, dtype=pl.Array(pl.Float32, 8))
    )


def write(folder, late_value=0):
    """Tables of 80 episodes; `late_value` changes what is known from 4 hours on."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    zero = datetime(2150, 1, 1)
    times = {"clock_zero": zero, "prediction_time": zero + timedelta(hours=48)}
    episodes = pl.DataFrame({"episode_id": IDS, "subject_id": IDS, "split": SPLITS})
    episodes = episodes.with_columns(**{name: pl.lit(time) for name, time in times.items()})
    soon = [(int(e), 60 + k, 60 * k, 5 * k + e % 2) for e in IDS for k in range(3)]
    later = [(int(e), 200, 240 + k, 20 + (k + late_value) % 9) for e in IDS for k in range(4)]
    tokens = pl.DataFrame(soon + later, ["episode_id", "minute", "known", "token"], orient="row")
    tables = {
        "episodes": episodes,
        "tokens": tokens.with_columns(
            until=pl.when(pl.col("token") == 6).then(300 - late_value)
        ).cast(dict.fromkeys(("minute", "token", "known", "until"), pl.Int32)),
        "demographics": pl.DataFrame({"episode_id": IDS} | dict.fromkeys(classes(), 1)),
        "features": pl.DataFrame(
            {"table": ["S", "S", "X", "X", "X"], "feature": [0, 1, 0, 1, 2], "name": list("abcde")}
        ),
    }
    static = [(int(e), int(e % 2)) for e in IDS]
    series = [(int(e), 0, int(e % 2)) for e in IDS]
    series += [(int(e), 4, (1 + late_value) % 3) for e in IDS]
    for name, rows, columns in (("static", static, []), ("series", sorted(series), ["bin"])):
        table = pl.DataFrame(rows, ["episode_id", *columns, "feature"], orient="row")
        tables[name] = table.with_columns(pl.col("feature").cast(pl.Int32))
    some = IDS[IDS % 5 > 0]
    notes = [(int(e), f"{e}-{k}", minute) for e in some for k, minute in enumerate((-30, 239, 240))]
    tables["notes"] = pl.DataFrame(notes, ["episode_id", "note_id", "minute"], orient="row")
    names = [name for _, name, _ in notes]
    made = vectors(names, random)
    turned = vectors([name for name in names if name.endswith("-2")],
                     np.random.default_rng(late_value + 1))  # fmt: skip
    soon = made.filter(~pl.col("note_id").str.ends_with("-2"))
    tables["vectors"] = pl.concat([soon, turned]).sort("note_id")
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return folder


def label(folder, task, eligible=None, label=LABEL):
    table = pl.DataFrame({"episode_id": IDS, "eligible": np.ones(len(IDS), bool)})
    table = table.with_columns(label=pl.Series(label).cast(pl.Int8))
    if eligible is not None:
        table = table.with_columns(eligible=pl.Series(eligible))
        table = table.with_columns(label=pl.when("eligible").then("label"))
    table.write_parquet(folder / f"{task}.parquet")
    return folder / f"{task}.parquet"


def data_of(folder, encoders, before, *names):
    """The JSON of --data."""
    files = {
        "tokens": ["tokens", "demographics"],
        "fiddle": ["features", "static", "series"],
        "doc2vec": ["notes", "vectors"],
        "bert": ["notes", "vectors"],
    }
    settings = {
        "tokens": {"window_hours": 48, "signals": "corrected", "start_by_value": True},
        "fiddle": {"step": 1},
        "doc2vec": {"standardise": True},
        "bert": {"trained": "frozen"},
    }
    data = {}
    for name in names or encoders:
        own = encoders[name]
        paths = {file: str(folder / f"{file}.parquet") for file in files[own]}
        if own == "bert":
            paths["bert"] = paths.pop("vectors")
        data[name] = {"encoder": own, "before": before, **paths, **settings[own]}
    return json.dumps(data)


@pytest.fixture
def run(monkeypatch):
    def stage(module, *lists, **flags):
        words = [str(word) for key, value in flags.items()
                 for word in (f"--{key.replace('_', '-')}", value)]  # fmt: skip
        for key, *values in lists:
            words += [f"--{key}", *map(str, values)]
        common = ["--torch-threads", "1", "--device", "cpu"] if module is not late else []
        common += ["--seeds", "0"]
        monkeypatch.setattr(sys, "argv", ["stage", *words, *common])
        module.main()

    return stage


def fused(run, folder, paper, made):
    """Single models, early, late and joint fusion of shock_4h; their predictions by name."""
    made.mkdir()
    labels = label(folder, "shock_4h")
    rows = {"task": "shock_4h", "episodes": folder / "episodes.parquet", "labels": labels}
    schedule, encoders = json.dumps(SCHEDULE), PAPERS[paper]
    tables, embeddings, singles = {}, [], []
    for name in encoders:
        data = data_of(folder, encoders, 4, name)
        run(pretrain, **rows, data=data, schedule=schedule, output=made / name)
        embeddings.append(made / f"{name}.parquet")
        singles.append(made / f"{name}-said.parquet")
        run(embed, **rows, data=data, schedule=schedule, weights=made / name / "seed0.safetensors",
            head_on="fusion", heads=made / name, output=embeddings[-1],
            predictions=singles[-1])  # fmt: skip
        tables[name] = pl.read_parquet(singles[-1])
    for module, more in ((early, {"model": "early"}), (joint, {"head": "joint"}), (late, {})):
        name = module.__name__.rpartition(".")[2]
        outputs = {key: made / f"{name}-{key}.parquet" for key in ("output", "absent")}
        lists = [] if module is joint else [("embeddings", *embeddings)]
        lists += [("predictions", *singles)] if module is late else []
        more |= {"data": data_of(folder, encoders, 4)} if module is joint else {}
        if module is not late:
            more |= {"schedule": schedule, "head_on": "fusion", "weights": made / f"{name}-weights"}
        run(module, *lists, **rows, **more, **outputs, letters="en", modality_dropout=0.1)
        tables[name] = pl.read_parquet(outputs["output"])
        check(pl.read_parquet(outputs["absent"]), ABSENT, name)
    return tables


@pytest.mark.parametrize("paper", list(PAPERS))
def test_fusions_of_an_icu_task_know_nothing_from_their_horizon_on(run, tmp_path, paper):
    plain = fused(run, write(tmp_path / "a"), paper, tmp_path / "one")
    other = fused(run, write(tmp_path / "b", late_value=1), paper, tmp_path / "two")
    for name, table in plain.items():
        assert check(table, PREDICTIONS, name)["task"].unique().to_list() == ["shock_4h"]
        assert table["episode_id"].to_list() == IDS.tolist()
        assert table.equals(other[name]), name
    assert plain["early"]["probability"].n_unique() > 10
    width = pl.read_parquet(tmp_path / "one/ehr.parquet").schema["embedding"]
    assert width == pl.Array(pl.Float32, 512)


TASKS = ["readmission", "mortality", "longstay"]  # the first has what comes later in its conditions


def decoded(run, folder, made, paper="zhao", eligible=None, tasks=TASKS, **change):
    """Predictions of the three tasks of admissions by one decoder."""
    random = np.random.default_rng(3)
    labels = [
        label(folder, task, eligible if task == "readmission" else None, random.integers(0, 2, 80))
        for task in TASKS
    ]
    run(
        train, ("tasks", *tasks),
        ("labels", *(f"{task}={path}" for task, path in zip(TASKS, labels, strict=True))),
        episodes=folder / "episodes.parquet", data=data_of(folder, PAPERS[paper], None),
        schedule=json.dumps(SCHEDULE), model=json.dumps(MODEL | change), weights=made,
        output=made / "said.parquet", diagnoses=made / "many.parquet",
        attention=made / "attention.json",
    )  # fmt: skip
    return pl.read_parquet(made / "said.parquet")


@pytest.mark.parametrize("paper", list(PAPERS))
def test_admission_tasks_by_one_decoder_with_any_encoder(run, tmp_path, paper):
    table = decoded(run, write(tmp_path / "a"), tmp_path / "made", paper)
    assert check(table, PREDICTIONS, "said").height == 3 * 80
    assert set(table["task"]) == set(TASKS)
    assert table["probability"].is_between(0, 1).all()
    attention = json.loads((tmp_path / "made/attention.json").read_text())["seeds"]["0"]
    tokens = {"wang": ["e", "n"], "zhao": ["S", "X", "n"]}[paper]
    assert list(attention["modality"]["mortality"]) == tokens
    assert list(attention["task"]["longstay"]) == TASKS


@pytest.mark.parametrize("order", ["time", "reversed"])
def test_who_is_discharged_alive_is_told_to_no_other_task(run, tmp_path, order):
    """Readmission asks whoever is discharged alive: at the prediction time nobody knows who will.

    Of test episodes the eligibility alone is changed: nothing is trained on them.
    """
    folder, everyone = write(tmp_path / "a"), np.ones(len(IDS), bool)
    few = everyone.copy()
    few[np.array(SPLITS) == "test"] = LABEL[np.array(SPLITS) == "test"] > 0
    tasks = TASKS if order == "time" else TASKS[::-1]  # the decoder meets readmission first
    plain, other = (
        decoded(run, folder, tmp_path / name, eligible=eligible, tasks=tasks, order=order)
        for name, eligible in (("all", everyone), ("few", few))
    )
    assert other.filter(task="readmission").height == few.sum() < 80
    for task in ("mortality", "longstay"):
        assert other.filter(task=task).equals(plain.filter(task=task))
