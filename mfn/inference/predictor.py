"""`Predictor`: picture in, `Faces` out, on the CPU by ONNX Runtime with the weights that ship in the package. No torch.

Letters: B pictures in a batch, H W of the network's input (multiples of 16), A cells, D numbers a cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.decode import decode
from mfn.structures.cells import CELL_SIZE, IDENTITY_SIZE, INPUT_MULTIPLE, PAD_GRAY
from mfn.structures.faces import Faces
from mfn.weights import weights_path
from retarget.io.images import Picture, as_image

if TYPE_CHECKING:
    import onnxruntime


class Model(NamedTuple):
    """An embedded network: its file, and the size (width, height) that it looks at. Of the size only the product counts."""

    path: Path
    size: tuple[int, int]


MODELS = {
    "small": Model(weights_path("mfn-small.onnx"), (352, 208)),  # of a square 272 x 272
    "large": Model(weights_path("mfn.onnx"), (864, 496)),  # reads smaller faces, and all more than once; of a square 656 x 656
}
WEIGHTS, SIZE = MODELS["large"]
SCORE = 0.55  # least probability of a face: in 6 of 150 photos without faces large sees one (experiments/accuracy/false_faces.py)
ENLARGE_MOST = 2.0  # beyond it a small picture only gets blurred and dear
HARDLY_SMALLER = 0.95  # so much smaller may a picture be seen if its input is fuller for it
_AREA_SLACK = 1.03  # sides come in steps of INPUT_MULTIPLE
_BATCH = 8


def find_model(weights: str | Path) -> Model:
    """What "small" and "large" stand for; any other file looks at as much as "large"."""
    if str(weights) not in MODELS and not Path(weights).is_file():
        raise FileNotFoundError(f"{weights}: no such file (expected {', '.join(MODELS)}, or a network's .onnx file)")
    return MODELS.get(str(weights), Model(Path(weights), SIZE))


class Letterbox(NamedTuple):
    """How a picture lies in the network's input: input px = picture px * factor + offset, in x and y."""

    height: int
    width: int
    factor: tuple[float, float]
    offset: tuple[int, int]


def fit_letterbox(height: int, width: int, size: tuple[int, int] = SIZE) -> Letterbox:
    """The input of about the area of `size` (width, height), sides multiples of 16, in which a picture is seen largest, or nearly."""
    most = int(size[0] * size[1] * _AREA_SLACK) // INPUT_MULTIPLE**2
    if most < 1:
        raise ValueError(f"expected a network input of at least {INPUT_MULTIPLE} x {INPUT_MULTIPLE} px, got {size[0]} x {size[1]}")
    columns = np.arange(1, most + 1)
    rows = most // columns
    factor = np.minimum(columns * INPUT_MULTIPLE / width, rows * INPUT_MULTIPLE / height)
    # seen hardly smaller, a picture may need a whole row less, which would be mostly gray: of those inputs the fullest, of equally full
    # ones the largest
    needed = np.ceil(width * factor / INPUT_MULTIPLE - 1e-6) * np.ceil(height * factor / INPUT_MULTIPLE - 1e-6)
    full = np.where(factor >= HARDLY_SMALLER * factor.max(), factor**2 / needed, 0)
    chosen = factor[full > full.max() * (1 - 1e-6)].max()
    return _place(height, width, min(float(chosen), ENLARGE_MOST))


def fixed_letterbox(height: int, width: int, size: tuple[int, int]) -> Letterbox:
    """The same for a network whose input has one `size` (width, height) only."""
    box = _place(height, width, min(size[0] / width, size[1] / height, ENLARGE_MOST))
    inner = [max(1, round(f * s)) for f, s in zip(box.factor, (width, height))]
    return Letterbox(size[1], size[0], box.factor, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))


def _place(height: int, width: int, factor: float) -> Letterbox:
    """In the middle of the smallest input that holds it."""
    inner = [max(1, int(side * factor + 1e-6)) for side in (width, height)]
    outer = [-(-side // INPUT_MULTIPLE) * INPUT_MULTIPLE for side in inner]
    offset = ((outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2)
    return Letterbox(outer[1], outer[0], (inner[0] / width, inner[1] / height), offset)


def put_in(picture: Picture, box: Letterbox, out: Picture | None = None, smooth: bool = False) -> Picture:
    """The network's input (H, W, 3) uint8: the picture, shrunk by area or enlarged linearly (smooth: by cubics), on gray."""
    import cv2

    if out is None:
        out = np.empty((box.height, box.width, 3), np.uint8)
    size = (round(picture.shape[1] * box.factor[0]), round(picture.shape[0] * box.factor[1]))
    left, top = box.offset
    out[:top], out[top + size[1] :] = PAD_GRAY, PAD_GRAY
    out[top : top + size[1], :left], out[top : top + size[1], left + size[0] :] = PAD_GRAY, PAD_GRAY
    inside = out[top : top + size[1], left : left + size[0]]
    if box.factor[0] < 1:
        _shrink(picture, size, inside)
    else:
        cv2.resize(picture, size, dst=inside, interpolation=cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR)
    return out


def _shrink(picture: Picture, size: tuple[int, int], out: Picture) -> None:
    """By area, or nearly, into `out`: OpenCV's INTER_AREA is fast where two by two px become one, and six times slower elsewhere."""
    import cv2

    while not (picture.shape[0] % 2 or picture.shape[1] % 2) and picture.shape[1] >= 2 * size[0]:
        picture = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
    left = size[0] / picture.shape[1]
    if left >= 2 / 3:  # linear takes the mean of two px, of at most one and a half that there are for each
        cv2.resize(picture, size, dst=out, interpolation=cv2.INTER_LINEAR)
        return
    if left > 0.5:
        picture = cv2.resize(picture, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)
    cv2.resize(picture, size, dst=out, interpolation=cv2.INTER_AREA)


def to_picture(faces: Faces, box: Letterbox) -> Faces:
    """Faces in px of the network's input -> px of the picture that `box` holds."""
    factor, offset = np.array(box.factor, np.float32), np.array(box.offset, np.float32)
    return faces.replace(
        box=(faces.box - np.tile(offset, 2)) / np.tile(factor, 2),
        center=(faces.center - offset) / factor,
        scale=faces.scale / np.sqrt(factor.prod()),
    )


class Predictor:
    """Finds and reads every face of a picture: `faces = Predictor.load()("crowd.jpg")`.

    The time follows the number of pixels of the network's input, not the number of faces.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, size: tuple[int, int] = SIZE, score: float = SCORE, least_px: float = 0
    ) -> None:
        """session: input `image` (B, H, W, 3) uint8 RGB, output `cells` (B, A, D); size, score, least_px: see `load`, 0 = no tiles."""
        self.session = session
        self.size = size
        self.score = score
        self.least_px = least_px
        self.weights: Path | None = None  # the file that `load` read
        shape = session.get_inputs()[0].shape
        self._batch = shape[0] if isinstance(shape[0], int) else _BATCH
        self.fixed = (shape[2], shape[1]) if isinstance(shape[1], int) and isinstance(shape[2], int) else None

    @classmethod
    def load(
        cls,
        path: str | Path = "small",
        *,
        size: tuple[int, int] | None = None,
        score: float = SCORE,
        threads: int = 0,
        tiles: bool = False,
        least_px: float = 8.0,
    ) -> Predictor:
        """Reads weights, by default those of the embedded small network.

        path: "small" for live pictures, "large" for small faces, or an ONNX file of `mfn export` or `mfn quantise`.
        size: width and height whose product is the number of pixels that the network looks at; their ratio follows the
            picture. Larger finds smaller faces and takes longer in proportion. By default the network's own (see MODELS).
        score: the least probability of a face that is reported.
        threads: cores that one call uses; 0 = all. 1 is best if you run several processes, or one picture in each of
            several Python threads (calls of one Predictor from many threads are safe). OpenCV, which resizes, has its
            own count for the whole process: `cv2.setNumThreads`.
        tiles: also looks at each picture in enlarged, overlapping tiles, for small faces in large pictures (`mfn.inference.tiling`).
        least_px: the height of the least face that tiles look for, px of the picture; half of it takes four times as long.
        """
        path, own = find_model(path)
        size = own if size is None else size
        if not 0 <= score <= 1:
            raise ValueError(f"expected a score from 0 to 1, got {score}")
        if not 4 <= least_px < float("inf"):
            raise ValueError(f"expected a least face of 4 px or more, got {least_px}")
        if threads < 0:
            raise ValueError(f"expected a number of threads, or 0 for all cores, got {threads}")
        fit_letterbox(1, 1, size)
        session = open_session(path, threads)
        _check_session(path, session)
        made = cls(session, size, score, least_px if tiles else 0)
        made.weights = path
        return made

    def __call__(self, source: str | Path | Picture | Sequence[str | Path | Picture]) -> Faces:
        """All faces of one picture or a list: paths or RGB (H, W, 3) uint8. `image` is the place in the list.

        -> Faces in px of the original pictures, in the list's order, best score first within a picture.
        """
        sources = source if isinstance(source, (list, tuple)) else [source]
        if self.least_px:
            return self._in_tiles(list(sources))
        waiting: dict[tuple[int, int], list[tuple[int, Letterbox, Picture]]] = defaultdict(list)
        found: dict[int, Faces] = {}
        for number, item in enumerate(sources):
            picture = as_image(item)
            box = self.letterbox(*picture.shape[:2])
            waiting[box.height, box.width].append((number, box, put_in(picture, box)))
            if len(waiting[box.height, box.width]) == self._batch:
                found.update(self._run(waiting.pop((box.height, box.width))))
        for batch in waiting.values():
            found.update(self._run(batch))
        return Faces.concatenate([Faces.empty(IDENTITY_SIZE), *(found[n] for n in range(len(sources)))])

    def _in_tiles(self, sources: list[Any]) -> Faces:
        from mfn.inference.tiling import find_in_tiles

        found = [find_in_tiles(self, as_image(item), self.least_px) for item in sources]
        numbered = [faces.replace(image=np.full(len(faces), number)) for number, faces in enumerate(found)]
        return Faces.concatenate([Faces.empty(IDENTITY_SIZE), *numbered])

    def letterbox(self, height: int, width: int) -> Letterbox:
        """How a picture of this size (px) is put before the network."""
        return fixed_letterbox(height, width, self.fixed) if self.fixed else fit_letterbox(height, width, self.size)

    def _run(self, batch: list[tuple[int, Letterbox, Picture]]) -> Iterable[tuple[int, Faces]]:
        """One call of the network for pictures of one input size -> (place in the list, Faces)."""
        images = np.stack([pixels for _, _, pixels in batch])
        faces = decode(self.cells(images), images.shape[1], images.shape[2], score=self.score)
        for row, (number, box, _) in enumerate(batch):
            mine = to_picture(faces[faces.image == row], box)
            yield number, mine.replace(image=np.full(len(mine), number))

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network alone: (B, H, W, 3) uint8 RGB -> (B, A, D) raw cells."""
        try:
            return self.session.run(["cells"], {"image": image})[0]
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
            what = f"the network failed on {len(image)} x {image.shape[2]} x {image.shape[1]} px"
            said = " ".join(str(error).split())[-120:]
            raise ValueError(f"{what}; if memory is short, give a smaller size (…{said})") from None


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A network in an ONNX file, on the CPU. threads: cores that one call uses, 0 = all."""
    if not path.is_file():
        why = "the weights are missing from this installation" if path in (model.path for model in MODELS.values()) else "no such file"
        raise FileNotFoundError(f"{path}: {why}")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        raise ValueError(f"{path}: not a network that ONNX Runtime can read ({type(error).__name__})") from None
    return session


def _check_session(path: Path, session: onnxruntime.InferenceSession) -> None:
    takes = [(i.name, i.type, len(i.shape)) for i in session.get_inputs()]
    gives = [(o.name, o.shape[-1] if o.shape else None) for o in session.get_outputs()]
    if takes != [("image", "tensor(uint8)", 4)] or not gives or gives[0][0] != "cells":
        raise ValueError(f"{path}: expected a network `image` uint8 (B, H, W, 3) -> `cells`, got {takes} -> {gives}")
    if isinstance(gives[0][1], int) and gives[0][1] != CELL_SIZE:
        raise ValueError(f"{path}: cells of {gives[0][1]} numbers where {CELL_SIZE} were expected: export it again")
