"""Extraction keeps every row and value, and fails by name, without content, on every bad file."""

import csv
import gzip
import hashlib
import random
from datetime import datetime

import polars as pl
import pytest
from test_extract_release import header_of, put

from pipeline.extract import preflight, tables
from pipeline.extract.contracts import TABLES, tables_for
from pipeline.extract.release import table_path
from pipeline.extract.tables import extract as extract_table
from pipeline.stage import files, owner
from pipeline.stage.errors import InputError

LABS = header_of("labevents")
LAB = "1,10000001,,3,50912,2150-01-01 10:00:00,2150-01-01 11:00:00,___,,mg/dL,abnormal"


def extract(table, source_file, tmp_path, **more):
    output = tmp_path / "out" / f"{table}.parquet"
    made = extract_table(table, source_file, output, threads=2, temp=tmp_path / "temp", **more)
    frame = pl.read_parquet(output)
    assert frame.height == made.rows
    return frame


def refusal(table, source_file, tmp_path):
    """The message of the refusal, after checking that it leaves nothing behind."""
    with pytest.raises(InputError) as caught:
        extract(table, source_file, tmp_path)
    left = [path for folder in ("out", "temp") for path in (tmp_path / folder).glob("**/*")]
    assert left == [] and str(source_file) in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def labs(tmp_path, *rows, header=LABS, suffix=".csv.gz", end="\n"):
    path = tmp_path / f"labevents{suffix}"
    put(path, "\n".join([header, *rows]) + end)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_types_nulls_and_text_values(tmp_path, suffix):
    frame = extract("labevents", labs(tmp_path, LAB, LAB, suffix=suffix), tmp_path)
    assert frame.columns == list(TABLES["labevents"].columns)
    assert frame.height == 2  # duplicates are kept
    row = frame.row(0, named=True)
    assert (row["hadm_id"], row["value"], row["valuenum"]) == (None, "___", None)
    assert row["storetime"] == datetime(2150, 1, 1, 11) and row["itemid"] == 50912


def test_columns_are_found_by_name_in_any_order_and_case(tmp_path):
    names = LABS.split(",")
    values = dict(zip(names, LAB.split(","), strict=True)) | {"comments": '"a, b"'}
    order = random.Random(0).sample(list(values), len(values))
    shuffled = labs(
        tmp_path,
        ",".join(values[name] for name in order),
        header=",".join(name.upper() for name in order),
    )
    expected = extract("labevents", labs(tmp_path, LAB, suffix=".csv"), tmp_path)
    assert extract("labevents", shuffled, tmp_path).equals(expected)


def test_ethnicity_of_release_1_0_becomes_race(tmp_path):
    header = header_of("admissions", race="ethnicity")
    row = ",".join("WHITE" if name == "ethnicity" else "" for name in header.split(","))
    put(tmp_path / "admissions.csv", f"{header}\n{row}\n")
    assert extract("admissions", tmp_path / "admissions.csv", tmp_path)["race"].to_list() == [
        "WHITE"
    ]


def test_windows_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "labevents.csv"
    path.write_bytes(("\ufeff" + f"{LABS}\r\n{LAB}\r\n").encode())
    assert extract("labevents", path, tmp_path)["flag"].to_list() == ["abnormal"]


def number(dtype):
    return {"BIGINT": "7", "DOUBLE": "1.5", "VARCHAR": "text"}.get(dtype, "2150-01-01 10:00:00")


@pytest.mark.parametrize("table", TABLES)
def test_what_pandas_wrote_is_read_whole_numbers_as_7_0_and_a_column_without_a_name(
    tmp_path, table
):
    row = [number(dtype) for dtype in TABLES[table].columns.values()]
    put(tmp_path / "plain.csv", f"{header_of(table)}\n{','.join(row)}\n")
    numbers = [f"{each}.0" if each == "7" else each for each in row]
    index = [",".join(["0", *numbers, "more"])]
    put(tmp_path / "pandas.csv.gz", "\n".join([f",{header_of(table)},", *index, ""]))
    plain = extract(table, tmp_path / "plain.csv", tmp_path)
    assert plain.height == 1 and plain.row(0)[: len(row)].count(None) == 0
    assert extract(table, tmp_path / "pandas.csv.gz", tmp_path).equals(plain)


KEYED = [name for name, contract in TABLES.items() if contract.key]


@pytest.mark.parametrize("table", KEYED)
def test_exactly_repeated_rows_are_dropped_and_counted_and_the_order_is_kept(
    tmp_path, table, caplog
):
    contract, path = TABLES[table], tmp_path / f"{table}.csv.gz"
    rows = [[number(dtype) for dtype in contract.columns.values()] for _ in range(9)]
    for k, row in enumerate(rows):
        for name in contract.key:
            row[list(contract.columns).index(name)] = str(90 - k)
    lines = [",".join(row) for row in rows]
    put(path, "\n".join([header_of(table), *lines[:7], lines[2], *lines[7:], lines[2], ""]))
    caplog.set_level("INFO")
    frame = extract(table, path, tmp_path)
    assert frame[contract.key[0]].cast(pl.Int64).to_list() == list(range(90, 81, -1))
    assert "<10 exactly repeated rows, dropped" in caplog.text
    other = next(name for name in contract.columns if name not in contract.key)
    changed = list(rows[3])
    changed[list(contract.columns).index(other)] = ""
    put(path, "\n".join([header_of(table), *lines, lines[2], ",".join(changed), ""]))
    (tmp_path / "out" / f"{table}.parquet").unlink()
    message = refusal(table, path, tmp_path)
    assert f"<10 values of {', '.join(contract.key)}, which identify a row" in message


def test_a_null_is_no_key(tmp_path):
    path = tmp_path / "admissions.csv"
    one, two = "1" + "," * 14, "2" + "," * 14  # patients of unknown admissions
    put(path, "\n".join([header_of("admissions"), one, two, one, ""]))
    assert extract("admissions", path, tmp_path).height == 3


def test_header_alone_is_an_empty_table(tmp_path):
    frame = extract("labevents", labs(tmp_path), tmp_path)
    assert frame.height == 0 and frame.schema["charttime"] == pl.Datetime("us")


def test_missing_column_is_named(tmp_path):
    path = labs(tmp_path, header=LABS.replace("storetime", "x"))
    assert "column(s) storetime of labevents are missing" in refusal("labevents", path, tmp_path)


def test_wrong_type_names_column_and_type_but_not_the_value(tmp_path):
    path = labs(tmp_path, LAB, LAB.replace("50912", "secret"))
    message = refusal("labevents", path, tmp_path)
    assert "line 3: column itemid holds a value that is not BIGINT" in message
    assert "secret" not in message


@pytest.mark.parametrize("number", ["29079034.6", "29079034.5", "-0.1", "1e300", "inf", "nan"])
@pytest.mark.parametrize("table", ["labevents", "radiology"])
def test_an_id_with_a_fraction_is_refused_and_never_rounded_to_another(tmp_path, table, number):
    row = LAB.split(",") if table == "labevents" else ["a-1", "1", "2", "RR", "1", "", "", "text"]
    row[2] = number  # hadm_id
    path = tmp_path / f"{table}.csv.gz"
    put(path, f"{header_of(table)}\n{','.join(row)}\n")
    message = refusal(table, path, tmp_path)
    assert "column hadm_id holds a" in message
    assert "29079034" not in message and number not in message.replace(str(path), "")


def test_short_row_is_named_without_its_content(tmp_path):
    path = labs(tmp_path, LAB, LAB.rsplit(",", 2)[0], LAB)
    message = refusal("labevents", path, tmp_path)
    assert "line 3: 9 columns, expected 11" in message and "10000001" not in message


def test_unclosed_quotation(tmp_path):
    path = labs(tmp_path, LAB.replace("mg/dL", '"mg'), LAB)
    assert "never closed" in refusal("labevents", path, tmp_path)


def test_plain_csv_that_is_cut_off_in_its_last_column(tmp_path):
    path = labs(tmp_path, LAB, LAB[:-3], suffix=".csv", end="")
    assert "cut off in its last row" in refusal("labevents", path, tmp_path)


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
def test_empty_file(tmp_path, content):
    path = tmp_path / "labevents.csv.gz"
    path.write_bytes(content)
    assert "the file is empty" in refusal("labevents", path, tmp_path)


def test_not_csv_at_all(tmp_path):
    path = tmp_path / "labevents.csv"
    path.write_bytes(random.Random(0).randbytes(5000))
    assert "not a csv file in UTF-8" in refusal("labevents", path, tmp_path)
    missing = tmp_path / "absent.csv.gz"
    assert "cannot be read (No such file" in refusal("labevents", missing, tmp_path)


def many(table):
    """A gzipped table of 20,000 rows that do not compress to nothing."""
    chance = random.Random(0)
    if table == "radiology":
        rows = (
            f'a-{i},{i},,RR,1,2150-01-01 10:00:00,,"{chance.random()}\nIMPRESSION: ""___"""'
            for i in range(20_000)
        )
    else:
        rows = (LAB.replace("50912", str(chance.randrange(10**9))) for i in range(20_000))
    return bytearray(gzip.compress("\n".join([header_of(table), *rows, ""]).encode()))


@pytest.mark.parametrize("table", ["labevents", "radiology"])
@pytest.mark.parametrize("lost", [1, 8, 5_000, 100_000])
def test_truncated_gzip(tmp_path, table, lost):
    path = tmp_path / f"{table}.csv.gz"
    path.write_bytes(many(table)[:-lost])
    assert "truncated" in refusal(table, path, tmp_path)


@pytest.mark.parametrize("table", ["labevents", "radiology"])
def test_damage_that_only_the_checksum_shows(tmp_path, table):
    content = many(table)
    content[-6] ^= 1  # of the stored checksum: every row can still be read
    path = tmp_path / f"{table}.csv.gz"
    path.write_bytes(content)
    assert "damaged" in refusal(table, path, tmp_path)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize("after", [(), (LAB,)], ids=["last", "in the middle"])
@pytest.mark.parametrize("megabytes", [3, 6])
def test_a_row_longer_than_the_reader_s_buffer_is_refused(tmp_path, suffix, after, megabytes):
    long = LAB.replace("abnormal", "y" * megabytes * 1_000_000)
    path = labs(tmp_path, LAB, long, *after, suffix=suffix)
    message = refusal("labevents", path, tmp_path)
    assert f"a line of {megabytes}.0 MB, where a row has at most 2.2 MB" in message


def test_a_row_that_the_reader_drops_is_missed(tmp_path, monkeypatch):
    path = labs(tmp_path, *[LAB] * 20)
    monkeypatch.setattr(tables, "_copy", lambda *_: 19)
    assert "20 rows in the file, all but <10 were read" in refusal("labevents", path, tmp_path)


def test_blank_lines_and_quotations_are_no_missing_rows(tmp_path):
    comment, inches = LAB.replace("___", '"one\n\ntwo"'), LAB.replace("___", '5" tube')
    path = labs(tmp_path, comment, "", inches, LAB, end="\n\n")
    assert extract("labevents", path, tmp_path)["value"].to_list() == [
        "one\n\ntwo", '5" tube', "___",
    ]  # fmt: skip


def test_line_ends_of_old_macs(tmp_path):
    path = tmp_path / "labevents.csv"
    path.write_bytes("\r".join([LABS, *[LAB] * 40_000, ""]).encode())  # 3 MB without a \n
    assert extract("labevents", path, tmp_path).height == 40_000


def test_a_carriage_return_within_a_field_is_no_quotation(tmp_path):
    path = labs(tmp_path, LAB.replace("mg/dL", "mg\rdL"), LAB)
    message = refusal("labevents", path, tmp_path)
    assert "a carriage return within a field" in message and "quotation is" not in message


def test_a_report_longer_than_its_reader_s_buffer_is_refused(tmp_path):
    path = tmp_path / "radiology.csv.gz"
    put(path, f'{header_of("radiology")}\na-1,1,,RR,1,2150-01-01,,"{"y " * 15_000_000}"\n')
    assert "8 MB, as no report is: a quotation that is never closed" in refusal(
        "radiology", path, tmp_path
    )


@pytest.mark.parametrize("table", ["labevents", "radiology"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, table, monkeypatch):
    path = tmp_path / f"{table}.csv.gz"
    path.write_bytes(many(table))
    copied = tables._copy

    def meanwhile(*arguments):
        rows = copied(*arguments)
        again = path.with_name("again")
        again.write_bytes(path.read_bytes())
        again.replace(path)  # of the same size: another file
        return rows

    monkeypatch.setattr(tables, "_copy", meanwhile)
    assert "changed while it was read" in refusal(table, path, tmp_path)


def test_a_file_that_is_replaced_once_its_header_was_read_is_refused(tmp_path, monkeypatch):
    path = labs(tmp_path, LAB)
    inspect = tables.inspect

    def then_replaced(*arguments):
        file = inspect(*arguments)
        path.unlink()
        labs(tmp_path, LAB, LAB)
        return file

    monkeypatch.setattr(tables, "inspect", then_replaced)
    assert "changed while it was read" in refusal("labevents", path, tmp_path)


def test_a_kill_leaves_no_digest_of_an_earlier_source_beside_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(owner.RUN, "1")
    monkeypatch.setattr(owner, "_held", None)
    owner.take("x")
    record, put_in_place = tmp_path / "out/.labevents.parquet.source", files.put
    extract("labevents", labs(tmp_path, LAB), tmp_path)
    assert len(record.read_text().split()[0]) == 64

    def killed(part, path):
        put_in_place(part, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "put", killed)
    with pytest.raises(KeyboardInterrupt):
        extract("labevents", labs(tmp_path, LAB, LAB.replace("50912", "50913")), tmp_path)
    assert pl.read_parquet(tmp_path / "out/labevents.parquet").height == 2
    assert not record.exists()


def test_gzip_in_several_members(tmp_path):
    path = labs(tmp_path, LAB)
    with path.open("ab") as file:
        file.write(gzip.compress(f"{LAB}\n".encode()))
    assert extract("labevents", path, tmp_path).height == 2


def test_text_with_line_breaks_quotes_and_lines_that_look_like_rows(tmp_path):
    chance, path = random.Random(3), tmp_path / "radiology.csv.gz"
    lines = ['12345,2150,"x",,"RR",1,text', "1-RR-1,1000,2000,RR,1,2150-01-01,,abc", '"', "___", ""]
    texts = ["\n".join(chance.choices(lines, k=30)) + f"\r{i}" for i in range(50_000)]
    with gzip.open(path, "wt", newline="", compresslevel=1) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header_of("radiology").split(","))
        writer.writerows(
            [f"{i}-RR", i, "", "RR", 1, "2150-01-01", "", t] for i, t in enumerate(texts)
        )
    frame = extract("radiology", path, tmp_path)
    assert frame["text"].to_list() == texts
    assert frame["subject_id"].to_list() == list(range(50_000))
    assert frame["hadm_id"].null_count() == 50_000


@pytest.mark.parametrize("text", ['"one\ntwo\n', '"one\ntwo", 3\n'])
def test_notes_cut_off_within_text_or_with_a_column_too_many(tmp_path, text):
    path = tmp_path / "radiology.csv"
    put(path, f"{header_of('radiology')}\na-1,1,,RR,1,2150-01-01,,{text}")
    message = refusal("radiology", path, tmp_path)
    assert "cut off" in message or "9 columns, expected 8" in message
    assert "two" not in message


def test_notes_with_a_wrong_type_name_the_column(tmp_path):
    path = tmp_path / "radiology.csv"
    put(path, f'{header_of("radiology")}\na-1,secret,,RR,1,2150-01-01,,"x\n"\n')
    message = refusal("radiology", path, tmp_path)
    assert "column subject_id holds a value that is not BIGINT" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("study_time", "expected"),
    [
        ("213014.531", datetime(2150, 5, 6, 21, 30, 14, 531000)),
        ("91238.187", datetime(2150, 5, 6, 9, 12, 38, 187000)),
        ("59.5", datetime(2150, 5, 6, 0, 0, 59, 500000)),
        ("0", datetime(2150, 5, 6)),
        ("120000", datetime(2150, 5, 6, 12)),
        ("235959.9999999", datetime(2150, 5, 6, 23, 59, 59, 999999)),
        ("", None),
        ("246000.0", None),
        ("1234567", None),
    ],
)
def test_film_time(tmp_path, study_time, expected):
    path = tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz"
    header = "dicom_id,subject_id,study_id,Rows,Columns,ViewPosition,StudyDate,StudyTime"
    row = f"d,10000001,50000001,3056,2544,AP,21500506,{study_time},antero-posterior"
    put(path, f"{header},ViewCodeSequence_CodeMeaning\n{row}\n")
    frame = extract("cxr_metadata", path, tmp_path)
    assert frame.schema["film_time"] == pl.Datetime("us")
    assert frame["film_time"].to_list() == [expected]
    assert frame["view_code_sequence_code_meaning"].to_list() == ["antero-posterior"]


def in_sample(subject, share):
    digest = hashlib.md5(f"sample:{subject}".encode()).digest()
    return int.from_bytes(digest[8:], "little") / 2**64 < share


def test_sample_keeps_a_share_of_the_subjects_and_the_order(tmp_path):
    events = [*range(10_005_000, 10_000_000, -1), *range(10_000_000, 10_005_000)]
    path = labs(tmp_path, *(LAB.replace("10000001", str(s)) for s in events))
    for share in (0.1, 0.2):  # the larger share holds the smaller one
        frame = extract("labevents", path, tmp_path, sample=share)
        assert frame["subject_id"].to_list() == [s for s in events if in_sample(s, share)]
        assert frame.height / len(events) == pytest.approx(share, abs=0.02)


def test_sample_leaves_dictionaries_whole(tmp_path):
    path = tmp_path / "d_labitems.csv"
    put(path, f"{header_of('d_labitems')}\n50912,Creatinine,Blood,Chemistry\n")
    assert extract("d_labitems", path, tmp_path, sample=0.01).height == 1


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_sample_must_be_a_share(tmp_path, share):
    with pytest.raises(InputError, match="expected a share"):
        extract("labevents", labs(tmp_path, LAB), tmp_path, sample=share)


def csv_rows(path):
    with gzip.open(path, "rt", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def test_open_demo_row_counts(tmp_path, mimic_demo):
    source = {"root": str(mimic_demo)}
    assert preflight.problems("e", source, tmp_path) == []
    tables = [*tables_for("e"), "transfers", "microbiologyevents", "diagnoses_icd"]
    for table in tables:
        path = table_path(source, table)
        assert extract(table, path, tmp_path).height == csv_rows(path), table
