"""UniMed's page, csv and figures: cells, published columns, what is not there, sentences, bytes."""

import csv
import sys
from xml.etree import ElementTree

import pytest

from pipeline.report import curves, unimed
from pipeline.report.results import by_name
from pipeline.report.unimed import tasks_in_time
from pipeline.report.unimed_comparisons import size_sentence
from pipeline.report.words import headline
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json

TASKS = ("shock_4h", "arf_12h", "mortality_48h", "diagnoses_48h")
GRID = [k / 10 for k in range(11)]


def estimate(value, half=0.02):
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": round(value - half, 6), "high": round(value + half, 6)}


def binary(value):
    names = ("auroc", "auprc", "brier", "log_loss")
    metrics = {name: {**estimate(value), "sd": 0.004} for name in names}
    test = {
        "n": 900,
        "patients": 700,
        "positives": 90,
        "prevalence": 0.1,
        "reason": None,
        **metrics,
    }
    fit = {"slope": estimate(1.0), "intercept": estimate(0.0)}
    return {"metrics": {"test": test}, "ceiling": None, "calibration": fit}


def many(value):
    at = {"model": {**estimate(value), "sd": 0.004}, "prior": estimate(0.21)}
    at |= {"ceiling": estimate(0.91), "model_minus_prior": estimate(round(value - 0.21, 6))}
    test = {"n": 900, "patients": 700, "with_group": 880, "labels_per_stay": 11.26, "reason": None}
    test |= {"recall": dict.fromkeys(["5", "10", "20", "30"], at)}
    test |= {key: {**estimate(0.8), "sd": None} for key in ("macro_auroc", "micro_auroc")}
    test["by_icd_version"] = {version: {"recall": test["recall"]} for version in ("9", "9 and 10")}
    return {"vocabulary": [187], "metrics": {"test": test}}


def result(name, value=0.8, tasks=TASKS):
    modalities, model, task = name.split("_", 2)
    own = tasks if task == "all" else [task]
    parts = {t: many(value / 2) if t.startswith("diagnoses") else binary(value) for t in own}
    weights = {t: {"S": {"value": 0.4, "sd": None}, "X": {"value": 0.6, "sd": None}} for t in own}
    before = {t: {e: {"value": 1 / max(k, 1), "sd": None} for e in list(own)[:k]}
              for k, t in enumerate(own)}  # fmt: skip
    return {
        "schema_version": 3,
        "target": name,
        "modalities": modalities,
        "model": model,
        "task": task,
        "protocol": "corrected",
        "source": {"kind": "synthetic"},
        "seeds": [*range(5)],
        "bootstrap": {"resamples": 1000, "training_noise": True},
        "folds": 1,
        "tasks": parts,
        "attention": {"modality": weights, "task": before},
    }


def difference(first, second, value, task="arf_12h", family="multitask", half=0.03, p=0.001,
               seeds=5):  # fmt: skip
    row = {"family": family, "task": task, "first": first, "second": second}
    own = estimate(value, half)
    verdict = "better" if own["low"] > 0 else "worse" if own["high"] < 0 else "undecided"
    if abs(value) + half < 0.02:
        verdict = "equivalent"
    more = {"seeds": seeds, "seed_sd": 0.004}
    return row | own | more | {"p": p, "p_holm": p, "verdict": verdict}


def write(patch, folder, results, rows=(), figures=()):
    paths = []
    for one in results:
        paths.append(folder / f"{one['target']}.json")
        write_json(paths[-1], one)
    compared = {"schema_version": 4, "protocol": "corrected", "margin": 0.02, "tasks": {}}
    compared["complete"] = {"reason": "few", "tasks": {}, "contrasts": []}
    write_json(folder / "contrasts.json", compared | {"contrasts": list(rows)})
    known = ["--contrasts", f"{folder}/contrasts.json"] if rows else []
    out = ["--markdown", f"{folder}/t/page.md", "--csv", f"{folder}/t/page.csv"]
    command = ["unimed", "--results", *map(str, paths), *known, "--figures", *figures, *out]
    patch.setattr(sys, "argv", command)
    unimed.main()
    with (folder / "t/page.csv").open() as file:
        return (folder / "t/page.md").read_text(), list(csv.DictReader(file))


def line(text, start):
    (found,) = [row for row in text.splitlines() if row.startswith(f"| {start} |")]
    return [part.strip() for part in found.strip("|").split("|")]


def section(text, title):
    return text.split(f"## {title}")[1].split("\n## ")[0]


def test_the_three_tables_hold_own_and_published_numbers(monkeypatch, tmp_path):
    results = [result("en_unimed_all", 0.812), result("e_unimed_all", 0.7)]
    results += [result("en_unimed_arf_12h", 0.79), result("en_unimed-gru_all", 0.81)]
    text, _ = write(monkeypatch, tmp_path, results)
    one = section(text, "Table I: models")
    assert line(one, "UniMed, multitask")[1:5] == [
        ".812 (.792–.832)", ".836", ".812 (.792–.832)", ".781",
    ]  # fmt: skip
    assert line(one, "UniMed, single task")[1:5] == ["–", ".831", ".790 (.770–.810)", ".764"]
    assert line(one, "MUFASA")[7:] == ["–", ".344"]
    assert line(one, "CNN (Tang)")[1:] == ["–", ".831", "–", ".768", "–", ".886", "–", "–"]
    assert "not comparable" in one
    two = section(text, "Table II")
    assert line(two, "`e`")[1:3] == [".700 (.680–.720)", ".802"]
    assert line(two, "`n`")[1:3] == ["–", ".742"]
    three = section(text, "Table III")
    assert line(three, "GRU, multi")[7:] == [".405 (.385–.425)", ".331"]
    assert line(three, "GRU, single")[1:3] == ["–", ".815"]
    assert "a split by stay" in text


def test_diagnoses_have_ceiling_and_prior_beside_every_number(monkeypatch, tmp_path):
    text, rows = write(monkeypatch, tmp_path, [result("en_unimed_all")])
    own = section(text, "Diagnoses")
    assert "187 groups, 11.3 per test stay" in own
    icd = (("coded in ICD-9", "10"), ("coded in ICD-9 and ICD-10", "10"))
    for stays, k in (*(("all", k) for k in ("5", "10", "20", "30")), *icd):
        assert (
            f"| `en_unimed_all` | {stays} | {k} | .400 (.380–.420) | .210 (.190–.230) | "
            ".910 (.890–.930) | +.190 (+.170 to +.210) |" in own
        )
    found = {row["metric"]: row for row in rows if row["task"] == "diagnoses_48h"}
    assert found["recall@10 prior"]["value"] == "0.21"
    assert found["recall@10 model"]["sd"] == "0.004"
    assert len(rows) == 3 * 4 + 4 * 4 + 2


def test_any_subset_of_results_makes_a_page(monkeypatch, tmp_path):
    only = result("e_unimed_diagnoses_48h")
    only["tasks"]["diagnoses_48h"]["metrics"]["test"] |= {"recall": None, "by_icd_version": None}
    text, _ = write(monkeypatch, tmp_path, [only])
    assert section(text, "Diagnoses").strip() == "–"
    assert "Multitask was not compared" in text
    assert "nothing was compared" in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.05, 0.02, 0.01), "It grows as the training patients become fewer"),
        ((0.01, 0.02, 0.05), "It does not grow steadily"),
        ((-0.01, -0.04, -0.05), "not above 0 at any size"),
        ((0.01, 0.01, 0.01), "It does not grow steadily"),
    ],
)
def test_the_sentence_follows_from_the_numbers(values, said):
    models = ("unimed-quarter", "unimed-half", "unimed")
    rows = [
        difference(f"en_{model}_all", f"en_{model}_arf_12h", value)
        for model, value in zip(models, values, strict=True)
    ]
    rows.append(difference("en_unimed_all", "en_unimed_diagnoses_48h", 9.0, "diagnoses_48h"))
    text = size_sentence(rows, "en", 0.02)
    assert said in text
    assert "with a quarter" in text
    assert "9" not in text  # recall is not averaged with AUROC


def test_verdicts_and_signs_are_shown_whatever_they_are(monkeypatch, tmp_path):
    rows = [
        difference("en_unimed_all", "en_unimed_arf_12h", -0.05),
        difference("en_unimed_all", "en_unimed_shock_4h", 0.05, "shock_4h", p=0.2),
        difference("en_unimed-gru_all", "en_unimed_all", 0.005, family="ablation", half=0.01),
    ]
    text, _ = write(monkeypatch, tmp_path, [result("en_unimed_all")], rows)
    three = section(text, "Table III")
    assert "| worse | −.050 (−.080 to −.020) | .004 | .001 |" in three
    assert "undecided (not after correction)" in three
    assert "of 2 comparisons 1 is worse, 1 is undecided (not after correction)" in three
    assert "equivalent within .02" in section(text, "Ablations")
    sizes = section(text, "Multitask minus single task by")
    assert line(sizes, "all")[1:3] == [
        "+.050 (+.020 to +.080), SD .004",
        "−.050 (−.080 to −.020), SD .004",
    ]


def test_fewer_than_five_seeds_decide_nothing(monkeypatch, tmp_path):
    told = "en_unimed-teacher-forced_arf_12h"
    sizes = {"unimed-quarter": -0.01, "unimed-half": -0.03}  # a trend, if it were decided
    rows = [
        *(
            difference(f"en_{model}_all", f"en_{model}_arf_12h", value, seeds=1)
            for model, value in sizes.items()
        ),
        difference("en_unimed_all", "en_unimed_arf_12h", -0.05, seeds=1),
        difference(told, "en_unimed_arf_12h", 0.05, family="bound", seeds=1),
    ]
    few = {"seeds": [0], "bootstrap": {"resamples": 1000, "training_noise": False}}
    text, _ = write(monkeypatch, tmp_path, [result("en_unimed_all") | few], rows)
    assert "| not decided: 1 seed, 5 needed | −.050 (−.080 to −.020)" in text
    assert "training noise is not in them (1 seed, 5 needed)" in text
    own = section(text, "Single task told the truth about earlier tasks, minus single task")
    assert "Not decided: 1 seed, 5 needed." in own
    assert "helps" not in text and "refuted" not in text
    assert "of 3 comparisons 3 are not decided (1 seed, 5 needed)." in text
    told = section(text, "Multitask minus single task by training size")
    assert "Mean difference over the binary tasks: −.010 with a quarter, −.030 with half" in told
    assert "patients become fewer" not in told and "multitask does not win" not in told


def test_the_page_says_that_its_cohort_looks_ahead(monkeypatch, tmp_path):
    ahead = {"looks_ahead": ["of patients with a film at any time"]}
    for cohort, told in (({}, False), (ahead, True)):
        text, _ = write(monkeypatch, tmp_path, [result("en_unimed_all") | {"cohort": cohort}])
        assert ("looks ahead, beyond the prediction time: of patients with a film" in text) == told


def test_the_page_tells_results_with_the_noise_of_training_from_those_without(
    monkeypatch, tmp_path
):
    few = {"seeds": [0], "bootstrap": {"resamples": 1000, "training_noise": False}}
    results = [result("en_unimed_all"), result("e_unimed_all") | few]
    text, _ = write(monkeypatch, tmp_path, results)
    assert "1 of the 2 results: 1,000 bootstrap resamples of patients and training seeds (5" in text
    assert "1 of the 2 results: 1,000 bootstrap resamples of patients; training noise is" in text


def test_the_margin_is_said_to_be_fixed_beforehand(monkeypatch, tmp_path):
    rows = [difference("en_unimed_all", "en_unimed_arf_12h", 0.0, half=0.01)]
    text, _ = write(monkeypatch, tmp_path, [result("en_unimed_all")], rows)
    assert "within ±.02, a margin fixed before any result was seen" in text


def test_the_bound_has_a_section_and_no_row_among_the_papers(monkeypatch, tmp_path):
    told = "en_unimed-teacher-forced_arf_12h"
    results = [result("en_unimed_all"), result("en_unimed_arf_12h"), result(told, 0.93)]
    results.append(result("en_unimed-teacher-forced_diagnoses_48h", 0.62))
    rows = [difference(told, "en_unimed_arf_12h", 0.05, family="bound")]
    text, _ = write(monkeypatch, tmp_path, results, rows)
    own = section(text, "Single task told the truth about earlier tasks, minus single task")
    assert f"| `{told}` | `en_unimed_arf_12h` | ARF 12 h | better |" in own
    assert "helps to predict ARF 12 h" in own
    for title in ("Table I", "Table II", "Table III", "Ablations"):
        assert ".930" not in section(text, f"{title}:" if "Table" in title else title)
        assert "teacher" not in section(text, f"{title}:" if "Table" in title else title)
    assert "`en_unimed-teacher-forced_diagnoses_48h` | all | 10 | .310" in section(
        text, "Diagnoses"
    )


def test_other_horizons_have_a_table_of_their_own(monkeypatch, tmp_path):
    text, _ = write(
        monkeypatch, tmp_path, [result("en_unimed_all"), result("en_unimed_arf_4h", 0.7)]
    )
    assert "| `en_unimed_arf_4h` | ARF 4 h | .700 (.680–.720) |" in section(
        text, "Other predictions"
    )
    assert "ARF 4 h" not in section(text, "Ablations").split("## ")[0]


def test_tasks_are_in_the_order_of_time():
    results = by_name((task, result(f"e_unimed_{task}")) for task in reversed(TASKS))
    assert tasks_in_time(results)[:2] == ["shock_4h", "arf_12h"]


def test_files_that_do_not_fit_are_refused(monkeypatch, tmp_path):
    write_json(tmp_path / "x.json", {"metrics": {}})
    monkeypatch.setattr(sys, "argv", f"u --results {tmp_path}/x.json --markdown a --csv b".split())
    with pytest.raises(InputError, match=r"x.json: not a result"):
        unimed.main()
    with pytest.raises(InputError, match="a second result of en_unimed_all"):
        write(monkeypatch, tmp_path, [result("en_unimed_all")] * 2)


def test_two_versions_of_the_definitions_make_no_table(monkeypatch, tmp_path):
    new = {"definitions_version": 2}
    results = [result("en_unimed_all") | new, result("e_unimed_all")]
    with pytest.raises(InputError, match=r"e_unimed_all.json has version 1; .*en_unimed_all.json"):
        write(monkeypatch, tmp_path, results)
    rows = [difference("en_unimed_all", "en_unimed_arf_12h", 0.1)]
    with pytest.raises(InputError, match=r"contrasts.json has version 1; .*has version 2"):
        write(monkeypatch, tmp_path, results[:1], rows)


def curve(task):
    if task.startswith("diagnoses"):
        rising = [k / 50 for k in range(1, 51)]
        kinds = ("model", "low", "high", "ceiling", "prior")
        return {"reason": None, "k": list(range(1, 51)), **dict.fromkeys(kinds, rising)}
    band = {"low": GRID, "high": GRID, "oracle": None}
    return {
        "reason": None,
        "roc": {"fpr": GRID, "tpr": GRID, **band},
        "pr": {"recall": GRID, "precision": GRID, "prevalence": 0.1, **band},
        "calibration": {"predicted": GRID, "observed": GRID, **band},
    }


def words_of(path):
    return " ".join(ElementTree.parse(path).getroot().itertext())


def test_curves_of_every_task_and_of_none(monkeypatch, tmp_path):
    made = result("en_unimed_all")
    drawn = {task: curve(task) for task in TASKS}
    drawn["shock_4h"] = {"reason": "one class only", "roc": None, "pr": None, "calibration": None}
    empty = dict.fromkeys(["model", "low", "high", "ceiling", "prior"])
    for number, last in enumerate(
        (drawn["diagnoses_48h"], {"reason": "no stays", "k": [50], **empty})
    ):
        write_json(tmp_path / "r.json", made)
        write_json(tmp_path / "c.json", {"tasks": {**drawn, "diagnoses_48h": last}})
        outputs = [tmp_path / f"{number}{run}.svg" for run in range(2)]
        for output in outputs:
            arguments = f"x --result {tmp_path}/r.json --curves {tmp_path}/c.json --output {output}"
            monkeypatch.setattr(sys, "argv", arguments.split())
            curves.main()
        assert outputs[0].read_bytes() == outputs[1].read_bytes()
        words = words_of(outputs[0])
        assert "not shown:" in words
        assert "880 with one of 187 groups" in words
        assert ("prior 0.210" in words) == (number == 0)


def test_attention_shows_its_numbers_or_says_that_there_is_none(monkeypatch, tmp_path):
    alone = result("en_unimed_arf_12h")
    without = result("en_unimed-gru_all") | {"attention": None}
    figure = tmp_path / "unimed_attention.svg"
    for results, parts in (
        (
            [result("en_unimed_all"), alone, without],
            ["time-invariant", ".600", ".333", "en_unimed_all"],
        ),
        ([alone], ["en_unimed_arf_12h", "none before it"]),
        ([without], ["no model with attention"]),
    ):
        write(monkeypatch, tmp_path, results, figures=[str(figure)])
        words = words_of(figure)
        assert all(part in words for part in parts)
        assert "unimed-gru_all" not in words


def test_the_report_lists_a_figure_per_task_or_two_of_one_task():
    columns = headline(result("en_unimed_all"))
    assert list(columns) == ["result", "Shock 4 h, AUROC", "ARF 12 h, AUROC",
                             "Mortality 48 h, AUROC", "Diagnoses 48 h, Recall@10"]  # fmt: skip
    assert columns["Diagnoses 48 h, Recall@10"] == "0.400 (0.380 to 0.420)"
    alone = headline(result("e_unimed_diagnoses_48h"))
    assert list(alone) == ["result", "Recall@10", "AUROC"] and alone["AUROC"].startswith("0.800 (")


def test_the_report_lists_a_result_without_metrics():
    none = {"reason": "few", "recall": None, "macro_auroc": estimate(None)}
    own = {"diagnoses_48h": {"vocabulary": [1], "metrics": {"test": none}}}
    columns = headline({"target": "e_unimed_diagnoses_48h", "tasks": own})
    assert columns == {"result": "e_unimed_diagnoses_48h", "Recall@10": "–", "AUROC": "–"}
