"""NetworkEncoder: a frozen network and what it takes to use it on any machine, without pickle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from edgepress.data.images import ImageSet
from edgepress.data.preprocess import normalise
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.named import Named
from edgepress.records.record import sha256_file
from edgepress.records.saved_encoder import WEIGHTS, SavedEncoder
from edgepress.training import machine

Vectors = npt.NDArray[np.float32]

_NETWORK = "network."
_CENTRE = "centre"


@dataclass(frozen=True)
class NetworkEncoder:
    """Maps images as `spec` describes them to network(image) - centre."""

    network: nn.Module
    spec: InputSpec
    batch: int
    """Images per forward pass."""
    centre: Vectors | None = None
    """Mean of the features, [D], where they would all point one way with it."""

    def vectors(self, pixels: npt.NDArray[np.uint8]) -> Vectors:
        """Encode at most `batch` images, uint8 [N, H, W, C], to [N, D]."""
        return self._vectors(normalise(pixels, self.spec))

    def embed(self, images: ImageSet) -> Iterator[Vectors]:
        """Yield the vectors of all images in order, [<= batch, D] at a time."""
        for inputs in images.batches(self.spec, self.batch):
            yield self._vectors(inputs)

    def save(self, folder: Path, method: dict[str, Any]) -> SavedEncoder:
        """Write the encoder into `folder`; `method` is its entry of params.yaml."""
        folder.mkdir(parents=True, exist_ok=True)
        state = self.network.state_dict()
        tensors = {_NETWORK + name: t.detach().cpu().contiguous() for name, t in state.items()}
        if self.centre is not None:
            tensors[_CENTRE] = torch.from_numpy(self.centre)
        save_file(tensors, folder / WEIGHTS)
        saved = SavedEncoder(
            method=method,
            input=self.spec,
            batch=self.batch,
            weights_sha256=sha256_file(folder / WEIGHTS),
        )
        saved.write(folder)
        return saved

    @classmethod
    def load(cls, folder: Path) -> NetworkEncoder:
        """Read what `save` wrote; a damaged folder, or one without an encoder, is a UserError."""
        saved = SavedEncoder.read(folder)
        again = "save the encoder again"
        path = Named(folder / WEIGHTS, saved.weights_sha256, saved.file_name, again).checked()
        where = str(folder / SavedEncoder.file_name)
        method = resolve("encoders", saved.method, where, "method")
        network: nn.Module = method.module.network(method.params, saved.input)
        try:
            tensors = load_file(path)
            centre = tensors.pop(_CENTRE, None)
            network.load_state_dict({n.removeprefix(_NETWORK): t for n, t in tensors.items()})
        except (RuntimeError, SafetensorError) as error:
            raise UserError(f"{path}: does not fit the network of encoder.json: {error}") from None
        return cls(network, saved.input, saved.batch, None if centre is None else centre.numpy())

    def _vectors(self, inputs: Vectors) -> Vectors:
        on = machine.device()
        network = machine.place(self.network, on).eval()
        images = machine.arrange(torch.from_numpy(inputs).to(on), machine.layout(network, on))
        with torch.inference_mode():
            features: Vectors = network(images).float().cpu().numpy()
        return features if self.centre is None else features - self.centre
