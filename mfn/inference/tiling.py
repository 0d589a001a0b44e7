"""Find small faces in large pictures: overlapping tiles at several scales, merged with the faces of the whole picture.

The network is reliable for faces of RELIABLE_PX and more in its input. The whole picture is read first. The finest tiles scale the
picture so that the smallest wanted face gets RELIABLE_PX. Between the two lie as many scales as it takes for no step to exceed MAX_STEP.
Each scale reports faces from MIN_OWN_PX of its input up to a little more than the MIN_OWN_PX of the next coarser scale. Its tiles overlap
by more than the largest of these, so that every face lies whole within at least one tile. The time depends on the size of the picture and
on the smallest wanted face only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.decode import decode
from mfn.inference.letterbox import Letterbox, letterbox_image, unletterbox
from mfn.inference.predictor import Predictor, read_pictures
from mfn.structures.cells import IDENTITY_SIZE, INPUT_MULTIPLE
from mfn.structures.faces import Faces
from mfn.structures.network_metadata import Size
from retarget.io.images import Image

if TYPE_CHECKING:
    from mfn.inference.predictor import OnError, Source

RELIABLE_PX = 48.0  # height of a face in the network input: below it faces are missed and boxes get inaccurate
MIN_OWN_PX = 40.0
MAX_STEP = 3.0  # largest ratio between neighboring scales
OVERLAP_RATIO = 1.2  # neighboring scales both report faces up to this times MIN_OWN_PX
MARGIN_PX = 16  # between a reported face and the inner border of its tile
TILE_PX = 1280  # side of a tile: the larger, the less is read twice
CHUNK_AREA_PX = 2 << 20  # area of the tiles in one call of the network: 0.5 GB of activations
SAME_FACE_IOU = 0.45
PART_SIZE, PART_INSIDE = 0.6, 0.8  # a part of a face: this much smaller, with this share of its box within the face's
MIN_FACE_PX = 4.0


class Scale(NamedTuple):
    """Tiles of one scale.

    Attributes:
        box: Letterbox of each tile.
        corners: (T, 2) int, x y of the first px of each tile in the picture.
        extent: Width and height of a tile in px of the picture.
        own: Smallest and largest size of a face that this scale reports, in px of the network input.
    """

    box: Letterbox
    corners: NDArray[np.int64]
    extent: tuple[int, int]
    own: tuple[float, float]


def plan(height: int, width: int, whole: Letterbox, min_face_px: float, fixed: tuple[int, int] | None = None) -> list[Scale]:
    """Choose the scales at which a picture is read.

    Args:
        height, width: Size of the picture in px.
        whole: Letterbox of the whole picture.
        min_face_px: Height of the smallest wanted face in px of the picture.
        fixed: Width and height of the network input in px, if the network takes no other.

    Returns:
        The scales; the first is the whole picture.
    """
    coarse, fine = min(whole.factor), RELIABLE_PX / min_face_px
    count = max(0, math.ceil(math.log(fine / coarse) / math.log(MAX_STEP) - 1e-9))
    step = (fine / coarse) ** (1 / max(count, 1))
    whole_own = (MIN_OWN_PX if count else 0.0, math.inf)
    scales = [Scale(whole, np.zeros((1, 2), np.int64), (width, height), whole_own)]
    for k in range(1, count + 1):
        own = (MIN_OWN_PX if k < count else 0.0, MIN_OWN_PX * step * OVERLAP_RATIO)
        scales.append(_tiled(height, width, coarse * step**k, own, fixed or (TILE_PX, TILE_PX)))
    return scales


def _tiled(height: int, width: int, factor: float, own: tuple[float, float], max_sides: tuple[int, int]) -> Scale:
    """Cover the picture with tiles at one scale."""
    overlap = math.ceil(own[1] + 2 * (MARGIN_PX + factor))  # tiles start and end at whole px of the picture
    starts, extents, sides = zip(*(_spread(*axis, factor, overlap) for axis in zip((width, height), max_sides)))
    inner = [max(1, round(extent * factor)) for extent in extents]
    if min(max_sides) < TILE_PX:  # a network of one input size
        sides = max_sides
    offset = ((sides[0] - inner[0]) // 2, (sides[1] - inner[1]) // 2)
    box = Letterbox(sides[1], sides[0], (inner[0] / extents[0], inner[1] / extents[1]), offset)
    corners = np.stack(np.meshgrid(*starts), -1).reshape(-1, 2)  # row by row
    return Scale(box, corners, (extents[0], extents[1]), own)


class _Spread(NamedTuple):
    """Tiles along one axis: starts (T,) and extent in px of the picture, side in px of the network input."""

    starts: NDArray[np.int64]
    extent: int
    side: int


def _spread(length: int, max_side: int, factor: float, overlap: int) -> _Spread:
    inner = length * factor
    if inner <= max_side:
        return _Spread(np.zeros(1, np.int64), length, math.ceil(inner / INPUT_MULTIPLE - 1e-9) * INPUT_MULTIPLE)
    overlap = min(overlap, max_side // 2)
    count = math.ceil((inner - overlap) / (max_side - overlap))
    side = min(max_side, math.ceil((inner + (count - 1) * overlap) / count / INPUT_MULTIPLE) * INPUT_MULTIPLE)
    extent = min(length, int(side / factor))
    return _Spread(np.round(np.linspace(0, length - extent, count)).astype(np.int64), extent, side)


class TiledPredictor:
    """A `Predictor` that also reads each picture in enlarged, overlapping tiles, for small faces in large pictures.

        predictor = TiledPredictor(Predictor.load(), min_face_px=8)
    """

    def __init__(self, predictor: Predictor, min_face_px: float = 8.0) -> None:
        """Wrap a predictor.

        Args:
            predictor: The predictor that reads the tiles.
            min_face_px: Height of the smallest wanted face in px of the picture. Half of it takes four times as long.

        Raises:
            ValueError: If `min_face_px` is below `MIN_FACE_PX`.
        """
        if not MIN_FACE_PX <= min_face_px < float("inf"):
            raise ValueError(f"expected a smallest face of {MIN_FACE_PX:.0f} px or more, got {min_face_px}")
        self.predictor = predictor
        self.min_face_px = min_face_px

    def __call__(self, source: Source | Sequence[Source], *, bgr: bool = False, on_error: OnError = "warn") -> Faces:
        """Find all faces of one picture or of a list of pictures. Arguments and result as for `Predictor.__call__`."""
        found = [Faces.empty(IDENTITY_SIZE)]
        for index, picture, is_bgr in read_pictures(source, bgr, on_error):
            rgb = np.ascontiguousarray(picture[..., ::-1]) if is_bgr else picture
            faces = find_in_tiles(self.predictor, rgb, self.min_face_px)
            found.append(faces.replace(image=np.full(len(faces), index)))
        return Faces.concatenate(found)

    @property
    def size(self) -> Size:
        """Width and height whose product is the area of the network input for the whole picture, in px."""
        return self.predictor.size

    @property
    def score(self) -> float:
        """Smallest probability of a face that is reported."""
        return self.predictor.score

    @property
    def weights(self) -> Path | None:
        """File of the network."""
        return self.predictor.weights

    def letterbox(self, height: int, width: int) -> Letterbox:
        """Return the letterbox of the whole picture, for a picture of this size in px."""
        return self.predictor.letterbox(height, width)


def find_in_tiles(predictor: Predictor, picture: Image, min_face_px: float) -> Faces:
    """Find all faces of a picture (H, W, 3) uint8 RGB, best score first, `image` 0. For `min_face_px` see `plan`."""
    height, width = picture.shape[:2]
    scales = plan(height, width, predictor.letterbox(height, width), min_face_px, predictor.fixed_size)
    found = [Faces.empty(IDENTITY_SIZE)]
    fits = [np.zeros(0, np.float32)]
    for scale in scales:
        faces = _find_at_scale(predictor, picture, scale)
        found.append(faces)
        fits.append(np.minimum(1, _size(faces.box) * scale.box.factor[1] / RELIABLE_PX))
    together = Faces.concatenate(found)
    return together[merge(together.box, together.score, np.concatenate(fits))]


def _find_at_scale(predictor: Predictor, picture: Image, scale: Scale) -> Faces:
    """Find the faces that one scale reports, in px of the picture. Faces where tiles overlap are found twice."""
    box, (width, height) = scale.box, scale.extent
    chunk = max(1, CHUNK_AREA_PX // (box.height * box.width))
    found = [Faces.empty(IDENTITY_SIZE)]
    for first in range(0, len(scale.corners), chunk):
        corners = scale.corners[first : first + chunk]
        images = np.stack([letterbox_image(picture[y : y + height, x : x + width], box, smooth=True) for x, y in corners])
        raw = decode(predictor.cells(images), box.height, box.width, score=predictor.score, strides=predictor.metadata.strides)
        faces = unletterbox(raw, box)
        x, y = corners[faces.image].T
        shift = np.stack([x, y], -1).reshape(-1, 2).astype(np.float32)
        faces = faces.replace(box=faces.box + np.tile(shift, 2), center=faces.center + shift, image=np.zeros(len(faces)))
        found.append(faces[_is_owned(faces.box, shift, scale, picture.shape[:2])])
    return Faces.concatenate(found)


def _is_owned(box: NDArray[Any], corner: NDArray[Any], scale: Scale, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the faces that have the right size and lie whole within their tile, away from its inner borders.

    Args:
        box: (N, 4) x1 y1 x2 y2 in px of the picture.
        corner: (N, 2) first px of each face's tile.
        scale: The scale of the tiles.
        shape: Height and width of the picture in px.

    Returns:
        (N,) mask.
    """
    end = corner + np.array(scale.extent)
    margin = MARGIN_PX / np.array(scale.box.factor)
    inside = (box[:, :2] >= corner + margin) | (corner <= 0)
    inside &= (box[:, 2:] <= end - margin) | (end >= np.array([shape[1], shape[0]]))
    size = _size(box) * scale.box.factor[1]
    return inside.all(1) & (size >= scale.own[0]) & (size <= scale.own[1])


def merge(box: NDArray[Any], score: NDArray[Any], fit: NDArray[Any]) -> NDArray[np.int64]:
    """Choose the detections to keep: each face once, and no part of a face as a face of its own.

    Args:
        box: (N, 4) x1 y1 x2 y2 in px.
        score: (N,) probabilities.
        fit: (N,) up to 1; lower where the face was small in the network input.

    Returns:
        The kept rows, best score first. Of the detections of one face, the one with the best score x fit is kept.

    It compares one row at a time, so that memory grows with the number of rows and not with its square.
    """
    remaining = np.argsort(-score * fit, kind="stable")
    kept = []
    while len(remaining):
        first, remaining = remaining[0], remaining[1:]
        kept.append(first)
        remaining = remaining[_shared(box[first], box[remaining])[0] <= SAME_FACE_IOU]
    rows = np.array(kept, np.int64)
    size, part = _size(box), np.zeros(len(rows), bool)
    for row in rows:
        smaller = (size[rows] < PART_SIZE * size[row]) & (PART_SIZE * score[rows] <= score[row])
        part |= smaller & (_shared(box[row], box[rows])[1] > PART_INSIDE)
    rows = rows[~part]
    return rows[np.argsort(-score[rows], kind="stable")]


def _shared(one: NDArray[Any], box: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the intersection of a box (4,) with N others (N, 4): as share (N,) of the union, and as share (N,) of the other's area."""
    sides = np.maximum(np.minimum(one[2:], box[:, 2:]) - np.maximum(one[:2], box[:, :2]), 0)
    areas = np.maximum(box[:, 2:] - box[:, :2], 0).prod(1)
    both = sides.prod(1)
    union = np.maximum(one[2:] - one[:2], 0).prod() + areas - both
    return both / np.maximum(union, 1e-12), both / np.maximum(areas, 1e-12)


def _size(box: NDArray[Any]) -> NDArray[Any]:
    """Return the longer side (N,) of boxes (N, 4)."""
    return np.asarray((box[:, 2:] - box[:, :2]).max(1))
