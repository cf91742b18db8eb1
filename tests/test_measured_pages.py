"""Tables in the documentation that benchmarks made are those of their records."""

import importlib
import json
import sys

import pytest
from checkout import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))


@pytest.mark.parametrize("name", ["judged_page", "eicu_page"])
def test_the_table_is_that_of_the_record(name):
    module = importlib.import_module(name)
    shown = module.PAGE.read_text().split(module.MARK)[1]
    made = json.loads(module.RECORD.read_text())
    assert shown.strip() == module.text(made).strip(), f"run: python benchmarks/{name}.py"


def test_the_page_of_the_eicu_demo_says_how_little_it_carries():
    page = (REPOSITORY / "docs/hourly.md").read_text()
    made = json.loads((REPOSITORY / "benchmarks/records/eicu.json").read_text())
    assert f"**{made['deaths']} deaths carry little**" in page
    assert made["deaths"] == 70 and len(made["models"]) == 5
    assert all(row["auroc"]["low"] < row["auroc"]["high"] for row in made["models"])


def test_the_judged_pipelines_are_of_the_same_admissions():
    made = json.loads((REPOSITORY / "benchmarks/records/judged.json").read_text())
    found = {row["name"]: row["judgement"] for row in made["pipelines"]}
    counts = [each["counts"] for each in found.values()]
    assert all(each == counts[0] for each in counts) and counts[0]["missing"] == 0
    verdicts = {name: each["leak"]["verdict"] for name, each in found.items()}
    assert verdicts == {"ours": "none seen", "PyHealth, end": "leaks",
                        "PyHealth, storetime": "none seen", "HAIM-style": "leaks"}  # fmt: skip
