"""The 13 flaws of the published protocol: none of them is in the corrected one.

The table names the tests that fail when a flaw comes back. Those of models and thresholds are here,
those of cohort and data beside the stages that they are about.
"""

import ast
import json
import re
import sys

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from checkout import REPOSITORY
from prediction_tables import fold
from safetensors.torch import load_file
from torch import nn

from pipeline.cxr.encoder_resnet18 import ENCODER, OneByOneNorm
from pipeline.cxr.film_data import Films
from pipeline.evaluation.sections.binary import Beside, measure
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.fusion import early
from pipeline.fusion.heads import FAMILIES, EarlyHead
from pipeline.plan import protocols
from pipeline.stage.registry import PROTOCOLS
from pipeline.training import embed, modality, pretrain
from pipeline.training.batches import evaluate
from pipeline.training.features import Unimodal
from pipeline.training.items import mean_by_horizon
from pipeline.training.loop import Examples, validate
from pipeline.training.modality import Feature
from pipeline.training.settings import Training

FLAWS = {
    1: ["test_published_flaws.test_flaw_1_patients_in_train_and_test",
        "test_cohort_split.test_sql_and_python_agree_for_every_patient"],
    2: ["test_published_flaws.test_flaw_2_readmission_looked_up_inside_the_cohort_alone",
        "test_published_flaws.test_flaw_2_overlapping_admissions_and_the_dead"],
    3: ["test_published_flaws.test_flaw_3_deaths_and_discharges_before_the_prediction_time"],
    4: ["test_published_flaws.test_flaw_4_hypotension_is_erased"],
    5: ["test_published_flaws.test_flaw_5_values_of_test_patients_move_the_bins_of_all"],
    6: ["test_note_doc2vec.test_reports_of_other_than_training_subjects_change_nothing",
        "test_note_doc2vec.test_inference_does_not_depend_on_what_was_inferred_before",
        "test_note_doc2vec."
        "test_training_is_repeatable_to_the_bit_and_the_kept_model_infers_like_the_trained"],
    7: ["test_flaws.test_flaw_7_the_threshold_is_chosen_on_validation"],
    8: ["test_flaws.test_flaw_8_a_feature_does_not_depend_on_its_neighbours_in_the_batch",
        "test_flaws.test_flaw_8_validation_leaves_batch_norm_as_it_is",
        "test_flaws.test_flaw_8_embedding_switches_to_evaluation"],
    9: ["test_flaws.test_flaw_9_encoders_never_see_the_rows_that_heads_are_fitted_on",
        "test_flaws.test_flaw_9_heads_are_fitted_on_the_fusion_share_alone",
        "test_flaws.test_flaw_9_the_early_head_need_not_be_linear"],
    10: ["test_flaws.test_flaw_10_single_and_fused_models_are_trained_alike",
         "test_plan_protocols.test_corrected_has_one_schedule_without_class_weights"],
    11: ["test_flaws.test_flaw_11_no_film_is_lost"],
    12: ["test_published_flaws.test_flaw_12_emergency_department_and_storetime",
         "test_published_flaws.test_flaw_12_signals_that_the_paper_lacks"],
    13: ["test_published_flaws.test_flaw_13_the_cohort_looks_ahead"],
}  # fmt: skip
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
CPU = torch.device("cpu")
both_protocols = pytest.mark.parametrize("protocol", PROTOCOLS)


def test_every_flaw_has_tests_that_exist():
    assert sorted(FLAWS) == list(range(1, 14))
    for names in FLAWS.values():
        assert names
        for name in names:
            file, function = name.split(".")
            tree = ast.parse((REPOSITORY / "tests" / f"{file}.py").read_text())
            found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
            assert function in found, name


def settings(protocol):
    return protocols.settings(CONFIG, protocol)


def schedule(protocol, modalities="c", model="unimodal", **change):
    """A training of a protocol, but for a change that makes it quick."""
    text = protocols.schedule(settings(protocol), modalities, model, "mortality")
    return json.loads(text) | change


def test_flaw_7_the_threshold_is_chosen_on_validation():
    def chosen(table):
        found = measure([table], "e_unimodal_x", Beside(), Resampling(count=20), 0)[0]
        return found["threshold"], [run["threshold"] for run in found["threshold"]["by_run"]]

    table = fold(0)
    plain, threshold = chosen(table)
    test = table["split"] == "test"
    for column in ("probability", "label"):
        turned = pl.when(test).then(1 - pl.col(column)).otherwise(column)
        found, same = chosen(table.with_columns(turned.cast(table.schema[column]).alias(column)))
        assert same == threshold
        assert found["sensitivity"]["value"] != plain["sensitivity"]["value"]
    raised = pl.when(split="val").then(pl.col("probability").sqrt()).otherwise("probability")
    assert np.all(np.array(chosen(table.with_columns(probability=raised))[1]) > threshold)


def films(hours, brightness=None, pixels=64, seed=0):
    """Episodes with films at these hours; `brightness` is added to those of each episode."""
    count = [len(own) for own in hours]
    image = np.random.default_rng(seed).integers(0, 100, (sum(count), pixels, pixels), np.uint8)
    image = image + np.repeat(brightness or [0] * len(count), count)[:, None, None]
    return Films(
        hours=np.array([h for own in hours for h in own], np.float32), start=np.cumsum([0, *count]),
        arrays=[image.astype(np.uint8)], chunk=np.zeros(sum(count), int),
        row=np.arange(sum(count)), shape=(pixels, pixels),
    )  # fmt: skip


def cxr_model(protocol, **change):
    """ResNet-18 as the protocol's settings build it, with BatchNorm as after some training."""
    torch.manual_seed(0)
    given = settings(protocol)["cxr"] | {"pretrained": [], "augment": None, **change}
    model = Unimodal(Feature(ENCODER.network(given, None, np.zeros(0, int))))
    with torch.no_grad():
        model.train()(films([[1.0]] * 16, seed=9).batch(np.arange(16)))
    return model


@pytest.mark.parametrize(
    ("protocol", "change"),
    [("corrected", {}), ("published", {}), ("published", {"one_by_one": False})],
)
def test_flaw_8_a_feature_does_not_depend_on_its_neighbours_in_the_batch(protocol, change):
    """The published model would, in training mode, if films did not pass its network one by one."""
    given = Training(**schedule(protocol))
    hours = [[3.0, 9.0], [30.0], [5.0]]
    dark, bright = films(hours, [0, 0, 0]), films(hours, [0, 100, 150])
    made = [
        evaluate(cxr_model(protocol, **change), data, np.arange(3), 3, CPU, given.eval_mode)[0]
        for data in (dark, bright)
    ]
    apart = (made[0] - made[1]).abs().max().item()
    assert (apart < 1e-5) == (not change)
    assert (apart > 1e-2) == bool(change)


@both_protocols
def test_flaw_8_validation_leaves_batch_norm_as_it_is(protocol):
    given, model = Training(**schedule(protocol)), cxr_model(protocol)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    data = films([[1.0], [2.0], [3.0], [4.0]], pixels=64)
    examples = Examples(data, np.array([0, 1, 0, 1]), np.arange(0), np.arange(4))
    assert validate(model, examples, given, CPU) is not None
    moved = {
        name for name, value in model.state_dict().items() if not torch.equal(value, start[name])
    }
    assert bool(moved) == (protocol == "published")
    assert all("running" in name or "num_batches" in name for name in moved)


IDS = np.arange(100, 180)
SPLITS = np.array(["train"] * 30 + ["fusion"] * 24 + ["val"] * 16 + ["test"] * 10)
LABEL = (IDS % 2).astype(np.int8)


TOY = {"encoder": "toy", "before": None}


class ToyData:
    """A small image per episode, brighter with the label; `brighter`: an episode to brighten."""

    def __init__(self, episodes, brighter):
        random = np.random.default_rng(0)
        self.image = random.normal(size=(len(episodes), 1, 4, 4)).astype(np.float32)
        self.image += (0.6 * (episodes % 2))[:, None, None, None].astype(np.float32)
        self.image[episodes == brighter] += 50

    def batch(self, rows):
        return {"image": torch.from_numpy(self.image[rows])}

    def present(self):
        return np.ones(len(self.image), bool)


class ToyNetwork(nn.Module):
    widths = {"t": 512}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.norm, self.linear = OneByOneNorm(1), nn.Linear(16, 512)

    def forward(self, batch, horizons):
        feature = self.linear(self.norm(batch["image"]).flatten(1))[:, None]
        return {"t": (feature, feature.new_ones(feature.shape[:2]).bool())}


class Toy:
    def data(self, given, episodes):
        return ToyData(episodes, given["brighter"])

    def network(self, given, data, train):
        return ToyNetwork()


@pytest.fixture
def stages(tmp_path, monkeypatch):
    """Runs pretrain, embed and early of a protocol on a toy modality."""
    monkeypatch.setattr(modality, "find", lambda name, encoder: Toy())
    episodes = pl.DataFrame({"episode_id": IDS, "subject_id": IDS, "split": SPLITS})
    episodes.write_parquet(tmp_path / "episodes.parquet")

    def run(module, label, **flags):
        labels = episodes.select("episode_id", eligible=True).with_columns(label=label)
        labels.write_parquet(tmp_path / "labels.parquet")
        common = {name: tmp_path / f"{name}.parquet" for name in ("episodes", "labels")}
        common |= {"task": "mortality", "seeds": 0, "torch-threads": 1, "device": "cpu"}
        words = [(f"--{k.replace('_', '-')}", str(v)) for k, v in (common | flags).items()]
        monkeypatch.setattr(sys, "argv", ["stage", *(word for pair in words for word in pair)])
        module.main()

    class Stages:
        def __init__(self, protocol):
            self.found, self.protocol = settings(protocol), protocol
            self.schedule = json.dumps(schedule(protocol, epochs=2))

        def pretrain(self, name, label=LABEL):
            given = {"data": json.dumps({"toy": TOY | {"brighter": -1}}), "schedule": self.schedule}
            run(pretrain, label, **given, output=tmp_path / name)
            return tmp_path / name / "seed0.safetensors"

        def embed(self, name, weights, label=LABEL, brighter=-1):
            own, data = tmp_path / name, json.dumps({"toy": TOY | {"brighter": brighter}})
            given = {"head_on": self.found["head_on"], "schedule": self.schedule, "data": data}
            run(embed, label, **given, weights=weights, heads=own, output=own / "embeddings",
                predictions=own / "predictions")  # fmt: skip
            return own / "embeddings", own / "head_seed0.safetensors"

        def early(self, name, embeddings, label=LABEL):
            given = {"head_on": self.found["head_on"], "embeddings": embeddings, "letters": "t"}
            given |= {"model": "early", "weights": tmp_path / name}
            given["modality_dropout"] = self.found["modality_dropout"]
            given["schedule"] = json.dumps(schedule(self.protocol, "ec", "early", epochs=2))
            outputs = {key: tmp_path / name / key for key in ("absent", "output")}
            run(early, label, **given, **outputs)
            return tmp_path / name / "seed0.safetensors"

    return Stages


@both_protocols
def test_flaw_8_embedding_switches_to_evaluation(stages, protocol):
    """In training mode an image is normalised by itself, and its brightness is gone.

    What the single model predicts is made in evaluation mode in both protocols.
    """
    made = stages(protocol)
    weights = made.pretrain("encoder")
    paths = [made.embed(f"embed{episode}", weights, brighter=episode)[0] for episode in (-1, 175)]
    tables = [pl.read_parquet(path).sort("episode_id") for path in paths]
    plain, brighter = (np.stack(table["embedding"].to_list()) for table in tables)
    said = [pl.read_parquet(path.with_name("predictions")).sort("episode_id") for path in paths]
    moved = (said[0]["probability"] - said[1]["probability"]).abs()
    assert moved[75] > 0.01
    assert moved.sum() - moved[75] < 1e-5
    apart = np.abs(plain - brighter).max(axis=1)
    assert apart[np.arange(80) != 75].max() < 1e-5
    assert (apart[75] > 1) == (protocol == "corrected")


def flipped(split):
    return np.where(split == SPLITS, 1 - LABEL, LABEL).astype(np.int8)


@both_protocols
def test_flaw_9_encoders_never_see_the_rows_that_heads_are_fitted_on(stages, protocol):
    made = stages(protocol)
    plain = made.pretrain("plain").read_bytes()
    changes = {s: made.pretrain(s, flipped(s)).read_bytes() != plain for s in ("train", "fusion")}
    assert changes == {"train": True, "fusion": False}
    assert (made.found["head_on"] == "fusion") == (protocol == "corrected")


@both_protocols
def test_flaw_9_heads_are_fitted_on_the_fusion_share_alone(stages, protocol):
    made = stages(protocol)
    weights = made.pretrain("encoder")
    embeddings, _ = made.embed("embedded", weights)
    plain = load_file(made.early("plain", embeddings))
    for split in ("train", "fusion"):
        head = load_file(made.early(split, embeddings, flipped(split)))
        moved = any(not torch.equal(value, plain[name]) for name, value in head.items())
        assert moved == (split == made.found["head_on"])
    single = [made.embed(s, weights, flipped(s))[1].read_bytes() for s in ("train", "fusion")]
    assert (single[0] != single[1]) == (protocol == "corrected")  # published: not fitted again


def additivity(head, modalities=1):
    """Whether a head maps the sum of two embeddings to the sum of what it makes of each."""
    here = torch.ones(4, modalities, dtype=torch.bool)
    one, two = 9 * torch.randn(2, modalities, 512)
    batch = {"embedding": torch.stack([one + two, one, two, 0 * one]), "here": here}
    both, first, second, none = head.eval()(batch)[:, 1] - head.eval()(batch)[:, 0]
    return torch.allclose(both + none, first + second, atol=1e-2)


def test_flaw_9_the_early_head_need_not_be_linear():
    """The paper's two layers are one; the corrected protocol may choose a layer of hidden units."""
    torch.manual_seed(0)
    assert additivity(EarlyHead(1))
    family, tried = FAMILIES["early"]
    linear = {}
    for hidden in {shape.hidden for shape in tried}:
        head = family(torch.zeros(1, 512), torch.eye(512)[None], hidden, torch.Generator()).float()
        for weight in head.parameters():
            weight.data.normal_()
        linear[hidden] = additivity(head)
    assert linear == {0: True, 4: False, 16: False}


TRAININGS = ["e_unimodal", "c_unimodal", "n_unimodal", "ecn_early", "ecn_joint", "en_late-averaged"]


def test_flaw_10_single_and_fused_models_are_trained_alike(fresh):
    """By the commands that the workflow would run."""
    for protocol, folder in {"corrected": "results", "published": "results/published"}.items():
        targets = [f"{folder}/{name}_mortality.json" for name in TRAININGS]
        outcome = fresh.snakemake("--dry-run", "--printshellcmds", *targets)
        assert outcome.status == 0, outcome.text
        jobs = re.findall(r"-m +(pipeline\S+) .*?--schedule '([^']+)'", outcome.text)
        stages = {"training.pretrain", "training.embed", "fusion.early", "fusion.joint"}
        assert {module for module, _ in jobs} == {f"pipeline.{stage}" for stage in stages}
        assert len(jobs) == 3 + 3 + 3
        different = {text for _, text in jobs}
        assert len(different) == (1 if protocol == "corrected" else 3)  # e; c and n; multimodal


@both_protocols
@torch.no_grad()
def test_flaw_11_no_film_is_lost(protocol):
    encoder = cxr_model(protocol).feature.eval()
    data, other = (films([[12.0, 20.0]], seed=seed) for seed in (0, 1))
    batch, each = data.batch(np.array([0])), torch.eye(2)
    mean, _ = mean_by_horizon(each, batch, [torch.inf], encoder.network.hours_scale)
    earlier, later = mean[0, 0].tolist()
    assert earlier < later
    assert (earlier > 0.4) == (protocol == "corrected")
    assert (earlier < 0.001) == (protocol == "published")
    other.arrays[0][1] = data.arrays[0][1]  # the later film is the same, the earlier is not
    feature, changed = (encoder(d.batch(np.array([0])))[0] for d in (data, other))
    moved = ((feature - changed).norm() / feature.norm()).item()
    assert (moved > 1e-2) == (protocol == "corrected")
