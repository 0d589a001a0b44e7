"""What `Predictor` takes: one picture or a list of pictures, in any of several forms, and what happens to those that cannot be read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from retarget.io.images import Image, as_image

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    Source = str | os.PathLike[str] | bytes | NDArray[np.uint8] | PillowImage
    OnError = Literal["warn", "raise"] | Callable[["FailedPicture"], object]


@dataclass(frozen=True)
class FailedPicture:
    """A picture of a list that could not be read: its place in the list, counted from 0, the item of the list, and why."""

    index: int
    source: Any
    error: Exception


class PictureWarning(UserWarning):
    """Warns that a picture of a list was left out."""

    def __init__(self, failure: FailedPicture) -> None:
        super().__init__(f"picture {failure.index} was left out: {failure.error}")
        self.failure = failure


class NumberedPicture(NamedTuple):
    """A picture that was read: its place in the list, (h, w, 3) uint8, and whether its channels are BGR."""

    number: int
    pixels: Image
    bgr: bool


def read_pictures(source: Source | Sequence[Source], bgr: bool, on_error: OnError) -> Iterator[NumberedPicture]:
    """Read one picture or those of a list, one by one. Arguments as for `Predictor.__call__`."""
    if not callable(on_error) and on_error not in ("warn", "raise"):
        raise ValueError(f'on_error: expected "warn", "raise" or a function, got {on_error!r}')
    if not isinstance(source, (list, tuple)):
        yield NumberedPicture(0, as_image(cast("Source", source)), bgr and isinstance(source, np.ndarray))
        return
    for index, item in enumerate(source):
        try:
            picture = as_image(item)
        except (ValueError, OSError, ImportError, MemoryError) as error:
            if on_error == "raise":
                raise
            failure = FailedPicture(index, item, error)
            if callable(on_error):
                on_error(failure)
            else:
                warnings.warn(PictureWarning(failure), stacklevel=3)
            continue
        yield NumberedPicture(index, picture, bgr and isinstance(item, np.ndarray))
