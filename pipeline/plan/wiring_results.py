"""How the rules of results get files and settings: what a result is made of, in every fold.

Every method returns a function of wildcards, as in `pipeline.plan.wiring`. A result's wildcards
name modalities, model and task, so the protocol is an argument.
"""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from pipeline.cohort.task import of_unit
from pipeline.fusion import registry
from pipeline.plan import explaining, protocols, targets
from pipeline.plan.wiring import (
    ABSENT,
    PREDICTIONS,
    UNIT,
    Of,
    Wiring,
    encoder_module,
    flat,
)


class ResultWiring(Wiring):
    """The wiring of all stages, with that of results, comparisons and tables."""

    def presence(self, protocol: str | None = None, unit: str | None = None) -> Of:
        """Who has which modality of the config, as the JSON of an evaluation's --present.

        Alike for every target and model, so that all figures of a table are of the same episodes.
        Films count as selected: none is decoded to be counted, and a result says how many cannot be
        read. `protocol`, `unit`: where the wildcards name none.
        """

        def of(wildcards: Any) -> str:
            own = {"protocol": protocol or wildcards.protocol,
                   "unit": unit or self.unit(wildcards)}  # fmt: skip
            who: dict[str, dict[str, Any]] = {}
            for letter, modality in self.modalities.items():
                table = modality.assumed or modality.present
                if letter in self.lacking:
                    who[letter] = {"reason": self.lacking[letter]}
                elif table is None:
                    who[letter] = {"reason": "it does not say who has it"}
                else:
                    by = "assumed" if modality.assumed else "selected"
                    who[letter] = {"table": self.located(table, **own), "by": by}
            return json.dumps(who)

        return of

    def present(self, protocol: str | None = None, unit: str | None = None) -> Of:
        """The tables of `presence`."""
        of = self.presence(protocol, unit)
        return lambda wildcards: [
            who["table"] for who in json.loads(of(wildcards)).values() if "table" in who
        ]

    def readable(self, protocol: str) -> Of:
        """Counts of films that cannot be read, of a target that reads them; alike in every fold."""

        def of(wildcards: Any) -> list[str]:
            own = {"protocol": protocols.folds(self.config, protocol)[0],
                   "unit": self.unit(wildcards)}  # fmt: skip
            encoders = self.encoders(of_protocol(wildcards, protocol)).values()
            return [
                self.located(encoder.files["readable"], **own)
                for _, encoder in encoders
                if "readable" in encoder.files
            ]

        return of

    def external(self, protocol: str) -> Of:
        """Files of the user's behind a target's encoders, as the JSON of a result's --external.

        Modality → files, and counts: JSON of what lacks an embedding, alike in every fold.
        """

        def of(wildcards: Any) -> str:
            own = {"protocol": protocols.folds(self.config, protocol)[0],
                   "unit": self.unit(wildcards)}  # fmt: skip
            told = {
                name: {"files": list(encoder.external),
                       "counts": encoder.counts and self.located(encoder.counts, **own)}
                for name, (_, encoder) in self.encoders(of_protocol(wildcards, protocol)).items()
                if encoder.external
            }  # fmt: skip
            return json.dumps(told, sort_keys=True)

        return of

    def external_files(self, protocol: str) -> Of:
        """The files of `external`."""
        of = self.external(protocol)
        return lambda wildcards: flat([
            [*told["files"], *([told["counts"]] if told["counts"] else [])]
            for told in json.loads(of(wildcards)).values()
        ])  # fmt: skip

    def baselines(self, protocol: str) -> Of:
        """Predictions of the baselines on statistics that a target is compared with, in every fold.

        Of every model that reads the record, but for the baselines and the clinical scores, and of
        every binary task: a fused model that loses to them should say so by itself. They are fitted
        in seconds. Clinical scores are no part of it: they may need tables that a source lacks.
        """

        def of(wildcards: Any) -> list[str]:
            models = registry.models(self.config, protocol)
            if models[wildcards.model].features in ("statistics", "scores"):
                return []
            return [
                path
                for one in targets.tasks(self.config, wildcards.task, protocol)
                for name, model in models.items()
                if model.features == "statistics" and one.kind == "binary"
                if set(letters := model.letters or "") <= set(wildcards.modalities)
                for path in self.in_folds(
                    f"{PREDICTIONS}/{letters}_{name}_{one.name}.parquet", protocol, one.name
                )
            ]

        return of

    def without_modalities(self, protocol: str) -> Of:
        """Predictions with a modality missing, in every fold, of models that are scored so."""

        def of(wildcards: Any) -> list[str]:
            model = registry.MODELS.get(wildcards.model)
            if model is None or not model.curves:
                return []
            name = f"{wildcards.modalities}_{wildcards.model}_{wildcards.task}"
            return self.in_folds(f"{ABSENT}/{name}.parquet", protocol, wildcards.task)

        return of

    def of_tasks(self, pattern: str, protocol: str) -> Of:
        """A file of every task of a target."""
        return lambda wildcards: [
            self.located(pattern, protocol=protocol, unit=one.unit, task=one.name)
            for one in targets.tasks(self.config, wildcards.task, protocol)
        ]

    def left_out(self, protocol: str) -> Of:
        """Whom the sensitivity analyses of a target's tasks leave out, a table per task with any.

        The published protocol has none.
        """
        return lambda wildcards: [
            self.located(f"{UNIT}/without/{one.name}.parquet", protocol=protocol, unit=one.unit)
            for one in targets.tasks(self.config, wildcards.task, protocol)
            if protocol == "corrected" and one.without
        ]

    def explanations(self, protocol: str = "corrected") -> Of:
        """The explanations behind a result, see `pipeline.plan.explaining`."""
        return explaining.behind(self, protocol)

    def groups(self, protocol: str, part: str) -> Of:
        """The tables `groups` or `vocabulary` of a target's task of many labels, in every fold."""
        return lambda wildcards: [
            path
            for one in targets.tasks(self.config, wildcards.task, protocol)
            if one.kind == "many"
            for path in self.in_folds(
                f"{UNIT}/labels/{one.name}.{part}.parquet", protocol, one.name
            )
        ]

    def predictions(self, protocol: str, ending: str = ".parquet") -> Of:
        """What a target's model predicts, in every fold of a protocol."""

        def of(wildcards: Any) -> list[str]:
            name = f"{wildcards.modalities}_{wildcards.model}_{wildcards.task}"
            return self.in_folds(f"{PREDICTIONS}/{name}{ending}", protocol, wildcards.task)

        return of

    def histories(self, protocol: str) -> Of:
        """The histories of the trainings behind a target: its own, or those of its encoders."""

        def of(wildcards: Any) -> list[str]:
            model = registry.models(self.config, protocol)[wildcards.model]
            if model.features not in ("encoders", "embeddings", "predictions"):
                return []
            alone = model.features != "encoders" or wildcards.model == registry.SINGLE
            names = [self.letters[letter] for letter in wildcards.modalities]
            parts = names if alone else [f"{wildcards.modalities}_{wildcards.model}"]
            return [
                path
                for part in parts
                for path in self.in_folds(
                    f"{UNIT}/models/{wildcards.task}/{part}/history.json", protocol, wildcards.task
                )
            ]

        return of

    def of_decoder(self, protocol: str, ending: str, kind: str | None = None) -> Of:
        """What a decoder leaves beside its predictions, in every fold; other models leave nothing.

        `kind`: of a target with a task of this kind alone.
        """
        beside = self.predictions(protocol, ending)

        def of(wildcards: Any) -> list[str]:
            asked = targets.tasks(self.config, wildcards.task, protocol)
            fits = kind is None or any(one.kind == kind for one in asked)
            return beside(wildcards) if fits and registry.is_decoder(wildcards.model) else []

        return of

    def of_unit(self, pattern: str, protocol: str) -> Of:
        """A file of the unit of a result's tasks."""
        return lambda wildcards: self.located(pattern, protocol=protocol, unit=self.unit(wildcards))

    def category(self, protocol: str) -> Of:
        """Where Snakemake's report lists a result."""
        words = {"stay": "ICU stays", "admission": f"Admissions, {protocol} protocol"}
        return lambda wildcards: words[self.unit(wildcards)]

    def made_by(self, protocol: str) -> Of:
        """The code that decides a result: modules, and the queries of its tasks."""

        def of(wildcards: Any) -> list[str]:
            read = targets.read(self.config, wildcards.model, wildcards.task, protocol)
            asked = targets.tasks(self.config, wildcards.task, protocol)
            queries = [file for one in read for file in one.asked.files]
            left_out = [one.left_out for one in asked if one.left_out and protocol == "corrected"]
            without = [file for query in left_out for file in query.files]
            first = ["pipeline.extract.tables", "pipeline.cohort.episodes",
                     "pipeline.cohort.labels"]  # fmt: skip
            first += ["pipeline.cohort.without", *without] if without else []
            many = any(one.kind == "many" for one in read)
            first += ["pipeline.cohort.diagnoses"] * many
            first += of_unit(asked[0].unit, protocol).files
            model = registry.models(self.config, protocol)[wildcards.model]
            trained = [] if model.decoder else targets.ENCODERS
            if model.features == "statistics":  # of the events; no encoder is read
                rooms = ["pipeline.ehr.events"]
                trained = []
            elif model.features == "scores":  # of the source's rows
                rooms, trained = [], []
            else:
                rooms = self._rooms(wildcards, protocol)
            last = [*trained, *model.modules, "pipeline.evaluation.result"]
            return list(dict.fromkeys([*first, *queries, *rooms, *last]))

        return of

    def _rooms(self, wildcards: Any, protocol: str) -> list[str]:
        """The code of a target's encoders and of what they read."""
        rooms: list[str] = []
        for name, (chosen, encoder) in self.encoders(of_protocol(wildcards, protocol)).items():
            other = protocol == "published" and encoder.published is not None
            rooms += (encoder.published or ()) if other else encoder.stages
            rooms += [targets.query(stem, protocol) for stem in encoder.queries]
            rooms.append(encoder_module(name, chosen))
        return rooms

    def truth(self, protocol: str, known: list[str]) -> Of:
        """What is known of the best reachable score of a target's tasks, as far as `known`.

        The published cohort has no known truth: it asks other questions of other patients.
        """

        def of(wildcards: Any) -> list[str]:
            if protocol != "corrected":
                return []
            own = targets.truths(self.config, wildcards.model, wildcards.task, known)
            folder = "results/hospital/truth"
            oracles = [f"{folder}/oracle_{name}.parquet" for name in own.values()]
            return [f"{folder}/ceilings.json", *oracles] if oracles else []

        return of

    def truth_options(self, known: list[str]) -> Callable[[Any, Any], list[str]]:
        """The folder of the truth, where it is known, and its name for tasks that are told more."""

        def of(wildcards: Any, input: Any) -> list[str]:
            if not input.truth:
                return []
            names = targets.truths(self.config, wildcards.model, wildcards.task, known)
            other = [f"{task}={name}" for task, name in names.items() if task != name]
            return ["--truth", "results/hospital/truth", *(["--truth-of", *other] if other else [])]

        return of

    def behind(self, protocol: str) -> Of:
        """The settings behind a result."""
        return lambda wildcards: targets.settings_of(
            self.config, protocol, wildcards.modalities, wildcards.model, self.unit(wildcards)
        )


def of_protocol(wildcards: Any, protocol: str) -> Any:
    """The wildcards of a result, which name no protocol, with one."""
    names = {name: getattr(wildcards, name) for name in ("modalities", "model", "task")}
    return SimpleNamespace(protocol=protocol, **names)
