"""Words of a kit: verdicts by whole intervals, nothing claimed that the result does not hold."""

import pytest
from kit_at_hand import NONE, REASON, estimate, explanations, kit_of
from pydantic import TypeAdapter

from pipeline.kit import card, checklist
from pipeline.kit.figures import pictures
from pipeline.kit.groups import MEASURES
from pipeline.kit.methods import methods
from pipeline.kit.sections import sections
from pipeline.kit.tables import TABLES, tables
from pipeline.kit.verdicts import (
    calibration_verdict,
    decision_verdict,
    fairness_verdict,
    recalibration_verdict,
    training_verdict,
)
from pipeline.kit.words import headline, limits, results
from pipeline.stage.curves import TaskCurves
from pipeline.stage.kit import Numbers

KINDS = [
    {},
    {"hidden": True, "kind": "mimic"},
    {"reason": REASON, "kind": "mimic", "target": "e_unimodal_mortality"},
]


@pytest.mark.parametrize("more", KINDS)
def test_made_up_kits_are_of_the_types(more):
    kit = kit_of(**more)
    TypeAdapter(Numbers).validate_python(kit.numbers)
    TypeAdapter(TaskCurves).validate_python(kit.curves)


def with_calibration(slope, large):
    kit = kit_of()
    kit.numbers["calibration"][0] |= {"slope": slope, "in_the_large": large}
    return kit


@pytest.mark.parametrize(
    ("slope", "large", "verdict"),
    [
        (estimate(1.0, 0.1), estimate(0.0, 0.1), "Calibration is good"),
        (estimate(1.0, 0.3), estimate(0.0, 0.1), "cannot be told"),
        (estimate(1.0, 0.1), estimate(0.0, 0.25), "cannot be told"),
        (estimate(1.0, 0.1), NONE, "cannot be told"),
        (estimate(0.6, 0.1), estimate(0.0, 0.1), "Calibration is off"),
        (estimate(1.0, 0.3), estimate(0.5, 0.1), "Calibration is off"),
    ],
)
def test_calibration_is_good_only_where_whole_intervals_are(slope, large, verdict):
    assert verdict in calibration_verdict(with_calibration(slope, large))


@pytest.mark.parametrize(
    ("slope", "large", "unknown"),
    [
        (estimate(1.0, 0.3), NONE, "the interval in the large is not known"),
        (NONE, estimate(0.0, 0.1), "the interval of the slope is not known"),
        (NONE, NONE, "the interval of the slope and in the large is not known"),
    ],
)
def test_an_interval_that_is_not_known_is_not_said_to_cross(slope, large, unknown):
    text = calibration_verdict(with_calibration(slope, large))
    assert unknown in text and "crosses" not in text


def test_recalibration_that_makes_it_worse_is_called_worse():
    kit = kit_of()
    kit.numbers["calibration"][1]["brier_minus_none"] |= estimate(0.01, 0.005)
    kit.numbers["calibration"][2]["brier_minus_none"] |= estimate(-0.01, 0.005)
    text = recalibration_verdict(kit)
    assert "after Platt scaling: Brier score worse" in text
    assert "Brier score better" in text.partition("temperature")[2]


@pytest.mark.parametrize("gap", [estimate(-0.01, 0.005), estimate(0.01, 0.005)])
def test_no_verdict_rests_on_a_distance(gap):
    """ICI and E-max are biased upward in resamples: a value may lie below its own interval."""
    kit = kit_of()
    for one in kit.numbers["calibration"]:
        one["ici_minus_none"] = {**one["ici_minus_none"], **gap}
    text = recalibration_verdict(kit)
    assert "better" not in text and "worse" not in text
    assert f"ICI changed by {'−+'[gap['value'] > 0]}0.0100" in text
    assert "can lie below their own intervals" in tables(kit)["calibration"].note


@pytest.mark.parametrize("verdict", [recalibration_verdict, decision_verdict, fairness_verdict])
def test_a_verdict_without_the_noise_of_training_is_of_one_training_alone(verdict):
    kit = kit_of()
    kit.numbers["calibration"][1]["brier_minus_none"] |= estimate(0.01, 0.005)
    assert verdict(kit).count(", for this training alone") == 1
    kit.result["seeds"] = [0, 1]
    assert ", for these trainings alone" in verdict(kit)
    kit.result["bootstrap"]["training_noise"] = True
    assert "alone" not in verdict(kit)
    assert "alone" not in verdict(kit_of(target="e_sofa_mortality"))
    assert "each judged by itself" in decision_verdict(kit)


def folded(**more):
    """A kit of three folds; its result counts all of them, the kit the first."""
    kit = kit_of(**more)
    kit.result["folds"] = kit.numbers["head"]["folds"] = 3
    kit.test.update(n=1504, patients=1127, positives=306)
    return kit


def test_figures_of_all_folds_stand_beside_the_patients_of_all():
    kit = folded()
    told = "1,504 admissions of 1,127 patients, 306 with the outcome (the test parts of 3 folds"
    assert told in headline(kit)[0] and told in results(kit)[0] and told in card.markdown(kit)
    hidden = folded(hidden=True, kind="mimic")
    assert "1,500 admissions of 1,130 patients, 310 with the outcome" in headline(hidden)[0]
    hidden.test.update(n=1504, positives=">1494")
    assert "a hidden number with the outcome (the test" in headline(hidden)[0]
    assert "folds" not in headline(kit_of())[0]


def test_what_is_of_the_first_fold_says_so():
    made, kit = tables(folded()), folded()
    assert "Splits are those of the first fold." in made["table_one"].note
    assert "sums over folds" in made["operating_points"].note
    assert "Thresholds are means over runs" in made["operating_points"].note
    assert "Splits (of the first fold): " in pictures(kit)["flow"].alt
    assert "the other parts (of the first fold): " in card.markdown(kit)
    assert "fold" not in " ".join(one.note for one in tables(kit_of()).values())
    assert "first fold" not in pictures(kit_of())["flow"].alt + card.markdown(kit_of())


def test_hidden_thresholds_are_not_taken_for_no_benefit():
    kit = kit_of(hidden=True)
    text = decision_verdict(kit)
    assert "10 thresholds are hidden" in text and "nothing can be said" in text
    assert "no benefit" not in text
    assert "0.05 to 0.3" in text and "0.4, and" not in text


def test_benefit_is_claimed_only_where_the_interval_is_above_both_defaults():
    kit = kit_of()
    gain = kit.numbers["decision"]["model_minus_default"]
    gain["low"] = [-0.01] * 40
    assert "of treating none at none" in decision_verdict(kit)


@pytest.mark.parametrize("measure", MEASURES)
def test_groups_that_differ_by_any_measure_are_named(measure):
    kit = kit_of(hidden=True)
    groups = kit.numbers["fairness"]["attributes"][1]["groups"]
    groups[2]["minus_rest"][measure] |= estimate(-0.1, 0.02)
    told = fairness_verdict(kit).partition(": ")[2].split("; ")
    for (name, one), part in zip(MEASURES.items(), told, strict=True):
        words, differs = one.words, name == measure
        assert part.startswith(f"by {words} (measured in 4) "), part
        assert (f"Age {groups[2]['group']} (−0.100" in part) == differs
        assert ("none" in part) != differs
    assert "Of 16 groups" in fairness_verdict(kit)
    assert "hidden, says nothing of the groups" in fairness_verdict(kit)


def test_a_measure_of_no_group_is_not_called_equal():
    kit = kit_of()
    for one in kit.numbers["fairness"]["attributes"]:
        for group in one["groups"]:
            group["minus_rest"]["ppv"] |= NONE
    text = "by positive predictive value (measured in none) nothing can be said."
    assert text in fairness_verdict(kit)


def test_the_noise_of_training_is_claimed_only_with_enough_seeds():
    kit = kit_of()
    assert "1 seed, 5 needed" in training_verdict(kit)
    kit.result["bootstrap"]["training_noise"] = True
    assert training_verdict(kit) == "Intervals are over patients and training seeds."


def test_the_headline_says_how_good_how_sure_and_what_it_is_not_for():
    for more in KINDS:
        good, sure, use = headline(kit_of(**more))
        assert ("AUROC 0.850" in good) == (REASON not in good)
        assert "Intervals are over patients alone" in sure and "may not be used" in use
    assert "synthetic" in headline(kit_of())[2]
    assert "synthetic" not in headline(kit_of(kind="mimic"))[2]


def test_counts_in_words_are_those_of_the_kit_not_of_the_result():
    """The result's are exact: beside rounded ones they would tell small numbers."""
    kit = kit_of(hidden=True, kind="mimic")
    for split, number in zip(
        ("train", "fusion", "val", "test"), (7771, 7772, 7773, 7774), strict=True
    ):
        kit.part["metrics"][split]["n"] = kit.part["metrics"][split]["positives"] = number
    kit.part["sensitivity"][0]["n"] = kit.result["cohort"]["episodes"] = 7775
    kit.result["unreadable_films"] = {"needed": 7776, "unreadable": 7777}
    words = [*headline(kit), *methods(kit), *results(kit), *limits(kit), card.markdown(kit)]
    words += [one.markdown() for one in tables(kit).values()]
    words += [str(section) for section in sections(kit)]
    assert not [text for text in words if "777" in text or "7,77" in text]


@pytest.mark.parametrize("more", KINDS)
def test_every_text_and_table_is_made_of_small_and_empty_results(more):
    kit = kit_of(**more)
    assert all(methods(kit)) and all(results(kit))
    made = tables(kit)
    assert set(made) == set(TABLES)
    for name, one in made.items():
        widths = {len(line.cells) for line in one.lines if line.cells}
        assert widths <= {len(one.header) - 1}, name
        assert one.lines or one.reason, name
        assert len(one.rows()) >= 1
    assert "None" not in card.markdown(kit)


def test_hidden_counts_stay_hidden_in_tables():
    made = tables(kit_of(hidden=True, kind="mimic"))
    row = next(line for line in made["groups"].lines if line.label == "F")
    assert set(row.cells) == {"hidden", "–"}
    assert "multiples of 10" in made["table_one"].note
    assert "multiples" not in tables(kit_of())["table_one"].note


def test_an_operating_point_that_is_hidden_is_told_apart_from_none():
    kit = kit_of()
    kit.numbers["operating_points"][0] |= {"reason": "a cell holds fewer than 10"}
    one = tables(kit)["operating_points"]
    assert len(one.lines) == 3 and "hidden is not the same as none" in one.note


def test_a_recalibration_that_was_not_fitted_is_not_said_to_be():
    kit = kit_of()
    reason = "not fitted: fewer than 10 positive validation episodes"
    for one in kit.numbers["calibration"]:
        if one["method"] != "none":
            one["reason"] = reason
    assert recalibration_verdict(kit) == (
        f"Platt scaling was {reason}. Temperature scaling was {reason}."
    )
    assert "fitted. Nothing" not in " ".join(methods(kit))
    assert len(tables(kit)["calibration"].lines) == 1
    kit.numbers["head"]["recalibration"] = "platt"  # the result kept its own risks
    assert "0.94" in calibration_verdict(kit) or "slope 1.02" in calibration_verdict(kit)


def test_an_end_that_rounds_to_a_bound_has_a_third_decimal():
    kit = kit_of()
    kit.numbers["calibration"][0] |= {
        "slope": estimate(1.0, 0.1), "in_the_large": {"value": -0.05, "low": -0.204, "high": 0.1},
    }  # fmt: skip
    text = calibration_verdict(kit)
    assert "−0.204" in text and "the interval in the large crosses" in text


@pytest.mark.parametrize("kind", ["hourly", "meds"])
def test_words_are_those_of_the_kind_of_source(kind):
    kit = kit_of(kind=kind, target="e_unimodal_icumortality_24h")
    text = " ".join([*methods(kit), *limits(kit)])
    assert ("so that none is in two parts" in text) == (kind == "meds")
    assert ("each stay was taken for a patient" in text) == (kind == "hourly")
    assert ("storetime" in text) == (kind == "meds") and "later" in text


def test_what_is_left_out_of_a_figure_is_told_beside_it():
    kit = kit_of()
    kit.numbers["table_one"]["reason_outcome"] = "positives of val are hidden"
    kit.numbers["fairness"]["attributes"][0]["groups"][0]["reason_rest"] = "few others"
    kit.numbers["decision"]["sofa_unknown"] = 31.4
    made = tables(kit)
    assert "Not by outcome: positives of val are hidden." in made["table_one"].note
    assert "Not shown: Sex F: few others" in made["group_differences"].note
    assert "few others" not in made["groups"].note
    assert "of 31 test episodes SOFA is not known" in decision_verdict(kit)
    assert "SOFA is not known" not in decision_verdict(kit_of())


def test_a_table_is_the_same_in_csv_and_markdown():
    one = tables(kit_of())["operating_points"]
    text = one.markdown()
    for row in one.rows():
        assert all(cell in text for cell in row.values())


def test_an_explanation_that_is_no_better_than_chance_is_said_to_be_none():
    kit = kit_of(explanations=explanations())
    section = next(one for one in sections(kit) if one.key == "explanations")
    good, *_, bad = section.bullets
    assert "better than a random attribution" in good and "not informative" in bad
    assert "explained_statistics" in section.figures
    none = next(one for one in sections(kit_of()) if one.key == "explanations")
    assert not none.figures and "No model" in none.text[0]


def section_of(kit, key):
    return next(one for one in sections(kit) if one.key == key)


def test_a_single_model_is_not_said_to_fuse_or_to_share_out():
    kit = kit_of(target="e_unimodal_mortality", explanations=explanations())
    (text,) = section_of(kit, "attribution").text
    assert "one modality alone" in text and "Shapley" not in text and "beside single" not in text
    assert "fused" not in section_of(kit, "explanations").text[0]
    fused = kit_of(explanations=explanations())
    assert "not the fused model" in section_of(fused, "explanations").text[0]


def test_settings_are_shown_as_json():
    kit = kit_of()
    kit.result["settings"]["cohort"]["ids"] = None
    lines = {line.label: line.cells[0] for line in section_of(kit, "settings").more[0].lines}
    assert lines["availability.enforced"] == "true" and lines["missing"] == "any"
    assert lines["availability.labs"] == '["storetime", "charttime"]'
    assert lines["class_weights"] == "{}" and lines["cohort.ids"] == "null"


def test_the_worth_of_modalities_is_looked_for_where_it_is():
    kit = kit_of()
    assert "told under Missing modalities and under Disc" in section_of(kit, "attribution").text[0]
    kit.part["missing"] = None
    assert "told under Discrimination" in section_of(kit, "attribution").text[0]
    kit.part["comparisons"]["singles"] = {}
    assert "is told" not in section_of(kit, "attribution").text[0]


def test_attention_is_called_descriptive():
    kit = kit_of(target="e_unimed_mortality")
    kit.result["attention"] = {
        "modality": {"mortality": {"e": {"value": 0.6, "sd": None}}}, "task": {}
    }  # fmt: skip
    section = next(one for one in sections(kit) if one.key == "attribution")
    assert "not an explanation" in section.text[0] and section.more[0].lines[1].label == "EHR"


class TestChecklist:
    def test_it_has_the_items_of_tripod_ai(self):
        names = [item["item"] for item in checklist.items()]
        parts = {"3": "abc", "5": "ab", "6": "abc", "8": "abc", "9": "abc", "12": "abcdefg",
                 "18": "abcdef", "20": "abc", "23": "ab", "27": "abc"}  # fmt: skip
        expected = [f"{n}{letter}" for n in map(str, range(1, 28)) for letter in parts.get(n, [""])]
        assert names == expected and len(names) == 52

    def test_every_item_is_answered_somewhere_or_left_to_the_authors(self):
        for item in checklist.items():
            assert item["status"] in ("answered", "partly", "authors")
            assert item["where"] or item["status"] == "authors"

    def test_what_no_file_can_know_is_left_to_the_authors(self):
        """Dates of accrual, blinding, differences of the data, poor input, treatments, ethics."""
        left = {item["item"] for item in checklist.items() if item["status"] == "authors"}
        assert {"5b", "8c", "16", "27a", "6c", "17", "10", "22", "12d", "23b"} <= left
        whole = {item["item"] for item in checklist.items() if item["status"] == "answered"}
        assert not whole & {"11", "12a", "8a", "20a", "20b", "20c", "14", "15"}

    def test_sections_that_are_named_are_on_the_page(self):
        titles = {section.title for section in sections(kit_of())}
        named = {
            "Calibration",
            "Operating points",
            "Discrimination",
            "Groups",
            "What it cannot say",
        }
        assert named <= titles
        text = checklist.markdown(kit_of())
        assert all(title.split()[0] in text for title in named)

    def test_an_item_whose_figures_are_missing_is_not_claimed(self):
        whole = {item["item"]: item["status"] for item in checklist.judged(kit_of())}
        empty = {item["item"]: item["status"] for item in checklist.judged(kit_of(**KINDS[2]))}
        for item in ("12f", "24", "23a", "12e"):
            assert (whole[item], empty[item]) == ("answered", "authors"), item

    @staticmethod
    def of(kit, item):
        return next(one for one in checklist.judged(kit) if one["item"] == item)

    @pytest.mark.parametrize("item", ["12f", "24"])
    def test_only_ways_that_were_fitted_are_answered(self, item):
        kit = kit_of()
        kit.numbers["calibration"][2]["reason"] = "one class"
        own = self.of(kit, item)
        assert own["status"] == "partly" and own["where"].endswith("temperature scaling: not shown")
        kit.numbers["calibration"][1]["reason"] = "one class"
        assert self.of(kit, item)["status"] == "authors"

    def test_what_is_hidden_is_answered_partly(self):
        hidden = kit_of(hidden=True, kind="mimic")
        for item in ("12e", "23a"):
            own = self.of(hidden, item)
            assert own["status"] == "partly" and "decision curve and groups" in own["where"]
        assert self.of(hidden, "21")["status"] == self.of(hidden, "6b")["status"] == "answered"
        hidden.numbers["flow"]["splits"][3]["positives"] = "<10"
        assert self.of(hidden, "21")["status"] == "partly"
        hidden.numbers["flow"]["steps"][1]["excluded"] = "hidden"
        assert "small counts are hidden" in self.of(hidden, "6b")["where"]

    @pytest.mark.parametrize("part", ["curves", "calibration", "points", "groups"])
    def test_performance_that_is_not_shown_is_named(self, part):
        kit = kit_of()
        if part == "curves":
            kit.curves["roc"] = None
        elif part == "groups":
            kit.numbers["fairness"]["attributes"][0]["groups"][0]["reason_at_threshold"] = "few"
        else:
            key = {"points": "operating_points"}.get(part, part)
            kit.numbers[key][0]["reason"] = "few"
        own = self.of(kit, "23a")
        assert own["status"] == "partly" and own["where"].endswith(part), own

    def test_weights_of_classes_are_claimed_only_where_methods_say_something_of_them(self):
        for model, status in (("early", "partly"), ("gbdt", "partly"), ("unimed", "authors")):
            kit = kit_of(target=f"ecn_{model}_mortality")
            own = self.of(kit, "13")
            assert own["status"] == status
            assert ("class weights" in " ".join(methods(kit))) == (status == "partly")
            assert "settings" not in own["where"]

    def test_the_numbers_of_its_summary_add_up(self):
        own = checklist.judged(kit_of())
        answered = sum(item["status"] == "answered" for item in own)
        assert f"Of {len(own)} items and sub-items {answered} are answered" in checklist.markdown(
            kit_of()
        )


UNTRAINED = ("e_sofa_mortality", "e_oasis_mortality", "e_logistic-stats_mortality",
             "e_gbdt-stats_mortality")  # fmt: skip


def everything(kit):
    """All words of a kit but the settings, which hold what the config says of other models."""
    parts = [*headline(kit), *methods(kit), *results(kit), *limits(kit), card.markdown(kit)]
    parts += [one.markdown() for one in tables(kit).values()]
    parts += [one.alt for name, one in pictures(kit).items() if not name.startswith("explained")]
    parts += [str(one) for one in sections(kit) if one.key not in ("settings", "explanations")]
    return "\n".join(parts)


@pytest.mark.parametrize("target", UNTRAINED)
def test_a_model_without_encoders_is_not_said_to_have_any(target):
    kit = kit_of(target=target)
    kit.result["training"] = []
    text = everything(kit)
    for word in ("encoder", "checkpoint", "raining seeds: 0", "training seed was", "not over train",
                 "training of fusion", "head was", "training noise"):  # fmt: skip
        assert word not in text, word
    assert "draws nothing at random" in text and "both training shares" in text
    assert "training, first share" in text and "training, second share" in text
    assert "Training, second share" in tables(kit)["table_one"].header


def test_a_score_is_named_alone():
    kit = kit_of(target="e_sofa_mortality")
    assert kit.words == "SOFA" and "of EHR" not in everything(kit)
    assert kit_of(target="c_unimodal_mortality").words == "a model that reads chest films alone"


@pytest.mark.parametrize(
    ("target", "chosen"),
    [
        ("ecn_early_mortality", "checkpoints of the networks, penalty and width of the head"),
        ("ecn_joint_mortality", "checkpoints of the networks, penalty and width of the head"),
        ("e_unimodal_mortality", "checkpoints of the networks, penalty and width of the head"),
        ("ecn_gbdt_mortality", "checkpoints of the networks, depth, rate and number of the trees"),
        ("e_logistic-stats_mortality", "Validation chose the strength of the regression's penalty"),
        ("ecn_unimed_mortality", "chose the checkpoints of the networks and thresholds;"),
        ("e_sofa_mortality", "Validation chose thresholds;"),
    ],
)
def test_what_validation_chose_is_said_of_each_model(target, chosen):
    kit = kit_of(target=target)
    if target in UNTRAINED:
        kit.result["training"] = []
    text = methods(kit)[3]
    assert chosen in text
    assert "on it Platt scaling and temperature scaling were fitted" in text
    kit.numbers["calibration"][2]["reason"] = "one class"
    assert "on it Platt scaling was fitted. Nothing" in methods(kit)[3]


def test_all_of_unimed_is_trained_together_and_a_head_apart():
    texts = [methods(kit_of(target=f"ecn_{model}_mortality"))[3]
             for model in ("unimed-gru", "early", "joint")]  # fmt: skip
    assert (
        "together, on both training shares" in texts[0] and "training of encoders" not in texts[0]
    )
    assert all("had not seen" in text and "training of encoders" in text for text in texts[1:])


@pytest.mark.parametrize(
    ("target", "read", "other"),
    [
        ("ecn_early_mortality", {"vitals", "films", "notes", "procedures"}, set()),
        ("c_unimodal_mortality", {"films"}, {"vitals", "notes", "labs"}),
        ("e_gbdt-stats_mortality", {"vitals", "labs", "procedures"}, {"films", "notes"}),
        ("e_sofa_mortality", {"vitals", "labs"}, {"films", "notes", "procedures"}),
        ("e_oasis_mortality", {"vitals"}, {"films", "notes", "procedures", "labs"}),
    ],
)
def test_what_counts_as_known_is_told_of_what_the_model_reads(target, read, other):
    text = methods(kit_of(target=target))[2].partition("prediction time was read")[2]
    assert all(kind in text for kind in read) and not any(kind in text for kind in other)


def test_methods_claim_no_measurement_that_is_not_there():
    kit = kit_of(**KINDS[2])
    assert methods(kit)[-1] == f"On test nothing was measured: {REASON}."
    assert "On test we measured" not in card.markdown(kit)
    kit = kit_of()
    kit.numbers["decision"]["reason"] = "one class"
    kit.numbers["calibration"][0]["smooth"] = None
    for one in kit.numbers["fairness"]["attributes"]:
        for group in one["groups"]:
            group["ppv"] |= NONE
    text = methods(kit)[-1]
    assert "net benefit" not in text and "smooth" not in text
    assert "sensitivity and specificity by group" in text and "AUROC" in text


def test_class_weights_are_said_where_there_are_any():
    kit = kit_of()
    assert "No class weights were used." in methods(kit)[4]
    kit.result["settings"]["class_weights"] = {"longstay": {"e": [1.0, 2.0]}}
    assert "No class weights were used." in methods(kit)[4]
    kit.result["settings"]["class_weights"] = {"mortality": {"e": [1.0, 2.0]}}
    assert "weighted by class" in methods(kit)[4]


def test_the_card_has_the_headings_of_mitchell():
    text = card.markdown(kit_of())
    for heading in ("Model details", "Intended use", "Factors", "Metrics", "Evaluation data",
                    "Training data", "Quantitative analyses", "Ethical considerations",
                    "Caveats and recommendations"):  # fmt: skip
        assert f"\n## {heading}\n" in text
