"""`Predictor`: pictures in, `Faces` out. It runs the shipped networks with ONNX Runtime, without torch.

Letters: B pictures in a batch, H W size of the network input in px (multiples of 16), A cells, D numbers of a cell.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mfn.inference.decode import SCORE, decode
from mfn.inference.letterbox import Letterbox, fit_letterbox, fixed_letterbox, letterbox_image, unletterbox
from mfn.inference.model_zoo import DEFAULT_MODEL, DEFAULT_SIZE, MODELS, find_model
from mfn.inference.onnx_session import check_multi_face, choose_providers, open_session, read_metadata
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from mfn.structures.network_metadata import NetworkMetadata, Size
from retarget.io.images import Image, as_image

if TYPE_CHECKING:
    import onnxruntime
    from PIL.Image import Image as PillowImage

    Source = str | os.PathLike[str] | bytes | NDArray[np.uint8] | PillowImage
    OnError = Literal["warn", "raise"] | Callable[["FailedPicture"], object]

_BATCH = 8


@dataclass(frozen=True)
class FailedPicture:
    """A picture of a list that could not be read.

    Attributes:
        index: Its place in the list, counted from 0.
        source: The item of the list.
        error: Why it could not be read.
    """

    index: int
    source: Any
    error: Exception


class PictureWarning(UserWarning):
    """Warns that a picture of a list was left out. `failure` is the `FailedPicture`."""

    def __init__(self, failure: FailedPicture) -> None:
        super().__init__(f"picture {failure.index} was left out: {failure.error}")
        self.failure = failure


class NumberedPicture(NamedTuple):
    """A picture that was read: its place in the list, (h, w, 3) uint8, and whether its channels are BGR."""

    number: int
    pixels: Image
    bgr: bool


class _Letterboxed(NamedTuple):
    """A picture that waits for its batch: its place in the list, its letterbox and its pixels (H, W, 3) uint8 RGB."""

    number: int
    box: Letterbox
    pixels: Image


class Predictor:
    """Finds every face of a picture and predicts its pose, identity and expression.

        predictor = mfn.Predictor.load()
        faces = predictor("crowd.jpg")

    The time depends on the area of the network input, not on the number of faces. A predictor can be called from several threads, and it
    can be pickled: the copy loads the network again.
    """

    def __init__(self, session: onnxruntime.InferenceSession, size: tuple[int, int] = DEFAULT_SIZE, score: float = SCORE) -> None:
        """Wrap a session of ONNX Runtime. Most programs use `load` instead.

        Args:
            session: A network with input `image` (B, H, W, 3) uint8 RGB and output `cells` (B, A, D).
            size, score: See `load`.
        """
        self.session = session
        self.size = Size(*size)
        self.score = score
        self.metadata = read_metadata(Path("network"), session) or NetworkMetadata("multi_face", self.size)
        self.weights: Path | None = None
        """The file of the network, if `load` opened it."""
        self._load_options: dict[str, Any] = {}
        batch, height, width = session.get_inputs()[0].shape[:3]
        self._batch = batch if isinstance(batch, int) else _BATCH
        self.fixed_size = Size(width, height) if isinstance(height, int) and isinstance(width, int) else None
        """The input size of a network that takes no other; None for a network of any size."""

    @classmethod
    def load(
        cls,
        weights: str | Path = DEFAULT_MODEL,
        *,
        size: tuple[int, int] | None = None,
        score: float = SCORE,
        threads: int = 0,
        device: str | None = None,
        providers: Sequence[str] | None = None,
    ) -> Predictor:
        """Load a network.

        Args:
            weights: "large" for pictures and clips, "small" for webcams (five times as fast, but it misses small faces), or the path of
                an ONNX file made by `mfn export`.
            size: Width and height in px whose product is the area of the network input; the shape follows the picture. A larger area
                finds smaller faces and takes longer in proportion. None: the size that the network is made for.
            score: Smallest probability of a face that is reported, 0 to 1.
            threads: CPU cores that one call uses; 0 for all. Use 1 if you run several processes or threads. OpenCV, which scales the
                pictures, has its own setting for the whole process: `cv2.setNumThreads`.
            device: "cpu", "cuda", "tensorrt", "rocm", "directml", "coreml" or "openvino". None: the CPU.
            providers: Execution providers of ONNX Runtime, the preferred one first, instead of `device`.

        Raises:
            FileNotFoundError: If there is no such network.
            ValueError: If the file is not a multi-face network, or if an option is not valid.
        """
        model = find_model(weights)
        if not 0 <= score <= 1:
            raise ValueError(f"expected a score from 0 to 1, got {score}")
        if threads < 0:
            raise ValueError(f"expected a number of threads, or 0 for all cores, got {threads}")
        if size is not None:
            fit_letterbox(1, 1, size)  # raises if the area is too small
        chosen = choose_providers(device, providers)
        session = open_session(model.path, threads, chosen)
        metadata = check_multi_face(model.path, session)
        own_size = model.size if metadata is None or str(weights) in MODELS else metadata.input_size
        predictor = cls(session, own_size if size is None else size, score)
        predictor.weights = model.path
        source = weights if str(weights) in MODELS else model.path.resolve()
        options = {"weights": source, "size": size, "score": score, "threads": threads, "providers": chosen}
        predictor._load_options = options
        return predictor

    def __reduce__(self) -> tuple[Callable[[], Predictor], tuple[()]]:
        """Pickle the options of `load`, not the session."""
        if self.weights is None:
            raise TypeError("a Predictor made from a session cannot be pickled; use Predictor.load")
        return partial(type(self).load, **self._load_options), ()

    def __repr__(self) -> str:
        return f"Predictor({str(self.weights or 'session')!r}, size={self.size.width}x{self.size.height}, score={self.score})"

    def __call__(self, source: Source | Sequence[Source], *, bgr: bool = False, on_error: OnError = "warn") -> Faces:
        """Find all faces of one picture or of a list of pictures.

        Args:
            source: A path, the bytes of an image file, a Pillow image, or an array (H, W, 3) uint8 RGB; or a list of them.
            bgr: Whether arrays are BGR, as OpenCV reads them. It does not apply to the other sources.
            on_error: What happens if a picture of a list cannot be read. "warn" leaves it out with a `PictureWarning`; "raise" raises
                its error; a function is called with a `FailedPicture`, for example the `append` of your own list.

        Returns:
            Faces in px of the original pictures, in the order of the list, best score first in each picture. `image` is the place of the
            picture in the list.

        Raises:
            ValueError: If a single picture cannot be read, or if the network fails.
            FileNotFoundError: If a single picture does not exist.
        """
        waiting: dict[tuple[int, int], list[_Letterboxed]] = defaultdict(list)  # a batch has one input size
        found: dict[int, Faces] = {}
        for number, picture, is_bgr in read_pictures(source, bgr, on_error):
            box = self.letterbox(*picture.shape[:2])
            pixels = letterbox_image(picture, box)
            batch = waiting[box.height, box.width]
            batch.append(_Letterboxed(number, box, pixels[..., ::-1] if is_bgr else pixels))
            if len(batch) == self._batch:
                found.update(self._run(waiting.pop((box.height, box.width))))
        for batch in waiting.values():
            found.update(self._run(batch))
        return Faces.concatenate([Faces.empty(IDENTITY_SIZE), *(found[number] for number in sorted(found))])

    def letterbox(self, height: int, width: int) -> Letterbox:
        """Return the letterbox that is used for a picture of this size in px."""
        if self.fixed_size is not None:
            return fixed_letterbox(height, width, self.fixed_size, self.metadata.input_multiple)
        return fit_letterbox(height, width, self.size, self.metadata.input_multiple)

    def _run(self, batch: list[_Letterboxed]) -> Iterator[tuple[int, Faces]]:
        """Run the network once for pictures of one input size."""
        images = np.stack([item.pixels for item in batch])
        faces = decode(self.cells(images), images.shape[1], images.shape[2], score=self.score, strides=self.metadata.strides)
        for row, item in enumerate(batch):
            mine = unletterbox(faces[faces.image == row], item.box)
            yield item.number, mine.replace(image=np.full(len(mine), item.number))

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network alone.

        Args:
            image: (B, H, W, 3) uint8 RGB.

        Returns:
            (B, A, D) raw cells; see `mfn.structures.cells`.

        Raises:
            ValueError: If the network fails, for example for lack of memory.
        """
        try:
            return np.asarray(self.session.run(["cells"], {"image": image})[0])
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
            shape = f"{len(image)} x {image.shape[2]} x {image.shape[1]} px"
            detail = " ".join(str(error).split())[-120:]
            raise ValueError(f"the network failed on {shape}; if memory is short, use a smaller size (…{detail})") from None


def read_pictures(source: Source | Sequence[Source], bgr: bool, on_error: OnError) -> Iterator[NumberedPicture]:
    """Read one picture or those of a list, one by one. Arguments as for `Predictor.__call__`."""
    if not isinstance(source, (list, tuple)):
        yield NumberedPicture(0, as_image(cast("Source", source)), bgr and isinstance(source, np.ndarray))
        return
    for index, item in enumerate(source):
        try:
            picture = as_image(item)
        except (ValueError, OSError, MemoryError) as error:
            if on_error == "raise":
                raise
            failure = FailedPicture(index, item, error)
            if callable(on_error):
                on_error(failure)
            else:
                warnings.warn(PictureWarning(failure), stacklevel=3)
            continue
        yield NumberedPicture(index, picture, bgr and isinstance(item, np.ndarray))
