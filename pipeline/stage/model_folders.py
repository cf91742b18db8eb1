"""Folders of pretrained models: where they lie, and what in them is never touched.

A folder holds config.json, what turns text or pictures into its inputs, and weights as safetensors.
Nothing is downloaded: a hub name (owner/name) stands for the copy that this machine's cache has of
it; what `make weights` fetches (owner/name@commit) is a folder, see `pipeline.plan.named`. Code
that comes with a model (`auto_map`) is never run nor asked for, and pickled weights, which can run
code when they are read, are refused. Needs no torch: the folder is looked at while the workflow is
planned, too.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.stage.errors import InputError

KEY = "config.note.bert.model"
PIECES = ("tokenizer.json", "vocab.txt")  # of text
PICTURES = ("preprocessor_config.json",)  # of a vision model: mean, SD and size
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
ADAPTER = "adapter_config.json"
_SHARD = re.compile(r"[\w-]+\.safetensors")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl")


def model_folder(model: str, key: str = KEY, inputs: tuple[str, ...] = PIECES) -> Path:
    """The folder of a model, by its path or hub name; `InputError` where it may not be loaded.

    `key`: of the config that names it, for messages. `inputs`: files of which it needs one to turn
    text or pictures into what the model reads.
    """
    folder = Path(model) if Path(model).is_dir() else _cached(model, key, inputs)
    if not (folder / "config.json").is_file():
        raise InputError(f"{key}: {model} holds no config.json, so no model")
    for path in sorted(folder.glob("*.json")):
        if "auto_map" in read_mapping(path, key):
            raise InputError(
                f"{key}: {model} brings code of its own ({path.name}: auto_map); code of model "
                "folders is never run. Name a folder whose model transformers knows by itself"
            )
    if (folder / ADAPTER).is_file():
        raise InputError(
            f"{key}: {model} is an adapter of another model ({ADAPTER}), whose folder nobody has "
            "looked at; name a folder with all the weights"
        )
    if not any((folder / name).is_file() for name in inputs):
        raise InputError(f"{key}: {model} has no {' or '.join(inputs)}")
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise InputError(f"{key}: {model} has no {WEIGHTS[0]}{_pickled(folder)}")
    if strange := [name for name in _shards(folder, key) if not _SHARD.fullmatch(name)]:
        raise InputError(
            f"{key}: {model}: {WEIGHTS[1]} names {strange[0]}; expected files *.safetensors beside "
            "it: anything else may run code when it is read"
        )
    return folder


def why_not(model: str | None, key: str = KEY, inputs: tuple[str, ...] = PIECES) -> list[str]:
    """Why a model cannot be loaded, for the checks of the config; empty where it can.

    >>> why_not("/no/folder")
    ['config.note.bert.model: no folder /no/folder, and no hub name (owner/name)']
    """
    try:
        if model is not None:
            model_folder(model, key, inputs)
    except InputError as error:
        return [str(error)]
    return []


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of the files of a model, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()


def files_of_model(folder: Path) -> list[Path]:
    """What decides a model's outputs: its weights and the JSON files beside them."""
    return sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])


def tracked_files(model: str | None, key: str = KEY, inputs: tuple[str, ...] = PIECES
                  ) -> list[str]:  # fmt: skip
    """The files of the model that a config names, so that an edit is seen; none where it names
    none, or one that may not be loaded: the checks of the config say why, where it is used."""
    if model is None or why_not(model, key, inputs):
        return []
    folder = model_folder(model, key, inputs)
    named = [folder / name for name in inputs if (folder / name).is_file()]
    return sorted({str(path) for path in [*files_of_model(folder), *named]})


def _cached(name: str, key: str, inputs: tuple[str, ...]) -> Path:
    """The folder of a hub name in this machine's cache of the hub."""
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(f"{key}: no folder {name}, and no hub name (owner/name)")
    from huggingface_hub import try_to_load_from_cache  # 0.7 s

    try:
        config = try_to_load_from_cache(name, "config.json")
    except ValueError as error:  # of a name that the hub does not allow
        raise InputError(f"{key}: no folder {name}, and no hub name (owner/name)") from error
    if not isinstance(config, str):
        raise InputError(
            f"{key}: this machine has no copy of the hub's {name}; nothing is downloaded while "
            f"jobs run: name a commit ({name}@…), which `make weights` fetches, or a folder with "
            f"config.json, {' or '.join(sorted(inputs, reverse=True))}, and model.safetensors"
        )
    return Path(config).parent


def read_mapping(path: Path, key: str = KEY) -> dict[str, Any]:
    """A JSON file of a model; empty for what is no mapping. `InputError` where it is no JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{key}: {path} is not readable JSON") from error
    return content if isinstance(content, dict) else {}


def _shards(folder: Path, key: str) -> list[str]:
    """The files that hold the weights by the folder's index; none where it has no index."""
    if not (folder / WEIGHTS[1]).is_file():
        return []
    files = read_mapping(folder / WEIGHTS[1], key).get("weight_map")
    return (
        sorted({str(name) for name in files.values()}) if isinstance(files, dict) else ["nothing"]
    )


def _pickled(folder: Path) -> str:
    names = sorted(path.name for kind in PICKLES for path in folder.glob(kind))
    if not names:
        return ""
    return (
        f"; {', '.join(names)} is a pickle, which can run code when it is read, and is refused. "
        "Name the hub's model with its commit: `make weights` converts it, without running code"
    )
