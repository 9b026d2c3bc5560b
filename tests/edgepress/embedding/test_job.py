from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from edgepress.curation.encoders.network_encoder import NetworkEncoder
from edgepress.data.preprocess import decode
from edgepress.embedding.image_shards import find
from edgepress.embedding.job import Job
from edgepress.errors import UserError

from .conftest import SPEC, picture, write_tar


def _job(images: Path, encoder: Path, out: Path, **changes: Any) -> Job:
    if not (out / "encoder").is_dir():
        shutil.copytree(encoder, out / "encoder")
    return Job(find([images], "image"), out, **{"dtype": "float32", "column": "image", **changes})


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


def test_rest_of_a_damaged_shard_is_set_aside(tars: Path, encoder: Path, tmp_path: Path) -> None:
    path = tars / "00000.tar"
    path.write_bytes(path.read_bytes()[:20_000])
    (tars / "00001.tar").write_bytes(b"no tar at all")
    job = _job(tars, encoder, tmp_path / "out")
    cut, broken = job.embed(0), job.embed(1)
    assert 0 < cut.rows < 40
    assert cut.quarantined["damaged shard"] == 1
    assert (broken.rows, broken.quarantined) == (0, {"damaged shard": 1})
    assert not (tmp_path / "out" / "img_emb" / "img_emb_00001.npy").exists()


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
    (tars / "00000.tar").rename(tars / "00009.tar")
    with pytest.raises(UserError, match="holds vectors of shard 00000, asked for is 00001"):
        _job(tars, encoder, out).pending()


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
