"""The only functions of the workflow: where files lie, what a rule depends on, what is refused."""

import json
import shutil
import sys
from functools import cache
from pathlib import Path

from snakemake.logging import logger

from pipeline.common import planning, protocols
from pipeline.common.errors import InputError
from pipeline.common.modules import source_files
from pipeline.extract import contracts, preflight, release

UNIT = "results/{protocol}/admission"
PREDICTIONS = "results/{protocol}/predictions"
ABSENT = "results/{protocol}/missing"
LETTERS = config["modalities"]
ENCODERS = {}  # modality → the files and settings that its rules file offers to training
SYNTHETIC = config["source"]["root"] == "synthetic"
SOURCE = {**config["source"], "root": "results/hospital"} if SYNTHETIC else config["source"]
PROCESSES = config["torch"]["processes"]
GPU = PROCESSES if shutil.which("nvidia-smi") else 0
LAUNCH = f"torch.distributed.run --standalone --nproc-per-node {PROCESSES} -m"
LAUNCH = LAUNCH if PROCESSES > 1 else ""  # between `python -m` and a stage
RESULTS = {"corrected": "results", "published": "results/published"}
SUPPRESS = 0 if SYNTHETIC else 10  # counts below are hidden
CORRECTED = "corrected(/fold[0-9]+)?"

if misspelt := planning.misspelt(config, set(SCHEMA["properties"])):
    sys.exit("\n".join(misspelt))


def setting(*keys):
    """One part of the settings of a job's protocol, mappings as JSON with sorted keys.

    The only form in which rules get settings: an edit elsewhere reruns nothing.
    """

    def of(wildcards):
        part = protocols.settings(config, wildcards.protocol)
        for key in keys:
            part = part[key]
        return json.dumps(part, sort_keys=True) if isinstance(part, dict) else part

    return of


def known_from(*kinds):
    """From when these kinds of rows are known; an edit of another kind reruns nothing."""

    def of(wildcards):
        table = protocols.settings(config, wildcards.protocol)["availability"]
        return json.dumps({kind: table[kind] for kind in ("enforced", *kinds)}, sort_keys=True)

    return of


def schedule(model, letters=None):
    """How a model is trained; `letters`: of the target, where no wildcard tells them."""

    def of(wildcards):
        found = protocols.settings(config, wildcards.protocol)
        own, name = letters or wildcards.modalities, model or wildcards.model
        return protocols.schedule(found, own, name, wildcards.task)

    return of


def only_published(path):
    """A file that the published protocol alone reads."""
    return lambda wildcards: path if wildcards.protocol == "published" else []


def option(name):
    """The option of inputs that may be empty: nothing, or `--name file …`."""

    def of(wildcards, input):
        files = input.get(name)
        return [f"--{name}", *([files] if isinstance(files, str) else files)] if files else []

    return of


def hashed_split(flag):
    """The option of the corrected protocol's split, where something is fitted on its train share."""
    return lambda wildcards: (
        [] if wildcards.protocol == "published" else [flag, setting("split")(wildcards)]
    )


def task_query(wildcards):
    """The query of a task, corrected or published."""
    folder = "published/" if wildcards.protocol == "published" else ""
    return f"pipeline/cohort/tasks/{folder}{wildcards.task}.sql"


def complete_cases(form="{file}"):
    """Tables that tell who has each modality, where only complete cases are wanted."""

    def of(wildcards):
        found = protocols.settings(config, wildcards.protocol)
        own = ENCODERS.items() if found["missing"] == "complete" else []
        files = [form.format(name=n, file=filled(e["present"], wildcards)) for n, e in own]
        return files if form == "{file}" or not files else ["--present", *files]

    return of


def filled(pattern, wildcards):
    """A path, or a list of paths, of a job's protocol."""
    if isinstance(pattern, str):
        return pattern.replace("{protocol}", wildcards.protocol)
    return [filled(one, wildcards) for one in pattern]


def names(wildcards):
    """The modalities of a target, by name."""
    return [LETTERS[letter] for letter in wildcards.modalities]


def embeddings(wildcards):
    """The embeddings of a target's modalities."""
    pattern = f"{UNIT}/embeddings/{{task}}/{{modality}}.parquet"
    return expand(pattern, modality=names(wildcards), **wildcards)


def encoder_files(*own):
    """The files that the encoders of these modalities read; of the target's, where none is named."""
    return lambda wildcards: [
        file
        for name in own or names(wildcards)
        for given in ENCODERS[name]["files"].values()
        for file in ([given] if isinstance(given, str) else given)
        for file in [filled(file, wildcards)]
    ]


def encoder_data(*own):
    """The same with the modalities' settings, as the JSON that a stage's --data takes."""

    def of(wildcards):
        data = {}
        for name in own or names(wildcards):
            files = ENCODERS[name]["files"].items()
            data[name] = {key: filled(file, wildcards) for key, file in files}
            data[name] |= {key: get(wildcards) for key, get in ENCODERS[name]["settings"].items()}
        return json.dumps(data, sort_keys=False)

    return of


def encoder_modules(stage, *own):
    """The code of a stage that trains or runs encoders."""
    if own:
        return modules(stage, *(f"pipeline.{name}.modality" for name in own))
    return lambda wildcards: modules(stage, *(f"pipeline.{n}.modality" for n in names(wildcards)))


@cache
def checked(modalities, model, task, protocol="corrected"):
    """The letters of a target that can be made; refuses others, and sources that lack files."""
    if why := planning.refusal(config, modalities, model, task, protocol):
        sys.exit(why)
    if not SYNTHETIC:
        source = (modalities, SOURCE, "results", config["sample"])
        try:
            preflight.check(*source)
        except InputError as error:
            sys.exit(str(error))
        for line in preflight.report(*source):
            logger.info(line)
    return list(modalities)


def in_folds(pattern, protocol):
    """A table in every fold of a protocol."""
    return expand(pattern, protocol=protocols.folds(config, protocol), allow_missing=True)


def single_models(protocol=None):
    """Predictions of the single models that a target is compared with, or made of."""

    def of(wildcards):
        if protocol and wildcards.model == "unimodal":
            return []
        tables = [
            f"{PREDICTIONS}/{x}_unimodal_{wildcards.task}.parquet" for x in wildcards.modalities
        ]
        own = protocols.folds(config, protocol) if protocol else wildcards.protocol
        return expand(tables, protocol=own)

    return of


def without_modalities(protocol):
    """Predictions with a modality missing, of models that are scored so."""

    def of(wildcards):
        checked(wildcards.modalities, wildcards.model, wildcards.task, protocol)
        fused = wildcards.model in planning.FUSIONS or wildcards.model in ("logistic", "gbdt")
        pattern = f"{ABSENT}/{{modalities}}_{{model}}_{{task}}.parquet"
        return expand(in_folds(pattern, protocol), **wildcards) if fused else []

    return of


def known_truth(protocol):
    """What is known of the best reachable score; the published cohort has no known truth."""

    def of(wildcards):
        if not SYNTHETIC or protocol == "published" or wildcards.task not in TRUTH:
            return []
        truth = "results/hospital/truth"
        return [f"{truth}/ceilings.json", f"{truth}/oracle_{wildcards.task}.parquet"]

    return of


def modules_of(protocol):
    """The modules behind a result."""
    return lambda wildcards: planning.made_by(
        config, wildcards.modalities, wildcards.model, wildcards.task, protocol
    )


def made_by(protocol):
    """The files of the code behind a result."""
    return lambda wildcards: modules(*modules_of(protocol)(wildcards))


def behind(protocol):
    """The settings behind a result."""
    return lambda wildcards: planning.settings_of(
        config, protocol, wildcards.modalities, wildcards.model
    )


def modules(*names):
    """Files of code that are run, as inputs: each module and what it imports from this package."""
    return sorted({file for name in names for file in source_files(name)})


def withdraw_stale_outputs(workflow):
    """After a failure: results that wait for a rerun become *.stale, lest they pass as current.

    So do those of other targets that were made from them, by Snakemake's records.
    """
    jobs = workflow.dag.needrun_jobs(exclude_finished=True)
    stale = {str(output) for job in jobs for output in job.output}
    made = [str(path) for path in Path("results").rglob("*") if path.suffix not in (".jpg", "")]
    records = {path: workflow.persistence._read_record(path) for path in made}
    inputs = {path: set(record.input or []) for path, record in records.items() if record}
    while more := {path for path in inputs if inputs[path] & stale} - stale:
        stale |= more
    for path in filter(Path.is_file, map(Path, stale)):
        path.replace(f"{path}.stale")
