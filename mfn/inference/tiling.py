"""Small faces of large pictures: overlapping tiles at several scales, merged with the whole picture's faces.

The network surely sees faces of SURE_PX and more in its input. The whole picture is looked at as ever; the finest tiles enlarge or shrink
it so that the least face asked for has SURE_PX; between the two lie as many scales as it takes for no step to exceed STEP. Each scale
answers for faces from LEAST_OWN px of its input up to a little more than the next coarser scale's LEAST_OWN; its tiles overlap by more than
the largest of these, so every face lies whole within one tile at least. The time follows the picture's size and the least face alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.decode import decode
from mfn.inference.predictor import Letterbox, put_in, to_picture
from mfn.structures.cells import IDENTITY_SIZE, INPUT_MULTIPLE
from mfn.structures.faces import Faces
from retarget.io.images import Picture

if TYPE_CHECKING:
    from mfn.inference.predictor import Predictor

SURE_PX = 48.0  # of a face in the network's input: below it detections get rare and boxes loose
LEAST_OWN = 40.0
STEP = 3.0
BAND = 1.2  # the size up to which neighbouring scales both answer, over LEAST_OWN
MARGIN = 16  # px between an owned face and a tile's inner border
TILE = 1280  # px: the larger the less is seen twice
TOP_K = 1024  # cells looked at in a tile; it holds more faces than the whole picture at its usual size
CHUNK_PX = 2 << 20  # of tiles in one call of the network: 0.5 GB of its activations
SAME_FACE_IOU = 0.45
PART_SIZE, PART_INSIDE = 0.6, 0.8  # a part of a face: this much smaller, with this much of its box within the face's


class Scale(NamedTuple):
    """Tiles of one size in the network's input.

    box: how each is put there; corners: (T, 2) int, x y of its first px in the picture; extent: its width and height in px of the picture;
    own: least and most size of a face, px of the network's input, that it answers for
    """

    box: Letterbox
    corners: NDArray[np.int64]
    extent: tuple[int, int]
    own: tuple[float, float]


def plan(height: int, width: int, whole: Letterbox, least_px: float, fixed: tuple[int, int] | None = None) -> list[Scale]:
    """The scales at which a picture is looked at, the whole picture first.

    height, width: px of the picture; whole: how all of it is put before the network; least_px: height of the least face, px of the picture;
    fixed: width and height of the network's input if it takes no other
    """
    coarse, fine = min(whole.factor), SURE_PX / least_px
    count = max(0, math.ceil(math.log(fine / coarse) / math.log(STEP) - 1e-9))
    step = (fine / coarse) ** (1 / max(count, 1))
    whole_own = (LEAST_OWN if count else 0.0, math.inf)
    scales = [Scale(whole, np.zeros((1, 2), np.int64), (width, height), whole_own)]
    for k in range(1, count + 1):
        own = (LEAST_OWN if k < count else 0.0, LEAST_OWN * step * BAND)
        scales.append(_tiled(height, width, coarse * step**k, own, fixed or (TILE, TILE)))
    return scales


def _tiled(height: int, width: int, factor: float, own: tuple[float, float], most: tuple[int, int]) -> Scale:
    overlap = math.ceil(own[1] + 2 * (MARGIN + factor))  # tiles start and end at whole px of the picture
    starts, extents, sides = zip(*(_spread(*axis, factor, overlap) for axis in zip((width, height), most)))
    inner = [max(1, round(extent * factor)) for extent in extents]
    if min(most) < TILE:  # a network of one input size
        sides = most
    offset = ((sides[0] - inner[0]) // 2, (sides[1] - inner[1]) // 2)
    box = Letterbox(sides[1], sides[0], (inner[0] / extents[0], inner[1] / extents[1]), offset)
    corners = np.stack(np.meshgrid(*starts), -1).reshape(-1, 2)  # row by row
    return Scale(box, corners, (extents[0], extents[1]), own)


def _spread(length: int, most: int, factor: float, overlap: int) -> tuple[NDArray[np.int64], int, int]:
    """Tiles along an axis: where each starts and how long it is, px of the picture; how long, px of the network's input."""
    inner = length * factor
    if inner <= most:
        return np.zeros(1, np.int64), length, math.ceil(inner / INPUT_MULTIPLE - 1e-9) * INPUT_MULTIPLE
    overlap = min(overlap, most // 2)
    count = math.ceil((inner - overlap) / (most - overlap))
    side = min(most, math.ceil((inner + (count - 1) * overlap) / count / INPUT_MULTIPLE) * INPUT_MULTIPLE)
    extent = min(length, int(side / factor))
    return np.round(np.linspace(0, length - extent, count)).astype(np.int64), extent, side


def find_in_tiles(predictor: Predictor, picture: Picture, least_px: float) -> Faces:
    """All faces of a picture (H, W, 3) uint8 RGB, best score first, `image` 0; least_px: see `plan`."""
    height, width = picture.shape[:2]
    scales = plan(height, width, predictor.letterbox(height, width), least_px, predictor.fixed)
    found = [Faces.empty(IDENTITY_SIZE)]
    fits = [np.zeros(0, np.float32)]
    for scale in scales:
        faces = _look(predictor, picture, scale)
        found.append(faces)
        fits.append(np.minimum(1, _size(faces.box) * scale.box.factor[1] / SURE_PX))
    together = Faces.concatenate(found)
    return together[merge(together.box, together.score, np.concatenate(fits))]


def _look(predictor: Predictor, picture: Picture, scale: Scale) -> Faces:
    """The faces that one scale answers for, those of the tiles' overlaps twice, px of the picture."""
    box, (wide, high) = scale.box, scale.extent
    chunk = max(1, CHUNK_PX // (box.height * box.width))
    found = [Faces.empty(IDENTITY_SIZE)]
    for first in range(0, len(scale.corners), chunk):
        corners = scale.corners[first : first + chunk]
        images = np.stack([put_in(picture[y : y + high, x : x + wide], box, smooth=True) for x, y in corners])
        raw = decode(predictor.cells(images), box.height, box.width, score=predictor.score, top_k=TOP_K)
        faces = to_picture(raw, box)
        x, y = corners[faces.image].T
        shift = np.stack([x, y], -1).reshape(-1, 2).astype(np.float32)
        faces = faces.replace(box=faces.box + np.tile(shift, 2), center=faces.center + shift, image=np.zeros(len(faces)))
        found.append(faces[_owned(faces.box, shift, scale, picture.shape[:2])])
    return Faces.concatenate(found)


def _owned(box: NDArray, corner: NDArray, scale: Scale, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(N,) whether a face has the right size and lies whole within its tile: not so near to an inner border that it may be cut there.

    box: (N, 4) and corner: (N, 2) of its tile, px of the picture; shape: height, width of the picture
    """
    end = corner + np.array(scale.extent)
    margin = MARGIN / np.array(scale.box.factor)
    inside = (box[:, :2] >= corner + margin) | (corner <= 0)
    inside &= (box[:, 2:] <= end - margin) | (end >= np.array([shape[1], shape[0]]))
    size = _size(box) * scale.box.factor[1]
    return inside.all(1) & (size >= scale.own[0]) & (size <= scale.own[1])


def merge(box: NDArray, score: NDArray, fit: NDArray) -> NDArray[np.int64]:
    """The rows that stay, best score first: each face once, and no part of a face for a face of its own.

    Of one face's detections that of the best score x fit stays. A row at a time, so that memory follows the rows and not their square.

    box: (N, 4); score: (N,); fit: (N,) up to 1, lower where the face was seen too small
    """
    left = np.argsort(-score * fit, kind="stable")
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        left = left[_shared(box[first], box[left])[0] <= SAME_FACE_IOU]
    rows = np.array(kept, np.int64)
    size, part = _size(box), np.zeros(len(rows), bool)
    for row in rows:
        smaller = (size[rows] < PART_SIZE * size[row]) & (PART_SIZE * score[rows] <= score[row])
        part |= smaller & (_shared(box[row], box[rows])[1] > PART_INSIDE)
    rows = rows[~part]
    return rows[np.argsort(-score[rows], kind="stable")]


def _shared(one: NDArray, box: NDArray) -> tuple[NDArray, NDArray]:
    """What box (4,) `one` shares with N others (N, 4): (N,) of the union of both, (N,) of the other's area."""
    sides = np.maximum(np.minimum(one[2:], box[:, 2:]) - np.maximum(one[:2], box[:, :2]), 0)
    areas = np.maximum(box[:, 2:] - box[:, :2], 0).prod(1)
    both = sides.prod(1)
    union = np.maximum(one[2:] - one[:2], 0).prod() + areas - both
    return both / np.maximum(union, 1e-12), both / np.maximum(areas, 1e-12)


def _size(box: NDArray) -> NDArray:
    """(N,) the longer side."""
    return (box[:, 2:] - box[:, :2]).max(1)
