"""A MEDS data set as a source: ours comes back, another's is read by a csv, the rest is refused."""

import copy
import csv
from datetime import datetime, timedelta

import polars as pl
import pytest
import yaml
from checkout import REPOSITORY
from hospital_files import files
from meds_at_hand import adapted, derived, exported, extracted

from pipeline.cohort.task import find
from pipeline.ehr.signals import catalogue
from pipeline.meds import source as meds_source
from pipeline.meds.codes import SHIPPED, lacking, meanings, read_codes
from pipeline.plan import configuration, targets
from pipeline.stage.errors import InputError

YEARS = ["first_year", "last_year"]


# Our own data set comes back


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the pipeline makes of a hospital's files, and of the same by way of MEDS."""
    folder = tmp_path_factory.mktemp("both")
    source = extracted(files(300, films=False) / "mimiciv/3.1", folder / "source")
    root = exported(source, folder / "meds")
    again = adapted(root, folder / "again")
    return derived(source, folder / "direct"), derived(again, folder / "through"), root


def test_events_and_labels_of_our_meds_are_those_of_the_files(both):
    direct, through, _ = both
    for name in ("admission events", "stay events", "bins", "mortality", "shock_4h", "arf_4h"):
        assert direct[name].height > 30
        assert direct[name].equals(through[name]), name
    assert (
        direct["mortality_48h"]
        .drop("onset_hours")
        .equals(
            through["mortality_48h"].drop("onset_hours")  # a death after the discharge is put at it
        )
    )


def test_episodes_of_our_meds_lack_calendar_years_alone(both):
    direct, through, _ = both
    for unit in ("admission", "stay"):
        one, other = direct[f"{unit} episodes"], through[f"{unit} episodes"]
        assert one.drop(YEARS).equals(other.drop(YEARS))
        assert other[YEARS[0]].null_count() == other.height > one[YEARS[0]].null_count()


def test_a_data_set_without_ids_of_admissions_gets_them_by_its_times(both, tmp_path):
    direct, _, root = both
    rows = pl.read_parquet(root / "data/*.parquet").drop("hadm_id", "icustay_id", "order_id")
    (tmp_path / "bare/data").mkdir(parents=True)
    rows.write_parquet(tmp_path / "bare/data/0.parquet")
    through = derived(adapted(tmp_path / "bare", tmp_path / "source"), tmp_path / "through")
    key = ["subject_id", "start", "end", "split", "age", "race", "admission_type"]
    for unit in ("admission", "stay"):
        one, other = (made[f"{unit} episodes"].sort(key) for made in (direct, through))
        assert one.select(key).equals(other.select(key))
    # a heart rate from before intime is of the stay that names it alone
    moved = one["clock_zero"] != other["clock_zero"]
    assert 0 < moved.sum() < 0.3 * one.height
    assert one.filter(moved).select((pl.col("clock_zero") == pl.col("start")).all()).item()
    readings = ["subject_id", "minute", "signal", "value", "known"]
    one, other = (
        made["admission events"].join(made["admission episodes"], on="episode_id").select(readings)
        for made in (direct, through)
    )
    assert one.sort(readings).equals(other.sort(readings))


def test_a_sample_keeps_whole_patients(both, tmp_path):
    root = both[2]
    some = pl.read_parquet(adapted(root, tmp_path, sample=0.3) / "admissions.parquet")
    every = pl.read_parquet(adapted(root, tmp_path / "all") / "admissions.parquet")
    assert 0 < some.height < 0.5 * every.height
    kept = every.filter(pl.col("subject_id").is_in(some["subject_id"].unique().implode()))
    assert kept.equals(some)


# Another hospital's


ZERO = datetime(2020, 5, 1, 8)
OWN = """\
code,signal,unit,scale,shift,event
Admit//*,admission,,,,
Discharge//*,discharge,,,,
IcuIn//*,icu_admission,,,,
IcuOut//*,icu_discharge,,,,
Born,birth,,,,
Died,death,,,,
Sex//*,sex,,,,
puls,heart_rate,/min,,,
temp_f,temperature,°F,0.5555555556,-17.7777777778,
krea,creatinine,umol/L,0.0113,,
glu,glucose,mmol/L,18.016,,
urin_a,urine,mL,,,
urin_b,urine,L,1000,,
nor on,norepinephrine,mcg/kg/min,,,start
nor off,norepinephrine,,,,end
"""


def at(hours):
    return ZERO + timedelta(hours=hours)


@pytest.fixture
def other(tmp_path):
    """A data set of other codes, units and nothing beyond MEDS' own columns; its csv of codes."""
    rows = [
        (7, None, "Sex//F", None), (7, datetime(1950, 3, 3), "Born", None),
        (7, ZERO, "Admit//Acute", None), (7, at(2), "IcuIn//MICU", None),
        (7, at(2.5), "puls", 88), (7, at(3), "temp_f", 98.6), (7, at(4), "krea", 100),
        (7, at(4), "glu", 5.5), (7, at(5), "urin_a", 150), (7, at(5), "urin_b", 0.15),
        (7, at(6), "nor on", 0.1), (7, at(9), "nor off", 12), (7, at(7), "unheard of", 1),
        (7, at(60), "IcuOut//MICU", None), (7, at(70), "Died", None),
        (7, at(70.5), "Discharge//DIED", None),
        (8, None, "Sex//M", None), (8, datetime(1960, 3, 3), "Born", None),
        (8, ZERO, "Admit//UNK", None), (8, at(1), "IcuIn//MICU", None), (8, at(1), "puls", 70),
        (8, at(90), "IcuOut//MICU", None), (8, at(100), "Discharge//HOME", None),
    ]  # fmt: skip
    schema = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String,
              "numeric_value": pl.Float32}  # fmt: skip
    (tmp_path / "data/train").mkdir(parents=True)
    pl.DataFrame(rows, schema, orient="row").write_parquet(tmp_path / "data/train/0.parquet")
    codes = tmp_path / "codes.csv"
    codes.write_text(OWN)
    return tmp_path, codes


def test_another_hospitals_codes_and_units_are_read_by_its_csv(other, tmp_path):
    root, codes = other
    made = derived(adapted(root, tmp_path / "source", codes), tmp_path / "made")
    events = made["stay events"].join(made["stay episodes"], on="episode_id").filter(subject_id=7)
    value = dict(events.drop_nulls("value").select("signal", "value").iter_rows())
    assert value == pytest.approx({
        "heart_rate": 88, "temperature": 37, "creatinine": 1.13, "glucose": 99.088, "urine": 300,
        "norepinephrine": 0.1,
    })  # fmt: skip
    ran = events.filter(signal="vasopressor").select("minute", "end_minute").rows()
    assert ran == [(3 * 60 + 30, 6 * 60 + 30)]  # from the first heart rate on
    assert made["mortality"].select("eligible", "label").rows() == [(True, 1), (True, 0)]
    assert made["mortality_48h"].sort("label")["label"].to_list() == [0, 1]
    assert made["stay episodes"].sort("subject_id")["age"].to_list() == [70, 60]
    assert made["admission episodes"].sort("subject_id")["admission_type"].to_list() == [
        "ACUTE", None,
    ]  # fmt: skip


def test_the_screen_says_that_times_are_chart_times_and_what_is_lacking(other, tmp_path, caplog):
    root, codes = other
    adapted(root, tmp_path / "source", codes)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "its times are chart times" in said[0]
    assert said[1].startswith("signals that the data set lacks: sbp_cuff, ")
    assert "heart_rate" not in said[1] and "vasopressor" not in said[1]
    caplog.clear()
    rows = pl.read_parquet(root / "data/train/0.parquet")
    rows.with_columns(charttime="time").write_parquet(root / "data/train/0.parquet")
    adapted(root, tmp_path / "source", codes)
    assert "chart times" not in caplog.text


def test_an_infusion_that_never_ends_runs_and_a_reading_outside_an_admission_is_of_none(
    other, tmp_path
):
    root, codes = other
    file = root / "data/train/0.parquet"
    rows = pl.read_parquet(file).filter(pl.col("code") != "nor off")
    late = rows.filter(code="puls", subject_id=7).with_columns(time=pl.lit(at(500)))
    pl.concat([rows, late]).write_parquet(file)
    source = adapted(root, tmp_path / "source", codes)
    given = pl.read_parquet(source / "inputevents.parquet")
    assert given.select("endtime", "amount").rows() == [(None, 1.0)]
    charted = pl.read_parquet(source / "chartevents.parquet").sort("charttime")
    assert charted["hadm_id"].to_list()[-1] is None and charted["hadm_id"].null_count() == 1


def changed(root, change):
    """The data set with other rows, by Polars."""
    file = root / "data/train/0.parquet"
    change(pl.read_parquet(file)).write_parquet(file)


def test_an_end_without_a_start_shifts_no_infusion(other, tmp_path, caplog):
    root, codes = other
    more = [(7, at(4), "nor off", 3.0), (7, at(20), "nor on", 0.2), (7, at(22), "nor off", 5.0)]
    changed(root, lambda rows: pl.concat([rows, pl.DataFrame(more, rows.schema, orient="row")]))
    source = adapted(root, tmp_path / "source", codes)
    given = pl.read_parquet(source / "inputevents.parquet").sort("starttime")
    assert given.select("starttime", "endtime", "amount").rows() == [
        (at(6), at(9), 12.0), (at(20), at(22), 5.0),
    ]  # fmt: skip
    assert "ends of infusions or procedures have no start" in caplog.text
    assert "have no end" not in caplog.text


def test_a_lost_end_gives_no_infusion_that_of_a_later_one(other, tmp_path, caplog):
    root, codes = other
    more = [(7, at(20), "nor on", 0.2), (7, at(22), "nor off", 5.0)]

    def change(rows):
        kept = rows.filter(pl.col("code") != "nor off")
        return pl.concat([kept, pl.DataFrame(more, rows.schema, orient="row")])

    changed(root, change)
    source = adapted(root, tmp_path / "source", codes)
    given = pl.read_parquet(source / "inputevents.parquet").sort("starttime")
    assert given.select("starttime", "endtime").rows() == [(at(6), None), (at(20), at(22))]
    assert "infusions and procedures have no end" in caplog.text


def test_a_column_of_times_without_a_value_tells_none(other, tmp_path, caplog):
    root, codes = other
    empty = pl.lit(None, pl.Datetime("us")).alias("charttime")
    changed(root, lambda rows: rows.with_columns(empty))
    adapted(root, tmp_path / "source", codes)
    assert "its times are chart times" in caplog.text


def test_ids_that_stand_on_admissions_alone_leave_readings_to_their_times(other, tmp_path):
    root, codes = other
    began = pl.col("code").str.contains("Admit|Discharge")
    stays = pl.col("code").str.contains("Icu")
    changed(root, lambda rows: rows.with_columns(
        hadm_id=pl.when(began).then(pl.col("subject_id") + 500),
        icustay_id=pl.when(stays).then(pl.col("subject_id") + 900),
    ))  # fmt: skip
    charted = pl.read_parquet(adapted(root, tmp_path / "s", codes) / "chartevents.parquet")
    found = charted.filter(itemid=220045).select("subject_id", "hadm_id", "stay_id").rows()
    assert sorted(found) == [(7, 507, 907), (8, 508, 908)]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("hadm_id", "H-17", "hadm_id holds what are no whole numbers"),
        ("hadm_id", 500.7, "hadm_id holds what are no whole numbers"),
        ("numeric_value", "high", "numeric_value holds what are no numbers"),
        ("subject_id", "P7", "subject_id holds what are no whole numbers"),
    ],
)
def test_text_where_numbers_belong_is_refused(other, tmp_path, column, value, words):
    root, codes = other
    changed(root, lambda rows: rows.with_columns(pl.lit(value).alias(column)))
    with pytest.raises(InputError, match=words):
        adapted(root, tmp_path / "source", codes)


def test_a_code_in_another_unit_is_told_on_the_screen(other, tmp_path, caplog):
    root, codes = other
    changed(root, lambda rows: rows.with_columns(pl.col("code").replace("krea", "krea//mg/dL")))
    codes.write_text(codes.read_text().replace("krea,", "krea//*,"))
    adapted(root, tmp_path / "source", codes)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("creatinine: in mg/dL, read as umol/L, unconverted" in line for line in said)


@pytest.mark.parametrize("way", ["a column", "no scale", "no unit"])
def test_another_unit_is_told_wherever_it_stands(other, tmp_path, caplog, way):
    root, codes = other
    text = codes.read_text()
    if way == "a column":
        changed(root, lambda rows: rows.with_columns(
            unit=pl.when(code="krea").then(pl.lit("mg/dL"))))  # fmt: skip
    else:
        unit = "umol/L" if way == "no scale" else ""
        code = "krea" if way == "no scale" else "krea//*"
        changed(root, lambda rows: rows.with_columns(
            pl.col("code").replace("krea", code.replace("*", "umol/L"))))  # fmt: skip
        lines = [f"{code},creatinine,{unit},,," if line.startswith("krea") else line
                 for line in text.splitlines()]  # fmt: skip
        codes.write_text("\n".join(lines) + "\n")
    adapted(root, tmp_path / "source", codes)
    assert "creatinine: in" in caplog.text and "unconverted" in caplog.text


def test_what_mimics_csv_does_not_know_is_refused_with_the_remedy(other, tmp_path):
    with pytest.raises(InputError, match=r"none of its .* is an admission .* set source\.codes"):
        adapted(other[0], tmp_path / "source")


def test_a_folder_that_is_no_meds_is_refused(tmp_path):
    with pytest.raises(InputError, match="no parquet file; expected a MEDS data set"):
        adapted(tmp_path, tmp_path / "source")
    (tmp_path / "data").mkdir()
    pl.DataFrame({"patient": [1]}).write_parquet(tmp_path / "data/0.parquet")
    with pytest.raises(InputError, match="its data lack subject_id, time, code"):
        adapted(tmp_path, tmp_path / "source")
    (tmp_path / "data/0.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="no readable parquet"):
        adapted(tmp_path, tmp_path / "source")


# The csv


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("puls,heartrate", "line 2: no signal heartrate"),
        (",heart_rate", "line 2: code is empty"),
        ("puls,heart_rate,,x", "line 2: scale is x, expected a number"),
        ("puls,heart_rate,,,start", "line 2: event is start; of heart_rate expected nothing"),
        ("nor,norepinephrine", "event is empty; of norepinephrine expected start or end"),
        ("puls,heart_rate,,,,220179", "item 220179 is none of heart_rate"),
        ("puls,heart_rate\npuls,spo2", "puls is listed twice"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, line, words):
    path = tmp_path / "codes.csv"
    path.write_text(f"code,signal,unit,scale,event,item\n{line}\n")
    with pytest.raises(InputError, match=words):
        read_codes(path)


def test_a_csv_of_other_columns_is_refused(tmp_path):
    (tmp_path / "codes.csv").write_text("concept,name\n1,2\n")
    with pytest.raises(InputError, match="expected rows under a first line with code, signal"):
        read_codes(tmp_path / "codes.csv")


def test_mimics_csv_has_every_item_of_the_catalogue():
    rows = read_codes()
    items = {(one.label, one.item) for one in rows}
    labels = {one.label for one in rows}
    for one in catalogue().iter_rows(named=True):
        if one["itemid"] is not None:
            assert one["itemid"] in {item for _, item in items}, one
        else:
            assert one["label"] in labels, one
    assert lacking(meanings((one.code.replace("*", "x") for one in rows), rows)) == []
    with SHIPPED.open() as stream:
        assert {row["scale"] for row in csv.DictReader(stream)} == {""}  # signals.csv converts


def test_a_drawn_specimen_is_no_result():
    rows = read_codes()
    found = meanings(["LAB//SPECIMEN_COLLECTED//50912//STAT", "LAB//RESULT//50912//mg/dL",
                      "LAB//50912//mg/dL"], rows)  # fmt: skip
    assert dict(found.select("code", "event").iter_rows()) == {
        "LAB//50912//mg/dL": "", "LAB//RESULT//50912//mg/dL": "",
        "LAB//SPECIMEN_COLLECTED//50912//STAT": "drawn",
    }  # fmt: skip


# The plan


def config_of(**section):
    config = copy.deepcopy(yaml.safe_load((REPOSITORY / "config.yaml").read_text()))
    return {**config, "source": {"kind": "meds", **section}}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"root": None}, "config.source.root: null; of kind meds"),
        ({"root": "synthetic"}, "config.source.root: synthetic; of kind meds"),
        ({"root": "/nowhere"}, "config.source.root: no folder /nowhere"),
        ({"root": "/", "mimic_note": "/"}, "config.source.mimic_note: a source of kind meds is"),
        ({"root": "/", "codes": "/nowhere.csv"}, "config.source.codes: no file /nowhere.csv"),
        ({"root": "/", "kind": "mimic", "codes": "a"}, "config.source.codes: only a source of"),
    ],
)
def test_a_contradiction_of_the_config_is_a_line(section, words):
    config = config_of(**section)
    with pytest.raises(InputError) as error:
        configuration.check(config)
    assert [line for line in str(error.value).splitlines() if line.startswith(words)]


def test_films_are_refused_of_a_cohort_in_meds():
    config = config_of(root="/")
    config["cohort"]["films"] = "covered"
    with pytest.raises(InputError, match="has no films and no calendar years"):
        configuration.check(config)


def test_targets_beyond_the_ehr_are_refused(other):
    root = other[0]
    assert meds_source.problems(root, ("e", "corrected", "stay")) == []
    for asked in ("c", "n", "fiddle", "diagnoses_icd"):
        (line,) = meds_source.problems(root, ("e", asked))
        assert "a MEDS source offers the EHR alone" in line
    config = config_of(root=str(root))
    assert targets.beyond_meds(config, "gbdt-stats", "corrected", "mortality") is None
    assert "sofa reads items" in targets.beyond_meds(config, "sofa", "corrected", "mortality")
    assert "227577" in targets.beyond_meds(config, "unimodal", "corrected", "arf_bipap_4h")
    assert "published" in targets.beyond_meds(config, "unimodal", "published", "mortality")


def test_every_other_task_asks_for_items_that_mimics_csv_has():
    for task in ("mortality", "longstay", "readmission", "shock_4h", "arf_4h", "mortality_48h"):
        assert meds_source.unknown_items(find(task).asked.files) == []
        assert meds_source.unknown_items(find(task).left_out.files if find(task).left_out else []
                                         ) == []  # fmt: skip


def test_a_result_names_the_data_set_and_its_version(tmp_path):
    (tmp_path / "metadata").mkdir()
    assert meds_source.facts(tmp_path) == {"MEDS": "unknown"}
    (tmp_path / "metadata/dataset.json").write_text('{"dataset_name": "A", "dataset_version": 2}')
    assert meds_source.facts(tmp_path) == {"A": "2"}
