"""The methods of a kit in words: source, cohort, predictors, model, evaluation; what was done."""

from typing import Any

from pipeline.fusion.registry import MODELS
from pipeline.kit import fitted
from pipeline.kit.calibration import METHODS, calibrated_by
from pipeline.kit.groups import MEASURES
from pipeline.kit.inputs import Kit, listed, words_of_source
from pipeline.kit.tables import counted, rounding
from pipeline.kit.words import PUBLISHED, corrected, counts, episodes, of_split
from pipeline.meds.source import UNKNOWN
from pipeline.report.names import letter_words

# kinds of the availability rule by the modality that reads them, and by the table that they are of
KINDS = {"ehr": ("vitals", "outputs", "labs", "procedures", "infusions"), "cxr": ("films",),
         "note": ("notes",)}  # fmt: skip
TABLES = {"vitals": "chartevents", "outputs": "outputevents", "labs": "labevents",
          "infusions": "inputevents"}  # fmt: skip


def source_words(kit: Kit) -> str:
    """What the data are."""
    settings = kit.result["settings"]
    if kit.synthetic:
        patients = settings.get("hospital", {}).get("patients")
        size = f" of {patients:,} patients" if patients else ""
        return f"a synthetic hospital{size}, shaped like MIMIC-IV, with planted effects"
    releases = (kit.part["definition"] or {}).get("releases") or kit.result["source"].get(
        "releases"
    )
    named = [f"{title} {version}".removesuffix(f" {UNKNOWN}")
             for title, version in (releases or {}).items()]  # fmt: skip
    return f"{listed(named)}" if named else "MIMIC"


def methods(kit: Kit) -> list[str]:
    """Paragraphs: source and cohort, outcome, predictors, model, missing data, evaluation."""
    definition = kit.part["definition"] or {}
    steps = "; ".join(step["condition"] for step in kit.numbers["flow"]["steps"])
    settings = kit.result["settings"]
    data = (f"We developed and internally evaluated a prediction model in a retrospective cohort "
            f"from {source_words(kit)}. Episodes were {episodes(kit)}; the conditions of the "
            f"cohort, in order, were: {steps or 'not recorded'}.")  # fmt: skip
    when = words_of_source(kit).get("clock", _hours(definition))
    outcome = (f"The question was: {definition.get('question', kit.task_words)} "
               f"It was asked {when}.")  # fmt: skip
    return [data, outcome, _predictors(kit), _split(kit), _model(kit, settings),
            _missing(kit, settings), _evaluation(kit)]  # fmt: skip


def _hours(definition: Any) -> str:
    hours, clock = definition.get("hours"), definition.get("clock_zero")
    if hours is None or not clock:
        return "at the prediction time of the task"
    return f"{hours:g} hours after {clock}"


def _predictors(kit: Kit) -> str:
    """What the model reads, by which encoder, and when it must have been known."""
    encoders = kit.result["settings"].get("encoders", {})
    how = {"statistics": " (statistics of each signal)", "scores": " (the items of the score)"}
    read = [
        letter_words(letter, kit.letters)
        + how.get(fitted.features(kit),
                  f" (encoder {encoders[letter]})" if letter in encoders else "")
        for letter in kit.result["modalities"]
    ]  # fmt: skip
    return f"Predictors were {listed(read)}. {_known(kit)}"


def kinds_read(kit: Kit) -> set[str]:
    """The kinds of rows that the model may read: those of its modalities, of scores their tables'.

    A kind that no modality of the repository claims is of one that was added, and kept.
    """
    settings = kit.result["settings"]
    rule = settings.get("availability") or {}
    kinds = {kind for kind, columns in rule.items() if isinstance(columns, list)}
    kinds -= {kind for name, own in KINDS.items() if name not in settings for kind in own}
    if fitted.features(kit) != "scores":
        return kinds
    tables = MODELS[kit.result["model"]].tables
    return {kind for kind in kinds if TABLES.get(kind) in tables}


def _known(kit: Kit) -> str:
    """From when a value of the kinds that the model reads counts as known."""
    rule = kit.result["settings"].get("availability")
    if rule is None:
        return "From when a value counts as known is part of the published queries."
    if not rule.get("enforced"):
        return "Values were not restricted to those known by the prediction time."
    own = words_of_source(kit)
    if kit.result["source"]["kind"] == "hourly":
        return f"Only what was known by the prediction time was read. {own['known']}"
    read, by_columns = kinds_read(kit), dict[tuple[str, ...], list[str]]()
    for kind in (kind for kind in rule if kind in read):
        by_columns.setdefault(tuple(rule[kind]), []).append(kind)
    told = "; ".join(f"{listed(kinds)} from {', where that is missing '.join(columns)}"
                     for columns, kinds in by_columns.items())  # fmt: skip
    text = "Only what was known by the prediction time was read"
    return " ".join([f"{text}: {told}." if told else f"{text}.", *filter(None, [own.get("known")])])


def _split(kit: Kit) -> str:
    """How the patients were divided."""
    split = kit.result["settings"].get("split", {})
    shares = {} if split.get("by") == "era" else split
    parts = [
        f"{words} ({f'{100 * shares[name]:.0f} %; ' if name in shares else ''}{counts(kit, name)})"
        for name, words in fitted.split_words(kit).items()
        if of_split(kit, name)["episodes"] is not None
    ]
    folds = kit.result["folds"]
    more = f"; this was repeated in {folds} folds, counts are of the first" if folds > 1 else ""
    if not corrected(kit):
        return f"Episodes were divided as published, {PUBLISHED}: {listed(parts)}{more}."
    how = "by a hash of their number"
    if split.get("by") == "era":
        how = (f"by the calendar year of their first episode ({split['late']} or later: test) and, "
               "of the others, by a hash of their number")  # fmt: skip
    own = words_of_source(kit).get("split")
    none = "" if own else ", so that none is in two parts"
    sentences = [
        f"Patients were divided {how}{none}: {listed(parts)}{more}.",
        own or "",
        fitted.fitted_words(kit),
        fitted.validation_words(kit),
    ]
    return " ".join(filter(None, sentences))


def _model(kit: Kit, settings: Any) -> str:
    schedule = settings.get("schedule") or {}
    text = f"The model was {kit.words}."
    if schedule.get("steps") and kit.result["training"]:
        text += (
            f" Networks were trained for at most {schedule['steps']:,} steps and stopped after "
            f"{schedule['patience']} checks on validation without a better one."
        )
    text += f" {fitted.seeds_words(kit)}"
    weights = fitted.weights_words(kit)
    text += f" {weights}" if weights else ""
    method = kit.numbers["head"]["recalibration"]
    text += (f" Risks were recalibrated on validation ({METHODS[method]})." if method != "none"
             else " Risks were not recalibrated.")  # fmt: skip
    return text


def _missing(kit: Kit, settings: Any) -> str:
    """What was done about modalities that an episode lacks, and films that cannot be read."""
    how = {"any": "Episodes were kept whatever modalities they lack",
           "complete": "Only episodes with all modalities were kept"}  # fmt: skip
    text = how.get(
        settings.get("missing"), "How missing modalities were handled is in the settings"
    )
    if settings.get("modality_dropout") and fitted.has_dropout(kit):
        text += (f"; in training a fused model had a modality hidden with a chance of "
                 f"{settings['modality_dropout']:g}")  # fmt: skip
    files = [one for one in kit.numbers["flow"]["files"] if one["unreadable"] is not None]
    text += "".join(f"; of {counted(one['selected'])} {one['words']} {counted(one['unreadable'])} "
                    "could not be read and count as missing" for one in files)  # fmt: skip
    return f"{text}."


def _evaluation(kit: Kit) -> str:
    """What was measured on test: only what has figures."""
    measured = _measured(kit)
    if not measured:
        return f"On test nothing was measured: {kit.test['reason'] or 'there are no figures'}."
    return (
        f"On test we measured {listed(measured)}. "
        f"Intervals are of {100 * kit.result['bootstrap']['level']:.0f} %, percentiles of "
        f"{fitted.resamples_words(kit)} {rounding(kit)}"
    ).strip()


def _measured(kit: Kit) -> list[str]:
    """The measures that have figures."""
    numbers, own = kit.numbers, calibrated_by(kit)
    points = [one for one in numbers["operating_points"] if one["reason"] is None]
    groups = [group for one in numbers["fairness"]["attributes"] for group in one["groups"]]
    by_group = [one.words for name, one in MEASURES.items()
                if any(group[name]["value"] is not None for group in groups)]  # fmt: skip
    smooth = own is not None and own["smooth"]
    has = {
        "discrimination (AUROC, average precision) and the Brier score":
            kit.test["auroc"]["value"] is not None,
        f"calibration (slope, in the large{', a smooth curve' if smooth else ''}, the integrated "
        "calibration index)": own is not None and own["reason"] is None,
        "net benefit over stated thresholds (decision curve)":
            numbers["decision"]["reason"] is None and bool(numbers["decision"]["model"]),
        "sensitivity, specificity and predictive values at thresholds that validation had fixed":
            bool(points),
        f"{listed(by_group)} by group": bool(by_group),
    }  # fmt: skip
    return [words for words, true in has.items() if true]
