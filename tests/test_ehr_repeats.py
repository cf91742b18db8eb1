"""A source whose rows are all there twice gives the same events, bins, tokens, statistics and long
table."""

import json
import logging
import shutil

import polars as pl
import pytest
from episodes_at_hand import RULE
from hospital_files import files, icu_stays
from test_ehr_long import STATIC
from test_published_hospital import Stages

from pipeline.ehr import bins, events, long, statistics, tokens
from pipeline.extract.tables import extract
from pipeline.hospital.layout import location

RELEASE = "3.1"
CHARTED = ["chartevents", "labevents", "inputevents", "outputevents", "procedureevents"]
CHARTED += ["microbiologyevents"]
SPLIT = {"salt": "twice", "train": 0.6, "fusion": 0.1, "val": 0.1, "test": 0.2}


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The stages of a hospital on a source of its own."""
    root, folder = files(100, films=False, release=RELEASE), tmp_path_factory.mktemp("once")
    made = Stages(root, RELEASE, folder)
    for name in ("icu/inputevents", "icu/outputevents", "hosp/microbiologyevents"):
        output = folder / f"{name.split('/')[1]}.parquet"
        extract(output.stem, root / location(name, RELEASE), output, temp=folder)
    until = pl.col("arrival") + pl.duration(hours=48)
    stays = icu_stays(root).drop_nulls("arrival").select(
        "subject_id", "hadm_id", "stay_id", episode_id="stay_id", start="intime", end="outtime",
        observed_from="intime", clock_zero="arrival", prediction_time=until,
        **{name: pl.lit(value) for name, value in STATIC.items()},
    )  # fmt: skip
    stays.write_parquet(folder / "stays.parquet")
    assert made.episodes.height > 30
    return made


@pytest.fixture(scope="module")
def twice(once, tmp_path_factory):
    """The same, every row of an event table there twice."""
    folder = tmp_path_factory.mktemp("twice") / "source"
    shutil.copytree(once.folder, folder)
    made = Stages.__new__(Stages)
    made.reference, made.folder, made.episodes = once.reference, folder, once.episodes
    for name in CHARTED:
        rows = pl.read_parquet(folder / f"{name}.parquet")
        pl.concat([rows, rows]).write_parquet(folder / f"{name}.parquet")
    return made


def corrected(stages):
    """Events, bins, tokens and statistics of the corrected protocol."""
    made = {name: stages.path(f"corrected-{name}") for name in ("events", "bins", "tokens")}
    own = {"episodes": stages.path("episodes"), "source": stages.folder}
    stages.run(events, **own, availability=json.dumps(RULE), output=made["events"])
    stages.run(bins, source=stages.folder, split=json.dumps(SPLIT), output=made["bins"])
    frames = [pl.read_parquet(made[name]) for name in ("events", "bins")]
    words = tokens.tokenise(*frames, tokens.vocabulary())
    described = statistics.describe(frames[0], stages.episodes, 48)
    return [*frames, words.sort(words.columns), described]


def long_table(stages, caplog):
    """The long table of ICU stays, and what its log says of values outside the limits."""
    caplog.clear()
    output = stages.path("long")
    given = {"episodes": stages.path("stays"), "source": stages.folder, "output": output}
    stages.run(long, **given, unit="stay", availability=json.dumps(RULE))
    (dropped,) = (line for line in caplog.messages if "outside the limits" in line)
    return pl.read_parquet(output), dropped


def test_nor_do_they_in_the_long_table(once, twice, caplog):
    caplog.set_level(logging.INFO, "pipeline")
    (a, dropped), (b, again) = long_table(once, caplog), long_table(twice, caplog)
    assert a.height > 10_000 and a.equals(b)
    kinds = {name.split()[0] for name in a["variable"].unique()}
    assert {"HR", "lab", "output", "procedure", "input", "micro", "before:"} <= kinds
    assert "HR" in dropped and dropped == again


def test_rows_that_are_there_twice_change_nothing(once, twice):
    for name, a, b in zip(("events", "bins", "tokens", "statistics"), corrected(once),
                          corrected(twice), strict=True):  # fmt: skip
        assert a.height and a.equals(b), name


def test_nor_under_the_published_protocol(once, twice):
    """Some are there twice: means of admissions and labels would move."""
    few = pl.read_parquet(once.path("chartevents"))
    high = few.filter(pl.col("valuenum") > pl.col("valuenum").median().over("itemid"))
    pl.concat([few, high]).write_parquet(twice.path("chartevents"))
    assert once.tokens().equals(twice.tokens())
