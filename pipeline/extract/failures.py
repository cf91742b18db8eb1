"""What is wrong with a source file, in words: errors of the readers without the rows they quote.

By MIMIC's data use agreement no message and no log may hold a row of a patient.
"""

import re
from collections.abc import Mapping, Sequence

from pipeline.stage.privacy import shown

NOT_WHOLE = 'no whole number in column "{}"'  # the error that stops a query (reading.py)
_LINE = re.compile(r"CSV Error on Line: (\d+)|Row #(\d+):")
_COLUMN = re.compile(r'converting column "([^"]+)"|CSV column #(\d+)')
_NOT_WHOLE = re.compile(NOT_WHOLE.format('([^"]+)'))
_WIDTH = re.compile(r"Expected (?:Number of Columns: )?(\d+)(?: columns)?,? (?:Found: |got )(\d+)")


def reason(message: str, header: Sequence[str], types: Mapping[str, str]) -> str:
    """What a reader's message tells about a csv file: the line, the column and its type.

    `header`: the file's columns in order; `types`: column → DuckDB type expected.

    >>> reason('CSV Error on Line: 3\\nOriginal Line: 7,x\\nError when converting column "itemid".',
    ...        ["subject_id", "itemid"], {"itemid": "BIGINT"})
    'line 3: column itemid holds a value that is not BIGINT'
    >>> reason("Unexpected end of GZIP stream: a.csv.gz", [], {})
    'the gzip stream is truncated: copy the file again'
    """
    line = _LINE.search(message)
    where = f"line {next(filter(None, line.groups()))}: " if line else ""
    if "GZIP" in message or "compressed stream" in message or "zlib" in message:
        return _gzip_reason(message)
    if "utf" in message.lower() or "unicode" in message.lower():
        return f"{where}not text in UTF-8"
    if column := _COLUMN.search(message):
        name = column.group(1) or header[int(column.group(2))]
        return f"{where}column {name} holds a value that is not {types.get(name, 'text')}"
    if fraction := _NOT_WHOLE.search(message):
        return f"column {fraction.group(1)} holds a number that is not a whole one, as ids are"
    if width := _WIDTH.search(message):
        return f"{where}{width.group(2)} columns, expected {width.group(1)} as in the header"
    if "straddling" in message:
        return (
            f"{where}a text longer than its reader's buffer of 8 MB, as no report is: a quotation "
            "that is never closed, or damage: copy the file again, or leave that row out"
        )
    if "unterminated quote" in message:
        return f"{where}a quotation is never closed, or is followed by more than a comma"
    if "invalid state" in message:  # of DuckDB's parser
        return (
            "a carriage return within a field without quotation marks, or beside line ends of "
            "another kind: copy the file again, or write it anew with one kind of line end"
        )
    return f"{where}not a csv file with commas and double quotes"


def _gzip_reason(message: str) -> str:
    if "end of GZIP" in message or "Truncated" in message:
        return "the gzip stream is truncated: copy the file again"
    return "not a gzip file, or a damaged one: copy it again (is it a renamed .csv?)"


def difference(name: str, expected: int, release: str, found: int) -> str:
    """One line about a count that differs from the release's; empty where it does not.

    Both are shown however little they differ: of a whole table PhysioNet publishes the rows, and
    those that a copy lacks or has twice tell of the copy, not of a group of patients.

    >>> difference("chartevents", 432_997_491, "MIMIC-IV 3.1", 431_000_000)
    'chartevents: 432,997,491 expected in MIMIC-IV 3.1, 431,000,000 found (-0.46 %): copy it again'
    >>> difference("admissions", 275, "MIMIC-IV demo 2.2", 275)
    ''
    """
    if found == expected:
        return ""
    share = f" ({100 * (found / expected - 1):+.2f} %)" if found >= 10 else ""
    advice = "copy it again" if found < expected else "more than that release has"
    if "nearest" in release:
        advice = "another release, or an incomplete copy"
    return f"{name}: {expected:,} expected in {release}, {shown(found)} found{share}: {advice}"
