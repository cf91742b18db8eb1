"""Bad input through the workflow: one clear message, no traceback, no half-made output."""

import gzip
import json
import os
import re
import shutil
import subprocess

import polars as pl
import pytest
from checkout import MAIN, SINGLE, Checkout

UNIT = "results/corrected/admission"
EPISODES = f"{UNIT}/episodes.parquet"
LABS = "results/hospital/mimiciv/3.1/hosp/labevents.csv.gz"
NOTES = "results/hospital/mimic-iv-note/2.2/note/radiology.csv.gz"
FILMS = "results/hospital/mimic-cxr-jpg/2.1.0/files"


def refused(checkout, target=MAIN, options=()):
    """The output of a run that must fail, say why in one line, and leave nothing half-made."""
    outcome = checkout.snakemake(*options, target)
    assert outcome.status == 1
    assert "Traceback" not in outcome.text
    text = re.sub("^    ", "", outcome.text, flags=re.MULTILINE)  # the log below the failed job
    assert text.count("\nerror: ") == 1
    left = [p for top in ("results", "logs") for p in (checkout / top).rglob("*.part")]
    assert left == []
    assert not (checkout / target).exists()
    return text


def labelled(checkout):
    """The eligible episodes with their labels."""
    labels = pl.read_parquet(checkout / f"{UNIT}/labels/mortality.parquet").filter("eligible")
    return pl.read_parquet(checkout / EPISODES).join(labels, on="episode_id")


def only(checkout, ids):
    """Narrows the cohort to a list of admissions."""
    pl.DataFrame({"hadm_id": ids}).write_csv(checkout / "cohort.csv")
    checkout.configure({"cohort.ids": "cohort.csv"})


def test_a_truncated_source_file_is_named(copied):
    data = (copied / LABS).read_bytes()
    (copied / LABS).write_bytes(data[: len(data) // 2])
    text = refused(copied)
    assert f"error: {LABS}: the gzip stream is truncated: copy the file again" in text
    assert not (copied / "results/source/labevents.parquet").exists()


def test_a_missing_column_is_named(copied):
    text = gzip.decompress((copied / LABS).read_bytes()).decode()
    (copied / LABS).write_bytes(gzip.compress(text.replace("itemid", "item", 1).encode()))
    assert re.search(f"error: {LABS}: .*itemid", refused(copied))
    assert not (copied / "results/source/labevents.parquet").exists()


def test_an_empty_cohort_shows_its_attrition(copied):
    copied.configure({"cohort.min_age": 120})
    text = refused(copied)
    assert "error: cohort: no episode is left\ncondition " in text
    assert re.search(r"aged 120 or over at admission +0 +0", text)
    assert not (copied / EPISODES).exists()


def test_one_class_only_in_train_shows_the_attrition_before_films_are_decoded(copied):
    rows = labelled(copied)
    only(copied, rows.filter((pl.col("split") != "train") | (pl.col("label") == 0))["hadm_id"])
    text = refused(copied)
    assert "error: task mortality: not both classes in train" in text
    assert re.search(r"on the list cohort.csv +\d", text)
    assert re.search(r"train +\d+ +\d+ +0\n", text)
    assert not (copied / f"{UNIT}/labels/mortality.parquet").exists()
    assert "rule decode_films:" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hadm_id\nseven\n", "error: cohort.csv: hadm_id is no whole number in <10 row"),
        ("hadm_id\n1\n", "error: cohort: no episode is left"),
    ],
)
def test_an_unusable_list_of_admissions_is_named(copied, content, message):
    (copied / "cohort.csv").write_text(content)
    copied.configure({"cohort.ids": "cohort.csv"})
    assert message in refused(copied)


def test_a_list_of_admissions_that_is_not_there_is_refused(copied):
    copied.configure({"cohort.ids": "nowhere.csv"})
    planned = copied.plan(MAIN)  # Snakemake alone would keep the cohort that it has
    assert planned.status == 1
    assert "config.cohort.ids: no file nowhere.csv" in planned.text


def test_a_list_without_its_column_is_refused_before_anything_is_set_aside(copied):
    (copied / "cohort.csv").write_text("id\n1\n")
    copied.configure({"cohort.ids": "cohort.csv"})
    planned = copied.snakemake(MAIN)
    assert planned.status == 1
    assert "cohort.ids: cohort.csv has no column stay_id, hadm_id, subject_id" in planned.text
    assert not list((copied / "results").rglob("*.stale"))
    (copied / "cohort.csv").write_text('\ufeff"subject_id","hadm_id"\r\n1,2\r\n')
    assert copied.plan(MAIN).status == 0


def test_unknown_admissions_on_a_list_are_counted(copied):
    known = labelled(copied)["hadm_id"].to_list()
    only(copied, known[::2] + list(range(1, 21)))
    copied.make(EPISODES)
    log = (copied / "logs/select_episodes/corrected/admission.log").read_text()
    assert "20 ids of the list that are not in admissions (not used)" in log
    assert pl.read_parquet(copied / EPISODES).height == len(known[::2])


def spoil(checkout, count=2):
    """Some films of one shard that are no whole JPEG any more; their ids, and the shard's table."""
    films = pl.read_parquet(checkout / f"{UNIT}/cxr/films.parquet")
    here = films.filter(pl.col("subject_id").cast(pl.String).str.starts_with("10"))
    ids = here["dicom_id"].unique().sort().to_list()[:count]
    for number, name in enumerate(ids):
        path = next((checkout / FILMS).rglob(f"{name}.jpg"))
        path.write_bytes(path.read_bytes()[:200] if number else b"not a picture")
    return ids, f"{UNIT}/cxr/decoded/p10.parquet"


READABLE = f"{UNIT}/cxr/readable.json"


def test_a_few_corrupt_films_are_counted_on_the_screen_and_treated_as_missing(copied):
    ids, table = spoil(copied)
    made = copied.make("--forcerun", "decode_films", "--", READABLE)
    warning = r"warning: \S+/files: of [\d,]+ films that the cohort needs <10 cannot be read"
    assert re.search(warning, made.text)
    faults = pl.read_parquet(copied / table).drop_nulls("fault")
    assert faults["dicom_id"].to_list() == ids
    assert set(faults["fault"]) == {"a damaged JPEG", "no JPEG"}
    counts = json.loads((copied / READABLE).read_text())
    films = pl.read_parquet(copied / f"{UNIT}/cxr/films.parquet")["dicom_id"]
    assert counts == {"needed": films.n_unique(), "unreadable": 2}


def test_many_corrupt_films_stop_the_run_and_no_result_is_left(copied):
    spoil(copied, 20)
    text = refused(copied, options=["--forcerun", "decode_films", "--"])
    few = "20 cannot be read: a damaged JPEG, <10 no JPEG"  # not 19: it would tell of the one
    assert re.search(rf"error: \S+/files: of [\d,]+ films .* {few}", text)
    assert not (copied / READABLE).exists() and not (copied / MAIN).exists()


@pytest.mark.slow
def test_a_run_with_corrupt_films_ends_with_a_result(copied):
    shutil.rmtree(copied / "results/cxr")
    spoil(copied)
    copied.make("--forcerun", "decode_films", "--", MAIN)
    result = json.loads((copied / MAIN).read_text())
    assert result["metrics"]["test"]["auroc"]["value"] > 0.5
    assert result["unreadable_films"]["unreadable"] == 2


def empty_report(checkout):
    """A report that loses its text; its note_id."""
    note = pl.read_parquet(checkout / "results/note/clean.parquet")["note_id"].min()
    frame = pl.read_csv((checkout / NOTES).read_bytes(), infer_schema=False)
    text = pl.when(note_id=note).then(pl.lit("")).otherwise("text").alias("text")
    (checkout / NOTES).write_bytes(gzip.compress(frame.with_columns(text).write_csv().encode()))
    return note


def test_an_empty_report_is_dropped_and_counted(copied):
    def kept_and_dropped():
        log = (copied / "logs/clean_notes.log").read_text()
        notes = pl.read_parquet(copied / "results/note/clean.parquet")["note_id"]
        return set(notes), int(re.search(r"(\d+) without a word", log)[1])

    before, dropped = kept_and_dropped()
    note = empty_report(copied)
    copied.make("results/note/clean.parquet")
    assert kept_and_dropped() == (before - {note}, dropped + 1)


@pytest.mark.slow
def test_a_run_with_an_empty_report_ends_with_a_result(copied):
    empty_report(copied)
    ran = copied.make(MAIN).ran
    assert "pretrain_ehr" not in ran
    assert json.loads((copied / MAIN).read_text())["metrics"]["test"]["auroc"]["value"] > 0.5


@pytest.mark.slow
def test_one_class_only_in_test_gives_null_metrics_with_the_reason(copied):
    rows = labelled(copied)
    only(copied, rows.filter((pl.col("split") != "test") | (pl.col("label") == 0))["hadm_id"])
    copied.make(SINGLE)
    test = json.loads((copied / SINGLE).read_text())["metrics"]["test"]
    assert test["auroc"]["value"] is None
    assert re.fullmatch(r"one class only: 0 of \d+ positive", test["reason"])


@pytest.mark.slow
def test_a_source_elsewhere_may_be_read_only_and_on_several_disks(finished, tmp_path):
    data, notes = tmp_path / "disk 1", tmp_path / "disk 2"  # with spaces in their names
    shutil.copytree(finished / "results/hospital", data)
    (data / "mimic-iv-note").rename(notes)
    shutil.rmtree(data / "truth")
    subprocess.run(["chmod", "-R", "a-w", data, notes], check=True)
    settings = {"source.root": str(data), "source.mimic_note": str(notes)}
    checkout = Checkout.fresh(tmp_path / "checkout", settings)
    try:
        printed = checkout.make(MAIN).text
        assert "MIMIC-IV 3.1" in printed and "MIMIC-IV-Note 2.2" in printed
        result, known = (json.loads((c / MAIN).read_text()) for c in (checkout, finished))
        assert result["ceiling"] is None
        assert result["cohort"]["fingerprint"] == known["cohort"]["fingerprint"]
        assert result["metrics"]["test"]["auroc"] == known["metrics"]["test"]["auroc"]
        assert os.fspath(tmp_path) not in (checkout / MAIN).read_text()
    finally:
        subprocess.run(["chmod", "-R", "u+w", data, notes], check=True)
