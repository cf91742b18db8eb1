"""Figures of Zhao et al. 2022 and Tang et al. 2020 on MIMIC-III, to be shown beside our own.

Not comparable: other patients, other labels (prevalent stays among them), a split by stay, one run.
The columns are those of the paper: shock at 4 h, ARF at 12 h, mortality at 48 h (AUROC), diagnoses
(Recall@10). None: not published.
"""

COLUMNS = ("shock_4h", "arf_12h", "mortality_48h", "diagnoses_48h")
Row = tuple[float | None, ...]  # in the order of COLUMNS

# Zhao et al. 2022, Table I
MODELS: dict[str, Row] = {
    "FIDDLE CNN": (0.824, 0.757, 0.885, 0.309),
    "FIDDLE LSTM": (0.811, 0.760, 0.863, 0.310),
    "LstmBert": (0.843, 0.779, 0.867, 0.303),
    "BertEncoder": (0.811, 0.717, 0.860, 0.331),
    "MUFASA": (0.848, 0.775, 0.871, 0.344),
    "UniMed, single task": (0.831, 0.764, 0.873, 0.331),
    "UniMed, multitask": (0.836, 0.781, 0.892, 0.385),
}
# Table II; its column "ARF 4h" holds the shock values of the other tables
MODALITIES: dict[str, Row] = {
    "e": (0.802, 0.756, 0.857, 0.281),
    "n": (0.742, 0.715, 0.839, 0.336),
    "en": (0.836, 0.781, 0.892, 0.385),
}
# Table III: single task → multitask, by model
DECODERS: dict[str, tuple[str, Row, Row]] = {
    "unimed-gru": ("GRU", (0.815, 0.746, 0.865, 0.316), (0.821, 0.760, 0.871, 0.331)),
    "unimed-gru-attention": (
        "GRU with attention",
        (0.823, 0.758, 0.867, 0.329),
        (0.836, 0.770, 0.886, 0.363),
    ),
    "unimed": ("transformer", (0.831, 0.764, 0.873, 0.331), (0.836, 0.781, 0.892, 0.385)),
}
# Tang et al. 2020, AUROC; the paper has no diagnoses
FIDDLE: dict[str, Row] = {
    "logistic regression (Tang)": (0.825, 0.757, 0.856, None),
    "random forest (Tang)": (0.809, 0.760, 0.814, None),
    "CNN (Tang)": (0.831, 0.768, 0.886, None),
    "LSTM (Tang)": (0.824, 0.771, 0.868, None),
}
