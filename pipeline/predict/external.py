"""Validates a stored model on another source: its risks there, unchanged, against the outcomes.

    python -m pipeline.predict.external --model results/models/ecn_early_mortality
        --source /data/other --output external.json

`--source`: a folder of MIMIC-shaped files, or JSON as a source of the config. Risks are made as of
new patients (`python -m pipeline.predict`), by what was known in time; outcomes are read after
that, apart. `--predictions` of the model at home put the same figures of its test patients beside.
Nothing is tuned there; only the refits of intercept and slope read outcomes, and say so.
"""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.cohort.rows import ALL_SEEDS
from pipeline.evaluation.predictions import read_task, sample, seeds
from pipeline.evaluation.sections.external import refits, validated
from pipeline.evaluation.sections.suppression import shown_attrition, shown_part
from pipeline.evaluation.statistics.bootstrap import Resampling, described
from pipeline.evaluation.statistics.figures import rounded
from pipeline.evaluation.statistics.metrics import CLIP
from pipeline.predict import folder, reference
from pipeline.predict.outcomes import followed
from pipeline.predict.prepared import check_offered, facts, prepare, section_of
from pipeline.predict.quality import shift
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.external import EXTERNAL_SCHEMA, ExternalValidation, Validated, ValidatedModel
from pipeline.stage.files import write_json
from pipeline.stage.prediction import Present, StoredModel
from pipeline.stage.privacy import LEAST, tell, warn

if TYPE_CHECKING:
    from pipeline.predict.predictor import Prediction

SAME = 0.1  # of log odds: the risks of one patient, made twice


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add = options.add_argument
    add("--model", type=Path, required=True, help="folder of a stored model")
    add("--source", required=True, help="folder of the source files, or JSON as in the config")
    add("--name", default="other", help="of the source; recorded")
    add("--predictions", help="of the model at home: its test patients stand beside")
    add("--output", type=Path, required=True, help="the validation, JSON")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    add("--threads", type=int, default=2, help="of tables, films and reports")
    add("--memory-mb", type=int, default=4000, help="DuckDB memory limit, MB")
    add("--suppress-below", type=int, default=LEAST, help="counts that are hidden")
    add("--resamples", type=int, default=1000, help="bootstrap resamples of patients")
    add("--seed", type=int, default=0, help="seed of resamples and draws")
    return options.parse_args()


def at_home(model: StoredModel, path: str, resampling: Resampling, smallest: int) -> Validated:
    """The figures of the test patients of home; `InputError` where the predictions are of others.

    `path`: the predictions of the model, of the first fold.
    """
    table = of_home(model, path)
    parts = [
        one.with_columns(probability=pl.Series(reference.recalibrated(
            one["probability"].to_numpy(), told)))
        for told in model["seeds"]
        for one in [table.filter(seed=told["seed"])]
    ]  # fmt: skip
    return measured(model, pl.concat(parts), resampling, smallest)


def of_home(model: StoredModel, path: str) -> pl.DataFrame:
    """The predictions that a model was stored with; `InputError` where these are others."""
    (table,) = read_task([path], model["task"])
    if seeds(table) != [one["seed"] for one in model["seeds"]]:
        raise InputError(f"{path}: seeds {seeds(table)}, but the model has others: give the "
                         "predictions that it was stored with")  # fmt: skip
    if reference.of_risks(table, model["seeds"]) != model["reference"]:
        raise InputError(f"{path}: these are not the predictions that the model was stored with")
    return table


def seen_at_home(home: pl.DataFrame, risks: pl.DataFrame) -> list[int]:
    """Patients of there who were trained on, or chosen by, at home: nobody but where the episodes
    of there are those of home: same numbers, and nearly the same risks.

    >>> home = pl.DataFrame({"episode_id": [1, 2], "subject_id": [7, 8], "split": ["val", "test"],
    ...                      "seed": 0, "probability": [0.3, 0.1]})
    >>> there = home.drop("split")
    >>> seen_at_home(home, there), seen_at_home(home, there.with_columns(probability=0.9))
    ([7], [])
    """
    # ASSUME another release, or other versions of libraries, move the log odds by less than .1;
    # of other people who have the same numbers they differ by more
    key = ["episode_id", "subject_id", "seed"]
    one, other = (pl.col(name).clip(CLIP, 1 - CLIP) for name in ("probability", "again"))
    both = home.join(risks.select(*key, again="probability"), on=key, how="inner")
    apart = both.select(((one / (1 - one)).log() - (other / (1 - other)).log()).abs().median())
    if both.is_empty() or apart.item() >= SAME:
        return []
    return home.filter(pl.col("split") != "test")["subject_id"].unique().sort().to_list()


def measured(model: StoredModel, frame: pl.DataFrame, resampling: Resampling, smallest: int
             ) -> Validated:  # fmt: skip
    """The figures of the test rows of a table of predictions, whose probabilities are risks."""
    thresholds = [one["threshold"] for one in model["seeds"]]
    return validated(sample(frame, "test"), thresholds, resampling, smallest)


def rows_of(risks: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The risks of those whose label is known, as a table of predictions."""
    each = risks.filter(pl.col("seed") != ALL_SEEDS).join(known, on="episode_id", how="inner")
    return each.select("episode_id", "subject_id", "seed", "label", split=pl.lit("test"),
                       probability="risk")  # fmt: skip


def validate(asked: argparse.Namespace, model: StoredModel) -> ExternalValidation:
    """Predicts, then reads the outcomes, and measures."""
    from pipeline.predict.predictor import Predictor  # torch

    least, section = asked.suppress_below, section_of(asked.source)
    check_offered(section, model["task"])
    before = of_home(model, asked.predictions) if asked.predictions else None
    resampling = Resampling(asked.resamples, asked.seed, max(1, least))
    predictor = Predictor(asked.model, asked.device, asked.threads, asked.memory_mb)
    with tempfile.TemporaryDirectory(prefix="external-") as name:
        work = Path(name)
        source = prepare(section, predictor.tables, work / "source", asked.threads, asked.memory_mb)
        made = predictor.predict(source, suppress_below=least)
        seen = [] if before is None else seen_at_home(before, made.risks)
        known, steps = followed(model, source, made.risks, work, asked.threads, asked.memory_mb,
                                seen)  # fmt: skip
    frame, total = rows_of(made.risks, known), made.risks["episode_id"].n_unique()
    home = at_home(model, asked.predictions, resampling, least) if asked.predictions else None
    selection = shown_attrition([*made.steps, *steps], least)
    report = made.report
    return {
        "schema_version": EXTERNAL_SCHEMA,
        "name": asked.name,
        "model": described_model(model),
        "source": facts(section),  # type: ignore[typeddict-item]
        "suppressed_below": least,
        "bootstrap": described(resampling, len(model["seeds"])),
        "selection": [
            {"condition": row["condition"], "episodes": row["episodes"]} for row in selection
        ],
        "unlabelled": shown_part(total - known.height, total, least),
        "modalities": present(model, made, known, least),
        "home": home,
        "there": measured(model, frame, resampling, least),
        "refits": refits(sample(frame, "test"), asked.seed, least),
        "shift": [
            shift(frame.filter(seed=one["seed"])["probability"].to_numpy(), one["seed"],
                  model["reference"][str(one["seed"])], one["threshold"], least)
            for one in model["seeds"]
        ],
        "films_unreadable": report["films_unreadable"],
        "absent_tables": report["absent_tables"],
        "absent_signals": report["absent_signals"],
        "unknown_items": report["unknown_items"],
        "unseen": report["unseen"],
        "units": report["units"],
        "notes": [*report.get("notes", []), *notes_of_home(before is None, bool(seen))],
    }  # fmt: skip


def notes_of_home(unchecked: bool, shared: bool) -> list[str]:
    """Whether patients of there may be patients of home."""
    if unchecked:
        return ["without the predictions of home nobody can tell whether its patients are there, "
                "too: figures of patients that were trained on validate nothing"]  # fmt: skip
    return ["the source holds episodes of home: patients that were trained on, or chosen by, are "
            "left out"] * shared  # fmt: skip


def present(model: StoredModel, made: "Prediction", known: pl.DataFrame, least: int
            ) -> dict[str, Present]:  # fmt: skip
    """Who of those judged has each modality: counts of everybody predicted would tell, beside
    these, how many have no outcome."""
    letters = known.select("episode_id").join(
        made.risks.filter(seed=made.risks["seed"].max()), on="episode_id"
    )["modalities"]
    told: dict[str, Present] = {}
    for letter, name in model["modalities"].items():
        count = int(letters.str.contains(letter, literal=True).sum())
        part = shown_part(count, len(letters), least)
        share = round(count / len(letters), 4) if part == count else None
        reason = made.report["modalities"][name]["reason"]
        told[name] = {"episodes": part, "share": share, "reason": reason}
    return told


def described_model(model: StoredModel) -> ValidatedModel:
    """What a validation says of its model."""
    return {
        "target": model["target"],
        "task": model["task"],
        "question": model["question"],
        "unit": model["unit"],
        "hours": model["hours"],
        "experiment": model["experiment"],
        "recalibration": model["recalibration"],
        "source": model["source"],  # type: ignore[typeddict-item]
        "seeds": [one["seed"] for one in model["seeds"]],
        "definitions_version": model["definitions_version"],
        "digest": model["digest"],
        "result": model["result"],
        "code": model["code"],
    }


def say(made: ExternalValidation) -> None:
    """The validation in a line, and what the source lacks."""
    there: Any = made["there"]["metrics"]
    if there["reason"]:
        warn(f"{made['model']['target']}, {made['name']}: no figures: {there['reason']}")
    tell(f"{made['model']['target']}, {made['name']}: {there['n']} episodes, AUROC "
         f"{there['auroc']['value']}, {made['unlabelled']} without an outcome")  # fmt: skip
    for note in made["notes"]:
        warn(f"{made['name']}: {note}")
    if made["absent_signals"]:
        warn(f"{made['name']}: signals that it lacks: {', '.join(made['absent_signals'])}")


def main() -> None:
    """Checks what was asked, validates, and writes the result."""
    asked = _arguments()
    if asked.seed < 0 or asked.resamples < 1:
        raise InputError("--seed: expected 0 or more; --resamples: 1 or more")
    model = folder.read_model(asked.model)  # refused before anything is read
    made = validate(asked, model)
    write_json(asked.output, rounded(made))
    say(made)


if __name__ == "__main__":
    run(main)
