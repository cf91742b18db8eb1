"""Words of a kit: the headline, its limits, the paragraphs of results; every number from files."""

from typing import Any

from pipeline.evaluation.sections.suppression import HIDDEN, rounded_count
from pipeline.kit.flow import amount
from pipeline.kit.inputs import Kit, listed, words_of_source
from pipeline.kit.tables import counted, rounding, without
from pipeline.kit.verdicts import (
    calibration_verdict,
    ceiling_verdict,
    decision_verdict,
    fairness_verdict,
    recalibration_verdict,
    training_verdict,
)
from pipeline.report.names import letter_words
from pipeline.report.numbers import number, with_interval

PUBLISHED = (
    "so that a patient may be in several parts, and reports of test episodes may be learnt from"
)
UNITS = {"admission": "admissions", "ICU stay": "ICU stays"}


def episodes(kit: Kit) -> str:
    """What episodes are, in the plural."""
    return UNITS.get(kit.unit, "episodes")


def of_split(kit: Kit, split: str) -> Any:
    """The shown counts of a split; all unknown where there is none."""
    own = (one for one in kit.numbers["flow"]["splits"] if one["split"] == split)
    return next(own, dict.fromkeys(("episodes", "patients", "positives")))


def counts(kit: Kit, split: str = "test") -> str:
    """How many there are in a split, as far as it is shown."""
    return _counts(kit, of_split(kit, split))


def _counts(kit: Kit, one: Any) -> str:
    return (f"{amount(one['episodes'], episodes(kit))} of {amount(one['patients'], 'patients')}, "
            f"{amount(one['positives'], 'with the outcome')}")  # fmt: skip


def tested(kit: Kit) -> str:
    """How many the figures of test are of: with folds those of all, which the result counts.

    They are shown as a kit shows counts, not exactly as in the result.
    """
    if kit.result["folds"] == 1:
        return counts(kit)
    least = kit.numbers["head"]["suppressed_below"]
    names = {"episodes": "n", "patients": "patients", "positives": "positives"}
    shown = {name: kit.test[key] for name, key in names.items()}
    for name, n in shown.items():
        shown[name] = rounded_count(n, least) if isinstance(n, int) else n and HIDDEN
    return f"{_counts(kit, shown)} (the test parts of {kit.result['folds']} folds together)"


def corrected(kit: Kit) -> bool:
    """Whether the result follows the corrected protocol, which learns nothing of test patients."""
    return kit.result["protocol"] == "corrected"


def headline(kit: Kit) -> list[str]:
    """Three sentences: how good, how sure, and what it may not be used for."""
    auroc = kit.test["auroc"]
    if auroc["value"] is None:
        good = f"How good {kit.words} is cannot be said: {kit.test['reason'] or 'no metrics'}."
    else:
        learnt = ", from which nothing was learnt,"
        if kit.result["folds"] > 1:
            learnt = ", each ranked by a model that learnt nothing from its fold's test part,"
        who = f"{tested(kit)}{learnt if corrected(kit) else ''}"
        good = (f"On {who} {kit.words} ranks an episode "
                f"with the outcome above one without it in {100 * auroc['value']:.0f} % of pairs "
                f"(AUROC {number(auroc['value'])}, 95 % interval {number(auroc['low'])} to "
                f"{number(auroc['high'])}).")  # fmt: skip
    sure = (f"{_joined(training_verdict(kit), calibration_verdict(kit))}")  # fmt: skip
    return [good, sure, limits(kit)[0]]


def _joined(first: str, second: str) -> str:
    """Two sentences as one.

    >>> _joined("It is so.", "Calibration is off.")
    'It is so; calibration is off.'
    """
    return f"{first.removesuffix('.')}; {second[:1].lower()}{second[1:]}"


def limits(kit: Kit) -> list[str]:
    """What the result cannot say, the most important first."""
    if kit.synthetic:
        first = (
            "It may not be used for any patient: the patients are synthetic, and what the data "
            "tell was planted, so the numbers show that the method works and not how well it "
            "would do in a hospital."
        )
    else:
        first = ("It may not be used to decide about patients: it was measured in retrospect on "
                 "records of the source it was trained on, not in another hospital, not "
                 "prospectively, and not for its effect on care.")  # fmt: skip
    made = [first, *filter(None, [words_of_source(kit).get("limits")])]
    if reasons := kit.result["cohort"]["looks_ahead"]:
        made.append(
            f"The cohort asks for what is known only after the prediction time: "
            f"{'; '.join(reasons)}. Such a cohort cannot be told when one predicts."
        )
    if not corrected(kit):
        made.append("It follows the published protocol, which keeps the choices of the paper, its "
                    f"flaws included: its parts were made {PUBLISHED}.")  # fmt: skip
    made.append(training_verdict(kit))
    made.append("Differences between groups, and what a model attends to or loses when a modality "
                "is missing, are associations: they show neither causes nor what would happen if "
                "care were changed.")  # fmt: skip
    if kit.numbers["head"]["suppressed_below"]:
        made.append(f"{rounding(kit)} What is hidden may be good or bad: nothing follows from it.")
    unknown = [(one["words"], one["reason"]) for one in kit.numbers["fairness"]["attributes"]
               if one["reason"]]  # fmt: skip
    made += [f"Of these groups it says nothing. {without(unknown)}."] if unknown else []
    return made


def results(kit: Kit) -> list[str]:
    """Paragraphs: the cohort, discrimination, calibration, use, groups, missing modalities."""
    first = kit.numbers["flow"]["steps"][0] if kit.numbers["flow"]["steps"] else None
    begun = (f"Of {counted(first['episodes'])} {episodes(kit)} that met the first condition "
             f"({first['condition']}), " if first else "")  # fmt: skip
    overall = kit.numbers["table_one"]["columns"][0]
    kept = f"{counted(overall['episodes'])} were kept; test holds {tested(kit)}."
    cohort = f"{begun}{kept}" if first else kept[:1].upper() + kept[1:]
    parts = [cohort, _discrimination(kit)]
    parts.append(f"{calibration_verdict(kit)} {recalibration_verdict(kit)}".strip())
    parts += [decision_verdict(kit), _threshold(kit), fairness_verdict(kit), _lost(kit)]
    return [part for part in parts if part]


def _discrimination(kit: Kit) -> str:
    test = kit.test
    if test["auroc"]["value"] is None:
        return f"Discrimination is not shown: {test['reason'] or 'no metrics'}."
    text = (
        f"AUROC was {with_interval(test['auroc'])}, average precision "
        f"{with_interval(test['auprc'])} and the Brier score {with_interval(test['brier'])}."
    )
    told = kit.part.get("comparisons") or {}
    single = told.get("singles", {}).get(told.get("best_single"))
    if single and single["model_minus_single"]["value"] is not None:
        letter = told["best_single"].partition("_")[0]
        gain = with_interval(single["model_minus_single"], sign=True)
        text += (
            f" Against the best single modality on validation ({letter_words(letter, kit.letters)}"
            f") the difference of AUROC was {gain}."
        )
    for names, words in (("beaten_by", "The intervals say that it is worse than"),
                         ("not_better_than", "It cannot be told apart from")):  # fmt: skip
        if told.get(names):
            text += f" {words} {listed(list(told[names]))}."
    return f"{text} {ceiling_verdict(kit)}".strip()


def _threshold(kit: Kit) -> str:
    own = next(
        (one for one in kit.numbers["operating_points"] if one["chosen_by"] == "result"), None
    )
    if own is None or own["reason"]:
        return f"At the result's threshold nothing is shown: {own['reason']}." if own else ""
    return (
        f"At the result's own threshold sensitivity was "
        f"{with_interval(own['sensitivity'])}, specificity {with_interval(own['specificity'])}, "
        f"the positive predictive value {with_interval(own['ppv'])}, with alerts for "
        f"{number(own['alert_rate']['value'])} of the {episodes(kit)}."
    )


def _lost(kit: Kit) -> str:
    rows = [row for row in kit.part.get("missing") or [] if row["rate"] == 1.0]
    rows.sort(key=lambda row: kit.result["modalities"].find(row["modality"]))
    told = [f"without {letter_words(row['modality'], kit.letters)} by "
            f"{with_interval(row['minus_complete'], sign=True)}" for row in rows
            if row["minus_complete"]["value"] is not None]  # fmt: skip
    if not told:
        return ""
    return f"With a modality made missing in all test episodes AUROC changed {listed(told)}."


def paragraphs(title: str, parts: list[str]) -> str:
    """A heading and paragraphs as Markdown."""
    return "\n\n".join([f"# {title}", *parts]) + "\n"
