"""Films of an episode: those taken by the prediction time, to the minute, of the views asked."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest
from episodes_at_hand import RULE, TIME, admission, at, stay

from pipeline.cxr import films as stage
from pipeline.stage.errors import InputError

FOLDER = Path(stage.__file__).parent


def film(name, time, subject=10, view="antero-posterior", position=None):
    return {
        "dicom_id": name,
        "subject_id": subject,
        "study_id": 5,
        "film_time": time,
        "view_position": position,
        "view_code_sequence_code_meaning": view,
    }


@pytest.fixture
def select(tmp_path, monkeypatch):
    """Runs the stage on these films and gives episode and name of those selected, by time."""

    def run(films, episodes=None, rule=RULE, views=("antero-posterior",)):
        times = pl.col("start", "clock_zero", "observed_from", "prediction_time").cast(TIME)
        rows = pl.DataFrame(episodes or [admission()]).with_columns(times)
        rows.write_parquet(tmp_path / "episodes.parquet")
        kinds = {"film_time": TIME, "view_position": pl.String}
        kinds |= {"view_code_sequence_code_meaning": pl.String}
        table = pl.DataFrame(films, schema_overrides=kinds)
        table.write_parquet(tmp_path / "metadata.parquet")
        output = tmp_path / "films.parquet"
        given = ["--episodes", tmp_path / "episodes.parquet", "--output", output]
        given += ["--metadata", tmp_path / "metadata.parquet", "--views", *views]
        given += ["--query", FOLDER / "films.sql", "--temp", tmp_path]
        given += ["--availability", json.dumps(rule)]
        monkeypatch.setattr(sys, "argv", ["films", *map(str, given)])
        stage.main()
        return pl.read_parquet(output)

    return run


def names(table):
    return "".join(table["dicom_id"])


def test_films_count_from_observed_from_on_and_before_the_prediction_time(select):
    films = [
        film("a", at(-6, 0, -1)),
        film("b", at(-6)),
        film("c", at(48, 0, -1)),
        film("d", at(48)),
        film("e", None),
    ]
    kept = select(films, [admission(observed_from=at(-6))])
    assert kept.select("dicom_id", "minute").rows() == [("b", -360), ("c", 2879)]


def test_a_perfect_film_one_minute_late_changes_nothing_but_shows_with_the_rule_off(select):
    films = [film("a", at(1)), film("b", at(47, 59))]
    late = film("z", at(48, 1))
    assert select([*films, late]).equals(select(films))
    assert names(select([*films, late], rule=RULE | {"enforced": False})) == "abz"


def test_a_film_belongs_to_one_admission_and_never_to_another_patient(select):
    episodes = [admission(1), admission(2, start=at(30), observed_from=at(24)), admission(3, 20)]
    films = [film(name, at(h)) for name, h in {"a": 23, "b": 24, "c": 25, "d": 47, "e": 77}.items()]
    kept = select(films, episodes)
    owners = kept.group_by("episode_id").agg(pl.col("dicom_id").sort()).sort("episode_id")
    assert owners.rows() == [(1, ["a"]), (2, ["b", "c", "d", "e"])]


def test_of_two_admissions_at_the_same_time_one_gets_the_film(select):
    assert select([film("a", at(1))], [admission(1), admission(2)]).height == 1


def test_minutes_of_a_stay_count_from_the_patients_arrival_and_earlier_films_stay_known(select):
    hours = {"a": -1, "b": 2, "c": 7, "d": 50, "e": 51}
    kept = select([film(name, at(hour)) for name, hour in hours.items()], [stay(arrival=at(3))])
    assert kept.select("dicom_id", "minute").rows() == [
        ("a", -240), ("b", -60), ("c", 240), ("d", 2820)
    ]  # fmt: skip


def test_the_seconds_of_clock_zero_do_not_move_a_horizon(select):
    times = {"a": at(4, 0, 45), "b": at(4, 0, 50), "c": at(48, 0, 49), "d": at(48, 0, 50)}
    kept = select([film(name, time) for name, time in times.items()], [stay(start=at(0, 0, 50))])
    assert kept.select("dicom_id", "minute").rows() == [("a", 239), ("b", 240), ("c", 2879)]


def test_a_film_belongs_to_one_admission_and_to_all_its_stays(select):
    stays = [stay(1), stay(2, start=at(50), observed_from=at(-6))]
    stays += [stay(3, hadm=2, start=at(80), observed_from=at(70)), stay(4, 20, 3)]
    hours = {"a": -1, "b": 47, "c": 69.9, "d": 70}
    kept = select([film(name, at(hour)) for name, hour in hours.items()], stays)
    assert kept.select("episode_id", "dicom_id").rows() == [
        (1, "a"), (1, "b"), (2, "a"), (2, "b"), (2, "c"), (3, "d")
    ]  # fmt: skip


def test_other_views_are_out_whatever_their_letter_case(select):
    views = ["antero-posterior", "ANTERO-POSTERIOR", "postero-anterior", "lateral", None]
    films = [film(name, at(1), view=view) for name, view in zip("abcde", views, strict=True)]
    assert names(select(films)) == "ab"
    assert names(select(films, views=("postero-anterior", "lateral"))) == "cd"


AP, PA, LATERAL = "antero-posterior", "postero-anterior", "lateral"
VIEWS = [("AP", AP), ("AP", None), (None, AP), ("PA", PA), ("LATERAL", LATERAL), (None, None)]


def of_views():
    pairs = zip("abcdef", VIEWS, strict=True)
    return [film(name, at(1), view=view, position=position) for name, (position, view) in pairs]


def test_a_short_name_is_a_position_and_a_long_one_the_meaning_of_its_code(select):
    assert names(select(of_views(), views=("AP",))) == "ab"
    assert names(select(of_views(), views=("pa", AP))) == "acd"
    assert names(select(of_views(), views=(" Lateral",))) == "e"


def test_a_view_that_no_film_has_is_refused_with_those_there_are_and_their_counts(select):
    many = [film(f"more{k}", at(1), view=AP, position="AP") for k in range(12)]
    with pytest.raises(InputError) as caught:
        select([*of_views(), *many], views=(AP, "frontal"))
    assert str(caught.value) == (
        "config: cxr.views: no film of the source has the view frontal; the films have, by "
        "ViewCodeSequence_CodeMeaning: antero-posterior (14), lateral (<10), postero-anterior (<10)"
        "; by ViewPosition: AP (14), LATERAL (<10), PA (<10)"
    )


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Runs the published selection on these films; admissions: hadm_id → hours of start and end."""

    def run(films, **admissions):
        hours = {int(name[1:]): ends for name, ends in admissions.items()}
        times = pl.col("start", "clock_zero", "observed_from", "prediction_time").cast(TIME)
        episodes = [admission(k, start=at(start)) for k, (start, _) in hours.items()]
        rows = pl.DataFrame(episodes).with_columns(times)
        rows.write_parquet(tmp_path / "episodes.parquet")
        stays = [(k, at(start), at(end)) for k, (start, end) in hours.items()]
        known = {"hadm_id": pl.Int64, "admittime": TIME, "dischtime": TIME}
        table = pl.DataFrame(stays, schema=known, orient="row")
        table.write_parquet(tmp_path / "admissions.parquet")
        kinds = {"view_position": pl.String}
        pl.DataFrame(films, schema_overrides=kinds).write_parquet(tmp_path / "metadata.parquet")
        given = ["--query", FOLDER / "films_published.sql", "--views", "antero-posterior"]
        for name in ("episodes", "admissions", "metadata"):
            given += [f"--{name}", tmp_path / f"{name}.parquet"]
        given += ["--output", tmp_path / "films.parquet", "--temp", tmp_path]
        monkeypatch.setattr(sys, "argv", ["films", *map(str, given)])
        stage.main()
        return pl.read_parquet(tmp_path / "films.parquet")

    return run


def test_published_films_lie_strictly_within_admission_and_48_hours(published):
    films = [film("a", at()), film("b", at(0, 0, 1)), film("c", at(47, 59)), film("d", at(48))]
    films += [film("e", at(-1)), film("f", at(1), subject=20), film("g", at(1), view="lateral")]
    assert published(films, h1=(0, 90)).select("dicom_id", "minute").rows() == [
        ("b", 0),
        ("c", 2879),
    ]
    films = [film("a", at(39, 59)), film("b", at(40))]
    assert names(published(films, h1=(0, 40))) == "a"


def test_a_published_film_of_two_overlapping_admissions_belongs_to_both(published):
    kept = published([film("a", at(10))], h1=(0, 90), h2=(5, 90))
    assert kept.select("episode_id", "minute").rows() == [(1, 600), (2, 300)]


@pytest.mark.parametrize(
    ("name", "needed"), [("films.sql", "availability"), ("films_published.sql", "admissions")]
)
def test_a_query_without_what_it_needs_is_refused(monkeypatch, name, needed):
    given = ["--episodes", "e", "--metadata", "m", "--views", "v", "--output", "o"]
    monkeypatch.setattr(sys, "argv", ["films", "--query", str(FOLDER / name), *given])
    with pytest.raises(InputError, match=f"{name} needs --{needed}$"):
        stage.main()
