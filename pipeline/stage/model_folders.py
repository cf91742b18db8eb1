"""Folders of pretrained models: where they lie, and what in them is never touched.

A folder holds config.json, a list of pieces and weights as safetensors. Nothing is downloaded: a
hub name (owner/name) stands for the copy that this machine has of it. Code that comes with a model
(`auto_map`) is never run nor asked for, and pickled weights, which can run code when they are read,
are refused. Needs no torch: the folder is looked at while the workflow is planned, too.
"""

import json
from pathlib import Path

from pipeline.stage.errors import InputError

KEY = "config.note.bert.model"
PIECES = ("tokenizer.json", "vocab.txt")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl")
WHERE = (
    "nothing is downloaded while jobs run: put its config.json, vocab.txt or tokenizer.json, and "
    "model.safetensors into a folder, and name that folder"
)


def model_folder(model: str) -> Path:
    """The folder of a model, by its path or hub name; `InputError` where it may not be loaded."""
    folder = Path(model) if Path(model).is_dir() else _cached(model)
    if not (folder / "config.json").is_file():
        raise InputError(f"{KEY}: {model} holds no config.json, so no model")
    for path in sorted(folder.glob("*.json")):
        if "auto_map" in _read(path):
            raise InputError(
                f"{KEY}: {model} brings code of its own ({path.name}: auto_map); code of model "
                "folders is never run. Name a folder whose model transformers knows by itself"
            )
    if not any((folder / name).is_file() for name in PIECES):
        raise InputError(f"{KEY}: {model} has no {' or '.join(PIECES)}")
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise InputError(f"{KEY}: {model} has no {WEIGHTS[0]}{_pickled(folder)}")
    return folder


def why_not(model: str | None) -> list[str]:
    """Why a model cannot be loaded, for the checks of the config; empty where it can.

    >>> why_not("/no/folder")
    ['config.note.bert.model: no folder /no/folder, and no hub name (owner/name)']
    """
    try:
        if model is not None:
            model_folder(model)
    except InputError as error:
        return [str(error)]
    return []


def _cached(name: str) -> Path:
    """The folder of a hub name in this machine's cache of the hub."""
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(f"{KEY}: no folder {name}, and no hub name (owner/name)")
    from huggingface_hub import try_to_load_from_cache  # 0.7 s

    try:
        config = try_to_load_from_cache(name, "config.json")
    except ValueError as error:  # of a name that the hub does not allow
        raise InputError(f"{KEY}: no folder {name}, and no hub name (owner/name)") from error
    if not isinstance(config, str):
        raise InputError(f"{KEY}: this machine has no copy of the hub's {name}; {WHERE}")
    return Path(config).parent


def _read(path: Path) -> dict[str, object]:
    """A JSON file of a model; empty for what is no mapping."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{KEY}: {path} is not readable JSON") from error
    return found if isinstance(found, dict) else {}


def _pickled(folder: Path) -> str:
    names = sorted(path.name for kind in PICKLES for path in folder.glob(kind))
    if not names:
        return ""
    return (
        f"; {', '.join(names)} is a pickle, which can run code when it is read, and is refused. "
        "Convert it where you trust it: transformers' save_pretrained writes safetensors"
    )
