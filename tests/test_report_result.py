"""The picture and the words of a result: content, bytes, and results without numbers."""

import json
import sys
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from pipeline.cohort.definitions import ROOT, VERSION, of_task
from pipeline.evaluation.predictions import name_parts
from pipeline.evaluation.sections.binary import Beside, measure
from pipeline.evaluation.statistics.bootstrap import Resampling, described
from pipeline.evaluation.statistics.figures import rounded
from pipeline.report import curves, words
from pipeline.report.task_lines import lines_of_several
from pipeline.stage.files import write_json
from pipeline.stage.result import SECTIONS, in_tasks

TARGET = "ecn_early_mortality"
TASKS = ROOT / "pipeline/cohort/tasks"
NOBODY = {"attrition": [], "looks_ahead": []}
LETTERS = json.dumps({"e": "EHR", "c": "chest films", "n": "notes"})
SVG = "{http://www.w3.org/2000/svg}"


def made(folder, truth, positives=None, suppress=0):
    """A result and its curves of 200 episodes, the half of them in test; files in `folder`."""
    random = np.random.default_rng(0)
    eta = random.normal(-1, 1.5, 200)
    label = random.random(200) < 1 / (1 + np.exp(-eta))
    test = np.arange(200) % 2 == 1
    if positives is not None:
        label[test] = np.arange(100) < positives
    facts = {
        "episode_id": np.arange(200),
        "subject_id": np.arange(200) // 2,
        "split": np.where(test, "test", "val"),
        "label": label.astype(np.int8),
    }
    seeds = [1 / (1 + np.exp(-eta - random.normal(0, 0.4, 200))) for _ in range(2)]
    frame = pl.concat(
        pl.DataFrame(facts).with_columns(seed=pl.lit(s, pl.Int64), probability=pl.Series(p))
        for s, p in enumerate(seeds)
    )
    names = ["task", "episode_id", "subject_id", "seed", "split", "label", "probability"]
    frame = frame.with_columns(task=pl.lit("mortality")).select(names)
    frame.write_parquet(folder / "e_unimodal_mortality.parquet")
    oracle = {"hadm_id": np.arange(200), "ecn": 1 / (1 + np.exp(-eta))}
    pl.DataFrame(oracle).write_parquet(folder / "oracle_mortality.parquet")
    write_json(folder / "ceilings.json", {"mortality": {"ecn": 0.8125}})
    single = [str(folder / "e_unimodal_mortality.parquet")]
    known = str(folder) if truth else None
    beside = Beside(single, known)
    resampling = Resampling(100, least=max(1, suppress))
    measured, drawn = measure([frame], TARGET, beside, resampling, suppress)
    more = {"protocol": "corrected", "seeds": [0, 1], "folds": 1, "schema_version": 3}
    more |= {"task_definition": None, **dict.fromkeys(SECTIONS)}
    more |= {"cohort": NOBODY, "bootstrap": described(resampling, 2)}
    result = {"target": TARGET, **name_parts(TARGET), **more, **rounded(measured)}
    write_json(folder / "x.json", result)
    write_json(folder / "x.curves.json", rounded(drawn))
    return result


def draw(monkeypatch, folder, output="x.svg"):
    files = {"--result": "x.json", "--curves": "x.curves.json", "--output": output}
    arguments = [part for key, name in files.items() for part in (key, str(folder / name))]
    monkeypatch.setattr(sys, "argv", ["curves", *arguments, "--words", LETTERS])
    curves.main()
    return folder / output


def texts(svg):
    return [node.text for node in ElementTree.parse(svg).iter(f"{SVG}text") if node.text]


def say(monkeypatch, capsys, folder):
    command = ["words", "--result", str(folder / "x.json"), "--words", LETTERS]
    monkeypatch.setattr(sys, "argv", command)
    words.main()
    return capsys.readouterr().out


def test_words_say_what_of_the_cohort_looks_ahead(monkeypatch, tmp_path, capsys):
    result = made(tmp_path, True)
    ahead = ["of patients with a film at any time", "with an ICU stay"]
    for reasons, told in (([], False), (ahead, True)):
        write_json(
            tmp_path / "x.json", result | {"cohort": {"attrition": [], "looks_ahead": reasons}}
        )
        text = say(monkeypatch, capsys, tmp_path)
        assert ("Looks ahead" in text) == told == all(reason in text for reason in ahead)


@pytest.mark.parametrize("truth", [True, False])
def test_picture_shows_the_numbers_of_the_result(monkeypatch, tmp_path, truth):
    test = made(tmp_path, truth)["metrics"]["test"]
    found = texts(draw(monkeypatch, tmp_path))
    for panel in ("ROC", "Precision-recall", "Calibration"):
        assert panel in found
    for name in ("auroc", "auprc"):
        value, low, high = (f"{test[name][key]:.3f}" for key in ("value", "low", "high"))
        assert f"model {value} ({low} to {high})" in found
    assert f"prevalence {test['prevalence']:.3f}" in found
    assert any(text.startswith("oracle") for text in found) == truth


def test_same_result_same_picture(monkeypatch, tmp_path):
    made(tmp_path, truth=True)
    first = draw(monkeypatch, tmp_path, "one.svg").read_bytes()
    second = draw(monkeypatch, tmp_path, "two.svg").read_bytes()
    assert first == second
    assert b"<dc:date>" not in first
    assert str(tmp_path).encode() not in first


def lacking(modality, rate, value):
    auroc = {"value": value, "low": value - 0.02, "high": value + 0.02}
    return {"modality": modality, "rate": rate, "auroc": auroc, "minus_complete": auroc}


def test_missing_modalities_get_a_panel_and_a_line(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=True)
    assert "Missing modality" not in texts(draw(monkeypatch, tmp_path))
    assert "AUROC without" not in say(monkeypatch, capsys, tmp_path)
    rows = [("g", 0.0, 0.9), ("g", 1.0, 0.7), ("n", 0.0, 0.9), ("n", 1.0, 0.81)]
    rows += [("e", 0.0, 0.9), ("e", 1.0, 0.85)]
    result |= {"missing": [lacking(*row) for row in rows], "modalities": "eng"}
    write_json(tmp_path / "x.json", result)
    found = texts(draw(monkeypatch, tmp_path))
    assert "Missing modality" in found
    lines = ["EHR 0.850 (0.830 to 0.870)", "notes 0.810 (0.790 to 0.830)"]
    lines += ["g 0.700 (0.680 to 0.720)", "none taken away 0.900"]
    assert [text for text in found if text in lines] == lines
    line = "AUROC without   EHR 0.850, notes 0.810, g 0.700 (missing in 100 %)"
    assert line in say(monkeypatch, capsys, tmp_path)


def test_words_name_the_weakest_group_that_has_an_auroc(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=True)
    assert "Weakest group" not in say(monkeypatch, capsys, tmp_path)
    none = {"value": None, "low": None, "high": None}
    groups = [
        {"group": "F", "n": 60, "positives": 20, "auroc": lacking("", 0, 0.8)["auroc"]},
        {"group": "M", "n": 50, "positives": 20, "auroc": lacking("", 0, 0.7)["auroc"]},
        {"group": "UNKNOWN", "n": None, "positives": None, "auroc": none},
    ]
    write_json(tmp_path / "x.json", result | {"subgroups": {"sex": groups, "era": None}})
    printed = say(monkeypatch, capsys, tmp_path)
    assert "Weakest group   sex M 0.700 (0.680 to 0.720), n 50; lowest of 2 groups" in printed


def test_words_give_the_threshold_or_why_there_is_none(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=True)
    value = result["threshold"]["sensitivity"]["value"]
    assert f"Threshold       sensitivity {value:.3f} (" in say(monkeypatch, capsys, tmp_path)
    result["threshold"]["reason"] = "no validation episodes to choose it on"
    write_json(tmp_path / "x.json", result)
    printed = say(monkeypatch, capsys, tmp_path)
    assert "Threshold       none: no validation episodes to choose it on" in printed


@pytest.mark.parametrize(("positives", "suppress"), [(0, 0), (7, 10)])
def test_no_curves_no_picture_of_them(monkeypatch, capsys, tmp_path, positives, suppress):
    made(tmp_path, truth=False, positives=positives, suppress=suppress)
    reason = json.loads((tmp_path / "x.curves.json").read_text())["reason"]
    assert reason
    found = texts(draw(monkeypatch, tmp_path))
    assert found.count(reason) == 3
    printed = say(monkeypatch, capsys, tmp_path)
    assert f"none: {reason}" in printed
    assert "positive (prevalence" not in printed or positives == 0


def test_words_say_how_good_on_whom_and_where(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=True)
    test = result["metrics"]["test"]
    printed = say(monkeypatch, capsys, tmp_path)
    lines = printed.splitlines()
    assert 8 <= len(lines) <= 17
    value, low, high = (f"{test['auroc'][key]:.3f}" for key in ("value", "low", "high"))
    assert f"{value} ({low} to {high})" in printed
    assert f"100, of 100 patients, {test['positives']} positive (prevalence" in printed
    assert "0.812 in the whole hospital" in printed
    assert "Best single     e_unimodal_mortality" in printed
    decided = "over patients alone; not decided: 2 seeds, 5 needed"
    assert f"+0.000 (+0.000 to +0.000), {decided}" in printed
    assert "of patients; training noise is not in them (2 seeds, 5 needed)" in printed
    for name in ("x.json", "x.svg", "x.run.json"):
        assert str(tmp_path / name) in lines[-1]


def test_words_of_five_seeds_tell_the_noise_of_training(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=True) | {"seeds": [*range(5)]}
    result["bootstrap"] = described(Resampling(100), 5)
    (single,) = result["comparisons"]["singles"].values()
    single["model_minus_single"] = {"value": 0.1, "low": 0.08, "high": 0.12, "seed_sd": 0.004}
    write_json(tmp_path / "x.json", result)
    printed = say(monkeypatch, capsys, tmp_path)
    assert "+0.100 (+0.080 to +0.120), excludes 0, SD between seeds 0.004; p " in printed
    assert "100 bootstrap resamples of patients and training seeds (5 seeds)" in printed
    assert "not decided" not in printed


def test_words_tell_early_what_beats_the_model(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=True) | {"seeds": [0]}
    assert "Beaten by" not in say(monkeypatch, capsys, tmp_path)
    compared = result["comparisons"]
    assert compared["not_better_than"] == ["e_unimodal_mortality"]  # it is the same model
    lost = {"value": -0.02, "low": -0.03, "high": -0.01, "seed_sd": None}
    compared["baselines"]["e_gbdt-stats_mortality"] = {"model_minus_baseline": lost}
    compared["beaten_by"] = ["e_gbdt-stats_mortality"]
    write_json(tmp_path / "x.json", result)
    lines = say(monkeypatch, capsys, tmp_path).splitlines()
    alone = "; over patients alone, seeds: 1"
    assert lines[3] == f"  Beaten by       e_gbdt-stats_mortality by 0.020 (0.010 to 0.030){alone}"
    assert lines[4].startswith("  Not better than e_unimodal_mortality: model − it +0.000 (")
    (part,) = in_tasks(result)["tasks"].values()
    several = in_tasks(result) | {"tasks": {"shock_4h": part, "arf_12h": part}}
    texts = lines_of_several(several, {})
    assert texts["Shock 4 h"].startswith("beaten by e_gbdt-stats_mortality by 0.020")


@pytest.mark.parametrize("seeds", [1, 5])
def test_words_of_those_with_all_modalities_say_what_their_gain_holds(
    monkeypatch, capsys, tmp_path, seeds
):
    result = made(tmp_path, truth=True) | {"seeds": [*range(seeds)]}
    gain = {"value": 0.1, "low": 0.08, "high": 0.12, "seed_sd": 0.004}
    test = {"n": 60, "auroc": {"value": 0.8, "low": 0.7, "high": 0.9}}
    single = {"e_unimodal_mortality": {"model_minus_single": gain, "p_holm": 0.03}}
    compared = {"best_single": "e_unimodal_mortality", "singles": single}
    own = {"reason": None, "metrics": {"test": test}, "comparisons": compared}
    write_json(tmp_path / "x.json", result | {"complete": own})
    (line,) = [x for x in say(monkeypatch, capsys, tmp_path).splitlines() if "Complete only" in x]
    said = (
        "0.800 (0.700 to 0.900) on the 60 test episodes with all modalities; "
        "over e_unimodal_mortality"
    )
    verdict = {
        1: ", over patients alone; not decided: 1 seed, 5 needed",
        5: ", excludes 0, SD between seeds 0.004; p 0.030 (Holm)",
    }
    assert f"{said} +0.100 (+0.080 to +0.120){verdict[seeds]}" in line


def test_words_of_the_definitions_name_items_and_clock(monkeypatch, capsys, tmp_path):
    labels = {221906: "Norepinephrine", 220045: None}
    own = of_task(["pipeline/cohort/tasks/stay/shock.sql"], "stay", 4, labels)
    own["items"] = [{"itemid": item, "label": label} for item, label in labels.items()]
    result = made(tmp_path, truth=True) | {"definitions_version": VERSION}
    write_json(tmp_path / "x.json", result | {"task_definition": own | {"releases": {}}})
    (line,) = [x for x in say(monkeypatch, capsys, tmp_path).splitlines() if "Definitions" in x]
    clock, items = line.split("; ")[1:]
    assert clock.startswith("ICU stay, 4 h from arrival in the ICU (") and ":" not in clock
    assert items == "item (220045), Norepinephrine (221906)"


def test_words_of_several_tasks_say_why_those_with_all_modalities_have_no_figure():
    none = {"value": 0.8, "low": 0.7, "high": 0.9}
    test = {"n": 90, "patients": 80, "positives": 20, "reason": None, "auroc": none, "auprc": none}
    own = {"metrics": {"test": test}, "ceiling": None, "sensitivity": []}
    own["complete"] = {"reason": "fewer than 10 episodes", "metrics": None}
    lines = lines_of_several({"tasks": {"shock_4h": own}, "seeds": [0], "folds": 1}, {})
    assert lines["Shock 4 h"].endswith("; with all modalities not measured: fewer than 10 episodes")


def test_a_fusion_on_a_task_of_icu_stays_has_the_same_words_and_panels(
    monkeypatch, capsys, tmp_path
):
    result = made(tmp_path, truth=True) | {"modalities": "ecn"}
    rows = [lacking("c", 0.0, 0.9), lacking("c", 1.0, 0.7)]
    (part,) = in_tasks(result)["tasks"].values()
    parts = {"shock_4h": {**part, "missing": rows}}
    write_json(tmp_path / "x.json", in_tasks(result) | {"tasks": parts})
    printed = say(monkeypatch, capsys, tmp_path)
    assert "Test stays      100, of 100 patients" in printed and "Threshold" in printed
    assert "AUROC without   chest films 0.700 (missing in 100 %)" in printed
    curve = json.loads((tmp_path / "x.curves.json").read_text())
    write_json(tmp_path / "x.curves.json", {"tasks": {"shock_4h": curve}})
    shown = texts(draw(monkeypatch, tmp_path))
    assert "Missing modality" in shown and "ROC" in shown
    assert any(text.startswith("Shock 4 h: 100 test stays of 100 patients") for text in shown)


def test_words_without_a_truth_or_singles(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=False)
    result["comparisons"] = {"best_single": None, "singles": {}}
    write_json(tmp_path / "x.json", result)
    printed = say(monkeypatch, capsys, tmp_path)
    assert "Ceiling         unknown" in printed
    assert "Oracle" not in printed
    assert "Best single" not in printed
    assert len(printed.splitlines()) >= 8


def test_words_count_items_without_an_embedding_where_there_are_any(monkeypatch, capsys, tmp_path):
    result, digest = made(tmp_path, truth=True), {"sha256": "0" * 64}
    for counts, said in (({}, False), ({"needed": 50, "missing": 0}, False),
                         ({"needed": 50, "missing": "<10"}, True)):  # fmt: skip
        write_json(tmp_path / "x.json", result | {"external": {"note": digest | counts}})
        printed = say(monkeypatch, capsys, tmp_path)
        line = "Embeddings      <10 of 50 items of note have none and count as missing"
        assert (line in printed) == said
        assert ("Embeddings" in printed) == said


def test_words_name_trainings_that_were_still_rising(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=True)
    ended = {"part": "ehr", "fold": 0, "seed": 0, "precision": "fp32", "steps": 400}
    for rising in (True, False, None):
        training = [ended | {"best_step": 400, "stopped": "budget", "rising": rising}]
        write_json(tmp_path / "x.json", result | {"training": training})
        line = "Training        ehr still rising at the end of the budget (400 steps)"
        assert (line in say(monkeypatch, capsys, tmp_path)) == bool(rising)


def test_words_count_films_that_cannot_be_read_where_there_are_any(monkeypatch, capsys, tmp_path):
    result = made(tmp_path, truth=True)
    for films, line in (
        (None, None),
        ({"needed": 5000, "unreadable": 0}, None),
        ({"needed": 5000, "unreadable": "<10"}, "Films           <10 of 5000 cannot be read"),
    ):
        write_json(tmp_path / "x.json", result | {"unreadable_films": films})
        printed = say(monkeypatch, capsys, tmp_path)
        assert line in printed if line else "cannot be read" not in printed


def test_more_than_two_results_are_told_in_a_line_each(monkeypatch, capsys):
    auroc = {"value": 0.75, "low": 0.7, "high": 0.8}
    part = {"metrics": {"test": {"auroc": auroc, "auprc": auroc}}}
    result = {"target": "e_sofa_mortality", "tasks": {"mortality": part}}
    monkeypatch.setattr(words, "read_result", lambda path: result)
    monkeypatch.setattr("sys.argv", ["words", "--words", "{}", "--result", "a", "b", "c"])
    words.main()
    told = capsys.readouterr().out.splitlines()
    estimate = "0.750 (0.700 to 0.800)"
    assert told == [f"{name}: AUROC {estimate}, average precision {estimate}" for name in "abc"]
