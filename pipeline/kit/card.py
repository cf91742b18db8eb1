"""The model card of a result's model, with the headings of Mitchell et al. (FAT* 2019)."""

from pipeline.kit.fitted import features, is_drawn, of_first, split_words
from pipeline.kit.inputs import Kit
from pipeline.kit.methods import methods, source_words
from pipeline.kit.tables import groups, operating_points, performance
from pipeline.kit.verdicts import calibration_verdict, ceiling_verdict, fairness_verdict
from pipeline.kit.words import counts, limits, tested
from pipeline.report.numbers import bullets


def details(kit: Kit) -> list[str]:
    """What the model is: kind, protocol, seeds, versions."""
    result = kit.result
    made = [
        f"Model: {kit.words}, target `{result['target']}`, {result['protocol']} protocol",
        f"Training seeds: {seeds(kit)}; folds: {result['folds']}",
        f"Code (SHA-256): `{result['environment']['code_sha256']}`",
        f"Packages (SHA-256 of the lock): `{result['environment']['lock_sha256']}`",
        f"Definitions: version {result['definitions_version']}",
        "Developers, date, licence and contact: for the authors",
    ]
    ended = sorted({f"{one['part']} after {one['steps']:,} steps ({one['stopped']})"
                    for one in result["training"]})  # fmt: skip
    return made + ([f"Trainings: {'; '.join(ended)}"] if ended else [])


def seeds(kit: Kit) -> str:
    """The training seeds, or why there are none."""
    if not is_drawn(kit):
        return "none, the fit draws nothing at random"
    if features(kit) == "predictions":
        return "the mean over all of the config"
    return ", ".join(map(str, kit.result["seeds"]))


def markdown(kit: Kit) -> str:
    """The card as a page."""
    use = ("Research: to compare models and to study how modalities contribute. Intended users are "
           "researchers with the agreements that the data ask for.")  # fmt: skip
    factors = [one["words"] for one in kit.numbers["fairness"]["attributes"] if not one["reason"]]
    weights = (
        "Its weights can hold traces of the patients that it was trained on: they fall under "
        "the agreement of the data."
        if not kit.synthetic
        else "No real patient is in it."
    )
    others = [f"{words} {counts(kit, split)}" for split, words in split_words(kit).items()
              if split != "test"]  # fmt: skip
    parts = {
        "Model details": bullets(details(kit)),
        "Intended use": f"{use}\n\n{bullets(limits(kit)[:1])}",
        "Factors": f"Measured by: {', '.join(factors) or 'no attribute'}. {fairness_verdict(kit)}",
        "Metrics": methods(kit)[-1],
        "Evaluation data": f"Of {source_words(kit)}, the test part: {tested(kit)}.",
        "Training data": f"Of the same source, the other parts{of_first(kit)}: "
        f"{'; '.join(others)}.",
        "Quantitative analyses": "\n\n".join(
            [
                f"{calibration_verdict(kit)} {ceiling_verdict(kit)}".strip(),
                performance(kit).markdown(),
                operating_points(kit).markdown(),
                groups(kit).markdown(),
            ]
        ),
        "Ethical considerations": weights,
        "Caveats and recommendations": bullets(limits(kit)[1:]),
    }
    body = [f"## {title}\n\n{text.strip()}" for title, text in parts.items()]
    return "\n\n".join([f"# Model card: {kit.name}", *body]) + "\n"
