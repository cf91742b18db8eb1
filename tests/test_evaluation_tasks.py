"""UniMed's result: metrics of every task, ranked diagnoses, attention, refusals, small counts."""

import argparse
import json
import sys
import time

import jsonschema
import numpy as np
import polars as pl
import pytest
from prediction_tables import VERSIONED
from sklearn.metrics import average_precision_score, roc_auc_score
from unimed_tables import BINARY, GROUPS, TASKS, stays, write

from pipeline.cohort.rows import ABSENT, MANY_PREDICTIONS, PREDICTIONS
from pipeline.evaluation import result as stage
from pipeline.evaluation.sections import diagnoses
from pipeline.evaluation.sections.suppression import COMPLEMENT
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.figures import NOTHING
from pipeline.evaluation.statistics.ranking import Stays, auroc_and_influence, reachable, recall
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT
from pipeline.stage.result import FlatResult, flat, in_tasks
from pipeline.stage.schemas import json_schema
from pipeline.stage.tables import Contract, write_table

SCHEMA = json.loads((ROOT / "pipeline/evaluation/multitask.schema.json").read_text())
VALID = jsonschema.Draft202012Validator(SCHEMA)
MANY = "diagnoses_48h"
GROUP_TABLE = Contract({"episode_id": pl.Int64, "group": pl.Int32}, key=("episode_id", "group"))


def evaluate(patch, folder, *more, target="en_unimed_all", tasks=TASKS, out=None):
    """Runs the command on the files of `unimed_tables.write`; returns result and curves."""
    out = out or folder / "out"
    file = f"{folder}/{target}"
    named = [f"{task}={folder}/labels_{task}.parquet" for task in tasks]
    attrition = [f"{task}={folder}/attrition.json" for task in tasks]
    ranked = (
        f"--diagnoses {file}.diagnoses.parquet --groups {folder}/groups.parquet "
        f"--vocabulary {folder}/vocabulary.parquet "
    ) * (MANY in tasks)
    command = (
        f"result --target {target} --protocol corrected --predictions {file}.parquet "
        f"{ranked}--attention {file}.attention.json --episodes {folder}/episodes.parquet "
        f"--truth {folder} --resamples 100 --lock {ROOT}/requirements.lock "
        f"--modules pipeline.evaluation.result "
        f"--usage {folder}/use --output {out}/r.json --curves {out}/c.json --sidecar {out}/s.json"
    ).split()
    own = ["--labels", *named, "--attrition", *attrition, *more]
    patch.setattr(sys, "argv", [*command, *own])
    stage.main()
    return [json.loads((out / name).read_text()) for name in ("r.json", "c.json")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("unimed"))
    with pytest.MonkeyPatch.context() as patch:
        return folder, *evaluate(patch, folder)


def test_the_result_follows_its_schema(made):
    _, result, drawn = made
    VALID.validate(result)
    assert list(result["tasks"]) == list(drawn["tasks"]) == list(TASKS)
    assert (result["task"], result["seeds"], result["folds"]) == ("all", [0, 1], 1)
    with pytest.raises(jsonschema.ValidationError):  # the parts of the other schema are looked at
        VALID.validate({**result, "seeds": "none"})


@pytest.mark.parametrize("task", BINARY)
def test_binary_tasks_equal_scikit_learn_seed_by_seed(made, task):
    folder, result, _ = made
    table = pl.read_parquet(folder / "en_unimed_all.parquet").filter(task=task, split="test")
    for name, reference in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        found = result["tasks"][task]["metrics"]["test"][name]
        expected = [
            reference(table.filter(seed=seed)["label"], table.filter(seed=seed)["probability"])
            for seed in (0, 1)
        ]
        assert [run["value"] for run in found["by_run"]] == pytest.approx(expected, abs=1e-6)
        assert found["value"] == pytest.approx(np.mean(expected), abs=1e-6)
        assert found["sd"] == pytest.approx(np.std(expected, ddof=1), abs=1e-6)
        assert found["low"] < found["value"] < found["high"]
    assert result["tasks"][task]["subgroups"]["sex"][0]["group"] == "F"


def test_the_oracle_is_joined_by_stay(made):
    _, result, drawn = made
    ceiling = result["tasks"]["arf_12h"]["ceiling"]
    assert ceiling["population_auroc"] == 0.85
    assert ceiling["left_out"] == {"model": 0, "other": 0}
    assert ceiling["oracle_auroc"]["value"] > 0.7
    assert result["tasks"]["shock_4h"]["ceiling"] is None
    assert drawn["tasks"]["arf_12h"]["roc"]["oracle"] is not None


def plain_recall(score, true, k):
    """Mean over 200 random orders of equal scores."""
    random = np.random.default_rng(0)
    hits = [
        np.isin(np.lexsort((random.random(len(score)), -score))[:k], true).sum() for _ in range(200)
    ]
    return np.mean(hits) / len(true)


def test_recall_equals_a_loop_over_stays(made):
    folder, result, drawn = made
    table = pl.read_parquet(folder / "en_unimed_all.diagnoses.parquet").filter(split="test")
    groups = pl.read_parquet(folder / "groups.parquet")
    true = {int(e): own["group"].to_list() for (e,), own in groups.group_by("episode_id")}
    share = stays()[-1]
    rows = table.filter(seed=0).select("episode_id", "probability").rows()
    kept = [(np.array(p), true[e]) for e, p in rows if e in true]
    test = result["tasks"][MANY]["metrics"]["test"]
    assert (test["n"], test["with_group"]) == (len(rows), len(kept))
    assert len(kept) < len(rows)
    assert test["labels_per_stay"] == pytest.approx(
        sum(len(t) for _, t in kept) / len(rows), abs=1e-6
    )
    at = test["recall"]["5"]
    ceiling = np.mean([min(5, len(t)) / len(t) for _, t in kept])
    prior = np.mean([np.isin(np.argsort(-share)[:5], t).sum() / len(t) for _, t in kept])
    own = np.mean([plain_recall(p, t, 5) for p, t in kept])
    assert at["ceiling"]["value"] == pytest.approx(ceiling, abs=1e-6)
    assert at["prior"]["value"] == pytest.approx(prior, abs=1e-6)
    assert at["model"]["by_run"][0]["value"] == pytest.approx(own, abs=0.003)
    gain = at["model"]["value"] - at["prior"]["value"]
    assert at["model_minus_prior"]["value"] == pytest.approx(gain, abs=2e-6)
    assert drawn["tasks"][MANY]["model"][4] == at["model"]["value"]
    assert test["recall"]["30"]["model"]["value"] == 1  # more than there are groups


def test_by_version_of_icd_the_metrics_are_those_of_its_stays_alone(made, monkeypatch, tmp_path):
    _, result, _ = made
    whole = result["tasks"][MANY]["metrics"]["test"]
    by_version = whole["by_icd_version"]
    assert list(by_version) == ["9", "10"]
    assert by_version["9"]["n"] + by_version["10"]["n"] == whole["n"]
    write(tmp_path)
    path = tmp_path / f"labels_{MANY}.parquet"
    ten = pl.col("icd_version") == "10"
    labels = pl.read_parquet(path).with_columns(eligible=pl.col("eligible") & ten)
    labels.write_parquet(path)
    kept = labels.filter("eligible")
    for name, contract in (("en_unimed_all.diagnoses", MANY_PREDICTIONS), ("groups", GROUP_TABLE)):
        table = pl.read_parquet(tmp_path / f"{name}.parquet")
        table = table.join(kept, on="episode_id", how="semi")
        write_table(table, tmp_path / f"{name}.parquet", contract)
    alone = evaluate(monkeypatch, tmp_path)[0]["tasks"][MANY]["metrics"]["test"]
    assert alone["by_icd_version"]["10"] == by_version["10"]
    assert {key: alone[key] for key in by_version["10"]} == by_version["10"]


def test_a_version_of_few_stays_hides_both(monkeypatch, tmp_path):
    write(tmp_path)
    path = tmp_path / f"labels_{MANY}.parquet"
    labels = pl.read_parquet(path)
    test = pl.read_parquet(tmp_path / "en_unimed_all.diagnoses.parquet").filter(split="test")
    few = test["episode_id"].unique().sort()[:4]
    version = pl.when(pl.col("episode_id").is_in(few.implode())).then(pl.lit("10"))
    labels.with_columns(icd_version=version.otherwise(pl.lit("9"))).write_parquet(path)
    result, _ = evaluate(monkeypatch, tmp_path, "--suppress-below", "10")
    VALID.validate(result)
    found = result["tasks"][MANY]["metrics"]
    hidden = found["test"]["by_icd_version"]
    assert {version: own["reason"] for version, own in hidden.items()} == {
        "9": COMPLEMENT,
        "10": "fewer than 10 stays",
    }
    for own in hidden.values():
        assert own["n"] is own["patients"] is own["recall"] is None
        assert own["micro_auroc"]["value"] is None
    assert list(found["val"]["by_icd_version"]) == ["9"]


def few_lacking(folder):
    """Who has notes, so that in test and val few of those without are coded in ICD-9 or ungrouped.

    Three of ICD-9 and fifteen of ICD-10, all of them with a group, lack notes in each split.
    """
    labels = pl.read_parquet(folder / f"labels_{MANY}.parquet")
    grouped = pl.read_parquet(folder / "groups.parquet")["episode_id"].unique()
    table = pl.read_parquet(folder / "en_unimed_all.diagnoses.parquet")
    stays_of = table.select("episode_id", "split").unique().join(labels, on="episode_id")
    with_group = stays_of.filter(pl.col("episode_id").is_in(grouped.implode())).sort("episode_id")
    lacking = [
        with_group.filter(split=split, icd_version=version)["episode_id"].head(count)
        for split in ("val", "test")
        for version, count in (("9", 3), ("10", 15))
    ]
    return stays_of.filter(~pl.col("episode_id").is_in(pl.concat(lacking).implode()))["episode_id"]


def test_of_the_complete_no_few_others_follow_by_version_or_group(monkeypatch, tmp_path):
    """All stays minus the complete ones: neither the 3 of ICD-9 nor that all 18 have a group."""
    write(tmp_path, n=800)
    few_lacking(tmp_path).to_frame().write_parquet(tmp_path / "notes.parquet")
    present = {"n": {"table": f"{tmp_path}/notes.parquet", "by": "selected"}}
    more = ["--present", json.dumps(present)]
    plain = evaluate(monkeypatch, tmp_path, *more)[0]["tasks"][MANY]
    at = [plain["metrics"]["test"], plain["complete"]["metrics"]["test"]]
    lost = {
        v: at[0]["by_icd_version"][v]["n"] - at[1]["by_icd_version"][v]["n"] for v in ("9", "10")
    }
    assert lost == {"9": 3, "10": 15}  # what the counts would tell
    assert at[0]["with_group"] - at[1]["with_group"] == 18
    result, _ = evaluate(monkeypatch, tmp_path, *more, "--suppress-below", "10")
    VALID.validate(result)
    found = result["tasks"][MANY]
    assert found["complete"]["reason"] is None
    assert found["metrics"]["test"]["by_icd_version"]["9"]["n"] > 10
    for split in ("val", "test"):
        own = found["complete"]["metrics"][split]
        assert own["n"] and own["recall"]
        for hidden in own["by_icd_version"].values():
            assert hidden["n"] is hidden["recall"] is None and hidden["reason"]


@pytest.mark.parametrize(("grouped", "told"), [(3, False), (15, False), (0, True), (18, True)])
def test_few_others_with_or_without_a_group_hide_how_many_have_one(grouped, told):
    """18 others, of whom so many have a group: few of either would follow from all and these."""

    def some(first, count, having):
        zeros = np.zeros(having, dtype=int)
        ids = np.arange(first, first + count)
        return Stays(ids, ids, np.zeros((1, count, 2)), np.arange(having), zeros, np.ones(2) / 2)

    own, others = some(0, 50, 30), some(100, 18, grouped)
    counts = diagnoses.counted([own], 10, [others])
    assert (counts["n"], counts["with_group"]) == (50, 30 if told else None)
    assert (counts["labels_per_stay"] is not None) == told
    assert diagnoses.counted([own], 0, [others]) == diagnoses.counted([own], 0)


def test_ties_at_the_boundary_share_the_places():
    score = np.array([[0.9, 0.5, 0.5, 0.5, 0.1]])
    row, label = np.zeros(2, dtype=int), np.array([1, 4])
    found = recall(score, row, label, np.arange(1, 6))[0]
    assert found == pytest.approx([0, 1 / 6, 1 / 3, 1 / 2, 1])
    constant = recall(np.full((1, 10), 0.3), row, label, np.array([3]))
    assert constant[0, 0] == pytest.approx(0.3)
    assert reachable(np.array([10, 2]), np.array([5])).tolist() == [[0.5], [1.0]]


@pytest.mark.parametrize("pooled", [False, True])
def test_auroc_over_groups_equals_scikit_learn_and_its_influence_the_derivative(pooled):
    random = np.random.default_rng(1)
    true = random.random((40, 5)) < 0.3
    true[:, 4] = False  # a group that nobody has
    score = random.random((40, 5)).round(1)
    usable = true.any(axis=0)

    def reference(weights):
        if pooled:
            args = true[:, :4].ravel(), score[:, :4].ravel()
            return roc_auc_score(*args, sample_weight=weights.repeat(4))
        each = zip(true.T[:4], score.T[:4], strict=True)
        return np.mean([roc_auc_score(t, s, sample_weight=weights) for t, s in each])

    value, influence = auroc_and_influence(score, *np.nonzero(true), usable, pooled)
    assert value == pytest.approx(reference(np.ones(40)))
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    for stay in (0, 7, 39):
        moved = np.ones(40)
        moved[stay] += 1e-5
        assert influence[stay] == pytest.approx((reference(moved) - value) / 1e-5, abs=1e-4)


def test_patients_not_stays_are_resampled():
    random = np.random.default_rng(2)
    n, repeat = 60, 20
    truth = random.random((n, 6)) < 0.4
    score = random.random((1, n, 6))
    one = Stays(np.arange(n), np.arange(n), score, *np.nonzero(truth), np.full(6, 0.4))
    many = Stays(
        np.arange(n * repeat),
        np.arange(n * repeat) // repeat,
        score.repeat(repeat, axis=1),
        *np.nonzero(truth.repeat(repeat, axis=0)),
        np.full(6, 0.4),
    )
    widths = []
    for part in (one, many):
        found, _ = diagnoses._recall([part], [{"seed": 0, "fold": 0}], Resampling(400))
        found |= diagnoses._aurocs([part], [{"seed": 0, "fold": 0}], Resampling(400))
        widths.append([f["high"] - f["low"] for f in (found["5"]["model"], found["macro_auroc"])])
    assert widths[0] == pytest.approx(widths[1], rel=1e-6)


def test_attention_is_the_mean_over_seeds(monkeypatch, tmp_path):
    write(tmp_path)
    path = tmp_path / "en_unimed_all.attention.json"
    found = json.loads(path.read_text())
    found["seeds"]["1"]["modality"]["arf_12h"]["S"] = 0.75
    path.write_text(json.dumps(found))
    result, _ = evaluate(monkeypatch, tmp_path)
    weight = result["attention"]["modality"]["arf_12h"]["S"]
    assert weight == {"value": 0.5, "sd": pytest.approx(0.353553)}
    assert list(result["attention"]["task"]["arf_12h"]) == ["shock_4h"]
    path.write_text('{"seeds": {}}')  # a recurrent decoder
    assert evaluate(monkeypatch, tmp_path)[0]["attention"] is None


def test_a_run_that_lacks_a_task_leaves_the_others_their_mean(monkeypatch, tmp_path):
    write(tmp_path)
    path = tmp_path / "en_unimed_all.attention.json"
    found = json.loads(path.read_text())
    for kind in ("modality", "task", "stays"):
        del found["seeds"]["0"][kind]["arf_12h"]
    found["seeds"]["1"]["modality"]["arf_12h"]["S"] = 0.75
    path.write_text(json.dumps(found))
    weights = evaluate(monkeypatch, tmp_path)[0]["attention"]["modality"]
    assert list(weights) == list(TASKS)
    assert weights["arf_12h"]["S"] == {"value": 0.75, "sd": None}
    assert weights["shock_4h"]["S"] == {"value": 0.25, "sd": 0.0}


@pytest.mark.parametrize(("stays", "shown"), [(9, False), (10, True), (None, False)])
def test_few_stays_have_no_attention(monkeypatch, tmp_path, stays, shown):
    write(tmp_path)
    path = tmp_path / "en_unimed_all.attention.json"
    found = json.loads(path.read_text())
    for own in found["seeds"].values():
        own["stays"] |= {"arf_12h": stays}
        if stays is None:
            del own["stays"]["arf_12h"]
    path.write_text(json.dumps(found))
    result, _ = evaluate(monkeypatch, tmp_path, "--suppress-below", "10")
    VALID.validate(result)
    for kind in ("modality", "task"):
        assert ("arf_12h" in result["attention"][kind]) == shown
        assert "mortality_48h" in result["attention"][kind]
    assert "arf_12h" in evaluate(monkeypatch, tmp_path)[0]["attention"]["modality"]


def test_a_model_that_is_told_outcomes_has_the_ceiling_of_one_that_is(monkeypatch, tmp_path):
    target = "en_unimed-told_arf_12h"
    write(tmp_path, target, tasks=("arf_12h",))
    own = {"target": target, "tasks": ("arf_12h",)}
    result, drawn = evaluate(monkeypatch, tmp_path, "--truth-of", "arf_12h=arf_12h_forced", **own)
    ceiling = result["tasks"]["arf_12h"]["ceiling"]
    assert (ceiling["population_auroc"], ceiling["oracle_auroc"]["value"]) == (0.95, 1.0)
    assert drawn["tasks"]["arf_12h"]["target"] == target
    plain = evaluate(monkeypatch, tmp_path, **own)[0]["tasks"]["arf_12h"]["ceiling"]
    assert plain["population_auroc"] == 0.85


def test_diagnoses_of_no_truth_are_refused(monkeypatch, tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match="--diagnoses 1, --groups 0, --vocabulary 1"):
        evaluate(monkeypatch, tmp_path, "--groups")


@pytest.mark.parametrize("task", ["arf_12h", MANY])
def test_a_target_of_one_task(monkeypatch, tmp_path, task):
    target = f"en_unimed_{task}"
    write(tmp_path, target, tasks=(task,))
    result, _ = evaluate(monkeypatch, tmp_path, target=target, tasks=(task,))
    VALID.validate(result)
    assert list(result["tasks"]) == [task]
    assert result["seeds"] == [0, 1]


def test_a_task_without_positives_says_so_and_the_others_stand(monkeypatch, tmp_path):
    write(tmp_path)
    none = pl.when((pl.col("task") == "shock_4h") & (pl.col("split") == "test")).then(0)
    path = tmp_path / "en_unimed_all.parquet"
    table = pl.read_parquet(path).with_columns(label=none.otherwise("label").cast(pl.Int8))
    table.write_parquet(path, metadata=VERSIONED)
    labels = tmp_path / "labels_shock_4h.parquet"
    true = table.filter(task="shock_4h", seed=0).select("episode_id", "label")
    pl.read_parquet(labels).drop("label").join(true, on="episode_id", how="left").write_parquet(
        labels
    )
    result, drawn = evaluate(monkeypatch, tmp_path)
    VALID.validate(result)
    test = result["tasks"]["shock_4h"]["metrics"]["test"]
    assert test["reason"].startswith("one class only")
    assert test["auroc"]["value"] is None
    assert drawn["tasks"]["shock_4h"]["roc"] is None
    assert result["tasks"]["arf_12h"]["metrics"]["test"]["auroc"]["value"] > 0.6


def test_small_counts_are_hidden(monkeypatch, tmp_path):
    write(tmp_path)
    groups = pl.read_parquet(tmp_path / "groups.parquet")
    table = pl.read_parquet(tmp_path / "en_unimed_all.diagnoses.parquet")
    test = table.filter(split="test")["episode_id"].unique().sort()
    few = pl.DataFrame({"episode_id": test[:-4], "group": pl.Series([0] * (len(test) - 4))})
    few.cast({"group": pl.Int32}).write_parquet(tmp_path / "groups.parquet")
    result, _ = evaluate(monkeypatch, tmp_path, "--suppress-below", "10")
    VALID.validate(result)
    found = result["tasks"][MANY]["metrics"]["test"]
    assert found["with_group"] == f">{len(test) - 10}"  # four without one
    assert found["groups_ranked"] == 0  # all have it but four
    assert found["macro_auroc"] == {**NOTHING, "sd": None}
    assert found["recall"]["5"]["model"]["value"] is not None
    groups.filter(pl.col("episode_id").is_in(test[:9].implode())).write_parquet(
        tmp_path / "groups.parquet"
    )
    result, drawn = evaluate(monkeypatch, tmp_path, "--suppress-below", "10")
    VALID.validate(result)
    found = result["tasks"][MANY]["metrics"]["test"]
    assert (found["with_group"], found["labels_per_stay"]) == ("<10", None)
    assert found["recall"] is None
    assert drawn["tasks"][MANY]["model"] is None
    assert found["reason"] == "fewer than 10 stays with a group of the vocabulary"


def test_same_bytes_whatever_the_order_of_rows(monkeypatch, tmp_path):
    write(tmp_path)
    evaluate(monkeypatch, tmp_path, out=tmp_path / "one")
    for name in ("en_unimed_all", "en_unimed_all.diagnoses", "groups", "vocabulary"):
        path = tmp_path / f"{name}.parquet"
        pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=1).write_parquet(
            path, metadata=VERSIONED
        )
    evaluate(monkeypatch, tmp_path, out=tmp_path / "two")
    for name in ("r.json", "c.json"):
        first, second = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        assert first == second
        assert str(tmp_path).encode() not in first


def test_folds_are_averaged_and_patients_tested_once(monkeypatch, tmp_path):
    write(tmp_path)
    more = {"predictions": [], "diagnoses": [], "attention": []}
    for fold in (0, 1):
        here = tmp_path / str(fold)
        here.mkdir()
        for name, ending in (("predictions", ".parquet"), ("diagnoses", ".diagnoses.parquet")):
            table = pl.read_parquet(tmp_path / f"en_unimed_all{ending}")
            tested = pl.col("subject_id") % 2 == fold
            moved = pl.when(tested & (pl.col("split") == "test")).then(pl.lit("test"))
            table.with_columns(split=moved.otherwise(pl.lit("val"))).write_parquet(
                here / f"x{ending}", metadata=VERSIONED
            )
            more[name].append(f"{here}/x{ending}")
        more["attention"].append(f"{tmp_path}/en_unimed_all.attention.json")
    options = [part for name, paths in more.items() for part in (f"--{name}", *paths)]
    twice = [f"{tmp_path}/groups.parquet"] * 2, [f"{tmp_path}/vocabulary.parquet"] * 2
    options += ["--groups", *twice[0], "--vocabulary", *twice[1]]
    result, _ = evaluate(monkeypatch, tmp_path, *options)
    VALID.validate(result)
    assert result["folds"] == 2
    at = result["tasks"][MANY]["metrics"]["test"]["recall"]["5"]["model"]
    assert [(r["fold"], r["seed"]) for r in at["by_run"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert at["value"] == pytest.approx(np.mean([r["value"] for r in at["by_run"]]), abs=1e-6)
    same = [*options, "--diagnoses", more["diagnoses"][0], more["diagnoses"][0]]
    with pytest.raises(InputError, match=r"patient\(s\) are tested in several folds"):
        evaluate(monkeypatch, tmp_path, *same)


def broken(folder, name, **columns):
    path = folder / f"{name}.parquet"
    pl.read_parquet(path).with_columns(**columns).write_parquet(path, metadata=VERSIONED)


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("labels_arf_12h", {"label": 1 - pl.col("label")}, r"have another label"),
        ("labels_arf_12h", {"eligible": True, "label": 1}, r"have another label|without a pred"),
        ("labels_diagnoses_48h", {"eligible": False}, r"predicted for diagnoses_48h are not elig"),
        ("vocabulary", {"group": pl.col("group") + 1}, rf"groups are not 0 to {GROUPS - 1}"),
        ("groups", {"group": pl.col("group") + 5}, r"group\(s\) are not in .*vocabulary"),
        ("en_unimed_all.diagnoses", {"split": pl.lit("train")}, r"split is none of val, test"),
        (
            "en_unimed_all.diagnoses",
            {"seed": pl.col("seed") * 2 + pl.col("episode_id") % 2},
            r"every seed must predict",
        ),
        ("en_unimed_all", {"probability": 1.5}, r"probability is outside"),
    ],
)
def test_tables_that_do_not_fit_are_refused(monkeypatch, tmp_path, name, columns, message):
    write(tmp_path)
    broken(tmp_path, name, **columns)
    with pytest.raises(InputError, match=message):
        evaluate(monkeypatch, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_dropped_stay_is_noticed(monkeypatch, tmp_path):
    write(tmp_path)
    path = tmp_path / "en_unimed_all.parquet"
    table = pl.read_parquet(path)
    table.filter(pl.col("episode_id") != table["episode_id"][0]).write_parquet(
        path, metadata=VERSIONED
    )
    with pytest.raises(InputError, match=r"<10 eligible stay\(s\) without a prediction"):
        evaluate(monkeypatch, tmp_path)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_stay_dropped_from_the_diagnoses_is_noticed(monkeypatch, tmp_path, split):
    write(tmp_path)
    path = tmp_path / "en_unimed_all.diagnoses.parquet"
    table = pl.read_parquet(path)
    dropped = table.filter(split=split)["episode_id"][0]
    table.filter(pl.col("episode_id") != dropped).write_parquet(path, metadata=VERSIONED)
    with pytest.raises(InputError, match=r"<10 eligible .* without a prediction for diagnoses_48h"):
        evaluate(monkeypatch, tmp_path)


def test_tasks_must_be_those_of_the_predictions(monkeypatch, tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match=r"--labels of shock_4h, arf_12h, diagnoses_48h, but"):
        evaluate(monkeypatch, tmp_path, tasks=("shock_4h", "arf_12h", MANY))
    with pytest.raises(InputError, match="expected task=path"):
        evaluate(monkeypatch, tmp_path, "--labels", "shock_4h")


def test_a_large_vocabulary_takes_seconds():
    random = np.random.default_rng(0)
    n, size = 800, 1000
    truth = random.random((n, size)) < 0.02
    score = random.random((2, n, size))
    part = Stays(np.arange(n), np.arange(n) // 2, score, *np.nonzero(truth), np.full(size, 0.02))
    runs = [{"seed": seed, "fold": 0} for seed in range(2)]
    started = time.process_time()
    diagnoses._recall([part], runs, Resampling())
    diagnoses._aurocs([part], runs, Resampling())
    assert time.process_time() - started < 5


def test_a_fusion_of_an_icu_task_stands_beside_its_single_models(monkeypatch, tmp_path):
    """Its part has comparisons and missing modalities; UniMed's have neither, as ever."""
    task, target = "arf_12h", "en_early_arf_12h"
    for number, name in enumerate(("e_unimodal_arf_12h", "n_unimodal_arf_12h", target)):
        write(tmp_path, name, tasks=(task,), number=number, noise=0.5 if name == target else 2.0)
    test = pl.read_parquet(tmp_path / f"{target}.parquet").filter(split="test")
    absent = test.with_columns(modality=pl.lit("n"), rate=1.0, probability=0.5)
    write_table(absent, tmp_path / "absent.parquet", ABSENT)
    singles = [f"{tmp_path}/{letter}_unimodal_arf_12h.parquet" for letter in "en"]
    more = ["--singles", *singles, "--absent", f"{tmp_path}/absent.parquet", "--attention"]
    result, _ = evaluate(monkeypatch, tmp_path, *more, target=target, tasks=(task,))
    VALID.validate(result)
    part = result["tasks"][task]
    gain = part["comparisons"]["singles"]["e_unimodal_arf_12h"]
    auroc = part["metrics"]["test"]["auroc"]["value"]
    assert gain["model_minus_single"]["value"] == pytest.approx(
        auroc - gain["test_auroc"], abs=2e-6
    )
    assert [row["rate"] for row in part["missing"]] == [0, 1]
    assert result["attention"] is None
    alone, _ = evaluate(monkeypatch, tmp_path, "--attention", target=target, tasks=(task,))
    assert {*part} - {*alone["tasks"][task]} == {"comparisons", "missing"}
    assert {*part["complete"]} - {*alone["tasks"][task]["complete"]} == {"comparisons", "missing"}


def test_unimed_of_one_task_of_admissions_has_the_flat_form_with_its_attention(
    monkeypatch, tmp_path
):
    names = ("en_unimed_mortality", "e_unimodal_mortality")
    for number, name in enumerate(names):
        write(tmp_path, name, tasks=("arf_12h",), number=number)
        table = pl.read_parquet(tmp_path / f"{name}.parquet").with_columns(task=pl.lit("mortality"))
        write_table(table, tmp_path / f"{name}.parquet", PREDICTIONS)
    (tmp_path / "labels_arf_12h.parquet").rename(tmp_path / "labels_mortality.parquet")
    more = ["--singles", f"{tmp_path}/e_unimodal_mortality.parquet"]
    result, drawn = evaluate(monkeypatch, tmp_path, *more, target=names[0], tasks=("mortality",))
    jsonschema.validate(result, json_schema(FlatResult))
    assert "tasks" not in result and "tasks" not in drawn
    assert list(result["comparisons"]["singles"]) == [names[1]]
    assert result["attention"]["modality"]["arf_12h"]["S"]["value"] == 0.25
    assert result["cohort"]["attrition"][0]["condition"] == "in the ICU at T"
    private = in_tasks(result)
    assert list(private["tasks"]) == ["mortality"] and flat(private) == result


def test_several_tasks_of_admissions_keep_their_tasks(monkeypatch, tmp_path):
    target, renamed = "en_unimed_admission", {"arf_12h": "mortality", "shock_4h": "longstay"}
    write(tmp_path, target, tasks=tuple(renamed))
    table = pl.read_parquet(tmp_path / f"{target}.parquet")
    moved = table.with_columns(pl.col("task").replace(renamed))
    write_table(moved, tmp_path / f"{target}.parquet", PREDICTIONS)
    for old, new in renamed.items():
        (tmp_path / f"labels_{old}.parquet").rename(tmp_path / f"labels_{new}.parquet")
    tasks = ("mortality", "longstay")
    result, drawn = evaluate(monkeypatch, tmp_path, target=target, tasks=tasks)
    VALID.validate(result)
    assert tuple(result["tasks"]) == tuple(drawn["tasks"]) == tasks


def test_tasks_of_other_seeds_are_refused_where_there_are_no_diagnoses():
    args = argparse.Namespace(predictions=["a.parquet"], diagnoses=[])
    tables = {task: [pl.DataFrame({"seed": [seed]})] for task, seed in (("x", 0), ("y", 1))}
    with pytest.raises(InputError, match=r"^a.parquet: the tasks have other seeds"):
        stage.same_seeds(args, tables, [])


def test_what_was_tried_without_a_figure_is_null_and_what_was_not_is_absent():
    part = {"comparisons": {"best_single": None, "singles": {}}, "missing": None, "complete": {}}
    none = {"singles": [], "baselines": [], "absent": []}
    for others in ("singles", "baselines"):
        tried = argparse.Namespace(**none | {others: ["e.parquet"], "absent": ["x.parquet"]})
        assert stage.without_empty(part, tried) == part
    assert stage.without_empty(part, argparse.Namespace(**none)) == {"complete": {}}
