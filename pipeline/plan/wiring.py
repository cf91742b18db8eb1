"""How rules get files and settings: functions of a job's wildcards, as Snakemake asks for them.

Every method returns a function; what that returns depends on wildcards and config alone.
Rules get settings only so: one part each, mappings as JSON with sorted keys, so that an edit
elsewhere in the config reruns nothing.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.cohort import task as tasks
from pipeline.plan import planning, protocols
from pipeline.stage import multitask
from pipeline.stage.modules import source_files
from pipeline.stage.names import FUSIONS

UNIT = "results/{protocol}/admission"
STAY = "results/{protocol}/stay"
PREDICTIONS = "results/{protocol}/predictions"
ABSENT = "results/{protocol}/missing"
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


def option(name: str) -> Callable[[Any, Any], list[str]]:
    """The option of inputs that may be empty: nothing, or `--name file …`."""

    def of(wildcards: Any, input: Any) -> list[str]:
        files = flat([input.get(name) or []])
        return [f"--{name}", *files] if files else []

    return of


def only_published(path: str) -> Of:
    """A file that the published protocol alone reads."""
    return lambda wildcards: path if wildcards.protocol == "published" else []


def query(stem: str) -> Of:
    """The query of the job's protocol: `<stem>.sql` or `<stem>_published.sql`."""
    return lambda wildcards: planning.query(stem, wildcards.protocol)


class Wiring:
    """The config, and what the modalities' rules files offer to training.

    `encoders`, `stays`: modality → files (name → path or paths), settings (name → function of
    wildcards), of admissions and of ICU stays; also present: a table with the episodes that have
    the modality, or assumed: of all who are taken to have it (not every modality says so);
    `stays` also modules: the code behind its files. `lacking`: letter → why the source has none of
    a modality.
    """

    def __init__(self, config: Mapping[str, Any], encoders: dict[str, dict[str, Any]],
                 stays: dict[str, dict[str, Any]] | None = None,
                 lacking: Mapping[str, str] | None = None) -> None:  # fmt: skip
        self.config, self.encoders, self.letters = config, encoders, config["modalities"]
        self.stays = {} if stays is None else stays
        self.lacking = lacking or {}

    def _found(self, wildcards: Any) -> dict[str, Any]:
        return protocols.settings(self.config, wildcards.protocol)

    def _names(self, wildcards: Any) -> list[str]:
        return [self.letters[letter] for letter in wildcards.modalities]

    def setting(self, *keys: str) -> Of:
        """One part of the settings of a job's protocol."""

        def of(wildcards: Any) -> Any:
            part: Any = self._found(wildcards)
            for key in keys:
                part = part[key]
            return json.dumps(part, sort_keys=True) if isinstance(part, dict) else part

        return of

    def films_of_the_cohort(self, wildcards: Any) -> Files:
        """The films' metadata, where the cohort asks for patients with any film."""
        asked = self._found(wildcards)["cohort"]["films"] == "any"
        return "results/source/cxr_metadata.parquet" if asked else []

    def split(self, of: str) -> Of:
        """The option `--split` where a protocol draws its split of `patients` or of `tasks`.

        One of patients is drawn once; one of tasks among the eligible episodes of each, so that
        what all tasks share does not depend on it.
        """

        def option_of(wildcards: Any) -> list[str]:
            found = self._found(wildcards)["split"]
            drawn = "tasks" if "random_state" in found else "patients"
            return ["--split", json.dumps(found, sort_keys=True)] if drawn == of else []

        return option_of

    def known_from(self, *kinds: str) -> Of:
        """From when these kinds of rows are known; an edit of another kind reruns nothing."""

        def of(wildcards: Any) -> str:
            table = self._found(wildcards)["availability"]
            if table is None:  # the published queries know by themselves
                return "null"
            return json.dumps({kind: table[kind] for kind in ("enforced", *kinds)}, sort_keys=True)

        return of

    def schedule(self, model: str | None = None, letters: str | None = None) -> Of:
        """How a model is trained; of the wildcards, where model or letters are not given."""
        return lambda wildcards: protocols.schedule(
            self._found(wildcards), letters or wildcards.modalities, model or wildcards.model,
            wildcards.task,
        )  # fmt: skip

    def complete_cases(self, form: str = "{file}") -> Of:
        """Tables that tell who has each modality, where only complete cases are wanted."""

        def of(wildcards: Any) -> list[str]:
            found = self._found(wildcards)
            own = found["complete_of"] or self.encoders  # of those that config.yaml names
            tables = {name: self.encoders[name]["present"] for name in own if name in self.encoders}
            return [
                form.format(name=name, file=filled(table, protocol=wildcards.protocol))
                for name, table in tables.items()
                if found["missing"] == "complete"
            ]

        return of

    def presence(self, protocol: str | None = None, stays: bool = False) -> Of:
        """Who has which modality of the config, as the JSON of an evaluation's --present.

        Alike for every target and model, so that all figures of a table are of the same episodes.
        Films count as selected: none is decoded to be counted, and a result says how many cannot be
        read. `protocol`: of a result; else that of the wildcards.
        """
        offered = self.stays if stays else self.encoders

        def of(wildcards: Any) -> str:
            found: dict[str, dict[str, Any]] = {}
            for letter, name in self.letters.items():
                own = offered.get(name, {})
                by = "assumed" if "assumed" in own else "selected"
                table = own.get("assumed") or own.get("present")
                if letter in self.lacking:
                    found[letter] = {"reason": self.lacking[letter]}
                elif table is None:
                    found[letter] = {"reason": "it does not say who has it"}
                else:
                    base = protocol or wildcards.protocol
                    found[letter] = {"table": filled(table, protocol=base), "by": by}
            return json.dumps(found)

        return of

    def present(self, protocol: str | None = None, stays: bool = False) -> Of:
        """The tables of `presence`."""
        of = self.presence(protocol, stays)
        return lambda wildcards: [
            own["table"] for own in json.loads(of(wildcards)).values() if "table" in own
        ]

    def embeddings(self, wildcards: Any) -> list[str]:
        """The embeddings of a target's modalities."""
        own = {"protocol": wildcards.protocol, "task": wildcards.task}
        pattern = f"{UNIT}/embeddings/{{task}}/{{name}}.parquet"
        return [filled(pattern, name=name, **own) for name in self._names(wildcards)]

    def encoder_files(self, *own: str, stays: bool = False) -> Of:
        """The files that encoders read: of these modalities, or of the target's."""
        offered = self.stays if stays else self.encoders
        return lambda wildcards: flat([
            filled(files, protocol=wildcards.protocol)
            for name in own or self._names(wildcards)
            for files in offered[name]["files"].values()
        ])  # fmt: skip

    def encoder_data(self, *own: str, stays: bool = False) -> Of:
        """The same with the modalities' settings, as the JSON that a stage's --data takes."""
        offered = self.stays if stays else self.encoders

        def of(wildcards: Any) -> str:
            data = {}
            for name in own or self._names(wildcards):
                each = offered[name]
                files = each["files"].items()
                data[name] = {k: filled(file, protocol=wildcards.protocol) for k, file in files}
                data[name] |= {key: get(wildcards) for key, get in each["settings"].items()}
            return json.dumps(data)

        return of

    def readable(self, protocol: str, stays: bool = False) -> Of:
        """Counts of films that cannot be read, of a target that reads them; alike in every fold."""
        offered = self.stays if stays else self.encoders
        first = protocols.folds(self.config, protocol)[0]
        return lambda wildcards: [
            filled(offered[name]["files"]["readable"], protocol=first)
            for name in self._names(wildcards)
            if "readable" in offered[name]["files"]
        ]

    def last_horizon(self, wildcards: Any) -> int:
        """Hours after the patient's arrival that the tasks of a UniMed target see at most."""
        own = multitask.settings(self.config, wildcards.model)
        return max(multitask.horizons(own, multitask.tasks(self.config, wildcards.task)))

    def encoder_modules(self, stage: str, offer: str = "modality") -> Of:
        """The code of a stage that trains the encoders of a target; `offer`: modality or stays."""
        return lambda wildcards: modules(
            stage, *(f"pipeline.{name}.{offer}" for name in self._names(wildcards))
        )

    def single_models(self, protocol: str | None = None) -> Of:
        """Predictions of the single models that a target is compared with, or made of.

        `protocol`: of a result, in all its folds; else that of the wildcards.
        """

        def of(wildcards: Any) -> list[str]:
            if protocol and wildcards.model == "unimodal":
                return []
            own = protocols.folds(self.config, protocol) if protocol else [wildcards.protocol]
            pattern = f"{PREDICTIONS}/{{letter}}_unimodal_{wildcards.task}.parquet"
            return [
                filled(pattern, protocol=each, letter=letter)
                for each in own
                for letter in wildcards.modalities
            ]

        return of

    def without_modalities(self, protocol: str) -> Of:
        """Predictions with a modality missing, in every fold, of models that are scored so."""

        def of(wildcards: Any) -> list[str]:
            if wildcards.model not in (*FUSIONS, "logistic", "gbdt"):
                return []
            name = f"{wildcards.modalities}_{wildcards.model}_{wildcards.task}"
            return self.in_folds(f"{ABSENT}/{name}.parquet", protocol)

        return of

    def left_out(self, protocol: str, stays: bool = False) -> Of:
        """Whom the sensitivity analyses of a target's tasks leave out, a table per task with any.

        The published protocol has none.
        """

        def of(wildcards: Any) -> list[str]:
            own = [wildcards.task]
            if stays:
                own = multitask.tasks(self.config, wildcards.task)
            unit = STAY if stays else UNIT
            return [
                f"{filled(unit, protocol=protocol)}/without/{task}.parquet"
                for task in own
                if protocol == "corrected" and tasks.find(task).without
            ]

        return of

    def in_folds(self, pattern: str, protocol: str) -> list[str]:
        """A table in every fold of a protocol."""
        own = protocols.folds(self.config, protocol)
        return [filled(pattern, protocol=each) for each in own]

    def made_by(self, protocol: str) -> Of:
        """The modules behind a result."""

        def of(wildcards: Any) -> list[str]:
            if multitask.is_model(wildcards.model):
                rooms = [self.stays[name]["modules"] for name in self._names(wildcards)]
                told = multitask.told(self.config, wildcards.model, wildcards.task)
                every = [*told, *multitask.tasks(self.config, wildcards.task)]
                own = multitask.tasks(self.config, wildcards.task)
                return [*multitask.made_by(every, flat(rooms)), *planning.marked_by(own)]
            return planning.made_by(
                self.config, wildcards.modalities, wildcards.model, wildcards.task, protocol
            )

        return of

    def behind(self, protocol: str) -> Of:
        """The settings behind a result."""
        return lambda wildcards: planning.settings_of(
            self.config, protocol, wildcards.modalities, wildcards.model
        )
