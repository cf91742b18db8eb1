"""Baselines: what they are fitted on, absent modalities, unknown statistics, repeatable bytes."""

import sys
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.cohort.rows import ABSENT, PREDICTIONS
from pipeline.fusion import baselines
from pipeline.fusion.absent import RATES, lost
from pipeline.fusion.inputs import Inputs, of_statistics, scaling
from pipeline.stage.errors import InputError
from pipeline.stage.tables import check

WIDTH, N = 4, 400
IDS = np.arange(5000, 5000 + N)
SPLITS = np.repeat(["train", "fusion", "val", "test"], N // 4)
TRAIN, FUSION, VAL, TEST = np.arange(N).reshape(4, -1)
MODELS = ["logistic", "gbdt"]


@given(st.lists(st.integers(0, 2**62), unique=True, max_size=50), st.randoms())
def test_losing_a_modality_is_nested_in_the_rate_and_depends_on_the_id_alone(ids, shuffler):
    episode = np.array(ids, np.int64)
    at = [lost(episode, rate) for rate in (0.0, *RATES)]
    assert not at[0].any()
    assert at[-1].all()
    assert all((low <= high).all() for low, high in pairwise(at))
    order = np.array(shuffler.sample(range(len(ids)), len(ids)), int)
    assert (lost(episode[order], 0.5) == at[2][order]).all()


@pytest.mark.parametrize("step", [1, 2, 1024])
def test_the_share_that_loses_a_modality_is_the_rate(step):
    episode = np.arange(20_000_000, 20_000_000 + 4000 * step, step)
    for rate in RATES:
        assert lost(episode, rate).mean() == pytest.approx(rate, abs=4 * 0.5 / 4000**0.5)


def random_data(seed):
    """Embeddings (N, 3, WIDTH) with a signal in the first and third modality, and the label."""
    random = np.random.default_rng(seed)
    value = random.normal(3, 2, (N, 3, WIDTH)).astype(np.float32)
    told = value[:, 0, 0] + value[:, 2, 1] - 6 + random.normal(0, 0.5, N)
    here = np.ones((N, 3), bool)
    here[10::20, 1] = False
    here[15::20, 2] = False
    return value, here, (told > 0).astype(np.int8)


VALUE, HERE, LABEL = random_data(0)


def write_embeddings(path, place, value, here, seeds):
    rows = np.flatnonzero(here[:, place])
    columns = {"episode_id": IDS[rows]}
    columns["embedding"] = pl.Series(value[rows, place], dtype=pl.Array(pl.Float32, WIDTH))
    tables = [pl.DataFrame(columns).with_columns(seed=pl.lit(seed, pl.Int64)) for seed in seeds]
    pl.concat(tables).write_parquet(path)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Runs the stage on `N` episodes; gives predictions and scenarios."""

    def run(model, sets="ecn", label=LABEL, value=VALUE, here=HERE, split=SPLITS, seeds=(0,),
            statistics=None, threads=1, name="said", **others):  # fmt: skip
        ids = {"episode_id": IDS, "subject_id": IDS, "split": split}
        pl.DataFrame(ids).write_parquet(tmp_path / "episodes.parquet")
        known = {"episode_id": IDS, "eligible": [True] * N, "label": label}
        pl.DataFrame(known).write_parquet(tmp_path / "labels.parquet")
        absent = tmp_path / f"{name}.absent.parquet"
        given = {"model": model, "letters": sets, "threads": threads,
                 "task": "mortality", "episodes": tmp_path / "episodes.parquet",
                 "labels": tmp_path / "labels.parquet",
                 "output": tmp_path / f"{name}.parquet"}  # fmt: skip
        if statistics is not None:
            given["features"] = tmp_path / "statistics.parquet"
            statistics.write_parquet(given["features"])
        else:
            given["absent"] = absent
        arguments = [f"--{key}={what}" for key, what in (given | others).items()]
        arguments += ["--seeds", *map(str, seeds)]
        if statistics is None:
            paths = [tmp_path / f"{letter}.parquet" for letter in sets]
            for letter, path in zip(sets, paths, strict=True):
                write_embeddings(path, "ecn".index(letter), value, here, seeds)
            arguments += ["--embeddings", *map(str, paths)]
        monkeypatch.setattr(sys, "argv", ["baselines", *arguments])
        baselines.main()
        said = pl.read_parquet(given["output"])
        return said, pl.read_parquet(absent) if absent.is_file() else None

    return run


@pytest.fixture
def one_setting(monkeypatch):
    """Nothing to choose on validation."""
    monkeypatch.setattr(baselines, "STRENGTHS", (1.0,))
    monkeypatch.setattr(baselines, "TREES", ((2, 0.1, 30),))


def auroc(said, split="test"):
    part = said.filter(split=split)
    return roc_auc_score(part["label"], part["probability"])


@pytest.mark.parametrize("model", MODELS)
def test_a_planted_signal_is_learnt_and_every_episode_predicted(stage, model):
    said, absent = stage(model, seeds=(0, 1))
    assert check(said, PREDICTIONS, "said").height == 2 * N
    assert check(absent, ABSENT, "absent").height == 2 * len(TEST) * 3 * len(RATES)
    assert auroc(said.filter(seed=0)) > 0.9
    scores = {
        letter: auroc(
            said.filter(pl.col("seed") == 0).drop("probability")
            .join(absent.filter(modality=letter, rate=1.0, seed=0), on="episode_id")
        )
        for letter in "ecn"
    }  # fmt: skip
    assert scores["c"] > 0.9 > max(scores["e"], scores["n"])  # c tells nothing, its loss is none


@pytest.mark.parametrize("model", MODELS)
def test_embeddings_are_fitted_on_the_fusion_share_alone(stage, one_setting, model):
    first, _ = stage(model)
    others = np.concatenate([TRAIN, VAL, TEST])
    label, value = LABEL.copy(), VALUE.copy()
    label[others] = 1 - label[others]
    value[TRAIN] += 100  # not in the moments and bins, either
    second, _ = stage(model, label=label, value=value)
    kept = first["split"] != "train"
    assert first.filter(kept)["probability"].equals(second.filter(kept)["probability"])
    label[FUSION] = 1 - label[FUSION]
    third, _ = stage(model, label=label)
    assert not first["probability"].equals(third["probability"])


@pytest.mark.parametrize("model", MODELS)
def test_test_labels_do_not_choose_the_setting(stage, model):
    label = LABEL.copy()
    label[TEST] = 1 - label[TEST]
    assert stage(model)[0]["probability"].equals(stage(model, label=label)[0]["probability"])


@pytest.mark.parametrize("model", MODELS)
def test_without_a_fusion_share_the_train_share_is_fitted_on(stage, one_setting, model):
    split = np.where(SPLITS == "fusion", "val", SPLITS)
    first, _ = stage(model, split=split)
    assert auroc(first) > 0.8
    label = LABEL.copy()
    label[N // 4 :] = 1 - label[N // 4 :]
    assert stage(model, split=split, label=label)[0]["probability"].equals(first["probability"])


@pytest.mark.parametrize("model", MODELS)
def test_a_modality_that_no_fitted_episode_has_changes_nothing(stage, one_setting, model):
    here = HERE.copy()
    here[FUSION, 1] = False
    said, absent = stage(model, here=here)
    assert auroc(said) > 0.8
    lost_c = absent.filter(modality="c", rate=1.0)["probability"].to_numpy()
    whole = said.filter(split="test")["probability"].to_numpy()
    np.testing.assert_array_equal(lost_c, whole)


class Fake:
    """A classifier that says `sign` times the first column."""

    def __init__(self, sign):
        self.sign = sign

    def fit(self, value, label):
        assert len(value) == len(label)

    def predict_proba(self, value):
        one = 1 / (1 + np.exp(-self.sign * value[:, :1].astype(float)))
        return np.hstack([1 - one, one])


def probabilities_of(stage, label):
    value = VALUE.copy()
    value[:, 0, 0] = LABEL - 0.5
    return stage("gbdt", "e", value=value, label=label)[0]["probability"].to_numpy()


def test_validation_chooses_and_the_first_of_equals_stands(stage, monkeypatch):
    monkeypatch.setattr(baselines, "candidates", lambda *_: [Fake(-1), Fake(1), Fake(2)])
    tells = 1 / (1 + np.exp(0.5 - LABEL))
    assert probabilities_of(stage, LABEL) == pytest.approx(tells, abs=1e-6)
    turned = LABEL.copy()
    turned[VAL] = 1 - turned[VAL]
    assert probabilities_of(stage, turned) == pytest.approx(1 - tells, abs=1e-6)
    turned[VAL] = 0  # one class decides nothing
    assert probabilities_of(stage, turned) == pytest.approx(1 - tells, abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_a_scenario_is_the_prediction_but_for_those_that_lose_the_modality(stage, model):
    said, absent = stage(model)
    whole = said.filter(split="test")["probability"].to_numpy()
    for place, letter in enumerate("ecn"):
        here = HERE.copy()
        here[TEST, place] = False  # as if the test episodes had never had it
        bereft = stage(model, here=here)[0].filter(split="test")["probability"].to_numpy()
        for rate in RATES:
            made = absent.filter(modality=letter, rate=rate)["probability"].to_numpy()
            expected = np.where(lost(IDS[TEST], rate), bereft, whole)
            np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("model", MODELS)
def test_without_its_only_modality_every_episode_is_told_the_same(stage, model):
    _, absent = stage(model, "n")
    assert absent.filter(rate=1.0)["probability"].n_unique() == 1
    assert absent.filter(rate=0.5)["probability"].n_unique() > 10


@pytest.mark.parametrize("model", MODELS)
def test_bytes_depend_on_neither_run_nor_threads(stage, one_setting, tmp_path, model):
    stage(model, name="first")
    stage(model, name="second", threads=2)
    for kind in ("", ".absent"):
        first, second = (tmp_path / f"{name}{kind}.parquet" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def statistics():
    """Five columns: signal, signal of which half is unknown, its twin, never known, constant."""
    random = np.random.default_rng(3)
    second = pl.Series(np.where(random.random(N) < 0.5, np.nan, VALUE[:, 2, 1])).fill_nan(None)
    columns = {"a": VALUE[:, 0, 0], "b": second, "twin": second, "never": None, "constant": 1.0}
    return pl.DataFrame({"episode_id": IDS}).with_columns(
        pl.lit(value).cast(pl.Float32).alias(name) for name, value in columns.items()
    )


@pytest.mark.parametrize("model", MODELS)
def test_statistics_are_fitted_on_train_and_fusion(stage, one_setting, model):
    first, absent = stage(model, "e", statistics=statistics())
    assert absent is None
    assert auroc(first) > 0.75
    for part, equal in ((VAL, True), (TEST, True), (TRAIN, False), (FUSION, False)):
        label = LABEL.copy()
        label[part] = 1 - label[part]
        said, _ = stage(model, "e", statistics=statistics(), label=label)
        assert said["probability"].equals(first["probability"]) == equal


def test_two_models_of_one_job_are_those_of_two(stage, one_setting, tmp_path, monkeypatch):
    alone = {model: stage(model, "e", statistics=statistics())[0] for model in MODELS}
    outputs = [str(tmp_path / f"{model}.parquet") for model in MODELS]
    options = [option for option in sys.argv if not option.startswith(("--model", "--output"))]
    monkeypatch.setattr(sys, "argv", [*options, "--model", *MODELS, "--output", *outputs])
    baselines.main()
    for model, path in zip(MODELS, outputs, strict=True):
        assert pl.read_parquet(path).equals(alone[model])
    monkeypatch.setattr(sys, "argv", [*options, "--model", *MODELS, "--output", outputs[0]])
    with pytest.raises(InputError, match="one table per --model"):
        baselines.main()


def test_moments_of_statistics_are_those_of_the_fitted_rows(tmp_path):
    statistics().sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "s.parquet")
    inputs = of_statistics(str(tmp_path / "s.parquet"), IDS)
    scaled = scaling(inputs, TRAIN)
    value = inputs.value[TRAIN].astype(float)
    np.testing.assert_allclose(scaled.fill[:2], np.nanmedian(value[:, :2], axis=0))
    np.testing.assert_allclose(scaled.scale[:2], np.nanstd(value[:, :2], axis=0) * 5**0.5)
    assert scaled.markers.tolist() == [1]  # the twin is unknown with it, the others never or always
    made = scaled(inputs.value)
    assert np.isfinite(made).all()
    assert made.shape == (N, 5 + 1)
    np.testing.assert_array_equal(made[:, 5], np.isnan(inputs.value[:, 1]))


def test_a_modality_of_embeddings_has_one_scale_and_its_mean_where_absent():
    value = VALUE.reshape(N, -1).copy()
    value[:, WIDTH : 2 * WIDTH] *= 1000  # another unit
    value[[3, FUSION[0]], :WIDTH] = np.nan
    scaled = scaling(Inputs(value, WIDTH), FUSION)
    made = scaled(value)
    total = made[FUSION[1:], : 3 * WIDTH].reshape(-1, 3, WIDTH).var(axis=0).sum(axis=1)
    np.testing.assert_allclose(total[0], 1)  # of those that have it
    np.testing.assert_allclose(total[1:], 1, rtol=0.05)
    assert len(np.unique(scaled.scale)) == 3
    np.testing.assert_allclose(made[3, :WIDTH], 0, atol=1e-12)
    assert made[[3, 4], 3 * WIDTH :].tolist() == [[1], [0]]


def test_bad_input_is_a_clear_error(stage, tmp_path):
    with pytest.raises(InputError, match="all of one class"):
        stage("logistic", label=np.where(SPLITS == "fusion", 0, LABEL))
    with pytest.raises(InputError, match="none of the episodes to fit on has the modality"):
        stage("gbdt", "n", here=HERE & (SPLITS != "fusion")[:, None])
    with pytest.raises(InputError, match="<10 episode"):
        stage("logistic", "e", statistics=statistics().head(N - 1))
    with pytest.raises(InputError, match="--absent needs --embeddings"):
        stage("logistic", "e", statistics=statistics(), absent=tmp_path / "absent.parquet")
    with pytest.raises(InputError, match="--letters ec names 2 modalities, --embeddings 3"):
        stage("logistic", "ecn", letters="ec")
    assert not (tmp_path / "said.parquet").exists()
