"""Pictures of single patients lie below private/ alone, and nothing reads them."""

import re
import stat
from pathlib import Path

import numpy as np
import pytest

from pipeline.explain import private
from pipeline.explain.common import Explained
from pipeline.explain.parts import Items
from pipeline.stage.errors import InputError
from pipeline.stage.modules import ROOT

FORBIDDEN = ["results/c_mortality.pdf", "results/kit/ecn_early_mortality/c.pdf", "c.pdf",
             "private/../results/c.pdf", "/tmp/private/c.pdf", "results/private/c.pdf",
             "private.pdf", "private"]  # fmt: skip


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout, in which the command is run."""
    monkeypatch.setattr(private, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", FORBIDDEN)
def test_other_places_are_refused_and_nothing_is_made(checkout, place):
    with pytest.raises(InputError, match="written below private/ of this checkout alone"):
        private.private_place(place)
    assert not list(checkout.iterdir())


@pytest.mark.parametrize("start", ["results", "results/kit", "elsewhere"])
def test_the_place_does_not_depend_on_where_the_command_is_run(checkout, monkeypatch, start):
    (checkout / start).mkdir(parents=True)
    monkeypatch.chdir(checkout / start)
    with pytest.raises(InputError, match="of this checkout alone"):
        private.private_place("private/c.pdf")
    assert not list(Path(checkout, start).iterdir())
    absolute = private.private_place(checkout / "private" / "c.pdf")
    assert absolute == checkout / "private" / "c.pdf" and absolute.parent.is_dir()


def test_a_checkout_below_results_has_no_private_place(tmp_path, monkeypatch):
    monkeypatch.setattr(private, "ROOT", tmp_path / "results" / "work")
    with pytest.raises(InputError, match="of this checkout alone"):
        private.private_place(tmp_path / "results" / "work" / "private" / "c.pdf")


def test_folders_are_for_their_owner_alone_whatever_they_were(tmp_path, checkout):
    (tmp_path / "private").mkdir()
    (tmp_path / "private").chmod(0o2775)
    path = private.private_place("private/corrected/admission/c.pdf")
    folders = [path.parent, *path.parent.parents][:3]
    assert [folder.name for folder in folders] == ["admission", "corrected", "private"]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_a_link_to_elsewhere_is_refused(tmp_path, checkout):
    (tmp_path / "results").mkdir()
    (tmp_path / "private").symlink_to(tmp_path / "results")
    with pytest.raises(InputError, match="a link"):
        private.private_place("private/c.pdf")


@pytest.mark.parametrize(
    "shows",
    [
        {"film": np.zeros((8, 8), np.uint8)},
        {"sentences": ["No edema."] * 4},
        {"signals": ["lactate"] * 4, "eighths": np.arange(4), "edges": list(range(9))},
    ],
)
def test_a_page_is_drawn_of_each_kind_readable_by_its_owner_alone(tmp_path, checkout, shows):
    items = Items(np.arange(2), np.arange(2), np.arange(2), np.array([0, 4, 8]))
    model = Explained(
        items, np.arange(2), 2, lambda item, gone: (~gone).sum(axis=1) + item * 1.0,
        {"name": "occlusion", "item": "x", "part": "x", "baseline": "x", "words": "x"}, None, None,
        lambda value: {}, 2, lambda item: shows,
    )  # fmt: skip
    path = private.private_place("private/x.pdf")
    private.write(model, path)
    assert path.read_bytes().startswith(b"%PDF") and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_rule_reads_what_is_private():
    rules = {path.name: path.read_text() for path in Path(ROOT, "rules").glob("*.smk")}
    uses = re.findall(r"PATIENTS|private/", "".join(rules.values()))
    assert {name for name, text in rules.items() if re.search("PATIENTS|private/", text)} == {
        "explain.smk"}  # fmt: skip
    made = re.findall(r"PATIENTS\}/|PATIENTS =|below\s+private/", rules["explain.smk"])
    assert len(made) == len(uses)
    assert "/private/" in Path(ROOT, ".gitignore").read_text().split()
