"""`make kit`: which kits are made, what is refused, and the one page of several."""

import json
import sys
from subprocess import CompletedProcess

import pytest
import yaml
from checkout import REPOSITORY

from pipeline.plan import kits
from pipeline.stage.errors import InputError

CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two results that have a kit, one that has none, and an experiment."""
    (tmp_path / "config.yaml").write_text((REPOSITORY / "config.yaml").read_text())
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/elderly.yaml").write_text("cohort: { min_age: 65 }\n")
    for name in ("ecn_early_mortality", "e_sofa_mortality", "e_unimed_all"):
        for ending in (".json", ".run.json"):
            path = tmp_path / "results" / f"{name}{ending}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def commands(monkeypatch):
    """The commands that `make kit` runs, none of which is."""
    run = []

    def record(command, **_):
        run.append(command[1:])
        return CompletedProcess(command, 0)

    monkeypatch.setattr(kits.subprocess, "run", record)
    return run


def make(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["kits", *arguments])
    kits.main()


def test_without_a_name_it_is_all_that_are_made_and_have_a_kit(here):
    assert kits.asked(CONFIG, []) == ["e_sofa_mortality", "ecn_early_mortality"]
    with pytest.raises(InputError, match="nothing with a kit is made yet below results/elderly/"):
        kits.asked({**CONFIG, "name": "elderly"}, [])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ecn_early_mortalty", r"did you mean results/ecn_early_mortality\.json"),
        ("ecn_erly_mortality", "did you mean"),
        ("ecn", "no model"),
        ("e_unimed_all", "a kit is of a result of one binary task"),
        ("e_unimed_diagnoses_48h", "a kit is of a result of one binary task"),
    ],
)
def test_what_has_no_kit_is_refused_with_the_nearest_name(here, name, why):
    with pytest.raises(InputError, match=why):
        kits.asked(CONFIG, [name])


def test_one_result_is_asked_of_snakemake(here, commands, monkeypatch):
    make(monkeypatch, "results/ecn_early_mortality.json", "--cores", "2")
    page = "results/kit/ecn_early_mortality/report.html"
    assert commands == [["-m", "snakemake", "--cores", "2", "--", page]]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("results/published/ecn_early_mortality.json", []),
        ("results/elderly/ecn_early_mortality.json", []),
        ("results/ecn_early_mortality.json", ["--experiments", "elderly"]),
    ],
)
def test_a_path_into_another_folder_is_refused(here, commands, monkeypatch, name, more):
    with pytest.raises(InputError, match=f"{name}: not in results/"):
        make(monkeypatch, name, *more)
    assert commands == []
    make(monkeypatch, "results/elderly/e_sofa_mortality.json", "--experiments", "elderly")
    assert commands[0][-1] == "results/elderly/kit/e_sofa_mortality/report.html"


def test_several_results_and_experiments_come_onto_one_page(here, commands, monkeypatch):
    asked = ["ecn_early_mortality", "e_sofa_mortality"]
    make(monkeypatch, *asked, "--experiments", "config", "elderly")
    first, second, page = commands
    assert first[-2:] == [f"results/kit/{name}/report.html" for name in asked]
    assert "name=elderly" in second
    assert second[-2:] == [f"results/elderly/kit/{name}/report.html" for name in asked]
    results = [f"{home}/{name}.json" for home in ("results", "results/elderly") for name in asked]
    assert page == ["-m", "pipeline.kit.page", "--results", *results,
                    "--output", "results/kit/report.html"]  # fmt: skip


def test_a_failure_of_snakemake_ends_it_with_its_status(here, monkeypatch):
    monkeypatch.setattr(kits.subprocess, "run", lambda command, **_: CompletedProcess(command, 3))
    with pytest.raises(SystemExit) as ended:
        make(monkeypatch, "e_sofa_mortality", "ecn_early_mortality")
    assert ended.value.code == 3
