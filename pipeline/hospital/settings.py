"""Settings of the synthetic hospital: its size, and the effects that decide its outcomes."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.stage.settings import Section

HOUR = 60  # all times are minutes since the admission
PREDICTION = 48 * HOUR  # traps, rows that tell the outcome, are known only after this time
CHARTED = PREDICTION + 24 * HOUR  # the charting of an ICU stay ends here
CHUNK = 500  # patients made at once: bounds memory; patient i is the same whatever the size


@dataclass(frozen=True)
class Logit:
    """A log-odds: intercept + weights × latents (e, c, n) + interaction e × c + earlier events."""

    intercept: float
    e: float = 0.0
    c: float = 0.0
    n: float = 0.0
    e_times_c: float = 0.0
    shock: float = 0.0
    arf: float = 0.0


@dataclass(frozen=True)
class Effects:
    """The generative model. Latents are standard normal, independent of one another and of ids.

    A modality shows `latent + noise`; the noise is drawn once per admission and modality. Shock and
    acute respiratory failure (ARF) depend on the latent of the EHR alone, because the EHR alone
    shows their treatment. `chain` scales how much an event changes the chance of the next.
    """

    noise: float = 0.3
    chain: float = 1.0
    shock: Logit = field(default_factory=lambda: Logit(-1.9, e=0.8))
    arf: Logit = field(default_factory=lambda: Logit(-2.0, e=0.4, shock=1.5))
    mortality: Logit = field(
        default_factory=lambda: Logit(-4.2, e=1.9, c=2.1, n=2.5, e_times_c=0.6, shock=0.8, arf=1.0)
    )
    longstay: Logit = field(
        default_factory=lambda: Logit(0.0, e=1.3, c=1.3, n=1.3, e_times_c=0.4, arf=0.7)
    )
    readmission: Logit = field(
        default_factory=lambda: Logit(-2.0, e=1.3, c=1.3, n=1.3, e_times_c=0.4)
    )


@dataclass(frozen=True)
class Habits:
    """Habits of real files that a clean generator hides, each with a switch.

    None depends on the latents, so none moves the ceilings, which are of all modalities. The
    variant `sparse_films` leaves most admissions, and their oracles, without films.
    """

    late_arrival: bool = True  # beds that are assigned hours before the patient arrives
    later_years: bool = True  # admissions years after the patient's anchor year
    intubated_gcs: bool = True  # "No Response-ETT" of intubated patients
    repeated_rows: bool = True  # rows written twice
    impossible_values: bool = True  # typing errors, Fahrenheit charted as Celsius
    sparse_films: bool = False  # as in MIMIC-CXR: of emergencies in 2011-2016 alone


class Severity(Section):
    """How severity shows in the files; what a perfect reader learns of it is the same."""

    # labs and urine, too: see `course`
    vitals: Literal["level", "drift", "variability", "transient"] = "level"
    films: Literal["congestion", "focal"] = "congestion"  # see `drawing`
    reports: Literal["fixed", "varied"] = "fixed"  # see `reports`


@dataclass(frozen=True)
class Settings:
    """One hospital. The same settings and seed give the same bytes."""

    patients: int = 8000
    seed: int = 0
    films: bool = True
    release: str = "3.1"
    effects: Effects = field(default_factory=Effects)
    habits: Habits = field(default_factory=Habits)
    severity: Severity = field(default_factory=Severity)
