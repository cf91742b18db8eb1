"""Made-up explanations of every modality: informative or not, of real data or of a known cause."""

SHAPES = {"ehr": ("e", "tokens"), "cxr": ("c", "resnet18"), "note": ("n", "doc2vec")}


def fit(value, width=0.05):
    return {"value": value, "low": round(value - width, 6), "high": round(value + width, 6)}


def score(value, chance):
    gap = fit(round(value - chance, 6))
    return {"value": fit(value), "chance": fit(chance, 0.01), "difference": gap,
            "informative": gap["low"] > 0}  # fmt: skip


def scores(value, known):
    points = [{"removed": share, "moved": fit(share), "moved_at_random": fit(share / 2),
               "auroc": 0.7, "auroc_at_random": 0.7} for share in (0.0, 0.5, 1.0)]  # fmt: skip
    deletion = {"curve": points, "moved": fit(0.5), "moved_at_random": fit(0.3),
                "difference": fit(0.2), "informative": True}  # fmt: skip
    one = score(value, 0.3) if known else None
    informative = deletion["informative"] and (one is None or one["informative"])
    return {"cause": "what is planted" if known else None, "items": 90 if known else None,
            "share": one, "pointing": one, "deletion": deletion, "reason": None,
            "informative": informative}  # fmt: skip


def named(name, mean=0.1, known=True, patients=40):
    return {"name": name, "mean": mean, "strength": abs(mean), "parts": 80, "patients": patients,
            "cause": 1.0 if known else None}  # fmt: skip


def explanation(modality="ehr", value=0.8, known=True, reason=None, statistics=False):
    letter, encoder = SHAPES[modality]
    model = "logistic-stats" if statistics else "unimodal"
    made = {
        "schema_version": 2, "target": f"{letter}_{model}_mortality", "modality": modality,
        "encoder": "statistics" if statistics else encoder, "model": model, "task": "mortality",
        "protocol": "corrected", "seed": 0, "suppressed_below": 0 if known else 10,
        "method": None, "reason": reason, "sample": None, "reproduced": None, "floor": None,
        "cells": None, "film": None, "text": None, "columns": None, "signals": None, "scores": None,
    }  # fmt: skip
    if reason:
        return made
    name = "linear SHAP values" if statistics else "occlusion"
    made |= {
        "method": {"name": name, "item": "x", "part": "y", "baseline": "z", "words": "How."},
        "sample": {"seed": 0, "most": 90, "of": 500, "items": 90, "parts": 900, "episodes": 90,
                   "patients": 80},
        "reproduced": 0.001, "scores": scores(value, known),
    }  # fmt: skip
    cause = [[1.0, 0.0], [0.0, 0.0]] if known else None
    if statistics:
        made["columns"] = [named("lactate_max", known=known)]
        made["signals"] = [named("lactate", known=known), named("sodium", 0.05, known)]
    elif modality == "ehr":
        made["cells"] = {"signals": ["lactate", "sodium"], "edges": [0.0, 24.0, 48.0],
                         "mean": [[0.2, 0.1], [0.0, None]], "strength": [[0.3, 0.1], [0.1, None]],
                         "patients": [[80, 70], [60, "<10"]], "cause": cause}  # fmt: skip
        made["signals"] = [named("lactate", known=known)]
    elif modality == "cxr":
        made["film"] = {
            "rows": 2,
            "columns": 2,
            "mean": [[0.1, 0.0], [0.0, 0.0]],
            "strength": [[0.1, 0.0], [0.0, 0.0]],
            "cause": cause,
            "patients": 80,
        }
    else:
        made["floor"] = fit(0.06, 0.01)
        made["text"] = {"words": [named("edema", 0.2, known), named("clear", -0.1, known)],
                        "kinds": [named("FINDINGS", 0.1, known)]}  # fmt: skip
    return made


def every(value=0.8, known=True):
    """One of each modality, and a baseline on statistics."""
    return [*(explanation(one, value, known) for one in SHAPES),
            explanation("ehr", value, known, statistics=True)]  # fmt: skip
