"""Draft: photographs decoded in part against whole: time for each, and how far pixels are apart.

Three pictures of 4000 x 3000 pixels, noise of all scales with hard edges, as JPEGs of quality 85
and 90 (4:2:0) and 95 (4:4:4); a decoded input each by `edgepress.data.preprocess.decode`, with
`input.draft` and without, in turns. Times are processor time, medians; levels are of 0 to 255.
Run: python benchmarks/draft.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import io
import statistics
import time

import numpy as np
from PIL import Image

from edgepress.data.preprocess import decode
from edgepress.records.inputs import InputSpec

WIDTH, HEIGHT = 4000, 3000
FILES = ((85, 2), (90, 2), (95, 0))
"""Quality and Pillow's number of the chroma's subsampling."""


def photograph(seed: int) -> Image.Image:
    """Return a picture whose detail halves with its size, as that of photographs does."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    cells = 4
    while cells < WIDTH:
        coarse = rng.normal(0, 1 / cells**0.7, (cells * 3 // 4, cells, 3)).astype(np.float32)
        for channel in range(3):
            layer = Image.fromarray(coarse[..., channel])
            pixels[..., channel] += np.asarray(layer.resize((WIDTH, HEIGHT), Image.BICUBIC))
        cells *= 2
    pixels = 118 + 55 * (pixels - pixels.mean()) / pixels.std() + rng.normal(0, 3, pixels.shape)
    for _ in range(60):
        left, top = rng.integers(0, WIDTH - 10), rng.integers(0, HEIGHT - 10)
        part = pixels[top : top + rng.integers(5, 700), left : left + rng.integers(5, 900)]
        part[:] = 0.3 * part + 0.7 * rng.integers(0, 256, 3)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, quality: int, subsampling: int) -> bytes:
    """Return a picture as a JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def timed(data: bytes, spec: InputSpec) -> tuple[float, np.ndarray]:
    """Return milliseconds of processor time and the pixels."""
    began = time.process_time()
    pixels = decode(data, spec)
    return 1000 * (time.process_time() - began), pixels.astype(np.int64)


def main() -> None:
    """Print a line for each size of input and filter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    files = [encoded(photograph(seed), *how) for seed, how in enumerate(FILES)]
    print("MB each:", ", ".join(f"{len(data) / 1e6:.1f}" for data in files))
    for side in (96, 160, 224, 384, 512):
        for resize in ("bilinear", "bicubic"):
            fields = {"height": side, "width": side, "channels": 3, "resize": resize}
            whole = InputSpec(**fields, mean=(0.5,) * 3, std=(0.25,) * 3)
            draft = whole.model_copy(update={"draft": True})
            times: tuple[list[float], list[float]] = ([], [])
            apart = []
            for data in files * rounds:
                (slow, theirs), (quick, ours) = timed(data, whole), timed(data, draft)
                times[0].append(slow)
                times[1].append(quick)
                apart.append(np.abs(ours - theirs))
            levels = np.stack(apart)
            print(
                f"{side} px {resize}: {statistics.median(times[0]):.0f} ms whole, "
                f"{statistics.median(times[1]):.0f} ms draft; levels apart: mean "
                f"{levels.mean():.2f}, 99 % within {np.percentile(levels, 99):.0f}, "
                f"at most {levels.max()}",
                flush=True,
            )


if __name__ == "__main__":
    main()
