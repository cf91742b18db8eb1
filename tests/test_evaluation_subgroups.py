"""Subgroups: who is in which, small ones without AUROC, hidden counts that stay hidden."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.sections.subgroups import TOO_SMALL, grouped, sensitivity, subgroups
from pipeline.evaluation.sections.suppression import COMPLEMENT, hidden
from pipeline.evaluation.statistics.bootstrap import Resampling
from pipeline.evaluation.statistics.figures import NOTHING
from pipeline.evaluation.statistics.sample import Sample
from pipeline.stage.errors import InputError

FEW = Resampling(count=100)


def example(sizes):
    """A test sample and its episodes: race → (positives, negatives)."""
    random = np.random.default_rng(0)
    label = np.concatenate([np.arange(p + n) < p for p, n in sizes.values()])
    who = np.arange(len(label))
    probability = 1 / (1 + np.exp(-(random.normal(size=len(label)) + label)))
    race = np.repeat(list(sizes), [p + n for p, n in sizes.values()])
    episodes = pl.DataFrame({"episode_id": who, "race": race})
    return Sample(who, who, label, probability[None]), episodes


def test_bands_and_broad_groups():
    table = pl.DataFrame(
        {
            "episode_id": range(7),
            "sex": ["F", "M", None, "", "F", "F", "F"],
            "age": [17, 18, 44, 45, 65, 80, None],
            "race": [
                "White - Russian",
                "BLACK/AFRICAN AMERICAN",
                "HISPANIC OR LATINO",
                "ASIAN - KOREAN",
                "UNABLE TO OBTAIN",
                "PORTUGUESE",
                None,
            ],
            "insurance": ["Medicare", "Private", None, "", "No charge", "Other", "Medicaid"],
        }
    )
    made = grouped(table)
    assert made.columns == ["episode_id", "sex", "age", "race", "insurance"]
    assert made["sex"].to_list() == ["F", "M", "UNKNOWN", "UNKNOWN", "F", "F", "F"]
    bands = ["under 18", "18-44", "18-44", "45-64", "65-79", "80+", "UNKNOWN"]
    assert made["age"].to_list() == bands
    races = ["WHITE", "BLACK", "HISPANIC", "ASIAN", *["OTHER/UNKNOWN"] * 3]
    assert made["race"].to_list() == races
    assert made["insurance"][2] == made["insurance"][3] == "UNKNOWN"


def test_auroc_is_that_of_the_group():
    test, episodes = example({"WHITE": (60, 200), "BLACK": (20, 60)})
    made = subgroups(test, episodes.sample(fraction=1, shuffle=True, seed=1), FEW, 0)
    assert made["sex"] is made["age"] is made["era"] is None
    black = made["race"][0]
    inside = slice(260, None)
    auroc = roc_auc_score(test.label[inside], test.probability[0, inside])
    assert (black["group"], black["n"], black["positives"]) == ("BLACK", 80, 20)
    assert black["auroc"]["value"] == pytest.approx(auroc)
    assert black["auroc"]["low"] < auroc < black["auroc"]["high"]


def test_small_groups_have_no_auroc_but_on_synthetic_data_their_counts():
    test, episodes = example({"WHITE": (60, 200), "BLACK": (9, 60), "ASIAN": (30, 9)})
    made = {g["group"]: g for g in subgroups(test, episodes, FEW, 0)["race"]}
    for name, n in (("BLACK", 69), ("ASIAN", 39)):
        assert (made[name]["n"], made[name]["reason"]) == (n, TOO_SMALL)
        assert made[name]["auroc"] == NOTHING


def test_on_real_data_a_hidden_count_does_not_follow_from_the_others():
    test, episodes = example({"WHITE": (60, 200), "BLACK": (20, 60), "ASIAN": (4, 30)})
    made = {g["group"]: g for g in subgroups(test, episodes, FEW, 10)["race"]}
    assert made["ASIAN"]["n"] is made["BLACK"]["n"] is made["BLACK"]["positives"] is None
    assert made["BLACK"]["reason"] == COMPLEMENT
    assert made["BLACK"]["auroc"] == NOTHING
    assert (made["WHITE"]["n"], made["WHITE"]["positives"]) == (260, 60)
    assert made["WHITE"]["auroc"]["value"] > 0.5


@pytest.mark.parametrize(
    ("sides", "secret"),
    [
        ({"A": (50, 90), "B": (20, 30)}, ""),
        ({"A": (50, 90), "B": (20, 30), "C": (0, 30)}, ""),
        ({"A": (50, 90), "B": (20, 30), "C": (3, 30)}, "BC"),
        ({"A": (50, 90), "B": (20, 30), "C": (3, 30), "D": (2, 30)}, "BCD"),
        ({"A": (50, 90), "B": (20, 30), "C": (6, 30), "D": (7, 30)}, "CD"),
        ({"A": (50, 90), "B": (30, 4)}, "AB"),
        ({"A": (5, 90)}, "A"),
    ],
)
def test_what_is_hidden_is_never_a_small_difference(sides, secret):
    assert "".join(sorted(hidden(sides, 10))) == secret


def test_an_era_that_nobody_has_is_absent_and_episodes_unknown_to_the_table_are_unknown():
    test, episodes = example({"WHITE": (60, 200)})
    none = pl.lit(None, pl.Int64)
    empty = episodes.with_columns(first_year=none, last_year=none)
    assert subgroups(test, empty, FEW, 0)["era"] is None
    eras = episodes.with_columns(first_year=pl.lit(2008), last_year=pl.lit(2010)).head(100)
    made = subgroups(test, eras, FEW, 0)["era"]
    assert [(g["group"], g["n"]) for g in made] == [("2008 - 2010", 100), ("UNKNOWN", 160)]


@pytest.mark.parametrize(
    ("first", "last", "group"),
    [
        (2011, 2013, "2011 - 2013"),
        (2012, 2014, "2011 - 2013"),
        (2013, 2015, "2014 - 2016"),
        (2018, 2019, "2017 - 2019"),  # clipped by a release that ends in 2019
        (2019, 2020, "2017 - 2019"),  # the earlier of two middle years
        (2022, 2022, "2020 - 2022"),
        (None, None, "UNKNOWN"),
    ],
)
def test_the_era_of_an_admission_is_that_of_the_middle_of_its_years(first, last, group):
    schema = dict.fromkeys(("episode_id", "first_year", "last_year"), pl.Int64)
    rows = pl.DataFrame([(1, first, last)], schema, orient="row")
    assert grouped(rows)["era"].to_list() == [group]


def marks(folder, **analyses):
    path = folder / "marks.parquet"
    pl.DataFrame({"episode_id": np.arange(260), **analyses}).write_parquet(path)
    return path


def test_each_sensitivity_analysis_leaves_out_whom_it_marks(tmp_path):
    test, _ = example({"WHITE": (60, 200)})
    analyses = {"early deaths": np.arange(260) % 4 == 0, "hospice": np.arange(260) % 5 == 1}
    made = sensitivity(test, marks(tmp_path, **analyses), FEW, 10)
    assert [one["left_out"] for one in made] == list(analyses)
    assert [(one["n"], one["reason"]) for one in made] == [(195, None), (208, None)]
    for one, out in zip(made, analyses.values(), strict=True):
        auroc = roc_auc_score(test.label[~out], test.probability[0, ~out])
        assert one["auroc"]["value"] == pytest.approx(auroc)


def test_few_left_out_are_not_counted_by_difference(tmp_path):
    test, _ = example({"WHITE": (60, 200)})
    path = marks(tmp_path, x=np.arange(260) < 3)
    assert sensitivity(test, path, FEW, 0)[0]["n"] == 257
    (made,) = sensitivity(test, path, FEW, 10)
    assert made["n"] is made["positives"] is made["auroc"]["value"] is None
    assert made["reason"] == "fewer than 10 positive or negative episodes are left out"


def test_two_analyses_do_not_tell_a_small_group_by_their_difference(tmp_path):
    test, _ = example({"WHITE": (60, 200)})
    more, other = np.arange(260) % 4 == 0, np.arange(260) % 4 == 1
    more[1] = True  # one positive more than the first analysis
    path = marks(tmp_path, first=np.arange(260) % 4 == 0, more=more, other=other)
    first, second, third = sensitivity(test, path, FEW, 10)
    assert first["n"] == 195 and third["n"] == 195  # they overlap in nobody
    assert second["n"] is second["auroc"]["value"] is None
    assert second["reason"] == (
        "fewer than 10 positive or negative episodes more or less are left out"
    )
    assert [one["n"] for one in sensitivity(test, path, FEW, 0)] == [195, 194, 195]


def test_test_episodes_without_a_mark_are_refused(tmp_path):
    test, _ = example({"WHITE": (60, 200)})
    pl.read_parquet(marks(tmp_path, x=np.arange(260) < 3)).head(257).write_parquet(
        tmp_path / "few.parquet"
    )
    with pytest.raises(InputError, match=r"few\.parquet: <10 test episode\(s\) have no mark"):
        sensitivity(test, tmp_path / "few.parquet", FEW, 0)
