"""Predictor: an export that answers pictures, each prepared and decoded as validation does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.placement import Frame, placement
from edgepress.data.preprocess import decode, fitted, normalise
from edgepress.data.window import Window
from edgepress.errors import UserError
from edgepress.records.exported import Exported
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.runtimes.session import NotHere, Session
from edgepress.tasks.task import Task, joined
from edgepress.validation.subject import Subject


@dataclass(frozen=True)
class Found:
    """A decoded answer of one item, and what of the picture it is of."""

    answer: Arrays
    frame: Frame


@dataclass(frozen=True)
class Predictor:
    """A loaded export with its task."""

    exported: Exported
    session: Session
    task: Task
    stands_in: str = ""
    """Why not the target's own runtime answers but its graph elsewhere; empty where it does."""

    @classmethod
    def open(cls, folder: Path, threads: int) -> Predictor:
        """Load the export of a folder; what is damaged, or cannot run here, is a UserError."""
        subject = Subject.read(folder)
        exported = subject.exported
        task = Task.open(exported.task, exported.classes, str(folder))
        try:
            return cls(exported, subject.load(threads), task)
        except NotHere as absence:
            session, reason = subject.stand_in(threads), absence.reason
        except ImportError as error:
            raise UserError(
                f"{exported.target}: its runtime cannot be imported ({error}); `edgepress doctor` "
                "says what to install"
            ) from None
        if session is None:
            raise UserError(f"{exported.target}: {reason}")
        return cls(exported, session, task, reason)

    @cached_property
    def spec(self) -> InputSpec:
        """What is done to a picture."""
        return self.exported.input

    def refuse(self, *, boxes: bool) -> None:
        """Raise UserError where boxes are given and not asked for, or the other way round."""
        if boxes and self.task.inside is None:
            raise UserError(f"{self.exported.target}: answers whole pictures; leave --boxes out")
        if not boxes and self.task.inside is not None:
            raise UserError(
                f"{self.exported.target}: answers objects inside their boxes; give --boxes FILE, "
                "the --json of a detector's `edgepress predict` on the same pictures"
            )

    def whole(self, picture: Image.Image, data: bytes | None = None) -> Found:
        """Answer an upright picture of 8 bits, by tiles where the task says so.

        With the `data` of its file it is prepared by `input.draft` as in training, else as it is.
        """
        self.refuse(boxes=False)
        frame = Frame(picture.size, placement(picture.size, self.spec))
        if (rules := self.task.parts) is None:
            pixels = fitted(picture, self.spec) if data is None else decode(data, self.spec)
            return Found(self._answer(pixels), frame)
        windows = rules.windows(picture.size, self.spec)
        found = joined([self._answer(fitted(each.of(picture), self.spec)) for each in windows])
        return Found(rules.merged(found, picture.size, self.spec), frame)

    def inside(self, picture: Image.Image, boxes: npt.NDArray[np.floating]) -> Sequence[Found]:
        """Answer the object in each of boxes [n, 4], pixels; one without area is a UserError."""
        self.refuse(boxes=True)
        windows = self.task.inside(boxes, picture.size) if self.task.inside else ()
        return [self._within(picture, each) for each in windows]

    def _within(self, picture: Image.Image, window: Window) -> Found:
        frame = Frame(window.size, placement(window.size, self.spec), window.edges[:2])
        return Found(self._answer(fitted(window.of(picture), self.spec)), frame)

    def _answer(self, pixels: npt.NDArray[np.uint8]) -> Arrays:
        (image,) = self.spec.tensors
        prepared = normalise(pixels[None], self.spec)
        try:
            raw = self.session.run({image.name: prepared})
        except Exception as error:  # whatever a foreign runtime throws
            said = f"{type(error).__name__}: {error}"
            raise UserError(f"{self.exported.target}: does not run: {said}") from None
        return self.task.answers.decode(raw, self.spec)
