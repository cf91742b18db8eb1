"""Each module against a plain reading of the published definition, with the same weights.

The readings work token by token, film by film and report by report, without batches, and share no
code with the pipeline. Parameter counts are those of wang2024.md, section 4:

1,862,146 trainable and 153,600 frozen: `Unimodal(EhrEncoder(vocabulary("published"), …))`, the head
included; 11,439,168: `CxrEncoder()`, without a head; 2,101,248: `NoteEncoder()`, without a head;
787,970: `EarlyHead(3)`.
"""

import math

import numpy as np
import polars as pl
import pytest
import torch
from torchvision.models import resnet18

from pipeline.cxr import encoder_resnet18
from pipeline.cxr.encoder_resnet18 import FilmsNetwork
from pipeline.cxr.film_data import Films
from pipeline.ehr import encoder_tokens
from pipeline.ehr.encoder_tokens import TokensNetwork
from pipeline.ehr.signals import classes, vocabulary
from pipeline.ehr.steps import NEVER, Steps, read_steps
from pipeline.ehr.tokens import TOKENS
from pipeline.fusion.heads import EarlyHead, LateHead
from pipeline.fusion.joint import Encoders, JointData, JointModel
from pipeline.note import encoder_doc2vec
from pipeline.note.encoder_doc2vec import Doc2VecNetwork
from pipeline.note.reports import Reports, Vectors
from pipeline.plan import protocols, sections
from pipeline.training.features import LinearHead, Unimodal
from pipeline.training.items import mean_by_horizon
from pipeline.training.modality import Feature

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
CHART = [
    "heart_rate", "sbp_cuff", "dbp_cuff", "mbp_cuff", "respiratory_rate", "spo2",
    "gcs_verbal", "gcs_eye", "gcs_motor",
]  # fmt: skip
LAB = [
    "glucose", "potassium", "sodium", "chloride", "creatinine", "urea_nitrogen", "bicarbonate",
    "anion_gap", "hemoglobin", "hematocrit", "magnesium", "platelets", "phosphate", "white_cells",
    "calcium", "mch", "red_cells", "mchc", "mcv", "rdw", "neutrophils", "vancomycin",
]  # fmt: skip
PROCEDURES = [
    "foley_catheter", "picc_line", "intubation", "peritoneal_dialysis", "bronchoscopy", "eeg",
    "crrt", "dialysis_catheter", "chest_tube_removed", "hemodialysis",
]  # fmt: skip
SCORES = {"gcs_verbal": 6, "gcs_eye": 4, "gcs_motor": 6}
DEMOGRAPHICS = {"age": 9, "insurance": 3, "language": 2, "marital_status": 5, "race": 8}
# an episode: its demographics, then its steps: time bin and tokens (signal, value)
EPISODES = [
    ([8, 0, 1, 4, 7], [
        (0, [("heart_rate", 1), ("sbp_cuff", 199), ("glucose", 3)]),
        (17, [("gcs_eye", 0), ("gcs_motor", 5), ("gcs_verbal", 5), ("foley_catheter", 0)]),
        (199, [("vancomycin", 0), ("hemodialysis", 0), ("eeg", 0), ("spo2", 100)]),
    ]),
    ([0, 2, 0, 0, 0], []),
    ([3, 1, 1, 2, 5], [(120, [("sodium", 77)])]),
    ([4, 1, 0, 3, 1], [(bin, [("mch", bin), ("intubation", 0)])
                       for bin in range(1, 40)]),
]  # fmt: skip


def ehr_data(episodes):
    """The same episodes as the dataset of the pipeline holds them."""
    start = vocabulary("published").offsets()
    episodes = [(fixed, steps or [(0, [])]) for fixed, steps in episodes]  # no event: one step
    steps = [step for _, own in episodes for step in own]
    tokens = [start[signal] + value for _, own in steps for signal, value in own]
    return Steps(
        known=np.zeros(len(tokens), int),
        until=np.full(len(tokens), NEVER),
        time_bin=np.array([bin for bin, _ in steps]),
        token=np.array(tokens, dtype=np.int64),
        step_start=np.cumsum([0, *(len(own) for _, own in steps)]),
        episode_start=np.cumsum([0, *(len(own) for _, own in episodes)]),
        demographics=np.array([fixed for fixed, _ in episodes]),
    )


def sinusoid_row(j):
    """angle(j, i) = i·j / (127·199), i < 128; row j = [sin, cos]; row 0 = zeros."""
    angles = [i * j / (127 * 199) for i in range(128)]
    row = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    return torch.tensor(row if j else [0.0] * 256)


def one_token(encoder, signal, value):
    """Linear([variable; value]); of a procedure its embedding."""
    if signal in PROCEDURES:
        return encoder.interval.weight[PROCEDURES.index(signal)]
    kind, names = (encoder.chart, CHART) if signal in CHART else (encoder.lab, LAB)
    row = kind.scores[signal].weight[value] if signal in SCORES else sinusoid_row(value)
    return kind.linear(torch.cat([kind.variable.weight[names.index(signal)], row]))


def lstm_steps(lstm, steps, suffix=""):
    """The hidden states of one direction of an LSTM, cell by cell."""
    weight = {name: getattr(lstm, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh")}
    bias = getattr(lstm, f"bias_ih_l0{suffix}") + getattr(lstm, f"bias_hh_l0{suffix}")
    hidden = cell = torch.zeros(lstm.hidden_size)
    states = []
    for step in steps:
        gates = weight["weight_ih"] @ step + weight["weight_hh"] @ hidden + bias
        enter, forget, new, out = gates.chunk(4)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        hidden = torch.sigmoid(out) * torch.tanh(cell)
        states.append(hidden)
    return states


def ehr_feature(encoder, fixed, steps):
    """The feature (512) of one episode: maximum over tokens, BiLSTM, maximum over time."""
    always = [table.weight[code] for table, code in zip(encoder.demographics, fixed, strict=True)]
    inputs = []
    for time_bin, tokens in steps or [(0, [])]:
        now = always + [one_token(encoder, signal, value) for signal, value in tokens]
        most = torch.stack(now).max(dim=0).values
        inputs.append(torch.cat([most, sinusoid_row(time_bin)]))
    forward = lstm_steps(encoder.lstm, inputs)
    backward = lstm_steps(encoder.lstm, inputs[::-1], "_reverse")[::-1]
    both = [torch.cat(pair) for pair in zip(forward, backward, strict=True)]
    return torch.stack(both).max(dim=0).values


@pytest.fixture(scope="module")
def ehr():
    torch.manual_seed(0)
    network = TokensNetwork(vocabulary("published"), list(classes("published").values()))
    return Feature(network).eval()


def test_the_published_vocabulary_is_that_of_the_sheet():
    blocks = vocabulary("published").blocks
    for kind, names in {"chart": CHART, "lab": LAB, "interval": PROCEDURES}.items():
        assert [block[0] for block in blocks if block[1] == kind] == names
    assert {name: rows for name, kind, rows, numeric in blocks
            if not numeric and kind != "interval"} == SCORES  # fmt: skip
    assert classes("published") == DEMOGRAPHICS


@torch.no_grad()
def test_ehr_encoder_token_by_token(ehr):
    expected = torch.stack([ehr_feature(ehr.network, *episode) for episode in EPISODES])
    made = ehr(ehr_data(EPISODES).batch(np.arange(4)))
    torch.testing.assert_close(made, expected, **CLOSE)


@torch.no_grad()
def test_ehr_encoder_of_empty_sequences_alone(ehr):
    empty = [(fixed, []) for fixed, _ in EPISODES]
    expected = torch.stack([ehr_feature(ehr.network, *episode) for episode in empty])
    torch.testing.assert_close(ehr(ehr_data(empty).batch(np.arange(4))), expected, **CLOSE)


def test_time_bins_are_truncated_and_empty_episodes_are_one_step_at_0(tmp_path):
    minutes = [0, 14, 15, 1440, 2879, 2880]
    rows = [(1, minute, 5, minute, None) for minute in minutes]
    pl.DataFrame(rows, schema=TOKENS.columns, orient="row").write_parquet(
        tmp_path / "tokens.parquet"
    )
    fixed = {"episode_id": [1, 2], **{name: [0, 1] for name in DEMOGRAPHICS}}
    pl.DataFrame(fixed).write_parquet(tmp_path / "demographics.parquet")
    paths = tmp_path / "tokens.parquet", tmp_path / "demographics.parquet"
    batch = read_steps(*paths, np.array([1, 2]), 48, math.inf).batch(np.arange(2))
    bins = [min(int(minute / 60 / 48 * 200), 199) for minute in minutes]
    assert batch["time_bin"].tolist() == [*bins, 0]
    assert batch["lengths"].tolist() == [6, 1]
    assert batch["demographics"].shape == (2, 5)  # no sex


HOURS = [[3.0, 4.0], [], [30.0], [47.5, 40.0, 1.0]]  # four episodes, six films


def cxr_data(pixels):
    count = [len(own) for own in HOURS]
    films = np.random.default_rng(0).integers(0, 256, (sum(count), pixels, pixels), np.uint8)
    hours, start = np.array([h for own in HOURS for h in own], np.float32), np.cumsum([0, *count])
    chunk, row = np.zeros(sum(count), int), np.arange(sum(count))
    return Films(hours, start, [films], chunk, row, (pixels, pixels))


@pytest.fixture(scope="module")
def cxr():
    """With running statistics as after some training, not the 0 and 1 of the start."""
    torch.manual_seed(0)
    made = Feature(FilmsNetwork())
    with torch.no_grad():
        made.train()(cxr_data(64).batch(np.arange(4)))
    return made.eval()


def cxr_feature(net, films, hours):
    """Σ softmax(raw hours) · ResNet-18(film); of grey films in [0, 1], three times."""
    total, norm = torch.zeros(512), sum(math.exp(h) for h in hours)
    for film, hour in zip(films, hours, strict=True):
        image = torch.stack([torch.tensor(film).float() / 255] * 3)[None]  # (1, 3, P, P)
        total += math.exp(hour) / norm * net(image)[0]
    return total


@torch.no_grad()
@pytest.mark.parametrize(("pixels", "rows"), [(224, [0]), (64, [0, 1, 2, 3])])
def test_cxr_encoder_film_by_film(cxr, pixels, rows):
    net = resnet18(num_classes=512).eval()  # torchvision's own, fc → 512
    net.load_state_dict(cxr.network.net.state_dict())
    data = cxr_data(pixels)
    films = [data.arrays[0][data.start[row] : data.start[row + 1]] for row in rows]
    expected = [cxr_feature(net, own, HOURS[row]) for own, row in zip(films, rows, strict=True)]
    made = cxr(data.batch(np.array(rows)))
    torch.testing.assert_close(made, torch.stack(expected), **CLOSE)


def trained(encoder, data):
    """A pass in training mode: features, gradients, statistics, each by its name."""
    feature = encoder.train()(data.batch(np.arange(4)))
    feature.square().sum().backward()
    gradients = {name: own.grad for name, own in encoder.named_parameters()}
    return feature, gradients, dict(encoder.named_buffers())


@pytest.mark.parametrize("part", [64, 4])
def test_films_pass_the_network_one_at_a_time_in_training_too(monkeypatch, part):
    """Against torchvision's own network, which BatchNorm lets see one film per pass."""

    class Plain(FilmsNetwork):
        def features(self, film):
            return torch.cat([super(Plain, self).features(one[None]) for one in film])

    monkeypatch.setattr(encoder_resnet18, "PART", part)
    torch.manual_seed(0)
    plain, ours = Feature(Plain()), Feature(FilmsNetwork(one_by_one=True))
    state = plain.state_dict()
    assert list(ours.state_dict()) == list(state)  # weights of ImageNet fit both
    ours.load_state_dict(state)
    data = cxr_data(64)
    close = [CLOSE, {"atol": 1e-2, "rtol": 1e-2}, CLOSE]  # gradients of four pixels are rough
    pairs = zip(trained(ours, data), trained(plain, data), strict=True)
    for (made, expected), tolerance in zip(pairs, close, strict=True):
        torch.testing.assert_close(made, expected, **tolerance)
    made, expected = (model.eval()(data.batch(np.arange(4))) for model in (ours, plain))
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-3)


def test_two_films_eight_hours_apart_have_the_published_weights():
    batch = {"count": torch.tensor([2]), "owner": torch.tensor([0, 0]),
             "hours": torch.tensor([12.0, 20.0])}  # fmt: skip
    mean, _ = mean_by_horizon(torch.eye(2), batch, [math.inf], FilmsNetwork().hours_scale)
    assert mean[0, 0].tolist() == pytest.approx([0.0003, 0.9997], abs=5e-5)


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_lone_film_of_the_smallest_size_that_the_config_allows_can_be_trained_on(one_by_one):
    """Published: one film at a time. Joint training: of a batch often one episode has films."""
    pixels = sections.Cxr.model_json_schema()["properties"]["pixels"]["minimum"]
    torch.manual_seed(0)
    made = Feature(FilmsNetwork(one_by_one=one_by_one)).train()(
        cxr_data(pixels).batch(np.array([2]))
    )
    assert made.shape == (1, 512)


def note_data(counts=(3, 0, 1, 5)):
    vector = np.random.default_rng(0).normal(0, 2, (sum(counts), 512)).astype(np.float32)
    hours, which = np.zeros(sum(counts), np.float32), np.arange(sum(counts))[::-1].copy()
    return Reports(hours, np.cumsum([0, *counts]), Vectors(vector), which)


def note_feature(encoder, data, row):
    """LSTM over the Doc2Vec vectors as they are, maximum over reports; nothing of no report."""
    uses = data.which[data.start[row] : data.start[row + 1]]
    states = lstm_steps(encoder.lstm, [torch.tensor(data.content.vector[use]) for use in uses])
    return torch.stack(states).max(dim=0).values if states else torch.zeros(512)


@torch.no_grad()
def test_note_encoder_report_by_report():
    torch.manual_seed(0)
    encoder, data = Feature(Doc2VecNetwork()).eval(), note_data()
    expected = torch.stack([note_feature(encoder.network, data, row) for row in range(4)])
    torch.testing.assert_close(encoder(data.batch(np.arange(4))), expected, **CLOSE)


def affine(layer, value):
    """A linear layer written out."""
    return layer.weight @ value + layer.bias


@torch.no_grad()
def test_unimodal_head_is_one_linear_layer():
    torch.manual_seed(0)
    data, model = note_data(), Unimodal(Feature(Doc2VecNetwork())).eval()
    features = [note_feature(model.feature.network, data, row) for row in range(4)]
    expected = torch.stack([affine(model.head, feature) for feature in features])
    torch.testing.assert_close(model(data.batch(np.arange(4))), expected, **CLOSE)


def head_of(made):
    """A head with random weights, in evaluation, and a batch of complete cases."""
    torch.manual_seed(0)
    here = torch.ones(4, 3, dtype=torch.bool)
    return made(3).eval(), {"embedding": torch.randn(4, 3, 512) * 3 + 1, "here": here}


@torch.no_grad()
def test_joint_head_is_one_linear_layer_on_the_concatenation():
    head, batch = head_of(LinearHead)
    expected = [affine(head.linear, torch.cat([e, c, n])) for e, c, n in batch["embedding"]]
    torch.testing.assert_close(head(batch), torch.stack(expected), **CLOSE)


@torch.no_grad()
def test_early_head_is_two_linear_layers_without_activation():
    head, batch = head_of(EarlyHead)
    hidden = [affine(head.hidden, torch.cat([e, c, n])) for e, c, n in batch["embedding"]]
    assert min(value.min() for value in hidden) < 0  # a ReLU would show
    expected = torch.stack([affine(head.out, value) for value in hidden])
    torch.testing.assert_close(head(batch), expected, **CLOSE)
    torch.testing.assert_close(head.train()(batch), expected, **CLOSE)  # no dropout


@torch.no_grad()
def test_late_averaged_head_is_the_mean_of_one_logit_per_modality():
    head, batch = head_of(LateHead)
    expected = [
        (affine(head.each[0], e) + affine(head.each[1], c) + affine(head.each[2], n)) / 3
        for e, c, n in batch["embedding"]
    ]
    torch.testing.assert_close(head(batch), torch.stack(expected), **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("kind", [LinearHead, LateHead])
def test_a_joint_model_is_its_encoders_and_its_head(ehr, cxr, kind):
    torch.manual_seed(0)
    encoders = {"ehr": ehr, "cxr": cxr, "note": Feature(Doc2VecNetwork())}
    model = JointModel(Encoders(encoders), kind(3), 0.0).eval()
    films, notes = cxr_data(64), note_data()
    each = {"ehr": ehr_data(EPISODES), "cxr": films, "note": notes}
    here = np.stack([own.present() for own in each.values()], axis=1)
    rows = np.flatnonzero(here.all(axis=1))  # complete cases, as published
    expected = []
    for row in rows:
        own = films.arrays[0][films.start[row] : films.start[row + 1]]
        features = [
            ehr_feature(ehr.network, *EPISODES[row]),
            cxr_feature(cxr.network.net, own, HOURS[row]),
            note_feature(encoders["note"].network, notes, row),
        ]
        head = model.dropping.head
        if kind is LinearHead:
            expected.append(affine(head.linear, torch.cat(features)))
        else:
            logits = [affine(*pair) for pair in zip(head.each, features, strict=True)]
            expected.append(sum(logits) / 3)
    made = model(JointData(each, here).batch(rows))
    assert len(rows) == 3
    torch.testing.assert_close(made, torch.stack(expected), **CLOSE)


def counts(module):
    """Numbers of trainable and of frozen parameters."""
    each = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return sum(n for n, free in each if free), sum(n for n, free in each if not free)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: Unimodal(Feature(TokensNetwork(vocabulary("published"), [9, 3, 2, 5, 8]))),
         (1_862_146, 153_600)),
        (FilmsNetwork, (11_439_168, 0)),
        (Doc2VecNetwork, (2_101_248, 0)),
        (lambda: EarlyHead(3), (787_970, 0)),
        (lambda: LinearHead(3), (2 * 3 * 512 + 2, 0)),
        (lambda: LateHead(3), (3 * (2 * 512 + 2), 0)),
    ],
    ids=["ehr and head", "cxr", "note", "early", "joint", "late-averaged"],
)  # fmt: skip
def test_parameter_counts(build, expected):
    assert counts(build()) == expected


def test_the_published_settings_build_the_published_modules():
    """What training builds from the protocol's settings, with the counts above."""
    none = np.zeros(0, int)
    given = {"signals": "published", "start_by_value": False}
    ehr = encoder_tokens.ENCODER.network(given, None, none)
    assert counts(Unimodal(Feature(ehr))) == (1_862_146, 153_600)
    given = protocols.settings({}, "published")["cxr"] | {"pretrained": []}
    cxr = encoder_resnet18.ENCODER.network(given, None, none)
    assert (counts(cxr), cxr.hours_scale, cxr.one_by_one) == ((11_439_168, 0), 1, True)
    note = encoder_doc2vec.ENCODER.network({"standardise": False}, note_data(), none)
    assert counts(note) == (2_101_248, 0)
    assert not note.mean.any()
    assert (note.scale == 1).all()
