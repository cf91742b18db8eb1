"""Figures of explanations: what they show, and what they say where they cannot be believed."""

import pytest
from explanations_at_hand import every, explanation
from kit_at_hand import kit_of
from pydantic import TypeAdapter

from pipeline.kit import explained
from pipeline.kit.figures import FIGURES
from pipeline.kit.names import FIGURES as NAMES
from pipeline.kit.style import write
from pipeline.stage.explanations import Explanations

PICTURES = {"explained_ehr": explained.ehr, "explained_statistics": explained.statistics,
            "explained_cxr": explained.cxr, "explained_note": explained.note,
            "explained_scores": explained.scores}  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_made_up_explanations_are_of_the_types(known):
    for one in every(known=known):
        TypeAdapter(Explanations).validate_python(one)


def test_every_figure_of_explanations_is_in_the_kit():
    assert all(FIGURES[name] is picture for name, picture in PICTURES.items())
    assert set(PICTURES) <= set(NAMES)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("known", [True, False])
def test_a_figure_is_drawn_with_words_and_numbers(tmp_path, name, known):
    picture = PICTURES[name](kit_of(explanations=every(known=known)))
    assert picture.shown and picture.rows and picture.alt.endswith(".")
    write(picture, tmp_path / name)
    text = (tmp_path / f"{name}.svg").read_text()
    assert "not informative" not in text and "not told from chance" not in text
    assert ("planted" in text) == (known and name != "explained_scores")
    assert (tmp_path / f"{name}.csv").read_text().count("\n") == len(picture.rows) + 1


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_chance_is_shown_as_such(tmp_path, name):
    picture = PICTURES[name](kit_of(explanations=every(value=0.31)))
    assert "not informative: by share on the cause and pointing game" in picture.alt
    write(picture, tmp_path / name)
    text = (tmp_path / f"{name}.svg").read_text()
    words = "not told from chance" if name == "explained_scores" else "not informative"
    assert words in text


@pytest.mark.parametrize("name", PICTURES)
def test_without_explanations_a_figure_says_why(tmp_path, name):
    picture = PICTURES[name](kit_of())
    assert not picture.shown and picture.reason
    write(picture, tmp_path / name)
    assert "not shown" in (tmp_path / f"{name}.svg").read_text()


def test_the_reason_of_a_modality_is_told():
    kit = kit_of(explanations=[explanation("cxr", reason="the encoder reads vectors of films")])
    assert "vectors of films" in explained.cxr(kit).reason
    assert not explained.scores(kit).shown


def test_on_real_data_nothing_is_said_of_the_model_being_right():
    picture = explained.ehr(kit_of(explanations=every(known=False)))
    assert "whether the model is right is not known" in picture.alt


def test_hidden_cells_stay_empty():
    picture = explained.ehr(kit_of(explanations=every(known=False)))
    hidden = [row for row in picture.rows if row["patients"] == "<10"]
    assert hidden and all(row["mean"] is None and row["strength"] is None for row in hidden)


def test_the_noise_of_inference_stands_beside_the_notes(tmp_path):
    picture = explained.note(kit_of(explanations=every()))
    assert "The same report, inferred again, moves the log odds by 0.06" in picture.alt
    assert picture.rows[-1]["strength"] == 0.06
    write(picture, tmp_path / "note")
    assert "inferred again" in (tmp_path / "note.svg").read_text()


def test_a_cause_that_was_not_scored_is_no_praise():
    one = explanation("ehr")
    one["scores"] |= {"share": None, "pointing": None, "reason": "few patients"}
    assert "whether the model is right is not known" in explained.verdict(one)


def test_where_nothing_is_planted_the_verdict_says_that():
    one = explanation("cxr", known=False)
    one["scores"]["reason"] = "nothing of it is planted in modality c"
    text = explained.verdict(one)
    assert text.endswith("of the planted risk, nothing of it is planted in modality c")
    assert "not known" not in text


def test_a_part_of_the_signals_is_said_to_be_one():
    many = explanation("ehr")
    cells = many["cells"]
    for key in ("signals", "mean", "strength", "patients", "cause"):
        cells[key] = (cells[key] * 30)[:53]
    assert "the 24 strongest of 53 signals" in explained.ehr(kit_of(explanations=[many])).alt
