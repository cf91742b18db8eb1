"""The types of config.yaml: each section a class, each key with its type, limits and meaning.

Keys are described here and, where a stage reads the section, in its room. The schema for editors
and docs/configuration.md are generated from these classes (`python -m pipeline.plan.configuration`,
which also checks what one key alone cannot show). Limits refuse what makes no sense on any machine;
they are no advice.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field

from pipeline.cohort.settings import Cohort, Split
from pipeline.cxr.settings import Augmentation, BackboneSettings
from pipeline.ehr.settings import GridSettings
from pipeline.extract.settings import Source
from pipeline.note.settings import Doc2VecSettings, TinyBert
from pipeline.stage.availability import Availability
from pipeline.stage.settings import (
    EACH_ONCE,
    Items,
    Number,
    Section,
    Seed,
    Text,
    Whole,
    key,
    optional,
    some_of,
)
from pipeline.training.settings import Schedule
from pipeline.unimed.settings import UnimedModel

RESERVED = {"e": "ehr", "c": "cxr", "n": "note"}  # letters that mean this in every table
Letter = Annotated[str, Field(pattern="^[a-z]$")]
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Experiment = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]*$")]
AdmissionTask = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
StayTask = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*_[1-9][0-9]?h$")]


class Habits(Section):
    """What real files show and a clean generator hides; one switch each."""

    late_arrival: bool = optional("a bed is assigned hours before the patient arrives", True)
    later_years: bool = optional("admissions years after the patient's anchor year", True)
    intubated_gcs: bool = optional("`No Response-ETT` of intubated patients", True)
    repeated_rows: bool = optional("rows written twice", True)
    impossible_values: bool = optional("typing errors; Fahrenheit charted as Celsius", True)
    sparse_films: bool = optional(
        "a variant: films only of emergencies in 2011-2016, as in MIMIC-CXR", False
    )


class Severity(Section):
    """How severity shows in the files; what a perfect reader learns of it is the same."""

    vitals: Literal["level", "drift", "variability", "transient"] = optional(
        "of vitals, labs and urine: their `level`; `drift`, the slope over the first day; "
        "`variability`, the spread of a signal within an admission; `transient`, a crisis on the "
        "first day that has gone by the second",
        "level",
    )
    films: Literal["congestion", "focal"] = optional(
        "`congestion`: a wide heart and opacities of both lower lungs; `focal`: of each patient "
        "consolidation of an upper lobe, effusion of one side, or nodules",
        "congestion",
    )
    reports: Literal["fixed", "varied"] = optional(
        "`fixed`: one wording of each observation; `varied`: synonyms and negations, drawn for "
        "each report",
        "fixed",
    )


class Hospital(Section):
    """The synthetic hospital, made where source.root is synthetic."""

    patients: Whole = key("number of patients; identifiers suffice for the maximum", le=384_615)
    seed: Seed = key("seed of its random numbers")
    chain: Number = key(
        "how much shock, respiratory failure and death change what follows; 0: not at all",
        ge=0,
        le=1,
    )
    habits: Habits = key("what real files show")
    severity: Severity = key("how severity shows")


class Ehr(Section):
    """Events of the record."""

    grid: GridSettings = key("the encoder `grid`")
    statistics: bool = key("whether an encoder reads 11 statistics per signal beside the sequence")


class Cxr(Section):
    """Chest films."""

    views: Items[Text] = key(
        "views of films that are used: meanings of the view's code, or ViewPosition such as AP"
    )
    unreadable: Number = key(
        "share of the films needed that may be absent or damaged; above it the run stops",
        ge=0,
        le=1,
    )
    # at 32, BatchNorm has one value of a lone film
    pixels: int = key("edge of the encoder's films, pixels; 224 as published", ge=33, le=1024)
    pretrained: Text | None = key(
        "safetensors of torchvision's resnet18 (ImageNet), or their name, such as IMAGENET1K_V1, "
        "which `make weights` fetches; null: random weights, which the published protocol refuses "
        "of real films"
    )
    backbone: BackboneSettings = key("the encoder `backbone`: a vision network by its name")
    precomputed: Text | None = key(
        "the encoder `precomputed`: a parquet with dicom_id and embedding (a list of numbers)"
    )
    augment: Augmentation = key("how films are changed in training")


class Bert(Section):
    """Reports by BERT or another text model: of UniMed, and where encoders has `n: bert`."""

    model: Text | None = key(
        "an AutoModel of text (BERT, RoBERTa, ModernBERT …): its folder (config.json, tokenizer, "
        "safetensors), or owner/name@revision, which `make weights` fetches; null: the small BERT, "
        "tiny"
    )
    trained: Literal["frozen", "last", "all"] = key(
        "`frozen`: each report is embedded once and kept; `last`: its last layer is trained with "
        "the task; `all`: all of it"
    )
    tokens: int = key("pieces of a window", ge=8, le=8192)
    tiny: TinyBert = key("the small BERT")


class Note(Section):
    """Radiology reports."""

    doc2vec: Doc2VecSettings = key("vectors of reports")
    bert: Bert = key("BERT or another text model")
    precomputed: Text | None = key(
        "the encoder `precomputed`: a parquet with note_id and embedding (a list of numbers)"
    )


class Fiddle(Section):
    """FIDDLE: features of the record (Tang et al. 2020), of ICU stays and of admissions.

    Of UniMed, and of every model where encoders has `e: fiddle`.
    """

    hours: Whole = key(
        "hours after arrival in the ICU that it reads; of admissions it reads cohort.window_hours, "
        "whatever stands here",
        le=48,
    )
    step: Number = key("hours per bin; every task's hours are whole bins", gt=0, le=48)
    theta_1: Number = key("a variable is recorded in more than this share of the episodes",
                          ge=0, lt=1)  # fmt: skip
    theta_2: Number = key(
        "a feature is 1 in more than this share of the episodes, and 0 in more than it",
        ge=0,
        lt=0.5,
    )
    theta_freq: Number = key(
        "a variable of numbers with at least so many records per observed bin is frequent: it gets "
        "statistics",
        ge=0,
        le=10_000,
    )
    statistics: Annotated[list[Literal["min", "max", "mean"]], EACH_ONCE] = key(
        "statistics of frequent variables, each once"
    )


if TYPE_CHECKING:
    UnimedChange = UnimedModel
else:
    UnimedChange = some_of(UnimedModel, "UnimedChange", "What a variant changes of the model.")


class Unimed(Section):
    """UniMed: several tasks of a unit by one decoder, in the order of time (Zhao et al. 2022)."""

    encoders: dict[Letter, Name] = key("letter → encoder of its modality")
    tasks: Items[StayTask] = key("tasks of ICU stays in the tables, `<query>_<n>h`: predicted n "
                                 "hours after arrival in the ICU")  # fmt: skip
    all: Items[StayTask] = key("the tasks of ICU stays of targets `…_all`, in the order of time; "
                               "targets `…_admission` take the config's tasks")  # fmt: skip
    model: UnimedModel = key("the model `unimed`")
    schedule: Schedule = key("UniMed and its variants, of either unit")
    variants: dict[Annotated[str, Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")], UnimedChange] = key(
        "name → what the model `unimed-<name>` changes of unimed.model"
    )


class Torch(Section):
    """Where and how trainings run."""

    threads: Whole = key("torch's threads per process; weights depend on it", le=1024)
    device: Annotated[str, Field(pattern="^(auto|cpu|mps|cuda(:(0|[1-9][0-9]*))?)$")] = key(
        "`auto`: CUDA if there is one, else cpu; or cpu, mps, cuda, cuda:1"
    )
    precision: Literal["auto", "fp32", "bf16"] = key(
        "of networks: `fp32`; `bf16`: bfloat16 autocast; `auto`: bf16 where the processor has it "
        "natively (avx512_bf16, AMX, CUDA), else fp32. The published protocol has fp32"
    )
    processes: Whole = key("processes per training and node, by torchrun: one per GPU", le=64)
    nodes: Whole = key("nodes per training; more than 1: a Slurm job of as many nodes", le=1024)


class Common(Section):
    """What no protocol types otherwise."""

    name: Experiment | None = optional(
        "of an experiment, whose results, cohort and models lie below results/<name>/; "
        "experiments/<name>.yaml states what differs; null: results/",
        None,
    )
    source: Source = key("where the data sets lie")
    external: dict[Name, Source] = optional(
        "name → another source, with the keys of `source`: models are validated on it, unchanged, "
        "as results/external/<name>/<target>.json",
        {},
    )
    sample: Number = key("share of the subjects, e.g. 0.01 for a first try of a real copy",
                         ge=0.0001, le=1)  # fmt: skip
    hospital: Hospital = key("the synthetic hospital")
    missing: Literal["any", "complete"] = key(
        "`any`: episodes may lack modalities; `complete`: only those that have all of them"
    )
    folds: Whole = key("folds of a cross-validation, each a full run; at most 1 / split.test",
                       le=100)  # fmt: skip
    tasks: Items[AdmissionTask] = key("tasks of admissions in the tables and of targets "
                                      "`…_unimed_admission`")  # fmt: skip
    modalities: dict[Letter, Name] = key(
        "letter → folder below pipeline/, in the order of target names", min_length=1
    )
    encoders: dict[Letter, Name] = key("letter → encoder of its modality, of all models but UniMed")
    fiddle: Fiddle = key("FIDDLE")
    weights: Text = key(
        "folder that `make weights` fills: with models of the hub that are named "
        "owner/name@revision, and weights of torchvision by their name, such as IMAGENET1K_V1"
    )
    group: Text | None = optional(
        "Unix group whose members have all signed the data use agreement: it may read what is "
        "written below results/ and logs/; null: you alone",
        None,
    )
    modality_dropout: Number = key(
        "chance that the training of a fused model hides a modality of an episode", ge=0, lt=1
    )
    recalibration: Literal["none", "platt", "temperature"] = optional(
        "of every model's probabilities, fitted on validation by fold and seed: `platt`, slope and "
        "intercept on the logit; `temperature`, a slope alone. No ranking changes. Not of the "
        "published protocol",
        "none",
    )
    unimed: Unimed = key("UniMed")
    seeds: Items[Seed] = key(
        "seeds of trainings; with five or more, intervals hold the noise of training and "
        "comparisons get a verdict"
    )
    torch: Torch = key("where and how trainings run")


class Config(Common):
    """Everything that config.yaml may hold; beside it, a section per further modality."""

    model_config = ConfigDict(extra="allow")

    cohort: Cohort = key("which admissions are predicted, and when")
    split: Split = key("shares of the patients")
    availability: Availability = key("from when a row could have been known")
    ehr: Ehr = key("events of the record")
    cxr: Cxr = key("chest films")
    note: Note = key("radiology reports")
    schedule: Schedule = key("every model but UniMed, single or fused, of either unit")
