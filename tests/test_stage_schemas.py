"""The schemas of results, comparisons and attributions: generated from the types, all described."""

import json

import jsonschema
import pytest

from pipeline.stage.modules import ROOT
from pipeline.stage.result import SECTIONS, FlatResult, flat, in_tasks
from pipeline.stage.schemas import PAGE, SCHEMAS, json_schema, page


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_that_of_the_types(name):
    written = json.loads((ROOT / f"pipeline/evaluation/{name}.schema.json").read_text())
    assert json_schema(SCHEMAS[name]) == written, "run: python -m pipeline.stage.schemas"


def test_the_page_of_fields_is_that_of_the_types():
    assert (ROOT / PAGE).read_text() == page(), "run: python -m pipeline.stage.schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_described(name):
    schema = json_schema(SCHEMAS[name])
    jsonschema.Draft202012Validator.check_schema(schema)
    for own in [schema, *schema["$defs"].values()]:
        assert own["description"]
        assert all(field["description"] for field in own.get("properties", {}).values())
        assert own.get("additionalProperties", False) is False


def test_a_result_of_one_task_has_two_forms():
    public = dict.fromkeys(FlatResult.__required_keys__) | {"schema_version": 3, "task": "x"}
    ordered = ["schema_version", "task", "task_definition", *SECTIONS, "seeds", "cohort"]
    sizes = {"episodes": 3, "patients": 2, "attrition": [], "looks_ahead": []}
    public = {key: public[key] for key in ordered} | {"cohort": sizes}
    private = in_tasks(public)
    assert list(private) == ["schema_version", "task", "tasks", "attention", "seeds", "cohort"]
    assert list(private["tasks"]["x"]) == [*SECTIONS, "definition", "attrition"]
    assert list(private["cohort"]) == ["episodes", "patients", "looks_ahead"]
    assert json.dumps(flat(private)) == json.dumps(public)
    private["attention"] = {"modality": {}, "task": {}}
    assert in_tasks(flat(private)) == private
