"""Vision networks by name: which weights, how films are shown to them, each film embedded once."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from encoder_data import films
from safetensors.torch import load_file, save_file
from torchvision.models import get_model
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

from pipeline.cxr import backbone, embed
from pipeline.cxr.backbone import IMAGENET, AsShown, Shown, digest_of_weights, load_backbone
from pipeline.cxr.decode import DECODED
from pipeline.cxr.encoder_backbone import ENCODER, BackboneNetwork
from pipeline.cxr.encoder_resnet18 import ENCODER as RESNET18
from pipeline.cxr.films import FILMS
from pipeline.stage.errors import InputError
from pipeline.stage.store import append, read_index, size_folder
from pipeline.training import pace
from pipeline.training.modality import Feature

SMALL = "shufflenet_v2_x0_5"  # a network of few weights
PREPROCESSOR = {
    "size": {"height": 32, "width": 32}, "image_mean": [0.1, 0.2, 0.3],
    "image_std": [0.5, 0.6, 0.7], "rescale_factor": 1 / 255,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small vision transformer of random weights, as transformers writes it."""
    made = tmp_path_factory.mktemp("models") / "vit"
    torch.manual_seed(0)
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=16, image_size=32, patch_size=16)  # fmt: skip
    ViTModel(config, add_pooling_layer=False).save_pretrained(made)
    (made / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a torchvision network as safetensors."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / f"{SMALL}.safetensors"
    save_file(get_model(SMALL, weights=None).state_dict(), path)
    return str(path)


def grey(count=3, pixels=32, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, pixels, pixels), np.uint8)
    return torch.from_numpy(images)


def by_hand(film, mean, sd):
    image = film.float()[:, None].expand(-1, 3, -1, -1) / 255
    return (image - torch.tensor(mean)[:, None, None]) / torch.tensor(sd)[:, None, None]


@torch.no_grad()
def test_a_folder_gets_films_by_its_own_mean_and_sd_and_gives_its_class_token(folder):
    made = load_backbone(str(folder), None)
    assert (made.width, made.training) == (16, False)
    model = ViTModel.from_pretrained(folder, add_pooling_layer=False).eval()
    image = by_hand(grey(), PREPROCESSOR["image_mean"], PREPROCESSOR["image_std"])
    expected = model(pixel_values=image).last_hidden_state[:, 0]
    torch.testing.assert_close(made(grey()), expected, atol=1e-5, rtol=1e-5)
    assert made(grey(2, pixels=48)).shape == (2, 16)  # shrunk to the size that it asks for
    assert made(grey(0)).shape == (0, 16)


@torch.no_grad()
def test_torchvision_weights_get_films_by_their_meta_and_lose_their_classes(weights):
    made = load_backbone(SMALL, weights)
    assert made.show.shown == Shown(mean=IMAGENET.mean, sd=IMAGENET.sd, size=224)
    net = get_model(SMALL, weights=None)
    net.load_state_dict(load_file(weights))
    net.fc = torch.nn.Identity()
    film = grey(2, pixels=224)
    expected = net.eval()(by_hand(film, IMAGENET.mean, IMAGENET.sd))
    torch.testing.assert_close(made(film), expected, atol=1e-4, rtol=1e-4)
    assert made.width == expected.shape[1]


def test_weights_are_shown_films_as_their_own_meta_says():
    own, other = (
        backbone._meta("regnet_y_16gf", f"/w/{name}.safetensors").crop_size
        for name in ("regnet_y_16gf-IMAGENET1K_SWAG_E2E_V1", "mine")
    )
    assert (own, other) == ([384], [224])


def test_films_smaller_than_the_weights_expect_are_warned_of_once(folder, caplog):
    settings = {"trained": "finetuned", "model": str(folder), "weights": None, "pixels": 31,
                "hours_scale": 48, "augment": None}  # fmt: skip
    for _ in range(2):
        ENCODER.network(settings, None, np.arange(0))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "decoded at 31 pixels and enlarged to the 32" in caplog.text
    ENCODER.network(settings | {"pixels": 32}, None, np.arange(0))
    assert len(caplog.records) == 1


def test_what_embedding_takes_is_measured_of_a_frozen_network(folder):
    asked = SimpleNamespace(device="cpu", torch_threads=1, precision="fp32")
    settings = {"encoder": "backbone", "model": str(folder), "weights": None, "pixels": 32}
    found = pace.frozen("cxr", settings, asked)
    assert found["items"] == "films" and found["seconds"] > 0


def test_a_network_of_random_start_gets_films_as_they_are():
    made = load_backbone(SMALL, None)
    assert made.show.shown == Shown()
    torch.testing.assert_close(made.show(grey()), by_hand(grey(), [0, 0, 0], [1, 1, 1]))
    published = AsShown()(grey())
    assert torch.equal(published, grey().float().div(255).unsqueeze(1).expand(-1, 3, -1, -1))


@pytest.mark.parametrize("standardise", [True, False])
def test_resnet18_standardises_for_weights_of_imagenet_alone(tmp_path, standardise):
    torch.manual_seed(0)
    save_file(get_model("resnet18", weights=None).state_dict(), tmp_path / "w.safetensors")
    settings = {"hours_scale": 48, "one_by_one": False, "augment": None}
    settings |= {"standardise": standardise, "pretrained": str(tmp_path / "w.safetensors")}
    assert RESNET18.network(settings, None, None).show.shown == (IMAGENET if standardise else None)
    random = RESNET18.network(settings | {"pretrained": []}, None, None)
    assert random.show.shown is None


def test_a_model_that_is_no_network_of_pictures_is_refused_in_one_line(folder, tmp_path):
    with pytest.raises(InputError, match="torchvision knows no network densenet_121"):
        load_backbone("densenet_121", None)
    with pytest.raises(InputError, match="does not end in one linear layer"):
        load_backbone("squeezenet1_0", None)
    with pytest.raises(InputError, match=f"expected torchvision's {SMALL}"):
        save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
        load_backbone(SMALL, str(tmp_path / "other.safetensors"))
    bert = tmp_path / "bert"
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=8)  # fmt: skip
    BertModel(config).save_pretrained(bert)
    with pytest.raises(InputError, match=r"cxr\.backbone\.model: .* has no preprocessor_config"):
        load_backbone(str(bert), None)
    (bert / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    with pytest.raises(InputError, match="is a bert, expected a model of pictures"):
        load_backbone(str(bert), None)
    (bert / "preprocessor_config.json").write_text(json.dumps({"size": 32, "image_mean": [0.5]}))
    with pytest.raises(InputError, match=r"expected size \(pixels\), image_mean"):
        load_backbone(str(bert), None)


def test_weights_that_a_folder_lacks_are_not_drawn_at_random(folder, tmp_path):
    state = load_file(folder / "model.safetensors")
    lost = next(name for name in state if "attention" in name)
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    save_file({k: v for k, v in state.items() if k != lost}, tmp_path / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    with pytest.raises(InputError, match="lacks 1 weights of a vit"):
        load_backbone(str(tmp_path), None)


def test_a_fine_tuned_network_learns_whole_and_gives_the_width_of_heads(folder):
    torch.manual_seed(0)
    settings = {"trained": "finetuned", "hours_scale": 48, "augment": None, "pixels": 64}
    made = ENCODER.network(settings | {"model": str(folder), "weights": None}, None, None)
    assert isinstance(made, BackboneNetwork)
    batch = films([[1.0, 2.0], [], [3.0]], pixels=32).batch(np.arange(3))
    feature, present = made.train()(batch, [2.0, torch.inf])["c"]
    assert feature.shape == (3, 2, 512)
    assert present.tolist() == [[True, True], [False, False], [False, True]]
    feature.square().sum().backward()
    assert all(p.grad is not None for p in made.backbone.parameters())
    assert Feature(made.eval())(batch).shape == (3, 512)


@pytest.fixture
def cohort(tmp_path):
    """Five decoded films of two episodes, in the store and in the tables."""
    images = grey(5).numpy()
    names = [f"film{k}" for k in range(5)]
    shard = size_folder(tmp_path / "films", 32) / "p10"
    append(shard, pl.DataFrame({"dicom_id": names, "stamp": names}), images, "dicom_id")
    places = read_index(shard, "dicom_id").with_columns(fault=pl.lit(None, pl.String))
    rows = [(k % 2, name, 10, 5, 60 * k) for k, name in enumerate(names)]
    pl.DataFrame(rows, schema=FILMS.columns, orient="row").write_parquet(tmp_path / "films.parquet")
    (tmp_path / "decoded").mkdir()

    def table(some):
        places.filter(pl.col("dicom_id").is_in(some)).select(list(DECODED.columns)).write_parquet(
            tmp_path / "decoded" / "p10.parquet"
        )

    table(names)
    return tmp_path, images, table


def embedded(monkeypatch, tmp_path, model, weights=(), **change):
    options = {"model": model, "pixels": 32, "torch-threads": 1, "device": "cpu"}
    options |= {"decoded": tmp_path / "decoded/p10.parquet", "films-store": tmp_path / "films"}
    options |= {"store": tmp_path / "vectors", "output": tmp_path / "embedded.parquet"}
    options |= {"facts": tmp_path / "embedded.json", **change}
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["embed", *given, "--weights", *weights])
    embed.main()
    return json.loads((tmp_path / "embedded.json").read_text())


def chunks(tmp_path):
    return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "vectors").rglob("*.npy")}


def test_each_film_is_embedded_once_and_a_changed_cohort_embeds_new_ones_alone(
    folder, cohort, monkeypatch
):
    tmp_path, images, table = cohort
    table(["film0", "film1"])
    facts = embedded(monkeypatch, tmp_path, folder)
    assert facts["weights_sha256"] == digest_of_weights(str(folder), None)
    assert (facts["width"], facts["size"], facts["precision"]) == (16, 32, "fp32")
    first = chunks(tmp_path)
    table([f"film{k}" for k in range(1, 5)])
    embedded(monkeypatch, tmp_path, folder)
    after = chunks(tmp_path)
    assert len(first) == 1
    assert first.items() <= after.items()  # none is deleted, none made again
    assert len(after) == 2
    places = pl.read_parquet(tmp_path / "embedded.parquet")
    assert places["dicom_id"].to_list() == [f"film{k}" for k in range(1, 5)]
    embedded(monkeypatch, tmp_path, folder)
    assert chunks(tmp_path) == after
    settings = {
        "trained": "frozen",
        "films": tmp_path / "films.parquet",
        "hours_scale": 48.0,
        "embedded": tmp_path / "embedded.parquet",
        "store": tmp_path / "vectors",
    }
    data = ENCODER.data({**settings, "before": None}, np.array([0, 1, 7]))
    assert data.present().tolist() == [True, True, False]
    vector = data.batch(np.array([1]))["vector"]  # of films 1 and 3
    expected = load_backbone(str(folder), None)(torch.from_numpy(images[[1, 3]]))
    torch.testing.assert_close(vector, expected.detach(), atol=1e-5, rtol=1e-5)
    early = ENCODER.data({**settings, "before": 2}, np.array([0, 1]))
    assert np.diff(early.start).tolist() == [0, 1]  # films 0, embedded before, and 2 are later
    network = ENCODER.network(settings, data, np.array([0, 1]))
    standard = (data.batch(np.array([0, 1]))["vector"] - network.mean) / network.scale
    assert standard.std(dim=0, correction=0).mean() == pytest.approx(1, abs=1e-3)
    assert Feature(network)(data.batch(np.arange(3))).shape == (3, 512)


def test_other_weights_and_another_precision_have_a_store_of_their_own(
    folder, weights, cohort, monkeypatch
):
    tmp_path, _, _ = cohort
    embedded(monkeypatch, tmp_path, folder)
    facts = embedded(monkeypatch, tmp_path, folder, precision="bf16")
    assert facts["precision"] == "bf16"
    embedded(monkeypatch, tmp_path, SMALL, [weights])
    assert len(list((tmp_path / "vectors").iterdir())) == 3
    with pytest.raises(InputError, match="a frozen network of random weights"):
        embedded(monkeypatch, tmp_path, SMALL)
