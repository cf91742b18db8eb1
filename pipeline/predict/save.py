"""Stores the model of a result: everything that was fitted, in one folder.

    python -m pipeline.predict.save --target ecn_early_mortality --result … --output
        results/models/ecn_early_mortality/model.json …

Weights are safetensors, tables parquet, the rest JSON: no pickles. Baselines, which leave no
weights, are fitted once more, and must give the result's predictions to the last digit. Of a
cross-validation the first fold is stored.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.cohort.definitions import VERSION
from pipeline.cohort.rows import TaskRows, read_rows
from pipeline.cohort.task import find
from pipeline.extract.contracts import TABLES
from pipeline.fusion.late import read_here
from pipeline.fusion.registry import MODELS
from pipeline.predict import copies, reference
from pipeline.predict.folder import README, code, packages, queries_of, write_model
from pipeline.predict.readme import text_of
from pipeline.predict.source import contract_of, tables_of
from pipeline.stage import digests
from pipeline.stage.command import parsed, parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import read_json, whole
from pipeline.stage.prediction import MODEL_SCHEMA, SeedFacts
from pipeline.stage.privacy import tell
from pipeline.stage.result import read_result
from pipeline.stage.tables import read_table
from pipeline.training.embed import guess_without

# settings that name files, of which a new source has its own
FILES = ("tokens", "demographics", "statistics", "events", "episodes", "films", "readable",
         "decoded", "pretrained", "store", "notes", "vectors")  # fmt: skip


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add = options.add_argument
    add("--target", required=True, help="modalities_model_task")
    add("--experiment", help="named experiment")
    add("--result", type=Path, required=True, help="of the target, json")
    add("--predictions", type=Path, required=True, help="of the target's model")
    add("--episodes", required=True)
    add("--labels", required=True)
    add("--settings", required=True, help="JSON: the settings behind the result")
    add("--letters", required=True, help="JSON: letter → modality")
    add("--data", required=True, help="JSON: modality → encoder, files and settings")
    add("--weights", type=Path, required=True, help="folder of the task's weights")
    add("--embeddings", nargs="*", default=[], help="of frozen encoders, one table per modality")
    add("--features", help="statistics of the EHR, of models on these")
    add("--events", type=Path, help="of the EHR")
    add("--bins", type=Path, help="of the EHR's tokens")
    add("--doc2vec", type=Path, help="folder of Doc2Vec")
    add("--source", type=Path, required=True, help="folder of the extracted tables")
    add("--output", type=Path, required=True, help="model.json; its folder is made anew")
    return options.parse_args()


def main() -> None:
    """Copies, fits again, writes the reference, and model.json last."""
    asked = _arguments()
    letters, model, task = asked.target.split("_", 2)
    kept = MODELS[model].kept if model in MODELS else ""
    if not kept:
        raise InputError(f"{asked.target}: {model} cannot be stored")
    rows = read_rows(asked.episodes, asked.labels, task)
    part: Any = read_result(asked.result)["tasks"][task]
    table = read_table(asked.predictions)
    seeds = table["seed"].unique().sort().to_list()
    folder = asked.output.parent
    copies.emptied(folder)
    named = parsed(asked.letters, "--letters")
    names = [named[letter] for letter in letters]
    facts = [seed_facts(asked, part, rows, place, seed, kept, names)
             for place, seed in enumerate(seeds)]  # fmt: skip
    for one in facts:
        copies.copy_weights(
            asked, one, kept, model, names, folder / "weights" / f"seed{one['seed']}"
        )
        if kept in ("baseline", "statistics"):
            copies.store_baseline(asked, rows, model, one["seed"], table, folder)
    copies.copy_fits(asked, names, kept, folder)
    copies.write_reference(asked, rows, names, folder / "reference")
    modalities = {letter: named[letter] for letter in letters}
    made = described(asked, modalities, model, task, facts, table)
    with whole(folder / README) as file:
        file.write_text(text_of(made))
    write_model(folder, made)
    tell(f"{asked.target}: model of {len(seeds)} training seed(s) in %s", folder)


def seed_facts(asked: argparse.Namespace, part: Any, rows: TaskRows, place: int, seed: int,
               kept: str, names: list[str]) -> SeedFacts:  # fmt: skip
    """What a seed's model says without a network; `place`: of the seed in the result."""
    guess: dict[str, float] = {}
    if kept in ("single", "late"):
        here = read_here(asked.embeddings, rows, seed)  # (N, M)
        guess = {name: guess_without(rows, here[:, k]) for k, name in enumerate(names)}
    prior = float(rows.label[rows.of("train")].mean()) if kept == "late" else None
    chosen = part["threshold"]["by_run"]
    line = part.get("recalibration", {}).get("by_run", [{}] * (place + 1))[place]
    return {
        "seed": seed,
        "guess": guess,
        "prior": prior,
        "hidden": hidden_units(asked, kept, seed, names),
        "threshold": chosen[place]["threshold"] if chosen else None,
        "intercept": line.get("intercept"),
        "slope": line.get("slope"),
    }


def hidden_units(asked: argparse.Namespace, kept: str, seed: int, names: list[str]
                 ) -> dict[str, int]:  # fmt: skip
    """Head → its hidden units, as they were chosen."""
    if kept in ("baseline", "statistics"):
        return {}
    letters, model, _ = asked.target.split("_", 2)
    own = f"{letters}_{model}"
    files = {
        "single": {name: f"{name}/heads.json" for name in names},
        "late": {name: f"{name}/heads.json" for name in names},
        "fused": {model: f"{own}/history.json"},
        "joint": {model: f"{own}/heads.json"},
    }[kept]
    read = {head: read_json(asked.weights / path)["seeds"] for head, path in files.items()}
    return {head: int(each[str(seed)]["hidden"]) for head, each in read.items()}


def kept_settings(asked: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Modality → its encoder and settings, without files."""
    made: dict[str, dict[str, Any]] = {}
    for name, given in parsed(asked.data, "--data").items():
        own = {key: value for key, value in given.items() if key not in FILES}
        if given.get("statistics"):
            own["statistics"] = sorted(given["statistics"], key=float)
        if name == "cxr":
            own["imagenet"] = bool(given.get("pretrained"))
        if name == "note":
            own["letters"] = read_json(asked.doc2vec / "model.json")["letters"]
        made[name] = own
    return made


def described(asked: argparse.Namespace, modalities: Mapping[str, str], model: str, task: str,
              facts: list[SeedFacts], table: pl.DataFrame) -> dict[str, Any]:  # fmt: skip
    """`model.json` but for its files."""
    settings, one = json.loads(asked.settings), find(task)
    result = read_result(asked.result)
    part: Any = result["tasks"][task]
    told = part["definition"]
    cohort = {**settings["cohort"], "ids": None}
    names = tables_of("".join(modalities), one.unit, task, cohort["films"])
    assert set(names) <= set(TABLES)
    precisions = {run["precision"] for run in result["training"]}
    return {
        "schema_version": MODEL_SCHEMA,
        "definitions_version": VERSION,
        "definitions": queries_of(one.unit, task, modalities),
        "target": asked.target,
        "modalities": dict(modalities),
        "model": model,
        "task": task,
        "question": told["question"] if told else "",
        "unit": one.unit,
        "hours": int(one.hours or cohort["window_hours"]),
        "experiment": asked.experiment,
        "source": dict(result["source"]),
        "cohort": cohort,
        "availability": settings["availability"],
        "encoders": kept_settings(asked),
        "views": settings.get("cxr", {}).get("views", []),
        "seeds": facts,
        "recalibration": part.get("recalibration", {"method": "none"})["method"],
        "reference": reference.of_risks(table, facts),
        "threads": result["threads"],
        "precision": "bf16" if "bf16" in precisions else "fp32",
        "contract": contract_of(names),
        "result": digests.digest(asked.result),
        "code": code(),
        "packages": packages(),
        "files": {},
    }


if __name__ == "__main__":
    run(main)
