"""Missing modalities: paired with the complete predictions, refused where they do not belong."""

import numpy as np
import polars as pl
import pytest
from prediction_tables import fold
from sklearn.metrics import roc_auc_score

from pipeline.cohort.rows import ABSENT
from pipeline.evaluation.predictions import samples
from pipeline.evaluation.sections.missing import missing, read_absent, read_folds_absent
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.stage.errors import InputError
from pipeline.stage.tables import write_table

FEW = Resampling(count=200)


def absent(frame, **columns):
    """`e` missing replaces a share of the predictions by one half, `c` changes nothing."""
    test = frame.filter(split="test")
    rank = pl.col("episode_id") % 4 / 4
    tables = [
        test.select(
            "episode_id",
            "seed",
            modality=pl.lit(letter),
            rate=pl.lit(rate),
            probability=pl.when(hit & (rank < rate)).then(0.5).otherwise("probability"),
        )
        for letter, hit in (("e", pl.lit(True)), ("c", pl.lit(False)))
        for rate in (0.5, 1.0)
    ]
    return pl.concat(tables).with_columns(**columns)


def written(folder, name, table):
    write_table(table, folder / name, ABSENT)
    return folder / name


def test_each_scenario_is_paired_with_everything(tmp_path):
    frames = [fold(k) for k in range(2)]
    paths = [written(tmp_path, f"{k}.parquet", absent(frames[k])) for k in range(2)]
    test = samples(frames, "test")
    made = missing(test, read_folds_absent(paths, frames), FEW)
    keys = [(row["modality"], row["rate"]) for row in made]
    assert keys == [(letter, rate) for letter in "ce" for rate in (0, 0.5, 1)]
    rows = dict(zip(keys, made, strict=True))
    none = {"value": 0, "low": 0, "high": 0, "seed_sd": 0}
    for key in [("e", 0), ("c", 0), ("c", 0.5), ("c", 1)]:
        assert rows[key]["minus_complete"] == none
        assert rows[key]["auroc"] == rows["e", 0]["auroc"]
    assert rows["e", 1]["auroc"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    half = rows["e", 0.5]["minus_complete"]
    by_run = [
        roc_auc_score(part["label"], part["p"]) - roc_auc_score(part["label"], part["probability"])
        for k, frame in enumerate(frames)
        for s in (0, 1)
        for part in [
            frame.filter(split="test", seed=s).join(
                absent(frames[k])
                .filter(modality="e", rate=0.5)
                .select("episode_id", "seed", p="probability"),
                on=["episode_id", "seed"],
            )
        ]
    ]
    assert half["value"] == pytest.approx(np.mean(by_run), abs=1e-12)
    assert half["low"] < half["value"] < half["high"] < 0


def test_it_is_withheld_with_too_few_cases(tmp_path):
    frame = fold(0)
    path = written(tmp_path, "a.parquet", absent(frame))
    read = read_absent(path, frame)
    assert missing(samples([frame], "test"), read, Resampling(100, least=500)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.with_columns(probability=1.5), r"probability is outside \[0, 1\] in 640 row"),
        (lambda t: t.with_columns(rate=pl.col("rate") - 0.5), "rate is not above 0 and at most 1"),
        (lambda t: t.filter(pl.col("episode_id") != 1000), "of modality c, rate 0.5 are not those"),
        (lambda t: t.filter(seed=0), "episodes or seeds of modality c, rate 0.5 are not those"),
        (lambda t: t.drop("modality"), "column.s. modality missing"),
    ],
)
def test_tables_that_do_not_belong_are_refused(tmp_path, change, message):
    frame, path = fold(0), tmp_path / "absent.parquet"
    change(absent(frame)).write_parquet(path)
    with pytest.raises(InputError, match=message) as error:
        read_absent(path, frame)
    assert str(path) in str(error.value)


def test_one_table_per_fold_with_the_same_scenarios(tmp_path):
    frames = [fold(k) for k in range(2)]
    paths = [written(tmp_path, f"{k}.parquet", absent(frames[k])) for k in range(2)]
    with pytest.raises(InputError, match=r"--absent: 1 table\(s\), expected 2, one per fold"):
        read_folds_absent(paths[:1], frames)
    written(tmp_path, "1.parquet", absent(frames[1]).filter(modality="c"))
    with pytest.raises(InputError, match=r"1\.parquet: other modalities or rates than in"):
        read_folds_absent(paths, frames)
