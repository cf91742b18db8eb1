"""Embeds the films of the cohort with a frozen vision network, each once, into a store.

    python -m pipeline.cxr.embed --decoded decoded/p10.parquet … --films-store results/cxr/store
        --pixels 224 --model microsoft/rad-dino --store results/cxr/embedded
        --output embedded.parquet --facts embedded.json

The store has a folder per network: a digest of its weights, of how films are shown to it, of the
films' size and of the precision. As the store of decoded films it is no rule's output: a changed
cohort embeds new films only, and none is deleted.
"""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from pipeline.cxr import backbone as networks
from pipeline.cxr.backbone import Backbone, digest_of_weights, is_folder, load_backbone
from pipeline.cxr.film_data import decoded_places
from pipeline.cxr.registry import KEY
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import shown_part, tell
from pipeline.stage.progress import JobProgress
from pipeline.stage.store import append, find, gather, key_of, size_folder
from pipeline.stage.tables import Contract, write_table
from pipeline.training.precision import half_precision, precision_of
from pipeline.training.processes import add_compute_arguments, make_repeatable, pick_device

CHUNK = 4096  # films embedded before they are written: bounds memory, and what a kill costs
BATCH = 64  # films that pass the network together, always as many: the last bits depend on it
ITEM = "dicom_id"
EMBEDDED = Contract(
    {"dicom_id": pl.String, "chunk": pl.String, "row": pl.Int64},
    key=(ITEM,),
    units={"chunk, row": "place in the store"},
)


@torch.inference_mode()
def embed(network: Backbone, films: torch.Tensor, device: torch.device) -> np.ndarray:
    """At most `BATCH` films (N, P, P) uint8 → vectors (N, width) float32.

    Fewer are filled up with black ones: a film's vector is the same, to the last bit, whichever
    films are new with it.
    """
    full = films.new_zeros(BATCH, *films.shape[1:])
    full[: len(films)] = films
    with half_precision(device):
        vectors: np.ndarray = network(full.to(device)).float().cpu().numpy()
    return vectors[: len(films)]


def embed_new(network: Backbone, films: pl.DataFrame, films_folder: Path, folder: Path,
              device: torch.device) -> None:  # fmt: skip
    """Adds the vectors of `films` (dicom_id, stamp, chunk, row) to the store."""
    progress = JobProgress("embedding films", films.height)
    for part in films.sort("chunk", "row").iter_slices(CHUNK):
        vectors = []
        for few in part.iter_slices(BATCH):
            pixels = torch.from_numpy(gather(films_folder, few))
            vectors.append(embed(network, pixels, device))
            progress.add(few.height)
        append(folder, part, np.concatenate(vectors), ITEM)


def main() -> None:
    """Embeds what is new, writes where each film's vector lies, and which weights made it."""
    options = parser(__doc__)
    options.add_argument("--decoded", nargs="+", required=True, help="a table per shard")
    options.add_argument("--films-store", required=True, type=Path)
    options.add_argument("--pixels", required=True, type=int)
    options.add_argument("--full", action="store_true", help="films decoded at full size")
    options.add_argument("--model", required=True, help="name of torchvision's, folder or hub name")
    options.add_argument("--weights", nargs="?", help="safetensors of a torchvision network")
    options.add_argument("--store", required=True, type=Path, help="of vectors")
    add_compute_arguments(options)
    options.add_argument("--output", required=True)
    options.add_argument("--facts", required=True, help="JSON: the network and its weights")
    arguments = options.parse_args()
    model, weights, pixels = arguments.model, arguments.weights, arguments.pixels
    if not weights and not is_folder(model):
        raise InputError(f"{KEY}.weights: null, but a frozen network of random weights "
                         "tells nothing; name a safetensors file, or set trained: finetuned"
                         )  # fmt: skip
    make_repeatable(0, arguments.torch_threads, arguments.precision)
    device = pick_device(arguments.device)
    network = load_backbone(model, weights).to(device)
    shown = network.shown
    networks.warn_if_enlarged(shown, pixels, model)
    facts = {
        "model": Path(model).name if is_folder(model) else model,
        "weights_sha256": digest_of_weights(model, weights),
        "width": network.width, "size": shown.size, "scale": shown.scale,
        "mean": list(shown.mean), "sd": list(shown.sd), "pixels": pixels, "full": arguments.full,
        "precision": precision_of(device),
    }  # fmt: skip
    key = key_of(facts, networks.__file__)
    folder = arguments.store / key
    films_folder = size_folder(arguments.films_store, pixels, arguments.full)
    # a chunk is named by its content: place and id tell a film's pixels apart
    stamp = pl.format("{}:{}", "chunk", "row").alias("stamp")
    places = decoded_places(arguments.decoded).with_columns(stamp).sort("dicom_id")
    films = places.select(ITEM, "stamp")
    new = find(films, folder, ITEM).filter(pl.col("chunk").is_null())
    waiting = places.join(new, on=ITEM, how="semi")
    embed_new(network, waiting, films_folder, folder, device)
    table = find(films, folder, ITEM)
    table = table.with_columns(pl.format(f"{key}/{{}}", "chunk").alias("chunk"))
    write_table(table, arguments.output, EMBEDDED)
    write_json(arguments.facts, facts)
    tell(
        f"%s films: %s embedded now, vectors of {network.width}, {facts['precision']}",
        table.height,
        shown_part(waiting.height, table.height),
    )


if __name__ == "__main__":
    run(main)
