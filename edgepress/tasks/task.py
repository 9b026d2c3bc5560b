"""Task: the contract of a folder of tasks/, and the door to its four files.

`labels.py` says what a label is (pyarrow and Pillow), `answers.py` what an answer is and how good
(NumPy alone: it runs on devices), `training.py` how it is learnt (torch), `pictures.py` how it is
shown. Each is imported when it is first asked for and not before. Some have more: `diagnosis.py`
says where answers are right and wrong, `balance.py` (torch) which classes are on which item and
whether the loss is a sum over them, `graph.py` (torch) has the answer's last steps, for a target
whose graph is to hold them, `parts.py` says how a picture is answered piece by piece, `inside.py`
how its objects are, `order.py` knows raw outputs that are a set, `told.py` tells an answer to other
programs.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt

from edgepress.data.labels import LabelRules
from edgepress.data.placement import Frame
from edgepress.data.window import Window
from edgepress.methods import resolve
from edgepress.params import Config
from edgepress.records.diagnosis import Diagnosis
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Score
from edgepress.records.tensors import Arrays, Groups, Tensors, TensorSpec
from edgepress.tasks.balance import Balance
from edgepress.tasks.parts import PartRules

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgepress.training.augment import Warp

    Outputs = dict[str, Tensor]
    """Name -> tensor, the batch first: what a network gives, or a batch of truths."""

    Mix = Callable[[Sequence[Outputs], Tensor], Outputs]
    """Truths of the P parts of N pictures, and the share [P, N] of each -> the pictures' truth.

    In copy_paste the shares are of pixels, [2, N, H, W]: the second part's objects go over the
    first, where its share is not 0, and `pasted`, bool [N, H, W], tells which pixels went.
    """

Crop = Callable[[npt.NDArray[np.floating], tuple[int, int]], Sequence[Window]]
"""Boxes [n, 4] on a picture of (width, height) to its part around each; a bad box: UserError."""
Mixture = Literal["mosaic", "mixup", "copy_paste", "cutmix"]
"""Side by side in one, one through another, one's objects or a part of it over another."""
MIXTURES: tuple[Mixture, ...] = get_args(Mixture)


class AnswerRules(Protocol):
    """Answers of one task, in NumPy: from raw outputs to figures of merit."""

    @property
    def units(self) -> Mapping[str, str]:
        """Scores of the whole, the gated first, and the unit of each; a `share` is 0 to 1."""
        ...

    @property
    def shares(self) -> tuple[str, ...]:
        """Scores that are shares of items, right or wrong: how many items prove one is known."""
        ...

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return what the exported network gives for one item."""
        ...

    def decode(self, raw: Tensors, spec: InputSpec) -> Arrays:
        """Return the answers of the n items of `raw`; outputs that are not finite are no answer."""
        ...

    def score(
        self,
        ours: Arrays,
        floats: Arrays | None,
        truth: Arrays,
        confidence: float,
        groups: Groups = None,
    ) -> tuple[Score, ...]:
        """Return the scores over N items, the gated one first; drops are against `floats`.

        Items of one of `groups` are no independent evidence: intervals are over groups.
        """
        ...

    def first_score(self, ours: Arrays, truth: Arrays) -> float:
        """Return the first score's value alone, which costs no interval: for every epoch."""
        ...

    def agreement(self, ours: Arrays, floats: Arrays) -> npt.NDArray[np.float64]:
        """Return for each of N items how far two answers agree, 0 to 1; 1 is no difference.

        A truth may take the place of `floats`: the report shows the items that are furthest off.
        """
        ...


class Learner(Protocol):
    """Learning of one task, in torch."""

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return what a head has to give in training, for one item."""
        ...

    def loss(self, outputs: Outputs, truth: Outputs, smoothing: float = 0.0) -> Outputs:
        """Return `loss`, a scalar, and further scalars worth a curve; `smoothing` is of labels."""
        ...

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return how far softened answers of a student are from its teacher's, a scalar."""
        ...

    def warp(self, truth: Outputs, by: Warp) -> Outputs:
        """Move a batch of truths as its pictures are moved."""
        ...

    def mixing(self, kind: Mixture) -> Mix | None:
        """Return how the truths of pictures that are mixed become one; None if no truth can say.

        Each part of a mosaic, and what is pasted, was moved to where it lies by `warp`.
        """
        ...

    def deployed(self, network: nn.Module) -> nn.Module:
        """Return what is exported: the network, or with the answer's last step in its graph."""
        ...


class PictureRules(Protocol):
    """Pictures of one task, for the report."""

    @property
    def hub(self) -> str:
        """The word that model hubs have for the task."""
        ...

    def draw(
        self, image: npt.NDArray[np.uint8], answer: Arrays, spec: InputSpec
    ) -> npt.NDArray[np.uint8]:
        """Return an image [H, W, C] with an answer or truth over it, RGB uint8 [H, W, 3].

        The image is fitted as `spec` says and may be of another size; places are in its pixels.
        """
        ...

    def caption(self, answer: Arrays) -> str:
        """Return an answer or truth of one item in a few words."""
        ...


@dataclass(frozen=True)
class Ending:
    """The last steps of an answer, for a graph that is to hold them: maps to boxes that stay."""

    module: nn.Module
    """The maps of one item, in order, to boxes [1, A, 4] and confidences [1, classes, A]."""
    maps: tuple[TensorSpec, ...]
    """What the network gives."""
    outputs: tuple[TensorSpec, ...]
    """`boxes`, `scores` and `category`, filled up with -1, and `count`; `decode` takes them."""
    least_score: float
    """Confidence below which a box is dropped."""
    overlap: float
    """Of two boxes of one class that overlap more the surer one is kept."""


@dataclass(frozen=True)
class Task:
    """One task with its parameters and classes."""

    name: str
    params: Config
    classes: tuple[str, ...]

    @classmethod
    def open(cls, entry: Mapping[str, Any], classes: tuple[str, ...], where: str) -> Task:
        """Resolve the entry `task` of `where`; an unknown or misspelt one is a UserError."""
        method = resolve("tasks", dict(entry), where, "task")
        return cls(method.name, method.params, classes)

    @property
    def entry(self) -> dict[str, Any]:
        """The task as params.yaml names it."""
        return self.params.model_dump(mode="json")

    @cached_property
    def labels(self) -> LabelRules:
        """The task's labels."""
        return cast(LabelRules, self._file("labels"))

    @cached_property
    def answers(self) -> AnswerRules:
        """The task's answers."""
        return cast(AnswerRules, self._file("answers"))

    @cached_property
    def learner(self) -> Learner:
        """The task's learning; imports torch."""
        return cast(Learner, self._file("training"))

    @cached_property
    def pictures(self) -> PictureRules:
        """The task's pictures."""
        return cast(PictureRules, self._file("pictures"))

    def diagnosis(self, answers: Arrays, truth: Arrays) -> Diagnosis:
        """Return what the task tells of answers; nothing where it has no `diagnosis.py`."""
        if (tell := self._optional("diagnosis")) is None:
            return Diagnosis()
        return cast(Diagnosis, tell(answers, truth, self.classes, params=self.params))

    def ending(self, spec: InputSpec) -> Ending | None:
        """Return the answer's last steps for a graph; None where the folder has no graph.py."""
        if (graph := self._optional("graph")) is None:
            return None
        return cast(Ending, graph(self.classes, spec, params=self.params))

    @cached_property
    def parts(self) -> PartRules | None:
        """How items are answered in parts; None where each is answered whole."""
        if (rules := self._optional("parts")) is None:
            return None
        return cast(PartRules | None, rules(self.classes, params=self.params))

    @cached_property
    def balance(self) -> Balance | None:
        """The classes that items show; None where a truth does not tell any."""
        if (found := self._optional("balance")) is None:
            return None
        return cast(Balance, found(self.classes, params=self.params))

    @cached_property
    def inside(self) -> Crop | None:
        """How objects are cut out of a picture by their boxes; None where it is answered whole."""
        if (crop := self._optional("inside")) is None:
            return None
        return cast("Crop | None", crop(params=self.params))

    def told(self, answer: Arrays, frame: Frame) -> dict[str, Any] | None:
        """Return the answer to one item for other programs, ready for JSON; None: it has none.

        Places are in the picture's own pixels. A task without `told.py` tells its arrays.
        """
        if (tell := self._optional("told")) is None:
            return {name: values[0].tolist() for name, values in answer.items()}
        found = tell(answer, self.classes, frame, params=self.params)
        return cast("dict[str, Any] | None", found)

    def ordered(self, ours: Arrays, floats: Arrays) -> Arrays:
        """Return raw outputs of n items, what of them is a set in the order of the other's."""
        if (order := self._optional("order")) is None:
            return ours
        return cast(Arrays, order(ours, floats, params=self.params))

    def _optional(self, name: str) -> Callable[..., Any] | None:
        """Return the function of a file that a task may do without."""
        path = f"edgepress.tasks.{self.name}.{name}"
        if importlib.util.find_spec(path) is None:
            return None
        return cast(Callable[..., Any], getattr(importlib.import_module(path), name))

    def _file(self, name: str) -> Any:
        module = importlib.import_module(f"edgepress.tasks.{self.name}.{name}")
        return getattr(module, name)(self.classes, params=self.params)


def joined(parts: list[Arrays]) -> Arrays:
    """Return the arrays of many items as one, in order."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def item(arrays: Arrays, index: int) -> Arrays:
    """Return the arrays of one item, their first axis kept."""
    return {name: values[index : index + 1] for name, values in arrays.items()}
