"""What may be said of a result's numbers, and what may not: judged by whole intervals alone."""

from typing import Any

from pipeline.evaluation.statistics.significance import SEEDS
from pipeline.kit.calibration import NOT_FITTED, calibrated_by
from pipeline.kit.fitted import WAYS, features, is_drawn
from pipeline.kit.groups import MEASURES
from pipeline.kit.inputs import Kit
from pipeline.kit.tables import counted
from pipeline.report.numbers import number, with_interval

# ASSUME calibration is called good within these bounds: a convention, stated before any result
SLOPE, LARGE = (0.8, 1.25), (-0.2, 0.2)


def within(estimate: Any, bounds: tuple[float, float]) -> bool | None:
    """Whether a whole interval lies within bounds; False: wholly outside; None: cannot be told.

    >>> within({"low": 0.9, "high": 1.1}, SLOPE), within({"low": 0.3, "high": 0.7}, SLOPE)
    (True, False)
    >>> within({"low": 0.7, "high": 1.1}, SLOPE), within({"low": None, "high": None}, SLOPE)
    (None, None)
    """
    low, high = estimate["low"], estimate["high"]
    if low is None or high is None:
        return None
    if bounds[0] <= low and high <= bounds[1]:
        return True
    return False if high < bounds[0] or low > bounds[1] else None


def _digits(own: Any) -> int:
    """Decimals of the intervals: a third where an end would round to a bound, as if it were one."""
    ends = [(own[name][end], bounds) for name, bounds in (("slope", SLOPE), ("in_the_large", LARGE))
            for end in ("low", "high") if own[name][end] is not None]  # fmt: skip
    return 3 if any(round(at, 2) in bounds and at not in bounds for at, bounds in ends) else 2


def calibration_verdict(kit: Kit, method: str | None = None) -> str:
    """Whether the risks are right, in one sentence."""
    own = calibrated_by(kit, method)
    if own is None or own["reason"]:
        return f"Calibration is not known: {own['reason'] if own else 'it was not measured'}."
    judged = within(own["slope"], SLOPE), within(own["in_the_large"], LARGE)
    digits = _digits(own)
    numbers = (f"slope {with_interval(own['slope'], digits)}, in the large "
               f"{with_interval(own['in_the_large'], digits)}")  # fmt: skip
    bounds = (f"the bounds {SLOPE[0]:g} to {SLOPE[1]:g} for the slope and ±{LARGE[1]:g} in the "
              "large")  # fmt: skip
    if False in judged:
        return f"Calibration is off: an interval lies wholly outside {bounds} ({numbers})."
    if all(judged):
        return f"Calibration is good: both intervals lie within {bounds} ({numbers})."
    named = (("slope", "of the slope"), ("in_the_large", "in the large"))
    unknown = [words for name, words in named
               if own[name]["low"] is None or own[name]["high"] is None]  # fmt: skip
    crosses = " and ".join(words for (_, words), one in zip(named, judged, strict=True)
                           if one is None)  # fmt: skip
    why = (f"the interval {' and '.join(unknown)} is not known" if unknown
           else f"the interval {crosses} crosses {bounds}")  # fmt: skip
    return f"Whether calibration is good cannot be told: {why} ({numbers})."


def alone(kit: Kit) -> str:
    """That intervals without the noise of training say nothing of another training; or nothing."""
    if kit.result["bootstrap"]["training_noise"] or not is_drawn(kit):
        return ""
    one = len(kit.result["seeds"]) == 1 and features(kit) != "predictions"
    return f", for {'this training' if one else 'these trainings'} alone"


def recalibration_verdict(kit: Kit) -> str:
    """What Platt and temperature scaling changed: the Brier score judged by its whole interval."""
    parts, left = [], list[str]()
    for method, words in WAYS.items():
        one = calibrated_by(kit, method)
        if one is None or one["reason"]:
            if one and one["reason"].startswith(NOT_FITTED) and words not in left:
                left.append(f"{words[:1].upper()}{words[1:]} was {one['reason']}.")
            continue
        brier, ici = one["brier_minus_none"], one["ici_minus_none"]
        if brier["low"] is None:
            continue
        how = "not clearly changed"
        if _differs(brier):
            how = "better" if brier["high"] < 0 else "worse"
        text = f"after {words}: Brier score {how} ({with_interval(brier, 4, sign=True)})"
        if ici["value"] is not None:
            text += f", ICI changed by {number(ici['value'], 4, sign=True)}"
        parts.append(text)
    made = [f"Fitted on validation{alone(kit)}, {'; '.join(parts)}."] if parts else []
    return " ".join([*made, *left])


def decision_verdict(kit: Kit) -> str:
    """Where the model's net benefit is above treating all and none, by whole intervals."""
    own = kit.numbers["decision"]
    if own["reason"] or not own["model_minus_default"]:
        return f"Net benefit is not known: {own['reason'] or 'it was not measured'}."
    clear = _ranges(own, "model_minus_default", above=True)
    worse = _ranges(own, "model_minus_default", above=False)
    text = (
        f"Of thresholds from {own['thresholds'][0]:g} to {own['thresholds'][-1]:g}, each "
        f"judged by itself{alone(kit)}, net benefit is clearly above that of treating all and of "
        f"treating none at {clear}"
    )
    text += f", and clearly below at {worse}" if worse != "none" else ""
    if own["model_minus_sofa"]:
        text += f"; clearly above that of SOFA at {_ranges(own, 'model_minus_sofa', above=True)}"
        if unknown := own["sofa_unknown"]:
            text += f" (on the others: of {counted(unknown)} test episodes SOFA is not known)"
    if own["sofa_hidden_at"]:
        text += f"; SOFA is hidden at {len(own['sofa_hidden_at'])} thresholds"
    if own["hidden_at"]:
        text += (f". {len(own['hidden_at'])} thresholds are hidden, because few are called or few "
                 "are not: there nothing can be said")  # fmt: skip
    return f"{text}."


def _ranges(own: Any, name: str, above: bool) -> str:
    """The thresholds at which a whole interval is above 0, or below, as ranges."""
    curve, x = own[name], own["thresholds"]
    ends = curve["low"] if above else curve["high"]
    clear = [end is not None and (end > 0 if above else end < 0) for end in ends]
    starts: list[list[float]] = []
    for place, yes in enumerate(clear):
        if yes and place and clear[place - 1]:
            starts[-1][1] = x[place]
        elif yes:
            starts.append([x[place], x[place]])
    shown = [f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in starts]
    return ", ".join(shown) or "none"


def fairness_verdict(kit: Kit) -> str:
    """Which groups differ from the rest by which measure, by whole intervals, of those measured."""
    own = kit.numbers["fairness"]
    groups = [(one["words"], group) for one in own["attributes"] for group in one["groups"]]
    if own["reason"] or not groups:
        return f"Groups are not compared: {own['reason'] or 'no attribute is known'}."
    told = [_by_measure(groups, name, one.words) for name, one in MEASURES.items()]
    return (f"Of {len(groups)} groups, each beside all other test episodes, these clearly differ"
            f"{alone(kit)}: "
            f"{'; '.join(told)}. What was not measured, or is hidden, says nothing of the groups. "
            "The intervals are not corrected for the number of groups and measures.")  # fmt: skip


def _by_measure(groups: list[tuple[str, Any]], name: str, words: str) -> str:
    """The groups that differ by one measure, and of how many that can be said."""
    gaps = [(f"{what} {group['group']}", group["minus_rest"][name]) for what, group in groups]
    known = [(what, gap) for what, gap in gaps if gap["low"] is not None]
    if not known:
        return f"by {words} (measured in none) nothing can be said"
    differ = [f"{what} ({with_interval(gap, sign=True)})" for what, gap in known if _differs(gap)]
    return f"by {words} (measured in {len(known)}) {', '.join(differ) or 'none'}"


def _differs(gap: Any) -> bool:
    return bool(gap["low"] > 0 or gap["high"] < 0)


def ceiling_verdict(kit: Kit) -> str:
    """How far the model is below the best that is reachable, where that is known."""
    ceiling = kit.part["ceiling"]
    if not ceiling or ceiling["oracle_auroc"]["value"] is None:
        return "" if ceiling else "The best reachable AUROC is not known: the patients are real."
    below = with_interval(ceiling["oracle_minus_model"])
    return (f"The best reachable AUROC of these modalities is "
            f"{number(ceiling['oracle_auroc']['value'])} on these test episodes, {below} above the "
            "model.")  # fmt: skip


def training_verdict(kit: Kit) -> str:
    """Whether the intervals hold the noise of training, and whether a training ended too early."""
    seeds = len(kit.result["seeds"])
    noise = kit.result["bootstrap"]["training_noise"]
    if not is_drawn(kit):
        text = "Intervals are over patients; the fit of the model draws nothing at random."
    elif features(kit) == "predictions":
        text = ("Intervals are over patients alone: how a mean of other training seeds would "
                "differ is not in them.")  # fmt: skip
    elif noise:
        text = "Intervals are over patients and training seeds."
    else:
        text = (f"Intervals are over patients alone, not over trainings ({seeds} "
                f"seed{'s' * (seeds != 1)}, {SEEDS} needed).")  # fmt: skip
    rising = sorted({one["part"] for one in kit.result["training"] if one["rising"]})
    text += (f" The training of {', '.join(rising)} was still improving when its budget ended."
             if rising else "")  # fmt: skip
    return text
