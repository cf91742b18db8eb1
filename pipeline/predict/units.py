"""Signals of new data whose unit looks wrong.

Signals are looked at before values outside the limits of a living body are dropped: what is charted
in another unit is often outside them. `units.csv` lists units that are mistaken for those of the
catalogue, by molar mass or definition; those of a factor below 2 are not in it, for disease changes
a signal as much. A slip is told where a tenth of a signal's readings or more lie outside the range
that 99 % of training have, the other unit brings half of them back, and their median becomes an
ordinary value.
"""

from pathlib import Path

import polars as pl

from pipeline.evaluation.sections.suppression import shown
from pipeline.predict.quality import shown_share
from pipeline.stage.prediction import Unit

OTHER_UNITS = "units.csv"
ENOUGH, UNEXPLAINED, HALF = 0.1, 0.5, 0.5  # shares of readings
SAMPLE = 500  # readings of a signal in a part of which the median is taken


class UnitCheck:
    """Compares readings with those of training, part by part: `look` is a reader of events."""

    def __init__(self, signals: pl.DataFrame, patients: pl.DataFrame) -> None:
        """`signals`: `reference.SIGNALS`; `patients`: episode_id, subject_id."""
        self.patients = patients.select("episode_id", "subject_id")
        self.signals = signals.drop_nulls("median").with_columns(pl.col("signal").cast(pl.String))
        self.other = pl.read_csv(Path(__file__).with_name(OTHER_UNITS)).cast(
            {"scale": pl.Float64, "shift": pl.Float64}
        )
        self.counts: list[pl.DataFrame] = []
        self.explained: list[pl.DataFrame] = []
        self.sample: list[pl.DataFrame] = []
        self.people: list[pl.DataFrame] = []

    def look(self, part: pl.DataFrame) -> None:
        """Counts the readings of a part of events, `outside` ones included."""
        rows = part.select("episode_id", pl.col("signal").cast(pl.String), "value").drop_nulls()
        rows = rows.filter(pl.col("value").is_finite()).join(self.signals, on="signal")
        rows = rows.join(self.patients, on="episode_id", how="left")
        value, unlike = pl.col("value"), ~pl.col("value").is_between("lowest", "highest")
        self.counts.append(
            rows.group_by("signal").agg(pl.len().alias("n"), unlike.sum().alias("unlike"))
        )
        odd = rows.filter(unlike)
        self.sample.append(odd.select("signal", "value").group_by("signal").head(SAMPLE))
        back = (value * pl.col("scale") + pl.col("shift")).is_between("low", "high")
        tried = odd.join(self.other, on="signal").with_columns(back=back)
        self.explained.append(tried.group_by("signal", "looks_like").agg(pl.col("back").sum()))
        who = ("signal", "subject_id", "looks_like", "side")
        self.people += [
            rows.with_columns(looks_like=pl.lit(""), side=unlike).select(who).unique(),
            tried.rename({"back": "side"}).select(who).unique(),
        ]  # fmt: skip

    def _people(self) -> dict[tuple[str, str, bool], int]:
        """How many patients have unlike readings (or not) of a signal: (signal, "", side); and such
        that a unit would bring back (or not): (signal, unit, side)."""
        who = pl.concat(self.people).unique().group_by("signal", "looks_like", "side").len()
        return {(signal, unit, side): count for signal, unit, side, count in who.iter_rows()}

    def found(self, least: int) -> list[Unit]:
        """The signals whose unit looks wrong; those of fewer than `least` unlike readings, or of
        fewer patients with one, are not told."""
        if not self.counts:
            return []
        total = pl.concat(self.counts).group_by("signal").agg(pl.all().sum())
        odd = (
            pl.concat(self.sample).group_by("signal").agg(pl.col("value").median().alias("middle"))
        )
        rows = total.join(self._best(odd), on="signal", how="left").join(self.signals, on="signal")
        rows = rows.join(odd, on="signal", how="left")
        rows = rows.sort("signal").with_columns(share=pl.col("unlike") / pl.col("n"))
        told: list[Unit] = []
        people = self._people()
        for row in rows.filter(pl.col("unlike") >= max(least, 1)).to_dicts():
            name, unit = row["signal"], row["looks_like"]
            unlike, alike = (people.get((name, "", side), 0) for side in (True, False))
            if unlike < least:
                continue
            part = (row["back"] or 0) / row["unlike"]
            known = part >= HALF
            if row["share"] < (ENOUGH if known else UNEXPLAINED):
                continue
            told.append({
                "signal": name,
                "readings": shown(row["n"], least),
                "unlike": shown_share(row["unlike"], row["n"], least, unlike, alike),
                "looks_like": unit if known else None,
                "explained": shown_share(
                    row["back"], row["unlike"], least,
                    *(people.get((name, unit, side), 0) for side in (True, False)),
                ) if known else None,
                "median": round(row["middle"], 4),
                "training_median": row["median"],
            })  # fmt: skip
        return told

    def _best(self, odd: pl.DataFrame) -> pl.DataFrame:
        """The unit that brings most back, of those that make an ordinary value of the median of
        the unlike readings (signal, middle): signal, looks_like, back."""
        back = pl.concat(self.explained).group_by("signal", "looks_like").agg(pl.col("back").sum())
        back = back.join(self.other, on=["signal", "looks_like"]).join(odd, on="signal")
        ordinary = pl.col("middle") * pl.col("scale") + pl.col("shift")
        back = back.join(self.signals, on="signal").filter(ordinary.is_between("lower", "upper"))
        back = back.sort("back", "looks_like", descending=[True, False])
        best = back.unique("signal", keep="first", maintain_order=True)
        return best.select("signal", "looks_like", "back")

    def seen(self) -> set[str]:
        """Signals that have a reading."""
        return {name for part in self.counts for name in part["signal"]}
