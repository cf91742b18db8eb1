"""Doc2Vec: the pipeline's training from a file against gensim on a list in memory.

    python benchmarks/doc2vec.py --size full --folder /tmp/doc2vec --output doc2vec.json

Reports are made up, of known topics; settings are the configuration's but for the epochs. Quality
is the share of the ten nearest of 200 held-out reports that are of the same topic. `workers: 1` is
the repeatable mode, more are the fast mode.
"""

import json
import os
import statistics
import sys
from pathlib import Path

import yaml
from record import REPOSITORY, Record, Runs, arguments, once, spread

SIZES = {"small": (600, 8, 1), "full": (5000, 10, 3)}  # reports, epochs, rounds
WORKERS = max(2, min(8, os.cpu_count() or 1))
FULL = 2_321_355  # reports of MIMIC-IV-Note 2.2
Way = tuple[str, int]  # and its workers
Found = dict[Way, list[dict[str, float]]]


def ways() -> dict[Way, str]:
    """(way, workers) → in words."""
    return {
        ("file", 1): "the pipeline, repeatable (1 worker)",
        ("memory", 1): "gensim on a list, 1 worker",
        ("file", WORKERS): f"the pipeline, fast ({WORKERS} workers)",
        ("memory", WORKERS): f"gensim on a list, {WORKERS} workers",
    }


def measured(folder: Path, count: int, epochs: int, rounds: int) -> tuple[Found, dict[Way, Runs]]:
    """What every way found in each round, in turn, and what its process took."""
    import doc2vec_ways

    reports, output = folder / "reports.json", folder / "found.json"
    folder.mkdir(parents=True, exist_ok=True)
    doc2vec_ways.make(count + doc2vec_ways.HELD_OUT, reports)
    settings = yaml.safe_load((REPOSITORY / "config.yaml").read_text())["note"]["doc2vec"]
    texts = json.loads(reports.read_text())
    reports.write_text(json.dumps({"texts": texts, "settings": settings | {"epochs": epochs}}))
    found: Found = {way: [] for way in ways()}
    runs = {way: Runs() for way in found}
    script = REPOSITORY / "benchmarks" / "doc2vec_ways.py"
    for _ in range(rounds):
        for way, workers in found:
            command = [sys.executable, script, way, str(workers), reports, output]
            once(command, runs[way, workers])
            found[way, workers].append(json.loads(output.read_text()))
    return found, runs


def main() -> None:
    """Every way in turn."""
    given = arguments(__doc__)
    count, epochs, rounds = SIZES[given.size]
    record = Record(f"Doc2Vec: {count} reports, {epochs} epochs")
    found, runs = measured(given.folder, count, epochs, rounds)

    def each(way: Way, what: str) -> list[float]:
        return [run[what] for run in found[way]]

    for way, words in ways().items():
        quality = f"{spread(each(way, 'precision'), 3)} of the nearest ten of the same topic"
        record.add(words, each(way, "words_per_s"), "words/s", runs[way].peak_mb, quality)
    slow, fast, plain = ("file", 1), ("file", WORKERS), ("memory", 1)
    record.add("inferring vectors, the pipeline", each(slow, "inferred_per_s"),
               "reports/s and core")  # fmt: skip

    def ratios(one: Way, other: Way) -> list[float]:
        pairs = zip(each(one, "words_per_s"), each(other, "words_per_s"), strict=True)
        return [a / b for a, b in pairs]

    def lost(way: Way) -> float:
        """What a way finds less than gensim on a list does."""
        whole, own = (statistics.median(each(one, "precision")) for one in (plain, way))
        return whole - own

    against, listed = ratios(fast, plain), ways()[plain]
    record.ask(f"fast mode: more words per second than {listed}, as good",
               f"{spread(against)} ×, precision {lost(fast):+.3f} lost",
               statistics.median(against) > 1 and lost(fast) < 0.02)  # fmt: skip
    alike = ("memory", WORKERS)
    record.ask(f"fast mode: more words per second than {ways()[alike]}, as good",
               f"{spread(ratios(fast, alike))} ×, precision {lost(fast):+.3f} lost",
               statistics.median(ratios(fast, alike)) > 1 and lost(fast) < 0.02)  # fmt: skip
    record.ask(f"repeatable mode: as good as {listed}",
               f"precision {lost(slow):+.3f} lost, {spread(ratios(slow, plain))} × its words",
               lost(slow) < 0.02)  # fmt: skip
    size = yaml.safe_load((REPOSITORY / "config.yaml").read_text())["note"]["doc2vec"][
        "vector_size"
    ]
    inside = statistics.median(each(slow, "share_in_gensim"))
    record.limit = (
        f"Training: {WORKERS} workers are {spread(ratios(fast, slow))} × one; each word updates "
        f"vectors of {size} numbers in gensim's compiled loop, and the reports' own vectors "
        f"stay in memory ({FULL * size * 4 / 1e9:.1f} GB for all of MIMIC-IV-Note). Inference: "
        f"{inside:.0%} of it is that loop."
    )
    record.write(given.output)


if __name__ == "__main__":
    main()
