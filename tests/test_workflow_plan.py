"""What Snakemake plans for a target, what it refuses, and how the rules are written."""

import gzip
import json
import os
import re
import shutil

import pytest
import yaml
from checkout import REPOSITORY, Checkout
from test_extract_preflight import hospital
from test_extract_release import header_of, put

from pipeline.common import planning

COMMON = {"make_hospital": 1, "select_episodes": 1, "label_task": 1, "evaluate_model": 1}
EHR = {"select_events", "fit_bins", "tokenise_events", "pretrain_ehr", "embed_ehr"}
CXR = {"select_films", "pretrain_cxr", "embed_cxr"}
NOTE = {"clean_notes", "train_doc2vec", "select_notes", "infer_vectors", "pretrain_note"}
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
RULES = {path.name: path.read_text() for path in sorted((REPOSITORY / "rules").glob("*.smk"))}


def jobs(rules, tables, **more):
    return COMMON | dict.fromkeys(rules, 1) | {"extract_table": tables} | more


PLANS = {
    "ecn_early": jobs(EHR | CXR | NOTE | {"embed_note"}, 12, fuse_early=1, decode_films=10),
    "en_early": jobs(EHR | NOTE | {"embed_note"}, 11, fuse_early=1),  # no film is asked for
    "e_unimodal": jobs(EHR, 10),
}


@pytest.mark.parametrize("target", PLANS)
def test_a_target_plans_the_jobs_of_its_modalities(fresh, target):
    assert fresh.plan(f"results/{target}_mortality.json").planned == PLANS[target]


def common(config):
    """The functions of common.smk under a config."""
    names = {"config": config}
    exec(compile(RULES["common.smk"], "common.smk", "exec"), names)
    return names


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nce_early_mortality", "no modality set 'nce'"),
        ("ee_early_mortality", "no modality set 'ee'"),
        ("x_unimodal_mortality", "no modality set 'x'"),
        ("e_early_mortality", "no model 'early' of 1 modalities"),
        ("en_unimodal_mortality", "no model 'unimodal' of 2 modalities"),
        ("ecn_clever_mortality", "no model 'clever'"),
        ("ecn_early_death", "no task 'death'"),
        ("ecn_early_mortality_48h", "no task 'mortality_48h'"),
    ],
)
def test_impossible_targets_are_refused_with_the_table_of_targets(target, why):
    message = planning.refusal(CONFIG, *target.split("_", 2))
    assert message.startswith(f"{target}: {why}")
    assert "results/{modalities}_{model}_{task}.json" in message
    for line in ("letters of ecn", "task: mortality", "unimodal: one letter", "early: two"):
        assert line in message


@pytest.mark.parametrize("target", ["nce_early_mortality", "ecn_early_mortality_48h"])
def test_a_refusal_is_one_message_without_traceback(fresh, target):
    refused = fresh.plan(f"results/{target}.json")
    assert refused.status == 1
    assert refused.text.count(f"{target}: no ") == 1
    assert "Traceback" not in refused.text
    assert "Exception" not in refused.text


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("cohort.minimum_age", 18, "config.cohort: Additional properties .*'minimum_age'"),
        ("sedes", [0], "config: Additional properties .*'sedes'"),
        ("seeds", [], r"config.seeds: \[\] should be non-empty"),
    ],
)
def test_a_misspelt_or_empty_setting_is_named(tmp_path, setting, value, message):
    refused = Checkout.fresh(tmp_path, {setting: value}).plan()
    assert refused.status == 1
    assert re.search(message, refused.text)
    assert "Traceback" not in refused.text
    assert len(refused.text.splitlines()) < 5  # neither the schema nor the config


@pytest.fixture
def real(tmp_path):
    """A checkout whose source is a folder of tables that hold their header alone."""
    root = tmp_path / "data"
    hospital(root)
    return Checkout.fresh(tmp_path / "checkout", {"source.root": str(root)}), root


def test_everything_that_a_real_source_lacks_is_listed_at_once(real):
    checkout, root = real
    (root / "mimiciv/3.1/hosp/labevents.csv.gz").unlink()
    (root / "mimic-iv-note/2.2/note/radiology.csv.gz").unlink()
    put(root / "mimiciv/3.1/hosp/admissions.csv.gz", header_of("admissions", race="z") + "\n")
    shutil.rmtree(root / "mimic-cxr-jpg")
    refused = checkout.plan("results/ecn_early_mortality.json")
    assert refused.status == 1
    assert "Traceback" not in refused.text
    for lacking in (
        "mimiciv/3.1/hosp/labevents.csv.gz: missing table labevents",
        "mimic-iv-note/2.2/note/radiology.csv.gz: missing table radiology",
        "mimiciv/3.1/hosp/admissions.csv.gz: column race or ethnicity of admissions",
        "mimic-cxr-jpg/2.1.0: no MIMIC-CXR-JPG here",
    ):
        assert f"{root}/{lacking}" in refused.text
    # what needs neither laboratory, note nor film could run
    assert checkout.plan("results/source/patients.parquet").planned == {"extract_table": 1}


def test_a_target_without_films_needs_none_in_a_real_source(real):
    checkout, root = real
    shutil.rmtree(root / "mimic-cxr-jpg")
    expected = {rule: n for rule, n in PLANS["en_early"].items() if rule != "make_hospital"}
    assert checkout.plan("results/en_early_mortality.json").planned == expected


def test_too_little_disk_is_refused_before_anything_starts(real):
    checkout, root = real
    gz = root / "mimiciv/3.1/hosp/labevents.csv.gz"
    gz.rename(root / "other.gz")
    table = gz.with_suffix("")
    table.write_text(header(root / "other.gz"))
    if shutil.disk_usage(root).free > 10**12:
        pytest.skip("this disk is too large to be filled by a sparse file")
    try:
        os.truncate(table, 10**13)  # sparse: takes no disk
    except OSError as error:
        pytest.skip(f"no sparse file of 10 TB here: {error}")
    refused = checkout.plan("results/e_unimodal_mortality.json")
    assert refused.status == 1
    assert re.search(r"results: about \S+ GB of disk are needed, \S+ GB are free", refused.text)


def header(path):
    return gzip.decompress(path.read_bytes()).decode()


def rules():
    """(name, text) of every rule, `all` apart: it makes nothing."""
    blocks = [
        match
        for text in RULES.values()
        for match in re.findall(r"^ *rule (\w+):\n((?:^(?: +.*)?\n)+)", text, re.M)
    ]
    assert len(blocks) == sum(len(re.findall(r"^ *rule ", t, re.M)) for t in RULES.values())
    return blocks


@pytest.mark.parametrize(("name", "text"), rules(), ids=[name for name, _ in rules()])
def test_a_rule_depends_on_the_code_that_it_runs(name, text):
    run = set(re.findall(r"python -m (pipeline[\w.]+)", text))
    assert run
    assert run == set(re.findall(r"\"(pipeline[\w.]+)\"", re.search(r"code=modules\(.*", text)[0]))
    assert re.search(r"^ +log:\n +\"logs/" + name + r"[./]", text, re.M)
    assert "{log:q}" in text
    assert "conda:" in text
    for module in run:
        source = (REPOSITORY / module.replace(".", "/")).with_suffix(".py").read_text()
        if "add_resource_arguments(" in source:
            for argument in ("--threads {threads}", "--memory-mb {resources.mem_mb}", "--temp "):
                assert argument in text


def test_rules_are_plain():
    for name, text in RULES.items():
        assert len(text.splitlines()) <= 200, name
        if name != "common.smk":
            assert not re.search(r"^\s*def ", text, re.M), name
        for slow_or_unsafe in (r"^\s*run:", r"^\s*checkpoint ", r"^\s*cache:", r"\bupdate\("):
            assert not re.search(slow_or_unsafe, text, re.M), name
        assert "input[0]" not in text, name


def test_every_profile_repeats_what_makes_reruns_right():
    profiles = [
        yaml.safe_load((REPOSITORY / "profiles" / name / "profile.yaml").read_text())
        for name in ("default", "slurm")
    ]
    for key in ("rerun-incomplete", "max-checksum-file-size", "show-failed-logs"):
        assert profiles[0][key] == profiles[1][key]


def test_settings_reach_rules_in_one_form_whatever_their_order():
    turned = json.loads(json.dumps(CONFIG, sort_keys=True))
    assert list(turned) != list(CONFIG)
    for keys in (("cohort",), ("availability",), ("ehr", "schedule"), ("note", "doc2vec")):
        assert common(CONFIG)["setting"](*keys) == common(turned)["setting"](*keys)


def test_a_job_keeps_to_its_threads_and_a_fixed_hash_seed(tmp_path):
    checkout = Checkout.fresh(tmp_path / "checkout")
    failed = checkout.snakemake("results/hospital/hospital.json", broken="pipeline.hospital.make")
    told = dict(line.split("=", 1) for line in failed.text.splitlines() if "=" in line)
    assert told["POLARS_MAX_THREADS"] == told["OMP_NUM_THREADS"] == "1"
    assert told["PYTHONHASHSEED"] == "0"
