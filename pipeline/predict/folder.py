"""The folder of a stored model: what it must hold, and why one is refused. Needs no torch.

`model.json` lists every file with its digest. A folder that was made under other definitions, that
is damaged, or that holds what nobody listed (a pickle can run code when it is read) is refused with
its reason, in one line.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.cohort import definitions
from pipeline.cohort.task import find, of_unit
from pipeline.stage import digests
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.model_folders import PICKLES
from pipeline.stage.modules import digest_of_code
from pipeline.stage.prediction import MODEL_SCHEMA, StoredModel

MODEL, README = "model.json", "README.md"
CODE = ("pipeline.predict.predictor",)  # and what it imports: the code of a prediction
PACKAGES = ("duckdb", "gensim", "numpy", "pillow", "polars", "safetensors", "scikit-learn", "torch",
            "torchvision")  # fmt: skip
QUERIES = {
    "ehr": ("pipeline/ehr/events.sql", "pipeline/ehr/signals.csv", "pipeline/stage/observed.sql"),
    "cxr": ("pipeline/cxr/films.sql", "pipeline/cxr/films_views.sql",
            "pipeline/stage/observed.sql"),
    "note": ("pipeline/note/clean.sql", "pipeline/note/notes.sql", "pipeline/stage/observed.sql"),
}  # fmt: skip


def queries_of(unit: str, task: str, modalities: Mapping[str, str]) -> dict[str, str]:
    """The definitions that select what a model reads, and their digests at hand.

    >>> "pipeline/ehr/signals.csv" in queries_of("admission", "mortality", {"e": "ehr"})
    True
    """
    files = [*of_unit(unit).files, *find(task).asked.files]
    files += [path for name in modalities.values() for path in QUERIES[name]]
    at_hand = definitions.digests()
    return {path: at_hand[path] for path in sorted(set(files)) if path in at_hand}


def packages() -> dict[str, str]:
    """The libraries of a prediction and their versions."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # of a modality that is not used
            continue
    return found


def code() -> str:
    """Digest of the code that prepares data and predicts."""
    return digest_of_code(CODE)


def digest_of(model: Mapping[str, Any]) -> str:
    """Digest of a `model.json` without its own digest."""
    rest = {name: value for name, value in model.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def write_model(folder: Path, model: dict[str, Any]) -> None:
    """Writes `model.json`, last of the folder's files, with the digests of all others."""
    model["files"] = {name: digests.digest(folder / name) for name in listed(folder)}
    write_json(folder / MODEL, {**model, "digest": digest_of(model)})


def listed(folder: Path) -> list[str]:
    """The files of a folder but `model.json` and the digests that jobs leave beside files."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    names = {path.relative_to(folder).as_posix(): path.name for path in paths}
    sealed = {n for n, last in names.items() if last[0] == "." and last.endswith(digests.SUFFIX)}
    return sorted(names.keys() - sealed - {MODEL})


def read_model(folder: str | Path) -> StoredModel:
    """What a folder says of its model; `InputError` in one line where it is refused."""
    folder = Path(folder)
    where = f"--model {folder}"
    if not (folder / MODEL).is_file():
        raise InputError(f"{where}: no model: there is no {MODEL} in it. `make model TARGET=…` "
                         "stores that of a result")  # fmt: skip
    try:
        told = json.loads((folder / MODEL).read_bytes())
    except ValueError as error:
        raise InputError(f"{where}: {MODEL} is no JSON: damaged; store the model again") from error
    if not isinstance(told, dict) or "schema_version" not in told:
        raise InputError(f"{where}: {MODEL} is not of this workflow: it names no schema_version")
    if told["schema_version"] != MODEL_SCHEMA:
        raise InputError(f"{where}: {MODEL} has schema version {told['schema_version']}, this code "
                         f"reads {MODEL_SCHEMA}: store the model again with this code")  # fmt: skip
    if told.get("digest") != digest_of(told):
        raise InputError(f"{where}: {MODEL} is not as it was written (damaged, or edited): store "
                         "the model again")  # fmt: skip
    try:
        model: StoredModel = TypeAdapter(StoredModel).validate_python(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {MODEL}: {field}: {first['msg']}") from error
    check_definitions(where, model)
    check_files(where, folder, model)
    return model


def check_definitions(where: str, model: StoredModel) -> None:
    """`InputError` where cohorts, tasks or signals are defined otherwise by this code."""
    made, now = model["definitions_version"], definitions.VERSION
    if made != now:
        newer = f". Since then: {definitions.CHANGES[now]}" if made < now else ""
        raise InputError(f"{where}: made under version {made} of the definitions, this code has "
                         f"{now}: store the model again, or take the code of its time{newer}"
                         )  # fmt: skip
    here = queries_of(model["unit"], model["task"], model["modalities"])
    if other := definitions.changed(model["definitions"], here):
        raise InputError(f"{where}: {', '.join(other[:3])} differ from those that the model was "
                         "made under: it would read other data; make its result again")  # fmt: skip


def check_files(where: str, folder: Path, model: StoredModel) -> None:
    """`InputError` where a file is missing, damaged, a pickle, or in no list."""
    there = listed(folder)
    if pickles := [name for name in there if any(Path(name).match(kind) for kind in PICKLES)]:
        raise InputError(f"{where}: {pickles[0]} is a pickle, which can run code when it is read: "
                         "refused; a stored model has none")  # fmt: skip
    if extra := sorted(set(there) - set(model["files"])):
        raise InputError(f"{where}: {extra[0]} is not of this model: remove it, or store the model "
                         "in a folder of its own")  # fmt: skip
    if missing := sorted(set(model["files"]) - set(there)):
        raise InputError(f"{where}: {missing[0]} is missing: copy the whole folder")
    for name, digest in model["files"].items():
        if (folder / name).is_symlink():
            raise InputError(f"{where}: {name} is a link to elsewhere: copy the file itself")
        if digests.digest(folder / name) != digest:
            raise InputError(f"{where}: {name} is damaged: its digest is not that of {MODEL}; copy "
                             "the folder again")  # fmt: skip


def notes_of(model: StoredModel, native_bf16: bool) -> list[str]:
    """What is no reason to refuse, and may move the last digits of a risk."""
    now, told = packages(), []
    moved = [f"{name} {was} (here {now.get(name, 'none')})"
             for name, was in model["packages"].items() if now.get(name) != was]  # fmt: skip
    if moved:
        told.append(f"the model was stored with {', '.join(moved)}")
    if model["code"] != code():
        told.append("the code of the stages has changed since the model was stored")
    if model["precision"] == "bf16" and not native_bf16:
        told.append("this processor has no bfloat16 of its own: slower, and other last digits")
    return told
