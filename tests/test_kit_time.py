"""The figure of AUROC and calibration by window: what it shows, and what it refuses."""

import csv
import json
import sys

import pytest
import yaml
from kit_at_hand import REASON, estimate, result_of

from pipeline.kit import time
from pipeline.kit.style import FORMATS
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT
from pipeline.stage.result import flat

TARGETS = ("ecn_early_mortality", "e_gbdt-stats_mortality")


def results(folder, hours=(6, 12, 24, 48), targets=TARGETS, reason=None):
    """Files of results at some windows; `reason`: why the first has no figures."""
    paths = []
    for target in targets:
        for place, hour in enumerate(hours):
            made = result_of(target, reason=reason if not place else None)
            (part,) = made["tasks"].values()
            part["definition"]["hours"] = float(hour)
            if not (reason and not place):
                part["metrics"]["test"]["auroc"] = {
                    **estimate(round(0.6 + hour / 200, 3)),
                    "sd": None,
                }
            path = folder / f"window_{hour}h/{target}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(flat(made)))
            paths.append(str(path))
    return paths


def drawn(monkeypatch, folder, paths):
    argv = ["time", "--results", *paths, "--output", str(folder / "out/mortality")]
    monkeypatch.setattr(sys, "argv", argv)
    time.main()
    with (folder / "out/mortality.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_row_per_model_and_window_in_order_in_every_format(monkeypatch, tmp_path):
    rows = drawn(monkeypatch, tmp_path, results(tmp_path)[::-1])
    assert [(row["target"], row["hours"]) for row in rows] == [
        (target, f"{hour:.1f}") for target in TARGETS[::-1] for hour in (6, 12, 24, 48)
    ]
    assert [row["auroc"] for row in rows[:4]] == ["0.63", "0.66", "0.72", "0.84"]
    assert {row["slope"] for row in rows} == {"1.02"}
    assert {row["in_the_large_low"] for row in rows} == {"-0.09"}
    first = {kind: (tmp_path / f"out/mortality.{kind}").read_bytes() for kind in FORMATS}
    assert "early fusion (ecn)" in first["svg"].decode()
    drawn(monkeypatch, tmp_path, results(tmp_path)[::-1])
    assert first == {kind: (tmp_path / f"out/mortality.{kind}").read_bytes() for kind in FORMATS}


def test_a_window_without_figures_says_why_and_is_left_out(monkeypatch, tmp_path):
    rows = drawn(monkeypatch, tmp_path, results(tmp_path, reason=REASON))
    assert (rows[0]["reason"], rows[0]["auroc"], rows[0]["slope"]) == (REASON, "", "")
    assert rows[1]["reason"] == ""


def test_the_words_say_that_the_cohorts_differ(tmp_path):
    made = time.picture(time.rows_of(results(tmp_path)))
    assert "at 6 h: AUROC 0.630" in made.alt
    assert made.alt.endswith("Each window is another cohort.")


def test_other_results_are_refused(tmp_path):
    paths = results(tmp_path)
    with pytest.raises(InputError, match="ecn_early_mortality twice at 6 h"):
        time.rows_of([*paths, paths[0]])
    other = results(tmp_path, targets=("e_unimodal_longstay",))
    with pytest.raises(InputError, match="of mortality and longstay; a figure is of one task"):
        time.rows_of([*paths, *other])
    content = json.loads((tmp_path / "window_6h/ecn_early_mortality.json").read_text())
    content["task_definition"] = None
    (tmp_path / "old.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="does not say how many hours"):
        time.rows_of([str(tmp_path / "old.json")])


def test_each_window_is_an_experiment_that_states_its_hours_alone():
    for hours in (6, 12, 24, 48):
        stated = yaml.safe_load((ROOT / f"experiments/window_{hours}h.yaml").read_text())
        assert stated == {"cohort": {"window_hours": hours}}
