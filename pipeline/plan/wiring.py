"""How rules get files and settings: functions of a job's wildcards, as Snakemake asks for them.

Every method returns a function; what that returns depends on wildcards and config alone.
Rules get settings only so: one part each, mappings as JSON with sorted keys, so that an edit
elsewhere in the config reruns nothing.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.cohort.settings import ERA_TABLES
from pipeline.cohort.task import HOURS
from pipeline.fusion import registry
from pipeline.plan import protocols, targets
from pipeline.plan.experiments import placed
from pipeline.stage.modules import source_files
from pipeline.stage.registry import Encoder, Modality

UNIT = "results/{protocol}/{unit}"  # of a run without a name, see `experiments.placed`
PREDICTIONS = f"{UNIT}/predictions"
ABSENT = f"{UNIT}/missing"
Files = str | list[str]
Of = Callable[[Any], Any]  # a function of wildcards


def modules(*names: str) -> list[str]:
    """Files of code that are run, as inputs: each module and what it imports from this package."""
    return sorted({file for name in names for file in source_files(name)})


def growing(megabytes: int) -> Callable[[Any, int], int]:
    """Memory (MB) that grows with the attempts: a job killed for memory gets more when retried.

    >>> [growing(4000)(None, attempt) for attempt in (1, 2, 3)]
    [4000, 8000, 12000]
    """
    return lambda wildcards, attempt: megabytes * attempt


def flat(files: list[Files]) -> list[str]:
    """Lists within the list opened.

    >>> flat(["a", ["b", "c"], []])
    ['a', 'b', 'c']
    """
    return [one for file in files for one in ([file] if isinstance(file, str) else file)]


def filled(pattern: Files, **values: str) -> Any:
    """A path, or a list of paths, with these wildcards filled in; others are left.

    >>> filled("{protocol}/{task}.json", protocol="published")
    'published/{task}.json'
    """
    if not isinstance(pattern, str):
        return [filled(one, **values) for one in pattern]
    for name, value in values.items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return pattern


def option(*names: str) -> Callable[[Any, Any], list[str]]:
    """The options of inputs that may be empty: of each nothing, or `--name file …`."""

    def of(wildcards: Any, input: Any) -> list[str]:
        files = {name: flat([input.get(name) or []]) for name in names}
        return [part for name in names if files[name] for part in (f"--{name}", *files[name])]

    return of


def by_task(*names: str) -> Callable[[Any, Any], list[str]]:
    """The options of inputs of which there is one per task: `--name task=path …`, whose file is
    named by its task."""

    def of(wildcards: Any, input: Any) -> list[str]:
        parts = []
        for name in names:
            files = flat([input.get(name) or []])
            parts += [f"--{name}", *(f"{Path(one).name.partition('.')[0]}={one}" for one in files)]
        return parts

    return of


def headline(wildcards: Any, output: Any) -> dict[str, str]:
    """Column → text of the result whose JSON is `output.result`, while a report is made."""
    from pipeline.report.words import headline as columns
    from pipeline.stage.result import read_result

    return columns(read_result(output.result))


def source_tables(names: Iterable[str]) -> list[str]:
    """The extracted tables of the source.

    >>> source_tables(["patients"])
    ['results/source/patients.parquet']
    """
    return [f"results/source/{name}.parquet" for name in names]


def only_published(path: str) -> Of:
    """A file that the published protocol alone reads."""
    return lambda wildcards: path if wildcards.protocol == "published" else []


def query(stem: str) -> Of:
    """The query of the job's protocol: `<stem>.sql` or `<stem>_published.sql`."""
    return lambda wildcards: targets.query(stem, wildcards.protocol)


class Wiring:
    """The config, and what its modalities register.

    `lacking`: letter → why the source has none of a modality. Wildcards name a protocol, and a
    unit, or a task that is of one.
    """

    def __init__(self, config: Mapping[str, Any], lacking: Mapping[str, str] | None = None) -> None:
        self.config, self.letters, self.lacking = config, config["modalities"], lacking or {}
        self.modalities: dict[str, Modality] = {
            letter: targets.modality(config, name) for letter, name in self.letters.items()
        }

    def words(self, letters: str | None = None) -> str:
        """What modalities are called, as the JSON of a report's --words: of these, or of all."""
        chosen = self.letters if letters is None else letters
        return json.dumps({letter: self.modalities[letter].words for letter in chosen})

    def _settings(self, wildcards: Any) -> dict[str, Any]:
        return protocols.settings(self.config, wildcards.protocol)

    def unit(self, wildcards: Any) -> str:
        """The unit of a job: its wildcard, or that of its task."""
        named = getattr(wildcards, "unit", None)
        return named or targets.unit_of(self.config, wildcards.task)

    def filled(self, pattern: Files, wildcards: Any) -> Any:
        """A path, or paths, of the experiment, and of the protocol and unit of a job."""
        return self.located(pattern, protocol=wildcards.protocol, unit=self.unit(wildcards))

    def located(self, pattern: Files, **values: str) -> Any:
        """A path, or paths, in the config's experiment, with these wildcards filled in."""
        return filled(placed(self.config, pattern), **values)

    def setting(self, *keys: str) -> Of:
        """One part of the settings of a job's protocol."""

        def of(wildcards: Any) -> Any:
            part: Any = self._settings(wildcards)
            for key in keys:
                part = part[key]
            return json.dumps(part, sort_keys=True) if isinstance(part, dict) else part

        return of

    def films_of_the_cohort(self, wildcards: Any) -> Files:
        """The films' metadata, where the cohort asks for patients with any film."""
        asked = self._settings(wildcards)["cohort"]["films"] == "any"
        return "results/source/cxr_metadata.parquet" if asked else []

    def split(self, of: str) -> Of:
        """The option `--split` where a protocol draws its split of `patients` or of `tasks`.

        One of patients is drawn once; one of tasks among the eligible episodes of each, so that
        what all tasks share does not depend on it.
        """

        def option_of(wildcards: Any) -> list[str]:
            split = self._settings(wildcards)["split"]
            drawn = "tasks" if "random_state" in split else "patients"
            return ["--split", json.dumps(split, sort_keys=True)] if drawn == of else []

        return option_of

    def eras(self, wildcards: Any) -> list[str]:
        """Tables by which a fit on the source knows late patients, where the split is by era."""
        by = self._settings(wildcards)["split"].get("by", "patient")
        return source_tables(ERA_TABLES) if by == "era" else []

    def known_from(self, *kinds: str) -> Of:
        """From when these kinds of rows are known; an edit of another kind reruns nothing."""

        def of(wildcards: Any) -> str:
            table = self._settings(wildcards)["availability"]
            if table is None:  # the published queries know by themselves
                return "null"
            return json.dumps({kind: table[kind] for kind in ("enforced", *kinds)}, sort_keys=True)

        return of

    def schedule(self, model: str | None = None, letters: str | None = None) -> Of:
        """How a model is trained; of the wildcards, where model or letters are not given."""
        return lambda wildcards: protocols.schedule(
            self._settings(wildcards), letters or wildcards.modalities, model or wildcards.model,
            wildcards.task,
        )  # fmt: skip

    def encoders(
        self, wildcards: Any, letters: str | None = None
    ) -> dict[str, tuple[str, Encoder]]:
        """Modality → the name of its encoder, and the encoder; of the target's letters, or these.

        Of the target's model, or, where a job serves several, of all models but UniMed.
        """
        model = getattr(wildcards, "model", registry.SINGLE)
        merged = self._settings(wildcards)
        names = protocols.encoders(merged, model)
        chosen = {letter: self.letters[letter] for letter in letters or wildcards.modalities}
        return {
            name: (names[letter], targets.modality(merged, name).encoders[names[letter]])
            for letter, name in chosen.items()
        }

    def encoder_files(self, letters: str | None = None) -> Of:
        """The files that the encoders of these letters read, or those of the target's."""
        return lambda wildcards: flat([
            [*files.values()] if isinstance(files, dict) else files
            for _, encoder in self.encoders(wildcards, letters).values()
            for files in self._files(encoder.files, wildcards).values()
        ])  # fmt: skip

    def encoder_data(self, letters: str | None = None) -> Of:
        """The same with encoder, horizon and settings, as the JSON that a stage's --data takes."""

        def of(wildcards: Any) -> str:
            data: dict[str, dict[str, Any]] = {}
            for name, (chosen, encoder) in self.encoders(wildcards, letters).items():
                data[name] = {"encoder": chosen, "before": self.horizon(wildcards)}
                data[name] |= self._files({**encoder.files, **encoder.places}, wildcards)
                data[name] |= {
                    key: self._at(place, wildcards) for key, place in encoder.settings.items()
                }
            return json.dumps(data)

        return of

    def _files(self, files: Mapping[str, Files], wildcards: Any) -> dict[str, Any]:
        """The files of an encoder; of one with the wildcard {hours} a mapping hours → file."""
        return {
            name: {
                hours: filled(self.filled(path, wildcards), hours=hours)
                for hours in map(str, self.horizons(wildcards))
            }
            if "{hours}" in path
            else self.filled(path, wildcards)
            for name, path in files.items()
        }

    def _at(self, place: str, wildcards: Any) -> Any:
        """A setting by its place; `window`: hours of the unit's longest horizon."""
        if place != "window":
            return self.setting(*place.split("."))(wildcards)
        of_stays = self.unit(wildcards) == "stay"
        return HOURS if of_stays else self._settings(wildcards)["cohort"]["window_hours"]

    def encoder_modules(self, stage: str, letters: str | None = None) -> Of:
        """The code of a stage that trains the encoders of these letters, or of the target's, and
        the catalogues that the published protocol has instead."""

        def of(wildcards: Any) -> list[str]:
            encoders = self.encoders(wildcards, letters)
            code = modules(stage, *(encoder_module(n, c) for n, (c, _) in encoders.items()))
            if getattr(wildcards, "protocol", None) == "published":
                stages = [module for _, one in encoders.values() for module in one.published or ()]
                code += [file for file in modules(*stages) if file.endswith(".csv")]
            return sorted(set(code))

        return of

    def horizon(self, wildcards: Any) -> int | None:
        """Hours from clock zero that a target's tasks see at most; None: the cohort's window."""
        model, most = getattr(wildcards, "model", ""), None
        if registry.is_decoder(model):
            most = targets.decoder_settings(self.config, model)["hours"]
        asked = targets.tasks(self.config, wildcards.task)
        hours = [one.hours for one in asked if one.hours is not None]
        return min(max(hours), most or max(hours)) if hours else most

    def horizons(self, wildcards: Any) -> list[int]:
        """Hours from clock zero up to which each of a target's tasks sees, ascending; those whose
        outcomes a decoder is told included."""
        model, window = getattr(wildcards, "model", ""), self._settings(wildcards)["cohort"]
        most = math.inf
        if registry.is_decoder(model):
            most = targets.decoder_settings(self.config, model)["hours"] or most
        asked = targets.read(self.config, model, wildcards.task)
        return sorted({int(min(one.hours or window["window_hours"], most)) for one in asked})

    def statistics(self, wildcards: Any) -> str:
        """The statistics of the EHR at the horizon of a target's task; else at the window."""
        pattern = f"{UNIT}/ehr/statistics/{self._hours(wildcards)}h.parquet"
        return str(self.filled(pattern, wildcards))

    def points(self, wildcards: Any) -> str:
        """A clinical score, the target's model, at the horizon of its task; else at the window."""
        pattern = f"{UNIT}/ehr/scores/{wildcards.model}_{self._hours(wildcards)}h.parquet"
        return str(self.filled(pattern, wildcards))

    def _hours(self, wildcards: Any) -> int:
        """Hours from clock zero to the prediction of a target's task."""
        hours = self.horizon(wildcards) or self._settings(wildcards)["cohort"]["window_hours"]
        return int(hours)

    def fiddle(self, wildcards: Any) -> str:
        """FIDDLE's settings; of admissions its hours are those of their window."""
        return json.dumps(
            protocols.fiddle(self._settings(wildcards), wildcards.unit), sort_keys=True
        )

    def complete_cases(self, form: str = "{file}") -> Of:
        """Tables that tell who has each modality, where only complete cases are wanted."""

        def of(wildcards: Any) -> list[str]:
            merged = self._settings(wildcards)
            if merged["missing"] != "complete":
                return []
            wanted = merged["complete_of"] or self.letters.values()
            return [
                form.format(name=name, file=self.filled(present, wildcards))
                for letter, name in self.letters.items()
                if name in wanted and (present := self.modalities[letter].present)
            ]

        return of

    def embeddings(self, wildcards: Any) -> list[str]:
        """The embeddings of a target's modalities."""
        pattern = f"{UNIT}/embeddings/{wildcards.task}/{{name}}.parquet"
        return [
            filled(self.filled(pattern, wildcards), name=self.letters[letter])
            for letter in wildcards.modalities
        ]

    def single_models(self, protocol: str | None = None) -> Of:
        """Predictions of the single models that a target is compared with, or made of.

        `protocol`: of a result, in all its folds; else that of the wildcards. UniMed has none,
        whatever the unit: models of other encoders than its own say nothing of its modalities, and
        `e_unimed_…` is a target itself. Nor has a single model.
        """

        def of(wildcards: Any) -> list[str]:
            if protocol and (
                wildcards.model == registry.SINGLE or registry.is_decoder(wildcards.model)
            ):
                return []
            pattern = f"{PREDICTIONS}/{{letter}}_{registry.SINGLE}_{wildcards.task}.parquet"
            folds = protocols.folds(self.config, protocol) if protocol else [wildcards.protocol]
            return [
                self.located(pattern, protocol=fold, unit=self.unit(wildcards), letter=letter)
                for fold in folds
                for letter in wildcards.modalities
            ]

        return of

    def labels(self, part: str = "") -> Of:
        """The labels that a model reads, of its tasks and of those whose outcomes it is told.

        `part`: groups or vocabulary, of tasks of many labels.
        """
        ending = f".{part}.parquet" if part else ".parquet"
        return lambda wildcards: [
            self.filled(f"{UNIT}/labels/{one.name}{ending}", wildcards)
            for one in targets.read(
                self.config, wildcards.model, wildcards.task, wildcards.protocol
            )
            if not part or one.kind == "many"
        ]

    def sequence(self, wildcards: Any) -> list[str]:
        """The names of a target's tasks, in the order of time."""
        return targets.sequence(self.config, wildcards.task)

    def told(self, wildcards: Any) -> list[str]:
        """The names of the tasks whose outcomes a decoder is told."""
        return targets.told(self.config, wildcards.model, wildcards.task)

    def decoder(self, wildcards: Any) -> str:
        """The settings of a decoder, as JSON."""
        return json.dumps(targets.decoder_settings(self.config, wildcards.model), sort_keys=True)

    def in_folds(self, pattern: str, protocol: str, task: str | None = None) -> list[str]:
        """A table in every fold of a protocol; `task`: whose unit the path has."""
        unit = {"unit": targets.unit_of(self.config, task, protocol)} if task else {}
        return [
            self.located(pattern, protocol=fold, **unit)
            for fold in protocols.folds(self.config, protocol)
        ]


def encoder_module(modality: str, encoder: str) -> str:
    """The module of an encoder.

    >>> encoder_module("cxr", "resnet18")
    'pipeline.cxr.encoder_resnet18'
    """
    return f"pipeline.{modality}.encoder_{encoder.replace('-', '_')}"
