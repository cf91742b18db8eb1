"""The config: typed once, described, checked in one place; a mistake is a line, no traceback."""

import copy
import json
import math
import random
import re

import pytest
import yaml
from checkout import REPOSITORY, Checkout

from pipeline.hospital import ids
from pipeline.hospital.settings import Habits
from pipeline.plan import configuration, protocols, sections
from pipeline.stage.errors import InputError

CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
TEXT = yaml.safe_dump(CONFIG, sort_keys=False)
GONE = object()


def changed(settings):
    """The config with some settings changed; keys are paths such as `cxr.pixels`."""
    config = copy.deepcopy(CONFIG)
    for path, value in settings.items():
        *parents, key = path.split(".")
        part = config
        for parent in parents:
            part = part[parent]
        key = int(key) if isinstance(part, list) else key
        part[key] = value
        if value is GONE:
            del part[key]
    return config


def refused(config):
    """The lines that refuse a config; each names a key."""
    with pytest.raises(InputError) as error:
        configuration.check(config)
    lines = str(error.value).splitlines()
    assert all(line.startswith("config") and len(line) < 500 for line in lines)
    return lines


def keys_of(model):
    for name, info in model.model_fields.items():
        yield f"{model.__name__}.{name}", info
        if isinstance(info.annotation, type) and issubclass(info.annotation, sections.Section):
            yield from keys_of(info.annotation)


def test_the_config_at_hand_is_typed_and_keeps_keys_and_values():
    dumped = configuration.check(CONFIG).dump()
    assert json.dumps(dumped, sort_keys=True) == json.dumps(CONFIG, sort_keys=True)


def test_whole_numbers_stay_whole_where_any_number_may_stand():
    """Settings reach jobs as JSON, which tells 1 from 1.0: a changed text reruns them."""
    dumped = configuration.check(changed({"fiddle.step": 1, "modality_dropout": 0})).dump()
    assert json.dumps([dumped["fiddle"]["step"], dumped["modality_dropout"]]) == "[1, 0]"


def test_every_key_is_described():
    keys = dict(keys_of(sections.Config))
    assert len(keys) > 80
    assert [name for name, info in keys.items() if len(info.description or "") < 4] == []


@pytest.mark.parametrize("name", configuration.generated())
def test_what_is_generated_from_the_types_is_up_to_date(name):
    text = (REPOSITORY / name).read_text()
    assert text == configuration.generated()[name], "run python -m pipeline.plan.configuration"


def test_each_schedule_says_of_which_models_it_is():
    page = configuration.page()
    assert "kept. Here: every model but UniMed" in page and "kept. Here: UniMed and its" in page


def test_the_hospital_takes_what_the_config_allows():
    patients = sections.Hospital.model_json_schema()["properties"]["patients"]
    assert patients["maximum"] == ids.MAX_PATIENTS
    defaults = {name: info.default for name, info in sections.Habits.model_fields.items()}
    assert defaults == vars(Habits())


MISTAKES = {
    "cohort.minimum_age": (18, r"config.cohort.minimum_age: unknown key; did you mean min_age\?"),
    "cohort.films": ("all", 'config.cohort.films: "all"; expected covered or any, or null'),
    "cohort.icu_within_hours": ("day", "expected window, a whole number from 0 to 720, or null"),
    "cohort.window_hours": (48.0, r"48.0 \(no whole number: write 48\)"),
    "cohort.min_age": (True, r"true \(a boolean, no number\); expected a whole number from 0"),
    "cohort.ids": ("no.csv", "config.cohort.ids: no file no.csv"),
    "sample": (math.nan, "config.sample: NaN; expected a number from 0.0001 to 1"),
    "schedule": (GONE, "config.schedule: missing; expected a section"),
    "schedule.learning_rate": (
        "1e-4",
        r'"1e-4" \(a text: no quotes, and 1.0e-4 for 1e-4; --config makes',
    ),
    "schedule.steps": (10**400, "config.schedule.steps: a huge number; expected"),
    "schedule.weight_decay": (math.inf, "config.schedule.weight_decay: Infinity; expected"),
    "schedule.clip": (0, "config.schedule.clip: 0; expected a number above 0, or null"),
    "unimed.schedule.clip": (math.inf, "clip: Infinity; expected a number above 0, or null"),
    "split.test": (0.5, "config.split: the shares .* sum to 1.25, expected 1"),
    "split.salt": (12, r"config.split.salt: 12 \(a number: put a text in quotes\)"),
    "split.by": (
        "era",
        "config.split: by era, but late is null; set it to the first year of the "
        "late era: 2011, 2014, 2017, 2020",
    ),
    "split.late": (2014, "config.split: late is 2014, but the split is by patient"),
    "folds": (5, "config.folds: 5 test shares of 0.25 overlap; set at most 4"),
    "sedes": (
        [0],
        r"config.sedes: unknown key, and no further modality of that name; did you mean seeds",
    ),
    "ehr.signals": ("published", "config.ehr.signals: unknown key"),
    "ehr.grid.hours": (0, "config.ehr.grid.hours: 0; expected a number from 0.25 to 48"),
    "ehr.grid.network": ("lstm", 'config.ehr.grid.network: "lstm"; expected gru or tcn'),
    "seeds": ([1, 1], "config.seeds: a list: 1 is listed twice; expected"),
    "tasks": (["death"], "config.tasks: unknown task death; expected of admissions one of "),
    "tasks.1": (
        "shock_4h",
        "tasks: shock_4h is a task of the unit stay, not admission; put it into unimed.tasks",
    ),
    "modalities": ({True: "ehr"}, r"the key true \(YAML reads yes, no, on and off as booleans"),
    "modalities.n": (False, "config.modalities.n: false .YAML reads yes, no, on and off as"),
    "modalities.e": ("note", "config.modalities.e: note, but tables read e: ehr"),
    "modalities.x": ("ehr", "config.modalities.x: ehr, but tables read e: ehr"),
    "modalities.y": ("ecg", "config.modalities.y: ecg has no pipeline/ecg/registry.py"),
    "cxr.pretrained": ("/no", "config.cxr.pretrained: no file /no"),
    "note.precomputed": ("/a/{x}.parquet", r"config.note.precomputed: /a/{x}.parquet has braces"),
    "note.doc2vec.dm": (True, "config.note.doc2vec.dm: true .a boolean, no number"),
    "note.bert.model": ("no", "config.note.bert.model: no folder no"),
    "note.bert.tiny.heads": (3, "note.bert.tiny: width 128 is no multiple of heads 3"),
    "source.root": (None, "config.source: root is null and no data set is named"),
    "source.mimic_iv": ("/", "config.source: root is synthetic, yet mimic_iv is set; set root: n"),
    "torch.device": ("gpu", 'config.torch.device: "gpu"; expected auto, cpu, mps, cuda or cuda:1'),
    "fiddle.step": (
        3,
        r"step: bins of 3 .* when shock_4h ends, after 4 hours; set 0.25, 0.5, 1, 2, 4$",
    ),
    "fiddle.hours": (24, "config.fiddle.hours: 24, but mortality_48h needs 48 hours"),
    "unimed.all": (["arf_12h", "shock_4h"], "config.unimed.all: .* not in the order of time"),
    "unimed.tasks": (["sepsis_4h"], "config.unimed.tasks: unknown task sepsis_4h; expected"),
    "unimed.model.heads": (7, "config.unimed.model: width 128 is no multiple of heads 7"),
    "unimed.model.parallel": (True, "config.unimed.model: parallel tasks get no feedback"),
    "unimed.variants.unimed": ({"hours": 4}, "unimed: that is the name of the model itself; call"),
    "unimed.variants.again": ({"decoder": "gru"}, "variants.again: changes the same as gru; remo"),
    "unimed.variants.x": ({"decodr": "gru"}, "config.unimed.variants.x.decodr: unknown .* decoder"),
    "unimed.variants.y": ({"order": "reversed"}, "variants.y: .*known only later; set hours to 4"),
    "unimed.variants.Z": ({}, 'config.unimed.variants: the key "Z"; expected keys that are a name'),
    "encoders.n": ("resnet18", "config.encoders.n: resnet18; expected an encoder of note, one of "),
    "unimed.encoders.e": (GONE, "config.unimed.encoders.e: missing; expected an encoder of ehr"),
    "unimed.encoders.x": (
        "ecg",
        "config.unimed.encoders.x: modalities have no letter x; remove it",
    ),
}


@pytest.mark.parametrize("path", MISTAKES)
def test_a_mistake_is_a_line_that_names_key_value_and_what_is_expected(path):
    value, message = MISTAKES[path]
    lines = refused(changed({path: value}))
    assert any(re.search(message, line) for line in lines), lines


BACKBONE = {"encoders.c": "backbone"}
NETWORK = "cxr.backbone.model"
OF_ENCODERS = [
    ({"encoders.c": "precomputed"}, r"cxr.precomputed: null, but encoders.c is precomputed; name"),
    ({"unimed.encoders.n": "precomputed"}, "note.precomputed: null, but encoders.n is"),
    ({"cxr.precomputed": "/no.parquet"}, "config.cxr.precomputed: no file /no.parquet"),
    (BACKBONE | {NETWORK: "resnet19"}, f"config.{NETWORK}: torchvision knows no network resnet19"),
    (BACKBONE | {NETWORK: "/no/vit"}, f"config.{NETWORK}: no folder /no/vit, and no hub name"),
    (BACKBONE | {"cxr.backbone.trained": "frozen"}, "a frozen network of random weights tells"),
    (BACKBONE | {"cxr.backbone.weights": "/no"}, "config.cxr.backbone.weights: no file /no"),
    ({"cxr.augment": {"shift": 2}}, "config.cxr.augment.degrees: missing"),
    ({"cxr.augment.shift": 2}, "config.cxr.augment.shift: 2; expected a number from 0 to 0.5"),
    ({"torch.precision": "fp16"}, 'precision: "fp16"; expected auto, fp32 or bf16'),
]


@pytest.mark.parametrize(("changes", "message"), OF_ENCODERS)
def test_what_an_encoder_of_films_or_reports_lacks_is_told_before_anything_starts(changes, message):
    lines = refused(changed(changes))
    assert any(re.search(message, line) for line in lines), lines


def test_what_no_model_uses_need_not_be_there():
    changes = {NETWORK: "/no/vit", "cxr.backbone.trained": "frozen"}
    configuration.check(changed(changes))
    for weights in ("/no/weights", "IMAGENET1K_V1"):  # the latter not fetched
        configuration.check(changed({"cxr.backbone.weights": weights}))
    augment = {"shift": 0.05, "degrees": 5, "contrast": 0.2}
    checked = configuration.check(changed(BACKBONE | {NETWORK: "vit_b_16", "cxr.augment": augment}))
    published = protocols.settings(checked.dump(), "published")
    assert not any(published["cxr"]["augment"].values())
    assert published["torch"]["precision"] == "fp32"
    assert published["encoders"]["c"] == "resnet18"


@pytest.mark.parametrize(
    ("path", "value"), [("heads", 7), ("parallel", True), ("order", "reversed")]
)
def test_a_mistake_of_unimed_s_model_is_one_line_however_many_variants_inherit_it(path, value):
    (line,) = refused(changed({f"unimed.model.{path}": value}))
    assert line.startswith("config.unimed.model: ")


@pytest.mark.parametrize("config", [None, [], 3, "a", {}, {1: {2: 3}}, {True: None}, [[{}]]])
def test_what_is_no_config_at_all_is_refused(config):
    assert refused(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seeds: [0]\nfolds: 1\nseeds: [1]\n",
            "c.yaml:3: config.seeds is set twice, first in line 1; keep",
        ),
        ("a:\n  b: {c: 1, c: 2}\n", r"c.yaml:2: config.a.b.c is set twice, first in line 2; keep"),
        ("a: [{b: 1, b: 1}]", "c.yaml:1: config.a.0.b is set twice"),
        ("a: &a [*a]", "c.yaml:1: config.a.0 contains itself"),
        ("a: {[1, 2]: 3}", "c.yaml:1: config.a has a key that is no text"),
        ("a: [1", "c.yaml: not a readable YAML file, see line 2: did not find"),
        ("\x00", "c.yaml: not a readable YAML file"),
        ("[" * 5000, "c.yaml: not a readable YAML file"),
        ("- a", "c.yaml: holds no keys"),
        ("", "c.yaml: holds no keys"),
    ],
)
def test_a_file_that_sets_a_key_twice_or_holds_none_is_refused(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    (line,) = configuration.set_twice(tmp_path / "c.yaml")
    assert re.search(message, line) and "\n" not in line
    with pytest.raises(InputError):
        configuration.read(tmp_path / "c.yaml")


def test_a_file_that_sets_each_key_once_is_not_refused():
    assert configuration.set_twice(REPOSITORY / "config.yaml", "no/file.yaml") == []


# Mutations

STRANGE = [
    None, True, False, "", " ", "n", "yes", "1", "1e-4", "é", "a" * 9999, -1, -0.5, 0, 0.5, 1, 1.0,
    3, 10**12, 10**400, 1e300, -1e300, math.nan, math.inf, -math.inf, [], [[]], [None], [0, 0],
    ["x"], {}, {"x": 1}, {1: 2}, {None: None}, {True: False}, [{"a": []}],
]  # fmt: skip


def places(part, above=()):
    """Every key of the config, sections and lists' items as well."""
    for key in part if isinstance(part, dict) else range(len(part)):
        yield (*above, key)
        if isinstance(part[key], dict | list):
            yield from places(part[key], (*above, key))


def parent(config, place):
    for key in place[:-1]:
        config = config[key]
    return config


def mutant(seed):
    """The config with one thing done to it, and what; a text where a line is written twice."""
    draw = random.Random(seed)
    config = copy.deepcopy(CONFIG)
    place, other = draw.sample(list(places(CONFIG)), 2)
    part, key = parent(config, place), place[-1]
    kinds = ("strange", "delete", "rename", "swap", "list", "section", "negative", "twice")
    kind = kinds[seed % len(kinds)]
    if kind == "twice":
        lines = TEXT.splitlines(keepends=True)
        line = draw.randrange(len(lines))
        return "".join([*lines[: line + 1], *lines[line:]]), f"twice {lines[line]}"
    if kind == "strange":
        part[key] = draw.choice(STRANGE)
    elif kind == "delete":
        del part[key]
    elif kind == "rename" and isinstance(part, dict):
        name = str(key)
        cut = draw.randrange(len(name))
        part[
            draw.choice([name[:cut] + name[cut + 1 :], name.upper(), name + "s", 1, None, True])
        ] = part.pop(key)
    elif kind == "swap":
        part[key] = copy.deepcopy(parent(CONFIG, other)[other[-1]])
    elif kind == "list":
        part[key] = [part[key]]
    elif kind == "section":
        part[key] = {str(key): part[key]}
    else:
        number = isinstance(part[key], int | float) and not isinstance(part[key], bool)
        part[key] = -part[key] * draw.choice([1, 10**9]) if number else draw.choice(STRANGE)
    return config, f"{kind} {'.'.join(map(str, place))}"


def test_300_mutations_are_refused_in_lines_or_harmless(tmp_path):
    """Those that pass leave something out that may be, or are values that somebody may want."""
    path = tmp_path / "config.yaml"
    accepted = []
    for seed in range(300):
        config, what = mutant(seed)
        path.write_text(
            config if isinstance(config, str) else yaml.dump(config, Dumper=yaml.CSafeDumper)
        )
        try:
            found = configuration.read(path)
        except InputError as error:
            lines = str(error).splitlines()
            assert all(line.startswith(str(path)) and len(line) < 600 for line in lines), what
        else:
            assert found.dump() == yaml.load(path.read_text(), yaml.CSafeLoader), what
            accepted.append(what)
    assert len(accepted) < 30, accepted


@pytest.mark.parametrize("seed", [0, 1, 2, 7, 16])
def test_mutations_through_the_workflow_leave_no_traceback(tmp_path, seed):
    config, _ = mutant(seed)
    checkout = Checkout.fresh(tmp_path)
    text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
    (checkout / "config.yaml").write_text(text)
    outcome = checkout.plan()
    assert "Traceback" not in outcome.text
    try:
        configuration.read(checkout / "config.yaml")
    except InputError as error:
        assert outcome.status == 1
        (line,) = str(error).splitlines()
        assert line.removeprefix(f"{checkout / 'config.yaml'}").lstrip(": ") in outcome.text
    else:
        assert outcome.status == 0, outcome.text


def test_a_config_of_the_command_line_passes_the_same_checks(tmp_path):
    checkout = Checkout.fresh(tmp_path)
    outcome = checkout.snakemake("--dry-run", "--config", "folds=1.5", "seedz=[0]")
    assert outcome.status == 1 and "Traceback" not in outcome.text
    assert "config.folds: 1.5; expected a whole number from 1 to 100" in outcome.text
    assert "config.seedz: unknown key" in outcome.text
    (checkout / "own.yaml").write_text("folds: 2\nfolds: 3\n")
    outcome = checkout.snakemake("--dry-run", "--configfile", "own.yaml")
    assert outcome.status == 1 and "Traceback" not in outcome.text
    assert "own.yaml:2: config.folds is set twice, first in line 1" in outcome.text
