"""Vectors of reports by a stored Doc2Vec, on several threads."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np


def vectors_by(folder: Path, threads: int
               ) -> tuple[Callable[[list[str]], np.ndarray] | None, Mapping[str, int]]:  # fmt: skip
    """A function from words of reports to vectors, and the vocabulary; none without reports."""
    if not folder.is_dir():
        return None, {}
    from pipeline.note.doc2vec import infer, load

    models = [load(folder) for _ in range(threads)]
    size = models[0].vector_size

    def of(part: list[str], model: Any) -> np.ndarray:
        return np.array([infer(model, text, seed=0) for text in part], np.float32)

    def vectors(texts: list[str]) -> np.ndarray:
        parts = [texts[place::threads] for place in range(threads)]
        made = np.empty((len(texts), size), np.float32)
        with ThreadPoolExecutor(threads) as pool:  # gensim leaves Python while it computes
            for place, part in enumerate(pool.map(of, parts, models)):
                if len(part):
                    made[place::threads] = part
        return made

    return vectors, models[0].wv.key_to_index
