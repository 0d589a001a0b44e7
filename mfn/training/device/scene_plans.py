"""Plans of training scenes: the part of a picture that each tile shows, and the faces that are then visible. NumPy only.

A scene is a grid of 1, 4, 16 or 64 tiles. A tile shows a part of one picture, rotated, mirrored and scaled, over a photo without faces. The
pixels are sampled later, on the device (`mfn.training.device.datamodule`).
Coordinates are continuous px: the left edge of the first column is 0 and its center 0.5.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfn.structures.camera import mirror_rotation
from mfn.structures.faces import Faces
from mfn.structures.flip import hflip_expression
from mfn.training.data.batch import TARGET_FIELDS
from mfn.training.data.warp import BoxFunction
from mfn.training.device.face_library import FaceLibrary

Array = NDArray[Any]

MIN_FACE_PX = 7.0  # smaller faces become ignore regions
MIN_VISIBLE_SHARE = 0.5  # a face of which less lies in its tile becomes an ignore region
MIN_IGNORED_SHARE = 0.05  # a face of which less lies in its tile is background
ANY_ROLL_SHARE = 0.22  # of the tiles, rotated by any angle
ROLL_RAD = 0.2  # standard deviation of the rotation of the other tiles
MAX_SCALE = 3.0  # pictures are enlarged at most this much, before a squeeze
SQUEEZED_SHARE = 0.4  # of the tiles of pictures with hand-drawn boxes, squeezed or stretched, as many pictures on the web are
LOG_SQUEEZE = 0.5  # largest logarithm of width over height of such a tile's picture, relative to what it was
EMPTY_SHARE = 0.12  # of the tiles, show a photo without faces only
FAR_PX = 1e5  # offset that moves a picture out of its tile


class Grid(NamedTuple):
    """A kind of scene.

    Attributes:
        share: Share of the batch.
        tiles: Tiles along a side.
        min_px: Smallest longer side of the face that the tile is drawn for.
        max_px: Largest one.
    """

    share: float
    tiles: int
    min_px: float
    max_px: float


GRIDS = (Grid(0.42, 1, 8, 140), Grid(0.10, 1, 140, 700), Grid(0.20, 2, 14, 220), Grid(0.18, 4, 9, 90), Grid(0.10, 8, 7, 40))


class TilePlan(NamedTuple):
    """What T tiles show.

    Attributes:
        picture: (T,) long.
        matrix: (T, 2, 3) from px of the tile to px of the picture.
        background: (T,) long, a photo without faces.
        background_matrix: (T, 2, 3) from px of the tile to px of that photo.
        tiles: (), tiles along a side of a scene.
    """

    picture: Tensor
    matrix: Tensor
    background: Tensor
    background_matrix: Tensor
    tiles: Tensor


class ScenePlan(NamedTuple):
    """Plan of B scenes.

    Attributes:
        tiles: The tiles of each kind of scene.
        faces: The fields of `mfn.training.data.batch.Batch`, except the picture.
    """

    tiles: list[TilePlan]
    faces: dict[str, Tensor]


class _Tiles(NamedTuple):
    """The tiles of one kind of scene, with faces and ignore regions in px of the scenes."""

    plan: TilePlan
    faces: Faces
    has_labels: NDArray[np.bool_]
    ignore_box: NDArray[np.float64]
    ignore_image: NDArray[np.int64]
    hand_drawn: NDArray[np.bool_]


class ScenePlanner:
    """Draw plans of batches.

    Args:
        library: The faces to draw from.
        background_sizes: (Q, 2) width and height of the photos without faces, px.
        identity_mirror: (I,) sign of each identity component in a mirrored picture.
        box_of: Returns the boxes (N, 4) of labeled faces from pose, identity and expression.
        size: Side of a scene, px, a multiple of 64.
        grids: The kinds of scenes.
    """

    def __init__(
        self,
        library: FaceLibrary,
        background_sizes: NDArray[Any],
        identity_mirror: NDArray[np.float32],
        box_of: BoxFunction,
        size: int = 512,
        grids: tuple[Grid, ...] = GRIDS,
    ) -> None:
        self.library, self.background_sizes, self.box_of = library, background_sizes, box_of
        self.identity_mirror, self.size, self.grids = identity_mirror.astype(np.float32), size, grids

    def counts(self, batch: int) -> list[int]:
        """Return how many scenes of a batch each kind gets."""
        ends = np.rint(np.cumsum([g.share for g in self.grids]) / sum(g.share for g in self.grids) * batch).astype(int)
        return [int(n) for n in np.diff([0, *ends])]

    def plan(self, batch: int, rng: np.random.Generator) -> ScenePlan:
        """Draw the plan of a batch."""
        tiles, parts, ignored, hand_drawn, first = [], [], [], [], 0
        for grid, count in zip(self.grids, self.counts(batch), strict=True):
            if not count:
                continue
            made = self._tiles(grid, count, rng)
            tiles.append(made.plan)
            parts.append((made.faces.replace(image=made.faces.image + first), made.has_labels))
            ignored.append((made.ignore_box, made.ignore_image + first))
            hand_drawn.append(made.hand_drawn)
            first += count
        faces = Faces.concatenate([f for f, _ in parts])
        order = np.argsort(faces.image, kind="stable")
        faces, labels = faces[order], np.concatenate([k for _, k in parts])[order]
        fields = {n: torch.tensor(getattr(faces, n)) for n in TARGET_FIELDS}
        fields |= {
            "image": torch.tensor(faces.image).long(),
            "has_labels": torch.from_numpy(labels),
            "ignore_box": torch.from_numpy(np.concatenate([b for b, _ in ignored]).astype(np.float32)),
            "ignore_image": torch.from_numpy(np.concatenate([i for _, i in ignored])).long(),
            "hand_drawn": torch.from_numpy(np.concatenate(hand_drawn)),
        }
        return ScenePlan(tiles, fields)

    def _tiles(self, grid: Grid, count: int, rng: np.random.Generator) -> _Tiles:
        """Plan the tiles of `count` scenes of one kind."""
        side, number = self.size / grid.tiles, count * grid.tiles**2
        anchor = self.library.draw(number, rng)
        face = self.library.faces[anchor]
        forward, mirror = self._place(face, side, grid, rng)
        forward = self._squeeze(forward, face, rng)
        empty = rng.random(number) < EMPTY_SHARE
        forward[empty, :, 2] += FAR_PX
        tile = np.arange(number)
        scene, row, column = tile // grid.tiles**2, tile // grid.tiles % grid.tiles, tile % grid.tiles
        origin = np.stack([column, row], 1) * side
        picture = face.image.astype(np.int64)
        moved, labels, owner = self._move(picture, forward, mirror)
        window = np.concatenate([np.zeros(2), np.full(2, side)])
        low, high = np.maximum(moved.box[:, :2], window[:2]), np.minimum(moved.box[:, 2:], window[2:])
        clipped = np.concatenate([low, np.maximum(high, low)], 1)
        area = (moved.box[:, 2:] - moved.box[:, :2]).prod(1)
        visible = (clipped[:, 2:] - clipped[:, :2]).prod(1) / np.maximum(area, 1e-6)
        keep = (visible >= MIN_VISIBLE_SHARE) & (np.sqrt((clipped[:, 2:] - clipped[:, :2]).prod(1)) > MIN_FACE_PX)
        ignored = ~keep & (visible > MIN_IGNORED_SHARE)
        shift = origin[owner]
        faces = moved.replace(
            box=(clipped + np.tile(shift, 2)).astype(np.float32),
            center=(moved.center + shift).astype(np.float32),
            image=scene[owner].astype(np.int32),
        )
        region, region_owner = self._ignored(picture, forward, side)
        boxes = np.concatenate([faces.box[ignored], region + np.tile(origin[region_owner], 2)])
        images = np.concatenate([scene[owner][ignored], scene[region_owner]])
        background = rng.integers(len(self.background_sizes), size=number)
        plan = TilePlan(
            torch.from_numpy(picture),
            torch.from_numpy(_inverse(forward)),
            torch.from_numpy(background),
            torch.from_numpy(self._background(background, side, rng)),
            torch.tensor(grid.tiles),
        )
        by_people, shown = (self.library.hand_drawn[picture] | empty).reshape(count, -1), ~empty.reshape(count, -1)
        return _Tiles(plan, faces[keep], labels[keep], boxes, images, np.asarray(by_people.all(1) & shown.any(1)))

    def _place(self, face: Faces, side: float, grid: Grid, rng: np.random.Generator) -> tuple[Array, Array]:
        """Place the drawn faces: return maps (T, 2, 3) from px of the picture to px of the tile, and which are mirrored (T,) bool."""
        number = len(face)
        box = face.box.astype(np.float64)
        size = (box[:, 2:] - box[:, :2]).max(1).clip(1)
        wanted = np.exp(rng.uniform(np.log(grid.min_px), np.log(grid.max_px), number))
        gain = np.minimum(wanted / size, MAX_SCALE)
        span = np.minimum(gain * size, side)
        angle = np.where(rng.random(number) < ANY_ROLL_SHARE, rng.uniform(-np.pi, np.pi, number), rng.normal(0, ROLL_RAD, number))
        mirror = rng.random(number) < 0.5
        c, s = gain * np.cos(angle), gain * np.sin(angle)
        a = np.stack([np.stack([c, -s], 1), np.stack([s, c], 1)], 1)
        a = a * np.where(mirror, -1.0, 1.0)[:, None, None] ** np.array([1, 0])  # x of the picture first
        free = np.maximum(side - 0.8 * span, 0.3 * side)[:, None]
        to = side / 2 + (rng.random((number, 2)) - 0.5) * free
        middle = (box[:, :2] + box[:, 2:]) / 2
        t = to - np.einsum("nij,nj->ni", a, middle)
        return np.concatenate([a, t[:, :, None]], 2), mirror

    def _squeeze(self, forward: Array, face: Faces, rng: np.random.Generator) -> Array:
        """Change the ratio of width to height of some pictures, at the same area, about the middle of the drawn face.

        Args:
            forward: (T, 2, 3) from px of the picture to px of the tile.
            face: The T drawn faces.
            rng: Random numbers.

        Returns:
            (T, 2, 3). Pictures with labels keep their shape: a squeezed face has no pose of the head model.
        """
        number = len(face)
        chosen = self.library.hand_drawn[face.image] & (rng.random(number) < SQUEEZED_SHARE)
        half = np.where(chosen, rng.uniform(-LOG_SQUEEZE, LOG_SQUEEZE, number) / 2, 0.0)
        a = forward[:, :, :2] * np.exp(np.stack([half, -half], 1))[:, None]
        middle = (face.box[:, :2] + face.box[:, 2:]) / 2.0
        t = forward[:, :, 2] + np.einsum("nij,nj->ni", forward[:, :, :2] - a, middle)
        return np.concatenate([a, t[:, :, None]], 2)

    def _move(self, picture: Array, forward: Array, mirror: Array) -> tuple[Faces, NDArray[Any], Array]:
        """Return all faces of the tiles' pictures in px of their tile, whether they have labels, and the tile of each."""
        rows, owner = _ranges(self.library.first_face[picture], self.library.first_face[picture + 1])
        faces, labels = self.library.faces[rows], self.library.has_labels[rows]
        a, t, flip = forward[owner, :, :2], forward[owner, :, 2], mirror[owner]
        gain = np.sqrt(np.abs(np.linalg.det(a)))
        turn = np.tile(np.eye(3), (len(rows), 1, 1))
        turn[:, :2, :2] = np.where(flip[:, None, None], a * np.array([-1.0, 1.0]), a) / gain[:, None, None]
        rotation = np.where(flip[:, None, None], mirror_rotation(faces.rotation), faces.rotation)
        half = (faces.box[:, 2:] - faces.box[:, :2]) / 2
        middle = np.einsum("nij,nj->ni", a, (faces.box[:, 2:] + faces.box[:, :2]) / 2) + t
        half = np.sqrt(np.einsum("nij,nj->ni", a**2, half**2))  # half axes of the bounds of the box's ellipse
        expression = np.where(flip[:, None], hflip_expression(faces.expression), faces.expression)
        moved = faces.replace(
            box=np.concatenate([middle - half, middle + half], 1).astype(np.float32),
            rotation=(turn @ rotation).astype(np.float32),
            scale=(faces.scale * gain).astype(np.float32),
            center=(np.einsum("nij,nj->ni", a, faces.center) + t).astype(np.float32),
            identity=np.where(flip[:, None], faces.identity * self.identity_mirror, faces.identity).astype(np.float32),
            expression=expression.astype(np.float32),
        )
        if labels.any():
            box = moved.box.copy()
            box[labels] = self.box_of(moved[labels])
            moved = moved.replace(box=box)
        return moved, labels, owner

    def _ignored(self, picture: Array, forward: Array, side: float) -> tuple[Array, Array]:
        """Return the ignore regions of the tiles' pictures in px of their tile, and the tile of each."""
        image = self.library.ignore_image
        rows, owner = _ranges(np.searchsorted(image, picture), np.searchsorted(image, picture + 1))
        box = self.library.ignore_box[rows]
        half = (box[:, 2:] - box[:, :2]) / 2
        a, t = forward[owner, :, :2], forward[owner, :, 2]
        middle = np.einsum("nij,nj->ni", a, (box[:, 2:] + box[:, :2]) / 2) + t
        half = np.einsum("nij,nj->ni", np.abs(a), half)
        moved = np.concatenate([middle - half, middle + half], 1)
        inside = (moved[:, :2] < side).all(1) & (moved[:, 2:] > 0).all(1)
        return moved[inside].clip(0, side), owner[inside]

    def _background(self, background: Array, side: float, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return maps (T, 2, 3) from px of the tile to px of a random part of its background."""
        size = self.background_sizes[background].astype(np.float64)
        gain = size.min(1) * rng.uniform(0.25, 1.0, len(background)) / side
        start = rng.random((len(background), 2)) * (size - (gain * side)[:, None])
        matrix = np.zeros((len(background), 2, 3))
        matrix[:, 0, 0] = matrix[:, 1, 1] = gain
        matrix[:, :, 2] = start
        return matrix.astype(np.float32)


def _ranges(start: Array, stop: Array) -> tuple[Array, Array]:
    """Return the numbers of all ranges start[i] to stop[i], one range after the other, and the range of each."""
    length = stop - start
    owner = np.repeat(np.arange(len(start)), length)
    offset = np.cumsum(length) - length
    return np.arange(length.sum()) - offset[owner] + start[owner], owner


def _inverse(matrix: Array) -> NDArray[np.float32]:
    """Invert affine maps (T, 2, 3)."""
    a = np.linalg.inv(matrix[:, :, :2])
    return np.concatenate([a, -np.einsum("nij,nj->ni", a, matrix[:, :, 2])[:, :, None]], 2).astype(np.float32)
