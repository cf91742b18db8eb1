"""Prediction on new patients: the result's own risks, running admissions, what is odd, refusals."""

import json
import os
import shutil
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from checkout import stored_model
from new_patients import (
    FILMS,
    FUSED,
    SINGLE,
    of_admissions,
    tables_of,
    without_ends,
    without_future,
)
from pydantic import TypeAdapter

from pipeline.cohort import definitions
from pipeline.predict import copies, quality, reference
from pipeline.predict import folder as folders
from pipeline.predict.folder import MODEL, digest_of, read_model
from pipeline.predict.predictor import Predictor
from pipeline.predict.report import having
from pipeline.predict.spoken import say
from pipeline.predict.units import UnitCheck
from pipeline.stage.errors import InputError
from pipeline.stage.prediction import PredictionReport

OTHERS = [
    "en_gated_mortality", "en_late_mortality", "en_joint_mortality", "en_late-averaged_mortality",
    "en_logistic_mortality", "en_gbdt_mortality", "e_logistic-stats_mortality",
    "e_gbdt-stats_mortality", "n_unimodal_readmission", "e_gbdt-stats_shock_4h",
    "en_early_arf_12h", "e_gbdt-stats_icumortality_24h",
]  # fmt: skip
KEY = ["task", "episode_id", "seed"]


@pytest.fixture(scope="module")
def predictor(stored):
    return Predictor(stored / f"results/models/{FUSED}", device="cpu")


@pytest.fixture(scope="module")
def tables(stored, predictor):
    return tables_of(stored, predictor.tables)


@pytest.fixture(scope="module")
def whole(stored, predictor):
    """The prediction for everybody of the training source."""
    return predictor.predict(stored / "results/hospital", suppress_below=0)


def ask(predictor, stored, source, **more):
    return predictor.predict(source, films=stored / FILMS, suppress_below=0, **more)


def own(stored, target, unit="admission"):
    return pl.read_parquet(stored / f"results/corrected/{unit}/predictions/{target}.parquet")


def together(risks, others):
    return risks.join(others, on=KEY, suffix="_other", maintain_order="left")


def apart(risks, others):
    both = together(risks, others)
    assert both.height == risks.height
    return (both["probability"] - both["probability_other"]).abs().max()


def test_patients_of_the_training_source_have_the_bytes_of_the_result(stored, whole):
    before = own(stored, FUSED)
    test = before.filter(split="test")
    again = test.select(KEY).join(whole.risks, on=KEY, how="left", maintain_order="left")
    assert test.height > 50
    assert again["probability"].to_numpy().tobytes() == test["probability"].to_numpy().tobytes()
    assert whole.risks.select(*KEY, "probability").equals(before.select(*KEY, "probability"))


def test_the_risk_is_called_positive_by_the_threshold_of_the_result(stored, whole):
    result = json.loads((stored / f"results/{FUSED}.json").read_text())
    (chosen,) = result["threshold"]["by_run"]
    calls = whole.risks["probability"] >= chosen["threshold"]
    assert whole.risks["positive"].equals(calls.alias("positive"))
    assert 0 < calls.sum() < calls.len()


def test_another_model_of_the_same_run_too(stored):
    made = Predictor(stored / f"results/models/{SINGLE}", device="cpu").predict(
        stored / "results/hospital"
    )
    before = own(stored, SINGLE)
    assert made.risks.select(*KEY, "probability").equals(before.select(*KEY, "probability"))
    assert set(made.report["modalities"]) == {"ehr"}


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_any_part_of_running_admissions_has_the_same_risks(predictor, stored, tables, whole, size):
    """No column of discharge, death or ends; nothing that is stored after the prediction."""
    some = np.random.default_rng(size).choice(whole.risks["episode_id"], size, replace=False)
    source = without_future(without_ends(of_admissions(tables, some.tolist())))
    made = ask(predictor, stored, source)
    assert sorted(made.risks["episode_id"]) == sorted(some)
    assert apart(made.risks, whole.risks) <= 1e-6
    assert made.report["running"] == size


def test_ids_choose_among_the_episodes_of_a_source(predictor, stored, tables, whole):
    some = whole.risks["episode_id"].gather_every(9).to_list()
    made = ask(predictor, stored, tables, ids=some)
    assert made.risks["episode_id"].to_list() == some
    assert apart(made.risks, whole.risks) <= 1e-6
    with pytest.raises(InputError, match="nobody to predict"):
        ask(predictor, stored, tables, ids=[7])


def test_what_becomes_known_later_changes_no_risk(predictor, stored, tables, whole):
    """Everybody dies an hour after the prediction, and was discharged to die."""
    later = pl.col("admittime") + timedelta(hours=49)
    there = pl.col("dischtime") > pl.col("admittime") + timedelta(hours=48)
    admissions = tables["admissions"].with_columns(
        dischtime=pl.when(there).then(later).otherwise("dischtime"),
        deathtime=pl.when(there).then(later).otherwise("deathtime"),
        hospital_expire_flag=pl.lit(1, pl.Int64),
        discharge_location=pl.lit("DIED"),
    )
    patients = tables["patients"].with_columns(dod=pl.date(2230, 1, 1))
    made = ask(predictor, stored, tables | {"admissions": admissions, "patients": patients})
    assert made.risks.equals(whole.risks)


def test_who_has_left_by_then_is_not_predicted(predictor, stored, tables, whole):
    left = whole.risks["episode_id"][0]
    mine = pl.col("hadm_id") == left
    early = pl.col("admittime") + timedelta(hours=30)
    admissions = tables["admissions"].with_columns(
        dischtime=pl.when(mine).then(early).otherwise("dischtime")
    )
    made = ask(predictor, stored, tables | {"admissions": admissions})
    assert left not in made.risks["episode_id"]
    assert made.risks.height == whole.risks.height - 1
    last = made.report["selection"][-2]
    assert last["condition"] == "in hospital at the prediction time"
    assert last["episodes"] == made.risks.height


def test_who_has_not_reached_the_prediction_time_waits(predictor, stored, tables, whole):
    times = whole.risks["prediction_time"]
    now = times.sort()[200]
    made = ask(predictor, stored, tables, now=now)
    assert made.risks.equals(whole.risks.filter(times <= now))
    assert made.report["waiting"] == whole.risks.height - made.risks.height > 0
    with pytest.raises(InputError, match=f"{whole.risks.height} have not reached it"):
        ask(predictor, stored, tables, now=times.min() - timedelta(hours=1))


@pytest.mark.parametrize(
    ("letter", "gone"),
    [pytest.param("n", "mimic-iv-note", marks=pytest.mark.slow), ("c", "mimic-cxr-jpg")],
)
def test_a_source_may_lack_a_modality(predictor, stored, tmp_path, letter, gone):
    """Risks are those of the result's scenario in which everybody lacks it."""
    (tmp_path / "new").mkdir()
    for path in (stored / "results/hospital").iterdir():
        if path.name != gone:
            (tmp_path / "new" / path.name).symlink_to(path)
    made = predictor.predict(tmp_path / "new", suppress_below=0)
    scenario = pl.read_parquet(stored / f"results/corrected/admission/missing/{FUSED}.parquet")
    scenario = scenario.filter(modality=letter, rate=1.0)
    both = scenario.join(made.risks, on=["episode_id", "seed"], suffix="_new")
    assert both.height == scenario.height > 50
    assert both["probability"].equals(both["probability_new"].alias("probability"))
    name = {"n": "note", "c": "cxr"}[letter]
    assert made.report["modalities"][name]["episodes"] == 0
    assert made.report["modalities"][name]["reason"]
    assert not made.risks["modalities"].str.contains(letter).any()


def test_a_patient_may_lack_everything_but_the_admission(predictor, stored, tables, caplog):
    """Of the record only demographics are left."""
    events = ["chartevents", "labevents", "inputevents", "outputevents", "procedureevents",
              "cxr_metadata", "radiology"]  # fmt: skip
    made = ask(predictor, stored, {n: t for n, t in tables.items() if n not in events})
    assert set(made.risks["modalities"]) == {"e"}
    assert made.risks["probability"].is_between(0, 1).all()
    assert set(events) <= set(made.report["absent_tables"])
    assert "heart_rate" in made.report["absent_signals"]
    say(made.report)
    warned = [line.message for line in caplog.records if line.levelname == "WARNING"]
    assert any(line.startswith("tables that the source lacks: ") for line in warned)
    assert any("signals that the source lacks: " in line and "heart_rate" in line
               for line in warned)  # fmt: skip


def test_films_that_are_not_there_count_as_missing(predictor, stored, tables, tmp_path):
    made = predictor.predict(tables, films=tmp_path, suppress_below=0)
    assert made.report["modalities"]["cxr"]["episodes"] == 0
    assert made.report["films_unreadable"] > 50


def test_a_needed_table_or_column_that_is_absent_is_named(predictor, tables, tmp_path):
    with pytest.raises(InputError, match="no table d_items"):
        predictor.predict({name: table for name, table in tables.items() if name != "d_items"})
    with pytest.raises(InputError, match=r"table admissions: column\(s\) admittime are missing"):
        predictor.predict(tables | {"admissions": tables["admissions"].drop("admittime")})
    fewer = {name: table for name, table in tables.items() if name != "chartevents"}
    with pytest.raises(InputError, match="no table d_items"):  # of infusions and outputs, too
        predictor.predict({name: table for name, table in fewer.items() if name != "d_items"})
    with pytest.raises(InputError, match="d_labitems is empty, but labevents has rows"):
        predictor.predict(tables | {"d_labitems": tables["d_labitems"].head(0)})
    with pytest.raises(InputError, match=r"no source has a table labevent; .* labevents\?"):
        predictor.predict(fewer | {"labevent": tables["labevents"]})
    with pytest.raises(InputError, match="no table patients, expected at"):
        predictor.predict(tmp_path)


# what is odd in the data


def test_nothing_is_odd_in_the_source_of_the_training(whole):
    report = whole.report
    assert report["units"] == []
    assert report["unknown_items"] == []
    assert report["shift"][0]["psi"] < 0.25
    assert all(one["share"] < 0.05 for one in report["unseen"])
    assert report["episodes"] == whole.risks.height
    TypeAdapter(PredictionReport).validate_python(report)


def scaled(tables, table, items, scale, shift=0.0):
    mine = pl.col("itemid").is_in(items)
    value = pl.when(mine).then(pl.col("valuenum") * scale + shift).otherwise("valuenum")
    return tables | {table: tables[table].with_columns(valuenum=value)}


@pytest.mark.parametrize(
    ("signal", "table", "items", "scale", "shift", "unit"),
    [
        # all temperatures in Fahrenheit, charted as Celsius: the other item is converted twice
        ("temperature", "chartevents", [223762], 1.8, 32.0, "degrees Fahrenheit"),
        pytest.param(
            "glucose", "labevents", [50931], 1 / 18.0156, 0.0, "mmol/L", marks=pytest.mark.slow
        ),
        pytest.param(
            "creatinine", "labevents", [50912], 88.42, 0.0, "umol/L", marks=pytest.mark.slow
        ),
    ],
)
def test_a_unit_that_is_another_one_is_reported(
    predictor, stored, tables, signal, table, items, scale, shift, unit
):
    if signal == "temperature":  # so that the item has a tenth of the readings
        fahrenheit = pl.col("itemid") == 223761
        celsius = pl.when(fahrenheit).then((pl.col("valuenum") - 32) / 1.8)
        moved = tables[table].with_columns(
            itemid=pl.when(fahrenheit).then(223762).otherwise("itemid"),
            valuenum=celsius.otherwise("valuenum"),
        )
        tables = tables | {table: moved}
    made = ask(predictor, stored, scaled(tables, table, items, scale, shift))
    found = {one["signal"]: one for one in made.report["units"]}
    assert set(found) == {signal}
    assert found[signal]["looks_like"] == unit
    assert found[signal]["explained"] > 0.8


def test_numbers_that_no_unit_explains_are_reported_too(predictor, stored, tables):
    made = ask(predictor, stored, scaled(tables, "chartevents", [220045], 0.0, 299.0))
    (unit,) = made.report["units"]
    assert (unit["signal"], unit["looks_like"]) == ("heart_rate", None)
    assert unit["unlike"] == 1


def test_items_that_training_never_had_are_reported(predictor, stored, tables):
    item = pl.DataFrame({"itemid": [229999], "label": ["Pulse by hand"]})
    named = pl.concat([tables["d_items"], item], how="diagonal")
    moved = pl.when(pl.col("itemid") == 220045).then(229999).otherwise("itemid")
    charted = tables["chartevents"].with_columns(itemid=moved)
    made = ask(predictor, stored, tables | {"chartevents": charted, "d_items": named})
    (told,) = made.report["unknown_items"]
    assert told["table"] == "chartevents"
    assert told["examples"] == ["229999 Pulse by hand"]
    assert told["share"] > 0.01
    assert "heart_rate" in made.report["absent_signals"]


def test_tokens_and_words_that_training_never_had_are_counted():
    known = pl.DataFrame({"token": [1, 2, 3]})
    told = quality.unseen_tokens(pl.Series([1, 1, 2, 9]), known, 0)
    assert (told["total"], told["share"]) == (4, 0.25)
    assert quality.unseen_tokens(pl.Series([], dtype=pl.Int32), known, 0)["share"] is None
    few = quality.unseen_tokens(pl.Series([1] * 40 + [9]), known, 10)
    assert (few["total"], few["share"]) == (41, None)  # .0244 of 41 is one token
    texts, vocabulary = ["heart is big", "lung", ""], {"heart": 0, "is": 1, "lung": 2}
    words = quality.unseen_words(texts, vocabulary, 0)
    assert words == {"kind": "words", "total": 4, "share": 0.25}
    assert quality.unseen_words(texts * 12, vocabulary, 10)["share"] == 0.25
    assert quality.unseen_words(texts * 9, vocabulary, 10)["share"] is None
    assert quality.unseen_words([], vocabulary, 0)["share"] is None


def test_a_shift_of_the_risks_is_told():
    draw = np.random.default_rng(0).beta(1, 6, 4000)
    quantiles = np.quantile(draw, np.arange(1, 100) / 100).tolist()
    training = {"n": 4000, "mean": float(draw.mean()), "quantiles": quantiles}
    same = quality.shift(draw[:2000], 0, training, 0.5)
    other = quality.shift(np.minimum(1, draw * 2), 0, training, 0.5)
    assert same["psi"] < 0.05 < 0.25 < other["psi"]
    assert same["ks"] < 0.05 < 0.2 < other["ks"]
    assert other["positive"] > same["positive"]
    assert quality.shift(draw[:99], 0, training, None)["psi"] is None
    few = np.array([0.9] + [0.1] * 14)
    assert quality.shift(few, 0, training, 0.5)["positive"] == 0.0667
    assert quality.shift(few, 0, training, 0.5, 10)["positive"] is None


def readings(fahrenheit, celsius):
    """A reading of each of so many patients in a wrong unit, and in the right one."""
    count = fahrenheit + celsius
    values = [98.6] * fahrenheit + [37.0] * celsius
    part = pl.DataFrame({"episode_id": range(count), "signal": "temperature", "value": values})
    return part, pl.DataFrame({"episode_id": range(count), "subject_id": range(count)})


TEMPERATURE = pl.DataFrame({"signal": ["temperature"], "lowest": [35.0], "low": [36.0],
                            "lower": [36.5], "median": [37.0], "upper": [37.5], "high": [38.0],
                            "highest": [40.0], "readings": [1000]})  # fmt: skip


@pytest.mark.parametrize(
    ("fahrenheit", "celsius", "patients", "unlike"),
    [(40, 60, None, 0.4), (9, 21, None, "nothing"), (40, 60, 9, "nothing"), (91, 9, None, None)],
)
def test_no_share_of_readings_tells_of_few_patients(fahrenheit, celsius, patients, unlike):
    part, people = readings(fahrenheit, celsius)
    if patients:  # the same few have all that is unlike
        people = people.with_columns(subject_id=pl.col("episode_id") % patients)
    check = UnitCheck(TEMPERATURE, people)
    check.look(part)
    found = check.found(10)
    if unlike == "nothing":
        assert found == []
        assert check.found(0)[0]["looks_like"] == "degrees Fahrenheit"
        return
    assert found[0]["unlike"] == unlike
    assert found[0]["explained"] == 1
    assert found[0]["median"] == 98.6


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        ({"e": 50, "ec": 40, "en": 4, "ecn": 300}, {"en", "ec"}),
        ({"e": 50, "ec": 40, "en": 30, "ecn": 300}, set()),
        ({"ecn": 4}, {"ecn"}),
    ],
)
def test_no_small_combination_follows_from_what_each_modality_has(counts, hidden):
    letters = [some for some, count in counts.items() for _ in range(count)]
    ids = np.arange(len(letters))
    has = {one: ids[[one in some for some in letters]] for one in "ecn"}
    made = having(has, ids, 10)
    told = made["combinations"]
    assert {some for some, count in told.items() if count is None} == hidden
    for one in "ecn":  # what a hidden one must be, were the total of a letter known
        secret = [some for some in hidden if one in some]
        if len(secret) == 1 and counts[secret[0]] < 10:
            assert not isinstance(made["modalities"][one], int)
    assert having(has, ids, 0)["combinations"] == counts


def test_counts_below_ten_are_hidden(predictor, stored, tables, whole):
    some = whole.risks["episode_id"].head(3).to_list()
    made = predictor.predict(of_admissions(tables, some), films=stored / FILMS)
    text = json.dumps(made.report)
    assert made.report["episodes"] == "<10"
    counts = [made.report[name] for name in ("patients", "running")]
    counts += [one["episodes"] for one in made.report["selection"]]
    assert all(count in ("<10", 0) for count in counts)
    assert not any(isinstance(count, int) for count in made.report["combinations"].values())
    assert not any(str(one) in text for one in some)


def test_risks_are_recalibrated_as_the_result_is():
    plain = np.array([0.1, 0.5, 0.9])
    facts = {"slope": 0.5, "intercept": 0.0}
    made = reference.recalibrated(plain, facts)
    assert np.allclose(np.log(made / (1 - made)), 0.5 * np.log(plain / (1 - plain)))
    assert reference.recalibrated(plain, {"slope": None, "intercept": None}) is plain


def test_of_several_seeds_the_mean_is_told_and_each_has_its_own_recalibration(stored, tmp_path):
    folder = shutil.copytree(stored / f"results/models/{SINGLE}", tmp_path / "model")
    told = json.loads((folder / MODEL).read_text())
    (first,) = told["seeds"]
    other = {**first, "seed": 1, "intercept": -0.4, "slope": 0.5, "threshold": 0.2}
    shutil.copytree(folder / "weights/seed0", folder / "weights/seed1")
    told |= {"seeds": [first, other], "recalibration": "platt"}
    told["reference"]["1"] = told["reference"]["0"]
    told.pop("digest")
    folders.write_model(folder, told)
    made = Predictor(folder, device="cpu").predict(stored / "results/hospital", suppress_below=0)
    seeds = {seed: made.risks.filter(seed=seed) for seed in (0, 1, -1)}
    assert made.risks.height == 3 * seeds[0].height > 150
    plain = seeds[0]["probability"].to_numpy()
    assert seeds[0]["risk"].to_numpy().tobytes() == plain.tobytes()
    expected = 1 / (1 + np.exp(0.4 - 0.5 * np.log(plain / (1 - plain))))
    assert np.allclose(seeds[1]["risk"], expected, atol=1e-6)
    assert seeds[1]["positive"].equals((seeds[1]["risk"] >= 0.2).alias("positive"))
    assert seeds[1]["positive"].sum() != (seeds[1]["probability"] >= 0.2).sum()
    assert np.allclose(seeds[-1]["risk"], (plain + expected) / 2, atol=1e-6)
    assert np.allclose(seeds[-1]["probability"], plain, atol=1e-6)
    assert seeds[-1]["positive"].null_count() == seeds[-1].height
    assert [one["seed"] for one in made.report["shift"]] == [0, 1]


# the folder of a model


@pytest.fixture
def copy(stored, tmp_path):
    """A copy of the folder whose files are links: to be replaced, not written into."""
    return shutil.copytree(
        stored / f"results/models/{SINGLE}", tmp_path / "model", copy_function=os.link
    )


def replace(path, content):
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def changed(folder, **fields):
    """`model.json` with other fields, as if it had been written so."""
    told = json.loads((folder / MODEL).read_text()) | fields
    told["digest"] = digest_of(told)
    replace(folder / MODEL, json.dumps(told).encode())


def test_the_folder_holds_everything_and_no_pickle(stored):
    for target in (FUSED, SINGLE):
        folder = stored / f"results/models/{target}"
        model = read_model(folder)
        kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
        assert kinds <= {".safetensors", ".json", ".parquet", ".md", ".sha256"}
        assert (folder / "README.md").read_text().startswith(f"# {target}")
        assert set(model["files"]) == set(folders.listed(folder))
        result = json.loads((stored / f"results/{target}.json").read_text())
        chosen = [one["threshold"] for one in result["threshold"]["by_run"]]
        assert [one["threshold"] for one in model["seeds"]] == chosen


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    replace(path, bytes(content))


def link(path, away="elsewhere"):
    target = path.parents[3] / away  # beside the folder of the model
    path.rename(target)
    path.symlink_to(target)


WEIGHTS = "weights/seed0/ehr.safetensors"
SPOILT = {
    "no folder": (lambda f: shutil.rmtree(f), "no model"),
    "no JSON": (lambda f: replace(f / MODEL, b"{"), "is no JSON"),
    "another program's": (lambda f: replace(f / MODEL, b"{}"), "names no schema_version"),
    "another version": (lambda f: changed(f, schema_version=9), "schema version 9"),
    "edited": (
        lambda f: replace(f / MODEL, (f / MODEL).read_bytes().replace(b"ehr", b"EHR", 1)),
        "not as it was written",
    ),
    "older definitions": (
        lambda f: changed(f, definitions_version=definitions.VERSION - 1), "version 3 of the",
    ),
    "other queries": (
        lambda f: changed(f, definitions={"pipeline/ehr/signals.csv": "0" * 16}), "differ from",
    ),
    "a wrong type": (lambda f: changed(f, hours="48"), "hours"),
    "damage": (lambda f: flip(f / WEIGHTS), "is damaged"),
    "a pickle": (lambda f: replace(f / "weights/seed0/ehr.pt", b"x"), "is a pickle"),
    "more files": (lambda f: replace(f / "notes.txt", b"x"), "notes.txt is not of this model"),
    "fewer files": (lambda f: (f / WEIGHTS).unlink(), "is missing"),
    "a link": (lambda f: link(f / WEIGHTS), "is a link"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPOILT)
def test_a_folder_that_is_foreign_old_or_damaged_is_refused_in_one_line(copy, kind):
    spoil, why = SPOILT[kind]
    spoil(copy)
    with pytest.raises(InputError, match=why) as refused:
        read_model(copy)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"--model {copy}")


def test_versions_that_differ_are_told_and_no_reason_to_refuse(copy):
    changed(copy, packages={"duckdb": "0.1"}, code="0" * 64)
    told = folders.notes_of(read_model(copy), native_bf16=True)
    assert any("duckdb 0.1" in line for line in told)
    assert any("code of the stages has changed" in line for line in told)


def test_only_the_folder_of_a_model_is_made_anew(copy, tmp_path):
    """`python -m pipeline.predict.save --output` removes what is there."""
    (copy / f".{MODEL}.sha256").write_bytes(b"")
    (copy / MODEL).unlink()  # Snakemake removes it before the job
    copies.emptied(copy)
    assert not copy.exists()
    copies.emptied(copy)
    (tmp_path / "thesis/weights").mkdir(parents=True)
    (tmp_path / "thesis/chapter.md").write_bytes(b"1")
    with pytest.raises(InputError, match=r"holds chapter\.md, which is of no stored model"):
        copies.emptied(tmp_path / "thesis")
    assert (tmp_path / "thesis/chapter.md").exists()


# the workflow


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("e_sofa_mortality", "its model is not stored"),
        ("ecn_unimed_all", "its model is not stored"),
        ("e_early_mortality", "no model 'early' of the modalities 'e'"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_runs(fresh, target, why):
    made = fresh.snakemake("--dry-run", stored_model(target))
    assert made.status != 0
    assert why in made.text


def test_a_model_is_stored_once(stored):
    assert stored.plan(stored_model(FUSED), stored_model(SINGLE)).planned == {}


@pytest.fixture(scope="module")
def all_stored(stored, once):
    return once("all_stored", stored.copy, *map(stored_model, OTHERS))


@pytest.mark.slow
@pytest.mark.parametrize("target", OTHERS)
def test_every_kind_of_model_has_the_bytes_of_its_result(all_stored, target):
    made = Predictor(all_stored / f"results/models/{target}", device="cpu").predict(
        all_stored / "results/hospital"
    )
    unit = "stay" if target.endswith("h") else "admission"
    before = own(all_stored, target, unit)
    both = before.join(made.risks, on=KEY, how="left", suffix="_new", maintain_order="left")
    assert both["probability"].equals(both["probability_new"].alias("probability"))


@pytest.mark.slow
@pytest.mark.parametrize("target", [one for one in OTHERS if one.endswith("h")])
def test_running_icu_stays_have_the_same_risks(all_stored, target):
    predictor = Predictor(all_stored / f"results/models/{target}", device="cpu")
    before = own(all_stored, target, "stay")
    source = without_ends(tables_of(all_stored, predictor.tables))
    some = before["episode_id"].gather_every(5).to_list()
    made = ask(predictor, all_stored, source, ids=some)
    assert made.report["running"] == len(some) == made.risks.height > 20
    assert apart(made.risks, before) <= 1e-6
