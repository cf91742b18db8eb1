"""A real copy: which films to download, before any is there, and that they are enough."""

import shutil
import stat

import polars as pl
import pytest
from checkout import MAIN, Checkout

ALONE = "results/c_unimodal_mortality.json"
LIST = "results/download/films.txt"


@pytest.fixture(scope="module")
def hospitals(finished, tmp_path_factory):
    """Two folders as a user has them: the whole synthetic hospital, and one without a film."""
    base = tmp_path_factory.mktemp("copies")
    for name in ("whole", "bare"):
        shutil.copytree(finished / "results/hospital", base / name)
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


def test_the_listed_films_are_enough_for_the_same_result(hospitals, tmp_path, pytestconfig):
    target = MAIN if pytestconfig.getoption("--all") else ALONE
    bare = checkout_of(hospitals, "bare", tmp_path)
    refused = bare.plan(target)
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

    fetch(listed[100:], hospitals)
    bare.make(target)
    whole = checkout_of(hospitals, "whole", tmp_path)
    whole.make(target)
    assert (bare / target).read_bytes() == (whole / target).read_bytes()


def test_each_kind_of_result_has_a_list_of_its_own(finished, tmp_path):
    checkout = finished.copy(tmp_path / "copy")
    shutil.rmtree(films_of(checkout / "results/hospital"))
    names = {"films": "corrected/admission", "films-published": "published/admission"}
    names["films-stays"] = "corrected/stay"
    checkout.make(*(f"results/download/{name}.txt" for name in names), "results/source/counts.md")
    sizes = {}
    for name, unit in names.items():
        listed = (checkout / f"results/download/{name}.txt").read_text().splitlines()
        films = pl.read_parquet(checkout / f"results/{unit}/cxr/films.parquet")
        assert {path.rsplit("/", 1)[1] for path in listed} == {
            f"{x}.jpg" for x in films["dicom_id"]
        }
        sizes[name] = len(listed)
    assert len(set(sizes.values())) == 3, sizes
    assert (checkout / "results/source/counts.md").read_text().startswith("nothing to compare with")


def test_a_list_is_refused_in_words_where_the_metadata_is_missing(hospitals, tmp_path):
    checkout = checkout_of(hospitals, "bare", tmp_path)
    metadata = tmp_path / "no-films"
    shutil.copytree(hospitals / "bare/mimiciv", metadata / "mimiciv")
    checkout.configure({"source.root": str(metadata)})
    refused = checkout.plan(LIST)
    assert refused.status == 1 and "Traceback" not in refused.text
    assert f"{metadata}/mimic-cxr-jpg/2.1.0: no MIMIC-CXR-JPG here" in refused.text
