"""`make weights`: what the config names is fetched once, from a hub on the loopback address."""

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree

import pytest
import torch
import yaml
from hub_server import COMMIT, Hub
from huggingface_hub import constants
from safetensors.torch import load_file
from text_models import text_model
from torchvision.models import ShuffleNet_V2_X0_5_Weights, get_model
from transformers import AutoModel, ViTConfig, ViTModel

from pipeline.note.bert import load_text_model
from pipeline.note.pieces import load_tokenizer
from pipeline.plan import configuration, named
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT
from pipeline.weights import fetch
from pipeline.weights.convert import check_sums, to_safetensors

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SMALL = "shufflenet_v2_x0_5"
PREPROCESSOR = {"size": {"height": 32, "width": 32}, "image_mean": [0.1, 0.2, 0.3],
                "image_std": [0.5, 0.6, 0.7]}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A RoBERTa as safetensors, the same as a pickle, and a vision transformer."""
    folder = tmp_path_factory.mktemp("models")
    safe = text_model("roberta", folder / "roberta")
    (safe / "own.py").write_text("raise SystemExit")
    pickled = copytree(safe, folder / "pickled")
    torch.save(load_file(safe / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    vit = folder / "vit"
    torch.manual_seed(0)
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=16, image_size=32, patch_size=16)  # fmt: skip
    ViTModel(config, add_pooling_layer=False).save_pretrained(vit)
    (vit / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return {"roberta": safe, "pickled": pickled, "vit": vit}


@pytest.fixture
def hub(models, monkeypatch):
    """The hub, and a client that may reach it, whatever this process did before."""
    made = Hub()
    for name, folder in models.items():
        made.add(f"some/{name}", folder)
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for name in fetch.OFFLINE:
        monkeypatch.setenv(name, "1")
    yield made
    made.close()


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Writes a config with these keys, and calls the command; gives the config."""

    def run(*more, **keys):
        config = json.loads(json.dumps(CONFIG)) | {"weights": str(tmp_path / "weights")}
        for key, value in keys.items():
            section, *path, last = key.split("__")
            part = config[section]
            for name in path:
                part = part[name]
            part[last] = value
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        monkeypatch.setattr(sys, "argv", ["fetch", "--config", str(tmp_path / "config.yaml"),
                                          *more])  # fmt: skip
        fetch.main()
        return config

    return run


def hidden(folder):
    return sorted(path.name for path in folder.glob("*/.*"))


def test_a_model_of_the_hub_is_fetched_once_and_is_what_jobs_load(
    hub, make, tmp_path, models, capsys, monkeypatch
):
    config = make(note__bert__model="some/roberta@v1", cxr__backbone__model="some/vit@v1")
    told = capsys.readouterr().out
    assert "some/roberta@v1: licence: mit; 0." in told
    assert told.index("some/vit@v1: licence") < told.index("some/roberta@v1 is at")  # all, before
    folder = tmp_path / "weights/some/roberta@v1"
    assert {path.name for path in folder.iterdir()} == {
        "SHA256SUMS", "SOURCE.txt", "config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert f"commit {COMMIT}\nlicence mit" in (folder / "SOURCE.txt").read_text()
    assert not any(request.endswith(".py") for _, request in hub.asked)
    hub.asked.clear()
    make(note__bert__model="some/roberta@v1", cxr__backbone__model="some/vit@v1")
    assert hub.asked == []
    located = configuration.check(config)
    assert located.note.bert.model == str(folder)
    assert located.cxr.backbone.model == str(tmp_path / "weights/some/vit@v1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    made, plain = load_text_model(str(folder)), AutoModel.from_pretrained(models["roberta"])
    assert torch.equal(made.net.embeddings.word_embeddings.weight,
                       plain.embeddings.word_embeddings.weight)  # fmt: skip
    assert hub.asked == []


def test_a_pickle_is_converted_once_and_is_gone(hub, make, tmp_path, models):
    make(note__bert__model="some/pickled@v1")
    folder = tmp_path / "weights/some/pickled@v1"
    assert not list(folder.glob("*.bin"))
    made, plain = (load_file(f / "model.safetensors") for f in (folder, models["roberta"]))
    assert made.keys() == plain.keys()
    assert all(torch.equal(made[name], value) for name, value in plain.items())
    assert load_tokenizer(str(folder))("Clear lungs")["input_ids"]


class Code:
    """What runs where a pickle of it is read."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("kind", ["zip", "plain"])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(hub, make, tmp_path, models, kind):
    folder, marker = copytree(models["pickled"], tmp_path / "evil"), tmp_path / "ran"
    state = {"weight": torch.zeros(1), "more": Code(marker)}
    if kind == "zip":
        torch.save(state, folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(state))
    hub.add("some/evil", folder)
    with pytest.raises(InputError, match=r"pytorch_model\.bin is refused: it holds more") as error:
        make(note__bert__model="some/evil@v1")
    assert "\n" not in str(error.value)
    assert not marker.exists()
    assert not (tmp_path / "weights/some/evil@v1").exists()


@pytest.mark.parametrize("content", [b"", b"no weights", {"epoch": 3}, [torch.zeros(1)]])
def test_what_is_no_file_of_weights_is_refused(tmp_path, content):
    path = tmp_path / "x.bin"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=r"x\.bin is (refused|no file of weights)"):
        to_safetensors([path], tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_half_a_download_is_no_model_and_the_next_call_finishes_it(hub, make, tmp_path):
    hub.cut["model.safetensors"] = 100
    with pytest.raises(InputError, match=r"cut off or refused .* call `make weights` again"):
        make(note__bert__model="some/roberta@v1")
    folder = tmp_path / "weights/some/roberta@v1"
    assert not folder.exists()
    assert hidden(tmp_path / "weights") == [f".roberta@v1.{COMMIT[:12]}.part"]
    hub.cut.clear()
    hub.asked.clear()
    make(note__bert__model="some/roberta@v1")
    fetched = [path.rsplit("/", 1)[-1] for method, path in hub.asked
               if method == "GET" and "resolve" in path]  # fmt: skip
    assert "model.safetensors" in fetched
    assert "config.json" not in fetched  # was there whole
    check_sums(folder)
    assert hidden(tmp_path / "weights") == []


def test_a_download_that_is_cut_off_once_goes_on_where_it_was(hub, make, tmp_path):
    hub.cut["model.safetensors"] = 1
    make(note__bert__model="some/roberta@v1")
    check_sums(tmp_path / "weights/some/roberta@v1")


def test_a_file_that_is_not_the_one_that_the_hub_tells_is_refused(hub, make, tmp_path, monkeypatch):
    plain = Hub._page

    def other(self, name, rest, request):
        files = self.models[name]["files"]
        true = files["model.safetensors"]
        files["model.safetensors"] = true[:-1] + bytes([true[-1] ^ 1])
        plain(self, name, rest, request)
        files["model.safetensors"] = true

    monkeypatch.setattr(Hub, "_page", other)
    with pytest.raises(InputError, match="differs from the digest that the hub tells"):
        make(note__bert__model="some/roberta@v1")
    assert not (tmp_path / "weights/some/roberta@v1").exists()


def test_a_changed_file_is_refused_by_the_next_call_in_one_line(hub, make, tmp_path):
    make(note__bert__model="some/roberta@v1")
    path = tmp_path / "weights/some/roberta@v1/config.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(InputError, match=r"config\.json differs from its digest in SHA256SUMS; "
                                         "remove .*roberta@v1 and call"):  # fmt: skip
        make(note__bert__model="some/roberta@v1")
    path.unlink()
    with pytest.raises(InputError, match=r"config\.json is missing"):
        make(note__bert__model="some/roberta@v1")


def test_a_model_without_a_licence_is_fetched_only_where_the_user_may_use_it(hub, make, models):
    hub.add("some/free", models["roberta"], licence=None)
    with pytest.raises(InputError, match=r"some/free@v1: it states no licence.*--without-licence"):
        make(note__bert__model="some/free@v1")
    assert not any("resolve" in path for _, path in hub.asked)
    make("--without-licence", "some/free", note__bert__model="some/free@v1")


def test_a_gated_model_says_what_to_do_and_nothing_is_accepted(hub, make, monkeypatch):
    monkeypatch.setattr("builtins.input", None)
    hub.gated.add("some/roberta")
    with pytest.raises(InputError, match=f"accept them at {hub.url}/some/roberta, set HF_TOKEN"):
        make(note__bert__model="some/roberta@v1")
    assert {method for method, _ in hub.asked} == {"GET"}
    assert not any("resolve" in path for _, path in hub.asked)


@pytest.mark.parametrize(("name", "why"), [
    ("some/nothing@v1", "no model at"),
    ("some/roberta@v2", "some/roberta has no revision v2"),
    ("some/roberta", r"config\.note\.bert\.model: some/roberta names no revision"),
])  # fmt: skip
def test_what_the_hub_does_not_have_is_one_line(hub, make, name, why):
    with pytest.raises(InputError, match=why) as error:
        make(note__bert__model=name)
    assert "\n" not in str(error.value)


def test_what_jobs_would_refuse_is_refused_where_it_is_fetched(hub, make, tmp_path, models):
    folder = copytree(models["roberta"], tmp_path / "code")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "own.X"}}))
    hub.add("some/code", folder)
    with pytest.raises(InputError, match=r"jobs cannot use it: .* code of model folders is never"):
        make(note__bert__model="some/code@v1")
    assert not (tmp_path / "weights/some/code@v1").exists()


def test_weights_of_torchvision_are_fetched_by_their_name(hub, make, tmp_path, monkeypatch):
    torch.manual_seed(0)
    state = get_model(SMALL, weights=None).state_dict()
    folder = tmp_path / "torchvision"
    folder.mkdir()
    torch.save(state, folder / "small.pth")
    hub.add("some/torchvision", folder)
    value = ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.value
    monkeypatch.setattr(value, "url", f"{hub.url}/models/small.pth")
    keys = {"cxr__backbone__model": SMALL, "cxr__backbone__weights": "IMAGENET1K_V1"}
    config = make(**keys)
    path = tmp_path / f"weights/torchvision/{SMALL}@IMAGENET1K_V1/{SMALL}-IMAGENET1K_V1.safetensors"
    assert configuration.check(config).cxr.backbone.weights == str(path)
    assert all(torch.equal(value, state[name]) for name, value in load_file(path).items())
    hub.asked.clear()
    make(**keys)
    assert hub.asked == []
    path.unlink()
    with pytest.raises(InputError, match=r"safetensors is missing; remove .* and call"):
        make(**keys)
    with pytest.raises(InputError, match="has no weights IMAGENET1K_V9; expected one of IMAGENET"):
        make(**keys | {"cxr__backbone__weights": "IMAGENET1K_V9"})
    monkeypatch.setattr(value, "url", f"{hub.url}/models/small-{'0' * 8}.pth")
    hub.add("some/other", folder)
    hub.models["some/other"]["files"] = {f"small-{'0' * 8}.pth": b"another file"}
    (path.parent / "SOURCE.txt").unlink()
    (path.parent / "SHA256SUMS").unlink()
    path.parent.rmdir()
    with pytest.raises(InputError, match="invalid hash value"):
        make(**keys)


def test_names_that_were_not_fetched_end_the_plan_with_what_to_do():
    config = json.loads(json.dumps(CONFIG)) | {"weights": "/no/weights"}
    config["note"]["bert"]["model"] = "some/roberta@v1"
    config["cxr"]["backbone"]["model"] = "some/vit@v1"  # of an encoder that no model uses
    with pytest.raises(InputError) as error:
        configuration.check(config)
    assert str(error.value) == (
        "config.note.bert.model: some/roberta@v1 is not below /no/weights; fetch it with `make "
        "weights` (CONFIG= the file that names it) on a machine with a net, or set weights to the "
        "folder that has it"
    )
    named.locate(config)
    assert config["note"]["bert"]["model"] == "/no/weights/some/roberta@v1"


def test_the_command_goes_online_by_itself_and_jobs_stay_offline(hub, models, tmp_path):
    config = tmp_path / "config.yaml"
    text = (ROOT / "config.yaml").read_text().replace("bert: { model: null",
                                                      "bert: { model: some/roberta@v1")  # fmt: skip
    config.write_text(text)
    (tmp_path / "over.yaml").write_text(f"weights: {tmp_path / 'weights'}\n")
    command = [sys.executable, "-m", "pipeline.weights.fetch", "--config", str(config),
               str(tmp_path / "over.yaml")]  # fmt: skip
    plain = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "some/roberta@v1: licence: mit" in done.stdout
    assert (tmp_path / "weights/some/roberta@v1/model.safetensors").is_file()
    code = "import pipeline.note.bert, huggingface_hub; print(huggingface_hub.is_offline_mode())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=plain, capture_output=True,
                          text=True)  # fmt: skip
    assert done.stdout.strip() == "True", done.stderr
