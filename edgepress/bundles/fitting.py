"""Fitting: which tensor of a weights file is which of a network, and what did not fit.

Names are held from their ends, so that whatever stands before them (`module.`, `backbone.`,
`model.`, `ema.module.`) need not be known. Where names do not help, as between torchvision's
MobileNets and timm's, the order does: a file whose tensors are, one by one, of the kind and shape
of the backbone's is of the same network under other names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from torch import Tensor

from edgepress.bundles.fit import BACKBONE, HEAD, Fit, Tensors, shaped, sizes
from edgepress.bundles.network import Network
from edgepress.bundles.state_dict import Nests
from edgepress.errors import UserError

_SHOWN = 4
"""Pairs of names that a refusal shows."""
_COUNTER = "num_batches_tracked"
_WRAPPER = "model."


def fit(network: Network, nests: Nests, prefix: str | None) -> Fit:
    """Return what of a file fits the network; too little, or two that fit alike, is a UserError.

    `prefix` is what the names of the backbone's tensors in the file begin with; None takes any.
    """
    ours = _counted(network.backbone.state_dict())
    within = nests if prefix is None else _within(nests, prefix)
    named = _by_name(ours, within)
    found = named if named.enough else _by_order(ours, within) or named
    if not found.enough:
        raise UserError(_refusal(named, ours, within))
    _fill_head(found, network, nests)
    _tell(found, network, within)
    return found


def _by_name(ours: Tensors, nests: Nests) -> Fit:
    stem = _stem(ours)
    bare = {_plain(name.removeprefix(stem)): name for name in ours}
    nest, start = _place(bare, nests)
    root = start.removesuffix(f"{BACKBONE}{stem}")
    fit = Fit(len(ours), f"by name{_from(nest + start)}", nest, root)
    for source, theirs in nests[nest].items():
        plain = _plain(source)
        name = bare.get(plain.removeprefix(start)) if plain.startswith(start) else None
        if name is not None:
            fit.take(BACKBONE + name, ours[name], source, theirs)
    return fit


def _stem(names: Iterable[str]) -> str:
    """Return the wrappers that all names begin with: `model.` once or several times."""
    stem = ""
    while all(name.startswith(f"{stem}{_WRAPPER}") for name in names):
        stem += _WRAPPER
    return stem


def _place(bare: dict[str, str], nests: Nests) -> tuple[str, str]:
    """Return the mapping of the file and the prefix in it under which most names are ours."""
    votes: Counter[tuple[str, str]] = Counter()
    for nest, tensors in nests.items():
        for name in map(_plain, tensors):
            votes.update((nest, name[:at]) for at in _borders(name) if name[at:] in bare)
    if not votes:
        return next(iter(nests)), ""
    most = max(votes.values())
    places = [place for place, count in votes.items() if count == most]
    chosen = [place for place in places if _is_average("".join(place))] or places
    if len(chosen) > 1 and most > len(bare) // 2:
        known = ", ".join(repr("".join(place)) for place in chosen)
        raise UserError(f"several of its parts fit alike: {known}; name one as prefix")
    return chosen[0]


def _within(nests: Nests, prefix: str) -> Nests:
    """Return what of a file has a name that begins with the user's prefix."""
    found = {
        nest: {name: t for name, t in tensors.items() if f"{nest}{name}".startswith(prefix)}
        for nest, tensors in nests.items()
    }
    kept = {nest: tensors for nest, tensors in found.items() if tensors}
    if not kept:
        names = [nest + name for nest, tensors in nests.items() for name in tensors]
        raise UserError(f"no name begins with the prefix {prefix!r}; names are {_few(names)}")
    return kept


def _by_order(ours: Tensors, nests: Nests) -> Fit | None:
    """Return the whole backbone from tensors that follow each other as its own do, if any do."""
    for nest in sorted(nests, key=lambda place: not _is_average(place)):
        pairs = list(zip(ours.items(), _counted(nests[nest]).items(), strict=False))
        if len(pairs) < len(ours) or not all(_alike(*pair) for pair in pairs):
            continue
        fit = Fit(len(ours), f"in the order of the file{_from(nest)}", nest, "")
        for (name, wanted), (source, tensor) in pairs:
            fit.take(BACKBONE + name, wanted, source, tensor)
        return fit
    return None


def _alike(ours: tuple[str, Tensor], theirs: tuple[str, Tensor]) -> bool:
    last = [name.rpartition(".")[2] for name, _ in (ours, theirs)]
    return last[0] == last[1] and shaped(theirs[1], ours[1]) is not None


def _fill_head(fit: Fit, network: Network, nests: Nests) -> None:
    """Take what the file has of the head: by its names, or a classifier of as many classes."""
    file, head = nests[fit.nest], _counted(network.head.state_dict())
    sources = {name: f"{fit.root}{HEAD}{name}" for name in head}
    if not any(source in file for source in sources.values()):
        sources = _classifier(head, {n: t for n, t in file.items() if n not in fit.taken})
    for name, source in sources.items():
        if source in file and file[source].shape == head[name].shape:
            fit.take(HEAD + name, head[name], source, file[source])


def _classifier(head: Tensors, left: Tensors) -> dict[str, str]:
    """Return name -> name in the file where one layer of it is as the only layer of the head."""
    ends = {name: name.rpartition(".")[2] for name in head}
    if sorted(ends.values()) != ["bias", "weight"]:
        return {}
    layers = [
        {name: f"{stem}.{end}" for name, end in ends.items()}
        for stem in dict.fromkeys(name.rpartition(".")[0] for name in left)
    ]
    found = [
        layer
        for layer in layers
        if all(
            source in left and left[source].shape == head[name].shape
            for name, source in layer.items()
        )
    ]
    return found[0] if len(found) == 1 else {}


def _tell(fit: Fit, network: Network, nests: Nests) -> None:
    """Write down what of the network is fresh and what of the file is unused."""
    misfits = {each.partition(" ")[0] for each in fit.misfits}
    fit.fresh = [
        name
        for name in _counted(network.state_dict())
        if name not in fit.tensors and name not in misfits
    ]
    fit.unused = [name for name in _counted(nests[fit.nest]) if name not in fit.taken]


def _refusal(fit: Fit, ours: Tensors, nests: Nests) -> str:
    """Say how little fits, with the names of network and file side by side."""
    left = [name for name in ours if BACKBONE + name not in fit.tensors]
    file = nests[max(nests, key=lambda nest: len(nests[nest]))]
    theirs = [name for name in _counted(file) if name not in fit.taken]
    pairs = "; ".join(
        f"{mine} {sizes(ours[mine])} | {other} {sizes(file[other])}"
        for mine, other in zip(left[:_SHOWN], theirs[:_SHOWN], strict=False)
    )
    misfits = f"; of another shape: {_few(fit.misfits)}" if fit.misfits else ""
    return (
        f"only {fit.loaded} of {fit.wanted} tensors of the backbone fit, neither by name nor in "
        f"order{misfits}; network | file: {pairs}; give weights of this network, or name the prefix"
    )


def _plain(name: str) -> str:
    """Return a name without what torch.compile adds, and as it was before timm flattened it."""
    return re.sub(r"_(\d+)(?=\.)", r".\1", name.replace("_orig_mod.", ""))


def _is_average(place: str) -> bool:
    """Tell the moving average of a training's weights, which is what its scores are of."""
    return "ema" in re.split(r"[._]", place)


def _borders(name: str) -> Iterator[int]:
    yield 0
    yield from (at + 1 for at, letter in enumerate(name) if letter == ".")


def _counted(tensors: Tensors) -> Tensors:
    return {name: t for name, t in tensors.items() if not name.endswith(_COUNTER)}


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _from(place: str) -> str:
    return f" after {place!r}" if place else ""
