"""Model folders run no code, ask nothing and call nobody; pickled weights are refused."""

import ast
import builtins
import json
import os
import socket
import subprocess
import sys
from shutil import copytree

import pytest
import torch
from huggingface_hub import constants
from transformers import BertConfig, BertModel

from pipeline.note.bert import load_text_model
from pipeline.note.pieces import SPECIAL, load_tokenizer
from pipeline.stage.errors import InputError
from pipeline.stage.model_folders import model_folder, why_not
from pipeline.stage.modules import ROOT

LOADERS = (load_text_model, load_tokenizer)
HUB = "somebody/some-bert"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A BERT of random weights with its pieces."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    torch.manual_seed(0)
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=8)  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*SPECIAL, *"abcdefgh"]))
    return folder


@pytest.fixture
def alone(monkeypatch):
    """Fails where a socket is opened, a name is looked up or a prompt is read."""

    def refuse(*_, **__):
        raise AssertionError("a job opened a connection, or asked the user")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(builtins, "input", refuse)


def with_code(folder, marker, file="config.json"):
    """Adds code to a model folder, and to one of its files the `auto_map` that names it."""
    code = "from pathlib import Path\nfrom transformers import BertConfig\n"
    code += f"Path({str(marker)!r}).touch()\n\n\nclass Own(BertConfig):\n    pass\n"
    (folder / "own.py").write_text(code)
    path = folder / file
    known = json.loads(path.read_text()) if path.is_file() else {}
    named = {"AutoConfig": "own.Own", "AutoTokenizer": ["own.Own", None]}
    path.write_text(json.dumps(known | {"auto_map": named}))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("load", LOADERS)
def test_code_of_a_model_folder_is_never_run_nor_asked_for(whole, alone, tmp_path, load, file):
    folder, marker = copytree(whole, tmp_path / "bert"), tmp_path / "ran"
    with_code(folder, marker, file)
    with pytest.raises(InputError, match=r"code of model folders is never run") as error:
        load(str(folder))
    assert file in str(error.value)
    assert not marker.exists()
    (refused,) = why_not(str(folder))  # before anything runs
    assert refused == str(error.value)


def test_even_unseen_code_is_not_run(whole, alone, tmp_path, monkeypatch):
    """The library is told so, too: with our own look at the folder switched off nothing runs."""
    folder, marker = copytree(whole, tmp_path / "bert"), tmp_path / "ran"
    with_code(folder, marker)
    for place in ("pipeline.note.bert", "pipeline.note.pieces"):
        monkeypatch.setattr(f"{place}.model_folder", lambda model: folder)
    for load in LOADERS:
        load(str(folder))
    assert not marker.exists()


def test_pickled_weights_are_refused_with_the_reason(whole, tmp_path):
    folder = copytree(whole, tmp_path / "bert")
    torch.save(load_text_model(str(whole)).net.state_dict(), folder / "pytorch_model.bin")
    assert load_text_model(str(folder)).width == 8  # of both, safetensors
    (folder / "pytorch_model.bin").write_bytes(b"no weights")
    assert load_text_model(str(folder)).width == 8
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a pickle, which can run code"):
        load_text_model(str(folder))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "../other.safetensors", "/w/a.safetensors"])
def test_an_index_may_name_nothing_but_safetensors_beside_it(whole, tmp_path, name):
    folder = copytree(whole, tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"embeddings.LayerNorm.bias": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"index\.json names .*; expected files \*\.safetensors"):
        load_text_model(str(folder))


def test_an_adapter_of_another_model_is_refused(whole, tmp_path):
    folder = copytree(whole, tmp_path / "bert")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/another"}')
    for load in LOADERS:
        with pytest.raises(InputError, match=r"an adapter of another model"):
            load(str(folder))


def calls_of(path):
    """Every call of a module: what is called, and its keywords as text."""
    tree = ast.parse(path.read_text())
    dicts = {  # `safe = {"trust_remote_code": False}`, passed as **safe
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and ast.unparse(node.value).startswith("{'local_files_only'")
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        keywords = {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}
        for word in (word for word in call.keywords if word.arg is None):
            keywords |= {k: str(v) for k, v in dicts.get(ast.unparse(word.value), {}).items()}
        yield ast.unparse(call.func), keywords


def test_each_load_says_that_no_code_is_run_and_no_pickle_read():
    loads = 0
    for path in (ROOT / "pipeline").rglob("*.py"):
        for name, keywords in calls_of(path):
            if name.endswith(".from_pretrained"):
                loads += 1
                assert keywords["trust_remote_code"] == "False", path
                assert keywords["local_files_only"] == "True", path
                if name.startswith("AutoModel"):
                    assert keywords["use_safetensors"] == "True", path
            if name == "torch.load":
                assert path.name == "convert.py"  # of `make weights`: of tensors alone
                assert keywords["weights_only"] == "True"
            if name in ("np.load", "np.save"):
                assert keywords["allow_pickle"] == "False", path
            assert not name.startswith(("pickle.", "joblib.", "cloudpickle.")), path
    assert loads >= 4


@pytest.mark.parametrize("load", LOADERS)
def test_a_hub_name_that_is_not_here_is_one_clear_message_and_no_connection(
    alone, tmp_path, monkeypatch, load
):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=f"no copy of the hub's {HUB}; nothing is downloaded"):
        load(HUB)


def test_a_hub_name_in_the_cache_is_loaded_from_there(whole, alone, tmp_path, monkeypatch):
    commit = "0" * 40
    (tmp_path / "models--somebody--some-bert/refs").mkdir(parents=True)
    (tmp_path / "models--somebody--some-bert/refs/main").write_text(commit)
    copytree(whole, tmp_path / f"models--somebody--some-bert/snapshots/{commit}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert model_folder(HUB).name == commit
    assert load_text_model(HUB).width == 8
    assert load_tokenizer(HUB)("abc")["input_ids"]


def test_a_stage_is_offline_before_it_imports_anything():
    code = (
        "import pipeline.note.bert, huggingface_hub, os\n"
        "assert huggingface_hub.is_offline_mode()\n"
        "assert os.environ['TRANSFORMERS_OFFLINE'] == os.environ['HF_DATASETS_OFFLINE'] == '1'"
    )
    plain = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=plain, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
