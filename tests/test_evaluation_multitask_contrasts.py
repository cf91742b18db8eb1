"""UniMed's comparisons: which, paired by stay, corrected over a family, and what is concluded."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from prediction_tables import VERSIONED
from unimed_tables import BINARY, TASKS, write

from pipeline.cohort.definitions import VERSION
from pipeline.cohort.rows import UNIMED, UNIMED_DIAGNOSES
from pipeline.evaluation import multitask_contrasts as stage
from pipeline.evaluation.bootstrap import Resampling, auroc_difference
from pipeline.evaluation.multitask_contrasts import families, reference
from pipeline.evaluation.predictions import sample
from pipeline.evaluation.significance import verdict
from pipeline.stage import multitask
from pipeline.stage.errors import InputError
from pipeline.stage.tables import write_table

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


def compare(patch, folder, targets, *more):
    command = (
        f"contrasts --protocol corrected --groups {folder}/groups.parquet --vocabulary "
        f"{folder}/vocabulary.parquet --resamples 200 --output {folder}/out.json "
        f"--diagnoses-task {MANY}"
    ).split()
    files = ["--predictions", *(f"{folder}/{name}.parquet" for name in targets)]
    files += ["--diagnoses", *(f"{folder}/{name}.diagnoses.parquet" for name in targets)]
    patch.setattr(sys, "argv", [*command, *files, "--variants", json.dumps(VARIANTS), *more])
    stage.main()
    return json.loads((folder / "out.json").read_text())


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
    pairs = stage.families([*names, told], "arf_12h", VARIANTS)
    assert pairs["bound"] == [(told, "en_unimed_arf_12h")]
    assert stage.families(names, "arf_12h", VARIANTS)["bound"] == []


def test_no_bound_of_the_grid_is_of_the_first_task():
    """Nobody could have told it anything; the others are told, and compared with themselves."""
    config = yaml.safe_load((Path(stage.__file__).parents[2] / "config.yaml").read_text())
    names, variants = multitask.grid(config), config["unimed"]["variants"]
    first, *others = config["unimed"]["all"]
    assert families(names, first, variants)["bound"] == []
    for task in others:
        own = (f"en_unimed-teacher-forced_{task}", f"en_unimed_{task}")
        assert families(names, task, variants)["bound"] == [own]


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
    contract = UNIMED_DIAGNOSES if ending else UNIMED
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
    assert families(names, "arf_12h", VARIANTS)["ablation"] == []


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
