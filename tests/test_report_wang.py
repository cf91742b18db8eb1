"""The page, the csv and the figures of all results: cells, claims, what is not there, bytes."""

import csv
import json
import re
import sys
from base64 import b64decode
from itertools import combinations, dropwhile, takewhile
from xml.etree import ElementTree

import pytest

from pipeline.report import wang
from pipeline.report.page import webpage
from pipeline.report.results import differences_in
from pipeline.report.verdicts import PLANTED, is_clear, opposite
from pipeline.report.wang_claims import first_claim, second_claim
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.registry import subsets
from pipeline.stage.result import SECTIONS

SETS = subsets("ecn")
FUSIONS = ("early", "late")
LETTERS = {"e": "EHR", "c": "chest films", "n": "notes"}
SVG = "{http://www.w3.org/2000/svg}"


def estimate(value, half=0.02):
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": round(value - half, 6), "high": round(value + half, 6)}


def result(modalities, model, task="mortality", protocol="corrected", auroc=0.8, **more):
    test = {"n": 2264, "patients": 1695, "positives": 399, "prevalence": 0.176237, "reason": None}
    found = {
        "auroc": {**estimate(auroc), "sd": None},
        "auprc": estimate(0.61),
        "brier": estimate(0.1),
    }
    return {
        "schema_version": 3,
        "target": f"{modalities}_{model}_{task}",
        "protocol": protocol,
        "task": task,
        "modalities": modalities,
        "model": model,
        "source": {"kind": "synthetic"},
        "task_definition": None,
        **dict.fromkeys(SECTIONS),
        "metrics": {"test": {**test, **found}},
        "sensitivity": [],
        "cohort": {"attrition": [], "looks_ahead": []},
        "seeds": [*range(5)],
        "bootstrap": bootstrap(5),
        **more,
    }


def bootstrap(seeds):
    return {"resamples": 1000, "training_noise": seeds >= 5}


def ceiling(population):
    oracle = {"oracle_auroc": estimate(0.91), "oracle_minus_model": estimate(0.011)}
    return {"population_auroc": population, **oracle}


def contrast(task, gains, protocol="corrected", p_holm=0.004, p=None, seeds=5):
    row = {"family": "best-single", "task": task, "second": f"c_unimodal_{task}", "seeds": seeds}
    row |= {"seed_sd": 0.004, "p": p or p_holm / 1000, "p_holm": p_holm, "verdict": "better"}
    rows = [{**row, "first": f"{name}_{task}", **estimate(gain)} for name, gain in gains.items()]
    head = {"schema_version": 4, "protocol": protocol, "margin": 0.02, "tasks": {task: {}}}
    return {**head, "contrasts": rows, "complete": {"reason": "few", "contrasts": []}}


def shapley(values, task="mortality", fusion="early", protocol="corrected", p_holm=0.004, seeds=5):
    pairs = [
        {
            "first": one,
            "second": two,
            **estimate(values[one] - values[two]),
            "seeds": seeds,
            "seed_sd": 0.004,
            "p": p_holm,
            "p_holm": p_holm,
        }
        for one, two in combinations(values, 2)
    ]
    return {
        "schema_version": 4,
        "task": task,
        "fusion": fusion,
        "protocol": protocol,
        "modalities": list(values),
        "test": {"reason": None},
        "shapley": {letter: estimate(value) for letter, value in values.items()},
        "total": estimate(sum(values.values())),
        "differences": pairs,
        "bootstrap": bootstrap(seeds),
    }


def grid():
    """Mortality: seven sets, two fusions, a baseline, corrected; and ecn early published."""
    several = [result(s, fusion) for s in SETS if len(s) > 1 for fusion in FUSIONS]
    single = [result(s, "unimodal", auroc=0.7, ceiling=ceiling(0.75)) for s in "ecn"]
    more = [result("e", "gbdt-stats", auroc=0.69), result("e", "gbdt", auroc=0.71)]
    published = result("ecn", "early", protocol="published", auroc=0.85)
    return [*several, *single, *more, published]


def write(monkeypatch, folder, results, contrasts=(), attributions=(), *more):
    def files(kind, found):
        paths = [folder / f"{kind}{i}.json" for i in range(len(found))]
        for path, one in zip(paths, found, strict=True):
            write_json(path, one)
        return list(map(str, paths))

    arguments = ["--results", *files("result", results)]
    arguments += ["--contrasts", *files("contrast", contrasts)]
    arguments += ["--attribution", *files("attribution", attributions)]
    arguments += ["--markdown", str(folder / "x.md"), "--csv", str(folder / "x.csv"), *more]
    monkeypatch.setattr(sys, "argv", ["wang", *arguments, "--words", json.dumps(LETTERS)])
    wang.main()
    with (folder / "x.csv").open() as file:
        return (folder / "x.md").read_text(), list(csv.DictReader(file))


def rows_of(page, heading, after=""):
    """The rows of the first table after a heading (and a text), as dicts."""
    part = page[page.index(f"## {heading}\n") :]
    lines = part[part.index(after) :].splitlines()
    table = takewhile(lambda line: line[:1] == "|", dropwhile(lambda line: line[:1] != "|", lines))
    header, _, *body = [[c.strip() for c in line.strip("|").split("|")] for line in table]
    return [dict(zip(header, cells, strict=True)) for cells in body]


def find(rows, **wanted):
    (row,) = (row for row in rows if all(row[key] == value for key, value in wanted.items()))
    return row


def test_rows_are_sets_columns_are_models_and_protocols_lie_together(monkeypatch, tmp_path):
    page, _ = write(monkeypatch, tmp_path, grid())
    rows = rows_of(page, "mortality")
    assert list(rows[0]) == ["modalities", "protocol", "unimodal", *FUSIONS, "gbdt", "oracle"]
    names = [f"**{s}**" for s in SETS]
    assert [row["modalities"] for row in rows[:14]] == [name for name in names for _ in range(2)]
    full = [find(rows, modalities="**ecn**", protocol=p) for p in ("corrected", "published")]
    assert [row["early"] for row in full] == [".800 (.780–.820)", ".850 (.830–.870)"]
    assert full[0]["gbdt"] == "–"  # could be made, was not
    assert full[1]["late"] == "–"
    assert full[0]["unimodal"] == ""  # there is no such model
    single = find(rows, modalities="**e**", protocol="corrected")
    assert single["early"] == ""
    assert single["oracle"] == ".910 (.890–.930)"
    statistics = find(rows, modalities="**e**, summary statistics")
    assert (statistics["gbdt"], statistics["unimodal"]) == (".690 (.670–.710)", "")
    assert "* corrected: 2,264 test episodes of 1,695 patients, 399 positive (17.6 %)." in page


def test_a_task_without_results_of_a_protocol_has_no_rows_of_it(monkeypatch, tmp_path):
    page, *_ = write(monkeypatch, tmp_path, [one for one in grid() if "published" not in str(one)])
    assert find(rows_of(page, "mortality"), modalities="**ecn**")["protocol"] == "corrected"
    assert "| published |" not in page


def test_gains_and_distances_are_listed(monkeypatch, tmp_path):
    contrasts = [contrast("mortality", {"ecn_early": 0.171}, p_holm=0.048)]
    page, _ = write(monkeypatch, tmp_path, grid(), contrasts)
    rows = rows_of(page, "mortality", "Every figure")
    full = find(rows, model="ecn early", protocol="corrected")
    assert full["gain over it"] == "+.171 (+.151 to +.191)"
    assert (full["best single"], full["p (Holm)"]) == ("c", ".048")
    assert full["average precision"] == ".610 (.590–.630)"
    assert find(rows, model="e unimodal")["oracle − model"] == "+.011 (−.009 to +.031)"
    assert find(rows, model="ecn late")["gain over it"] == "–"


def test_models_are_compared_in_order(monkeypatch, tmp_path):
    pairs = [("ecn_late", "ecn_early"), ("ec_late", "ec_early"), ("ec_joint", "ec_early")]
    found = contrast("mortality", {})
    row = {"family": "early", "task": "mortality", **estimate(-0.03), "p": 0.02, "p_holm": 0.06}
    found["contrasts"] = [
        {**row, "first": f"{one}_mortality", "second": f"{two}_mortality"} for one, two in pairs
    ]
    page, _ = write(monkeypatch, tmp_path, grid(), [found])
    rows = rows_of(page, "mortality", "Other models against early fusion")
    assert [row["model"] for row in rows] == ["ec joint", "ec late", "ecn late"]
    assert rows[0]["minus"] == "ec early"
    assert rows[0]["difference of AUROC"] == "−.030 (−.050 to −.010)"
    assert (rows[0]["p"], rows[0]["p (Holm)"]) == (".020", ".060")
    assert "All modalities against one modality less" not in page


def test_spread_over_seeds_is_shown_where_there_are_several(monkeypatch, tmp_path):
    one = result("e", "unimodal")
    one["metrics"]["test"]["auroc"]["sd"] = 0.0042
    page, rows = write(monkeypatch, tmp_path, [one])
    assert ".800 (.780–.820), SD .004" in page
    assert rows[0]["auroc_sd"] == "0.0042"


def test_csv_has_a_row_per_result(monkeypatch, tmp_path):
    contrasts = [contrast("mortality", {"ecn_early": 0.171})]
    _, rows = write(monkeypatch, tmp_path, grid(), contrasts)
    assert len(rows) == len(grid())
    names = ["protocol", "task", "modalities", "model", "n", "patients", "positives"]
    assert list(rows[0])[:7] == names
    full = find(rows, modalities="ecn", model="early", protocol="corrected")
    assert [full[f"auroc{end}"] for end in ("", "_low", "_high")] == ["0.8", "0.78", "0.82"]
    assert (full["gain"], full["gain_p_holm"], full["best_single"]) == (
        "0.171",
        "0.004",
        "c_unimodal",
    )
    single = find(rows, modalities="e", model="unimodal")
    assert (single["population_ceiling"], single["oracle_minus_model"]) == ("0.75", "0.011")
    assert single["gain"] == ""


def test_hidden_counts_and_figures_stay_hidden(monkeypatch, tmp_path):
    few = result("e", "unimodal", source={"kind": "mimic"})
    reason = "fewer than 10 positive or negative episodes"
    few["metrics"]["test"] |= {"positives": "<10", "prevalence": None, "reason": reason}
    few["metrics"]["test"] |= {metric: estimate(None) for metric in ("auroc", "auprc", "brier")}
    page, rows = write(monkeypatch, tmp_path, [few])
    assert "2,264 test episodes of 1,695 patients, <10 positive. No figures: fewer than" in page
    assert rows_of(page, "mortality")[0]["unimodal"] == "–"
    assert (rows[0]["positives"], rows[0]["auroc"]) == ("<10", "")
    assert PLANTED not in page


def test_models_of_other_episodes_are_pointed_out(monkeypatch, tmp_path):
    one, two = result("e", "unimodal"), result("c", "unimodal")
    two["metrics"]["test"]["n"] = 2000
    page, _ = write(monkeypatch, tmp_path, [one, two])
    assert "Not all models were tested on the same episodes." in page
    assert "Not all models" not in write(monkeypatch, tmp_path, [one])[0]


def both(gains, **more):
    tasks = {"mortality": gains[0], "longstay": gains[1]}
    found = [
        contrast(t, dict(zip(("ecn_early", "ecn_late"), g, strict=True))) for t, g in tasks.items()
    ]
    return differences_in(found)


@pytest.mark.parametrize(
    ("gains", "verdict", "count"),
    [
        (((0.1, 0.2), (0.1, 0.1)), "It holds for every task, with every fusion.", "4 of 4"),
        (
            ((0.1, 0.01), (0.1, 0.1)),
            "It holds for every task, but not with every fusion.",
            "3 of 4",
        ),
        (((0.1, 0.1), (0.01, -0.1)), "It holds for mortality, not for longstay.", "2 of 4"),
        (((0.0, 0.01), (-0.1, -0.2)), "It does not hold for any task.", "0 of 4"),
    ],
)
def test_first_claim_follows_the_gains(gains, verdict, count):
    text = first_claim("corrected", both(gains))
    assert text.startswith(f"**{verdict}**")
    assert f"in {count} combinations" in text
    assert first_claim("published", both(gains)).startswith("not answered")


def test_first_claim_says_what_is_not_clear():
    text = first_claim("corrected", both(((0.1, 0.012), (0.1, 0.2))))
    assert "mortality: +.012 to +.100, clear with 1 of 2 fusions; not clear: late +.012 " in text
    assert "longstay: +.100 to +.200, clear with 2 of 2 fusions" in text


def test_first_claim_asks_for_p_after_correction_and_leaves_baselines_out():
    uncorrected = differences_in([contrast("x", {"ecn_early": 0.1}, p=0.06)])
    assert "does not hold" in first_claim("corrected", uncorrected)
    gains = {"ecn_early": 0.1, "ecn_gbdt": -0.1, "ec_early": -0.1}
    assert "in 1 of 1 comb" in first_claim("corrected", differences_in([contrast("x", gains)]))


@pytest.mark.parametrize(
    ("values", "p_holm", "verdict"),
    [
        ({"e": 0.2, "c": 0.1, "n": 0.1}, 0.01, "It holds for every task, with every fusion."),
        ({"e": 0.2, "c": 0.1, "n": 0.1}, 0.06, "It cannot be decided"),
        ({"e": 0.2, "c": 0.19, "n": 0.1}, 0.01, "It cannot be decided"),
        ({"c": 0.2, "n": 0.1, "e": 0.1}, 0.01, "It does not hold: everywhere another"),
    ],
)
def test_second_claim_follows_the_shapley_values(values, p_holm, verdict):
    text = second_claim("corrected", [shapley(values, p_holm=p_holm)], LETTERS)
    assert text.startswith(f"**{verdict}")
    assert f"EHR {values['e']:.3f}".replace("0.", ".") in text


def test_second_claim_counts_tasks_and_fusions():
    found = [
        shapley({"e": 0.2, "c": 0.1}, task="mortality"),
        shapley({"e": 0.1, "c": 0.2}, task="longstay"),
        shapley({"e": 0.15, "c": 0.14}, task="mortality", fusion="late"),
    ]
    text = second_claim("corrected", found, LETTERS)
    assert text.startswith("**It does not hold throughout.**")
    assert (
        "Of 3 combinations of task and fusion, the EHR has the largest Shapley value in 2" in text
    )
    assert "every other modality's in 1; another modality's is clearly larger in 1" in text
    assert "mortality: EHR .150 to .200, chest films .100 to .140" in text
    assert "It holds in part" in second_claim("corrected", [found[0], found[2]], LETTERS)
    assert second_claim("published", found, LETTERS).startswith("not answered")


def test_nothing_is_claimed_of_fewer_than_five_seeds():
    few = [contrast("mortality", {"ecn_early": 0.1}, seeds=1)]
    first = first_claim("corrected", differences_in(few))
    assert first.startswith("**Not decided: 1 seed, 5 needed.**")
    assert "early +.100 (+.080 to +.120)" in first
    assert "training noise not in them" in first
    second = second_claim("corrected", [shapley({"e": 0.2, "c": 0.1}, seeds=3)], LETTERS)
    assert second.startswith("**Not decided: 3 seeds, 5 needed.**")
    assert "EHR .200, chest films .100" in second
    for claim in (first, second):
        assert "clear" not in claim and "holds" not in claim


def test_a_difference_turned_round():
    turned = opposite({"first": "e", "second": "c", **estimate(-0.1), "p_holm": 0.01, "seeds": 5})
    assert (turned["first"], turned["value"], turned["low"]) == ("c", 0.1, 0.08)
    assert is_clear(turned)
    assert not is_clear({**turned, "seeds": 4})
    assert not is_clear(opposite(turned))
    assert not is_clear({**estimate(None), "p_holm": None})


def test_shapley_table_shows_the_values_that_the_ceilings_give(monkeypatch, tmp_path):
    worth = dict(zip(SETS, (0.7, 0.7, 0.5, 0.9, 0.7, 0.7, 0.9), strict=True))  # n adds nothing
    model = {s: "unimodal" if len(s) == 1 else "early" for s in SETS}
    results = [result(s, model[s], ceiling=ceiling(worth[s])) for s in SETS]
    attributions = [shapley({"e": 0.2, "c": 0.15, "n": 0.01})]
    page, _ = write(monkeypatch, tmp_path, results, (), attributions)
    rows = rows_of(page, "What each modality contributes")
    assert find(rows, fusion="early")["chest films"] == ".150 (.130–.170)"
    between = find(rows, fusion="early")["e − c, SD between seeds, p (Holm)"]
    assert between == "+.050 (+.030 to +.070), .004, .004"
    planted = find(rows, fusion="ceiling")
    assert [planted[n] for n in ("EHR", "chest films", "notes")] == [".200", ".200", ".000"]
    assert PLANTED in page
    results[3]["ceiling"] = None
    page, _ = write(monkeypatch, tmp_path, results, (), attributions)
    assert "| ceiling |" not in page


def test_the_page_says_which_cohorts_look_ahead(monkeypatch, tmp_path):
    ahead = {"attrition": [], "looks_ahead": ["with an ICU stay"]}
    results = [
        result("e", "unimodal"),
        result("e", "unimodal", protocol="published", cohort=ahead),
        result("c", "unimodal", protocol="published", cohort=ahead),
    ]
    page, _ = write(monkeypatch, tmp_path, results)
    told = "cohort of the published protocol looks ahead, beyond the prediction time: with an ICU"
    assert page.count("looks ahead") == page.count(told) == 1


def test_the_page_tells_results_with_the_noise_of_training_from_those_without(
    monkeypatch, tmp_path
):
    few = result("c", "unimodal", bootstrap=bootstrap(1), seeds=[0])
    page, _ = write(monkeypatch, tmp_path, [result("e", "unimodal"), few])
    assert "1 of the 2 results: 1,000 bootstrap resamples of patients and training seeds (5" in page
    assert "1 of the 2 results: 1,000 bootstrap resamples of patients; training noise is" in page
    assert "1 or 5 seeds" not in page


def test_missing_modalities_and_sensitivity(monkeypatch, tmp_path):
    rates = ((0.0, 0.8), (0.5, 0.75), (1.0, 0.7))
    absent = [
        {"modality": m, "rate": rate, "auroc": estimate(a), "minus_complete": estimate(a - 0.8)}
        for m in "ec"
        for rate, a in rates
    ]
    left = [
        {"left_out": "deaths before 168 h", "n": 2100, "auroc": estimate(0.81)},
        {"left_out": "discharges to a hospice", "n": 2300, "auroc": estimate(0.82)},
    ]
    results = [result("ec", "early", missing=absent, sensitivity=left), result("e", "unimodal")]
    page, _ = write(monkeypatch, tmp_path, results)
    row = find(rows_of(page, "Missing modalities"), missing="chest films")
    assert [row[key] for key in ("0 %", "50 %", "100 %")] == [
        ".800 (.780–.820)",
        ".750 (.730–.770)",
        ".700 (.680–.720)",
    ]
    assert row["loss at 100 %"] == "−.100 (−.120 to −.080)"
    first, second = rows_of(page, "Sensitivity analyses")
    assert first["AUROC without them"] == ".810 (.790–.830)"
    assert second["without"] == "discharges to a hospice"
    assert "* mortality: deaths before 168 h" in page
    assert [row["episodes left"] for row in (first, second)] == ["2,100", "2,300"]
    assert "* mortality: deaths before 168 h" in page
    left[0]["n"] = None
    page, _ = write(monkeypatch, tmp_path, results)
    assert rows_of(page, "Sensitivity analyses")[0]["episodes left"] == "–"


def test_those_with_all_modalities_stand_beside_all_of_them(monkeypatch, tmp_path):
    counts = {
        "n": 2264,
        "modalities": {"e": 2264, "c": 453},
        "combinations": {"ec": 453, "e": 1811},
    }
    covered = {"by": {"e": "assumed", "c": "selected"}, "unknown": {}, "splits": {"test": counts}}
    test = {"n": 453, "auroc": {**estimate(0.86), "sd": None}}
    rows = [{"modality": "c", "rate": 1.0, "auroc": estimate(0.66)}]
    rows[0]["minus_complete"] = estimate(-0.2) | {"seed_sd": 0.003}
    fewer = {"reason": None, "metrics": {"test": test}, "missing": rows}
    none = {"reason": "c: no such table", "metrics": None, "missing": None}
    results = [
        result("ec", "early", auroc=0.81, coverage=covered, complete=fewer, missing=rows),
        result("e", "unimodal", auroc=0.7, coverage=covered, complete=none),
    ]
    compared = contrast("mortality", {"ec_early": 0.05})
    compared["complete"] = contrast("mortality", {"ec_early": 0.11})
    worth = shapley({"e": 0.2, "c": 0.1})
    worth["complete"] = shapley({"e": 0.1, "c": 0.3})
    page, table = write(monkeypatch, tmp_path, results, [compared], [worth])
    assert (
        "mortality, corrected: EHR assumed for all, chest films 20.0 %; all modalities 20.0 %"
        in page
    )
    assert "complete" not in page.lower()
    assert "not shown, mortality: c: no such table" in page
    found = rows_of(page, "Episodes with all modalities")
    row = find(found, model="ec early")
    assert row["AUROC of all"].startswith(".810") and row["how many"] == "453"
    assert row["AUROC with all modalities"].startswith(".860")
    assert row["gain over the best single"].startswith("+.110")
    assert find(found, model="e unimodal")["AUROC with all modalities"] == "–"
    values = rows_of(page, "What each modality contributes")
    assert [own["episodes"] for own in values] == ["all", "with all modalities"]
    assert values[1]["chest films"].startswith(".300")
    assert "Of the episodes with all modalities" in page
    own = {line["model"]: line for line in table}
    assert own["early"]["n_complete"] == "453" and own["early"]["auroc_complete"] == "0.86"
    assert own["unimodal"]["auroc_complete"] == ""


@pytest.mark.parametrize("letters", ["ec", "cn", "xy"])
def test_two_modalities_whatever_they_are_make_a_page(monkeypatch, tmp_path, letters):
    sets, worth = subsets(letters), dict(zip(letters, (0.2, 0.1), strict=True))
    results = [result(s, "unimodal" if len(s) == 1 else "early") for s in sets]
    compared = [contrast("mortality", {f"{letters}_early": 0.1})]
    figures = ("--figures", *(str(tmp_path / f"{name}.svg") for name in ("wang", "attribution")))
    page, _ = write(monkeypatch, tmp_path, results, compared, [shapley(worth)], *figures)
    assert "It holds for every task, with every fusion." in page
    second = page.split("**“The EHR matters most”**\n\n")[1].split("\n")[0]
    assert ("no Shapley values that include the EHR" in second) == ("e" not in letters)
    words = [LETTERS.get(letter, letter) for letter in letters]
    assert all(word in rows_of(page, "What each modality contributes")[0] for word in words)


def test_the_page_of_one_result_has_no_empty_tables(monkeypatch, tmp_path):
    page, _ = write(monkeypatch, tmp_path, [result("e", "unimodal")])
    for heading in ("What each", "Missing", "Sensitivity", "Other models against"):
        assert heading not in page
    assert page.count("not answered") == 4  # two claims, two protocols


def test_tasks_keep_the_order_given_everywhere(monkeypatch, tmp_path):
    order = ["readmission", "mortality", "longstay"]
    results = [result("ecn", "early", task=task) for task in order]
    contrasts = [contrast(task, {"ecn_early": 0.1}) for task in sorted(order)]
    attributions = [shapley({"e": 0.1, "c": 0.2}, task=task) for task in sorted(order)]
    page, rows = write(monkeypatch, tmp_path, results, contrasts, attributions)
    assert [row["task"] for row in rows] == order
    assert [line[3:] for line in page.splitlines() if line[3:] in order] == order
    lines = [line.strip("* ").split(":")[0] for line in page.splitlines() if line[:4] == "  * "]
    assert lines == [*order, *order]
    found = [row["task"] for row in rows_of(page, "What each modality contributes")]
    assert found == order


def test_same_results_same_bytes_and_links_are_relative(monkeypatch, tmp_path):
    figures = ("--figures", str(tmp_path / "figures" / "wang.svg"))
    (tmp_path / "figures").mkdir()
    pages = [write(monkeypatch, tmp_path, grid(), (), (), *figures)[0] for _ in range(2)]
    assert pages[0] == pages[1]
    assert "![wang](figures/wang.svg)" in pages[0]
    assert str(tmp_path) not in pages[0]


def test_a_result_or_comparison_of_another_form_is_refused(monkeypatch, tmp_path):
    old = {"schema_version": 2}
    with pytest.raises(InputError, match=r"\.json: schema_version 2, expected 3; .* make it again"):
        write(monkeypatch, tmp_path, [result("e", "unimodal") | old])
    with pytest.raises(InputError, match=r"\.json: schema_version 2, expected 4"):
        write(monkeypatch, tmp_path, grid(), [contrast("mortality", {}) | old])


def test_what_is_no_result_is_refused_and_sidecars_are_passed_over(monkeypatch, tmp_path):
    write_json(tmp_path / "a.run.json", {"target": "a"})
    sidecar = ("--results", str(tmp_path / "result0.json"), str(tmp_path / "a.run.json"))
    assert len(write(monkeypatch, tmp_path, [result("e", "unimodal")], (), (), *sidecar)[1]) == 1
    with pytest.raises(InputError, match=r"result0.json: not a result"):
        write(monkeypatch, tmp_path, [{"target": "b"}])
    with pytest.raises(InputError, match=r"result1.json: a second result of e_unimodal_mortality"):
        write(monkeypatch, tmp_path, [result("e", "unimodal")] * 2)
    with pytest.raises(InputError, match="no results given"):
        write(monkeypatch, tmp_path, grid(), (), (), "--results", sidecar[2])
    with pytest.raises(InputError, match=r"contrast0.json: no comparisons"):
        write(monkeypatch, tmp_path, grid(), [{}])
    with pytest.raises(InputError, match=r"attribution0.json: not an attribution"):
        write(monkeypatch, tmp_path, grid(), (), [{}])
    with pytest.raises(InputError, match=r"x.svg: the page has wang, attribution alone"):
        write(monkeypatch, tmp_path, grid(), (), (), "--figures", str(tmp_path / "x.svg"))


def test_two_versions_of_the_definitions_make_no_table(monkeypatch, tmp_path):
    new = {"definitions_version": 2}
    results = [result("e", "unimodal") | new, result("ecn", "early") | new]
    write(monkeypatch, tmp_path, results, [contrast("mortality", {"ecn_early": 0.1}) | new])
    old = [results[0], result("ecn", "early") | {"definitions_version": 1}]
    with pytest.raises(InputError, match=f"{tmp_path}/result1.json has version 1; .*0.json has"):
        write(monkeypatch, tmp_path, old)
    for more in ([contrast("mortality", {})], ()), ((), [shapley({"e": 0.1, "c": 0.2})]):
        with pytest.raises(
            InputError, match=r"(contrast|attribution)0.json has version 1; .*result0"
        ):
            write(monkeypatch, tmp_path, results, *more)


def draw(monkeypatch, folder, name, *studied):
    """The bytes of a figure of the page."""
    write(monkeypatch, folder, *studied, "--figures", str(folder / f"{name}.svg"))
    return (folder / f"{name}.svg").read_bytes()


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text") if node.text]


def test_forest_shows_sets_models_and_protocols(monkeypatch, tmp_path):
    drawn = draw(monkeypatch, tmp_path, "wang", grid(), (), ())
    assert drawn == draw(monkeypatch, tmp_path, "wang", grid(), (), ())
    found = texts(drawn)
    for text in (*SETS, *FUSIONS, "gbdt-stats", "mortality, corrected", "mortality, published"):
        assert text in found
    assert "oracle (best reachable)" in found
    real = [{**one, "ceiling": None} for one in grid()]
    drawn = draw(monkeypatch, tmp_path, "wang", real, (), ())
    assert "oracle (best reachable)" not in texts(drawn)


def test_forest_leaves_out_what_has_no_auroc(monkeypatch, tmp_path):
    hidden = [result("e", "unimodal", auroc=None), result("ecn", "new")]
    assert "new" in texts(draw(monkeypatch, tmp_path, "wang", hidden, (), ()))


def test_attribution_shows_tasks_fusions_and_modalities(monkeypatch, tmp_path):
    few = shapley({"e": 0.1, "c": 0.2}, task="longstay")
    few |= {"shapley": {}, "differences": [], "test": {"reason": "one class only"}}
    found = [shapley({"e": 0.1, "c": 0.2}), few]
    drawn = draw(monkeypatch, tmp_path, "attribution", grid(), (), found)
    assert drawn == draw(monkeypatch, tmp_path, "attribution", grid(), (), found)
    for text in ("mortality, corrected", "longstay, corrected", "early", "EHR", "chest films"):
        assert text in texts(drawn)
    assert "not shown: one class only" in texts(drawn)


def test_the_page_is_one_html_file_with_its_tables_and_pictures(monkeypatch, tmp_path):
    figure = tmp_path / "wang.svg"
    more = ("--figures", str(figure), "--html", str(tmp_path / "x.html"))
    page, _ = write(monkeypatch, tmp_path, grid(), (), (), *more)
    html = (tmp_path / "x.html").read_text()
    assert html == webpage(page, tmp_path)
    assert html.count("<table>") == len(re.findall(r"^\|[ :|-]+\|$", page, re.M)) == 2
    assert re.search("<td[^>]*>.800 \\(.780–.820\\)</td>", html)
    assert "<details>" in html and "&lt;details" not in html
    (picture,) = re.findall('src="data:image/svg\\+xml;base64,([^"]*)"', html)
    assert b64decode(picture) == figure.read_bytes()
    figure.unlink()
    with pytest.raises(InputError, match=r"wang\.svg: the page shows it"):
        webpage(page, tmp_path)
