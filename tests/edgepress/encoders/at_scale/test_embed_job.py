from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.data.preprocess import decode
from edgepress.encoders.at_scale.embed_job import DamagedError, EmbedJob
from edgepress.encoders.at_scale.image_shards import find
from edgepress.encoders.at_scale.numbering import numbered
from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.errors import UserError
from edgepress.records.record import sha256_folder
from tests.image_shards import SPEC, picture, write_tar


def _job(images: Path, encoder: Path, out: Path, **changes: Any) -> EmbedJob:
    if not (out / "encoder").is_dir():
        shutil.copytree(encoder, out / "encoder")
    shards = numbered(find([images], "image"), out)
    return EmbedJob(shards, out, **{"dtype": "float32", "column": "image", **changes})


def _cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _column(path: Path, name: str) -> list[str]:
    found: list[str] = pq.ParquetFile(path).read([name])[name].to_pylist()
    return found


def test_vectors_are_the_encoders_in_the_order_of_the_shard(
    tars: Path, encoder: Path, tmp_path: Path
) -> None:
    job = _job(tars, encoder, tmp_path / "out")
    done = job.embed(3)
    assert (done.rows, done.width, done.quarantined) == (40, 32, {})
    pixels = np.stack([decode(picture(number), SPEC) for number in range(120, 160)])
    used = NetworkEncoder.load(encoder)
    expected = [used.vectors(pixels[start : start + 16]) for start in (0, 16, 32)]
    vectors = np.load(tmp_path / "out" / "img_emb" / "img_emb_00003.npy")
    np.testing.assert_array_equal(vectors, np.concatenate(expected))
    ids = _column(tmp_path / "out" / "metadata" / "metadata_00003.parquet", "id")
    assert ids == [f"00003/{number:05}" for number in range(120, 160)]


def test_images_are_set_aside_by_name_when_they_cannot_be_used(
    tars: Path, encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = _job(tars, encoder, out).embed(1)
    assert (done.rows, done.quarantined) == (38, {"not an image": 1, "no image": 1})
    path = out / "shards" / "00001" / "quarantine.parquet"
    assert sorted(_column(path, "id")) == ["00001/00050", "00001/00051"]
    ids = _column(out / "metadata" / "metadata_00001.parquet", "id")
    assert len(ids) == len(np.load(out / "img_emb" / "img_emb_00001.npy")) == 38
    assert not {"00001/00050", "00001/00051"} & set(ids)


def test_vectors_without_a_direction_are_set_aside(
    tars: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = NetworkEncoder.vectors

    def bad(self: NetworkEncoder, pixels: Any) -> Any:
        found = vectors(self, pixels).copy()
        found[0], found[1, 3], found[2, 0] = 0, np.nan, 70_000
        return found

    monkeypatch.setattr(NetworkEncoder, "vectors", bad)
    done = _job(tars, encoder, tmp_path / "out", dtype="float16").embed(0)
    assert (done.rows, done.quarantined) == (31, {"zero vector": 3, "not finite": 6})
    assert np.isfinite(np.load(tmp_path / "out" / "img_emb" / "img_emb_00000.npy")).all()


def test_rest_of_a_damaged_shard_is_set_aside_when_it_is_new(
    tars: Path, encoder: Path, tmp_path: Path
) -> None:
    _cut(tars / "00001.tar", 0.8)
    (tars / "00002.tar").write_bytes(b"no tar at all")
    job = _job(tars, encoder, tmp_path / "out")
    cut, broken = job.embed(1), job.embed(2)
    assert 0 < cut.rows < 38
    assert cut.quarantined == {"not an image": 1, "no image": 1, "damaged shard": 1}
    assert (cut.broken, cut.seen) == (True, cut.rows + 2)
    assert (broken.rows, broken.seen, broken.quarantined) == (0, 0, {"damaged shard": 1})
    assert not (tmp_path / "out" / "img_emb" / "img_emb_00002.npy").exists()
    assert not list((tmp_path / "out").rglob("*.partial"))


@pytest.mark.parametrize("damage", ["cut", "no tar", "no samples", "junk"])
def test_earlier_vectors_stay_when_a_shard_has_become_damaged(
    tars: Path, encoder: Path, tmp_path: Path, damage: str
) -> None:
    out, path = tmp_path / "out", tars / "00001.tar"
    whole = path.read_bytes()
    _job(tars, encoder, out).embed(1)
    before = sha256_folder(out)
    if damage == "cut":
        _cut(path, 0.8)
    elif damage == "no tar":
        path.write_bytes(b"no tar at all")
    else:
        write_tar(path, {} if damage == "no samples" else {"00040.png": b"junk"})
    job = _job(tars, encoder, out)
    with pytest.raises(DamagedError, match=r"00001.tar: (damaged shard: cannot|no image of it)"):
        job.embed(1)
    assert sha256_folder(out) == before
    assert job.pending() == [0, 1, 2, 3]
    path.write_bytes(whole)
    assert job.embed(1).rows == 38


def test_earlier_vectors_stay_when_a_page_of_a_parquet_file_is_damaged(
    encoder: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "x.parquet", tmp_path / "out"
    images = pa.table({"image": pa.array([picture(n) for n in range(30)], pa.binary())})
    pq.write_table(images, path, row_group_size=10, compression="none", use_dictionary=False)
    _job(path, encoder, out).embed(0)
    before = sha256_folder(out)
    page = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[page : page + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"x.parquet: cannot be read"):
        _job(path, encoder, out).embed(0)
    assert sha256_folder(out) == before
    done = _job(path, encoder, tmp_path / "new").embed(0)
    assert (done.rows, done.quarantined) == (20, {"cannot be read": 10})


def test_earlier_vectors_stay_when_the_new_ones_cannot_be_written(
    tars: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    _job(tars, encoder, out).embed(1)
    before = sha256_folder(out)
    write_tar(tars / "00001.tar", {"1.png": picture(1)})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            _job(tars, encoder, out).embed(1)
    assert sha256_folder(out) == before
    assert _job(tars, encoder, out).embed(1).rows == 1


def test_every_repeat_is_set_aside_when_a_tar_names_a_sample_often(
    encoder: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "x.tar", tmp_path / "out"
    with tarfile.open(path, "w") as tar:
        for number, name in enumerate("abaaab"):
            info = tarfile.TarInfo(f"{name}.png" if number != 3 else "other.png")
            info.size = len(picture(number))
            tar.addfile(info, io.BytesIO(picture(number)))
    done = _job(path, encoder, out).embed(0)
    assert (done.rows, done.quarantined) == (3, {"repeated name": 3})
    assert _column(out / "metadata" / "metadata_00000.parquet", "id") == ["x/a", "x/b", "x/other"]
    aside = _column(out / "shards" / "00000" / "quarantine.parquet", "id")
    assert aside == ["x/a", "x/a", "x/b"]


def test_shard_is_embedded_again_when_it_has_changed(
    tars: Path, encoder: Path, tmp_path: Path
) -> None:
    job = _job(tars, encoder, tmp_path / "out")
    assert job.pending() == [0, 1, 2, 3]
    for index in job.pending():
        job.embed(index)
    assert job.pending() == []
    write_tar(tars / "00001.tar", {"1.png": picture(1)})
    assert job.pending() == [1]
    assert job.embed(1).rows == 1
    assert not (tmp_path / "out" / "shards" / "00001" / "quarantine.parquet").exists()


def test_output_of_something_else_is_refused(tars: Path, encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for index in range(4):
        _job(tars, encoder, out).embed(index)
    for changes, clause in (
        ({"dtype": "float16"}, "holds vectors of type float32, asked for is float16"),
        ({"column": "picture"}, "holds vectors of column image"),
    ):
        with pytest.raises(UserError, match=clause):
            _job(tars, encoder, out, **changes).pending()
    for notes in tars.glob("*.parquet"):
        notes.unlink()
    (tars / "00003.tar").unlink()
    with pytest.raises(UserError, match="holds vectors of 00003, which is not among the 3"):
        _job(tars, encoder, out).pending()
    shutil.copy(tars / "00000.tar", tars / "00003.tar")
    (tars / "00001.tar").rename(tars / "00009.tar")
    with pytest.raises(UserError, match="holds vectors of 00001, which is not among the 4"):
        _job(tars, encoder, out)


def test_shard_is_refused_when_it_changes_while_it_is_read(
    tars: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = NetworkEncoder.vectors

    def touching(self: NetworkEncoder, pixels: Any) -> Any:
        (tars / "00000.tar").write_bytes(b"other")
        return vectors(self, pixels)

    monkeypatch.setattr(NetworkEncoder, "vectors", touching)
    with pytest.raises(UserError, match=r"00000.tar: changed while it was read"):
        _job(tars, encoder, tmp_path / "out").embed(0)
    assert not list((tmp_path / "out" / "img_emb").iterdir())
