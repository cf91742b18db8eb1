"""External validation: a stored model, unchanged, on another hospital; what it says and hides."""

import json
import shutil
import sys

import jsonschema
import numpy as np
import polars as pl
import pytest
from checkout import REPOSITORY
from hospital_files import files
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.sections.external import DRAWS, ici_and_curve, refits, validated
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.sample import Sample
from pipeline.extract.settings import Source as Section
from pipeline.plan import configuration
from pipeline.predict import __main__ as predict
from pipeline.predict import external
from pipeline.predict.folder import read_model
from pipeline.predict.outcomes import followed
from pipeline.predict.predictor import Predictor
from pipeline.predict.prepared import check_offered, prepare, section_of
from pipeline.predict.source import Prepared
from pipeline.report import external as drawing
from pipeline.stage.errors import InputError

SCHEMA = json.loads((REPOSITORY / "pipeline/evaluation/external.schema.json").read_text())
TARGET = "e_unimodal_mortality"
STORED, RESULT = f"results/models/{TARGET}", f"results/external/north/{TARGET}.json"
RISKS = f"results/predicted/north/{TARGET}.parquet"
FEW = Resampling(50)


# the figures, of drawn patients


def drawn(n=4000, slope=1.0, shift=0.0, seed=0):
    """Patients of two episodes each whose risks are too extreme (slope below 1), or too low."""
    random = np.random.default_rng(seed)
    logit = random.normal(-1.5, 1, n)
    label = random.random(n) < 1 / (1 + np.exp(-(shift + slope * logit)))
    risk = 1 / (1 + np.exp(-logit))
    return Sample(np.arange(n), np.arange(n) // 2, label, risk[None], seeds=(0,))


def test_a_refit_mends_a_known_distortion_the_better_the_more_patients_it_has():
    part = drawn(3000, slope=0.5, shift=-1.0)
    made = refits(part, 0, 0, (200, 1000))
    assert refits(part, 0, 0, (200, 1000)) == made != refits(part, 1, 0, (200, 1000))
    small, large = made
    assert [one["draws"] for one in made] == [DRAWS, DRAWS]
    assert large["before"]["slope"]["median"] == pytest.approx(0.5, abs=0.08)
    assert large["after"]["slope"]["median"] == pytest.approx(1, abs=0.1)
    assert large["after"]["in_the_large"]["median"] == pytest.approx(0, abs=0.1)
    assert large["after"]["ici"]["median"] < small["after"]["ici"]["median"]
    assert small["after"]["ici"]["median"] < small["before"]["ici"]["median"]
    width = [one["after"]["slope"]["high"] - one["after"]["slope"]["low"] for one in made]
    assert width[1] < width[0] / 1.5


def test_a_refit_is_judged_on_the_patients_that_were_not_drawn(monkeypatch):
    part, seen = drawn(400), []
    module = sys.modules[refits.__module__]
    judge = module.brier
    monkeypatch.setattr(module, "fit", lambda label, *_: seen.append(len(label)) or "no line")
    monkeypatch.setattr(module, "brier", lambda label, *more: seen.append(-len(label)) or judge(
        label, *more))  # fmt: skip
    (made,) = refits(part, 0, 0, (120,))
    assert seen[0] == 400  # once on all, for the range of the curve alone
    assert set(seen[1:]) == {240, -160}  # two episodes of each patient, on one side
    assert made["unfitted"] == DRAWS
    assert made["after"] == made["before"]  # the risks stay as they are


def test_a_refit_on_too_few_is_not_tried():
    part = drawn(400, shift=-2.0)  # of 200 patients about 12 die
    made = refits(part, 0, 0)
    assert [one["after"] for one in made] == [None] * 5
    assert "expected among the patients drawn" in made[0]["reason"]
    assert "no more patients" in made[2]["reason"]


def test_figures_are_scikit_learns_and_those_of_the_threshold_of_home():
    part = drawn()
    made = validated(part, [0.3], FEW, 0)
    label, risk = part.label, part.probability[0]
    assert made["metrics"]["auroc"]["value"] == pytest.approx(roc_auc_score(label, risk))
    called = risk >= 0.3
    expected = {"sensitivity": called[label].mean(), "specificity": (~called)[~label].mean(),
                "ppv": label[called].mean(), "alert_rate": called.mean()}  # fmt: skip
    for name, value in expected.items():
        assert made["threshold"][name]["value"] == pytest.approx(value)
    told = made["calibration"]
    assert told["slope"]["low"] < 1 < told["slope"]["high"]
    assert told["in_the_large"]["low"] < 0 < told["in_the_large"]["high"]
    one, half = np.ones((1, len(risk))), np.array([0.2])
    off, observed = ici_and_curve(label, risk / 2, one, half)[0]
    assert told["ici"]["value"] < 0.03 < off
    assert observed == pytest.approx(0.4, abs=0.03)
    at = np.interp(0.2, told["smooth"]["risk"], told["smooth"]["observed"])
    assert at == pytest.approx(0.2, abs=0.03)


def test_few_outcomes_and_small_cells_withhold_figures():
    few = drawn(200, shift=-3.0)
    assert 0 < few.label.sum() < 10
    made = validated(few, [0.3], FEW, 10)
    assert made["metrics"]["positives"] == "<10"
    assert made["metrics"]["reason"] == made["threshold"]["reason"]
    assert made["calibration"].pop("smooth") is None
    figures = [*made["calibration"].values(), made["metrics"]["auroc"]]
    assert all(one["value"] is None for one in figures)
    cell = validated(drawn(), [0.8], FEW, 10)["threshold"]
    assert "a cell of the confusion table" in cell["reason"]
    assert cell["ppv"]["value"] is None
    assert "no threshold" in validated(drawn(), [None], FEW, 10)["threshold"]["reason"]


# a model of the workflow, on another hospital


def with_north(checkout):
    """Makes a copy of the finished run that knows another hospital."""

    def made(root):
        copy = checkout.copy(root)
        shutil.copytree(files(500, films=False, seed=5), root / "north")
        shutil.rmtree(root / "north/mimic-iv-note")
        copy.configure({"external": {"north": {"root": "north"}}})
        return copy

    return made


@pytest.fixture(scope="module")
def north(finished, once):
    """A run with the validation and the risks. For reading."""
    return once("north", with_north(finished), RESULT, RISKS)


@pytest.fixture(scope="module")
def result(north):
    return json.loads((north / RESULT).read_text())


@pytest.fixture(scope="module")
def model(north):
    return read_model(north / STORED)


@pytest.fixture(scope="module")
def predictor(north):
    return Predictor(north / STORED, device="cpu")


@pytest.fixture(scope="module")
def source(north, predictor, tmp_path_factory):
    """The other hospital's tables."""
    folder = tmp_path_factory.mktemp("north") / "source"
    return prepare(section_of(str(north / "north")), predictor.tables, folder, 1, 2000)


@pytest.fixture(scope="module")
def made(predictor, source):
    return predictor.predict(source, suppress_below=0)


def altered(source, folder, **tables):
    """The source with some tables replaced."""
    folder.mkdir()
    for path in source.folder.iterdir():
        if path.stem in tables:
            tables[path.stem].write_parquet(folder / path.name)
        else:
            (folder / path.name).symlink_to(path)
    return Prepared(folder, source.films, source.last_year, source.words)


def labels(model, source, made, tmp_path):
    return followed(model, source, made.risks, tmp_path / "work", 1, 2000)


def test_the_result_is_of_everybody_there_and_follows_its_schema(result, model, source, made,
                                                                 tmp_path):  # fmt: skip
    jsonschema.Draft202012Validator(SCHEMA).validate(result)
    known, _ = labels(model, source, made, tmp_path)
    frame = external.rows_of(made.risks, known)
    died = pl.read_parquet(source.folder / "admissions.parquet").filter(hospital_expire_flag=1)
    there = result["there"]["metrics"]
    assert there["n"] == made.risks.height == known.height > 100
    assert there["positives"] == frame.filter(
        pl.col("episode_id").is_in(died["hadm_id"].implode())
    ).height  # fmt: skip
    expected = roc_auc_score(frame["label"], made.risks["risk"])
    assert there["auroc"]["value"] == pytest.approx(expected, abs=1e-6)
    assert result["unlabelled"] == 0
    assert result["selection"][-1]["episodes"] == there["n"]
    assert result["name"] == "north"
    assert result["suppressed_below"] == 10
    assert result["model"]["digest"] == model["digest"]
    assert result["absent_tables"] == []


def test_of_its_own_source_test_patients_alone_are_judged(north, monkeypatch, tmp_path):
    risks = north / f"results/corrected/admission/predictions/{TARGET}.parquet"
    own = validate(north, tmp_path, monkeypatch, north / "results/hospital", predictions=risks)
    known = json.loads((north / f"results/{TARGET}.json").read_text())
    assert own["there"]["metrics"]["n"] == known["metrics"]["test"]["n"]
    assert own["there"]["metrics"]["auroc"]["value"] == pytest.approx(
        known["metrics"]["test"]["auroc"]["value"], abs=1e-6
    )
    assert any("left out" in note for note in own["notes"])


def test_tasks_that_a_source_cannot_answer_are_refused():
    hourly = Section(kind="hourly", root=".")
    with pytest.raises(InputError, match="outcomes of icumortality_24h alone"):
        check_offered(hourly, "mortality_24h")
    check_offered(hourly, "icumortality_24h")
    with pytest.raises(InputError, match="no signals of a MEDS source"):
        check_offered(Section(kind="meds", root="."), "arf_bipap_4h")


def test_few_patients_do_not_draw_the_figure_of_a_refit_away():
    random = np.random.default_rng(3)
    logit = random.normal(-1, 0.5, 1500)
    label = random.random(1500) < 1 / (1 + np.exp(-logit))
    risk = 1 / (1 + np.exp(-logit))
    part = Sample(np.arange(1500), np.arange(1500), label, risk[None], seeds=(0,))
    (made,) = refits(part, 0, 0, (50,))
    assert made["after"]["slope"]["median"] == pytest.approx(1, abs=0.35)


def test_home_has_the_figures_of_its_result(north, result):
    known = json.loads((north / f"results/{TARGET}.json").read_text())
    assert result["home"]["metrics"] == known["metrics"]["test"]
    told = result["home"]["calibration"]
    assert told["slope"] == known["calibration"]["slope"]
    assert told["in_the_large"] == known["calibration"]["intercept"]
    assert result["shift"][0]["training_mean"] > 0


def test_the_tables_of_a_source_give_the_risks_of_its_files(north, predictor, made):
    again = predictor.predict(north / "north", suppress_below=0)
    assert again.risks.equals(made.risks)


def test_the_workflow_predicts_the_patients_of_a_named_source(north, made):
    assert pl.read_parquet(north / RISKS).equals(made.risks)
    report = json.loads((north / RISKS).with_suffix(".report.json").read_text())
    assert report["episodes"] == made.risks.height
    assert report["suppressed_below"] == 10
    assert north.plan(RISKS).planned == {}


def test_outcomes_are_read_for_labels_alone(model, predictor, source, made, tmp_path):
    """A trap: deaths and ends that lie after the prediction are others, and so are labels only."""
    admissions = pl.read_parquet(source.folder / "admissions.parquet")
    late = pl.col("dischtime") > pl.col("admittime") + pl.duration(hours=48)
    dies = late & (pl.col("hospital_expire_flag") == 0)
    turned = admissions.with_columns(
        hospital_expire_flag=pl.when(late).then(1 - pl.col("hospital_expire_flag"))
        .otherwise("hospital_expire_flag"),
        deathtime=pl.when(dies).then("dischtime").when(late).then(None).otherwise("deathtime"),
        discharge_location=pl.when(dies).then(pl.lit("DIED")).when(late).then(pl.lit("HOME"))
        .otherwise("discharge_location"),
    )  # fmt: skip
    other = altered(source, tmp_path / "turned", admissions=turned)
    again = predictor.predict(other, suppress_below=0)
    assert again.risks.equals(made.risks)
    before, _ = labels(model, source, made, tmp_path)
    after, _ = labels(model, other, again, tmp_path)
    assert before["episode_id"].equals(after["episode_id"])
    assert (before["label"] + after["label"]).to_list() == [1] * before.height


@pytest.mark.parametrize(("count", "shown"), [(3, "<10"), (30, 30)])
def test_who_has_no_outcome_is_counted(model, predictor, source, made, north, tmp_path, count,
                                       shown, monkeypatch):  # fmt: skip
    some = made.risks.unique("subject_id", maintain_order=True)["episode_id"].head(count).implode()
    admissions = pl.read_parquet(source.folder / "admissions.parquet")
    running = pl.col("hadm_id").is_in(some)
    without = admissions.with_columns(
        pl.when(~running).then(name).alias(name)
        for name in ("dischtime", "deathtime", "discharge_location", "hospital_expire_flag")
    )
    other = altered(source, tmp_path / "running", admissions=without)
    monkeypatch.setattr(external, "prepare", lambda *_: other)
    told = validate(north, tmp_path, monkeypatch, north / "north")
    total = made.risks.height
    assert told["there"]["metrics"]["n"] == total - count
    assert told["unlabelled"] == shown
    left = [row["episodes"] for row in told["selection"]]
    assert left[-1] == total - count
    assert (total in left) == (count >= 10)  # else how many have none would follow from it
    assert told["modalities"]["ehr"]["episodes"] == total - count


def validate(checkout, tmp_path, monkeypatch, source, **more):
    """Runs the command on a source; what it wrote."""
    output = tmp_path / "external.json"
    options = {"model": checkout / STORED, "source": source, "output": output, "device": "cpu",
               "resamples": 20, **more}  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["external", *words])
    external.main()
    return json.loads(output.read_text())


def test_a_validation_has_the_same_bytes_in_every_run(north, monkeypatch, tmp_path, result):
    """Without predictions of home there is no home."""
    told = validate(north, tmp_path, monkeypatch, north / "north", resamples=1000, name="north")
    assert told["home"] is None
    assert "without the predictions of home" in told["notes"][-1]
    assert {**told, "home": result["home"], "notes": result["notes"]} == result


@pytest.mark.slow
def test_a_source_in_meds_gives_the_same_patients(north, source, made, monkeypatch, tmp_path):
    from meds_at_hand import exported

    meds = exported(source.folder, tmp_path / "meds")
    told = validate(north, tmp_path, monkeypatch, json.dumps({"kind": "meds", "root": str(meds)}))
    assert told["source"]["kind"] == "meds"
    assert told["there"]["metrics"]["n"] == made.risks.height
    risks = tmp_path / "risks.parquet"
    words = ["--model", north / STORED, "--source", meds, "--kind", "meds", "--output", risks]
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, words), "--device", "cpu"])
    predict.main()
    assert pl.read_parquet(risks)["episode_id"].equals(made.risks["episode_id"])


def test_the_figure_shows_home_there_and_a_refit(north, result, tmp_path, monkeypatch):
    part = drawn(1500)
    refit = refits(part, 0, 0, (200,))
    picture = tmp_path / "x.svg"
    for name, made in {
        "whole": {**result, "refits": refit},
        "bare": {**result, "home": None, "refits": []},
    }.items():
        given = tmp_path / f"{name}.json"
        given.write_text(json.dumps(made))
        words = ["--result", str(given), "--output", str(picture)]
        monkeypatch.setattr(sys, "argv", ["figure", *words])
        drawing.main()
        text = picture.read_text()
        assert ("at home: slope" in text) == (name == "whole")
        assert ("north, refitted on 200 patients" in text) == (name == "whole")
        assert f"{TARGET} at north" in text
    drawing.main()
    assert picture.read_text() == text
    given.write_text((north / f"results/{TARGET}.json").read_text())
    with pytest.raises(InputError, match="no validation on another source"):
        drawing.main()


def test_predictions_that_are_not_the_models_are_refused(north, model):
    path = north / f"results/corrected/admission/predictions/{TARGET}.parquet"
    other = path.with_name("ecn_early_mortality.parquet")
    external.at_home(model, str(path), FEW, 10)
    with pytest.raises(InputError, match="not the predictions that the model was stored with"):
        external.at_home(model, str(other), FEW, 10)


def test_a_source_that_knows_no_end_has_nothing_to_judge_by(model, source, made, tmp_path):
    nothing = pl.lit(None, pl.Datetime("us"))
    admissions = pl.read_parquet(source.folder / "admissions.parquet")
    other = altered(source, tmp_path / "all", admissions=admissions.with_columns(dischtime=nothing))
    with pytest.raises(InputError, match="no outcome to judge a risk by") as refused:
        labels(model, other, made, tmp_path)
    assert "\n" not in str(refused.value)


# what is refused before anything runs


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (f"results/external/nort/{TARGET}.json", "no source nort; did you mean north?"),
        ("results/external/north/e_sofa_mortality.json", "its model is not stored"),
        (f"results/predicted/nort/{TARGET}.parquet", "no source nort; did you mean north?"),
        ("results/external/north/ecn_early_mortalty.json", "no task 'mortalty'"),
    ],
)
def test_what_cannot_be_validated_is_refused_before_anything_runs(north, target, why):
    refused = north.snakemake("--dry-run", target)
    assert refused.status != 0
    assert why in refused.text


def test_a_validation_is_made_once_and_again_where_its_source_changes(north, tmp_path):
    assert north.plan(RESULT).planned == {}
    copy = north.copy(tmp_path / "copy", whole=True)
    table = copy / "north/mimiciv/3.1/hosp/patients.csv.gz"
    table.write_bytes(table.read_bytes() + b"\0")
    assert copy.plan(RESULT).planned == {"validate_externally": 1}


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"root": "synthetic"}, "external.x.root: synthetic: no hospital is made"),
        ({"root": "nowhere"}, "external.x.root: no folder nowhere"),
        ({"kind": "meds", "root": None}, "external.x.root: null; of kind meds the folder"),
        ({"kind": "omop", "root": "."}, 'config.external.x.kind: "omop"'),
        ({}, "config.external.x.root: missing"),
    ],
)
def test_a_wrong_source_in_the_config_is_one_line(section, why):
    config = configuration.read(REPOSITORY / "config.yaml").dump()
    with pytest.raises(InputError) as refused:
        configuration.check({**config, "external": {"x": section}})
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_open_demo_can_be_validated_on(north, mimic_demo, monkeypatch, tmp_path):
    """Plumbing alone: no figure of it says anything of the model."""
    root = shutil.copytree(mimic_demo, tmp_path / "demo")
    told = validate(north, tmp_path, monkeypatch, root)
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    assert told["source"]["releases"]["MIMIC-IV"].startswith("demo")
    assert told["there"]["metrics"]["n"] > 50
    assert told["unknown_items"]
    assert told["refits"][1]["after"] is None


def small(value):
    """Whole numbers of 1 to 9 in a result, but those of versions, seeds and draws."""
    if isinstance(value, dict):
        free = ("schema_version", "definitions_version", "seed", "seeds", "fold", "unfitted")
        return [one for key, part in value.items() if key not in free for one in small(part)]
    if isinstance(value, list):
        return [one for part in value for one in small(part)]
    return [value] if type(value) is int and 0 < value < 10 else []


def test_nothing_small_is_told(north, mimic_demo, monkeypatch, tmp_path, result):
    root = shutil.copytree(mimic_demo, tmp_path / "demo")
    assert small(validate(north, tmp_path, monkeypatch, root)) == small(result) == []
