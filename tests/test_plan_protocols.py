"""Protocols as data: merging, folds, schedules; the published one agrees with the paper."""

import copy
import json
import re
from dataclasses import fields
from types import SimpleNamespace

import pytest
import yaml
from checkout import REPOSITORY

from pipeline.fiddle.options import Options
from pipeline.plan import configuration, grids, protocols, sections, targets
from pipeline.plan.wiring import Wiring
from pipeline.stage.errors import InputError
from pipeline.stage.registry import PROTOCOLS
from pipeline.training.loop import rates
from pipeline.training.settings import Training

CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
TASKS = ("mortality", "longstay", "readmission")
MULTIMODAL = ("early", "joint", "late-averaged")
# class weights of wang2024.md, section 4: by task, of e, of c and n, of multimodal models
WEIGHTS = {
    "mortality": ([1, 10], [1, 15], [1, 10]),
    "longstay": ([1, 1], [1, 1], [1.5, 1]),
    "readmission": ([1, 20], [1, 20], [1, 25]),
}


@pytest.fixture(scope="module")
def published():
    return protocols.settings(CONFIG, "published")


def schedule(found, modalities, model, task):
    return json.loads(protocols.schedule(found, modalities, model, task))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("modality", range(2))
def test_published_class_weights_of_single_models(published, task, modality):
    for letter in ("e", "cn")[modality]:
        found = schedule(published, letter, "unimodal", task)
        assert found["class_weights"] == WEIGHTS[task][modality]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MULTIMODAL)
@pytest.mark.parametrize("modalities", ["ec", "en", "cn", "ecn"])
def test_published_class_weights_of_fused_models(published, task, model, modalities):
    found = schedule(published, modalities, model, task)
    assert found["class_weights"] == WEIGHTS[task][2]


def test_every_published_training_of_the_grid_has_class_weights(published):
    names = [name.split("_") for name in grids.grid(CONFIG, "published")]
    assert {task for _, _, task in names} == set(TASKS)
    trained = [name for name in names if name[1] != "late"]
    assert len(trained) == 3 * (3 + 3 * 4)
    assert all("class_weights" in schedule(published, *name) for name in trained)


def test_published_training_is_that_of_the_paper(published):
    common = {"batch_size": 8, "optimiser": "adam", "decay": "constant", "clip": None}
    single = {"epochs": 20, "learning_rate": 1e-3, "weight_decay": 0, "eval_mode": False}
    fused = {"epochs": 30, "learning_rate": 1e-4, "weight_decay": 5e-3}
    for letter in "ecn":
        found = schedule(published, letter, "unimodal", "mortality")
        assert found.pop("class_weights")
        assert found == common | single
    for model in MULTIMODAL:
        found = schedule(published, "ecn", model, "mortality")
        assert found.pop("class_weights")
        assert found == common | fused
        assert Training(**found).eval_mode  # only the single models forget it
        assert rates(Training(**found), range(28, 30), 30) == [1e-4, 1e-4]  # no decay


def test_published_choices_are_those_of_the_sheet(published):
    assert published["split"] == {"random_state": 0, "val": 0.15, "test": 0.15}
    doc2vec = {"vector_size": 512, "epochs": 20, "min_count": 2, "seed": 0}
    defaults = {"dm": 1, "window": 5, "negative": 5}  # gensim's, named
    workers = {"workers": 1}  # the paper's 8 give other weights in every run
    assert published["note"]["doc2vec"] == doc2vec | defaults | workers
    assert (published["note"]["fitted_on"], published["note"]["standardise"]) == ("all", False)
    assert published["cohort"]["window_hours"] == 48
    assert published["cohort"]["icu_within_hours"] is None
    assert published["cohort"]["min_age"] is None
    assert published["cohort"]["definition"] == published["definition"] == "published"
    assert published["missing"] == "complete"
    assert published["cxr"]["views"] == ["antero-posterior"]
    assert (published["cxr"]["hours_scale"], published["cxr"]["full"]) == (1, True)
    assert published["cxr"]["one_by_one"] is True
    chosen = {"signals": "published", "start_by_value": False, "statistics": False}
    assert published["ehr"] == chosen | {"grid": published["ehr"]["grid"]}
    assert published["modality_dropout"] == 0
    assert published["head_on"] == "train"
    assert published["availability"] is None  # the queries know: by the time of charting
    assert published["complete_of"] == ["cxr", "note"]  # no EHR event is required


def test_what_the_published_side_assumes_is_listed():
    """As many as are marked: a mark that the list lacks fails, and so does an entry without one."""
    rooms = {
        "cohort": ["split.py", "units/published.sql", "tasks/published/*.sql"],
        "ehr": ["published.*"],
    }
    assumed = protocols.choices("published")["assumed"]
    for room, names in rooms.items():
        files = [path for name in names for path in (REPOSITORY / "pipeline" / room).glob(name)]
        marks = sum(path.read_text().count("ASSUME") for path in files if path.is_file())
        assert marks == len(assumed[room]), room


FOUND = {"pixels": 224, "pretrained": "resnet18.safetensors"}


@pytest.mark.parametrize(
    ("films", "lacking"),
    [
        (FOUND, []),
        (FOUND | {"pixels": 64}, ["cxr.pixels: 224 (it is 64)"]),
        (FOUND | {"pretrained": None}, ["cxr.pretrained: a file (it is null)"]),
    ],
)
def test_a_real_source_without_the_papers_films_or_imagenet_is_refused(films, lacking):
    real = CONFIG | {"source": {"root": "/data"}, "cxr": CONFIG["cxr"] | films}
    for letters in ("c", "ecn"):
        why = targets.unmet(real, letters, "published")
        assert why == (f"the published protocol needs {', '.join(lacking)}" if lacking else None)
        assert targets.unmet(real, letters, "corrected") is None
    assert targets.unmet(real, "en", "published") is None  # no film is trained on
    assert targets.unmet(CONFIG, "ecn", "published") is None  # the hospital's films are small


def test_published_users_may_choose_films_source_and_seeds_but_not_what_the_paper_chose():
    changed = copy.deepcopy(CONFIG)
    changed["cxr"]["pixels"] = 224
    changed["seeds"] = [0, 1]
    changed["schedule"]["steps"] = 99
    changed["note"]["doc2vec"]["epochs"] = 1
    changed["split"]["salt"] = "other"
    plain, found = (protocols.settings(config, "published") for config in (CONFIG, changed))
    differ = {key for key in found if found[key] != plain[key]}
    assert differ == {"cxr", "seeds"}


@pytest.mark.parametrize("task", TASKS)
def test_corrected_has_one_schedule_without_class_weights(task):
    found = protocols.settings(CONFIG, "corrected")
    models = [("e", "unimodal"), ("c", "unimodal"), ("n", "unimodal")]
    models += [("ecn", model) for model in MULTIMODAL]
    schedules = [schedule(found, *model, task) for model in models]
    assert schedules == [CONFIG["schedule"]] * 6
    assert Training(**schedules[0]).class_weights == [1.0, 1.0]
    assert Training(**schedules[0]).eval_mode


def test_class_weights_of_a_task_that_has_none_are_left_out(published):
    assert "class_weights" not in schedule(published, "e", "unimodal", "sepsis")
    assert "class_weights" not in schedule(published, "x", "unimodal", "mortality")  # a new letter
    assert schedule(published, "ex", "joint", "mortality")["class_weights"] == [1, 10]


def test_a_schedule_is_text_that_does_not_depend_on_the_order_of_keys(published):
    text = protocols.schedule(published, "e", "unimodal", "mortality")
    reordered = published | {"schedule": dict(reversed(published["schedule"].items()))}
    assert protocols.schedule(reordered, "e", "unimodal", "mortality") == text
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_merging_goes_mapping_by_mapping_and_changes_neither():
    base = {"a": {"b": {"c": 1, "d": 2}}, "e": [1, 2], "f": 3}
    over = {"a": {"b": {"d": 5}}, "e": [9], "f": None, "g": {"h": 1}}
    kept = copy.deepcopy((base, over))
    assert protocols.merged(base, over) == {
        "a": {"b": {"c": 1, "d": 5}}, "e": [9], "f": None, "g": {"h": 1},
    }  # fmt: skip
    assert (base, over) == kept


@pytest.mark.parametrize("key", protocols.WHOLE)
def test_what_is_one_choice_is_replaced_as_a_whole(key):
    assert protocols.merged({key: {"a": 1}}, {key: {"b": 2}}) == {key: {"b": 2}}
    nested = protocols.merged({"note": {key: {"a": 1}, "c": 3}}, {"note": {key: {"b": 2}}})
    assert nested == {"note": {key: {"b": 2}, "c": 3}}


def test_a_fold_is_the_corrected_protocol_with_a_number_in_its_split():
    config = CONFIG | {"folds": 3}
    plain, fold = (protocols.settings(config, p) for p in ("corrected", "corrected/fold2"))
    assert fold["split"] == plain["split"] | {"fold": 2, "folds": 3}
    assert {key for key in fold if fold[key] != plain[key]} == {"split"}
    assert "fold" not in plain["split"]


def test_one_fold_is_no_cross_validation():
    assert protocols.folds({"folds": 1}, "corrected") == ["corrected"]
    assert protocols.folds({"folds": 2}, "corrected") == ["corrected", "corrected/fold1"]
    assert protocols.folds({"folds": 2}, "published") == ["published"]


def test_what_corrected_names_published_names_too():
    keys = [set(protocols.choices(name)) for name in PROTOCOLS]
    assert keys[0] <= keys[1]


def test_what_the_config_allows_is_what_stages_read():
    """Stages that compute with their settings have classes of their own: same names, defaults."""
    options = [field.name for field in fields(Options) if field.name != "ordinal"]
    assert list(sections.Fiddle.model_fields) == options


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"cxr": {"hours_scal": 1}}, r"config.cxr.hours_scal: unknown key; did you mean hours_sca"),
        ({"head_onn": "train"}, "config.head_onn: unknown key, .* did you mean head_on"),
        ({"note": {"letters": {"least": "two"}}}, 'config.note.letters.least: "two"; expected a w'),
        ({"class_weights": {"mortality": {"e": [1]}}}, "config.class_weights.mortality.e: a list"),
        ({"encoders": {"e": "token"}}, "config.encoders.e: token; expected an encoder of ehr"),
    ],
)
def test_a_mistake_in_a_protocol_s_file_is_a_line(monkeypatch, over, message):
    """A misspelt key would change nothing, silently."""
    merged = {name: protocols.merged(protocols.choices(name), over) for name in PROTOCOLS}
    monkeypatch.setattr(protocols, "choices", merged.get)
    with pytest.raises(InputError) as error:
        configuration.check(CONFIG)
    lines = str(error.value).splitlines()
    assert len(lines) == len(PROTOCOLS)
    assert all(re.search(f"^workflow/protocols/.*yaml: {message}", line) for line in lines), lines


def test_complete_cases_and_the_split_reach_the_rules_of_their_protocol():
    own = {"e": "ehr", "n": "note"}  # as where config.yaml names no films
    wiring = Wiring(CONFIG | {"modalities": own})
    published, corrected = (
        SimpleNamespace(protocol=name, unit="admission") for name in ("published", "corrected")
    )
    notes = "results/published/admission/note/notes.parquet"
    assert wiring.complete_cases("{name}={file}")(published) == [f"note={notes}"]
    assert wiring.complete_cases()(corrected) == []
    for of, protocols_of_it in (("patients", [corrected]), ("tasks", [published])):
        for wildcards in (published, corrected):
            option = wiring.split(of)(wildcards)
            assert bool(option) == (wildcards in protocols_of_it)
            assert not option or option[0] == "--split"
