"""The published data side of Wang et al. 2024 again: plain, slow, row by row, from the csv files.

Written from the description (sections 1 to 3), not from the stages; no library but Python's own.
"""

import csv
import io
import statistics
from bisect import bisect_left
from collections import defaultdict
from datetime import datetime, timedelta

from hospital_files import text

HOUR = timedelta(hours=1)
VITALS = {
    "Heart Rate": (40, 200),
    "Non Invasive Blood Pressure systolic": (90, 140),
    "Non Invasive Blood Pressure diastolic": (60, 90),
    "Non Invasive Blood Pressure mean": (60, 140),
    "Respiratory Rate": (5, 100),
    "O2 saturation pulseoxymetry": (90, 100),
}
SCORES = {"GCS - Verbal Response": 6, "GCS - Eye Opening": 4, "GCS - Motor Response": 6}
LABS = [
    "Glucose", "Potassium", "Sodium", "Chloride", "Creatinine", "Urea Nitrogen", "Bicarbonate",
    "Anion Gap", "Hemoglobin", "Hematocrit", "Magnesium", "Platelet Count", "Phosphate",
    "White Blood Cells", "Calcium, Total", "MCH", "Red Blood Cells", "MCHC", "MCV", "RDW",
    "Neutrophils", "Vancomycin",
]  # fmt: skip
PROCEDURES = [
    "Foley Catheter", "PICC Line", "Intubation", "Peritoneal Dialysis", "Bronchoscopy", "EEG",
    "Dialysis - CRRT", "Dialysis Catheter", "Chest Tube Removed", "Hemodialysis",
]  # fmt: skip
SIZES = {
    **dict.fromkeys(VITALS, 200),
    **SCORES,
    **dict.fromkeys(LABS, 200),
    **dict.fromkeys(PROCEDURES, 1),
}


def read(root, release, name):
    """The rows of a table; those that are written twice once."""
    rows = csv.DictReader(io.StringIO(text(name, root, release)))
    return list({tuple(row.values()): row for row in rows}.values())


def clock(written):
    return datetime.strptime(written, "%Y-%m-%d %H:%M:%S") if written else None


EDGES = [k * 0.005 for k in range(1, 200)]


def equal_bin(number, low, high):
    """Of 200 equal bins, each with its upper end, the first with its lower end, too."""
    return bisect_left(EDGES, (number - low) / (high - low)) if high > low else 0


class Published:
    """The cohort of a hospital, its labels and its tokens."""

    def __init__(self, root, release):
        self.root, self.release = root, release
        labelled = {row["subject_id"] for row in self.rows("cxr/chexpert")}
        in_icu = {row["hadm_id"] for row in self.rows("icu/icustays")}
        self.admissions = [
            row
            for row in self.rows("hosp/admissions")
            if row["subject_id"] in labelled and row["hadm_id"] in in_icu
        ]
        self.patients = self.rows("hosp/patients")
        self.admissions.sort(key=lambda row: (int(row["subject_id"]), int(row["hadm_id"])))
        self.start = {row["hadm_id"]: clock(row["admittime"]) for row in self.admissions}
        self.end = {row["hadm_id"]: clock(row["dischtime"]) for row in self.admissions}

    def rows(self, name):
        return read(self.root, self.release, name)

    def mortality(self):
        return {
            int(row["hadm_id"]): int(row["discharge_location"] == "DIED") for row in self.admissions
        }

    def longstay(self):
        stays = {hadm: self.end[hadm] - start for hadm, start in self.start.items()}
        return {int(k): int(stay > 168 * HOUR) for k, stay in stays.items() if stay >= 72 * HOUR}

    def films(self):
        """Admissions with an antero-posterior film in them and in their first 48 hours."""
        of_patient = defaultdict(list)
        for row in self.admissions:
            of_patient[row["subject_id"]].append(row["hadm_id"])
        taken = set()
        for row in self.rows("cxr/metadata"):
            if row["ViewCodeSequence_CodeMeaning"] != "antero-posterior":
                continue
            time = datetime.strptime(
                row["StudyDate"] + f"{float(row['StudyTime']):010.3f}", "%Y%m%d%H%M%S.%f"
            )
            for hadm in of_patient[row["subject_id"]]:
                end = min(self.end[hadm], self.start[hadm] + 48 * HOUR)
                if self.start[hadm] < time < end:
                    taken.add(hadm)
        return taken

    def readmission(self):
        labels, filmed = {}, self.films()
        for row in self.admissions:
            mine, subject = row["hadm_id"], row["subject_id"]
            if mine not in filmed:
                continue
            own = [r["hadm_id"] for r in self.admissions if r["subject_id"] == subject]
            own = [hadm for hadm in own if hadm in filmed]
            own.sort(key=lambda hadm: (self.start[hadm], int(hadm)))
            later = own[own.index(mine) + 1 :]
            gap = self.start[later[0]] - self.end[mine] if later else None
            labels[int(mine)] = int(gap is not None and gap <= 720 * HOUR)
        return labels

    def in_window(self, hadm, time):
        """Minutes since admission, or None."""
        start = self.start.get(hadm)
        if start is None or time is None or not start < time <= start + 48 * HOUR:
            return None
        return (time - start) // timedelta(minutes=1)

    def labels_of_items(self, dictionary, wanted, **match):
        return {
            row["itemid"]: row["label"]
            for row in self.rows(dictionary)
            if row["label"] in wanted and all(row[k] == v for k, v in match.items())
        }

    def chart(self):
        """(episode, minute, label, text, number or None) in the window."""
        items = self.labels_of_items("icu/d_items", {**VITALS, **SCORES}, linksto="chartevents")
        for row in self.rows("icu/chartevents"):
            minute = self.in_window(row["hadm_id"], clock(row["charttime"]))
            if row["itemid"] in items and minute is not None:
                number = float(row["valuenum"]) if row["valuenum"] else None
                yield row["hadm_id"], minute, items[row["itemid"]], row["value"], number

    def vitals(self):
        """Readings, None beyond the range: (episode, minute, label, number or None)."""
        for hadm, minute, label, word, _ in self.chart():
            if label in VITALS:
                low, high = VITALS[label]
                number = float(word) if word else None
                inside = number is not None and low <= number <= high
                yield hadm, minute, label, number if inside else None

    def filled(self, missing, binned):
        """Vitals without a number: the rounded mean of the bins of the admission and label."""
        own, overall = defaultdict(list), defaultdict(list)
        for hadm, _, label, code in binned:
            own[hadm, label].append(code)
            overall[label].append(code)
        for hadm, minute, label in missing:
            yield hadm, minute, label, round(statistics.mean(own[hadm, label] or overall[label]))

    def labs(self):
        items = self.labels_of_items("hosp/d_labitems", LABS, fluid="Blood")
        for row in self.rows("hosp/labevents"):
            minute = self.in_window(row["hadm_id"], clock(row["charttime"]))
            if row["itemid"] in items and minute is not None:
                try:
                    number = float(row["value"])
                except ValueError:
                    continue
                yield row["hadm_id"], minute, items[row["itemid"]], number

    def scores(self):
        readings = [r for r in self.chart() if r[2] in SCORES and r[3]]
        words = {label: sorted({r[3] for r in readings if r[2] == label}) for label in SCORES}
        for hadm, minute, label, word, _ in readings:
            yield hadm, minute, label, words[label].index(word)

    def tokens(self):
        """The set of (episode, minute, token)."""
        first, total = {}, 0
        for label, size in SIZES.items():
            first[label], total = total, total + size
        vitals = list(self.vitals())
        missing = [reading[:3] for reading in vitals if reading[3] is None]
        numbers = [*(reading for reading in vitals if reading[3] is not None), *self.labs()]
        values = defaultdict(list)
        for _, _, label, number in numbers:
            values[label].append(number)
        ends = {label: (min(found), max(found)) for label, found in values.items()}
        made = {(h, m, first[label] + code) for h, m, label, code in self.scores()}
        binned = [(h, m, label, equal_bin(x, *ends[label])) for h, m, label, x in numbers]
        for hadm, minute, label, code in [*binned, *self.filled(missing, binned)]:
            made.add((hadm, minute, first[label] + code))
        procedures = list(self.procedures())
        times = {(hadm, minute) for hadm, minute, _ in made}
        times |= {(hadm, start) for hadm, _, start, _ in procedures}
        for hadm, label, start, end in procedures:
            made |= {
                (hadm, minute, first[label])
                for other, minute in times
                if other == hadm and start <= minute < end
            }
        return {(int(hadm), minute, token) for hadm, minute, token in made}

    def procedures(self):
        items = self.labels_of_items("icu/d_items", PROCEDURES, linksto="procedureevents")
        for row in self.rows("icu/procedureevents"):
            start = self.in_window(row["hadm_id"], clock(row["starttime"]))
            if row["itemid"] in items and start is not None:
                end = (clock(row["endtime"]) - self.start[row["hadm_id"]]) // timedelta(minutes=1)
                yield row["hadm_id"], items[row["itemid"]], start, end
