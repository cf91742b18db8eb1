"""Figures of a kit: sizes, bytes, numbers beside them, and what is shown where few are."""

import csv
import math
import re
from xml.etree import ElementTree

import pytest
from explanations_at_hand import explanation
from kit_at_hand import REASON, explanations, kit_of
from matplotlib import rc_context
from PIL import Image

from pipeline.kit.figures import FIGURES, pictures
from pipeline.kit.groups import coverage, fairness
from pipeline.kit.names import FIGURES as NAMES
from pipeline.kit.style import COLOURS, DOUBLE, FORMATS, SINGLE, STYLE, write

SVG = "{http://www.w3.org/2000/svg}"
WIDTHS = {False: SINGLE, True: DOUBLE}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Every figure of a whole kit, and where its files lie."""
    folder = tmp_path_factory.mktemp("figures")
    made = pictures(kit_of(explanations=explanations()))
    for name, picture in made.items():
        write(picture, folder / name)
    return made, folder


def texts(path):
    return [node.text for node in ElementTree.parse(path).iter(f"{SVG}text") if node.text]


def test_every_figure_is_named_once_and_written_in_every_format(drawn):
    _, folder = drawn
    assert tuple(FIGURES) == NAMES
    for name in NAMES:
        assert all((folder / f"{name}.{kind}").stat().st_size for kind in (*FORMATS, "csv")), name


def test_figures_have_the_widths_of_columns_of_a_journal_at_300_dpi(drawn):
    made, folder = drawn
    assert math.isclose(SINGLE * 25.4, 89) and math.isclose(DOUBLE * 25.4, 183)
    for name, picture in made.items():
        with Image.open(folder / f"{name}.png") as image:
            assert abs(image.width - 300 * WIDTHS[picture.wide]) <= 1, name
            assert all(abs(dpi - 300) < 0.1 for dpi in image.info["dpi"]), name
        width = ElementTree.parse(folder / f"{name}.svg").getroot().get("width")
        assert abs(float(width.removesuffix("pt")) - 72 * WIDTHS[picture.wide]) < 0.1, name


def test_nothing_touches_the_edge_of_a_figure(drawn):
    """Legends and labels lie within: a clipped one would leave ink on the outermost pixels."""
    made, folder = drawn
    for name in made:
        with Image.open(folder / f"{name}.png") as image:
            grey = image.convert("L")
            width, height = grey.size
            edges = [(0, 0, width, 1), (0, height - 1, width, height),
                     (0, 0, 1, height), (width - 1, 0, width, height)]  # fmt: skip
            assert all(grey.crop(edge).getextrema() == (255, 255) for edge in edges), name


def test_no_letter_is_smaller_than_a_journal_prints(drawn, tmp_path):
    """6.5 points."""
    made, folder = drawn
    hidden = pictures(kit_of(hidden=True, kind="mimic"))
    with rc_context(STYLE):
        for name, picture in hidden.items():
            if picture.draw:
                picture.draw().savefig(tmp_path / f"{name}.svg")
    paths = [folder / f"{name}.svg" for name in made] + sorted(tmp_path.glob("*.svg"))
    assert len(paths) > len(made)
    for path in paths:
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", path.read_text())]
        sizes += [float(size) for size in re.findall(r"font: ([\d.]+)px", path.read_text())]
        assert sizes and min(sizes) >= 6.5, path.name


def test_legends_cover_no_line(drawn):
    """Legends of the whole figure stand below the panel, outside of it."""
    for name in ("roc", "precision_recall", "calibration", "decision", "missing"):
        figure = drawn[0][name].draw()
        figure.draw_without_rendering()
        panel = figure.axes[-1].get_window_extent()
        (legend,) = figure.legends
        assert legend.get_window_extent().y1 <= panel.y0, name
        assert all(one.get_legend() is None for one in figure.axes), name


def test_the_same_kit_gives_the_same_bytes(drawn, tmp_path):
    _, folder = drawn
    for name in ("roc", "fairness"):
        write(pictures(kit_of())[name], tmp_path / name)
        for kind in (*FORMATS, "csv"):
            again = (tmp_path / f"{name}.{kind}").read_bytes()
            assert again == (folder / f"{name}.{kind}").read_bytes(), (name, kind)
    assert b"CreationDate" not in (folder / "roc.pdf").read_bytes()
    assert b"<dc:date>" not in (folder / "roc.svg").read_bytes()


def test_the_csv_beside_a_figure_holds_its_numbers(drawn):
    _, folder = drawn
    kit = kit_of()
    with (folder / "decision.csv").open() as file:
        rows = list(csv.DictReader(file))
    curve = kit.numbers["decision"]
    assert [float(row["threshold"]) for row in rows] == curve["thresholds"]
    assert [float(row["model"]) for row in rows] == curve["model"]["value"]
    with (folder / "fairness.csv").open() as file:
        first = next(csv.DictReader(file))
    group = kit.numbers["fairness"]["attributes"][0]["groups"][0]
    assert (first["group"], float(first["auroc"])) == (group["group"], group["auroc"]["value"])


def test_figures_say_their_numbers_to_those_who_do_not_see_them(drawn):
    made, folder = drawn
    assert "0.850 (0.830 to 0.870)" in made["roc"].alt
    assert "model, 0.850 (0.830 to 0.870)" in texts(folder / "roc.svg")
    assert "test 500 episodes, 100 with the outcome" in made["flow"].alt
    assert "slope 1.02 (0.92 to 1.12)" in made["calibration"].alt
    for name, picture in made.items():
        assert any(letter.isdigit() for letter in picture.alt), name


def test_a_kit_without_figures_says_why_in_each(tmp_path):
    made = pictures(kit_of(reason=REASON, target="e_unimodal_mortality", kind="mimic"))
    without = ("roc", "precision_recall", "comparisons", "calibration", "recalibration", "decision",
               "fairness", "differences", "missing")  # fmt: skip
    for name in without:
        reason = "this model reads one modality alone" if name == "missing" else REASON
        assert not made[name].shown and made[name].reason == reason, name
        write(made[name], tmp_path / name)
        assert reason in " ".join(texts(tmp_path / f"{name}.svg")), name
        assert (tmp_path / f"{name}.csv").read_text() == f"reason\n{reason}\n"
    assert made["flow"].shown and made["coverage"].shown


def test_an_explanation_that_is_no_better_than_chance_is_shown_as_such(drawn):
    made, folder = drawn
    assert "not informative" in " ".join(texts(folder / "explained_statistics.svg"))
    assert "not informative" not in " ".join(texts(folder / "explained_ehr.svg"))
    assert "chance" in made["explained_statistics"].alt


def test_models_that_were_not_explained_say_why(tmp_path):
    reason = "no film of a test episode"
    made = pictures(kit_of(explanations=[explanation("cxr", reason=reason)]))
    for name in NAMES[-5:]:
        assert not made[name].shown, name
        write(made[name], tmp_path / name)
    assert reason in made["explained_cxr"].alt


def test_hidden_groups_and_thresholds_are_named_hidden(tmp_path):
    kit = kit_of(hidden=True, kind="mimic")
    made = pictures(kit)
    write(made["fairness"], tmp_path / "fairness")
    found = texts(tmp_path / "fairness.svg")
    assert "F, hidden" in found and found.count("hidden") > 10
    rows = made["fairness"].rows
    assert {row["n"] for row in rows if row["group"] == "F"} == {"hidden"}
    assert "Hidden at 10 thresholds" in made["decision"].alt
    assert "Gaps: hidden" in " ".join(
        text.get_text() for legend in made["decision"].draw().legends
        for text in (legend.get_title(), *legend.get_texts())
    )  # fmt: skip


def test_whom_the_curve_of_sofa_is_of_is_told():
    kit = kit_of()
    own = kit.numbers["decision"]
    own["sofa_unknown"], own["sofa_hidden_at"] = 31, [0.01, 0.02]
    picture = FIGURES["decision"](kit)
    labels = [str(line.get_label()) for line in picture.draw().axes[0].lines]
    assert "SOFA, recalibrated, where known" in labels
    assert "it leaves out 31 test episodes" in picture.alt
    assert "SOFA's is hidden at 2 thresholds" in picture.alt
    row, place = picture.rows[5], 5
    assert row["sofa_unknown"] == 31
    for name in ("model_minus_default", "model_minus_sofa"):
        assert row[f"{name}_low"] == own[name]["low"][place]
    whole = FIGURES["decision"](kit_of())
    assert "leaves out" not in whole.alt and "sofa_unknown" not in whole.rows[0]


@pytest.mark.parametrize(("name", "y"), [("roc", "tpr"), ("precision_recall", "precision")])
def test_hidden_points_of_a_curve_are_gaps_and_said(drawn, tmp_path, name, y):
    kit = kit_of(kind="mimic")
    curve = kit.curves["roc" if name == "roc" else "pr"]
    curve["oracle"] = None
    for key in (y, "low", "high"):
        curve[key][3:5] = [None, None]
    picture = FIGURES[name](kit)
    assert f"Of {len(curve[y])} points 2 are hidden" in picture.alt
    assert [row[y] for row in picture.rows][3:5] == [None, None]
    line = next(line for line in picture.draw().axes[0].lines if "model" in str(line.get_label()))
    assert [math.isnan(at) for at in line.get_ydata()].count(True) == 2
    write(picture, tmp_path / name)
    assert "gaps: few in a cell" in " ".join(texts(tmp_path / f"{name}.svg"))
    assert "hidden" not in drawn[0][name].alt


def test_empty_groups_and_unknown_variables_do_not_stop_a_kit():
    kit = kit_of()
    for one in kit.numbers["fairness"]["attributes"]:
        one |= {"groups": [], "reason": "not recorded"}
    kit.numbers["table_one"]["variables"] = []
    assert not fairness(kit).shown and "not shown" in fairness(kit).alt
    assert not coverage(kit).shown


def hatched(panel):
    return [patch for patch in panel.patches if patch.get_hatch()]


def test_hidden_bins_of_the_histogram_are_hatched_and_not_empty():
    kit = kit_of(hidden=True)
    own = kit.numbers["calibration"][0]["histogram"]
    own["positives"] = ["<10", "hidden", *own["positives"][2:]]
    made = pictures(kit)["calibration"]
    figure = made.draw()
    panel = figure.axes[1]
    assert [(p.get_x(), p.get_x() + p.get_width()) for p in hatched(panel)] == [
        (0, 0.1),
        (0.1, 0.2),
    ]
    low, high = panel.get_ylim()
    for patch in hatched(panel):  # of the whole height, whatever the others are
        ends = patch.get_transform().transform([(0, patch.get_y()), (0, patch.get_height())])
        assert panel.transData.inverted().transform(ends)[:, 1] == pytest.approx([low, high])
    named = [text.get_text() for one in figure.legends for text in one.get_texts()]
    assert named.count("hidden, few episodes") == 1
    assert "Of 10 bins of risks 2 are hatched" in made.alt
    rows = [row for row in made.rows if row["part"] == "bin of risks"]
    assert [row["positives"] for row in rows[:2]] == ["<10", "hidden"]


def test_a_bin_that_is_empty_is_not_called_hidden(drawn):
    made, _ = drawn
    panel = made["calibration"].draw().axes[1]
    assert hatched(panel) == [] and "hatched" not in made["calibration"].alt
    assert "hidden, few episodes" not in str(panel.get_legend_handles_labels())


def test_the_csv_of_calibration_holds_groups_curve_band_and_bins(drawn):
    _, folder = drawn
    with (folder / "calibration.csv").open() as file:
        rows = list(csv.DictReader(file))
    own = kit_of().numbers["calibration"][0]
    parts = {part: [row for row in rows if row["part"] == part]
             for part in ("group by risk", "smooth curve", "bin of risks")}  # fmt: skip
    assert sum(map(len, parts.values())) == len(rows)
    assert [int(row["n"]) for row in parts["group by risk"]] == [g["n"] for g in own["groups"]]
    for name, key in (("risk", "risk"), ("observed", "observed"), ("observed_low", "low"),
                      ("observed_high", "high")):  # fmt: skip
        assert [float(row[name]) for row in parts["smooth curve"]] == own["smooth"][key]
    assert [int(row["negatives"]) for row in parts["bin of risks"]] == own["histogram"]["negatives"]
    assert [float(row["to"]) for row in parts["bin of risks"]] == own["histogram"]["edges"][1:]


def test_colours_are_those_of_okabe_and_ito():
    palette = {
        "#000000",
        "#E69F00",
        "#56B4E9",
        "#009E73",
        "#F0E442",
        "#0072B2",
        "#D55E00",
        "#CC79A7",
    }
    assert set(COLOURS) <= palette and len(set(COLOURS)) == len(COLOURS)
