"""Real people: what a run on the open MIMIC-IV demo tells of them, and what a killed one leaves.

The demo has neither films nor reports. So that every room has some, this test makes them up, for
the demo's own patients and times.
"""

import json
import os
import re
import shutil
import signal
import time

import numpy as np
import polars as pl
import pytest
from checkout import Checkout
from PIL import Image

TARGETS = ["results/ecn_early_longstay.json", "results/e_logistic-stats_mortality.json",
           "results/source/counts.md"]  # fmt: skip
SETTINGS = {
    "cxr.unreadable": 0.5,
    "cohort.icu_within_hours": None,
    "split.train": 0.4,
    "split.fusion": 0.25,
    "split.val": 0.15,
    "split.test": 0.2,
}
CHEST = "antero-posterior"
WORDS = [
    "heart",
    "lungs",
    "edema",
    "effusion",
    "pneumonia",
    "clear",
    "line",
    "tube",
    "normal",
    "size",
    "opacity",
    "left",
    "right",
]
DATE = r"\b2[1-3]\d\d-\d\d-\d\d"
PEOPLE = ("rows?|episodes?|admissions?|stays?|patients?|subjects?|films?|reports?|notes?|labels?|"
          "readings?|events?|tokens?|values?|predictions?|codes?|windows?|of them")  # fmt: skip
FEW = rf"(?<![\w.,:<>/-])[1-9] (?:[a-z]+ )?(?:{PEOPLE})\b"
PAIR = r"(?<!setting )\b(\d[\d,]*)(?: (?!of )[a-z]+)? of (\d[\d,]*)(?! seeds| epochs| steps)\b"
CELL = r"^(?!\d\d:)\S.*\s{2,}[1-9](?=\s{2,}|$)"  # of an attrition table
# whole numbers in a result that count nobody
SETTING = {"settings", "bootstrap", "seeds", "folds", "threads", "schema_version", "environment",
           "definitions_version", "training"}  # fmt: skip


def made_up(demo, root):
    """Films and reports of the demo's admissions; of some films there is no file, or a bad one."""
    rng = np.random.default_rng(0)
    admissions = pl.read_csv(demo / "hosp/admissions.csv.gz").select(
        "subject_id", "hadm_id", pl.col("admittime").str.to_datetime()
    )
    films, notes = [], []
    folder = root / "mimic-cxr-jpg/2.1.0"
    for number, (subject, hadm, start) in enumerate(admissions.sort("hadm_id").iter_rows()):
        study, stamp = 50_000_000 + number, start.strftime("%Y%m%d")
        dicom = "-".join(f"{part:08x}" for part in rng.integers(0, 1 << 32, 5))
        films.append((dicom, subject, study, "AP", 64, 64, stamp, "235900.000", CHEST))
        path = folder / f"files/p{str(subject)[:2]}/p{subject}/s{study}/{dicom}.jpg"
        path.parent.mkdir(parents=True)
        picture = Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8))
        picture.save(path)
        if number % 90 == 0:
            path.write_bytes(b"no film")
        elif number % 90 == 1:
            path.unlink()
        text = " ".join(rng.choice(WORDS, 300)) + f" of {start:%Y-%m-%d}"
        notes.append((f"{subject}-RR-{number}", subject, hadm, "RR", 1, start, start, text))
    metadata = ("dicom_id subject_id study_id ViewPosition Rows Columns StudyDate StudyTime "
                "ViewCodeSequence_CodeMeaning")  # fmt: skip
    table = pl.DataFrame(films, schema=metadata.split(), orient="row")
    table.write_csv(folder / "mimic-cxr-2.0.0-metadata.csv")
    note = "note_id subject_id hadm_id note_type note_seq charttime storetime text"
    (root / "mimic-iv-note/2.2/note").mkdir(parents=True)
    table = pl.DataFrame(notes, schema=note.split(), orient="row")
    table.write_csv(root / "mimic-iv-note/2.2/note/radiology.csv", datetime_format="%F %T")
    return {dicom for dicom, *_ in films}, {str(study) for _, _, study, *_ in films}


@pytest.fixture(scope="module")
def real(mimic_demo, tmp_path_factory):
    """A checkout whose source is a copy of the demo, run to results; and the ids of the source."""
    root = tmp_path_factory.mktemp("real")
    release = root / "source/mimiciv/2.2"
    shutil.copytree(mimic_demo, release, copy_function=shutil.copyfile)
    for path in (release, *release.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    ids = set.union(*made_up(mimic_demo, root / "source"))
    for name, keys in {"hosp/admissions": ("subject_id", "hadm_id"), "icu/icustays": ("stay_id",),
                       "hosp/patients": ("subject_id",)}.items():  # fmt: skip
        table = pl.read_csv(mimic_demo / f"{name}.csv.gz")
        ids |= {str(one) for key in keys for one in table[key]}
    checkout = Checkout.fresh(root / "checkout", SETTINGS | {"source.root": str(root / "source")})
    outcome = checkout.snakemake(*TARGETS)
    assert outcome.status == 0, outcome.text
    return checkout, outcome.text, ids


def texts(checkout, screen):
    """What a run writes for others to read, and Snakemake's records: name → text."""
    files = [*checkout.root.glob("logs/**/*.log"), *checkout.root.glob("results/*.*")]
    files += [*checkout.root.glob("results/usage/*"), *checkout.root.glob("results/source/*.md")]
    files += [path for path in checkout.root.glob(".snakemake/**/*") if path.is_file()]
    named = {str(path.relative_to(checkout.root)): path for path in files if path.is_file()}
    assert len(named) > 100
    return {"screen": screen} | {name: path.read_text("latin-1") for name, path in named.items()}


def small(value, path=()):
    """Whole numbers from 1 to 9 in a result, with where they stand."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from () if key in SETTING else small(one, (*path, key))
    elif isinstance(value, list):
        for one in value:
            yield from small(one, path)
    elif type(value) is int and 0 < value < 10:
        yield ".".join(path), value


def close_pairs(text):
    """A part and its total that are both shown and differ by few: how few are left follows."""
    for pair in re.finditer(PAIR, text):
        part, total = (int(one.replace(",", "")) for one in pair.groups())
        if part >= 10 and 0 < total - part < 10:
            yield pair[0]


@pytest.mark.slow
def test_logs_screen_results_and_records_tell_of_nobody(real):
    checkout, screen, ids = real
    written, named = texts(checkout, screen), re.compile("|".join(sorted(ids)))
    assert {
        name: found[0] for name, text in written.items() if (found := named.findall(text))
    } == {}
    assert {
        name: found for name, text in written.items() if (found := re.findall(DATE, text))
    } == {}
    logs = {name: text for name, text in written.items() if name.startswith("logs/")}
    few = {name: re.findall(FEW, text) for name, text in [*logs.items(), ("screen", screen)]}
    assert {name: found for name, found in few.items() if found} == {}
    close = {name: list(close_pairs(text)) for name, text in [*logs.items(), ("screen", screen)]}
    assert {name: found for name, found in close.items() if found} == {}
    cells = {name: re.findall(CELL, text, re.M) for name, text in logs.items()}
    assert {name: found for name, found in cells.items() if found} == {}
    results = {name: json.loads(text) for name, text in written.items()
               if re.fullmatch(r"results/\w[\w-]*\.json", name)}  # fmt: skip
    assert len(results) == 2
    counts = {name: list(small(result)) for name, result in results.items()}
    assert {name: found for name, found in counts.items() if found} == {}


@pytest.mark.slow
def test_what_is_shown_may_be_looked_for_and_is_found(real):
    """The scan itself: it finds an id, a date and a count where there is one."""
    checkout, _, ids = real
    private = (checkout / "results/corrected/admission/attrition.json").read_text()
    assert re.search(rf"(?:{'|'.join(sorted(ids))})", f"p{min(ids)}")
    assert re.search(DATE, "known at 2180-05-07")
    assert re.findall(FEW, "12:00:00 3 films: 5 decoded now; 2 of them") == ["3 films", "2 of them"]
    said = "e: 1,230 of 1,234 episodes; all but <10 of 1,234; 12 rows of 15; 40 of 1,234; 5 of 5"
    assert list(close_pairs(said)) == ["1,230 of 1,234", "12 rows of 15"]
    assert re.findall(CELL, "aged 18 or over  1,200       7", re.M)
    assert list(small({"n": 4, "settings": {"steps": 5}})) == [("n", 4)]
    assert json.loads(private)[0]["episodes"] == 275  # MIMIC-IV demo 2.2


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_that_outlives_the_next_start(real, tmp_path, monkeypatch):
    (elsewhere := tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    checkout = real[0].copy(tmp_path / "killed")
    checkout.configure({"note.doc2vec.epochs": 1000})
    running = checkout.start("results/corrected/note/doc2vec/model.json")
    folder = checkout / "results/.temp"
    while not (corpora := [*folder.glob("job-*/*.txt")]) or not corpora[0].stat().st_size:
        assert running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert any(WORDS[0] in path.read_text() for path in left if path.suffix == ".txt")
    assert not list(elsewhere.glob("job-*"))
    assert folder.stat().st_mode & 0o077 == 0
    checkout.plan(TARGETS[0])  # a look
    assert all(path.exists() for path in left)
    checkout.make("results/corrected/admission/attrition.json")
    assert not list(folder.iterdir())
