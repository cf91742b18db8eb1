"""A real copy: which films to download, before any is there, and that they are enough."""

import shutil
import stat

import polars as pl
import pytest
from checkout import MAIN, SMALL, Checkout
from hospital_files import files

LIST = "results/download/films.txt"


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """Two folders as a user has them: a whole synthetic hospital, and the same without a film."""
    base = tmp_path_factory.mktemp("copies")
    for name in ("whole", "bare"):
        shutil.copytree(files(SMALL["hospital.patients"]), base / name)
    shutil.rmtree(films_of(base / "bare"))
    return base


def films_of(root):
    return root / "mimic-cxr-jpg/2.1.0/files"


def checkout_of(hospitals, name, folder):
    return Checkout.fresh(folder / name, {"source.root": str(hospitals / name)})


def fetch(listed, hospitals):
    """What wget does with --base and --cut-dirs: each path below the folder of the data set."""
    for path in listed:
        target = films_of(hospitals / "bare").parent / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(films_of(hospitals / "whole").parent / path, target)


def test_films_that_a_result_needs_are_listed_without_any_until_they_are_there(hospitals, tmp_path):
    bare = checkout_of(hospitals, "bare", tmp_path)
    refused = bare.plan(MAIN)
    assert refused.status == 1 and "no films here" in refused.text
    assert "decode_films" not in bare.plan(LIST).planned
    made = bare.make(LIST)

    listed = (bare / LIST).read_text().splitlines()
    needed = pl.read_parquet(bare / "results/corrected/admission/cxr/films.parquet")
    assert listed == sorted(set(listed)) and len(listed) == needed["dicom_id"].n_unique() > 500
    everything = list(films_of(hospitals / "whole").rglob("*.jpg"))
    assert len(listed) < 0.7 * len(everything)  # else there was nothing to save
    assert f"{len(listed):,} films of" in made.text and "0 are there" in made.text
    assert stat.S_IMODE((bare / LIST).stat().st_mode) == 0o600
    ids = {path.rsplit("/", 1)[1].removesuffix(".jpg") for path in listed}
    logs = "".join(path.read_text() for path in (bare / "logs").rglob("*.log"))
    assert not [name for name in ids if name in logs or name in made.text]

    fetch(listed[:100], hospitals)
    again = bare.make("--forcerun", "list_films", "--", LIST)
    assert (bare / LIST).read_text().splitlines() == listed[100:]
    assert f"100 are there: {len(listed) - 100:,} to fetch" in again.text


@pytest.mark.slow
def test_the_listed_films_are_enough_for_the_same_result(hospitals, tmp_path):
    bare, whole = (checkout_of(hospitals, name, tmp_path) for name in ("bare", "whole"))
    bare.make(LIST)
    fetch((bare / LIST).read_text().splitlines(), hospitals)
    for checkout in (bare, whole):
        checkout.make(MAIN)
    assert (bare / MAIN).read_bytes() == (whole / MAIN).read_bytes()


def test_each_kind_of_result_has_a_list_of_its_own(hospitals, tmp_path):
    checkout = checkout_of(hospitals, "whole", tmp_path)
    root = tmp_path / "no films"
    for dataset in ("mimiciv/3.1", "mimic-cxr-jpg/2.1.0"):
        shutil.copytree(hospitals / "whole" / dataset, root / dataset, ignore=lambda *_: {"files"})
    checkout.configure({"source.root": str(root)})
    kinds = {
        "films": "corrected/admission",
        "films-published": "published/admission",
        "films-stays": "corrected/stay",
    }
    checkout.make(*(f"results/download/{name}.txt" for name in kinds))
    lists = {}
    for name, unit in kinds.items():
        listed = (checkout / f"results/download/{name}.txt").read_text().splitlines()
        films = pl.read_parquet(checkout / f"results/{unit}/cxr/films.parquet")["dicom_id"]
        assert {path.rsplit("/", 1)[1] for path in listed} == {f"{name}.jpg" for name in films}
        lists[name] = set(listed)
    assert lists["films"] != lists["films-published"] != lists["films-stays"] != lists["films"]


def test_counts_of_the_synthetic_hospital_or_a_sample_are_compared_with_nothing(
    fresh, hospitals, tmp_path
):
    target = ("--dry-run", "--printshellcmds", "results/source/counts.md")
    assert (
        "--uncompared 'nothing to compare with: the hospital is synth"
        in fresh.snakemake(*target).text
    )
    real = checkout_of(hospitals, "whole", tmp_path)
    printed = real.snakemake(*target).text
    assert "--uncompared" not in printed and "--expected-rows 432997491" in printed
    real.configure({"sample": 0.5})
    printed = real.snakemake(*target).text
    assert "compare with: a sample of the subjects'" in printed and "--expected-rows" not in printed


def test_a_list_is_refused_in_words_where_the_metadata_is_missing(hospitals, tmp_path):
    checkout = checkout_of(hospitals, "bare", tmp_path)
    metadata = tmp_path / "no-films"
    shutil.copytree(hospitals / "bare/mimiciv", metadata / "mimiciv")
    checkout.configure({"source.root": str(metadata)})
    refused = checkout.plan(LIST)
    assert refused.status == 1 and "Traceback" not in refused.text
    assert f"{metadata}/mimic-cxr-jpg/2.1.0: no MIMIC-CXR-JPG here" in refused.text
