"""A made-up result with its curves and numbers, for the kit: whole, hidden, or without figures."""

from copy import deepcopy

from explanations_at_hand import every, explanation

from pipeline.kit.inputs import Kit

LETTERS = {"e": "EHR", "c": "chest films", "n": "notes"}
ENCODERS = {"e": "tokens", "c": "resnet18", "n": "doc2vec"}
MODALITIES = {"e": "ehr", "c": "cxr", "n": "note"}
SPLITS = {"train": 0.45, "fusion": 0.22, "val": 0.08, "test": 0.25}
COLUMNS = ("overall", *SPLITS, "negative", "positive")
NONE = {"value": None, "low": None, "high": None}
REASON = "fewer than 10 positive or negative episodes"


def estimate(value, width=0.02, **more):
    return {"value": value, "low": round(value - width, 6), "high": round(value + width, 6), **more}


def metrics(n, reason=None):
    known = reason is None
    made = {"n": n, "patients": n * 3 // 4, "positives": n // 5, "prevalence": 0.2,
            "reason": reason, "discarded_resamples": 0}  # fmt: skip
    for name, value in (("auroc", 0.85), ("auprc", 0.6), ("brier", 0.1), ("log_loss", 0.3)):
        made[name] = {**(estimate(value) if known else NONE), "sd": None}
    return made


def result_of(target="ecn_early_mortality", kind="synthetic", reason=None, **more):
    modalities, model, task = target.split("_", 2)
    other = {"validation_auroc": 0.7, "test_auroc": 0.7, "p": 0.01, "p_holm": 0.02,
             "left_out": {"model": 0, "other": 0}}  # fmt: skip
    difference = estimate(0.15, seed_sd=None) if reason is None else {**NONE, "seed_sd": None}
    singles = {f"{letter}_unimodal_{task}": {**other, "model_minus_single": difference}
               for letter in modalities}  # fmt: skip
    rates = (0.0, 0.25, 0.5, 0.75, 1.0)
    missing = [{"modality": letter, "rate": rate, "auroc": estimate(round(0.85 - 0.1 * rate, 3)),
                "minus_complete": estimate(round(-0.1 * rate, 3), seed_sd=None)}
               for letter in modalities for rate in rates]  # fmt: skip
    part = {
        "metrics": {"train": metrics(900), "fusion": metrics(440), "val": metrics(160),
                    "test": metrics(500, reason)},
        "ceiling": {"population_auroc": 0.9, "oracle_auroc": estimate(0.9),
                    "oracle_minus_model": estimate(0.05, seed_sd=None),
                    "left_out": {"model": 0, "other": 0}} if kind == "synthetic" else None,
        "calibration": {"slope": estimate(1.02, 0.1) if reason is None else NONE,
                        "intercept": estimate(0.01, 0.1) if reason is None else NONE},
        "threshold": {"rule": "as many as are positive", "reason": reason, "by_run": []},
        "subgroups": None,
        "sensitivity": [{"left_out": "discharges to a hospice", "n": 480, "patients": 400,
                         "positives": 100, "prevalence": 0.2, "reason": reason,
                         "auroc": estimate(0.86) if reason is None else NONE}],
        "coverage": {"by": {}, "unknown": {}, "splits": {}},
        "complete": {"reason": "not known", "metrics": None, "ceiling": None},
        "comparisons": {"best_single": f"e_unimodal_{task}", "singles": singles, "baselines": {},
                        "beaten_by": [], "not_better_than": []},
        "missing": missing if reason is None and len(modalities) > 1 else None,
        "definition": {"query": "mortality.sql", "question": "who dies in this admission?",
                       "unit": "admission", "clock_zero": "admission to hospital", "hours": 48.0,
                       "items": [], "releases": {} if kind == "synthetic" else {"MIMIC-IV": "3.1"}},
        "attrition": [],
    }  # fmt: skip
    return {
        "schema_version": 3,
        "definitions_version": 4,
        "target": target,
        "modalities": modalities,
        "model": model,
        "task": task,
        "protocol": "corrected",
        "source": {"kind": kind, "releases": {}},
        "bootstrap": {
            "unit": "subject_id",
            "level": 0.95,
            "resamples": 1000,
            "seed": 0,
            "training_noise": False,
        },
        "seeds": [0],
        "folds": 1,
        "threads": 1,
        "settings": {
            "encoders": {x: v for x, v in ENCODERS.items() if x in modalities},
            "missing": "any",
            "split": {**SPLITS, "salt": "x"},
            "cohort": {"min_age": 18, "window_hours": 48, "icu_within_hours": "window"},
            "schedule": {"steps": 600, "patience": 4, "check": 40},
            "availability": {
                "enforced": True,
                **{key: ["storetime", "charttime"] for key in ("vitals", "labs", "notes")},
                "films": ["film_time"],
                "procedures": ["starttime"],
            },
            "class_weights": {},
            **{MODALITIES[letter]: {} for letter in modalities},
            "head_on": "fusion",
            "modality_dropout": 0.1,
        },
        "unreadable_films": {"needed": 800, "unreadable": 0},
        "external": {},
        "training": [
            {
                "part": "ehr",
                "fold": 0,
                "seed": 0,
                "precision": "fp32",
                "steps": 400,
                "best_step": 360,
                "stopped": "patience",
                "rising": False,
            }
        ],
        "environment": {
            "python": "3.11.7",
            "packages": {"torch": "2.15.0", "polars": "2.1.0"},
            "lock_sha256": "a" * 64,
            "code_sha256": "b" * 64,
            "modules": [],
        },
        "tasks": {task: part},
        "attention": None,
        "cohort": {"fingerprint": "c" * 64, "episodes": 2000, "patients": 1500, "looks_ahead": []},
        **more,
    }


def curves_of(result, reason=None):
    grid = [i / 20 for i in range(21)]
    roc = {"fpr": grid, "tpr": [x**0.3 for x in grid]}
    pr = {"recall": grid, "precision": [1 - 0.8 * x for x in grid], "prevalence": 0.2}
    for curve, y in ((roc, "tpr"), (pr, "precision")):
        curve["low"] = [max(0, v - 0.03) for v in curve[y]]
        curve["high"] = [min(1, v + 0.03) for v in curve[y]]
        curve["oracle"] = curve["high"] if result["source"]["kind"] == "synthetic" else None
    made = {"roc": roc, "pr": pr, "calibration": None}
    return {"schema_version": 3, "target": result["target"], "split": "test", "reason": reason,
            **(dict.fromkeys(made) if reason else made)}  # fmt: skip


def cell(n, of):
    return {"n": n, "share": n / of}


def variable(name, words, levels=(), summaries=None, reason=None, sizes=None):
    made = {"variable": name, "words": words, "kind": "number" if summaries else "classes",
            "reason": reason, "summaries": summaries or {}, "levels": [], "smd_outcome": 0.12,
            "smd_splits": 0.03,
            "missing": {} if reason else dict.fromkeys(COLUMNS, 0)}  # fmt: skip
    for level, share in levels:
        cells = {column: cell(round(size * share), size) for column, size in sizes.items()}
        made["levels"].append({"level": level, "cells": cells})
    return made


def table_one():
    sizes = dict(zip(COLUMNS, (2000, 900, 440, 160, 500, 1600, 400), strict=True))
    words = dict(
        zip(
            COLUMNS,
            (
                "All",
                "Training (encoders)",
                "Training (fusion)",
                "Validation",
                "Test",
                "Without",
                "With the outcome",
            ),
            strict=True,
        )
    )
    columns = [{"name": c, "words": words[c], "episodes": n, "patients": n * 3 // 4}
               for c, n in sizes.items()]  # fmt: skip
    summary = {"mean": 64.1, "sd": 16.2, "median": 66.0, "q1": 53.0, "q3": 77.0}
    age = dict.fromkeys(COLUMNS, summary)
    letters = [("ecn", 0.6), ("e", 0.25), ("en", 0.15)]
    return {"columns": columns, "reason_outcome": None, "variables": [
        variable("age", "Age, years", summaries=age),
        variable("sex", "Sex", [("F", 0.44), ("M", 0.56)], sizes=sizes),
        variable("language", "Language", reason="the source has no column language"),
        variable("combination", "Modalities", letters, sizes=sizes),
    ]}  # fmt: skip


def group(name, n, hidden=False):
    value = NONE if hidden else estimate(0.84, 0.05)
    gap = {**(NONE if hidden else estimate(-0.01, 0.04)), "seed_sd": None}
    reason = "a small group" if hidden else None
    made = {name: {**value} for name in ("auroc", "sensitivity", "specificity", "ppv")}
    gaps = {name: {**gap} for name in made}
    gaps["in_the_large"] = {**NONE} if hidden else estimate(0.0, 0.2)
    return {
        "group": name,
        "n": "hidden" if hidden else n,
        "positives": "hidden" if hidden else n // 5,
        "reason": reason,
        "reason_at_threshold": reason,
        "reason_rest": None,
        **made,
        "in_the_large": {**NONE} if hidden else estimate(0.05, 0.3),
        "minus_rest": gaps,
    }


def fairness(hidden=False):
    words = {"sex": "Sex", "age": "Age", "race": "Race", "insurance": "Insurance",
             "language": "Language", "care_unit": "Care unit", "era": "Years"}  # fmt: skip
    groups = {"sex": ["F", "M"], "age": ["18–44", "45–64", "65–79", "80+"],
              "race": ["ASIAN", "BLACK", "WHITE", "UNKNOWN"],
              "insurance": ["Medicare", "Private"], "care_unit": ["MICU", "SICU"],
              "era": ["2008 - 2010", "2011 - 2013"]}  # fmt: skip
    attributes = [
        {"attribute": name, "words": title, "reason": None if name in groups else "not recorded",
         "groups": [group(one, 100 + 20 * i, hidden and i < 2)
                    for i, one in enumerate(groups.get(name, []))]}
        for name, title in words.items()
    ]  # fmt: skip
    return {"reason": None, "fewest": 10, "attributes": attributes}


def calibrated(method, reason=None, slope=1.02, width=0.1):
    known = reason is None
    risks = [0.02, 0.05, 0.1, 0.2, 0.35, 0.6]
    difference = {**(estimate(0.0, 0.002) if known else NONE), "seed_sd": None}
    return {
        "method": method, "by_run": [], "reason": reason,
        "slope": estimate(slope, width) if known else NONE,
        "in_the_large": estimate(0.01, 0.1) if known else NONE,
        **{name: estimate(0.03, 0.01) if known else NONE for name in ("brier", "ici", "e_max")},
        "brier_minus_none": difference, "ici_minus_none": difference,
        "groups": [{"n": 80, "mean_risk": r, "observed": estimate(r, 0.015)} for r in risks]
        if known else [],
        "smooth": {"risk": risks, "observed": risks, "low": [0.9 * r for r in risks],
                   "high": [1.1 * r for r in risks]} if known else None,
        "histogram": {"edges": [i / 10 for i in range(11)], "negatives": [200, 90, 50, 30, 20, 5,
                      3, 1, 1, 0], "positives": [4, 6, 10, 14, 15, 18, 15, 10, 6, 2]}
        if known else None,
    }  # fmt: skip


def decision(reason=None, hidden=False):
    x = [] if reason else [i / 100 for i in range(1, 41)]

    def curve(values):
        return {"value": values, "low": [v and v - 0.01 for v in values],
                "high": [v and v + 0.01 for v in values]}  # fmt: skip

    model = [None if hidden and p > 0.3 else 0.18 * (1 - p) for p in x]
    treat_all = [(0.2 - p) / (1 - p) for p in x]
    gain = [v and v - max(a, 0) for v, a in zip(model, treat_all, strict=True)]
    made = {
        "model": curve(model),
        "treat_all": curve(treat_all),
        "treat_none": curve([0.0] * len(x)),
        "sofa": curve([0.12 * (1 - p) for p in x]),
        "model_minus_default": curve(gain),
        "model_minus_sofa": curve([v and 0.06 * (1 - p) for v, p in zip(model, x, strict=True)]),
    }
    return {"reason": reason, "thresholds": x, **(dict.fromkeys(made) if reason else made),
            "sofa_reason": reason, "hidden_at": [p for p in x if hidden and p > 0.3],
            "sofa_hidden_at": [], "sofa_unknown": 0}  # fmt: skip


def operating_points(reason=None):
    points = []
    for chosen_by, aim in (("sensitivity", 0.8), ("specificity", 0.95), ("alert_rate", 0.1),
                           ("result", None)):  # fmt: skip
        measures = ("sensitivity", "specificity", "ppv", "npv", "alert_rate")
        cells = {
            "true_positive": 60,
            "false_positive": 50,
            "false_negative": 40,
            "true_negative": 350,
        }
        points.append({
            "chosen_by": chosen_by, "aim": aim,
            "words": "the result's own threshold" if aim is None else f"{chosen_by} {aim:g}",
            "reason": reason,
            "by_run": [] if reason else [{"seed": 0, "fold": 0, "threshold": 0.3}],
            "confusion": None if reason else cells,
            **{name: NONE if reason else estimate(0.7, 0.04) for name in measures},
        })  # fmt: skip
    return points


def flow():
    steps = [("admissions of adults", 4000, None), ("in hospital 48 h later", 2500, 1500),
             ("in an ICU by then", 2000, 500)]  # fmt: skip
    return {
        "steps": [{"condition": words, "episodes": n, "patients": n * 3 // 4, "excluded": out,
                   "looks_ahead": False} for words, n, out in steps],
        "splits": [{"split": split, "episodes": n, "patients": n * 3 // 4, "positives": n // 5}
                   for split, n in zip(SPLITS, (900, 440, 160, 500), strict=True)],
        "files": [{"modality": "c", "words": "films", "reason": None, "selected": 800,
                   "episodes": 700, "unreadable": 0, "used": 800,
                   "unreadable_reason": None},
                  {"modality": "n", "words": "reports", "reason": "the source has none",
                   "selected": None, "episodes": None, "unreadable": None, "used": None,
                   "unreadable_reason": "no notes"}],
    }  # fmt: skip


def numbers_of(result, reason=None, hidden=False):
    head = {name: result[name] for name in ("target", "modalities", "model", "task", "protocol",
                                            "seeds", "folds", "bootstrap")}  # fmt: skip
    head |= {"experiment": result["experiment"]} if "experiment" in result else {}
    head |= {"schema_version": 1, "unit": "admission", "hours": 48.0, "result_sha256": "d" * 64,
             "suppressed_below": 10 if hidden else 0, "recalibration": "none"}  # fmt: skip
    return {
        "head": head, "table_one": table_one(), "flow": flow(),
        "calibration": [calibrated(method, reason) for method in ("none", "platt", "temperature")],
        "decision": decision(reason, hidden), "operating_points": operating_points(reason),
        "fairness": {"reason": reason, "fewest": 10, "attributes": []} if reason
        else fairness(hidden),
    }  # fmt: skip


def explanations():
    """One of each modality, and of a baseline on statistics that is no better than chance."""
    return [*every()[:3], explanation("ehr", 0.31, statistics=True)]


def kit_of(reason=None, hidden=False, explanations=(), **more):
    """A kit in memory; `reason`: why nothing is measured; `hidden`: small groups are."""
    result = result_of(reason=reason, **more)
    numbers = numbers_of(result, reason, hidden)
    return deepcopy(Kit(result, curves_of(result, reason), numbers, list(explanations), LETTERS))
