"""Cluster profiles: what every rule asks for, and a run through a scheduler that is not Slurm."""

import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import REPOSITORY, environment
from test_workflow_plan import CONFIG, rules

PROFILES = {
    path.parent.name: yaml.safe_load(path.read_text())
    for path in sorted((REPOSITORY / "profiles").glob("*/profile.yaml"))
}
CLUSTERS = sorted(set(PROFILES) - {"default"})
LABELS = "results/corrected/admission/labels/mortality.parquet"
TRAINED = "results/corrected/admission/models/mortality/note/history.json"
# a scheduler: jobs run at once, one after the other it kills as out of memory
QSUB = """#!/bin/bash
echo "$@" >> {root}/submitted
id=$(wc -l < {root}/submitted)
if [[ "$*" == *"-N label_task"* && ! -e {root}/killed ]]; then
    touch {root}/killed; echo 137 > {root}/$id.ended
else
    ( /bin/bash "${@: -1}" > /dev/null 2>&1; echo $? > {root}/$id.ended ) > /dev/null 2>&1 &
fi
echo $id
"""
QSTAT = '#!/bin/sh\n[ ! -e {root}/"$2".ended ]\n'
QACCT = '#!/bin/sh\necho "failed       0"\necho "exit_status  $(cat {root}/"$2".ended)"\n'


def expanded(names):
    """Names of rules, those of a modality spelt out."""
    every = {
        name.replace("{modality}", modality)
        for name in names
        for modality in CONFIG["modalities"].values()
    }
    return sorted(every)


def stated(text, resource):
    found = re.search(rf"^ +{resource}=(.+),$", text, re.M)
    return found and found[1]


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_profile_repeats_the_keys_of_the_default_one(name):
    default, own = PROFILES["default"], PROFILES[name]
    assert {"slurm", "cluster-generic"} <= set(CLUSTERS)
    for key, value in default.items():
        if key == "resources":  # limits: of one machine there, of all submitted jobs here
            assert own[key].keys() == value.keys()
        else:
            assert own[key] == value


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_profile_decides_on_a_gpu_for_every_rule_that_takes_a_device(name):
    of_torch = expanded(rule for rule, text in rules() if "--device {params.device" in text)
    assert len(of_torch) == 20
    assert sorted(PROFILES[name]["set-resources"]) == of_torch
    gpus = {rule: own["gpu"] for rule, own in PROFILES[name]["set-resources"].items()}
    trainings = expanded(rule for rule, text in rules() if "launch=LAUNCH" in text)
    assert len(trainings) == 5
    assert all(gpus[rule] == 1 for rule in trainings)


@pytest.mark.parametrize(("rule", "text"), rules(), ids=[name for name, _ in rules()])
def test_a_rule_states_run_time_and_memory_that_grows(rule, text):
    assert int(stated(text, "runtime")) > 0
    assert re.fullmatch(r"growing\(\d+\)", stated(text, "mem_mb"))


@pytest.fixture
def scheduler(tmp_path):
    """A folder with qsub, qstat, qacct; an environment that finds them."""
    root = tmp_path / "scheduler"
    root.mkdir()
    for name, text in {"qsub": QSUB, "qstat": QSTAT, "qacct": QACCT}.items():
        path = root / name
        path.write_text(text.replace("{root}", str(root)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    own = environment()
    return root, own | {"PATH": f"{root}:{own['PATH']}"}


def requests(root):
    """Of every submitted job: its rule, and what it asks for."""
    found = []
    for line in (root / "submitted").read_text().splitlines():
        words = shlex.split(line)
        asked = dict(words[k + 1].split("=") for k, word in enumerate(words) if word == "-l")
        found.append((words[words.index("-N") + 1], asked))
    return found


def test_jobs_run_through_a_generic_scheduler_and_a_killed_one_again_with_more(scheduler, copied):
    root, own = scheduler
    before = {name: (copied / name).read_bytes() for name in (LABELS, TRAINED)}
    found = subprocess.run(
        [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/cluster-generic",
         "--seconds-between-status-checks", "1", "--forcerun", "label_task", "--", TRAINED],
        cwd=copied.root, env=own, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert requests(root) == [
        ("label_task", {"h_vmem": "2000M", "h_rt": "3600", "gpu": "0"}),  # per slot, of two
        ("label_task", {"h_vmem": "4000M", "h_rt": "3600", "gpu": "0"}),
        ("pretrain_note", {"h_vmem": "4000M", "h_rt": "14400", "gpu": "1"}),
    ]
    assert {name: (copied / name).read_bytes() for name in (LABELS, TRAINED)} == before
    assert not list(Path(copied / "results").rglob("*.stale"))
