from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from edgepress.cli import main
from edgepress.encoders.at_scale.embed_job import EmbedJob
from edgepress.records.record import sha256_folder
from edgepress.vectors.shards import Shards
from tests.image_shards import bitmap, picture, write_tar


def _embed(tars: Path, encoder: Path, out: Path, *more: str) -> int:
    return main(["embed", str(tars), "--encoder", str(encoder), "--out", str(out), *more])


def _killed(tars: Path, encoder: Path, out: Path, after: int) -> None:
    """Embed in a child that kills itself while it writes its `after`-th shard."""
    attempt = EmbedJob.attempt
    begun = 0

    def counted(self: EmbedJob, index: int) -> object:
        nonlocal begun
        begun += 1
        if begun == after:
            (self.out / "img_emb" / f"img_emb_{index:05}.npy").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        return attempt(self, index)

    EmbedJob.attempt = counted  # type: ignore[assignment]
    _embed(tars, encoder, out, "--workers", "1")


def test_command_makes_what_curate_reads(
    tars: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept.parquet"
    assert _embed(tars, encoder, out) == 0
    told = capsys.readouterr().out
    assert "158 images of 4 shards" in told
    assert "32 wide, float16" in told
    assert "set aside: 1 not an image, 1 no image" in told
    options = ["--keep", "0.5", "--deduplicate", "none", "--out", str(kept)]
    assert main(["curate", str(out), *options]) == 0
    ids = pq.ParquetFile(kept).read(["id"])["id"].to_pylist()
    assert len(ids) == 79
    assert ids[0].startswith("00000/")


def test_files_are_the_same_to_the_bit_when_workers_or_ray_embed(
    tars: Path, encoder: Path, tmp_path: Path
) -> None:
    ways = {"one": [], "two": ["--workers", "2"], "ray": ["--engine", "ray", "--workers", "2"]}
    hashes = set()
    for name, options in ways.items():
        assert _embed(tars, encoder, tmp_path / name, *options) == 0
        hashes.add(sha256_folder(tmp_path / name))
    assert len(hashes) == 1


def test_run_goes_on_and_ends_the_same_when_killed(
    tars: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _embed(tars, encoder, tmp_path / "whole", "--workers", "1") == 0
    out = tmp_path / "out"
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_killed, args=(tars, encoder, out, 3))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    embedded = []
    attempt = EmbedJob.attempt
    monkeypatch.setattr(
        EmbedJob, "attempt", lambda self, index: (embedded.append(index), attempt(self, index))[1]
    )
    assert _embed(tars, encoder, out) == 0
    assert sorted(embedded) == [2, 3]
    assert sha256_folder(out) == sha256_folder(tmp_path / "whole")
    assert Shards.open([out]).rows == 158


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.soak)])
def test_damaged_shards_are_named_after_the_others_are_done_when_they_had_vectors(
    tars: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    out, path = tmp_path / "out", tars / "00001.tar"
    assert _embed(tars, encoder, out) == 0
    kept = (out / "img_emb" / "img_emb_00001.npy").read_bytes()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    write_tar(tars / "00003.tar", {"1.png": picture(1)})
    capsys.readouterr()
    assert _embed(tars, encoder, out, "--engine", engine, "--workers", "2") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "1 of 4 shards damaged since they were embedded, the others are done: " in error
    assert f"{path}: damaged shard: cannot be read as a plain tar" in error
    assert "restore them and run again" in error
    assert (out / "img_emb" / "img_emb_00001.npy").read_bytes() == kept
    assert Shards.open([out]).rows == 119
    path.write_bytes(whole)
    assert _embed(tars, encoder, out) == 0
    assert "119 images of 4 shards" in capsys.readouterr().out


def test_damage_has_a_line_of_its_own_when_a_shard_is_new(
    tars: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, path = tmp_path / "out", tars / "00001.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 10 * 9])
    assert _embed(tars, encoder, out) == 0
    told = capsys.readouterr().out
    assert "set aside: 1 not an image, 1 no image; named" in told
    seen = Shards.open([out]).rows - 120 + 2
    assert f"DAMAGED: {path}: breaks off after {seen} images; those behind are missing" in told
    path.write_bytes(whole)
    assert _embed(tars, encoder, out) == 0
    told = capsys.readouterr().out
    assert "158 images of 4 shards" in told
    assert "DAMAGED" not in told


def test_only_new_shards_are_embedded_when_the_images_grow(
    tars: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _embed(tars, encoder, out) == 0
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    write_tar(tars / "00001b.tar", {"1.png": picture(1)})
    assert _embed(tars, encoder, out) == 0
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert "159 images of 5 shards" in capsys.readouterr().out
    ids = pq.ParquetFile(out / "metadata" / "metadata_00004.parquet").read()["id"].to_pylist()
    assert ids == ["00001b/1"]


def test_renamed_and_swapped_images_are_embedded_again(encoder: Path, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in (1, 2):
        (photos / f"{number}.bmp").write_bytes(bitmap(number))
        os.utime(photos / f"{number}.bmp", ns=(0, number))
    assert _embed(photos, encoder, out) == 0
    before = np.load(out / "img_emb" / "img_emb_00000.npy")
    (photos / "1.bmp").rename(photos / "0.bmp")
    (photos / "2.bmp").rename(photos / "1.bmp")
    (photos / "0.bmp").rename(photos / "2.bmp")
    assert _embed(photos, encoder, out) == 0
    after = np.load(out / "img_emb" / "img_emb_00000.npy")
    np.testing.assert_array_equal(after, before[::-1])


def test_command_refuses_in_one_line_when_input_is_bad(
    tars: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def refused(clause: str, *arguments: str) -> None:
        assert main(["embed", "--out", str(out), *arguments]) == 2
        error = capsys.readouterr().err
        assert clause in error
        assert error.count("\n") == 1

    refused("no such file or folder", str(tmp_path / "none"), "--encoder", str(encoder))
    refused("encoder.json: file not found", str(tars), "--encoder", str(tars))
    refused("one of the arguments --encoder --model is required", str(tars))
    refused("did you mean resnet50", str(tars), "--model", "resnet500")
    refused("--workers: 0 is below 1", str(tars), "--encoder", str(encoder), "--workers", "0")
    refused("--address: only", str(tars), "--encoder", str(encoder), "--address", "x:1")
    assert not out.exists()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"junk")
    refused(
        "no image of 1 shards could be used", str(tmp_path / "photos"), "--encoder", str(encoder)
    )


def test_output_of_another_encoder_is_refused(
    tars: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _embed(tars, encoder, tmp_path / "out") == 0
    arguments = ["embed", str(tars), "--out", str(tmp_path / "out"), "--model", "resnet18"]
    assert main(arguments) == 2
    assert "is another encoder; name another --out" in capsys.readouterr().err
