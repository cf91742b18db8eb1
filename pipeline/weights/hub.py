"""Models of the hub: what they are, and their files; imported only where the net may be used.

Only files that jobs read are fetched: configuration, tokenizer or preprocessor, and weights, as
safetensors where the model has them. Code that lies beside them is not.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pipeline.plan.named import Named
from pipeline.stage.errors import InputError
from pipeline.weights.convert import digest

SMALL = re.compile(
    r"(config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|"
    r"preprocessor_config)\.json|vocab\.txt|merges\.txt|(spiece|spm|sentencepiece\.bpe)\.model|"
    r"LICEN[CS]E(\.\w+)?"
)
SAFE = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
PICKLED = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")


@dataclass(frozen=True)
class Offer:
    """What the hub has: the commit, licence in words (None: none is stated), and of each file that
    is fetched its bytes and, of large ones, its SHA-256."""

    commit: str
    licence: str | None
    files: dict[str, tuple[int, str | None]]

    @property
    def megabytes(self) -> float:
        """All files together."""
        return sum(size for size, _ in self.files.values()) / 1e6


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, where it is set."""
    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


@contextmanager
def in_one_line(named: Named) -> Iterator[None]:
    """The hub's refusals, and those of the net, as an `InputError` of one line."""
    page = f"{endpoint()}/{named.model}"
    try:
        yield
    except GatedRepoError as error:
        raise InputError(
            f"{named}: its authors ask you to accept conditions first, which nobody can do for "
            f"you: read and accept them at {page}, set HF_TOKEN to a token of your account, and "
            "call `make weights` again"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(f"{named}: {named.model} has no revision {named.version}") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{named}: no model at {page}, or one that HF_TOKEN is needed for"
                         ) from error  # fmt: skip
    except InputError:
        raise
    except Exception as error:  # the client's library and its layers have many kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{named}: cut off or refused ({first}); with a net at hand call `make "
                         "weights` again: files that are whole are kept") from error  # fmt: skip


def look_up(named: Named) -> Offer:
    """What the hub has under a name; `InputError` where it may not, or cannot, be fetched."""
    with in_one_line(named):
        api = HfApi(endpoint=endpoint())
        model = api.model_info(named.model, revision=named.version, files_metadata=True)
        if model.gated:
            api.auth_check(named.model)
        sizes = {
            file.rfilename: (int(file.size or 0), file.lfs.sha256 if file.lfs else None)
            for file in model.siblings or []
        }
        assert model.sha is not None
        return Offer(model.sha, _licence(model), _chosen(named, sizes))


def _chosen(named: Named, sizes: dict[str, tuple[int, str | None]]) -> dict[str, Any]:
    """The files that are fetched: pickles only where there are no safetensors."""
    for weights in (SAFE, PICKLED):
        if any(weights.fullmatch(name) for name in sizes):
            return {name: size for name, size in sizes.items()
                    if SMALL.fullmatch(name) or weights.fullmatch(name)}  # fmt: skip
    raise InputError(f"{named}: it has neither model.safetensors nor pytorch_model.bin")


def _licence(model: Any) -> str | None:
    """The licence on the model's card, in words."""
    card = model.card_data
    name = card.get("license") if card else None
    if not name:
        name = next((tag.removeprefix("license:") for tag in model.tags or []
                     if tag.startswith("license:")), None)  # fmt: skip
    more = [card.get(key) for key in ("license_name", "license_link")] if card else []
    words = [str(part) for part in (name, *more) if part]
    return ", ".join(words) or None


def download(named: Named, offer: Offer, folder: Path) -> None:
    """Fetches the files into a folder; those that are there whole stay."""
    for name, (_, known) in sorted(offer.files.items()):
        with in_one_line(named):
            path = Path(hf_hub_download(named.model, name, revision=offer.commit, local_dir=folder,
                                        endpoint=endpoint()))  # fmt: skip
        if known and digest(path) != known:
            path.unlink()
            raise InputError(f"{named}: {name} differs from the digest that the hub tells; call "
                             "`make weights` again")  # fmt: skip
