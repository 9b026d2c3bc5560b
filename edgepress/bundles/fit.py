"""Fit: what of a weights file a network takes, in its own shapes, and what is told of the rest."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

HEAD = "head."
BACKBONE = "backbone."
_LEAST = 0.5
"""Share of the backbone's tensors below which a file is taken for another network's."""
_MOST = 0.1
"""Share of them that may be of another shape in it, as places are in a transformer."""

Tensors = dict[str, Tensor]


@dataclass
class Fit:
    """Tensors under the network's names, and what is told of the rest."""

    wanted: int
    """Tensors of the backbone; counters of batches are not among them."""
    how: str
    """By name or in order, and from which place of the file."""
    nest: str
    """The mapping of the file that they are from."""
    root: str
    """What stands there before the whole network's names."""
    tensors: Tensors = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    """Names of the file whose place in the network is known."""
    adapted: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def loaded(self) -> int:
        """Number of the backbone's tensors that the file has."""
        return sum(name.startswith(BACKBONE) for name in self.tensors)

    @property
    def enough(self) -> bool:
        """Whether the file can be of this network."""
        of_another_shape = len(self.misfits) > _MOST * self.wanted
        return self.loaded >= _LEAST * self.wanted and not of_another_shape

    def __str__(self) -> str:
        """Return everything in one line."""
        told = (
            ("adapted to the input's channels", self.adapted),
            ("of another shape", self.misfits),
            ("left fresh", _layers(self.fresh)),
            ("not used of the file", _layers(self.unused)),
        )
        lists = [f"{words}: {', '.join(names)}" for words, names in told if names]
        whole = f"{self.loaded} of {self.wanted} tensors of the backbone {self.how}"
        return "; ".join([whole, *lists])

    def take(self, name: str, ours: Tensor, source: str, theirs: Tensor) -> None:
        """Keep a tensor under the network's name, or say that it is of another shape."""
        fitted = shaped(theirs, ours)
        self.taken.add(source)
        if fitted is None:
            self.misfits.append(f"{name} {sizes(ours)} (file {sizes(theirs)})")
            return
        self.tensors[name] = fitted
        if fitted.numel() != theirs.numel():
            self.adapted.append(f"{name} {sizes(theirs)} to {sizes(ours)}")


def shaped(theirs: Tensor, ours: Tensor) -> Tensor | None:
    """Return a tensor in the shape of ours, or None where it cannot have it.

    A linear layer may be a 1 x 1 convolution. A first convolution of three channels is summed for
    one, as timm does, and one of a single channel is spread over three, for the same answers.
    """
    if [size for size in theirs.shape if size != 1] == [size for size in ours.shape if size != 1]:
        return theirs.reshape(ours.shape)
    if theirs.ndim == ours.ndim == 4 and {theirs.shape[1], ours.shape[1]} == {1, 3}:
        whole = theirs.float().sum(1, keepdim=True)
        spread = whole if ours.shape[1] == 1 else whole.expand(-1, 3, -1, -1) / 3
        return spread.to(theirs.dtype) if spread.shape == ours.shape else None
    return None


def sizes(tensor: Tensor) -> str:
    """Return a tensor's shape as it is written: 64x3x7x7."""
    return "x".join(map(str, tensor.shape)) or "scalar"


def _layers(names: list[str]) -> list[str]:
    """Return the layers of tensors, each once."""
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
