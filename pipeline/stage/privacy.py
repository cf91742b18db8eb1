"""What messages and logs must not tell of a few people: small counts, ids, dates.

Every line of a stage goes through here: `tell` and `warn` show counts as `shown` does, and whatever
a log or an error holds besides (a path of a film, a reader's message) has its ids and dates
replaced (`hidden`).
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

LEAST = 10  # people, rows or films that a message may count
# ids as MIMIC has them: dicom_id; subject_id, hadm_id, stay_id, study_id, note_id, whose 8 digits
# begin with their kind, whatever stands beside them, and as floats. Spared are digests, lines of
# files as `pipeline.extract.failures` tells them, and decimals.
_IDS = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}"
    r"|(?P<digest>(?<![^\W_])(?=\d*[a-f])[\da-f]{12,}(?![^\W_]))|(?P<line>\bline \d+(?=: ))"
    r"|(?<!\d)[1-6](?:\d{7}(?!\d)(?:\.0+(?!\d)|-[a-z]{2}-\d+)?|\.\d+e\+?0?7(?!\d))"
    r"|(?P<decimals>(?<![\w.])\d*\.\d+)",
    re.IGNORECASE,
)
# shifted dates, which begin at 2100, as text, as Python's or as microseconds in Arrow's messages
_DATES = re.compile(
    r"(?<!\d)2[1-3]\d\d([-/.])\d\d\1\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
    r"|(?:(?<=date\()|(?<=time\())2[1-3]\d\d(?:, ?\d+){2,6}|(?<=timestamp: )\d{10,}"
)

log = logging.getLogger("pipeline")


def shown(number: int) -> str:
    """A count as messages and logs show it: 1 to 9 become <10, so that nobody is singled out.

    >>> shown(0), shown(9), shown(10)
    ('0', '<10', '10')
    """
    return f"<{LEAST}" if 0 < number < LEAST else f"{number:,}"


def shown_parts(parts: Mapping[str, int]) -> str:
    """The parts of a total that is known, in words, the largest first.

    A lone small count would follow from the total, so the next one is not shown either.

    >>> shown_parts({"empty": 2, "absent": 12})
    'absent, <10 empty'
    >>> shown_parts({"empty": 2, "absent": 12, "damaged": 3})
    '12 absent, <10 damaged, <10 empty'
    """
    ascending = sorted((count, name) for name, count in parts.items() if count)
    small = [name for count, name in ascending if count < LEAST]
    beside = ascending[1][1] if len(small) == 1 and len(ascending) > 1 else None
    return ", ".join(name if name == beside else f"{shown(count)} {name}"
                     for count, name in reversed(ascending))  # fmt: skip


def shown_part(part: int, total: int) -> str:
    """A part as it is shown beside its total, or a count beside the one that was expected.

    Where few are left out, or too many, their number would follow from the two.

    >>> shown_part(12, 1234), shown_part(3, 1234), shown_part(1230, 1234), shown_part(1236, 1234)
    ('12', '<10', 'all but <10', '<10 more')
    """
    if part >= LEAST and 0 < abs(total - part) < LEAST:
        return f"all but <{LEAST}" if part < total else f"<{LEAST} more"
    return shown(part)


def hidden(text: str) -> str:
    """A text without ids and dates of patients.

    >>> hidden("p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.jpg")
    'p10/p[id]/s[id]/[id].jpg'
    >>> hidden("10000032-RR-14 of 2180-05-07 09:30:00: 12,345,678 rows, AUROC .12345678")
    '[id] of [date]: 12,345,678 rows, AUROC .12345678'
    >>> hidden("Line: 10000032,29079034.0,subject_10000032,2.9079034e7,date(2180, 5, 7)")
    'Line: [id],[id],subject_[id],[id],date([date])'
    """
    return _DATES.sub("[date]", _IDS.sub(_without_id, text))


def _without_id(match: re.Match[str]) -> str:
    return match[0] if match.lastgroup else "[id]"


def tell(message: str, *values: object) -> None:
    """Logs a line. Whole numbers among `values` (for `%s`) are counts, shown as `shown` does.

    What is no count (a seed, a step, a number of columns) is part of the message.
    """
    log.info(message, *map(_shown, values))


def warn(message: str, *values: object) -> None:
    """Likewise on the screen, too."""
    log.warning(message, *map(_shown, values))


def _shown(value: Any) -> object:
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    return shown(int(value)) if whole else value


class Formatter(logging.Formatter):
    """Lines of a log, tracebacks included, without ids and dates. `%(kind)s` marks a warning."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        ours = record.name.split(".")[0] == log.name
        record.kind = "warning: " if ours and record.levelno == logging.WARNING else ""
        return hidden(super().format(record))
