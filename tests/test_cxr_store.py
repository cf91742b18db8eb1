"""The film store: every film decoded once; what cannot be decoded is a missing film."""

import io
import logging
import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from pipeline.cxr import decode, film_files, limits
from pipeline.cxr.film_data import decoded_places, read_films
from pipeline.cxr.films import FILMS
from pipeline.stage import store
from pipeline.stage.errors import InputError

PIXELS = 16
SUBJECTS = {"p10": 10_000_032, "p19": 19_999_840}


def picture(level, size=(64, 48)):
    """A grey film that brightens from left to right, from `level` on."""
    row = np.linspace(level, level + 100, size[0]).astype(np.uint8)
    return Image.fromarray(np.tile(row, (size[1], 1)))


class Films:
    """A tree of JPEGs, the table of selected films, and the stage that decodes them."""

    def __init__(self, folder, monkeypatch, caplog):
        self.folder, self.monkeypatch, self.caplog = folder, monkeypatch, caplog
        self.rows = []

    def path(self, name, shard="p10"):
        subject = SUBJECTS[shard]
        return self.folder / "jpg" / "files" / shard / f"p{subject}" / "s7" / f"{name}.jpg"

    def add(self, name, level=50, shard="p10", episode=1, minute=60, content=None):
        """One more film; `content`: its bytes (None: a picture; False: no file)."""
        path = self.path(name, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            picture(level).save(path, quality=95)
        elif content is not False:
            path.write_bytes(content)
        self.rows.append((episode, name, SUBJECTS[shard], 7, minute))

    def decode(self, shard="p10", rows=None, *flags):
        """Runs the stage; gives how many films (it decoded now, are not decodable, are absent)."""
        table = pl.DataFrame(rows or self.rows, schema=FILMS.columns, orient="row")
        table.write_parquet(self.folder / "films.parquet")
        given = ["--films", self.folder / "films.parquet", "--shard", shard, "--pixels", PIXELS]
        given += ["--root", self.folder / "jpg", "--store", self.folder / "store"]
        given += ["--output", self.folder / "decoded" / f"{shard}.parquet", "--threads", 2, *flags]
        self.monkeypatch.setattr(sys, "argv", ["decode", *map(str, given)])
        self.caplog.clear()
        self.caplog.set_level(logging.INFO, "pipeline")
        before = self.indexed()
        decode.main()
        fault = self.decoded(shard)["fault"].drop_nulls().to_list()
        absent = fault.count("absent")
        return self.indexed() - before, len(fault) - absent, absent

    def indexed(self):
        folders = (self.folder / "store").glob("*/*")
        return sum(store.read_index(folder, "dicom_id").height for folder in folders)

    def decoded(self, shard="p10"):
        return pl.read_parquet(self.folder / "decoded" / f"{shard}.parquet")

    def batch(self, episodes, shards=("p10",), full=False):
        paths = [str(self.folder / "decoded" / f"{shard}.parquet") for shard in shards]
        films = self.folder / "films.parquet"
        opened = partial(store.open_chunks, store.size_folder(self.folder / "store", PIXELS, full))
        places, shape = decoded_places(paths), (PIXELS, PIXELS)
        data = read_films(films, places, opened, shape, np.array(episodes), before=np.inf)
        return data, data.batch(np.arange(len(episodes)))


@pytest.fixture
def films(tmp_path, monkeypatch, caplog):
    return Films(tmp_path, monkeypatch, caplog)


def stored(films):
    """Name → bytes of every file in the store."""
    return {p.name: p.read_bytes() for p in (films.folder / "store").rglob("*") if p.is_file()}


def test_a_second_run_decodes_nothing_and_writes_the_same_table(films):
    films.add("a")
    films.add("b", 90)
    assert films.decode() == (2, 0, 0)
    first, before = films.decoded(), stored(films)
    assert films.decode() == (0, 0, 0)
    assert films.decoded().equals(first)
    assert stored(films) == before


def test_a_changed_cohort_decodes_only_its_new_films(films):
    for name, level in {"a": 10, "b": 60, "c": 110}.items():
        films.add(name, level)
    assert films.decode(rows=films.rows[:2]) == (2, 0, 0)
    before = stored(films)
    assert films.decode(rows=films.rows[1:]) == (1, 0, 0)
    assert films.decoded().drop_nulls("chunk")["dicom_id"].to_list() == ["b", "c"]
    assert before.items() <= stored(films).items()  # nothing rewritten
    films.rows = films.rows[1:]
    _, batch = films.batch([1])
    assert [image.float().mean().round().item() for image in batch["film"]] == [110, 160]


def test_a_replaced_film_of_another_size_is_decoded_again(films):
    films.add("a", 10)
    films.decode()
    picture(150, (80, 80)).save(films.path("a"))
    assert films.decode() == (1, 0, 0)
    assert films.decoded().height == 1
    _, batch = films.batch([1])
    assert batch["film"].float().mean() == pytest.approx(200, abs=2)
    assert films.decode() == (0, 0, 0)


def test_films_decoded_at_full_size_lie_apart_and_are_resized_as_published(films):
    """As torch resizes without averaging, a third party's reading of OpenCV's default."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 300), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG", quality=95)
    films.add("a", content=stream.getvalue())
    assert films.decode() == (1, 0, 0)
    scaled = films.batch([1])[1]["film"][0].numpy()
    assert films.decode("p10", None, "--full") == (1, 0, 0)  # not taken from the other folder
    found = films.batch([1], full=True)[1]["film"][0].numpy()
    with Image.open(films.path("a")) as image:
        grey = image.convert("L")
    whole = torch.tensor(np.asarray(grey))[None, None].float()
    plain = interpolate(whole, (PIXELS, PIXELS), mode="bilinear", antialias=False)[0, 0]
    np.testing.assert_allclose(found, plain, atol=0.51)
    averaged = np.asarray(grey.resize((PIXELS, PIXELS), Image.Resampling.BILINEAR))
    assert np.abs(found.astype(int) - averaged).mean() > 10
    assert not np.array_equal(found, scaled)
    assert {p.name for p in (films.folder / "store").iterdir()} == {"16", "16-full"}


@pytest.mark.parametrize("size", [(1211, 1429), (1275, 1243)])
def test_scaled_decoding_is_less_than_half_a_grey_level_off_and_not_shifted(tmp_path, size):
    width, height = size  # no multiples of 8: a scaled film ends within its last pixels
    across, down = np.linspace(0, 25, width), np.linspace(0, 31, height)[:, None]
    shapes = 128 + 70 * np.sin(across) * np.cos(down)
    noise = np.random.default_rng(0).normal(0, 2, (height, width))
    film = Image.fromarray((shapes + noise).astype(np.uint8))
    film.save(tmp_path / "film.jpg", quality=95)
    scaled = decode.decode(str(tmp_path / "film.jpg"), 112).astype(int)
    with Image.open(tmp_path / "film.jpg") as image:
        full = np.asarray(image.resize((112, 112), Image.Resampling.BILINEAR), int)
    assert np.abs(scaled - full).mean() < 0.5
    assert np.abs((scaled - full)[:, -8:]).mean() < 0.6  # at the edge a shift would be largest


def test_an_index_of_an_older_format_is_ignored_and_its_films_decoded_again(films):
    films.add("a")
    folder = films.folder / "store" / str(PIXELS) / "p10"
    folder.mkdir(parents=True)
    old = pl.DataFrame({"dicom_id": ["a"], "chunk": ["gone"], "row": [0]})
    old.write_parquet(folder / "0.parquet")
    newer = {"dicom_id": ["b"], "stamp": ["1"], "chunk": ["c"], "row": [0], "more": [1.0]}
    pl.DataFrame(newer).write_parquet(folder / "1.parquet")
    assert films.decode() == (1, 0, 0)
    assert films.decode() == (0, 0, 0)
    assert sorted(store.read_index(folder, "dicom_id")["dicom_id"]) == ["a", "b"]


def whole_jpeg(level=50):
    stream = io.BytesIO()
    picture(level, (256, 256)).save(stream, "JPEG")
    return stream.getvalue()


def written(image, kind="JPEG"):
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def huge():
    """A small file that claims to be a film of 65,000 × 65,000 pixels."""
    return re.sub(rb"(\xff\xc0..\x08)....", rb"\1" + b"\xfd\xe8" * 2, whole_jpeg(), flags=re.S)


def endless():
    """A JPEG of one small film in thousands of scans, each of which goes through all of it."""
    stream = io.BytesIO()
    picture(50, (512, 512)).save(stream, "JPEG", progressive=True)
    head, first, second, *_ = re.split(rb"(?=\xff\xda)", stream.getvalue())
    return head + first + second * (400_000 // len(second)) + b"\xff\xd9"


def pages():
    """A JPEG with a second one behind it."""
    stream = io.BytesIO()
    picture(50).save(stream, "MPO", save_all=True, append_images=[picture(60)])
    return stream.getvalue()


GREY16 = Image.fromarray(np.linspace(0, 65535, 4096).reshape(64, 64).astype(np.uint16))
BROKEN = {
    "half": (whole_jpeg()[:1500], "a damaged JPEG"),
    "empty": (b"", "empty"),
    "text": (b"no film here", "no JPEG"),
    "head": (whole_jpeg()[:20], "no JPEG"),
    "html": (b"<html>403 Forbidden</html>" * 100, "no JPEG"),
    "16 bits": (written(GREY16, "PNG"), "no JPEG"),  # turned white where it was read
    "8 bits": (written(picture(50), "PNG"), "no JPEG"),
    "dot": (written(picture(50, (1, 1))), "less than 32 pixels a side"),
    "huge": (huge(), "more than 50,000,000 pixels"),
    "pages": (pages(), "no JPEG"),
    "gif": (written(picture(50), "GIF"), "no JPEG"),
    "tiff": (written(picture(50), "TIFF"), "no JPEG"),
    "strip": (written(picture(50, (3000, 31))), "less than 32 pixels a side"),
}


def test_a_film_whose_decoding_does_not_end_is_given_up(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(endless())
    attempt = decode.try_decode(PIXELS)
    assert not isinstance(attempt(path), str)  # a film, if a slow one
    monkeypatch.setattr(limits, "MOST_SECONDS", 0.05)
    assert attempt(path) == decode.SLOW


def test_broken_films_are_counted_and_treated_as_missing(films):
    films.add("good")
    films.add("least", content=written(picture(50, (32, 32))), episode=30)
    for episode, (name, (content, _)) in enumerate(BROKEN.items(), 2):
        films.add(name, content=content, episode=episode)
    films.add("secret", content=False, episode=29)
    assert films.decode() == (2, len(BROKEN), 1)
    told = "16 films, 16 of them new; all but <10 cannot be read: <10 no JPEG, "
    assert told in films.caplog.text
    fault = dict(films.decoded().select("dicom_id", "fault").rows())
    expected = {name: fault for name, (_, fault) in BROKEN.items()}
    assert fault == expected | {"good": None, "least": None, "secret": "absent"}
    assert "secret" not in films.caplog.text  # an id of a patient's film
    assert films.decoded().drop_nulls("chunk")["dicom_id"].to_list() == ["good", "least"]
    data, batch = films.batch([1, 2, 29])
    assert data.present().tolist() == [True, False, False]
    assert batch["count"].tolist() == [1, 0, 0]


@pytest.mark.parametrize("put_there", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_among_films_is_counted_and_not_waited_for(films, put_there):
    films.add("good")
    films.add("strange", content=False, episode=2)
    put_there(films.path("strange"))
    assert films.decode() == (1, 1, 0)
    assert films.decoded().drop_nulls("fault").rows() == [("strange", None, None, "no file")]


@pytest.mark.parametrize("folder", [".", "files"])
def test_films_that_lie_flat_are_the_same_films(films, folder):
    films.add("a")
    films.add("b", 90, episode=2)
    films.decode()
    rows = films.decoded().select("dicom_id", "row").rows()
    before, root = stored(films), films.folder / "jpg"
    for name in ("a", "b"):
        films.path(name).rename(root / folder / f"{name}.jpg")
    shutil.rmtree(root / "files/p10")
    assert films.decode() == (0, 0, 0)  # each keeps its name, size and time
    assert films.decoded().select("dicom_id", "row").rows() == rows
    assert stored(films) == before


def test_no_damage_to_a_jpeg_ends_the_run(tmp_path):
    whole, random = whole_jpeg(), np.random.default_rng(0)
    attempt = decode.try_decode(PIXELS)
    path = tmp_path / "film.jpg"
    failed = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 20):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(damaged[: random.integers(1, len(whole))])
        failed += isinstance(attempt(str(path)), str)
    assert failed == 150  # each of them is cut short


def test_a_folder_without_any_of_many_films_is_an_error(films):
    for number in range(decode.MANY):
        films.add(f"gone{number}", content=False)
    with pytest.raises(InputError, match="none of the 10 films that the cohort needs is there"):
        films.decode()
    assert not list(films.folder.glob("decoded/*.parquet"))


def test_a_film_with_a_new_time_is_decoded_again(films):
    films.add("a")
    films.decode()
    before = stored(films)
    os.utime(films.path("a"), ns=(1, 1))
    assert films.decode() == (1, 0, 0)
    assert set(before) < set(stored(films))  # one more index; the pixels are the same


def test_a_film_mended_later_is_decoded_then(films):
    films.add("a", content=whole_jpeg()[:1500])
    assert films.decode() == (0, 1, 0)
    films.path("a").write_bytes(whole_jpeg())
    assert films.decode() == (1, 0, 0)


def test_a_shard_decodes_its_own_patients_and_may_be_empty(films):
    films.add("a", shard="p10")
    films.add("b", shard="p19", episode=2)
    assert films.decode("p19") == (1, 0, 0)
    assert films.decode("p10") == (1, 0, 0)
    assert films.decode("p15") == (0, 0, 0)
    data, _ = films.batch([2, 3, 1], ("p10", "p15", "p19"))
    assert data.present().tolist() == [True, False, True]


def test_no_film_at_all_gives_data_without_films(films):
    films.add("gone", content=False)
    films.decode()
    data, batch = films.batch([1, 2])
    assert not data.present().any()
    assert batch["film"].shape == (0, PIXELS, PIXELS)


@pytest.mark.parametrize("write", ["np.save", "pl.DataFrame.write_parquet"])
def test_a_killed_run_leaves_nothing_half_made(films, monkeypatch, write):
    films.add("a")
    films.decode(rows=films.rows)
    before = films.batch([1])[1]["film"]
    films.add("b", 90)

    def half(*given, **named):
        for target in (*given, *named.values()):
            if isinstance(target, Path):
                target.write_bytes(b"half")
            elif hasattr(target, "write"):
                target.write(b"half")
        raise KeyboardInterrupt

    table = pl.DataFrame(films.rows, schema=FILMS.columns, orient="row")
    with monkeypatch.context() as patch:
        patch.setattr(f"pipeline.stage.store.{write}", half)
        films_of = film_files.locate(table, "p10", films.folder / "jpg").filter(dicom_id="b")
        with pytest.raises(KeyboardInterrupt):
            decode.decode_new(films_of, films.folder / "store" / str(PIXELS) / "p10", PIXELS, 1)
    assert b"half" not in stored(films).values()
    assert store.read_index(films.folder / "store" / str(PIXELS) / "p10", "dicom_id").height == 1
    assert films.decode() == (1, 0, 0)
    assert (films.batch([1])[1]["film"][0] == before[0]).all()


def test_what_a_kill_without_mercy_leaves_is_never_read(films):
    films.add("a")
    folder = films.folder / "store" / str(PIXELS) / "p10"
    folder.mkdir(parents=True)
    (folder / ".0123.npy.99.part").write_bytes(b"half")
    (folder / ".0123.parquet.99.part").write_bytes(b"half")
    np.save(folder / "4567.npy", np.zeros((1, 3, 3), np.uint8))  # its index was not written yet
    assert films.decode() == (1, 0, 0)


def test_films_missing_from_the_store_are_named_and_decoded_again(films):
    films.add("a")
    films.decode()
    (chunk,) = (films.folder / "store").rglob("*.npy")
    chunk.unlink()
    with pytest.raises(InputError, match=r"\.npy: missing or unreadable .* array of the store"):
        films.batch([1])
    films.decode()
    assert chunk.is_file() and len(films.batch([1])[1]["film"]) == 1


def test_films_of_an_episode_come_in_the_order_of_time(films):
    films.add("late", 150, minute=900)
    films.add("early", 10, minute=30)
    films.add("other", 80, episode=2, minute=-60)
    films.decode()
    _, batch = films.batch([2, 1])
    assert batch["hours"].tolist() == [-1.0, 0.5, 15.0]
    assert batch["owner"].tolist() == [0, 1, 1]
    assert batch["film"].float().mean(dim=(1, 2)).round().tolist() == [130, 60, 200]


def test_a_film_of_two_episodes_is_decoded_once(films):
    films.add("a")
    films.rows.append((2, "a", SUBJECTS["p10"], 7, 2000))
    assert films.decode() == (1, 0, 0)
    assert films.batch([1, 2])[1]["count"].tolist() == [1, 1]


def test_decoding_is_grey_and_square_whatever_the_film(tmp_path):
    for mode in ("L", "RGB", "CMYK"):
        path = tmp_path / f"{mode}.jpg"
        picture(50, (300, 200)).convert("RGB").convert(mode).save(path, quality=95)
        made = decode.decode(str(path), PIXELS)
        assert (made.shape, made.dtype) == ((PIXELS, PIXELS), np.uint8)
        assert made[:, 0] == pytest.approx(53, abs=3)  # dark left, bright right
        assert made[:, -1] == pytest.approx(147, abs=3)


def test_scaled_decoding_of_real_films_is_close_to_full_decoding(tmp_path, open_data):
    originals = sorted((open_data / "cxr" / "nih_fullres").glob("*.png"))
    if not originals:
        pytest.skip("no full-size films among the open data")
    for original in originals:
        path = tmp_path / f"{original.stem}.jpg"
        with Image.open(original) as image:
            image.convert("L").save(path, quality=95)
        with Image.open(path) as image:  # all pixels decoded, then resized
            full = image.resize((64, 64), Image.Resampling.BILINEAR)
        difference = np.abs(decode.decode(str(path), 64).astype(int) - np.asarray(full, int))
        assert difference.mean() < 0.5  # of 255
        assert difference.max() <= 6
