"""Lists the films that a cohort needs and that are not there yet, for a download.

    python -m pipeline.cxr.film_list --films films.parquet --root …/mimic-cxr-jpg/2.1.0
        --output films.txt

The list has one path per line, relative to the folder of the data set and sorted, as wget's
`--input-file` takes it together with `--base`. A film counts as there if its file is not empty: a
download that was cut off is finished by the same command, not by a new list. The list names films
of patients, so it is for those who may read MIMIC; the log holds counts alone.
"""

from pathlib import Path

import polars as pl

from pipeline.cxr.film_files import flat_folder, path_of
from pipeline.stage.command import parser, run
from pipeline.stage.files import whole
from pipeline.stage.privacy import shown, shown_part, tell
from pipeline.stage.tables import read_table

GB_PER_FILM = 557 / 377_110  # all of MIMIC-CXR-JPG 2.1.0


def paths_needed(films: pl.DataFrame) -> list[str]:
    """The paths of all episodes' films below the data set's folder, each once, sorted.

    >>> film = {"subject_id": [10000032] * 2, "study_id": [5] * 2, "dicom_id": ["a-b"] * 2}
    >>> paths_needed(pl.DataFrame(film))
    ['files/p10/p10000032/s5/a-b.jpg']
    """
    paths = films.select(path_of(Path())).to_series().str.strip_prefix("./")
    return paths.unique().sort().to_list()


def is_there(path: Path) -> bool:
    """Whether a file exists, may be read and is not empty."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def summary(needed: int, wanted: int, episodes: int) -> str:
    """One line that tells how many films to fetch; small counts are hidden.

    >>> summary(377_110, 377_110, 200_000)
    '377,110 films of 200,000 episodes are needed, 0 are there: 377,110 to fetch, about 557.0 GB'
    """
    return (
        f"{shown(needed)} films of {shown(episodes)} episodes are needed, "
        f"{shown_part(needed - wanted, needed)} are there: {shown_part(wanted, needed)} to fetch, "
        f"about {wanted * GB_PER_FILM:.1f} GB"
    )


def main() -> None:
    """Writes the list; its length goes into the log and to the screen."""
    options = parser(__doc__)
    options.add_argument("--films", required=True, help="the films of a cohort's episodes")
    options.add_argument("--root", required=True, type=Path, help="folder of MIMIC-CXR-JPG")
    options.add_argument("--output", required=True, type=Path)
    arguments = options.parse_args()
    films = read_table(arguments.films)
    needed = paths_needed(films)
    flat = flat_folder(arguments.root)
    lie_at = {path: flat / Path(path).name if flat else arguments.root / path for path in needed}
    wanted = [path for path in needed if not is_there(lie_at[path])]
    with whole(arguments.output) as part:
        part.write_text("".join(f"{path}\n" for path in wanted))
    line = summary(len(needed), len(wanted), films["episode_id"].n_unique())
    tell(line)
    print(f"{arguments.output}: {line}")


if __name__ == "__main__":
    run(main)
