"""Read the pictures of one part and write its rows. Processes and Ray actors do the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mfn.batch.picture import DecodedPicture, decode_picture, read_rows
from mfn.batch.sources import printable
from mfn.batch.tables.columns import Rows
from mfn.batch.tables.job import JobFiles, Part, PartCount, write_part
from retarget.io.files import one_line_error

if TYPE_CHECKING:
    from mfn.inference.predictor import Predictor


@dataclass(frozen=True)
class Reading:
    """How pictures are read and where their rows go.

    Attributes:
        files: Where the rows go.
        predictor: Detects the faces, with one thread. It can be pickled.
        max_pixels: Pictures of more px are refused, which bounds the memory of a worker.
        batch: Pictures of one call of the network: 1 on a CPU, more on a GPU.
        device: Device that the worker runs the network on, which the machine that starts the job may not have. None: that of `predictor`.
    """

    files: JobFiles
    predictor: Predictor
    max_pixels: int
    batch: int = 1
    device: str | None = None


@dataclass
class PartReader:
    """Reads parts, one after another, in one thread."""

    reading: Reading
    on_picture: Callable[[int], object] = field(default=lambda number: None)
    """Called before each picture with its place in the part."""

    def __post_init__(self) -> None:
        import cv2

        cv2.setNumThreads(1)
        device = self.reading.device
        self._predictor = self.reading.predictor.on(device) if device else self.reading.predictor

    def read(self, part: Part, fatal: Mapping[int, str] | None = None) -> PartCount:
        """Read all pictures of a part and write its files.

        Args:
            part: The pictures.
            fatal: Place in the part -> reason, of pictures that are not to be tried again because they ended a process.

        Returns:
            The number of rows.
        """
        rows = Rows()
        waiting: list[DecodedPicture] = []
        for place, path in enumerate(part.paths):
            self.on_picture(place)
            reason = (fatal or {}).get(place) or self._decode(path, waiting)
            if reason:
                rows.fail(printable(path), reason)
            if len(waiting) >= self.reading.batch:
                read_rows(self._predictor, waiting, rows)
                waiting = []
        if waiting:
            read_rows(self._predictor, waiting, rows)
        return write_part(self.reading.files, part.number, rows)

    def _decode(self, path: str, waiting: list[DecodedPicture]) -> str:
        """Decode a picture and let it wait for its batch; return why it cannot be read, or ""."""
        try:
            waiting.append(decode_picture(path, self.reading.max_pixels))
        except Exception as error:  # a damaged file must not end a job of days, whatever its decoder or its file system raises
            return one_line_error(error)
        return ""

