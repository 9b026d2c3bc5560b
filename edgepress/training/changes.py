"""Changes: what a recipe may do to its training images, named by a word or key by key."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from edgepress.params import Config

Word = Literal["none", "shift", "flip_shift"]
"""none; random shift by up to an eighth of the side in whole pixels, black outside; the same after
a random horizontal flip."""

Share = Annotated[float, Field(ge=0, le=1)]


def _shares(area: tuple[float, float]) -> tuple[float, float]:
    least, most = area
    if not 0.01 <= least <= most <= 1:
        raise ValueError("expected two shares from 0.01 to 1, the least first")
    return area


def _factors(factors: tuple[float, float]) -> tuple[float, float]:
    least, most = factors
    if not 0.1 <= least <= most <= 10:
        raise ValueError("expected two factors from 0.1 to 10, the least first")
    return factors


Shares = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_shares)]
Factors = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_factors)]


class Crop(Config):
    """Which part of a picture takes its place: RandomResizedCrop."""

    area: Shares
    """Least and most share of the picture's area, each as likely as the next."""
    ratio: Factors = (3 / 4, 4 / 3)
    """Narrowest and widest, width by height over that of the input; what fits the picture."""


class Erase(Config):
    """Which part of a picture is filled: RandomErasing."""

    share: Share
    """Share of the pictures."""
    area: Shares = (0.02, 1 / 3)
    """Least and most share of the picture's area."""
    fill: Literal["mean", "noise"] = "mean"
    """The picture's mean colour, or values drawn pixel by pixel."""


class Blur(Config):
    """How pictures are softened."""

    share: Share
    """Share of the pictures."""
    sigma: Factors = (0.1, 2.0)
    """Least and most deviation of the Gaussian, in pixels."""


class RandAugment(Config):
    """So many operations of fourteen, all of one strength."""

    operations: int = Field(default=2, ge=1, le=14)
    """Operations done to each picture, one after another."""
    magnitude: int = Field(default=9, ge=0, le=30)
    """Strength, 30 the most; 9 where little is known, more for longer runs."""


class AugMix(Config):
    """A picture blended with versions of itself, each the work of one to three operations."""

    severity: int = Field(default=3, ge=1, le=10)
    """Strength of the operations, drawn below it."""
    width: int = Field(default=3, ge=1, le=10)
    """Versions of each picture."""
    alpha: float = Field(default=1.0, gt=0, le=10)
    """Of the Beta distribution of the share of all versions, and the Dirichlet one of each."""


class Changes(Config):
    """What is done to each picture, drawn anew each time; a key that is not named does nothing.

    Places move by one matrix: cropped, then about the picture's middle mirrored, scaled, turned
    and shifted; what comes in from outside is the grey of a letterbox.
    """

    crop: Crop | None = None
    """The part of each picture that takes its place."""
    flip: Share = 0.0
    """Share of the pictures that are mirrored, left to right."""
    shift: float = Field(default=0.0, ge=0, le=0.5)
    """Share of each side that a picture is shifted by at most, either way."""
    scale: Factors = (1.0, 1.0)
    """Least and most, every doubling as likely as the next; above 1, with shift, it is a crop."""
    rotate: float = Field(default=0.0, ge=0, le=180)
    """Degrees that a picture is turned by at most, either way."""

    brightness: Share = 0.0
    """Share of its brightness that a picture gains or loses at most."""
    contrast: Share = 0.0
    """Share of every pixel's distance from the picture's mean grey, gained or lost at most."""
    saturation: Share = 0.0
    """Share of every pixel's distance from its own grey, gained or lost at most."""

    hue: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the circle of colours that a picture's colours are turned by at most, either way."""
    grey: Share = 0.0
    """Share of the pictures that lose their colours."""
    blur: Blur | None = None
    """A share of the pictures that is softened."""

    trivial_augment: Share = 0.0
    """Share of the pictures that one operation of fourteen is done to, of any strength."""
    rand_augment: RandAugment | None = None
    """Operations done to every picture, all of one strength."""
    augmix: AugMix | None = None
    """Versions that every picture is blended with."""
    erase: Erase | None = None
    """A part of a share of the pictures that is filled."""
    mosaic: Share = 0.0
    """Share of the pictures that are put together with three others, each half as large."""
    copy_paste: Share = 0.0
    """Share of the pictures onto which the objects of another are pasted, moved with it by whole
    pixels."""
    mixup: float = Field(default=0.0, ge=0, le=10)
    """Alpha of the Beta distribution of the shares in which two pictures are blended; 0 blends
    none, 0.2 little, 1 by any share alike."""
    cutmix: float = Field(default=0.0, ge=0, le=10)
    """Alpha likewise, of the share of a picture that a part of another takes; beside mixup, each
    step takes one of them by even chance."""

    @property
    def colours(self) -> bool:
        """Whether any picture may change its colours."""
        named = (self.brightness, self.contrast, self.saturation, self.hue, self.grey)
        return any(named)

    @property
    def turns(self) -> bool:
        """Whether any picture may move otherwise than to be mirrored or cropped."""
        return bool(self.shift or self.rotate or self.scale != (1.0, 1.0))

    @property
    def moves(self) -> bool:
        """Whether any picture may move."""
        policy = self.trivial_augment or self.rand_augment
        return bool(self.flip or self.crop or self.turns or policy)

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names no change; say none")
        policies = ("trivial_augment", "rand_augment", "augmix")
        named = [key for key in policies if getattr(self, key)]
        if len(named) > 1:
            raise ValueError(f"names {' and '.join(named)}; keep one of them")
        return self


def _read(raw: Any) -> Any:
    """Take a word as it is and a mapping by its keys, so that errors name the key alone."""
    if isinstance(raw, dict | Changes):
        return Changes.model_validate(raw)
    words = get_args(Word)
    if raw not in words:
        raise ValueError(f"expected one of {', '.join(words)}, or a mapping of changes")
    return raw


Augment = Annotated[Word | Changes, PlainValidator(_read, json_schema_input_type=Word | Changes)]
"""A word, or what is done key by key."""
