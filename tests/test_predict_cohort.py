"""Who of new patients is predicted: conditions that look ahead, kinds of admission."""

import polars as pl
import pytest

from pipeline.predict.selection import Selected, select
from pipeline.predict.source import ENDS, Prepared

COHORT = {"min_age": 18, "window_hours": 48, "icu_within_hours": "window", "films": None,
          "ids": None, "definition": "corrected", "max_age": None, "first_stay": False,
          "admission_types": None}  # fmt: skip


@pytest.fixture
def chosen(finished, tmp_path):
    """A function that selects from the tables of the finished run, some of them replaced."""

    def of(task="mortality", unit="admission", hours=48, replaced=None, **cohort):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "work").mkdir(parents=True)
        for path in (finished / "results/source").glob("*.parquet"):
            (folder / path.name).symlink_to(path)
        for name, table in (replaced or {}).items():
            (folder / f"{name}.parquet").unlink()
            table.write_parquet(folder / f"{name}.parquet")
        model = {"unit": unit, "task": task, "hours": hours, "cohort": {**COHORT, **cohort}}
        return select(model, Prepared(folder, None, 2022, "it"), folder, folder / "work",
                             1, 2000)  # fmt: skip

    return of


def at_risk(made: Selected):
    return made.risk.filter("eligible")["episode_id"].sort().to_list()


def test_a_condition_of_the_task_that_looks_ahead_is_not_asked(chosen, finished):
    """Of hours after the prediction nothing is known: with it nobody would be at risk."""
    made = chosen("icumortality_24h", "stay", 24)
    assert at_risk(made) == at_risk(chosen("mortality_24h", "stay", 24))
    assert len(at_risk(made)) > 100
    assert made.not_asked == ["still in the ICU 6 h after T"]
    assert not [name for name in made.risk.columns if "looking ahead" in name]


def test_running_stays_are_at_risk_as_before(chosen, finished):
    """The same as when their ends are known: ICU stays and their admissions have none yet."""
    before = at_risk(chosen("mortality_24h", "stay", 24))
    tables = {name: pl.read_parquet(finished / f"results/source/{name}.parquet")
              for name in ("icustays", "admissions")}  # fmt: skip
    here = tables["icustays"].filter(pl.col("stay_id").is_in(before))["hadm_id"].implode()
    running = {
        name: table.with_columns(
            pl.when(~pl.col("hadm_id").is_in(here)).then(one).alias(one) for one in ENDS[name]
        )
        for name, table in tables.items()
    }
    now = at_risk(chosen("mortality_24h", "stay", 24, running))
    others = tables["icustays"].filter(pl.col("hadm_id").is_in(here))["stay_id"].to_list()
    assert set(before) <= set(now) <= set(others)  # others: who may be there, of the same admission
    assert len(now) - len(before) < len(before) / 20


def test_stays_that_begin_after_the_prediction_choose_nobody(chosen, finished):
    stays = pl.read_parquet(finished / "results/source/icustays.parquet")
    admitted = pl.read_parquet(finished / "results/source/admissions.parquet")
    time = stays.join(admitted.select("hadm_id", "admittime"), on="hadm_id", how="left")
    late = time.select(pl.col("intime") > pl.col("admittime") + pl.duration(hours=48)).to_series()
    assert late.sum() > 10
    made = chosen(icu_within_hours=720)
    without = chosen(icu_within_hours=720, replaced={"icustays": stays.filter(~late)})
    assert at_risk(made) == at_risk(without) == at_risk(chosen())
    assert made.not_asked == ["in an ICU within 720 h of admission (asked: within 48 h)"]
    assert chosen().not_asked == []
    assert chosen("mortality_24h", "stay", 24, icu_within_hours=720).not_asked == []


def test_films_choose_nobody_either(chosen, finished):
    films = pl.read_parquet(finished / "results/source/cxr_metadata.parquet")
    made = chosen(films="any", replaced={"cxr_metadata": films.head(0)})
    assert at_risk(made) == at_risk(chosen())
    assert made.not_asked == ["of patients with a film at any time"]


def test_a_source_may_have_no_admission_of_one_of_the_types(chosen):
    """A word that training had and this week has not; a typo in a config is refused elsewhere."""
    some = at_risk(chosen(admission_types=["URGENT", "EW EMER."]))
    assert some
    assert at_risk(chosen(admission_types=["URGENT", "EW EMER.", "OBSERVATION OF OLD"])) == some
