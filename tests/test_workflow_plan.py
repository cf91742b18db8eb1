"""What Snakemake plans for a target, what it refuses, and how the rules are written."""

import gzip
import json
import os
import re
import shutil
from types import SimpleNamespace

import pytest
import yaml
from checkout import REPOSITORY, Checkout
from test_extract_preflight import hospital
from test_extract_release import header_of, put

from pipeline.ehr.settings import GridSettings
from pipeline.extract.contracts import TABLES, tables_for
from pipeline.fusion import registry
from pipeline.plan import refusals, targets
from pipeline.plan.wiring_results import ResultWiring

COMMON = dict.fromkeys(["make_hospital", "select_episodes", "label_task"], 1)
MARKED = {"mark_left_out": 1}  # of the corrected protocol
EHR = {"select_events", "fit_bins", "tokenise_events", "describe_events", "pretrain_ehr"}
EHR |= {"embed_ehr"}
STATISTICS = {"describe_events", "fit_statistics"}  # beside every model of the record
CXR = {"select_films", "count_films", "pretrain_cxr", "embed_cxr"}
NOTE = {"clean_notes", "train_doc2vec", "select_notes", "infer_vectors", "pretrain_note"}
NOTE |= {"embed_note"}
COUNTED = {"select_films", "clean_notes", "select_notes"}  # of the modalities not read
PRESENT = {"select_films", "clean_notes", "select_notes"}  # complete cases; no event is required
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
RULES = {path.name: path.read_text() for path in sorted((REPOSITORY / "rules").glob("*.smk"))}


def jobs(rules, tables, *made, **more):
    made = made or ["evaluate_model"]
    return COMMON | dict.fromkeys([*rules, *made], 1) | {"extract_table": tables} | more


ALL = jobs(EHR | STATISTICS | CXR | NOTE, 12, decode_films=10) | MARKED
STAY = ["shock_4h", "arf_12h", "mortality_48h"]
FIDDLE = {"list_values", "fit_fiddle", "apply_fiddle"}
BERT = {"clean_notes", "select_notes", "train_bert", "cut_reports", "embed_reports"}
FILMS = {"select_films", "count_films"}
SELECTED = {"select_films"}
DESCRIBED = {"select_events", "describe_events"}
BESIDE = DESCRIBED | STATISTICS
REPORTS = {"clean_notes", "select_notes"}
CODES = {"label_diagnoses"}
SCORED = {"score_severity", "fit_score"}


def stay_jobs(rules, tables, **more):
    made = {"make_hospital", "select_episodes", "train_unimed", "evaluate_model"}
    return dict.fromkeys([*rules, *made], 1) | {"extract_table": tables} | more


EN = jobs(EHR | STATISTICS | NOTE | SELECTED, 12) | MARKED
PLANS = {
    "ecn_early_mortality": ALL | {"fuse_early": 1},
    "ecn_joint_longstay": ALL | {"fuse_jointly": 1},  # the singles that it is compared with, too
    "ecn_late-averaged_mortality": ALL | {"fuse_jointly": 1},
    "ecn_late_readmission": ALL | {"fuse_late": 1},
    # no film is decoded; who has one is counted, and who has a report
    "en_early_mortality": EN | {"fuse_early": 1},
    "en_gbdt_mortality": EN | {"fit_baseline": 1},
    "e_unimodal_mortality": jobs(EHR | STATISTICS | COUNTED, 12) | MARKED,
    "e_logistic-stats_mortality": jobs(EHR | STATISTICS | COUNTED, 12) | MARKED,
    "e_sofa_mortality": jobs(EHR | COUNTED | SCORED, 12) | MARKED,
    "e_oasis_mortality": jobs(EHR | COUNTED | SCORED, 13) | MARKED,
    "e_sofa_shock_4h": {"make_hospital": 1, "extract_table": 12, "label_task": 1}
    | dict.fromkeys({"select_episodes", "evaluate_model"} | EHR | COUNTED | SCORED, 1),
    # chartevents: code status
    "c_unimodal_mortality": jobs(CXR | COUNTED, 6, decode_films=10) | MARKED,
    "c_unimodal_longstay": jobs(CXR | COUNTED, 5, decode_films=10) | MARKED,
    "ecn_unimed_all": stay_jobs(FIDDLE | BERT | FILMS | CODES, 15, label_task=3, decode_films=10)
    | MARKED
    | {"select_events": 1, "describe_events": 3, "fit_statistics": 3},
    # as of ICU stays: no single model of other encoders
    "en_unimed_mortality": stay_jobs(FIDDLE | BERT | SELECTED | BESIDE, 13, label_task=1) | MARKED,
    "en_unimed-gru_shock_4h": stay_jobs(FIDDLE | BERT | SELECTED | BESIDE, 13, label_task=1),
    "c_unimed-teacher-forced_all": stay_jobs(
        FILMS | REPORTS | CODES, 11, label_task=3, decode_films=10
    )
    | MARKED,
    "en_unimed-teacher-forced_arf_12h": stay_jobs(
        FIDDLE | BERT | SELECTED | BESIDE, 13, label_task=2, describe_events=2
    ),
    "e_unimed_diagnoses_48h": stay_jobs(FIDDLE | SELECTED | REPORTS | CODES | DESCRIBED, 15),
    "published/c_unimodal_mortality": jobs(
        PRESENT | {"count_films", "pretrain_cxr", "embed_cxr"},
        6,
        "evaluate_published",
        decode_films=10,
    ),
    "published/en_joint_readmission": jobs(
        PRESENT | NOTE | {"tokenise_published", "pretrain_ehr", "embed_ehr", "fuse_jointly"},
        11,
        "evaluate_published",
    ),
}


@pytest.mark.parametrize("target", PLANS)
def test_a_target_plans_the_jobs_of_its_modalities(fresh, target):
    assert fresh.plan(f"results/{target}.json").planned == PLANS[target]


def test_other_encoders_of_films_and_reports_plan_what_they_read_alone(tmp_path):
    """A frozen network embeds films; a user's embeddings are matched, and no film is decoded."""
    for name in ("weights.safetensors", "films.parquet", "reports.parquet"):
        (tmp_path / name).write_text(name)
    own = Checkout.fresh(tmp_path / "own", {
        "encoders.c": "backbone", "encoders.n": "precomputed",
        "cxr.backbone.weights": f"{tmp_path}/weights.safetensors",
        "cxr.backbone.trained": "frozen",
        "cxr.precomputed": f"{tmp_path}/films.parquet",
        "note.precomputed": f"{tmp_path}/reports.parquet",
    })  # fmt: skip
    planned = own.plan("results/cn_early_mortality.json").planned
    assert {"embed_films": 1, "decode_films": 10, "match_note_embeddings": 1}.items() <= (
        planned.items()
    )
    assert planned.keys().isdisjoint({"train_doc2vec", "infer_vectors", "match_cxr_embeddings"})
    own.configure({"encoders.c": "precomputed"})
    planned = own.plan("results/cn_early_mortality.json").planned
    assert {"match_cxr_embeddings", "match_note_embeddings"} <= planned.keys()
    assert planned.keys().isdisjoint({"decode_films", "count_films", "embed_films"})


def test_a_users_files_are_named_without_their_folders_and_told_with_their_counts(tmp_path):
    (tmp_path / "vit").mkdir()
    cxr = CONFIG["cxr"] | {
        "precomputed": f"{tmp_path}/films.parquet", "pretrained": f"{tmp_path}/w.safetensors",
        "backbone": {"model": f"{tmp_path}/vit", "weights": None, "trained": "frozen"},
    }  # fmt: skip
    encoders = CONFIG["encoders"] | {"c": "precomputed"}
    config = CONFIG | {"cxr": cxr, "encoders": encoders}
    text = targets.settings_of(config, "corrected", "ec", "early", "admission")
    assert str(tmp_path) not in text
    said = json.loads(text)["cxr"]
    assert (said["precomputed"], said["backbone"]["model"]) == ("films.parquet", "vit")
    target = SimpleNamespace(modalities="ec", model="early", task="mortality")
    told = ResultWiring(config).external("corrected")(target)
    counts = "results/corrected/admission/cxr/precomputed.json"
    assert json.loads(told) == {"cxr": {"files": [f"{tmp_path}/films.parquet"], "counts": counts}}
    files = ResultWiring(config).external_files("corrected")(target)
    assert files == [f"{tmp_path}/films.parquet", counts]


def test_every_registered_model_plans_a_result_of_every_unit(fresh):
    """A model needs its entry and its module alone: a rule fits it, and one evaluates it."""
    names = {"corrected": ["mortality", "shock_4h"], "published": ["mortality"]}
    for protocol, tasks in names.items():
        folder = {"corrected": "results", "published": "results/published"}[protocol]
        made = [
            f"{folder}/{next(filter(model.takes, ('e', 'ecn')))}_{name}_{task}.json"
            for name, model in registry.models(CONFIG, protocol).items()
            if registry.enough_seeds(CONFIG, model)
            for task in tasks
        ]
        planned = fresh.plan(*made).planned
        ending = {"corrected": "model", "published": "published"}[protocol]
        assert planned[f"evaluate_{ending}"] == len(made)


def test_a_cohort_of_patients_with_any_film_needs_the_films_metadata(tmp_path, real):
    planned = Checkout.fresh(tmp_path / "own", {"cohort.films": "any"}).plan(
        "results/corrected/admission/episodes.parquet", "results/corrected/stay/episodes.parquet"
    )
    assert planned.planned["extract_table"] == 5
    checkout, root = real
    shutil.rmtree(root / "mimic-cxr-jpg")
    checkout.configure({"cohort.films": "any"})
    refused = checkout.plan("results/e_unimodal_mortality.json")
    assert refused.status == 1
    assert "missing table cxr_metadata (for c, film list, any film)" in refused.text
    assert "no films here" not in refused.text


def grid_jobs(config):
    """Rule → number of jobs of `tables`, from what the config asks for."""
    tasks, letters = len(config["tasks"]), len(config["modalities"])
    sets = 2**letters - 1
    fused = sets - letters  # sets of two letters or more
    each = 2 * tasks  # once per protocol and task
    scores = sum(model.features == "scores" for model in registry.MODELS.values())
    encoders = [f"{what}_{name}" for what in ("pretrain", "embed")
                for name in config["modalities"].values()]  # fmt: skip
    once = ["make_hospital", "clean_notes", "fit_bins", "select_events", "tokenise_events",
            "describe_events", "tokenise_published", "write_wang", "tables"]  # fmt: skip
    twice = ["select_episodes", "select_films", "count_films", "select_notes", "train_doc2vec",
             "infer_vectors"]  # fmt: skip
    return dict.fromkeys(once, 1) | dict.fromkeys(twice, 2) | dict.fromkeys(encoders, each) | {
        "extract_table": 14, "decode_films": 2 * 10, "label_task": each, "compare_models": each,
        "fuse_early": 3 * tasks * fused, "fuse_late": each * fused,
        "fuse_jointly": 5 * tasks * fused,
        "mark_left_out": tasks, "attribute_modalities": tasks * (6 + 4),
        "fit_statistics": tasks,
        "fit_baseline": 2 * tasks * sets, "score_severity": scores, "fit_score": scores * tasks,
        "evaluate_model": tasks * (letters + 6 * fused + 2 * sets + 2 + scores),
        "evaluate_published": tasks * (letters + 4 * fused),
    }  # fmt: skip


def test_tables_plan_every_model_of_every_set_and_task_under_both_protocols(fresh):
    assert fresh.plan("tables").planned == grid_jobs(CONFIG)


def test_fewer_tasks_are_a_smaller_grid(tmp_path):
    checkout = Checkout.fresh(tmp_path, {"tasks": ["longstay"]})
    assert checkout.plan("tables").planned == grid_jobs(CONFIG | {"tasks": ["longstay"]})


def test_folds_share_the_source_and_the_clean_notes(tmp_path):
    planned = Checkout.fresh(tmp_path, {"folds": 3}).plan("results/en_early_mortality.json").planned
    whole = {"make_hospital", "extract_table", "clean_notes", "mark_left_out", "evaluate_model"}
    whole |= {"select_films"}  # to be counted
    expected = PLANS["en_early_mortality"]
    assert planned == {rule: n if rule in whole else 3 * n for rule, n in expected.items()}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (
            "nce_early_mortality",
            "no modality set 'nce'; did you mean results/ecn_early_mortality.json?",
        ),
        ("ee_early_mortality", "no modality set 'ee'"),
        ("x_unimodal_mortality", "no modality set 'x'"),
        ("e_early_mortality", "no model 'early' of the modalities 'e'"),
        ("en_unimodal_mortality", "no model 'unimodal' of the modalities 'en'"),
        ("c_gbdt-stats_mortality", "no model 'gbdt-stats' of the modalities 'c'"),
        ("ecn_logistic-stats_mortality", "no model 'logistic-stats' of the modalities 'ecn'"),
        ("n_sofa_mortality", "no model 'sofa' of the modalities 'n'"),
        ("ecn_clever_mortality", "no model 'clever'"),
        (
            "ecm_erly_mortalty",
            "no modality set 'ecm'; did you mean results/ecn_early_mortality.json?",
        ),
        (
            "ecn_late_averaged_mortality",
            "no task 'averaged_mortality' in the corrected protocol; did "
            "you mean results/ecn_late-averaged_mortality.json?",
        ),
        (
            "ecn_unimd_all",
            "no model 'unimd' of the modalities 'ecn'; did you mean results/ecn_unimed_a",
        ),
        ("ecn_early_death", "no task 'death' in the corrected protocol\n"),
        ("ecn_early_diagnoses_48h", "'diagnoses_48h' has many labels"),
        (
            "ECN_early_mortality",
            "no modality set 'ECN'; did you mean results/ecn_early_mortality.json?",
        ),
        (
            "ecn_EARLY_mortality",
            "no model 'EARLY' of the modalities 'ecn'; did you mean results/ecn_early_",
        ),
        ("ecn_early_shock", "no task 'shock' in the corrected protocol: its hours are missing"),
        ("ecn_early_shock_0h", "no task 'shock_0h' in the corrected protocol: its hours must be 1"),
        ("ecn_early_shock_49h", "no task 'shock_49h' in the corrected protocol: its hours must be"),
        (
            "ecn_early_shock_04h",
            "no task 'shock_04h' in the corrected protocol; did you mean results/ecn_early_shock",
        ),
        (
            "ecn_early_mortality_48",
            "no task 'mortality_48' in the corrected protocol; did you mean results/ecn_early_mo",
        ),
        (
            "ecn_early_mortalty",
            "no task 'mortalty' in the corrected protocol; did you mean results/ecn_early_mort",
        ),
        ("en_unimed-clever_all", "no model 'unimed-clever'"),
        ("en_early_all", "'all' is several tasks"),
        (
            "en_early-ensemble_mortality",
            "a mean over training seeds, of which config.seeds has 1: give it 2 or more",
        ),
    ],
)
def test_impossible_targets_are_refused_with_the_table_of_targets(target, why):
    message = refusals.refusal(CONFIG, *target.split("_", 2))
    assert message.startswith(f"{target}: {why}")
    assert "results/{modalities}_{model}_{task}.json" in message
    kinds = ("unimodal: one letter", "late-averaged: two letters", "stats, sofa, oasis: e")
    for line in ("letters of ecn", "mortality_<hours>h", "diagnoses_<hours>h (unimed)", *kinds):
        assert line in message
    for name in registry.models(CONFIG):
        assert re.search(rf"\n  (.*, )?{name}[,:]", message)


@pytest.mark.parametrize(
    "target", ["ecn_gbdt_mortality", "e_logistic-stats_mortality", "en_unimed_all"]
)
def test_the_published_protocol_has_no_baselines(target):
    assert refusals.refusal(CONFIG, *target.split("_", 2)) is None
    message = refusals.refusal(CONFIG, *target.split("_", 2), "published")
    assert "no model" in message
    assert "late-averaged: " in message and "unimed-gru" not in message and "stats: " not in message


@pytest.mark.parametrize(
    "target", ["nce_early_mortality", "ecn_early_diagnoses_48h", "published/e_gbdt_mortality"]
)
def test_a_refusal_is_one_message_without_traceback(fresh, target):
    refused = fresh.plan(f"results/{target}.json")
    assert refused.status == 1
    assert refused.text.count(f"{target.removeprefix('published/')}: ") == 1
    assert "Traceback" not in refused.text
    assert "Exception" not in refused.text


def test_names_of_items_are_needed_of_a_task_whose_query_has_any():
    needed = {
        task: targets.needs(CONFIG, "c", "unimodal", "corrected", task)
        for task in ("shock_4h", "mortality_48h")
    }
    assert "d_items" in needed["shock_4h"] and "d_items" not in needed["mortality_48h"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/tables/zhao.md", ["results/tables/unimed.md", "{modalities}_{model}_{task}"]),
        ("results/tables/Wang.md", ["did you mean results/tables/wang.md?"]),
        ("results/ecn_early_mortality.jsn", ["did you mean results/ecn_early_mortality.json?"]),
        ("ecn_early_mortality", ["did you mean results/ecn_early_mortality.json?"]),
        (
            "results/published/ecn_early_mortalty",
            ["did you mean results/published/ecn_early_mortality.json?", "results/published/{"],
        ),
        (
            "ecn-early-mortality",
            ["did you mean results/ecn_early_mortality.json?", "task: longstay"],
        ),
        ("result/ecn_early_mortality.json", ["did you mean results/ecn_early_mortality.json?"]),
        ("table", ["did you mean tables?", "task: longstay"]),
        ("report.html", ["`make report` writes it"]),
    ],
)
def test_what_no_rule_makes_is_refused_with_what_there_is(target, words):
    pages = [f"results/tables/{name}.md" for name in ("both", "unimed", "wang")]
    message = refusals.unmade(CONFIG, target, [*pages, "tables", "all"])
    for word in words:
        assert word in message, message


def test_any_target_that_no_rule_makes_is_refused_in_one_message(fresh):
    refused = fresh.plan("results/tables/Wang.md")
    assert refused.status == 1
    assert "no rule makes results/tables/Wang.md; did you mean results/tables/wang.md?" in (
        refused.text
    )
    assert "Exception" not in refused.text and "Traceback" not in refused.text
    assert "label_task" in fresh.plan("./results/ecn_early_mortality.json").text


def test_a_mistake_that_a_rules_function_finds_is_one_line(fresh):
    refused = fresh.plan("results/corrected/admission/labels/nonsense.parquet")
    assert refused.status == 1
    assert "unknown task nonsense; expected of admissions one of longstay" in refused.text
    assert "Exception" not in refused.text and "Traceback" not in refused.text


def test_jobs_are_tried_again_by_snakemake_alone_where_it_counts_their_memory(tmp_path):
    checkout = Checkout.fresh(tmp_path / "checkout")
    with (checkout / "workflow/Snakefile").open("a") as snakefile:
        snakefile.write("\nprint('tries:', os.environ['PIPELINE_TRIES'])\n")
    for counted, tries in ((("--resources", "mem_mb=8000"), 1), ((), 2)):
        outcome = checkout.snakemake(
            "--dry-run", *counted, "--", "results/e_unimodal_mortality.json"
        )
        assert f"tries: {tries}\n" in outcome.text


@pytest.fixture
def real(tmp_path):
    """A checkout whose source is a folder of tables that hold their header alone."""
    root = tmp_path / "data"
    hospital(root)
    return Checkout.fresh(tmp_path / "checkout", {"source.root": str(root)}), root


def test_a_real_source_plans_with_its_own_settings_and_is_warned_of_the_hospital_s(real):
    checkout, root = real
    stay_tables(root)
    chexpert = root / "mimic-cxr-jpg/2.1.0/mimic-cxr-2.0.0-chexpert.csv.gz"
    put(chexpert, header_of("chexpert") + "\n")
    target = "results/ecn_early_mortality.json"
    toys = checkout.plan(target).text
    warned = "a real source under settings of the synthetic hospital: cxr.pixels: 64 (224 as"
    for named in (warned, "cxr.pretrained: null", "note.bert.model: null", "unimed.model.width",
                  "schedule.steps", "--configfile config/mimic.yaml"):  # fmt: skip
        assert toys.count(named) == (2 if named == "schedule.steps" else 1), named
    lacking = checkout.snakemake("--dry-run", "--configfile", "config/mimic.yaml", "--", target)
    assert lacking.status == 1 and "`make weights`" in lacking.text
    bert, films = "emilyalsentzer/Bio_ClinicalBERT@main", "resnet18@IMAGENET1K_V1"
    assert bert in lacking.text and films in lacking.text
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        put(checkout / "weights" / bert / name, "{}")
    file = "resnet18-IMAGENET1K_V1.safetensors"
    put(checkout / "weights/torchvision" / films / file, "{}")
    named = ["results/en_unimed_all.json", "results/published/c_unimodal_mortality.json"]
    outcome = checkout.snakemake(
        *("--dry-run", "--quiet", "rules", "reason", "host", "--configfile", "config/mimic.yaml"),
        *("--", target, *named),
    )  # fmt: skip
    assert {"pretrain_cxr": 2, "embed_reports": 2, "train_unimed": 1}.items() <= (
        outcome.planned.items()
    )
    assert "settings of the synthetic hospital" not in outcome.text


def test_the_synthetic_hospital_is_warned_of_nothing(fresh):
    assert "settings of the synthetic" not in fresh.plan("results/e_unimodal_mortality.json").text


def test_everything_that_a_real_source_lacks_is_listed_at_once(real):
    checkout, root = real
    (root / "mimiciv/3.1/hosp/labevents.csv.gz").unlink()
    (root / "mimic-iv-note/2.2/note/radiology.csv.gz").unlink()
    put(root / "mimiciv/3.1/hosp/admissions.csv.gz", header_of("admissions", race="z") + "\n")
    shutil.rmtree(root / "mimic-cxr-jpg")
    refused = checkout.plan("results/ecn_early_mortality.json")
    assert refused.status == 1
    assert "Traceback" not in refused.text
    for lacking in (
        "mimiciv/3.1/hosp/labevents.csv.gz: missing table labevents",
        "mimic-iv-note/2.2/note/radiology.csv.gz: missing table radiology",
        "mimiciv/3.1/hosp/admissions.csv.gz: column race or ethnicity of admissions",
        "mimic-cxr-jpg/2.1.0: no MIMIC-CXR-JPG here",
    ):
        assert f"{root}/{lacking}" in refused.text
    # what needs neither laboratory, note nor film could run
    assert checkout.plan("results/source/patients.parquet").planned == {"extract_table": 1}


def test_a_target_without_films_needs_none_in_a_real_source(real):
    checkout, root = real
    shutil.rmtree(root / "mimic-cxr-jpg")
    unasked = ("make_hospital", "select_films")  # nobody can be counted
    expected = {rule: n for rule, n in PLANS["en_early_mortality"].items() if rule not in unasked}
    expected["extract_table"] -= 1
    assert checkout.plan("results/en_early_mortality.json").planned == expected


def test_a_score_is_refused_by_the_name_of_the_table_that_the_source_lacks(real):
    checkout, root = real
    stay_tables(root)
    assert checkout.plan("results/e_sofa_mortality_48h.json").planned["fit_score"] == 1
    for task in ("mortality", "mortality_48h"):
        refused = checkout.plan(f"results/e_oasis_{task}.json")
        assert refused.status == 1
        assert f"{root}/mimiciv/3.1/hosp/services.csv.gz: missing table services" in refused.text
        assert refused.text.count("missing table") == 1


def test_microbiology_is_needed_by_the_record_of_stays_alone(real):
    checkout, root = real
    stay_tables(root)
    table = root / "mimiciv/3.1/hosp/microbiologyevents.csv.gz"
    table.unlink()
    assert checkout.plan("results/c_unimed_all.json").planned["train_unimed"] == 1
    refused = checkout.plan("results/e_unimed_all.json")
    assert refused.status == 1
    assert f"{table}: missing table microbiologyevents (for fiddle)" in refused.text
    assert refused.text.count("missing table") == 1


def stay_tables(root):
    """Beside `hospital`: what UniMed reads more."""
    for name in {"diagnoses_icd", "d_icd_diagnoses", *tables_for(("e", "fiddle", "stay"))} - set(
        tables_for("ecn")
    ):
        put(root / f"mimiciv/3.1/hosp/{TABLES[name].file}.csv.gz", header_of(name) + "\n")


def test_a_bert_of_ones_own_is_named_without_its_folder_and_a_hub_name_in_full(tmp_path):
    (tmp_path / "own-bert").mkdir()
    hub = "emilyalsentzer/Bio_ClinicalBERT"
    for model, said in ((f"{tmp_path}/own-bert", "own-bert"), (hub, hub), (None, None)):
        bert = CONFIG["note"]["bert"] | {"model": model}
        config = CONFIG | {"note": CONFIG["note"] | {"bert": bert}}
        text = targets.settings_of(config, "corrected", "en", "unimed", "stay")
        assert json.loads(text)["note"]["bert"]["model"] == said
        assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("settings", "target"),
    [({}, "published/e_unimodal_mortality"), ({"missing": "complete"}, "e_unimodal_mortality")],
    ids=["published", "complete"],
)
def test_complete_cases_need_every_modality_of_a_real_source(real, settings, target):
    checkout, root = real
    checkout.configure(settings)
    shutil.rmtree(root / "mimic-cxr-jpg")
    refused = checkout.plan(f"results/{target}.json")
    assert refused.status == 1
    assert f"{root}/mimic-cxr-jpg/2.1.0: no MIMIC-CXR-JPG here" in refused.text
    assert ("missing table chexpert (for published)" in refused.text) == ("published" in target)
    assert "Exception" not in refused.text and "Traceback" not in refused.text


def test_the_published_film_encoder_of_a_real_source_needs_224_pixels_and_imagenet(real, tmp_path):
    checkout, _ = real
    target = "results/published/ec_early_mortality.json"
    refused = checkout.plan(target)
    assert refused.status == 1
    assert "needs cxr.pixels: 224 (it is 64), cxr.pretrained: a file (it is null)" in refused.text
    assert "Exception" not in refused.text and "Traceback" not in refused.text
    (tmp_path / "resnet18.safetensors").touch()
    checkout.configure({"cxr.pixels": 224, "cxr.pretrained": f"{tmp_path}/resnet18.safetensors"})
    assert "published protocol needs" not in checkout.plan(target).text


def test_too_little_disk_is_refused_before_anything_starts(real):
    checkout, root = real
    gz = root / "mimiciv/3.1/hosp/labevents.csv.gz"
    gz.rename(root / "other.gz")
    table = gz.with_suffix("")
    table.write_text(header(root / "other.gz"))
    if shutil.disk_usage(root).free > 10**12:
        pytest.skip("this disk is too large to be filled by a sparse file")
    try:
        os.truncate(table, 10**13)  # sparse: takes no disk
    except OSError as error:
        pytest.skip(f"no sparse file of 10 TB here: {error}")
    refused = checkout.plan("results/e_unimodal_mortality.json")
    assert refused.status == 1
    assert re.search(r"results: about \S+ GB of disk are needed, \S+ GB are free", refused.text)


def header(path):
    return gzip.decompress(path.read_bytes()).decode()


def rules():
    """(name, text) of every rule that makes something; rules of a loop have their name within."""
    blocks = []
    for text in RULES.values():
        heads = list(re.finditer(r"^( *)rule ?(\w*):\n", text, re.M))
        for head in heads:
            body = re.match(rf"(?:(?:{head[1]} +.*)?\n)+", text[head.end() :])[0]
            name = head[2] or re.search(r"name:\n +f?\"([^\"]+)\"", body)[1]
            blocks += [(name, body)] * ("output:" in body)
    assert len(blocks) >= 25
    return blocks


@pytest.mark.parametrize(("name", "text"), rules(), ids=[name for name, _ in rules()])
def test_a_rule_depends_on_the_code_that_it_runs(name, text):
    run = set(re.findall(r"(?:python -m|{params.launch}) (pipeline[\w.]+)", text))
    if "python -m {params.module}" in text:
        run |= set(re.findall(r'module="(pipeline[\w.]+)"', text))
    assert run
    code = re.search(r"code=[\w.]+\((.*?)\)", text, re.S)[1]
    assert run == set(re.findall(r"\"(pipeline[\w.]+)(?:{name})?\"", code))
    assert re.search(r"^ +log:\n +f?\"logs/" + re.escape(name) + r"[./]", text, re.M)
    assert "{log:q}" in text
    assert "conda:" in text
    for module in run - {"pipeline.report."}:  # a module per page: read, no tables of patients
        source = (REPOSITORY / module.replace(".", "/")).with_suffix(".py").read_text()
        if "add_resource_arguments(" in source:
            for argument in ("--threads {threads}", "--memory-mb {resources.mem_mb}"):
                assert argument in text


TARGETS = ["ecn_early_mortality", "published/ecn_early_mortality", "ecn_unimed_all"]
CHOSEN = {  # by the rule of a job: the query → the jobs that depend on it
    "cohort/units/admission.sql": {"select_episodes/corrected/admission"},
    "cohort/units/published.sql": {"select_episodes/published/admission"},
    "cohort/units/stay.sql": {"select_episodes/corrected/stay"},
    "cxr/films.sql": {"select_films/corrected/admission", "select_films/corrected/stay"},
    "cxr/films_published.sql": {"select_films/published/admission"},
    "note/notes.sql": {"select_notes/corrected/admission", "select_notes/corrected/stay"},
    "note/notes_published.sql": {"select_notes/published/admission"},
    "cohort/tasks/admission/mortality.sql": {"label_task/corrected/admission/mortality"},
    "cohort/tasks/published/mortality.sql": {"label_task/published/admission/mortality"},
    "cohort/tasks/stay/shock.sql": {"label_task/corrected/stay/shock_4h"},
    "cohort/tasks/stay/diagnoses.sql": {"label_diagnoses/corrected/stay/diagnoses_48h"},
    "cohort/tasks/stay/without/mortality.sql": {"mark_left_out/corrected/stay/mortality_48h"},
}


def test_a_query_is_an_input_of_the_jobs_that_read_it_alone(fresh):
    targets = [f"results/{target}.json" for target in TARGETS]
    text = fresh.snakemake("--dry-run", "--", *targets).text
    jobs_of = {}
    for files, log in re.findall(
        r"^    input: (.*)\n(?:    .*\n)*?    log: logs/(.*)\.log$", text, re.M
    ):
        for file in files.split(", "):
            jobs_of.setdefault(file.removeprefix("pipeline/"), set()).add(log)
    assert {query: jobs_of[query] for query in CHOSEN} == CHOSEN
    rooms = [REPOSITORY / "pipeline" / room for room in ("cohort", "ehr", "cxr", "note", "fiddle",
                                                         "stage")]  # fmt: skip
    known = {
        path.relative_to(REPOSITORY / "pipeline").as_posix()
        for room in rooms for path in room.rglob("*.*") if path.suffix in (".sql", ".csv")
    }  # fmt: skip
    # of no target here
    others = r"cohort/tasks/(admission|published)/(without/)?(longstay|readmission)\.sql"
    others += r"|cohort/tasks/admission/((without/)?mortality30|readmission_unplanned)\.sql"
    others += r"|cohort/tasks/stay/(arf_bipap|icumortality|shock_sustained)\.sql"
    others += r"|cohort/views/(hospitalisations|returns)\.sql|ehr/scores(_sofa|_oasis)?\.sql"
    assert {file for file in known - set(jobs_of) if not re.fullmatch(others, file)} == set()


@pytest.mark.parametrize(
    ("model", "task", "hours"),
    [
        ("early", "mortality", None), ("early", "shock_12h", 12), ("unimed", "all", 48),
        ("unimed", "admission", None), ("unimed-first-4h", "admission", 4),
        ("unimed-first-4h", "all", 4),
    ],
)  # fmt: skip
def test_data_of_a_training_end_at_the_last_horizon_that_its_model_sees(model, task, hours):
    """Films from after it would move BatchNorm's statistics."""
    job = SimpleNamespace(modalities="ecn", protocol="corrected", model=model, task=task)
    settings = json.loads(ResultWiring(CONFIG).encoder_data()(job))
    assert {one["before"] for one in settings.values()} == {hours}


@pytest.mark.parametrize("encoder", ["tokens", "grid", "fiddle"])
@pytest.mark.parametrize(
    ("model", "task", "hours"),
    [
        ("early", "mortality", [48]), ("early", "shock_12h", [12]), ("unimed", "all", [4, 12, 48]),
        ("unimed", "admission", [48]), ("unimed-first-4h", "all", [4]),
        ("unimed-teacher-forced", "arf_12h", [4, 12]),
    ],
)  # fmt: skip
def test_statistics_beside_an_encoder_are_those_of_every_horizon(encoder, model, task, hours):
    chosen = {"encoders": CONFIG["encoders"] | {"e": encoder},
              "ehr": CONFIG["ehr"] | {"statistics": True}}  # fmt: skip
    unimed = CONFIG["unimed"] | {"encoders": CONFIG["unimed"]["encoders"] | {"e": encoder}}
    wiring = ResultWiring(CONFIG | chosen | {"unimed": unimed})
    job = SimpleNamespace(modalities="en", protocol="corrected", model=model, task=task)
    told = json.loads(wiring.encoder_data()(job))["ehr"]
    folder = f"results/corrected/{wiring.unit(job)}/ehr/statistics"
    assert told["statistics"] == {str(h): f"{folder}/{h}h.parquet" for h in hours}
    assert set(told["statistics"].values()) < set(wiring.encoder_files()(job))
    if encoder == "grid":
        assert GridSettings.model_validate_json(told["grid"]).dump() == CONFIG["ehr"]["grid"]
    published = SimpleNamespace(**vars(job) | {"protocol": "published", "task": "mortality"})
    assert "statistics" not in json.loads(wiring.encoder_data()(published))["ehr"]


@pytest.mark.parametrize("name", CONFIG["modalities"].values())
def test_a_training_depends_on_the_code_of_its_modalities(name):
    wiring = ResultWiring(CONFIG)
    letter = next(x for x, own in CONFIG["modalities"].items() if own == name)
    job = SimpleNamespace(modalities=letter, protocol="corrected", model="joint")
    files = wiring.encoder_modules("pipeline.fusion.joint")(job)
    encoder = f"pipeline/{name}/encoder_{CONFIG['encoders'][letter]}.py"
    assert {encoder, "pipeline/training/items.py"} <= set(files)
    others = {own for own in CONFIG["modalities"].values() if own != name}
    assert not [file for file in files if file.split("/")[1] in others]


TRAINED = {  # modalities and model of a target → the trainings behind it
    ("e", "unimodal"): ["ehr"],
    ("ecn", "early"): ["ehr", "cxr", "note"],
    ("en", "logistic"): ["ehr", "note"],
    ("ec", "joint"): ["ec_joint"],
    ("en", "unimed-gru"): ["en_unimed-gru"],
    ("e", "gbdt-stats"): [],
}


@pytest.mark.parametrize(("letters", "model"), TRAINED)
def test_a_result_reads_how_the_trainings_behind_it_ended_in_every_fold(letters, model):
    wiring = ResultWiring(CONFIG | {"folds": 2})
    job = SimpleNamespace(modalities=letters, model=model, task="mortality")
    assert wiring.histories("corrected")(job) == [
        f"results/{fold}/admission/models/mortality/{part}/history.json"
        for part in TRAINED[letters, model]
        for fold in ("corrected", "corrected/fold1")
    ]


def test_only_a_published_training_depends_on_the_papers_catalogue():
    wiring, paper = ResultWiring(CONFIG), "pipeline/ehr/signals_published.csv"
    for protocol in ("corrected", "published"):
        job = SimpleNamespace(modalities="e", protocol=protocol, model="early")
        files = wiring.encoder_modules("pipeline.training.pretrain", "e")(job)
        assert (paper in files) == (protocol == "published")
        assert files == sorted(set(files))


def test_who_has_which_modality_is_the_same_for_every_target():
    wiring = ResultWiring(CONFIG, {"n": "no reports"})
    told = json.loads(
        wiring.presence("corrected")(SimpleNamespace(modalities="e", task="mortality"))
    )
    folder = "results/corrected/admission"
    assert told["e"] == {"table": f"{folder}/episodes.parquet", "by": "assumed"}
    assert told["c"] == {"table": f"{folder}/cxr/films.parquet", "by": "selected"}
    assert told["n"] == {"reason": "no reports"}
    for letters in ("c", "ec", "ecn"):
        job = SimpleNamespace(modalities=letters, task="mortality")
        assert json.loads(wiring.presence("corrected")(job)) == told
    job = SimpleNamespace(
        protocol="corrected", task="mortality"
    )  # of several targets: no letters of one
    assert json.loads(wiring.presence()(job)) == told
    assert wiring.present()(job) == [told[letter]["table"] for letter in "ec"]
    of_stays = json.loads(
        wiring.presence("corrected")(SimpleNamespace(modalities="e", task="shock_4h"))
    )
    assert of_stays["c"]["table"] == "results/corrected/stay/cxr/films.parquet"


def test_a_source_without_films_and_reports_gives_results_of_the_ehr(tmp_path):
    own = tmp_path / "mimic"
    hospital(own)
    shutil.rmtree(own / "mimic-cxr-jpg")
    shutil.rmtree(own / "mimic-iv-note")
    checkout = Checkout.fresh(tmp_path / "checkout", {"source.root": str(own)})
    planned = checkout.plan("results/e_unimodal_mortality.json")
    assert planned.status == 0, planned.text
    assert {"evaluate_model": 1, "extract_table": 10}.items() <= planned.planned.items()
    assert not planned.planned.keys() & COUNTED


def test_rules_are_plain():
    for name, text in RULES.items():
        assert len(text.splitlines()) <= 200, name
        if name != "common.smk":
            assert not re.search(r"^\s*def ", text, re.M), name
        for slow_or_unsafe in (r"^\s*run:", r"^\s*checkpoint ", r"^\s*cache:", r"\bupdate\("):
            assert not re.search(slow_or_unsafe, text, re.M), name
        assert "input[0]" not in text, name


@pytest.mark.parametrize("protocol", ["corrected", "published", "corrected/fold1"])
def test_settings_reach_rules_in_one_form_whatever_their_order(protocol):
    turned = json.loads(json.dumps(CONFIG, sort_keys=True))
    assert list(turned) != list(CONFIG)
    job = SimpleNamespace(protocol=protocol, modalities="ecn", model="joint", task="mortality")
    for keys in (("cohort",), ("split",), ("modality_dropout",), ("note", "doc2vec")):
        given, other = (ResultWiring(config).setting(*keys)(job) for config in (CONFIG, turned))
        assert given == other
    for ask in ("schedule", "known_from"):
        own = ["labs"] if ask == "known_from" else []
        given, other = (getattr(ResultWiring(c), ask)(*own)(job) for c in (CONFIG, turned))
        assert given == other


def test_a_job_keeps_to_its_threads_and_a_fixed_hash_seed(tmp_path):
    checkout = Checkout.fresh(tmp_path / "checkout")
    failed = checkout.snakemake("results/hospital/hospital.json", broken="pipeline.hospital.make")
    told = dict(line.strip().split("=", 1) for line in failed.text.splitlines() if "=" in line)
    assert told["POLARS_MAX_THREADS"] == told["OMP_NUM_THREADS"] == "1"
    assert told["PYTHONHASHSEED"] == "0"


def test_data_sets_beside_the_synthetic_hospital_are_refused_and_never_written(tmp_path):
    """Once, rules that make the hospital named the user's own files: Snakemake deletes outputs."""
    own = tmp_path / "mimic"
    hospital(own)
    kept = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    checkout = Checkout.fresh(tmp_path / "checkout", {"source.mimic_iv": str(own / "mimiciv/3.1")})
    refused = checkout.snakemake("results/source/patients.parquet")
    assert refused.status == 1
    assert "config.source: root is synthetic, yet mimic_iv is set" in refused.text
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == kept


def test_data_sets_on_disks_of_their_own_need_no_root(real):
    checkout, root = real
    checkout.configure({"source.root": None, "source.mimic_iv": str(root / "mimiciv/3.1")})
    planned = checkout.plan("results/e_unimodal_mortality.json").planned
    # but for films and reports, which would be counted
    assert planned["extract_table"] == PLANS["e_unimodal_mortality"]["extract_table"] - 2


@pytest.mark.parametrize("own", [False, True], ids=["synthetic", "own files"])
def test_every_output_lies_in_results(fresh, tmp_path, own):
    checkout = fresh
    if own:
        root = tmp_path / "data"
        hospital(root)
        checkout = Checkout.fresh(tmp_path / "checkout", {"source.root": str(root)})
    text = checkout.snakemake("--dry-run", "results/ecn_early_mortality.json").text
    outputs = [
        path for line in re.findall(r"^ +output: (.*)$", text, re.M) for path in line.split(", ")
    ]
    assert len(outputs) > 20
    assert [path for path in outputs if not path.startswith("results/")] == []
