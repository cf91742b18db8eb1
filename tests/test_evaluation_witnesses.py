"""Figures of a kit are those of packages that nobody here wrote, on one set of predictions.

statsmodels (calibration, Platt scaling), dcurves (net benefit), fairlearn (rates by group) and
tableone (standardised differences) are in an environment of their own, which is made in seconds;
WITNESSES_PYTHON names one that is there. `pytest --all -s` of this module prints how far the
figures differ.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from measured_kits import hospital, made_kit, made_result, predictions

from pipeline.evaluation.sections.subgroups import ATTRIBUTES, MORE, grouped

PACKAGES = ("statsmodels==0.15.0", "dcurves==1.1.7", "fairlearn==0.15.0", "tableone==0.9.6")
AGREE = 1e-6  # figures are written with 6 digits
WITNESSES = """
import json, sys, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
import statsmodels.api as sm
from dcurves import dca
from fairlearn.metrics import MetricFrame, selection_rate
from sklearn.metrics import precision_score, recall_score
from tableone import TableOne

rows = pd.read_csv(sys.argv[1], keep_default_na=False, na_values=[""])
asked = json.load(open(sys.argv[2]))
val, test = rows[rows.split == "val"], rows[rows.split == "test"]
logit = lambda p: np.log(p / (1 - p))
made = {}

def calibration(part, score):
    slope = sm.Logit(part.label, sm.add_constant(logit(score))).fit(disp=0, tol=1e-12).params
    large = sm.GLM(part.label, np.ones(len(part)), family=sm.families.Binomial(),
                   offset=logit(score)).fit(tol=1e-12).params
    return {"slope": slope.iloc[1], "in_the_large": large.iloc[0]}

platt = sm.Logit(val.label, sm.add_constant(logit(val.probability))).fit(disp=0, tol=1e-12).params
heat = sm.Logit(val.label, logit(val.probability)).fit(disp=0, tol=1e-12).params
made["platt"] = {"intercept": platt.iloc[0], "slope": platt.iloc[1]}
made["temperature"] = {"slope": heat.iloc[0]}
expit = lambda x: 1 / (1 + np.exp(-x))
scores = {"none": test.probability,
          "platt": expit(platt.iloc[0] + platt.iloc[1] * logit(test.probability)),
          "temperature": expit(heat.iloc[0] * logit(test.probability))}
made["calibration"] = {name: calibration(test, score) for name, score in scores.items()}

sofa = sm.Logit(val.label, sm.add_constant(val.sofa.astype(float))).fit(disp=0, tol=1e-12).params
both = pd.DataFrame({"label": test.label, "model": test.probability,
                     "sofa": expit(sofa.iloc[0] + sofa.iloc[1] * test.sofa)})
curves = dca(data=both, outcome="label", modelnames=["model", "sofa"],
             thresholds=np.array(asked["thresholds"]))
made["benefit"] = {name: curves[curves.model == name].sort_values("threshold").net_benefit.tolist()
                   for name in ("model", "sofa", "all", "none")}

called = (test.probability >= asked["threshold"]).astype(int)
specificity = lambda y, c: recall_score(1 - y, 1 - c)
measures = {"sensitivity": recall_score, "specificity": specificity, "ppv": precision_score,
            "alert_rate": lambda y, c: selection_rate(y, c)}
made["groups"] = {}
for name in asked["attributes"]:
    frame = MetricFrame(metrics=measures, y_true=test.label, y_pred=called,
                        sensitive_features=test[name])
    made["groups"][name] = json.loads(frame.by_group.to_json(orient="index"))
    made["overall"] = frame.overall.to_dict()

made["smd"] = {}
for by in ("label", "split"):
    for name in asked["variables"]:
        classes = [] if name in ("age", "sofa") else [name]
        table = TableOne(rows[[by, name]].dropna(), columns=[name], categorical=classes, groupby=by,
                         smd=True, missing=False)
        values = table.smd_table.to_numpy(dtype=float)[0]
        made["smd"][f"{by} {name}"] = values[0] if by == "label" else np.abs(values).max()
json.dump(made, sys.stdout)
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """A Python that has the packages."""
    if named := os.environ.get("WITNESSES_PYTHON"):
        return named
    home, uv = tmp_path_factory.mktemp("witnesses"), Path(sys.executable).with_name("uv")
    python = home / "bin/python"
    for command in (["venv", "--quiet", "--python", sys.executable, str(home)],
                    ["pip", "install", "--quiet", "--python", str(python), *PACKAGES]):  # fmt: skip
        run = subprocess.run([uv, *command], capture_output=True, text=True)
        if run.returncode:
            pytest.skip(f"no environment of the witnesses: {run.stderr[-300:]}")
    return python


@pytest.fixture(scope="module")
def both(python, tmp_path_factory):
    """The kit's figures and the witnesses' of the same predictions."""
    folder = hospital(tmp_path_factory.mktemp("witnessed"), n=6000, slope=1.3)
    with pytest.MonkeyPatch.context() as patch:
        made_result(patch, folder)
        made = made_kit(patch, folder)
    episodes = pl.read_parquet(folder / "episodes.parquet")
    more = pl.read_parquet(folder / "characteristics.parquet")
    groups = grouped(episodes.join(more, on="episode_id"), {**ATTRIBUTES, **MORE})
    groups = groups.rename({"age": "age_band"})
    points = pl.read_parquet(folder / "sofa.parquet").rename({"total": "sofa"})
    rows = pl.read_parquet(predictions(folder)[0]).join(groups, on="episode_id")
    rows = rows.join(episodes.select("episode_id", "age", "admission_type"), on="episode_id")
    rows.join(points, on="episode_id").sort("episode_id").write_csv(folder / "rows.csv")
    at = made["operating_points"][-1]["by_run"][0]["threshold"]
    asked = {"thresholds": made["decision"]["thresholds"], "threshold": at,
             "attributes": ["sex", "race", "care_unit"],
             "variables": ["age", "sofa", "sex", "race", "admission_type"]}  # fmt: skip
    (folder / "asked.json").write_text(json.dumps(asked))
    (folder / "witnesses.py").write_text(WITNESSES)
    command = [python, "witnesses.py", "rows.csv", "asked.json"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return made, json.loads(run.stdout)


def agree(what, ours, theirs, tolerance=AGREE):
    """Asserts that there are figures, that none is missing, and that they agree; prints how far."""
    ours, theirs = np.array(ours, dtype=float), np.array(theirs, dtype=float)
    assert ours.shape == theirs.shape and ours.size
    assert np.isfinite(ours).all() and np.isfinite(theirs).all()
    apart = np.abs(ours - theirs).max()
    print(f"{what}: {ours.size} figures, at most {apart:.1e} apart")
    assert apart <= tolerance


@pytest.mark.slow
def test_calibration_and_recalibration_are_those_of_statsmodels(both):
    made, witness = both
    ways = {way["method"]: way for way in made["calibration"]}
    for name in ("platt", "temperature"):
        own = ways[name]["by_run"][0]
        keys = list(witness[name])
        agree(f"statsmodels, {name}", [own[key] for key in keys], [*witness[name].values()])
    for name, way in ways.items():
        own = [way["slope"]["value"], way["in_the_large"]["value"]]
        told = witness["calibration"][name]
        agree(f"statsmodels, calibration after {name}", own, [told["slope"], told["in_the_large"]])


@pytest.mark.slow
def test_net_benefit_is_that_of_dcurves(both):
    made, witness = both
    names = {"model": "model", "sofa": "sofa", "treat_all": "all", "treat_none": "none"}
    for name, other in names.items():
        agree(f"dcurves, {name}", made["decision"][name]["value"], witness["benefit"][other])


@pytest.mark.slow
def test_rates_by_group_are_those_of_fairlearn(both):
    made, witness = both
    groups = {a["attribute"]: a["groups"] for a in made["fairness"]["attributes"]}
    for name, told in witness["groups"].items():
        shown = [group for group in groups[name] if not group["reason_at_threshold"]]
        assert len(shown) > 1
        for rate in ("sensitivity", "specificity", "ppv"):
            own = [group[rate]["value"] for group in shown]
            agree(f"fairlearn, {rate} by {name}", own, [told[g["group"]][rate] for g in shown])
    own = made["operating_points"][-1]
    keys = ("sensitivity", "specificity", "ppv", "alert_rate")
    agree("fairlearn, all", [own[k]["value"] for k in keys], [witness["overall"][k] for k in keys])


@pytest.mark.slow
def test_standardised_differences_are_those_of_tableone(both):
    made, witness = both
    rows = {row["variable"]: row for row in made["table_one"]["variables"]}
    own = {f"{by} {name}": rows[name][key]
           for by, key in (("label", "smd_outcome"), ("split", "smd_splits"))
           for name in ("age", "sofa", "sex", "race", "admission_type")}  # fmt: skip
    assert own.keys() == witness["smd"].keys()
    agree("tableone, standardised differences", [*own.values()], [*witness["smd"].values()])
