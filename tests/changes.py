"""What a test or a benchmark changes in a checkout: settings, code, source files; and faults.

Each is a function of a `Checkout` of the finished main job, or makes one.
"""

import gzip
import shutil

import polars as pl
import yaml
from checkout import MAIN, tracked_files

HOSPITAL = "results/hospital/mimiciv/3.1"
METADATA = "results/hospital/mimic-cxr-jpg/2.1.0/mimic-cxr-2.0.0-metadata.csv.gz"
REPORTS = "results/hospital/mimic-iv-note/2.2/note/radiology.csv.gz"
UNIT = "results/corrected/admission"
EPISODES = f"{UNIT}/episodes.parquet"


def setting(name, value):
    """An edit of config.yaml."""
    return lambda checkout: checkout.configure({name: value})


def comment(name):
    """An edit of a file that changes its bytes and not what it does."""
    mark = "-- edited\n" if name.endswith(".sql") else "# edited\n"

    def edit(checkout):
        text = (checkout / name).read_text()
        (checkout / name).write_text(text + mark if name.endswith(".py") else mark + text)

    return edit


def replaced(name, old, new):
    """An edit of a file's text."""
    return lambda checkout: checkout.edit(name, old, new)


def rows_of(path):
    """The lines of a source file, its header first."""
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def last_row(checkout):
    """A laboratory table that lost its last row."""
    path = checkout / f"{HOSPITAL}/hosp/labevents.csv.gz"
    path.write_bytes(gzip.compress(b"".join(rows_of(path)[:-1]), mtime=0))


def append(path, change):
    """One more row of a source file: its first one, changed; both by column."""
    table = pl.read_csv(path.read_bytes(), infer_schema=False)
    first = table.row(0, named=True)
    added = first | change(first)
    more = pl.DataFrame([added], schema=table.schema)
    path.write_bytes(gzip.compress(pl.concat([table, more]).write_csv().encode(), mtime=0))
    return first, added


def another_film(checkout):
    """The first film once more, under another name."""
    new = "00000000-00000000-00000000-00000000-00000000"
    old, _ = append(checkout / METADATA, lambda row: {"dicom_id": new})
    folder = checkout / METADATA.replace("mimic-cxr-2.0.0-metadata.csv.gz", "files")
    film = next(folder.rglob(f"{old['dicom_id']}.jpg"))
    shutil.copy(film, film.with_name(f"{new}.jpg"))


def another_note(checkout):
    """The first report once more, under another name."""
    append(checkout / REPORTS, lambda row: {"note_id": f"{row['subject_id']}-RR-99"})


def another_patient(checkout):
    """The first patient, admission, ICU stay and reading once more, under other numbers."""
    ids = {"subject_id": "19999999", "hadm_id": "29999999", "stay_id": "39999999"}
    for table in ("hosp/patients", "hosp/admissions", "icu/icustays", "icu/chartevents"):
        append(
            checkout / f"{HOSPITAL}/{table}.csv.gz",
            lambda row: {name: new for name, new in ids.items() if name in row},
        )


def admissions(checkout, wanted):
    """A cohort given as a csv of admissions."""
    episodes = pl.read_parquet(checkout / EPISODES)
    wanted(episodes).select("hadm_id").write_csv(checkout / "cohort.csv")
    checkout.configure({"cohort.ids": "cohort.csv"})


def window(checkout):
    """A shorter window, in which the ICU is entered."""
    checkout.configure({"cohort.window_hours": 24})


def half(checkout):
    """Half of the admissions, of all shares."""
    admissions(checkout, lambda episodes: episodes.sample(fraction=0.5, seed=0))


def fewer_to_test(checkout):
    """Without a tenth of the test patients: who is trained on stays the same."""
    left_out = (pl.col("split") == "test") & (pl.col("subject_id") % 10 == 0)
    admissions(checkout, lambda episodes: episodes.filter(~left_out))


def reordered(checkout):
    """The keys of config.yaml, on every level, in the opposite order."""

    def turned(value):
        if not isinstance(value, dict):
            return value
        return {key: turned(own) for key, own in reversed(value.items())}

    config = yaml.safe_load((checkout / "config.yaml").read_text())
    modalities = config["modalities"]  # their order is a choice: that of the letters
    config = turned(config) | {"modalities": modalities}
    (checkout / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def touched(checkout):
    """A new time for every file of code, configuration and source."""
    source = [path for path in (checkout / "results/hospital").rglob("*") if path.is_file()]
    for path in [*map(checkout.root.joinpath, tracked_files()), *source]:
        path.touch()


def failed(edit, module):
    """An edit after which a job fails; its cause is then gone."""

    def change(checkout):
        edit(checkout)
        outcome = checkout.snakemake("--cores", "4", MAIN, broken=f"pipeline.{module}")
        assert outcome.status == 1, outcome.text

    return change


def killed(edit, module):
    """An edit after which a job is killed while it writes its output, and Snakemake with it."""

    def change(checkout):
        edit(checkout)
        outcome = checkout.snakemake(MAIN, killed=[f"pipeline.{module}"])
        assert outcome.status == -9, outcome.text

    return change


def made(edit, *files):
    """An edit after which these files are made again."""

    def change(checkout):
        edit(checkout)
        checkout.make(*files)

    return change
