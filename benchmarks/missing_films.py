"""Early and gated fusion where films are missing for 0 to 90 % of the episodes.

    python benchmarks/missing_films.py --folder PROJECT --output missing_films.json

PROJECT is a checkout in which `results/ecn_early_mortality.json` was made: its episodes, labels,
films and embeddings are read. An episode loses its films by a hash of its id, in training as in
test; who loses them at one rate loses them at every higher one. The encoder of films is trained
again on those that are left; the other encoders have lost nothing. (`--encoder kept`: seconds
instead of minutes, but it has then seen films of episodes that count as lacking them.) Every model
is fitted on the same embeddings. Differences are paired by episode and by seed, with the intervals
of results. How a hospital takes few films is another question: `hospital.habits.sparse_films`
makes such a hospital, and any model is a target there.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cohort.rows import TaskRows, read_rows
from pipeline.evaluation.panel import differences, measured, read_panels
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.fusion.absent import lost
from pipeline.plan import configuration, protocols
from pipeline.plan.wiring import Wiring
from pipeline.stage.tables import read_table

MODELS = {"early": "early", "gated": "early", "logistic": "baselines"}  # model → its module
NAMES = {"e": "ehr", "c": "cxr", "n": "note"}


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--folder", type=Path, required=True, help="a checkout with its results")
    options.add_argument("--output", type=Path, required=True, help="figures, JSON")
    options.add_argument("--task", default="mortality", help="a task of admissions")
    options.add_argument("--rates", type=float, nargs="+", default=[0, 0.25, 0.5, 0.7, 0.9])
    options.add_argument("--encoder", choices=["trained", "kept"], default="trained")
    return options.parse_args()


class Project:
    """The tables of a finished checkout, and the commands of its stages."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.folder, self.task = arguments.folder.resolve(), arguments.task
        self.tables = self.folder / "results/corrected/admission"
        written = yaml.safe_load((self.folder / "config.yaml").read_text())
        self.config = configuration.check(written).dump()
        seeds = read_table(self.embeddings("e"), ["seed"])["seed"]
        self.seeds = seeds.unique().sort().to_list()

    def embeddings(self, letter: str) -> Path:
        """The embeddings of a modality."""
        return self.tables / f"embeddings/{self.task}/{NAMES[letter]}.parquet"

    @property
    def labels(self) -> Path:
        """The labels of the task."""
        return self.tables / f"labels/{self.task}.parquet"

    def rows(self) -> TaskRows:
        """The eligible episodes of the task."""
        return read_rows(self.tables / "episodes.parquet", self.labels, self.task)

    def run(self, module: str, labels: Path | None = None, **options: Any) -> None:
        """Runs a stage on the episodes of the task; lists are several values."""
        words = [sys.executable, "-m", f"pipeline.{module}", "--task", self.task]
        words += ["--episodes", str(self.tables / "episodes.parquet")]
        words += ["--labels", str(labels or self.labels)]
        words += ["--seeds", *map(str, self.seeds)]
        for name, value in options.items():
            values = value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
        subprocess.run(words, cwd=self.folder, check=True)

    def data(self, letter: str) -> dict[str, Any]:
        """What stages are told of a modality, as the workflow tells it."""
        job = SimpleNamespace(protocol="corrected", unit="admission", task=self.task)
        told: dict[str, Any] = json.loads(Wiring(self.config).encoder_data(letter)(job))
        return told

    def encode(self, letter: str, data: dict[str, Any], to: Path, labels: Path | None = None,
               head_on: str = "fusion") -> tuple[Path, Path]:  # fmt: skip
        """Trains a modality's encoder, embeds all episodes: embeddings, and its predictions."""
        compute = self.config["torch"]  # as the workflow computes
        settings = protocols.settings(self.config, "corrected")
        shared = {"labels": labels, "data": json.dumps(data), "torch_threads": compute["threads"],
                  "precision": compute["precision"], "device": compute["device"],
                  "schedule": protocols.schedule(settings, letter, "unimodal", self.task),
                  }  # fmt: skip
        weights = [to / f"encoder/seed{seed}.safetensors" for seed in self.seeds]
        embeddings, predictions = to / f"{NAMES[letter]}.parquet", to / "unimodal.parquet"
        self.run("training.pretrain", output=to / "encoder", **shared)
        self.run("training.embed", weights=weights, head_on=head_on, heads=to / "encoder",
                 output=embeddings, predictions=predictions, **shared)  # fmt: skip
        return embeddings, predictions

    def films_left(self, rate: float, to: Path, again: bool) -> Path:
        """The embeddings of films, of the episodes that keep theirs; `again`: by an encoder that is
        trained on these films alone."""
        whole = read_table(self.embeddings("c"))
        left = whole.filter(~lost(whole["episode_id"].to_numpy(), rate))
        path = to / "cxr.parquet"
        if not again or rate == 0:
            left.write_parquet(path)
            return path
        films = read_table(self.tables / "cxr/films.parquet")
        films.filter(~lost(films["episode_id"].to_numpy(), rate)).write_parquet(
            to / "films.parquet"
        )
        data = self.data("c")
        data["cxr"]["films"] = str(to / "films.parquet")
        return self.encode("c", data, to)[0]

    def fuse(self, model: str, films: Path, to: Path) -> Path:
        """The predictions of a model on all three modalities."""
        output = to / f"ecn_{model}_{self.task}.parquet"
        own: dict[str, Any] = {}
        if MODELS[model] == "early":
            own = {"modality_dropout": self.config["modality_dropout"], "head_on": "fusion",
                   "torch_threads": self.config["torch"]["threads"], "weights": to / model,
                   "schedule": json.dumps(self.config["schedule"])}  # fmt: skip
        self.run(f"fusion.{MODELS[model]}", model=model, letters="ecn", output=output,
                 embeddings=[self.embeddings("e"), films, self.embeddings("n")],
                 absent=to / f"{model}_absent.parquet", **own)  # fmt: skip
        return output


def figures_of(paths: dict[str, Path], task: str) -> dict[str, Any]:
    """AUROC of each model, and gated and early less the others, on the same test episodes."""
    panel = read_panels({path.stem: [str(path)] for path in paths.values()})[task]
    panel, test, drawn = measured(panel, Resampling(2000), 0)
    names = list(panel.tests)
    of = {model: path.stem for model, path in paths.items()}
    pairs = [(of["gated"], of["early"]), (of["early"], of["logistic"])]
    return {
        "test": test,
        "auroc": {model: drawn.estimate(names.index(name)) for model, name in of.items()},
        "differences": differences(pairs, names, drawn),
    }


def main() -> None:
    """Loses films at each rate, fits the models, writes and prints their figures."""
    arguments = _arguments()
    project = Project(arguments)
    found: dict[str, Any] = {"task": arguments.task, "encoder": arguments.encoder, "rates": {}}
    print("films missing | " + " | ".join(MODELS) + " | gated − early | early − logistic")
    for rate in arguments.rates:
        to = arguments.output.resolve().parent / f"missing_films/{arguments.task}/{rate:g}"
        to.mkdir(parents=True, exist_ok=True)
        films = project.films_left(rate, to, arguments.encoder == "trained")
        paths = {model: project.fuse(model, films, to) for model in MODELS}
        found["rates"][f"{rate:g}"] = figures = figures_of(paths, arguments.task)
        row = [f"{rate:.0%}", *(f"{one['value']:.3f}" for one in figures["auroc"].values())]
        row += ["{value:+.3f} ({low:+.3f} to {high:+.3f})".format(**one)
                for one in figures["differences"]]  # fmt: skip
        print(" | ".join(row), flush=True)
        arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
