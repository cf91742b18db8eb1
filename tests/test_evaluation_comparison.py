"""Comparisons of models: which, paired, corrected over a family, what is concluded, refusals."""

import json
import sys

import numpy as np
import polars as pl
import pytest
import yaml
from prediction_tables import VERSIONED
from pydantic import TypeAdapter
from unimed_tables import BINARY, TASKS, write

from pipeline.cohort.definitions import VERSION
from pipeline.cohort.rows import MANY_PREDICTIONS, PREDICTIONS
from pipeline.evaluation import comparison as stage
from pipeline.evaluation.comparison import best_single
from pipeline.evaluation.families import families, reference
from pipeline.evaluation.panel import Panel
from pipeline.evaluation.predictions import sample
from pipeline.evaluation.statistics.bootstrap import Resampling, auroc_difference
from pipeline.evaluation.statistics.sample import Sample
from pipeline.evaluation.statistics.significance import verdict
from pipeline.plan import grids
from pipeline.stage.comparison import Comparison
from pipeline.stage.database import in_training_share
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT
from pipeline.stage.tables import write_table

VALID = TypeAdapter(Comparison)
VARIANTS = {
    "gru": {"decoder": "gru"},
    "gru-attention": {"decoder": "gru-attention"},
    "teacher-forced": {"feedback": "truth"},
    "first-4h": {"hours": 4},
    "first-4h-reversed": {"hours": 4, "order": "reversed"},
}
NOISE = {  # targets and how noisy they are
    "en_unimed_all": 0.3,
    "e_unimed_all": 3.0,
    "en_unimed-gru_all": 0.3,
    "en_unimed_shock_4h": 3.0,
    "en_unimed_diagnoses_48h": 3.0,
}
MANY = "diagnoses_48h"
UNIMED_FAMILIES = ("multitask", "bound", "ablation", "modality")
WANG_FAMILIES = ("best-single", "early", "one-less")


def pairs_of(names, task, variants=VARIANTS, wanted=UNIMED_FAMILIES, best=lambda singles: None):
    return families(names, task, wanted, variants, best)


def compare(patch, folder, targets, *more):
    command = (
        f"comparison --protocol corrected --groups {folder}/groups.parquet --vocabulary "
        f"{folder}/vocabulary.parquet --resamples 200 --output {folder}/out.json "
        f"--diagnoses-task {MANY}"
    ).split()
    files = ["--families", *UNIMED_FAMILIES]
    files += ["--predictions", *(f"{folder}/{name}.parquet" for name in targets)]
    files += ["--diagnoses", *(f"{folder}/{name}.diagnoses.parquet" for name in targets)]
    patch.setattr(sys, "argv", [*command, *files, "--variants", json.dumps(VARIANTS), *more])
    stage.main()
    made = json.loads((folder / "out.json").read_text())
    VALID.validate_python(made)
    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contrasts")
    for number, (name, noise) in enumerate(NOISE.items()):
        task = name.split("_", 2)[2]
        write(folder, name, noise=noise, number=number, tasks=TASKS if task == "all" else (task,))
    with pytest.MonkeyPatch.context() as patch:
        return folder, compare(patch, folder, NOISE)


def of(result, family, task):
    rows = [r for r in result["contrasts"] if (r["family"], r["task"]) == (family, task)]
    return {(row["first"], row["second"]): row for row in rows}


def test_the_bound_of_a_task_is_that_task_told_the_earlier_ones():
    names = ["en_unimed_all", "en_unimed-teacher-forced_all", "en_unimed_arf_12h"]
    told = "en_unimed-teacher-forced_arf_12h"
    pairs = pairs_of([*names, told], "arf_12h")
    assert pairs["bound"] == [(told, "en_unimed_arf_12h")]
    assert pairs_of(names, "arf_12h")["bound"] == []


def test_no_bound_of_the_grid_is_of_the_first_task():
    """Nobody could have told it anything; the others are told, and compared with themselves."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    names, variants = grids.decoder_grid(config), config["unimed"]["variants"]
    first, *others = config["unimed"]["all"]
    assert pairs_of(names, first, variants)["bound"] == []
    for task in others:
        own = (f"en_unimed-teacher-forced_{task}", f"en_unimed_{task}")
        assert pairs_of(names, task, variants)["bound"] == [own]


def test_targets_without_diagnoses_need_no_truth_of_them(monkeypatch, tmp_path):
    write(tmp_path, "en_unimed_shock_4h", tasks=("shock_4h",))
    names = ["en_unimed_shock_4h"]
    none = ["--diagnoses", "--diagnoses-task", "--groups", "--vocabulary"]
    assert list(compare(monkeypatch, tmp_path, names, *none)["tasks"]) == ["shock_4h"]
    write(tmp_path, "en_unimed_all")
    with pytest.raises(InputError, match="--diagnoses without --diagnoses-task"):
        compare(monkeypatch, tmp_path, ["en_unimed_all"], "--diagnoses-task")


def test_which_are_compared(found):
    _, result = found
    full = "en_unimed_all"
    for task in TASKS:
        alone = {(full, f"en_unimed_{task}")} if task in ("shock_4h", MANY) else set()
        assert set(of(result, "multitask", task)) == alone
        assert set(of(result, "ablation", task)) == {("en_unimed-gru_all", full)}
        assert set(of(result, "modality", task)) == {(full, "e_unimed_all")}
    assert {task: own["metric"] for task, own in result["tasks"].items()} == {
        **dict.fromkeys(BINARY, "auroc"),
        MANY: "recall@10",
    }


def test_a_difference_is_the_paired_one_of_means_over_seeds(found):
    folder, result = found
    row = of(result, "multitask", "shock_4h")["en_unimed_all", "en_unimed_shock_4h"]
    first, second = (
        sample(
            pl.read_parquet(folder / f"{row[side]}.parquet").filter(task="shock_4h").drop("task"),
            "test",
        )
        for side in ("first", "second")
    )
    expected = auroc_difference(first, second, Resampling(200))
    assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    assert (row["seeds"], row["verdict"]) == (2, "too few seeds")
    assert row["low"] > 0
    assert result["bootstrap"]["training_noise"] is False


def test_five_seeds_are_enough_for_a_verdict(monkeypatch, tmp_path):
    for number, name in enumerate(("en_unimed_all", "e_unimed_all")):
        write(tmp_path, name, noise=NOISE[name], number=number, seeds=5)
    result = compare(monkeypatch, tmp_path, ["en_unimed_all", "e_unimed_all"])
    for task, said in (("shock_4h", "better"), (MANY, "equivalent")):
        (row,) = of(result, "modality", task).values()
        assert (row["seeds"], row["verdict"]) == (5, said)
        assert row["seed_sd"] > 0
    assert result["bootstrap"]["training_noise"] is True
    alone = compare(monkeypatch, tmp_path, ["en_unimed_all"])
    assert alone["contrasts"] == [] and alone["bootstrap"]["training_noise"] is True


@pytest.mark.parametrize("ending", ["", ".diagnoses"])
def test_as_many_seeds_that_are_others_are_not_compared(monkeypatch, tmp_path, ending):
    for number, name in enumerate(("en_unimed_all", "e_unimed_all")):
        write(tmp_path, name, number=number)
    path = tmp_path / f"e_unimed_all{ending}.parquet"
    contract = MANY_PREDICTIONS if ending else PREDICTIONS
    write_table(pl.read_parquet(path).with_columns(pl.col("seed") + 5), path, contract)
    with pytest.raises(InputError, match=r"training seeds .5, 6.*but .0, 1.*same seeds"):
        compare(monkeypatch, tmp_path, ["en_unimed_all", "e_unimed_all"])


def test_of_complete_stays_it_is_hidden_how_many_have_a_group_where_few_others_have_none(
    monkeypatch, tmp_path
):
    write(tmp_path, "en_unimed_all", n=800)
    test = pl.read_parquet(tmp_path / "en_unimed_all.diagnoses.parquet").filter(split="test")
    ids = test["episode_id"].unique().sort()
    grouped = pl.read_parquet(tmp_path / "groups.parquet")["episode_id"].implode()
    with_group, without = (ids.filter(ids.is_in(grouped) == has) for has in (True, False))
    kept = pl.concat([with_group[15:], without[3:]])
    kept.to_frame().write_parquet(tmp_path / "notes.parquet")
    present = {"n": {"table": f"{tmp_path}/notes.parquet", "by": "selected"}}
    more = ["--present", json.dumps(present)]
    plain = compare(monkeypatch, tmp_path, ["en_unimed_all"], *more)["complete"]
    assert plain["tasks"][MANY]["test"]["with_group"] == len(with_group) - 15
    more += ["--suppress-below", "10"]
    hidden = compare(monkeypatch, tmp_path, ["en_unimed_all"], *more)["complete"]
    own = hidden["tasks"][MANY]
    assert own["test"]["n"] == len(kept) and own["models"]
    assert own["test"]["with_group"] is own["test"]["labels_per_stay"] is None


def test_two_versions_of_the_definitions_are_not_compared(monkeypatch, tmp_path):
    for name in ("en_unimed_all", "e_unimed_all"):
        write(tmp_path, name)
    assert compare(monkeypatch, tmp_path, ["en_unimed_all"])["definitions_version"] == VERSION
    path = tmp_path / "e_unimed_all.parquet"
    pl.read_parquet(path).write_parquet(path)  # as tables of before there were versions
    with pytest.raises(
        InputError, match=r"cannot mix versions.*e_unimed_all\.parquet has version 1"
    ):
        compare(monkeypatch, tmp_path, ["en_unimed_all", "e_unimed_all"])


def test_other_numbers_of_seeds_are_refused(monkeypatch, tmp_path):
    write(tmp_path, "en_unimed_all")
    write(tmp_path, "e_unimed_all", seeds=3)
    with pytest.raises(InputError, match=r"e_unimed_all.*: 3 training seed\(s\), but 2 of"):
        compare(monkeypatch, tmp_path, ["en_unimed_all", "e_unimed_all"])
    none = ["--predictions", f"{tmp_path}/en_unimed_all.parquet"]
    with pytest.raises(
        InputError, match=r"e_unimed_all.*: training seeds .0, 1, 2., but .0, 1. of"
    ):
        compare(monkeypatch, tmp_path, ["en_unimed_all", "e_unimed_all"], *none)


def test_recall_is_paired_by_stay_and_averaged_over_seeds(found):
    folder, result = found
    true = pl.read_parquet(folder / "groups.parquet").group_by("episode_id").agg("group")

    def mean(name):
        table = pl.read_parquet(folder / f"{name}.diagnoses.parquet").filter(split="test")
        rows = table.join(true, on="episode_id").select("probability", "group").rows()
        hits = []
        for p, groups in rows:
            score = np.array(p)
            cut = np.sort(score)[-10]
            sure, tied = score > cut, score == cut
            share = (10 - sure.sum()) / tied.sum()
            hits.append((sure[groups].sum() + share * tied[groups].sum()) / len(groups))
        return np.mean(hits)

    row = of(result, "modality", MANY)["en_unimed_all", "e_unimed_all"]
    assert row["value"] == pytest.approx(mean("en_unimed_all") - mean("e_unimed_all"), abs=2e-6)
    assert row["low"] > 0


def test_correction_over_all_tasks_of_a_family(found):
    _, result = found
    for family in ("multitask", "ablation", "modality"):
        rows = [row for row in result["contrasts"] if row["family"] == family]
        smallest = min(row["p"] for row in rows)
        assert min(row["p_holm"] for row in rows) == pytest.approx(
            min(1, len(rows) * smallest), abs=1e-5
        )


def test_a_variant_is_compared_with_the_model_that_it_changes():
    assert reference("unimed-first-4h-reversed", VARIANTS) == "unimed-first-4h"
    assert reference("unimed-gru-attention", VARIANTS) == "unimed"
    names = ["en_unimed_all", "en_unimed-first-4h-reversed_all"]  # first-4h itself is not there
    assert pairs_of(names, "arf_12h")["ablation"] == []


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.0199, 0.0199, "equivalent"),
        (-0.02, 0.01, "undecided"),  # the margin itself does not belong to it
        (0.001, 0.019, "equivalent"),
        (0.001, 0.021, "better"),
        (-0.021, -0.001, "worse"),
        (0.0, 0.03, "undecided"),
    ],
)
def test_verdict_at_its_edges(low, high, said):
    assert verdict({"low": low, "high": high, "seeds": 5}) == said
    assert verdict({"low": low, "high": high, "seeds": 4}) == "too few seeds"


def test_other_stays_are_refused(monkeypatch, tmp_path):
    for name in ("en_unimed_all", "e_unimed_all"):
        write(tmp_path, name)
    for ending, message in ((".diagnoses", "its test stays are not those"), ("", "test episodes")):
        path = tmp_path / f"e_unimed_all{ending}.parquet"
        whole = pl.read_parquet(path)
        test = whole.filter(split="test")["episode_id"]
        whole.filter(pl.col("episode_id") != test[0]).write_parquet(path, metadata=VERSIONED)
        with pytest.raises(InputError, match=message):
            compare(monkeypatch, tmp_path, ["en_unimed_all", "e_unimed_all"])
        whole.write_parquet(path, metadata=VERSIONED)
    compare(monkeypatch, tmp_path, ["en_unimed_all", "e_unimed_all"])


def test_few_positives_give_a_reason_and_no_rows(monkeypatch, tmp_path):
    write(tmp_path)
    path = tmp_path / "en_unimed_all.parquet"
    rare = (pl.col("task") == "arf_12h") & (pl.col("episode_id") % 40 != 3)
    table = pl.read_parquet(path)
    table.with_columns(label=pl.when(rare).then(0).otherwise("label").cast(pl.Int8)).write_parquet(
        path, metadata=VERSIONED
    )
    result = compare(monkeypatch, tmp_path, ["en_unimed_all"], "--suppress-below", "10")
    found = result["tasks"]["arf_12h"]
    assert found["test"]["reason"]
    assert found["models"] == {}
    assert result["tasks"]["shock_4h"]["models"]


def test_order_of_files_changes_no_number(found):
    folder, result = found
    with pytest.MonkeyPatch.context() as patch:
        other = compare(patch, folder, list(NOISE)[::-1])
    for task in TASKS:
        for family in ("multitask", "ablation", "modality"):
            assert of(result, family, task) == of(other, family, task)


SETS = ["ec", "en", "cn", "ecn"]
SEVERAL = [f"{s}_{model}_mortality" for s in SETS for model in ("early", "joint", "gbdt")]
SINGLES = [f"{letter}_unimodal_mortality" for letter in "ecn"]
MODELS = [*SINGLES, *SEVERAL, "e_logistic-stats_mortality", "n_gbdt_mortality"]


def tables(folder, names=MODELS, n=600, positives=None):
    """Predictions of validation and test, better with more modalities; film strongest in val."""
    random = np.random.default_rng(5)
    latent = random.normal(size=(3, n))
    label = random.random(n) < 1 / (1 + np.exp(1 - latent.sum(axis=0)))
    test = np.arange(n) % 3 > 0
    if positives is not None:
        label[test] = np.arange(test.sum()) < positives
    for name in names:
        letters, model, task = name.split("_", 2)
        seen = sum(latent["ecn".index(letter)] for letter in letters)
        seen = seen + (name == "c_unimodal_mortality") * 2.0 * label * ~test
        score = seen + random.normal(0, 1.5 if model == "joint" else 0.4, n)
        facts = {
            "task": ["mortality" if task == "admission" else task] * n,
            "episode_id": np.arange(n),
            "subject_id": np.arange(n) // 6,
            "seed": np.zeros(n, dtype=int),
            "split": np.where(test, "test", np.where(np.arange(n) % 2, "val", "train")),
            "label": label.astype(np.int8),
            "probability": 1 / (1 + np.exp(-score)),
        }
        pl.DataFrame(facts).write_parquet(folder / f"{name}.parquet")
    return [folder / f"{name}.parquet" for name in names]


def compare_tables(monkeypatch, folder, paths, *more, wanted=WANG_FAMILIES):
    arguments = ["--families", *wanted, "--protocol", "corrected", "--resamples", "200"]
    files = ["--predictions", *map(str, paths), "--output", str(folder / "out.json")]
    monkeypatch.setattr(sys, "argv", ["comparison", *arguments, *files, *more])
    stage.main()
    made = json.loads((folder / "out.json").read_text())
    VALID.validate_python(made)
    return made


def pairs_in(made, family):
    rows = [row for row in made["contrasts"] if row["family"] == family]
    return {(row["first"], row["second"]): row for row in rows}


@pytest.fixture(scope="module")
def wang(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    with pytest.MonkeyPatch.context() as patch:
        return folder, compare_tables(patch, folder, tables(folder))


def test_which_models_of_a_task_are_compared(wang):
    _, made = wang
    single = {name: "e_unimodal_mortality" if name.startswith("en_") else "c_unimodal_mortality"
              for name in SEVERAL}  # fmt: skip
    assert set(pairs_in(made, "best-single")) == set(single.items())
    others = {(f"{s}_{model}_mortality", f"{s}_early_mortality")
              for s in SETS for model in ("joint", "gbdt")}  # fmt: skip
    assert set(pairs_in(made, "early")) == others
    less = {
        (f"ecn_{model}_mortality", f"{two}_{model}_mortality")
        for two in ("ec", "en", "cn")
        for model in ("early", "joint", "gbdt")
    }
    assert set(pairs_in(made, "one-less")) == less
    assert set(made["tasks"]["mortality"]["models"]) == set(MODELS)


def test_a_difference_is_the_paired_one(wang):
    folder, made = wang
    row = pairs_in(made, "best-single")["ecn_early_mortality", "c_unimodal_mortality"]
    first, second = (
        sample(pl.read_parquet(folder / f"{row[side]}.parquet"), "test")
        for side in ("first", "second")
    )
    expected = auroc_difference(first, second, Resampling(200))
    assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    assert row["low"] > 0


def test_correction_within_a_family_only(wang):
    _, made = wang
    for family in WANG_FAMILIES:
        rows = pairs_in(made, family).values()
        smallest = min(row["p"] for row in rows)
        corrected = min(row["p_holm"] for row in rows)
        assert corrected == pytest.approx(min(1, len(rows) * smallest), abs=1e-5)
        assert all(row["p_holm"] >= row["p"] for row in rows)


def test_worse_models_are_told_by_the_sign(wang):
    _, made = wang
    row = pairs_in(made, "early")["ecn_joint_mortality", "ecn_early_mortality"]
    assert row["high"] < 0
    assert row["p"] < 0.05


def test_the_best_single_is_chosen_on_validation():
    label = np.arange(40) % 2 == 0

    def validation(auroc):  # the first places hold so many positives as it takes
        score = np.where(label, 1.0, 0.0) if auroc == 1 else np.zeros(40)
        return Sample(np.arange(40), np.arange(40), label, score[None])

    panel = Panel({}, {"e": validation(1), "c": validation(1), "n": validation(0.5)}, {}, {})
    assert best_single(panel, ["e", "c", "n"], 1) == "e"  # a tie goes to the first
    assert best_single(panel, ["n", "c"], 1) == "c"
    assert best_single(panel, ["n", "c"], 30) is best_single(panel, ["x"], 1) is None


def test_what_is_not_there_is_not_compared(monkeypatch, tmp_path):
    names = ["e_unimodal_mortality", "n_unimodal_mortality", "en_late_mortality"]
    made = compare_tables(monkeypatch, tmp_path, tables(tmp_path, names))
    pairs = [(row["family"], row["first"], row["second"]) for row in made["contrasts"]]
    assert pairs == [("best-single", "en_late_mortality", "e_unimodal_mortality")]


def test_two_modalities_have_no_smaller_fusion():
    names = ["e_unimodal_x", "n_unimodal_x", "en_early_x"]
    pairs = pairs_of(names, "x", wanted=WANG_FAMILIES, best=lambda singles: singles[0])
    assert pairs["one-less"] == []
    assert pairs["best-single"] == [("en_early_x", "e_unimodal_x")]


@pytest.mark.parametrize(("positives", "reason"), [(0, "one class"), (9, "fewer than 10")])
def test_too_few_patients_give_a_reason(monkeypatch, tmp_path, positives, reason):
    names = ["e_unimodal_mortality", "n_unimodal_mortality", "en_early_mortality"]
    paths = tables(tmp_path, names, positives=positives)
    made = compare_tables(monkeypatch, tmp_path, paths, "--suppress-below", "10")
    assert made["tasks"]["mortality"]["test"]["reason"].startswith(reason)
    assert made["tasks"]["mortality"]["models"] == {}
    assert made["contrasts"] == []


def test_episodes_that_do_not_fit_are_refused(monkeypatch, tmp_path):
    paths = tables(tmp_path, SINGLES[::2], n=60)
    with pytest.raises(InputError, match="tested in several folds"):
        compare_tables(monkeypatch, tmp_path, [paths[0], paths[0]])
    fewer = tmp_path / "n_gbdt_mortality.parquet"
    pl.read_parquet(paths[0]).filter(pl.col("episode_id") > 2).write_parquet(fewer)
    with pytest.raises(InputError, match=r"its test episodes \(all but <10\) are not the 40 of"):
        compare_tables(monkeypatch, tmp_path, [paths[0], fewer])


def test_names_that_do_not_fit_are_refused(monkeypatch, tmp_path):
    (path,) = tables(tmp_path, ["e_unimodal_mortality"])
    for name, message in (
        ("unimodal.parquet", "unimodal: expected modalities_model_task"),
        ("e_unimodal_longstay.parquet", "holds predictions of mortality; a table is named after"),
    ):
        other = path.with_name(name)
        other.write_bytes(path.read_bytes())
        with pytest.raises(InputError, match=message):
            compare_tables(monkeypatch, tmp_path, [other])


def test_order_of_tables_changes_no_number(monkeypatch, tmp_path):
    names = [*SINGLES[::2], "en_early_mortality", "en_joint_mortality"]
    paths = tables(tmp_path, names, n=120)
    one, two = (compare_tables(monkeypatch, tmp_path, order) for order in (paths, paths[::-1]))
    for family in ("best-single", "early"):
        assert pairs_in(one, family) == pairs_in(two, family)


ACROSS = ["en_early_mortality", "en_gbdt_mortality", "e_logistic_mortality",
          "en_unimed_mortality", "en_unimed_admission", "e_unimed_mortality"]  # fmt: skip
TRAINED_ON = {
    "early": {"encoders": ["train"], "head": ["fusion"]},
    "gbdt": {"head": ["train", "fusion"]},
    "unimed": {"encoders": ["train", "fusion"], "head": ["train", "fusion"]},
}


def test_the_models_of_both_papers_are_compared_on_the_same_modalities(monkeypatch, tmp_path):
    paths = tables(tmp_path, ACROSS)
    more = ["--trained-on", json.dumps(TRAINED_ON)]
    made = compare_tables(monkeypatch, tmp_path, paths, *more, wanted=["papers"])
    assert set(pairs_in(made, "papers")) == {
        *((first, second) for first in ACROSS[3:5] for second in ACROSS[:2]),
        ("e_unimed_mortality", "e_logistic_mortality"),
    }
    trained = made["tasks"]["mortality"]["trained_on"]
    assert trained["en_early_mortality"] == {"encoders": 100, "head": 0, "of_any_task": None}
    every = {"encoders": 100, "head": 100}
    assert trained["en_unimed_mortality"] == {**every, "of_any_task": None}
    assert trained["en_unimed_admission"] == {**every, "of_any_task": 100}
    nothing = {"encoders": None, "of_any_task": None}
    assert trained["en_gbdt_mortality"] == {**nothing, "head": 100}
    assert trained["e_logistic_mortality"] == {**nothing, "head": None}  # not told


def fold(first, last, fusion):
    """Training episodes first to last - 1, of as many patients; the last `fusion` of them fuse."""
    split = ["train"] * (last - first - fusion) + ["fusion"] * fusion
    numbers = range(first, last)
    return pl.DataFrame({"episode_id": numbers, "subject_id": numbers, "split": split})


def training(episodes, shares=TRAINED_ON, together=None):
    """What the page is told of training episodes; `episodes`: target → a table per fold."""
    question = stage.Question("corrected", ["papers"], {}, Resampling(200), 10, None, shares,
                              together or {})  # fmt: skip
    return stage.trained(Panel({}, {}, episodes, {}), question)


def test_training_episodes_of_several_folds_are_their_mean():
    folds = [fold(0, 300, 100), fold(150, 470, 100)]  # who trains in one fold fuses in another
    counts = training({"en_early_x": folds, "en_unimed_x": folds})
    assert counts["en_early_x"] == {"encoders": 210, "head": 100, "of_any_task": None}
    assert counts["en_unimed_x"]["encoders"] == counts["en_unimed_x"]["head"] == 310


def test_training_episodes_are_those_of_the_share_of_the_patients():
    half = {"unimed": {**TRAINED_ON["unimed"], "share": 0.5}}
    count = training({"en_unimed_x": [fold(0, 1000, 200)]}, half)["en_unimed_x"]["head"]
    assert count == int(in_training_share(np.arange(1000), 0.5).sum())
    assert 400 < count < 600


def test_sums_of_training_episodes_do_not_give_hidden_counts_away():
    counts = training({"en_early_x": [fold(0, 105, 5)], "en_unimed_x": [fold(0, 105, 5)]})
    assert counts["en_early_x"]["head"] == "<10"
    assert counts["en_unimed_x"]["head"] == counts["en_unimed_x"]["encoders"] == ">100"


def test_a_decoder_of_several_tasks_learns_from_the_episodes_of_any(tmp_path):
    first, second = ({"en_unimed_all": [fold(0, last, 0)]} for last in (100, 150))
    path = tmp_path / "en_unimed_all.diagnoses.parquet"
    fold(100, 180, 0).write_parquet(path)
    panels = {task: Panel({}, {}, each, {}) for task, each in (("x", first), ("y", second))}
    together = stage.of_any_task(panels, {"en_unimed_all": [str(path)]})
    counts = training(first, together=together)["en_unimed_all"]
    assert counts == {"encoders": 100, "head": 100, "of_any_task": 180}
    assert stage.of_any_task({"x": Panel({}, {}, {"en_unimed_x": [fold(0, 9, 0)]}, {})}, {}) == {}


def test_models_of_two_cohorts_are_not_compared_across_papers(monkeypatch, tmp_path):
    paths = tables(tmp_path, ACROSS[:4])
    table = pl.read_parquet(paths[3])
    moved = table.with_columns(pl.col("split").replace({"train": "val"}))
    moved.write_parquet(paths[3])  # the same test episodes, trained on others
    compare_tables(monkeypatch, tmp_path, paths)
    with pytest.raises(InputError, match="of en_unimed_mortality are not those of en_early"):
        compare_tables(monkeypatch, tmp_path, paths, wanted=["papers"])
