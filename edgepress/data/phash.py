"""Perceptual hash: 64 signs of an image's lowest frequencies, close for pictures that look alike.

The well-known DCT hash: grey, 32 x 32, two-dimensional cosine transform, the 8 x 8 lowest
frequencies against their median (the mean brightness left out of the median).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE = 32
_KEPT = 8


def thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the grey 32 x 32 picture the hash is taken from."""
    return np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))


def phash(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Hash uint8 [N, 32, 32] to uint64 [N]."""
    waves = _cosines()
    spectrum = waves @ thumbnails.astype(np.float64) @ waves.T
    # Rounded, so that the last bits of a float sum never decide a sign.
    low = np.round(spectrum.reshape(len(thumbnails), _KEPT * _KEPT), 3)
    signs = low > np.median(low[:, 1:], axis=1, keepdims=True)
    return np.packbits(signs, axis=1).view(">u8").astype(np.uint64).reshape(-1)


def _cosines() -> npt.NDArray[np.float64]:
    position = np.arange(_SIDE) + 0.5
    frequency = np.arange(_KEPT)[:, None]
    return np.asarray(np.cos(np.pi / _SIDE * frequency * position), np.float64)
