"""Fetches the pretrained weights that the config names: `make weights`, on a machine with a net.

    python -m pipeline.weights.fetch --config config.yaml config/mimic.yaml

Says the licence and size of each before anything is fetched. Weights are converted to safetensors
once, loaded once as jobs load them, and lie below the config's folder `weights` with their digests
(SHA256SUMS); copy that folder to where the jobs run. A second call fetches nothing and compares the
digests. It accepts no licence for you: of a model that states none you say by `--without-licence
owner/name` that you may use it.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.plan.configuration import typed
from pipeline.plan.mistakes import LOADER, set_twice
from pipeline.plan.named import Named, named_weights, without_revision
from pipeline.plan.protocols import merged
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.privacy import tell

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
HASH = re.compile(r"-([0-9a-f]{8,})\.pth")  # of torchvision's files: how their SHA-256 begins


def read_named(paths: Sequence[Path]) -> list[Named]:
    """What the first file names, with the others over it as `--configfile` has them."""
    if wrong := set_twice(*paths):
        raise InputError("\n".join(wrong))
    config: dict[str, Any] = {}
    for path in paths:
        try:
            config = merged(config, yaml.load(path.read_text(encoding="utf-8"), LOADER) or {})
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"{path}: no readable YAML ({type(error).__name__})") from error
    checked = typed(config).dump()
    without_revision(checked)
    return list({one.path: one for one in named_weights(checked)}.values())


def fetch_all(names: Sequence[Named], unlicensed: Sequence[str]) -> None:
    """Says what each is, then fetches those that are not there.

    `unlicensed`: models without a stated licence that the user may use.
    """
    from pipeline.weights.convert import check_sums

    waiting = [one for one in names if not one.folder.exists()]
    for one in names:
        if one not in waiting:
            check_sums(one.folder)
            print(f"{one} is at {one.path}, as it was fetched")
    offers = [_offer(one, unlicensed) for one in waiting]  # all of them before the first byte
    for one, offer in zip(waiting, offers, strict=True):
        _fetch(one, offer)
        print(f"{one} is at {one.path}")


def _offer(one: Named, unlicensed: Sequence[str]) -> Any:
    """What there is under a name; its licence and size are printed."""
    if one.source == "torchvision":
        offer = _of_torchvision(one)
        licence, size = offer.meta.get("license"), offer.meta.get("_file_size", 0)
        licence = licence or "torchvision's, BSD 3-Clause; the terms of the training images too"
    else:
        from pipeline.weights.hub import look_up

        offer = look_up(one)
        licence, size = offer.licence, offer.megabytes
        if licence is None and one.model not in unlicensed:
            raise InputError(
                f"{one}: it states no licence, so by default nobody may use it: read its page or "
                f"ask its authors; if you may, call with --without-licence {one.model} (make "
                f"weights WITHOUT_LICENCE={one.model})"
            )
    print(f"{one}: licence: {licence or 'none stated'}; {size:,.1f} MB; into {one.folder}")
    return offer


def _of_torchvision(one: Named) -> Any:
    """The weights by their name, as torchvision knows them."""
    from torchvision import models

    try:
        known = models.get_model_weights(one.model)
    except ValueError as error:
        raise InputError(f"config.{one.key}: torchvision knows no network {one.model}") from error
    if one.version not in known.__members__:
        names = ", ".join(known.__members__)
        raise InputError(f"config.{one.key}: {one.model} has no weights {one.version}; expected "
                         f"one of {names}")  # fmt: skip
    return known[one.version]


def _fetch(one: Named, offer: Any) -> None:
    """Fetches, converts, tries and puts in its place; half of it is never there."""
    from pipeline.weights.convert import write_sums

    version = offer.commit[:12] if one.source == "hub" else one.version
    part = one.folder.with_name(f".{one.folder.name}.{version}.part")
    part.mkdir(parents=True, exist_ok=True)
    if one.source == "hub":
        origin = _fill_from_hub(one, offer, part)
    else:
        origin = _fill_from_torchvision(one, offer, part)
    _try(one, part)
    (part / "SOURCE.txt").write_text(origin)
    write_sums(part)
    part.replace(one.folder)


def _fill_from_hub(one: Named, offer: Any, part: Path) -> str:
    from pipeline.weights.convert import to_safetensors
    from pipeline.weights.hub import PICKLED, download, endpoint

    download(one, offer, part)
    if pickles := [path for path in sorted(part.iterdir()) if PICKLED.fullmatch(path.name)]:
        try:
            to_safetensors(pickles, part / "model.safetensors")
        except InputError as error:
            raise InputError(f"{one}: {error}") from error
        for path in pickles:
            path.unlink()
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the client's own notes
    return (f"{endpoint()}/{one.model}\ncommit {offer.commit}\n"
            f"licence {offer.licence or 'none stated'}\n")  # fmt: skip


def _fill_from_torchvision(one: Named, offer: Any, part: Path) -> str:
    from torch.hub import download_url_to_file

    from pipeline.weights.convert import to_safetensors

    pickled, begins = part / Path(offer.url).name, HASH.search(offer.url)
    try:
        if not pickled.is_file():
            download_url_to_file(offer.url, str(pickled), begins[1] if begins else None)
    except (OSError, RuntimeError) as error:  # of the net, or of the digest
        first = str(error).splitlines()[0]
        raise InputError(f"{one}: cut off or refused ({first}); with a net at hand call `make "
                         "weights` again") from error  # fmt: skip
    try:
        to_safetensors([pickled], part / one.path.name)
    except InputError as error:
        raise InputError(f"{one}: {error}") from error
    pickled.unlink()
    return f"{offer.url}\nlicence {offer.meta.get('license') or 'that of torchvision'}\n"


def _try(one: Named, part: Path) -> None:
    """Loads it once as jobs do, so that what they refuse is refused here."""
    try:
        if one.keys[0] == "note":
            from transformers import AutoTokenizer

            from pipeline.note.bert import load_text_model

            if not any((part / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
                safe = {"local_files_only": True, "trust_remote_code": False}
                AutoTokenizer.from_pretrained(part, **safe).save_pretrained(part)
            load_text_model(str(part))
        else:
            from pipeline.cxr.backbone import load_backbone

            if one.source == "hub":
                load_backbone(str(part), None)
            else:
                load_backbone(one.model, str(part / one.path.name))
    except (InputError, OSError, ValueError, ImportError) as error:
        why = str(error).replace(str(part), one.model).splitlines()[0]
        raise InputError(f"{one}: fetched, but jobs cannot use it: {why}") from error


def main() -> None:
    """Reads what is named, and fetches it."""
    options = parser(__doc__)
    options.add_argument("--config", nargs="+", type=Path, default=[Path("config.yaml")],
                         help="config.yaml, and files over it")  # fmt: skip
    options.add_argument("--without-licence", nargs="*", default=[], metavar="OWNER/NAME",
                         help="models that state no licence and that you may use")  # fmt: skip
    arguments = options.parse_args()
    names = read_named(arguments.config)
    if not names:
        print("the config names no weights to fetch: note.bert.model and cxr.backbone.model may be "
              "owner/name@revision of the hub, cxr.pretrained and cxr.backbone.weights a name of "
              "torchvision's, such as IMAGENET1K_V1; CONFIG=config/mimic.yaml reads that file over "
              "config.yaml")  # fmt: skip
        return
    for name in OFFLINE:  # before the hub's client is imported: no job of the workflow does this
        os.environ.pop(name, None)
    fetch_all(names, arguments.without_licence)
    tell(f"{len(names)} weights")


if __name__ == "__main__":
    run(main)
