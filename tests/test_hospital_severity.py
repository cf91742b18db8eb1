"""Variants of how severity shows: a perfect reader of the known rows learns the same of it."""

import hashlib
from functools import cache

import numpy as np
import polars as pl
import pytest
from hospital_files import admissions, digests, eligible, files, known_reports, known_values

from pipeline.hospital import drawing, make, reports, truth, truth_stay
from pipeline.hospital.charting import items
from pipeline.hospital.course import SPREAD, Course, Rows, draw_values, share_shown
from pipeline.hospital.layout import Writer
from pipeline.hospital.settings import HOUR, PREDICTION, Effects, Settings, Severity

WAYS = ("drift", "transient", "variability")
SMALL = 500


@cache
def small(way):
    """A hospital of few patients whose vitals show severity in this way."""
    return files(SMALL, False, severity=Severity(vitals=way))


@cache
def vitals(way):
    """Known readings of vitals that carry the latent, in units of their slope; and shown_e."""
    tells = items().filter(pl.col("shape") == "vital", pl.col("slope").cast(float) != 0)
    step = pl.lit(0.1) ** pl.col("decimals").cast(float)
    tells = tells.select("itemid", pl.col("mean", "slope", "jitter").cast(float), step=step)
    rows = known_values(small(way)).join(tells, on="itemid")
    rows = rows.join(eligible(admissions(SMALL)).select("hadm_id", "shown_e"), on="hadm_id")
    return rows.with_columns(
        y=(pl.col("valuenum") - pl.col("mean")) / pl.col("slope"),
        weight=(pl.col("slope") / pl.col("step")) ** 2,
        g=pl.Series(share_shown(way, rows["minute"].to_numpy())),
    )


@pytest.mark.parametrize(("way", "told"), [("drift", 1.0), ("transient", 0.99)])
def test_least_squares_on_the_course_of_vitals_recover_what_the_ehr_shows(way, told):
    rows = vitals(way).with_columns(
        turned=pl.col("g") - pl.col("g").mean().over("hadm_id", "itemid")
    )
    along = pl.col("weight") * pl.col("turned")
    top, bottom = (along * pl.col("y")).sum(), (along * pl.col("turned")).sum()
    range_ = pl.col("g").max() - pl.col("g").min()
    read = rows.group_by("hadm_id", "shown_e").agg(read=top / bottom, range=range_)
    assert read.height == eligible(admissions(SMALL)).height
    read = read.filter(pl.col("range") > 0.2)  # who reached the ward late in a crisis has less
    assert read.height >= told * eligible(admissions(SMALL)).height
    error = (read["read"] - read["shown_e"]).to_numpy()
    assert np.abs(error).max() < 0.15 and error.std() < 0.03  # charted in whole numbers


def test_the_spread_of_variable_vitals_recovers_what_the_ehr_shows():
    rows = vitals("variability").filter(pl.col("itemid").is_in([220045, 220050, 220179]))
    free, step = pl.len() - 1, pl.col("step").first()
    variance = pl.col("valuenum").var() - step**2 / 12  # of rounding
    one = rows.group_by("hadm_id", "shown_e", "itemid").agg(
        free.alias("free"), ratio=free * variance / pl.col("jitter").first() ** 2
    )
    pooled = pl.col("ratio").sum() / pl.col("free").sum()
    read = one.group_by("hadm_id", "shown_e").agg(read=pooled.log() / (2 * SPREAD))
    assert read.height == eligible(admissions(SMALL)).height
    error = (read["read"] - read["shown_e"]).to_numpy()
    assert np.abs(error).max() < 0.4 and error.std() < 0.08  # charted in whole numbers


@pytest.mark.parametrize(
    ("way", "reading", "most"),
    [("drift", "first", 0.35), ("variability", "first", 0.35), ("transient", "last", 0.1)],
)
def test_the_reading_that_a_way_hides_tells_little(way, reading, most):
    rows = vitals(way).sort("minute").group_by("hadm_id", "itemid", maintain_order=True)
    level = rows.agg(getattr(pl.col("y", "shown_e"), reading)()).group_by("hadm_id")
    means = level.agg(pl.col("y").mean(), pl.col("shown_e").first())
    assert abs(np.corrcoef(means["y"], means["shown_e"])[0, 1]) < most
    usual = vitals("level").group_by("hadm_id").agg(pl.col("y").mean(), pl.col("shown_e").first())
    assert np.corrcoef(usual["y"], usual["shown_e"])[0, 1] > 0.98


@cache
def early(way):
    """Early ICU stays of 3,000 patients, with what a perfect reader knows after some hours."""
    settings = Settings(3000, 5, False, severity=Severity(vitals=way))
    with Writer(small(way) / "more", "3.1") as writer:
        chunks = [make.write_chunk(writer, settings, k) for k in range(6)]
    return pl.concat(chunks).filter(pl.col("icu").is_between(0, PREDICTION, closed="left"))


@pytest.mark.parametrize("hours", [4, 12])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_known_after_some_hours_has_the_error_that_the_oracle_assumes(way, hours):
    read = early(way).filter(pl.col(f"error_e_{hours}") < 100)
    assert read.height > 500
    off = (read[f"read_e_{hours}"] - read["shown_e"]) / read[f"error_e_{hours}"]
    assert abs(off.mean()) < 4 / np.sqrt(read.height)
    assert 0.8 < off.std() < 1.15


@pytest.mark.parametrize("task", ["shock_12h", "arf_12h", "shock_4h"])
@pytest.mark.parametrize("way", WAYS)
def test_oracles_of_icu_tasks_are_calibrated_and_know_less_than_under_level(way, task):
    stays, (event, hours) = early(way), task.removesuffix("h").split("_")
    onset = pl.when(pl.col("shock_at") >= 0).then(pl.col("shock_at") - pl.col("icu"))
    there = pl.col("stay") > pl.col("icu") + int(hours) * HOUR
    unharmed = onset.is_null() | (onset >= int(hours) * HOUR) | (pl.lit(event) != "shock")
    keep = stays.select((there & unharmed).alias("keep"))["keep"]
    label = stays.filter(keep)[event].to_numpy() > 0
    told = [name for name in stays.columns if name.startswith(("read_e", "error_e"))]
    known, level = (
        truth_stay.oracle_table(Effects(), task, table).filter(keep)["e"].to_numpy()
        for table in (stays, stays.drop(told))
    )
    for part in np.array_split(np.argsort(known), 5):
        spread = np.sqrt((known[part] * (1 - known[part])).sum())
        assert abs(label[part].sum() - known[part].sum()) < 4 * spread
    assert known.std() < level.std()
    assert 0.5 < truth.auroc(known, label) < truth.auroc(level, label)


def test_the_way_of_the_default_keeps_its_bytes():
    """Values of three signals as the first version of the hospital drew them."""
    signals = pl.DataFrame(
        {"mean": [86.0, 96.5, 1.9], "slope": [13.75, 0.0, 0.875], "jitter": [3.5, 1.2, 0.14]}
    )
    rng = np.random.default_rng(0)
    row, minute = np.repeat(np.arange(40), 5), np.tile(np.arange(5) * 700, 40)
    rows = Rows(row, minute, minute <= PREDICTION)
    course = Course("level", np.zeros((40, 3)), exact=True)
    values = draw_values(rng, course, signals, np.linspace(-2, 2, 40), rows)
    assert hashlib.sha256(values.round(9).tobytes()).hexdigest().startswith("77ac7e368cdd3755")


@pytest.mark.parametrize("way", WAYS)
def test_variants_differ_in_charts_labs_urine_and_rates_alone(way):
    here, usual = (digests(files(40, False, severity=Severity(vitals=v))) for v in (way, "level"))
    differ = {path.split("/")[-1].split(".")[0] for path in here if here[path] != usual[path]}
    tables = {"chartevents", "labevents", "outputevents", "inputevents"}
    hours = {f"oracle_{task}" for task in truth_stay.TASKS if not task.startswith("mortality")}
    assert tables <= differ <= tables | hours


def test_every_wording_belongs_to_one_state_of_one_observation():
    texts = [text for state in reports.wordings() for each in state for text in each]
    assert all(len(each) >= 3 for state in reports.wordings() for each in state)
    assert not [(a, b) for a in texts for b in texts if a is not b and a in b]
    for state in reports.wordings():
        assert len(state) == reports.LEVELS
        assert sum("no longer" in text for each in state for text in each) >= 4


def test_the_level_is_read_from_every_varied_report():
    root = files(SMALL, False, severity=Severity(reports="varied"))
    rows = known_reports(root).join(admissions(SMALL).select("hadm_id", "shown_n"), on="hadm_id")
    found = pl.col("text").str.split("FINDINGS:").list.get(1).str.split("IMPRESSION:").list.get(0)
    _, abnormal = reports.wordings()
    count = pl.sum_horizontal(found.str.contains_any(each).cast(int) for each in abnormal)
    counted = rows.select(count.alias("count"))["count"]
    assert rows.height > 400
    assert counted.to_list() == reports.level(rows["shown_n"].to_numpy()).tolist()
    each = [text for state in reports.wordings() for text in state[8]]
    assert all(rows["text"].str.contains(text, literal=True).sum() > 20 for text in each)


def shaded(kind, latent, seed, lateral):
    """Films of one lesion, which differ by the latent alone, without grain."""
    size = len(latent)
    lesion = drawing.draw_lesions(np.random.default_rng(seed), np.zeros(size, int))
    same = {"kind": np.full(size, kind), "phase": np.repeat(lesion.phase[:1], size, axis=0)}
    down, right = np.linspace(-1, 1, drawing.HEIGHT), np.linspace(-1, 1, drawing.WIDTH)
    at = np.tile(down[:, None], (size, 1, 1)), np.tile(right, (size, 1, 1))
    gap, build = np.full((size, 1, 1), 0.12 if lateral else 0.42), np.ones((size, 1, 1))
    film = drawing.shade_focal(latent[:, None, None], gap, build, at, lesion._replace(**same))
    return np.clip(film, 0, 255)


@pytest.mark.parametrize("lateral", [False, True])
@pytest.mark.parametrize("kind", range(len(drawing.LESIONS)))
def test_each_lesion_shows_the_latent_far_better_than_its_noise(kind, lateral):
    """The least error of any reader of grainy pixels (Cramér and Rao)."""
    latent, step, grain = np.linspace(-3, 3, 13), 0.05, 6
    for seed in range(4):
        above, below = (shaded(kind, latent + d, seed, lateral) for d in (step, -step))
        change = (above - below) / (2 * step)
        assert (grain / np.sqrt((change**2).sum(axis=(1, 2)))).max() < 0.05


def test_films_of_an_admission_show_the_same_lesion_and_all_kinds_occur():
    row = np.repeat(np.arange(300), 3)
    lesion = drawing.draw_lesions(np.random.default_rng(0), row)
    kinds = pl.DataFrame({"row": row, "kind": lesion.kind, "side": lesion.side})
    assert kinds.group_by("row").agg(pl.all().n_unique()).select(pl.col("kind", "side").max()).row(
        0
    ) == (1, 1)
    assert kinds["kind"].value_counts()["count"].min() > 200


def test_films_and_reports_of_other_variants_leave_every_other_file_as_it_is():
    ways = {"films": "focal", "reports": "varied"}
    usual = digests(files(20))
    for name, way in ways.items():
        other = digests(files(20, severity=Severity(**{name: way})))
        differ = {path for path in other if other[path] != usual[path]}
        images = {path for path in other if path.endswith(".jpg")}
        tables = {path.split("/")[-1].split(".")[-3] for path in differ - images}
        if name == "films":
            assert images <= differ and tables <= {"0-chexpert", "0-negbio"}
        else:
            assert not images & differ and tables == {"radiology"}


def test_films_of_the_default_keep_their_bytes():
    films = drawing.draw(np.random.default_rng(0), np.linspace(-3, 3, 5), np.arange(5) % 2 > 0)
    assert (
        hashlib.sha256(np.concatenate(list(films)).tobytes())
        .hexdigest()
        .startswith("ef74d2a7244638f6")
    )
    texts = reports.observations(np.linspace(-3, 3, 17)).drop("impression").write_csv()
    assert hashlib.sha256(texts.encode()).hexdigest().startswith("74d9b9088f3ad108")
