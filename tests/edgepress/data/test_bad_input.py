"""Every bad input has an answer: quarantined with a reason and counted, or one line to act on."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.splits import Fractions
from edgepress.data.table import read_table
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import Manifest
from tests.classified import classified
from tests.tiffs import number, page, tiff
from tests.unusual import SIZE, bmp, grey_tiff

RULES = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
SPEC = InputSpec(height=8, width=8, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
RGB = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))


def ingest(source: dict[str, Any], out: Path) -> Manifest:
    method = resolve("data.sources", source, "params.yaml", "ingest.source")
    return classified(method(out), out, RULES)


def save(image: Image.Image, path: Path, **options: Any) -> None:
    image.save(path, **options)


def cut(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "jpeg")
    path.write_bytes(file.getvalue()[:-1000])


def hidden() -> Image.Image:
    image = RGB.convert("RGBA")
    image.putalpha(0)
    return image


def forbid(path: Path) -> None:
    save(RGB, path)
    path.chmod(0)


USED: dict[str, tuple[Callable[[Path], object], str, int]] = {
    "16-bit.png": (lambda p: save(Image.fromarray(np.full((8, 8), 999, np.uint16)), p), "I;16", 1),
    "palette.png": (lambda p: save(RGB.quantize(16), p), "P", 3),
    "cmyk.jpg": (lambda p: save(RGB.convert("CMYK"), p), "CMYK", 3),
    "alpha.png": (lambda p: save(RGB.convert("RGBA"), p), "RGBA", 3),
    "grey-alpha.png": (lambda p: save(RGB.convert("LA"), p), "LA", 1),
    "black-white.png": (lambda p: save(RGB.convert("1"), p), "1", 1),
    "unused-alpha.bmp": (lambda p: p.write_bytes(bmp(0)), "RGBA", 3),
    "white-is-zero.tif": (lambda p: p.write_bytes(grey_tiff(16, 0)), "I;16", 1),
    "12-bit.tif": (lambda p: p.write_bytes(grey_tiff(12, 1)), "I;16", 1),
    "deep.pgm": (lambda p: p.write_bytes(b"P5 2 1 999\n\1\2\3\4"), "I", 1),
    "wrong-extension.txt": (lambda p: save(RGB, p, format="png"), "RGB", 3),
}
"""File -> how it is made, its mode, the channels it is used with."""

QUARANTINED: dict[str, tuple[Callable[[Path], object], str]] = {
    "zero-bytes.png": (lambda p: p.write_bytes(b""), "empty: zero bytes"),
    "truncated.jpg": (cut, "corrupt: "),
    "text.png": (lambda p: p.write_text("a cat"), "not an image: "),
    "page.jpg": (lambda p: p.write_text("<html>404</html>"), "not an image: "),
    "14-bit.tif": (
        lambda p: p.write_bytes(tiff(page(bytes(42), SIZE, number(258, 14)))),
        "unreadable: begins as TIFF does",
    ),
    "nothing-left.png": (lambda p: save(hidden(), p), "blank: "),
    "float.tif": (lambda p: save(Image.fromarray(np.ones((8, 8), np.float32)), p), "mode: F"),
    "moving.gif": (
        lambda p: save(RGB, p, save_all=True, append_images=[RGB.rotate(90)]),
        "animated: 2 frames",
    ),
    "dangling.png": (lambda p: p.symlink_to("nowhere"), "cannot be read: No such file"),
    "fifo-less-loop.png": (lambda p: p.symlink_to(p.name), "cannot be read: Too many levels"),
}
"""File -> how it is made, how its reason begins."""


@pytest.mark.parametrize("name", USED)
def test_unusual_image_is_converted_and_used(
    name: str, class_folders: Path, tmp_path: Path
) -> None:
    make, mode, channels = USED[name]
    make(class_folders / "cat" / name)
    manifest = ingest({"method": "folder", "path": str(class_folders)}, tmp_path / "out")
    assert manifest.quarantined == {}
    row = next(r for r in read_table(tmp_path / "out").to_pylist() if r["id"] == f"cat/{name}")
    assert (row["mode"], row["channels"], row["status"]) == (mode, channels, "ok")
    images = ImageSet.open(tmp_path / "out", ids=[f"cat/{name}"])
    assert images.pixels(SPEC).shape == (1, 8, 8, 3)


@pytest.mark.parametrize("name", QUARANTINED)
def test_unusable_image_is_quarantined_with_a_reason_and_counted(
    name: str, class_folders: Path, tmp_path: Path
) -> None:
    make, reason = QUARANTINED[name]
    make(class_folders / "cat" / name)
    manifest = ingest({"method": "folder", "path": str(class_folders)}, tmp_path / "out")
    assert manifest.usable == 60
    assert manifest.quarantined == {reason.split(":")[0]: 1}
    rows = [r for r in read_table(tmp_path / "out").to_pylist() if r["status"] == "quarantined"]
    assert [row["id"] for row in rows] == [f"cat/{name}"]
    assert rows[0]["reason"].startswith(reason)
    assert f"cat/{name}" not in ImageSet.open(tmp_path / "out").ids


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_image_is_quarantined(class_folders: Path, tmp_path: Path) -> None:
    forbid(class_folders / "cat/secret.png")
    manifest = ingest({"method": "folder", "path": str(class_folders)}, tmp_path / "out")
    assert manifest.quarantined == {"cannot be read": 1}


def table(path: Path, images: list[bytes | None], labels: list[Any]) -> dict[str, Any]:
    pq.write_table(pa.table({"image": pa.array(images, pa.binary()), "label": labels}), path)
    return {"method": "parquet", "path": str(path), "image": "image", "label": "label"}


def test_parquet_rows_that_cannot_be_used_are_quarantined(tmp_path: Path, encode: Any) -> None:
    images = [encode(seed) for seed in range(40)]
    images += [None, b"", b"junk", encode(50)]
    labels = [*([0, 1] * 20), 0, 0, 0, None]
    manifest = ingest(table(tmp_path / "a.parquet", images, labels), tmp_path / "out")
    assert manifest.usable == 40
    assert manifest.quarantined == {"empty": 2, "no label": 1, "not an image": 1}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"method": "foldr", "path": "x"},
            r"ingest.source.method: 'foldr' is not one of .* \(did you mean folder\?\)",
        ),
        ({"method": "folder"}, "ingest.source.path: missing"),
        ({"method": "folder", "path": 3}, "ingest.source.path: .*string .*got 3"),
        ({"method": "folder", "path": "x", "pth": "y"}, r"ingest.source.pth: unknown key"),
        ({"method": "folder", "path": "nowhere"}, "nowhere: no such folder"),
        ({"method": "parquet", "path": "nowhere", "image": "i", "label": "l"}, "nowhere: no such"),
        ({"method": "webdataset", "path": "nowhere", "label": "cls"}, "nowhere: no such file"),
        ({"method": "webdataset", "path": "x", "label": "json."}, "ingest.source.label"),
        ({"method": "digits", "path": "x"}, "ingest.source.path: unknown key"),
    ],
)
def test_wrong_source_is_one_line(source: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as error:
        ingest(source, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_label_without_images_is_refused(tmp_path: Path, encode: Any) -> None:
    source = table(tmp_path / "a.parquet", [encode(n) for n in range(40)], [0, 1] * 20)
    names = '{"info": {"features": {"label": {"names": ["cat", "dog", "emu"]}}}}'
    whole = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata({"huggingface": names})
    pq.write_table(whole, tmp_path / "a.parquet")
    with pytest.raises(UserError, match="the class 'emu' has no usable image"):
        ingest(source, tmp_path / "out")


def test_row_that_breaks_the_file_is_named_when_it_is_read(tmp_path: Path, encode: Any) -> None:
    source = table(tmp_path / "a.parquet", [encode(n) for n in range(40)], [0, 1] * 20)
    ingest(source, tmp_path / "out")
    images = ImageSet.open(tmp_path / "out", "train")
    table(tmp_path / "a.parquet", [encode(n + 1) for n in range(40)], [0, 1] * 20)
    with pytest.raises(UserError, match=r"image a.parquet:\d+: changed since ingest: its bytes"):
        images.pixels(SPEC)
