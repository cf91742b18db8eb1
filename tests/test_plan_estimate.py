"""What a run takes before it starts: from file sizes, for one target, nothing for what is made."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkout import REPOSITORY
from test_extract_preflight import hospital, put_table
from test_extract_release import put

from pipeline.extract import costs
from pipeline.extract.contracts import TABLES
from pipeline.plan import configuration, estimate, estimate_training
from pipeline.stage.errors import InputError
from pipeline.training import pace

CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())


@pytest.fixture
def full(tmp_path):
    """A config whose source has files as large as MIMIC's, sparse, and its results folder."""
    source = hospital(tmp_path / "data")
    for path, size in {
        "mimiciv/3.1/icu/chartevents.csv.gz": 3_500_000_000,
        "mimiciv/3.1/hosp/labevents.csv.gz": 2_600_000_000,
        "mimic-iv-note/2.2/note/radiology.csv.gz": 800_000_000,
        "mimic-cxr-jpg/2.1.0/mimic-cxr-2.0.0-metadata.csv.gz": 17_000_000,
    }.items():
        with (tmp_path / "data" / path).open("ab") as file:
            file.truncate(size)
    return CONFIG | {"source": source}, tmp_path / "results"


def lines(full, target, **more):
    config, results = full
    found = estimate.estimate(config | more, f"results/{target}.json", results)
    return {line.what: line for line in found}


def test_a_target_costs_what_its_modalities_need(full):
    notes = lines(full, "n_unimodal_mortality")
    assert set(notes) == {
        *("patients", "admissions", "icustays", "radiology", "chartevents"),
        *("clean reports, Doc2Vec", "models, results"),
    }
    every = lines(full, "ecn_early_mortality")
    assert {"chartevents", "labevents", "films", "events, bins, tokens"} <= every.keys()
    assert every["chartevents"].disk == pytest.approx(3.5e9 * costs.PARQUET_PER_GZ)
    assert every["chartevents"].seconds == pytest.approx(3.5e9 / costs.GZ_PER_SECOND)
    films = every["films"]
    assert films.films == pytest.approx(17e6 / 45 * costs.FILM_SHARE, rel=0.01)
    assert films.disk == films.films * CONFIG["cxr"]["pixels"] ** 2
    stays = lines(full, "en_unimed_all")
    assert "events, FIDDLE" in stays and "films" not in stays


def test_reports_cost_what_their_encoder_needs(full):
    reports = {"clean reports", "clean reports, Doc2Vec"}
    alone = lines(full, "n_unimed_shock_4h")
    assert reports & alone.keys() == {"clean reports"}  # through BERT
    fiddle = CONFIG["encoders"] | {"e": "fiddle"}
    both = lines(full, "en_early_mortality", encoders=fiddle)
    assert reports & both.keys() == {"clean reports, Doc2Vec"}
    assert "events, FIDDLE" in both and "events, bins, tokens" not in both
    grid = lines(full, "e_unimodal_mortality", encoders=CONFIG["encoders"] | {"e": "grid"})
    assert "events" in grid and "events, bins, tokens" not in grid
    films = lines(full, "c_unimodal_mortality", missing="complete")
    assert {"films", "clean reports", "events, bins, tokens"} <= films.keys()


def test_settings_at_hand_change_the_estimate(full):
    usual = lines(full, "ecn_early_mortality")
    sampled = lines(full, "ecn_early_mortality", sample=0.01)
    assert sampled["chartevents"].disk == pytest.approx(usual["chartevents"].disk / 100)
    assert sampled["chartevents"].seconds == usual["chartevents"].seconds  # the file is read whole
    assert sampled["films"].films == pytest.approx(usual["films"].films / 100, abs=1)
    large = lines(full, "c_unimodal_mortality", cxr=CONFIG["cxr"] | {"pixels": 128})
    assert large["films"].disk == 4 * usual["films"].disk
    longer = CONFIG["note"]["doc2vec"] | {"epochs": 200}
    longer = lines(full, "n_unimodal_mortality", note=CONFIG["note"] | {"doc2vec": longer})
    assert longer["clean reports, Doc2Vec"].seconds > 5 * usual["clean reports, Doc2Vec"].seconds


def test_what_is_made_costs_nothing(full):
    config, results = full
    before = lines(full, "ecn_early_mortality")
    for name in [name for name in before if name in TABLES]:
        put_table(configuration.source(config), results, name)
    tables = lines(full, "ecn_early_mortality")
    assert all(tables[name].made and not tables[name].seconds for name in before if name in TABLES)
    assert tables["films"] == before["films"]  # their table is extracted, they are not decoded
    place = results / "corrected/admission"
    for made in ("ehr/tokens", "note/vectors", *(f"cxr/decoded/p{n}" for n in range(10, 20))):
        put(place / f"{made}.parquet", "made")
    assert costs.total(list(lines(full, "ecn_early_mortality").values())).disk == 0
    assert lines(full, "published/c_unimodal_mortality")["films"].films > 0  # another cohort


def test_what_another_source_left_is_not_taken_for_made(full):
    _, results = full
    before = lines(full, "ecn_early_mortality")
    old = hospital(results.parent / "old")
    for name in [name for name in before if name in TABLES]:
        put_table(old, results, name)
    for made in ("ehr/tokens", "note/vectors", *(f"cxr/decoded/p{n}" for n in range(10, 20))):
        put(results / "corrected/admission" / f"{made}.parquet", "made")
    assert lines(full, "ecn_early_mortality") == before


def test_the_hospital_is_estimated_by_its_patients_until_it_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = lines((CONFIG, Path("results")), "ecn_early_mortality")
    twice = CONFIG | {"hospital": CONFIG["hospital"] | {"patients": 16_000}}
    two = lines((twice, Path("results")), "ecn_early_mortality")
    for name in ("make the hospital", "chartevents", "films"):
        assert two[name].seconds == pytest.approx(2 * one[name].seconds, rel=0.01)
    put(Path("results/hospital/mimiciv/3.1/hosp/patients.csv.gz"), "x" * 999)
    made = lines((CONFIG, Path("results")), "ecn_early_mortality")
    assert "make the hospital" not in made
    size = Path("results/hospital/mimiciv/3.1/hosp/patients.csv.gz").stat().st_size
    assert made["patients"].size == size


@pytest.mark.parametrize("target", ["results/x_early_mortality.json", "ecn_early_mortality", "all"])
def test_what_is_no_target_is_refused_in_words(full, target):
    with pytest.raises(InputError, match="modalities"):
        estimate.needs_of(full[0], target)


def test_the_command_prints_the_sum_and_what_is_free(full):
    config, results = full
    path = results.parent / "config.yaml"
    schedule = config["schedule"] | {"batch_size": 2, "steps": 7}
    path.write_text(yaml.safe_dump(config | {"schedule": schedule}, sort_keys=False))
    command = [sys.executable, "-m", "pipeline.plan.estimate", "results/en_early_mortality.json"]
    done = subprocess.run(
        [*command, "--config", str(path), "--results", str(results)],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    minutes = round(3.5e9 / costs.GZ_PER_SECOND / 60)
    assert re.search(rf"^chartevents +3\.5 GB +2\.6 GB +{minutes} min$", done.stdout, re.M)
    assert re.search(r"^total +6\.9 GB +\S+ GB +\S+ (min|h)$", done.stdout, re.M)
    assert not re.search("^films", done.stdout, re.M)
    assert re.search(r"GB are free where .*results lies", done.stdout)
    assert "MIMIC-IV 3.1" in done.stdout and "CXR" not in done.stdout
    for name in ("ehr", "note"):
        measured = rf"^train {name}: at most .*: 7 steps of \S+ s \(measured\) × 1 training"
        assert re.search(measured, done.stdout, re.M), done.stdout
    assert "train cxr" not in done.stdout and "assumed:" in done.stdout
    assert not results.exists()


def training(monkeypatch, target, found, **more):
    """The lines of a target's trainings, where steps take what was `found`."""
    monkeypatch.setattr(estimate_training, "measure", lambda *_: found)
    modalities, model, task = target.split("_", 2)
    config = CONFIG | more
    return estimate_training.training_lines(config, modalities, model, task, "corrected", str)


def test_a_training_takes_its_budget_of_measured_steps_at_most(monkeypatch):
    found = {"ehr": {"seconds": 0.5, "gpu_bytes": 2e9}, "note": {"reason": "no sample"}}
    steps = CONFIG["schedule"]["steps"]
    line, missing, *_ = training(monkeypatch, "en_early_mortality", found, seeds=[0, 1], folds=2)
    assert line == (
        f"train ehr: at most {steps * 0.5 * 4}: {steps} steps of 0.5 s (measured) × 4 trainings"
        "; 2.0 GB of the GPU (measured)"
    )
    assert missing == "train note: not measured: no sample"
    embedded = {"note": {"seconds": 0.5, "gpu_bytes": None,
                         "frozen": {"items": "windows of reports", "seconds": 0.25}}}  # fmt: skip
    assert training(monkeypatch, "n_unimodal_mortality", embedded)[1].startswith(
        "embed note: 250.0 per thousand windows of reports (measured)"
    )
    together = training(monkeypatch, "en_joint_mortality", found)[2]
    assert together.startswith(f"train joint: at most about {steps * 0.5}, ")
    assert "not measured" in training(monkeypatch, "en_unimed_all", found)[0]
    assert "no encoder" in training(monkeypatch, "e_gbdt-stats_mortality", found)[0]


def test_an_encoder_without_samples_is_not_measured():
    with pytest.raises(InputError, match="fiddle is not measured"):
        pace.sample("ehr", {"encoder": "fiddle"}, 2)
    films = pace.sample("cxr", {"encoder": "resnet18", "pixels": 33}, 3)
    assert films.batch(np.arange(3))["film"].shape[1:] == (33, 33)
    vectors = pace.sample("cxr", {"encoder": "backbone", "trained": "frozen", "pixels": 33}, 3)
    assert vectors.batch(np.arange(3))["vector"].ndim == 2
    assert "vector" in pace.sample("note", {"encoder": "bert", "trained": "frozen"}, 3).batch(
        np.arange(3)
    )
    with pytest.raises(InputError, match="learns"):
        pace.sample("note", {"encoder": "bert", "trained": "last"}, 3)


@pytest.mark.parametrize(
    ("section", "setting", "named"),
    [("cohort", {"minage": 18}, "minage"), ("hospital", {"patients": "many"}, "patients")],
)
def test_a_config_that_the_workflow_refuses_is_refused(
    tmp_path, monkeypatch, section, setting, named
):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {section: CONFIG[section] | setting}))
    command = ["estimate", "results/en_early_mortality.json", "--config", str(path)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(InputError, match=rf"config\.yaml: config\.{section}.*{named}"):
        estimate.main()


def test_files_over_the_config_are_read_as_snakemake_reads_them(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    own = tmp_path / "own.yaml"
    own.write_text("cxr: { pixels: 128 }\nseeds: [3]\n")
    config = estimate.read_config([Path("config.yaml"), own])
    assert (config["cxr"]["pixels"], config["seeds"]) == (128, [3])
    assert config["cxr"]["views"] == CONFIG["cxr"]["views"]
    assert estimate.read_config([Path("config.yaml")])["cxr"] == CONFIG["cxr"]
