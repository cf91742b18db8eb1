"""A copy of the repository in which tests run the workflow and may change whatever they like."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import warm
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
MAIN = "results/ecn_early_mortality.json"
SINGLE = "results/e_unimodal_mortality.json"
MULTI, ALONE = "results/ecn_unimed_all.json", "results/e_unimed-gru-attention_shock_4h.json"
SMALL = {  # a hospital and trainings that take seconds
    "hospital.patients": 700,
    "schedule.steps": 10,
    "schedule.check": 5,
    "schedule.patience": 2,
    "note.doc2vec.epochs": 5,
    "note.bert.tiny.reports": 300,
    "note.bert.tiny.vocabulary": 400,
    "unimed.schedule.steps": 6,
    "unimed.schedule.check": 3,
    "unimed.schedule.patience": 2,
    "torch.device": "cpu",
}


def tracked_files():
    """The repository's files, new ones included; whatever git ignores is left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    names = listed.stdout.decode().split("\0")
    return sorted({Path(name) for name in names if name and (REPOSITORY / name).is_file()})


def environment():
    """The environment of the jobs: `python` is the interpreter that runs the tests."""
    dropped = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "SNAKEMAKE_PROFILE"}
    dropped |= {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}  # of the tests themselves
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}


def stored_model(result):
    """The file of the model of a result, or target, as a target of the workflow."""
    return f"results/models/{Path(result).stem}/model.json"


class Outcome:
    """What a run of snakemake left: its exit status and all that it printed."""

    def __init__(self, status, text):
        self.status, self.text = status, text

    @property
    def planned(self):
        """Rule → number of jobs, of a dry run; empty where there is nothing to be done."""
        assert self.status == 0, self.text
        if "Nothing to be done" in self.text:
            return {}
        table = re.search(r"^Job stats:\n.*?^total +\d+$", self.text, re.M | re.S)
        counts = re.findall(r"^(\w+) +(\d+)$", table[0], re.M)
        return {rule: int(count) for rule, count in counts if rule != "total"}

    @property
    def ran(self):
        """Rules of the jobs that were started, in their order."""
        return re.findall(r"^\[\d+/\d+\] (\w+)[^:\n]*$", self.text, re.M)


class Checkout:
    """A working copy below a temporary folder.

    `warm`: jobs, and snakemake where it only plans, are forks of a process that has imported the
    large libraries, see tests/warm.py. Snakemakes that run jobs, and jobs that are to fail or to be
    killed, start anew.
    """

    warm = False

    def __init__(self, root):
        self.root = Path(root)

    @classmethod
    def fresh(cls, root, settings=None):
        """A copy of the repository's files with some settings changed."""
        for name in tracked_files():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
        copy = cls(root)
        copy.configure(SMALL | (settings or {}))
        return copy

    def copy(self, root, whole=False):
        """Everything of it again: code, results and Snakemake's records, with their times.

        Weights, most of its bytes, are links unless `whole`: jobs replace them and never write
        into them, nor may a test.
        """
        for path in [] if whole else (self / "results").glob("**/models/**/*"):
            if path.suffix in {".safetensors", ".progress"}:
                linked = root / path.relative_to(self.root)
                linked.parent.mkdir(parents=True, exist_ok=True)
                linked.hardlink_to(path)
        subprocess.run(["cp", "-an", f"{self.root}/.", root], check=True)
        return Checkout(root)

    def __truediv__(self, name):
        return self.root / name

    def configure(self, settings):
        """Changes settings in config.yaml; keys are paths such as `cxr.pixels`."""
        config = yaml.safe_load((self / "config.yaml").read_text())
        for path, value in settings.items():
            *parents, key = path.split(".")
            part = config
            for parent in parents:
                part = part[parent]
            part[key] = value
        (self / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def edit(self, name, old, new):
        """Replaces a text that occurs in a file."""
        text = (self / name).read_text()
        assert old in text, f"{old!r} is not in {name}"
        (self / name).write_text(text.replace(old, new, 1))

    def command(self, *arguments):
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    def start(self, *arguments, broken=None, killed=None, warm_jobs=False):
        """Starts snakemake in the copy, in a process group of its own.

        `broken`: a module whose jobs fail, whatever its code is. `killed`: modules whose first
        job is killed while it writes, and snakemake with it.
        """
        kept, command = environment(), self.command(*arguments)
        if broken or killed:
            kept = self.breaking(broken) if broken else self.killing(killed)
        elif warm_jobs and "--dry-run" in arguments:
            command = warm.snakemake(*command[3:])
        elif warm_jobs:
            kept["PATH"] = f"{warm.folder_of_python()}{os.pathsep}{kept['PATH']}"
        return subprocess.Popen(
            command, cwd=self.root, text=True, start_new_session=True,
            env=kept, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def breaking(self, module):
        """An environment whose `python` refuses to run one module."""
        return self.instead(
            [module],
            'env | grep "_THREADS=\\|HASHSEED=" >&2\necho "error: broken on purpose" >&2\nexit 1\n',
        )

    def killing(self, modules):
        """An environment whose `python` kills some modules in the middle, see tests/killing.py."""
        return self.instead(modules, f'shift\nexec "{sys.executable}" tests/killing.py "$@"\n')

    def instead(self, modules, lines):
        """An environment whose `python` does something else with some modules."""
        shim = self.root.parent / "shim" / "python"
        shim.parent.mkdir(exist_ok=True)
        named = "|".join(modules)
        others = f'*) exec "{sys.executable}" "$@" ;;'
        shim.write_text(f'#!/bin/sh\ncase "$2" in\n{named}) ;;\n{others}\nesac\n{lines}')
        shim.chmod(0o755)
        return environment() | {"PATH": f"{shim.parent}{os.pathsep}{environment()['PATH']}"}

    def snakemake(self, *arguments, **fault):
        """Runs snakemake in the copy."""
        running = self.start(*arguments, warm_jobs=self.warm, **fault)
        text, _ = running.communicate()
        return Outcome(running.returncode, text)

    def plan(self, *arguments):
        """What a run would do."""
        return self.snakemake("--dry-run", "--quiet", "rules", "reason", "host", "--", *arguments)

    def make(self, *arguments):
        """Runs snakemake, which must succeed."""
        outcome = self.snakemake(*arguments)
        assert outcome.status == 0, outcome.text
        return outcome
