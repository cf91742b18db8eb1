"""The screen of a run: jobs by name and number, errors with the end of their log, no file lists."""

import io
import logging
from types import SimpleNamespace

import pytest
from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter, logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from pipeline.plan import screen as module

WILDCARDS = {"protocol": "corrected", "unit": "admission", "task": "mortality"}
LOG = "logs/pretrain_cxr/corrected/admission/mortality.log"
INFO = {"jobid": 7, "rule_name": "pretrain_cxr", "wildcards": WILDCARDS, "log": [LOG],
        "input": ["results/a.parquet"], "reason": "Missing output files"}  # fmt: skip
COMMAND = "CalledProcessError in file x:\nCommand 'python -m …' returned non-zero exit status 1."


@pytest.fixture
def now(monkeypatch):
    """A clock that is moved by hand."""
    moved = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: moved[0])
    return moved


def screen(quiet=(), on_nodes=False):
    """A screen that writes into a text."""
    default = ColorizingTextHandler(
        True,
        io.StringIO(),
        DefaultFormatter(quiet),
        DefaultFilter(quiet, False, False, False, False),
    )
    return module.Screen(default, quiet, lambda: on_nodes, lambda: "made: a.md")


def shown(handler, *records):
    """The lines after records of (event, message, values)."""
    for event, message, values in records:
        level = logging.ERROR if event in (*module.ERRORS, LogEvent.ERROR) else logging.INFO
        record = logging.LogRecord("snakemake", level, "x.py", 1, message, (), None)
        vars(record).update(values, event=event)
        handler.handle(record)
    return handler.stream.getvalue().splitlines()


def started(job=7, **changed):
    return LogEvent.JOB_INFO, "Rule", INFO | {"jobid": job} | changed


FINISHED = (LogEvent.JOB_FINISHED, "Finished jobid: 7", {"job_id": 7})
STATS = (LogEvent.RUN_INFO, "Job stats:\n…", {"stats": {"pretrain_cxr": 2, "total": 41}})
FAILED = (
    LogEvent.JOB_ERROR,
    "Error in rule",
    INFO | {"aux": {"slurm_jobid": "12"}, "shellcmd": "python -m …"},
)


def test_a_line_as_a_job_starts_and_one_as_a_long_one_ends(now):
    told = screen()
    shown(told, STATS, started(3, rule_name="make_hospital", wildcards={}), started())
    now[0] = 125
    *lines, last = shown(told, FINISHED, (LogEvent.PROGRESS, None, {"done": 1, "total": 41}))
    assert lines == ["41 jobs; the log of each is below logs/", "[1/41] make_hospital",
                     "[2/41] pretrain_cxr mortality"]  # fmt: skip
    assert last.startswith("[2/41] pretrain_cxr mortality: done ") and last.endswith(", 2 min")
    short = screen()
    assert len(shown(short, STATS, started(), FINISHED)) == 2


def test_what_snakemake_sets_up_is_not_shown_and_what_it_warns_of_is():
    chatter = ["Building DAG of jobs...", "Using shell: /bin/bash", "Select jobs to execute...",
               "Job 3 has been submitted with SLURM jobid 12.", "SLURM run ID: 1"]  # fmt: skip
    told = screen()
    assert shown(told, *((None, line, {}) for line in chatter)) == []
    assert shown(told, (None, "MIMIC-IV 3.1 below /data", {})) == ["MIMIC-IV 3.1 below /data"]
    waits = (None, "Will exit after finishing currently running jobs.", {})
    assert shown(told, waits, waits, waits)[1:] == [waits[1]]
    assert shown(told, (LogEvent.ERROR, "MissingOutputException: x", {}))[-1].endswith("x")


def test_a_failed_job_is_its_name_and_the_end_of_its_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"10:00:{second:02d} line {second}" for second in range(40)]
    (tmp_path / LOG).parent.mkdir(parents=True)
    (tmp_path / LOG).write_text("\n".join(lines))
    told = shown(screen(), STATS, started(), (LogEvent.ERROR, COMMAND, {}), FAILED)
    head, *end, fact, where = told[2:]
    assert head == "[1/41] pretrain_cxr mortality: failed"
    assert end == [f"    {line}" for line in lines[-module.TAIL :]]
    assert (fact, where) == ("    slurm_jobid: 12", f"    its log: {LOG}")
    assert not any("python -m" in line or "parquet" in line for line in told)


def test_a_job_that_is_tried_again_keeps_its_number():
    assert shown(screen(), STATS, started(), FAILED, started())[-1] == (
        "[1/41] pretrain_cxr mortality, once more"
    )


def test_quiet_hides_jobs_but_not_what_failed_and_all_hides_everything():
    quiet = {Quietness.RULES, Quietness.PROGRESS}
    told = shown(screen(quiet), STATS, started(), FAILED, (None, "the result in words", {}))
    assert told[0] == "[1/41] pretrain_cxr mortality: failed" and told[-1].endswith("in words")
    assert shown(screen({Quietness.ALL}), STATS, started(), FAILED) == []


def test_warnings_of_a_job_on_a_node_are_read_from_its_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / LOG).parent.mkdir(parents=True)
    (tmp_path / LOG).write_text("10:00:00 all is well\n10:00:01 warning: few films\n")
    head = "[1/41] pretrain_cxr mortality"
    assert shown(screen(on_nodes=True), STATS, started(), FINISHED)[1:] == [
        head, f"{head}: warning: few films"
    ]  # fmt: skip
    assert shown(screen(), STATS, started(), FINISHED)[1:] == [head]  # the job has written it


def test_what_is_made_already_is_told_too():
    (line, made) = shown(screen(), (None, f"{module.NOTHING} (all requested files are there).", {}))
    assert line.startswith(module.NOTHING) and made == "made: a.md"


def settings(**changed):
    plain = {"dryrun": False, "verbose": False, "printshellcmds": False, "debug_dag": False}
    return SimpleNamespace(**plain | {"quiet": None} | changed)


@pytest.mark.parametrize(
    ("main", "changed", "taken"),
    [(True, {}, True), (True, {"dryrun": True}, False), (True, {"printshellcmds": True}, False),
     (True, {"verbose": True}, False), (False, {}, False)],
)  # fmt: skip
def test_it_takes_snakemakes_place_in_a_run_alone(monkeypatch, main, changed, taken):
    default = ColorizingTextHandler(True, io.StringIO())
    default.name = "DefaultStreamHandler"
    monkeypatch.setattr(logger, "handlers", [default])
    workflow = SimpleNamespace(
        is_main_process=main, output_settings=settings(**changed), local_exec=True
    )
    module.install(workflow, lambda: "{}")
    (handler,) = logger.handlers
    assert isinstance(handler, module.Screen) == taken


def test_results_are_told_in_words_and_other_files_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ["results/tables/wang.md", "results/elderly/ecn_early_mortality.json", "results/x.json"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    calls = []
    told = SimpleNamespace(stdout="ecn_early_mortality, …\n", stderr="")
    monkeypatch.setattr(module.subprocess, "run", lambda call, **_: calls.append(call) or told)
    dag = SimpleNamespace(derived_targetfiles={*files, "results/not_there.json"})
    text = module.results_in_words(SimpleNamespace(dag=dag), "{}")
    assert text.splitlines() == ["made: results/tables/wang.md", "made: results/x.json", "",
                                 "ecn_early_mortality, …"]  # fmt: skip
    assert calls[0][-1] == "results/elderly/ecn_early_mortality.json"
