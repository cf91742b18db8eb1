"""Settings of the models of reports, as the config and the stages that train them know them."""

from typing import Annotated

from pydantic import Field

from pipeline.stage.settings import Section, Seed, Whole, key, optional


class Doc2VecSettings(Section):
    """gensim's Doc2Vec."""

    vector_size: int = key("numbers per report", ge=2, le=4096)
    epochs: Whole = key("passes over the training reports", le=1000)
    min_count: Whole = key("least number of times that a word must occur", le=100_000)
    dm: int = optional("0: PV-DBOW, 1: PV-DM (gensim's default, the paper's)", 1, ge=0, le=1)
    window: int = optional("words to each side that PV-DM sees", 5, ge=1, le=100)
    negative: int = optional("noise words per word", 5, ge=1, le=100)
    seed: Seed = key("seed of its random numbers")
    workers: Whole = key("threads; with more than 1 every run gives other vectors", le=256)


class TinyBert(Section):
    """The small BERT that is trained on the reports where note.bert.model is null."""

    layers: Whole = key("transformer layers", le=48)
    width: int = key("width of a layer, a multiple of heads", ge=8, le=4096)
    heads: Whole = key("attention heads", le=64)
    vocabulary: int = key("WordPieces", ge=200, le=100_000)
    reports: Whole = key("training reports that it learns from")
    epochs: Whole = key("passes over these reports", le=1000)
    seed: Seed = key("seed of its random numbers")


class Letters(Section):
    """Lengths of the words that Doc2Vec reads."""

    least: Whole = key("letters of the shortest word")
    most: Annotated[int, Field(ge=1)] | None = key("letters of the longest word; null: any")
