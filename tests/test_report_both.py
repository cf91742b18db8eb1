"""The page across papers: cells, differences, training episodes, what it refuses, what it says."""

import csv
import json
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from test_report_unimed import estimate, line, section
from test_report_unimed import result as of_stays
from test_report_wang import result as flat

from pipeline.fusion import registry
from pipeline.report import both
from pipeline.report.drawing import look_of
from pipeline.report.names import is_multimodal, letters_in_words
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json

STAYS = ("shock_4h", "diagnoses_48h")
MODELS = ("early", "gbdt")
TRAINED = {"early": (1488, 666), "gbdt": (1488, 666), "unimed": (2154, 2154)}


def stay(name, value=0.8):
    return of_stays(name, value, STAYS) | {"settings": {}}


def fused(model, task="shock_4h", value=0.7):
    """A result of a fusion on a task of ICU stays."""
    one = stay(f"ecn_{model}_{task}", value)
    one["tasks"][task] |= {"comparisons": {"best_single": None, "singles": {}}, "missing": None}
    return one | {"attention": None}


def admission(model, value=0.8):
    one = flat("ecn", model, auroc=value)
    one["metrics"] = dict.fromkeys(("train", "test"), one["metrics"]["test"])
    return one | {"folds": 1, "settings": {"schedule": {"steps": 3}}}


def study():
    """Mortality of admissions and shock of ICU stays, by two models of Wang's and UniMed."""
    results = [admission(model, value) for model, value in zip(MODELS, (0.81, 0.82), strict=True)]
    alone = admission("unimed", 0.83)
    alone["settings"] = {"unimed": {"schedule": {"steps": 6}}}
    together = of_stays("ecn_unimed_admission", 0.84, ["mortality"]) | {"settings": {}}
    together["task"], part = "admission", admission("unimed", 0.84)
    together["tasks"] = {"mortality": {**part, "definition": None}}
    stays = [*(fused(model) for model in MODELS), stay("ecn_unimed_shock_4h", 0.75)]
    return [*results, alone, together, *stays, stay("ecn_unimed_all", 0.76)]


def differences(task, together, seeds=5):
    """UniMed minus each model, as `pipeline.evaluation.comparison` writes them."""
    rows = [
        {"family": "papers", "task": task, "first": f"ecn_unimed_{of}"}
        | {"second": f"ecn_{model}_{task}", **estimate(gain), "seed_sd": 0.004, "seeds": seeds}
        | {"p": 0.001, "p_holm": 0.004, "verdict": "better" if gain > 0 else "worse"}
        for of, gain in ((task, 0.05), (together, -0.05))
        for model in MODELS
    ]
    names = {f"ecn_{model}_{task}": TRAINED[model] for model in MODELS}
    names |= {f"ecn_unimed_{of}": TRAINED["unimed"] for of in (task, together)}
    trained = {
        name: {"encoders": one, "head": two, "of_any_task": 3210 if name.endswith("all") else None}
        for name, (one, two) in names.items()
    }
    head = {"schema_version": 4, "protocol": "corrected", "margin": 0.02}
    head["complete"] = {"reason": "few", "tasks": {}, "contrasts": []}
    return head | {"tasks": {task: {"trained_on": trained}}, "contrasts": rows}


def write(patch, folder, results, contrasts=()):
    """The page, its csv as rows and its figure."""
    paths = {"results": [], "contrasts": []}
    for kind, files in (("results", results), ("contrasts", contrasts)):
        for number, one in enumerate(files):
            paths[kind].append(str(folder / f"{kind}{number}.json"))
            write_json(paths[kind][-1], one)
    command = ["both", "--results", *paths["results"], "--contrasts", *paths["contrasts"]]
    command += ["--markdown", f"{folder}/both.md", "--csv", f"{folder}/both.csv"]
    command += ["--figures", f"{folder}/both.svg", "--html", f"{folder}/both.html"]
    patch.setattr(sys, "argv", [*command, "--words", json.dumps({"c": "chest films"})])
    both.main()
    with (folder / "both.csv").open() as file:
        return (folder / "both.md").read_text(), list(csv.DictReader(file))


@pytest.fixture
def page(monkeypatch, tmp_path):
    compared = [differences("mortality", "admission"), differences("shock_4h", "all")]
    return *write(monkeypatch, tmp_path, study(), compared), tmp_path


def test_models_of_both_papers_stand_side_by_side_on_every_binary_task(page):
    text, _, folder = page
    table = section(text, "AUROC")
    assert line(table, "model")[1:] == ["mortality", "Shock 4 h"]
    rows = {row: line(table, row)[1:] for row in ("early fusion", "boosted trees on embeddings",
            "UniMed, each task alone", "UniMed, all tasks together")}  # fmt: skip
    assert [cells[0][:4] for cells in rows.values()] == [".810", ".820", ".830", ".840"]
    assert [cells[1][:4] for cells in rows.values()] == [".700", ".700", ".750", ".760"]
    assert "oracle" not in table and "iagnoses" not in text
    drawn = " ".join(ElementTree.parse(folder / "both.svg").getroot().itertext())
    assert all(words in drawn for words in (*rows, "mortality", "Shock 4 h"))
    assert (folder / "both.html").read_text().count("<table>") == 7


def test_training_episodes_stand_in_a_table(page):
    table = section(page[0], "Who is trained on")
    assert line(table, "early fusion")[1:] == ["1,488 + 666"] * 2
    assert line(table, "UniMed, all tasks together")[1:] == ["2,154", "2,154 (3,210)"]
    assert "learns from the episodes of its other tasks" in table


def test_unimed_minus_every_model_with_its_verdict(page):
    text, rows, _ = page
    own = section(text, "Shock 4 h")
    assert ("| UniMed, each task alone | early fusion | better | +.050 (+.030 to +.070) | .004 | "
            ".001 | .004 |" in own)  # fmt: skip
    assert "| UniMed, all tasks together | boosted trees on embeddings | worse | −.050" in own
    early = next(row for row in rows if row["target"] == "ecn_early_shock_4h")
    assert (early["unimed_minus"], early["unimed_together_minus"]) == ("0.05", "-0.05")
    assert (early["trained_encoders"], early["trained_head"]) == ("1488", "666")
    assert len(rows) == 8


def test_the_page_says_what_does_not_follow(monkeypatch, tmp_path, page):
    caveats = section(page[0], "What follows, and what does not")
    assert "one of whole systems" in caveats
    assert "Budgets: steps 3; of UniMed steps 6." in caveats
    assert "needed" not in caveats
    few = [differences("mortality", "admission", seeds=1)]
    text, _ = write(monkeypatch, tmp_path, study(), few)
    assert "* Not decided: 1 seed, 5 needed: the intervals hold" in text
    assert "better |" not in text and "UniMed was not compared." in section(text, "Shock 4 h")


def test_results_of_other_episodes_are_refused(monkeypatch, tmp_path):
    results = study()
    results[1]["metrics"]["train"] = {**results[1]["metrics"]["train"], "n": 2000}
    with pytest.raises(InputError, match=r"ecn_gbdt_mortality: on mortality its train episodes"):
        write(monkeypatch, tmp_path, results)


def test_a_model_that_is_registered_has_its_words_its_place_and_its_look(monkeypatch, tmp_path):
    registered = replace(registry.MODELS["early"], words="another fusion")
    monkeypatch.setitem(registry.MODELS, "another", registered)
    text, _ = write(monkeypatch, tmp_path, [admission("another"), *study()])
    rows = [row.split(" | ")[0][2:] for row in section(text, "AUROC").splitlines() if "(" in row]
    assert rows[1:4] == ["boosted trees on embeddings", "another fusion", "UniMed, each task alone"]
    assert look_of("another") != look_of("not registered") and is_multimodal("another")


def test_smaller_sets_have_no_row_and_what_is_not_registered_is_shown_by_its_name(
    monkeypatch, tmp_path
):
    smaller = flat("ec", "early") | {"settings": {}}
    text, rows = write(monkeypatch, tmp_path, [*study(), smaller, admission("new")])
    assert line(section(text, "AUROC"), "new")[1][:4] == ".800"
    assert {row["target"] for row in rows if row["model"] == "early"} == {
        "ecn_early_mortality", "ecn_early_shock_4h"
    }  # fmt: skip
    config = {"modalities": {"x": "no_such_folder"}}
    assert letters_in_words(config) == {"x": "no_such_folder"}


def test_a_task_without_results_of_all_modalities_is_left_out(monkeypatch, tmp_path):
    fewer = fused("early") | {"modalities": "ec", "task": "arf_12h", "target": "ec_early_arf_12h"}
    fewer["tasks"] = {"arf_12h": fewer["tasks"]["shock_4h"]}
    text, _ = write(monkeypatch, tmp_path, [*study(), fewer])
    assert line(section(text, "AUROC"), "model")[1:] == ["mortality", "Shock 4 h"]


def test_results_of_two_protocols_are_refused(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="of the protocols corrected, published; give those of on"):
        write(monkeypatch, tmp_path, [*study(), admission("early") | {"protocol": "published"}])
