"""Reports of known topics, and one way to train Doc2Vec on them: what `doc2vec.py` runs.

    python benchmarks/doc2vec_ways.py file 2 reports.json found.json

`file`: the pipeline's own training; `memory`: gensim on a list of TaggedDocuments.
"""

import cProfile
import json
import pstats
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

TOPICS, OWN, COMMON = 20, 40, 20_000  # topics, words of each, words of the language
SHARE = 0.1  # of a report's words that are of its topic
HELD_OUT, NEAREST = 400, 10  # 19 others of a report's topic: all ten may be right


def make(count: int, path: Path) -> None:
    """Writes `count` reports of 60 to 240 words, report k of topic k mod 20."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(w) for w in random.choice(letters, (COMMON, 7))])
    chance = 1 / np.arange(10, COMMON + 10)  # Zipf's, without its few commonest
    topics = random.integers(0, COMMON, (TOPICS, OWN))
    texts = []
    for number in range(count):
        size = random.integers(60, 240)
        said = random.choice(COMMON, size, p=chance / chance.sum())
        own = random.random(size) < SHARE
        said[own] = random.choice(topics[number % TOPICS], own.sum())
        texts.append(" ".join(words[said]))
    path.write_text(json.dumps(texts))


def train(way: str, texts: list[str], settings: dict[str, int]) -> object:
    """A model of the texts."""
    if way == "file":
        from pipeline.note import doc2vec

        return doc2vec.train(texts, settings)
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    documents = [TaggedDocument(text.split(), [k]) for k, text in enumerate(texts)]
    return Doc2Vec(documents, **settings)


def precision(vectors: np.ndarray) -> float:
    """The share of each report's nearest ones that are of its topic."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = unit @ unit.T - 2 * np.eye(len(unit))
    nearest = np.argsort(-alike, axis=1)[:, :NEAREST]
    topic = np.arange(len(unit)) % TOPICS
    return float((topic[nearest] == topic[:, None]).mean())


def main() -> None:
    """Trains, infers the held-out reports, leaves what that took and found."""
    way, workers, reports, output = sys.argv[1:]
    from pipeline.note.doc2vec import infer

    given = json.loads(Path(reports).read_text())
    held, texts = given["texts"][:HELD_OUT], given["texts"][HELD_OUT:]
    settings = given["settings"] | {"workers": int(workers)}
    started = time.perf_counter()
    model = train(way, texts, settings)
    trained = time.perf_counter() - started
    cpu = time.process_time()
    with cProfile.Profile() as profile:
        vectors = np.stack([infer(model, text, 0) for text in held])
    cpu = time.process_time() - cpu
    seen = pstats.Stats(profile)
    within = sum(row[2] for key, row in seen.stats.items() if key[2] == "infer_vector")
    words = sum(len(text.split()) for text in texts) * settings["epochs"]
    found = {
        "words_per_s": words / trained, "precision": precision(vectors),
        "inferred_per_s": HELD_OUT / cpu, "share_in_gensim": within / seen.total_tt,
    }  # fmt: skip
    Path(output).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
