"""Late fusion averages what is there; scenarios remove a modality from a nested share."""

import sys
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from pipeline.cohort.definitions import VERSION
from pipeline.cohort.rows import PREDICTIONS
from pipeline.fusion import late
from pipeline.fusion.absent import RATES, hidden, lost, scenarios
from pipeline.stage.errors import InputError
from pipeline.stage.tables import DEFINITIONS

IDS = np.arange(300, 340)
SPLITS = ["train"] * 20 + ["fusion"] * 5 + ["val"] * 5 + ["test"] * 10
LABEL = (np.arange(40) % 4 == 0).astype(np.int8)
PRIOR = LABEL[:20].mean()
HERE = np.ones((40, 2), bool)
HERE[[1, 33], 0] = False
HERE[[2, 34, 33], 1] = False  # 33 has neither
SEEDS = (0, 1)
SAID = np.random.default_rng(0).random((2, 2, 40)).round(7)  # seed, modality, episode


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Runs the stage on 40 episodes, two modalities, two seeds; its tables."""

    def run(folder="late", here=HERE, said=SAID, version=VERSION):
        episodes = pl.DataFrame({"episode_id": IDS, "subject_id": IDS, "split": SPLITS})
        labels = episodes.select("episode_id", eligible=True).with_columns(label=LABEL)
        seeds = pl.DataFrame({"seed": SEEDS})
        tables = {"episodes": episodes, "labels": labels}
        for k, letter in enumerate("ec"):
            table = episodes.join(seeds, how="cross", maintain_order="left_right")
            single = table.with_columns(label=pl.lit(0), probability=said[:, k].T.ravel())
            tables[letter] = single.sample(fraction=1, shuffle=True, seed=1)
            has = pl.Series(np.repeat(here[:, k], 2))
            tables[f"{letter}-embeddings"] = table.filter(has).select("episode_id", "seed")
        for name, table in tables.items():
            versioned = {DEFINITIONS: str(version)} if name in ("e", "c") else None
            table.write_parquet(tmp_path / f"{name}.parquet", metadata=versioned)
        flags = {"episodes": ["episodes"], "labels": ["labels"], "predictions": ["e", "c"]}
        flags["embeddings"] = ["e-embeddings", "c-embeddings"]
        given = [
            word
            for flag, names in flags.items()
            for word in (f"--{flag}", *(str(tmp_path / f"{name}.parquet") for name in names))
        ]
        outputs = [str(tmp_path / f"{folder}-{name}.parquet") for name in ("said", "absent")]
        given += ["--seeds", "0", "1", "--letters", "ec", "--task", "mortality"]
        given += ["--output", outputs[0], "--absent", outputs[1]]
        monkeypatch.setattr(sys, "argv", ["late", *given])
        late.main()
        return tuple(map(pl.read_parquet, outputs))

    return run


def plain(seed, row, here):
    """The mean of what is there, else the share of positives among training episodes."""
    known = [SAID[seed, k, row] for k in (0, 1) if here[k]]
    return sum(known) / len(known) if known else PRIOR


def test_the_mean_of_the_probabilities_of_what_is_there(stage):
    said, _ = stage()
    expected = {(IDS[r], s): plain(s, r, HERE[r]) for r in range(40) for s in SEEDS}
    found = {(e, s): p for e, s, p in said.select("episode_id", "seed", "probability").rows()}
    assert found == pytest.approx(expected, abs=1e-6)
    assert found[333, 0] == pytest.approx(PRIOR)
    assert said["label"].to_list() == np.repeat(LABEL, 2).tolist()


def test_an_absent_modality_contributes_exactly_nothing(stage):
    first = stage("first")
    others = SAID.copy()
    for k in (0, 1):
        others[:, k, ~HERE[:, k]] = 0.999
    assert all(a.equals(b) for a, b in zip(first, stage("second", said=others), strict=True))


def test_scenarios_are_of_the_test_episodes_and_average_what_is_left(stage):
    _, absent = stage()
    assert absent.height == 10 * 2 * 2 * len(RATES)
    assert sorted(absent["rate"].unique()) == list(RATES)
    for episode, seed, letter, rate, probability in absent.rows():
        row, position = episode - 300, "ec".index(letter)
        here = HERE[row].copy()
        if lost(np.array([episode]), rate)[0]:
            here[position] = False
        assert probability == pytest.approx(plain(seed, row, here), abs=1e-6)
    assert absent["episode_id"].unique().sort().to_list() == IDS[30:].tolist()


def test_at_rate_1_the_modality_is_gone_for_everybody(stage):
    _, absent = stage()
    gone = absent.filter(pl.col("rate") == 1.0, seed=0, modality="e").sort("episode_id")
    expected = [SAID[0, 1, r] if HERE[r, 1] else PRIOR for r in range(30, 40)]
    assert gone["probability"].to_list() == pytest.approx(expected, abs=1e-6)


def test_two_runs_are_equal_to_the_byte(stage, tmp_path):
    stage("first")
    stage("second")
    for name in ("said", "absent"):
        one, two = (tmp_path / f"{run}-{name}.parquet" for run in ("first", "second"))
        assert one.read_bytes() == two.read_bytes()


def test_a_single_model_that_lacks_a_seed_is_named(stage, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SEEDS", (0, 2))
    with pytest.raises(InputError, match=r"e\.parquet: 40 of the episodes .* seed 1"):
        stage()


def test_predictions_of_other_definitions_are_not_averaged(stage, tmp_path):
    stage("first")
    written = pl.read_parquet_metadata(tmp_path / "first-said.parquet")
    assert written[DEFINITIONS] == str(PREDICTIONS.definitions)
    with pytest.raises(InputError, match=rf"e\.parquet, .*c\.parquet has version {VERSION - 1}; "):
        stage("second", version=VERSION - 1)
    assert not (tmp_path / "second-said.parquet").exists()


def test_lost_episodes_are_nested_near_the_rate_and_the_same_for_every_order():
    ids = np.arange(20_000_000, 20_010_000)
    sets = [set(ids[lost(ids, rate)]) for rate in (0.0, *RATES)]
    assert all(less < more for less, more in pairwise(sets))
    assert not sets[0]
    assert len(sets[-1]) == len(ids)
    for rate, found in zip(RATES, sets[1:], strict=True):
        assert len(found) / len(ids) == pytest.approx(rate, abs=0.02)
    shuffled = np.random.default_rng(0).permutation(ids)
    assert set(shuffled[lost(shuffled, 0.5)]) == sets[2]


def test_cases_hide_one_letter_each_and_leave_what_they_were_given():
    here = np.random.default_rng(0).random((50, 3)) < 0.7
    kept, ids = here.copy(), np.arange(50)
    table = scenarios(ids, 0, "ecn", np.full(50, 0.9), lambda own: np.full(50, own / 10))
    order = table.select("modality", "rate").unique(maintain_order=True).rows()
    assert order == [(x, r) for x in "ecn" for r in RATES]
    for (letter, rate), part in table.group_by("modality", "rate"):
        own = "ecn".index(letter)
        others = [k for k in range(3) if k != own]
        left = hidden(here, own)
        assert (left[:, others] == here[:, others]).all()
        assert not left[:, own].any()
        part = part.sort("episode_id")
        assert ((part["probability"].to_numpy() != 0.9) == lost(ids, rate)).all()
        assert set(part["probability"].unique()) <= {0.9, own / 10}
    assert (here == kept).all()
