"""Who has which modality: counts per split, and the episodes that have all of them.

Films cover patients seen in the emergency department in some years, so that most episodes of a
real ICU have none. Every result counts the episodes with each modality of the config, not only
those of the target, and with each combination; what is measured on all episodes is measured once
more on those that are complete. A modality that is not at hand is null, with the reason.

`--present`, JSON: letter → {"table": …, "by": …}. The table has the `episode_id` of all who have
the modality; where it has a `minute`, only rows before a horizon count. A letter without a table:
{"reason": …}. Films are those selected: what cannot be read of them the result counts apart.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
import polars as pl

from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.sections.suppression import hidden, hides, shown
from pipeline.evaluation.statistics.sample import Ids, Sample
from pipeline.stage.errors import InputError
from pipeline.stage.registry import subsets
from pipeline.stage.sections import Count, Coverage, SplitCoverage

NONE = "none"
Known = Literal["selected", "assumed"]
FOLLOWS = "hidden, so that the number of episodes of a small combination does not follow"


@dataclass(frozen=True)
class Presence:
    """The episodes with each modality of the config.

    `has`: letter → ids, of those at hand; `by`: how it is known; `unknown`: letter → why not.
    """

    has: Mapping[str, Ids]
    by: Mapping[str, Known]
    unknown: Mapping[str, str]

    @property
    def why_unknown(self) -> str | None:
        """Why nobody is known to have all modalities; None where it is known."""
        lines = [f"{letter}: {reason}" for letter, reason in self.unknown.items()]
        return "; ".join(lines) or (None if self.has else "presence was not given")

    @property
    def complete(self) -> Ids:
        """The episodes with all modalities at hand."""
        return reduce(np.intersect1d, self.has.values()) if self.has else np.empty(0, np.int64)

    def combinations(self, episode: Ids, smallest: int) -> dict[str, int | None]:
        """Combination → how many of the episodes have it; None where it is not to be shown.

        Few are hidden, and as many others as it takes that they do not follow from the total.
        """
        letters = [*self.has]
        there = np.stack([np.isin(episode, self.has[letter]) for letter in letters])  # (M, n)
        number = np.left_shift(1, np.arange(len(letters))) @ there
        count = np.bincount(number, minlength=2 ** len(letters))
        place = {letter: 1 << k for k, letter in enumerate(letters)}
        sizes = {some: int(count[sum(place[x] for x in some)]) for some in subsets(letters)}
        sizes[NONE] = int(count[0])
        secret = hidden({some: (n, n) for some, n in sizes.items() if n}, smallest)
        return {some: None if some in secret else n for some, n in sizes.items()}

    def why_not(self, episode: Ids, smallest: int) -> str | None:
        """Why the complete ones among these stays have no figures; None where they have."""
        episode = np.unique(episode)
        kept = int(np.isin(episode, self.complete).sum())
        if not kept:
            return "no episode has all modalities"
        if 0 < len(episode) - kept < smallest:
            return f"fewer than {smallest} episodes are not complete"
        return FOLLOWS if self.combinations(episode, smallest)["".join(self.has)] is None else None

    def within(self, part: Sample, smallest: int) -> tuple[Sample, str | None]:
        """The complete episodes of a sample, and why they have no figures; None where they have.

        Not where the others are so few, or so few of them positive or negative, that they would be
        counted by the difference.
        """
        inside = np.isin(part.episode, self.complete)
        kept, others = (part.rows(np.flatnonzero(side)) for side in (inside, ~inside))
        full = "".join(self.has)
        if hides(others, smallest):
            return kept, f"fewer than {smallest} positive or negative episodes are not complete"
        counts = self.combinations(np.unique(part.episode), smallest)
        return kept, FOLLOWS if counts[full] is None else None


NOT_GIVEN = Presence({}, {}, {})


def coverage(
    frames: Sequence[pl.DataFrame],
    presence: Presence,
    smallest: int,
    splits: Sequence[str] = SPLITS,
) -> Coverage:
    """The result's section `coverage`; `frames`: tables with episode_id and split, one per fold."""
    known = pl.concat(frame.select("episode_id", "split").unique() for frame in frames)
    episodes = {name: known.filter(split=name)["episode_id"].unique().to_numpy() for name in splits}
    return {
        "by": dict(presence.by),
        "unknown": dict(presence.unknown),
        "splits": {name: counts(ids, presence, smallest) for name, ids in episodes.items()},
    }


def counts(episode: Ids, presence: Presence, smallest: int) -> SplitCoverage:
    """Numbers of episodes (ids): all, with each modality, and with each combination at hand."""
    n = shown(len(episode), smallest)
    if not presence.has:
        return {"n": n, "modalities": dict.fromkeys(presence.unknown), "combinations": {}}
    sizes = presence.combinations(episode, smallest)
    secret = [letters for letters, count in sizes.items() if count is None]
    each: dict[str, Count] = dict.fromkeys([*presence.by, *presence.unknown])
    for letter, who in presence.has.items():
        each[letter] = shown(int(np.isin(episode, who).sum()), smallest)
        if len({letter in letters != NONE for letters in secret}) > 1:
            # of the hidden combinations no more than their sum may be known
            with_it = sum(count or 0 for letters, count in sizes.items()
                          if letter in letters != NONE)  # fmt: skip
            each[letter] = f">{with_it - 1}" if with_it else None
    return {"n": n, "modalities": each, "combinations": sizes}


def parse(text: str) -> dict[str, dict[str, str]]:
    """What `--present` says.

    >>> parse('{"c": {"reason": "no films"}}')
    {'c': {'reason': 'no films'}}
    """
    try:
        files: dict[str, dict[str, str]] = json.loads(text)
        fits = all("reason" in one or {"table", "by"} <= one.keys() for one in files.values())
    except (ValueError, AttributeError, TypeError):
        fits = False
    if not fits:
        raise InputError('--present: expected JSON, letter → {"table": …, "by": …} or a reason')
    return files


def read_presence(files: Mapping[str, Mapping[str, Any]], hours: float | None = None) -> Presence:
    """Reads who has each modality, known before so many `hours` (none: by the selection itself)."""
    at_hand = {letter: one for letter, one in files.items() if "reason" not in one}
    return Presence(
        {letter: _who(one["table"], hours) for letter, one in at_hand.items()},
        {letter: one["by"] for letter, one in at_hand.items()},
        {letter: one["reason"] for letter, one in files.items() if "reason" in one},
    )


def _who(table: str, hours: float | None) -> Ids:
    """The episodes of a table, of its rows before so many hours."""
    try:
        rows = pl.scan_parquet(table)
        if hours is not None and "minute" in rows.collect_schema().names():
            rows = rows.filter(pl.col("minute") < 60 * hours)
        episodes = rows.select(pl.col("episode_id").unique()).collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{table}: cannot tell who has the modality ({error})") from error
    return episodes["episode_id"].sort().to_numpy()


def add_present_argument(arguments: argparse.ArgumentParser) -> None:
    """`--present`: who has which modality of the config."""
    arguments.add_argument(
        "--present", type=parse, default={}, help="JSON, see the module coverage"
    )
