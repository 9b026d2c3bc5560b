"""scikit-learn's handwritten digits, 1,797 of 8 x 8 pixels, as the made sources draw them."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.uint8]


def digits() -> tuple[Grey, list[int]]:
    """Return the pictures, uint8 [N, 8, 8], and which digit each is."""
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    return np.round(pictures.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), labels.tolist()


def png(picture: Grey) -> bytes:
    """Encode a picture [H, W]."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()
