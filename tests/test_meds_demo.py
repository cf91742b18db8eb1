"""The open demo of MIMIC-IV by way of MEDS: ours, and MIMIC_IV_MEDS', against the direct path."""

import os
import shutil
import subprocess

import polars as pl
import pytest
from meds_at_hand import adapted, derived, environment, exported, extracted, only_in

YEARS = ["first_year", "last_year"]  # MEDS has no calendar years
TASKS = ("mortality", "mortality_48h", "shock_4h", "arf_4h")
LABEL = ["episode_id", "eligible", "label"]


@pytest.fixture(scope="module")
def source(mimic_demo, tmp_path_factory):
    return extracted(mimic_demo, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def direct(source, tmp_path_factory):
    return derived(source, tmp_path_factory.mktemp("direct"))


def same_but_years_and_onsets(direct, through):
    """Whether episodes and labels are those of the direct path."""
    for unit in ("admission", "stay"):
        one, other = (made[f"{unit} episodes"].drop(YEARS) for made in (direct, through))
        assert one.equals(other) and one.height > 100
    for task in TASKS:
        assert direct[task].select(LABEL).equals(through[task].select(LABEL)), task
    assert sum(direct[task]["label"].sum() for task in TASKS) > 30


def test_the_demo_comes_back_from_our_meds(source, direct, tmp_path):
    through = derived(adapted(exported(source, tmp_path / "meds"), tmp_path / "again"), tmp_path)
    same_but_years_and_onsets(direct, through)
    assert direct["admission events"].equals(through["admission events"])
    # one rate of 67,000 values is rounded otherwise to the fourth digit: MEDS has 32 bits
    lost, found = (only_in(direct["stay events"], through["stay events"]),
                   only_in(through["stay events"], direct["stay events"]))  # fmt: skip
    assert lost.height == found.height == 1
    assert lost.drop("value").equals(found.drop("value"))
    assert abs(lost["value"][0] - found["value"][0]) < 2e-4


@pytest.fixture(scope="module")
def published(mimic_demo, open_data, tmp_path_factory):
    """The demo as MIMIC_IV_MEDS makes it, in an environment of its own."""
    maps = open_data / "mimic-concept-maps"
    if not (maps / "meas_chartevents_main.csv").is_file():
        pytest.skip(f"no concept maps of MIMIC_IV_MEDS: {maps}")
    folder = tmp_path_factory.mktemp("published")
    commands = environment(folder / "environment", "mimic-iv-meds==0.2.0")
    given = folder / "input"
    for part in ("hosp", "icu"):
        shutil.copytree(mimic_demo / part, given / part)
    for path in maps.glob("*.csv"):
        shutil.copy(path, given)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [commands / "meds-extract-run", "spec=MIMIC-IV", "do_download=false", "dataset_key=demo",
         f"input_dir={given}", f"output_dir={folder / 'output'}"],
        check=True, capture_output=True, env={**os.environ, "PATH": path},
    )  # fmt: skip
    return folder / "output"


@pytest.mark.slow
def test_the_demo_by_mimic_iv_meds_is_the_demo_but_for_what_meds_lost(
    source, direct, published, tmp_path
):
    through = derived(adapted(published, tmp_path / "source"), tmp_path / "through")
    same_but_years_and_onsets(direct, through)
    # What it lost: when outputs were stored; results without a time of storing
    outputs = pl.read_parquet(source / "outputevents.parquet")
    labs = pl.read_parquet(source / "labevents.parquet")
    assert outputs["storetime"].is_not_null().sum() == 9362
    assert labs["storetime"].null_count() == 992
    kept = tmp_path / "kept"
    shutil.copytree(source, kept)
    never = pl.lit(None, pl.Datetime("us"))
    outputs.with_columns(storetime=never).write_parquet(kept / "outputevents.parquet")
    labs.drop_nulls("storetime").write_parquet(kept / "labevents.parquet")
    without = derived(kept, tmp_path / "without")
    # several of an item may run at a time, or be under way in the laboratory: a few then get the
    # time of another
    for unit, most in (("admission", 60), ("stay", 115)):
        one, other = without[f"{unit} events"], through[f"{unit} events"]
        lost, found = only_in(one, other), only_in(other, one)
        assert one.height > 47_000 and max(lost.height, found.height) <= most
        assert set(lost.filter(pl.col("kind") != "lab")["signal"]) <= {
            "phenylephrine", "hemodialysis",
        }  # fmt: skip
