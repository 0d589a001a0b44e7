"""Training scenes: pictures of faces, rotated, mirrored and scaled, pasted onto photos without faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.training.data.augment import jitter_scene, occlude, paste_patch
from mfn.training.data.sampling import expression_weights, rows_by_picture, yaw_weights
from mfn.training.data.warp import (
    BoxFunction,
    box_sizes,
    choose_window,
    covers_face,
    share_inside,
    similarity_matrix,
    warp_boxes,
    warp_faces,
    warped_bounds,
)
from mfn.training.packs.reader import Pack
from retarget.io.images import Image

Boxes = NDArray[np.floating]

OCCLUDED_SHARE = 0.16  # share of the patches in which something covers part of the face
MIN_OCCLUDED_PX = 24.0  # smaller faces are not occluded
MIN_OCCLUDER_PX = 8
MIN_VISIBLE = 0.6  # a face of which less is visible becomes an ignore region
MIN_IGNORED = 0.1  # a face of which less is in its patch is dropped without an ignore region
MIN_FACE_PX = 7.0  # smaller faces become ignore regions
MIN_SOURCE_FACE_PX = 8.0  # smaller faces of a pack are not chosen for a patch
LARGE_FACE = 0.28  # from this size, relative to the scene, a face may be pasted with its whole picture
PLACE_ATTEMPTS = 5
WIDE_ROTATION_SHARE, WIDE_ROTATION_RAD, ROTATION_STD_RAD = 0.25, 0.8, 0.17
INSIDE_SHARE = 0.93  # share of the patches whose face lies inside the scene; others may reach over its border
MARGIN, NEAR_BORDER_MARGIN = 0.5, 0.1  # of the face's center to the border, relative to the face's size


class SceneKind(NamedTuple):
    """A kind of scene.

    Attributes:
        share: Share of all scenes.
        patches: Smallest and largest number of patches.
        size: Smallest and largest face, relative to the side of the scene.
        tiles: The scene is a sheet of tiles x tiles smaller scenes of this kind. A portrait fills a scene with one
            face; a sheet of four portraits trains on four faces at the same cost.
    """

    share: float
    patches: tuple[int, int]
    size: tuple[float, float]
    tiles: int = 1


SCENE_KINDS: dict[str, SceneKind] = {
    "sheet": SceneKind(0.50, (1, 2), (0.27, 0.95), 2),
    "portrait": SceneKind(0.12, (1, 4), (0.25, 0.95)),
    "small": SceneKind(0.09, (1, 3), (0.04, 0.2)),  # few small faces, so that the network does not learn that small means crowded
    "group": SceneKind(0.18, (5, 12), (0.14, 0.45)),
    "crowd": SceneKind(0.11, (15, 40), (0.04, 0.16)),
}


class Scene(NamedTuple):
    """A training picture with its targets.

    Attributes:
        picture: (S, S, 3) uint8 RGB.
        faces: M faces in px of the picture.
        has_labels: (M,) bool, True if pose, identity and expression are labels; else only the box is.
        ignore_box: (Q, 4) x1 y1 x2 y2 px, regions without a target.
        hand_drawn: Whether all faces come from packs with hand-drawn boxes.
    """

    picture: Image
    faces: Faces
    has_labels: NDArray[np.bool_]
    ignore_box: Boxes
    hand_drawn: bool = False


def is_anchor(pack: Pack) -> NDArray[np.bool_]:
    """Tell which faces (M,) of a pack are large enough to choose a patch by them."""
    return np.asarray(box_sizes(pack.faces.box) > MIN_SOURCE_FACE_PX)


class SceneComposer:
    """Compose training scenes.

    Args:
        packs: The packs from which faces are drawn.
        weights: How often each pack is drawn, relative to the others.
        backgrounds: Photos (H, W, 3) uint8 RGB without faces.
        identity_mirror: (I,) `HeadModel.identity_mirror`.
        box_of: Computes the boxes of faces, `HeadModel.boxes`.
        size: Side of a scene in px.
        kinds: Name -> kind of scene.

    Raises:
        ValueError: No packs, not one weight for each, or no face that is large enough.
    """

    def __init__(
        self,
        packs: Sequence[Pack],
        weights: Sequence[float],
        backgrounds: Sequence[Image],
        identity_mirror: NDArray[np.floating],
        box_of: BoxFunction,
        size: int = 256,
        kinds: Mapping[str, SceneKind] = SCENE_KINDS,
    ) -> None:
        if len(packs) != len(weights) or not packs:
            raise ValueError(f"expected one weight for each of at least one pack, got {len(weights)} for {len(packs)}")
        self.packs, self.backgrounds, self.size = packs, backgrounds, size
        self.kinds = [SceneKind(*kind) for kind in kinds.values()]
        self.identity_mirror, self.box_of = identity_mirror.astype(np.float32), box_of
        self.face_rows = [rows_by_picture(p.faces.image, len(p.pictures)) for p in packs]
        self.ignore_rows = [rows_by_picture(p.ignore_image, len(p.pictures)) for p in packs]
        self.anchors = [np.flatnonzero(is_anchor(p)) for p in packs]
        shares = np.asarray(weights, float) * [len(rows) > 0 for rows in self.anchors]
        if not shares.any():
            raise ValueError(f"expected packs with faces of more than {MIN_SOURCE_FACE_PX:.0f} px, got none")
        self.pack_shares = shares / shares.sum()
        chosen = [p.faces[rows] for p, rows in zip(packs, self.anchors, strict=True)]
        self.cumulative_weights = [np.cumsum(expression_weights(f.expression) * yaw_weights(f.rotation)) for f in chosen]

    def compose(self, rng: np.random.Generator) -> Scene:
        """Compose a scene of a random kind."""
        shares = np.array([kind.share for kind in self.kinds])
        kind = self.kinds[rng.choice(len(shares), p=shares / shares.sum())]
        side = self.size // kind.tiles
        return join_tiles([self._compose_tile(kind, side, rng) for _ in range(kind.tiles**2)], kind.tiles)

    def _compose_tile(self, kind: SceneKind, side: int, rng: np.random.Generator) -> Scene:
        """Compose one tile of a scene of this kind, of `side` px."""
        canvas = self._background(side, rng)
        placed: list[Scene] = []
        for _ in range(rng.integers(kind.patches[0], kind.patches[1] + 1)):
            face_px = side * np.exp(rng.uniform(np.log(kind.size[0]), np.log(kind.size[1])))
            patch = self._place(canvas, face_px, placed, rng)
            if patch is not None:
                placed.append(patch)
        picture = jitter_scene(canvas, rng)
        if not placed:
            return self._compose_tile(kind, side, rng)
        faces = Faces.concatenate([p.faces for p in placed])
        has_labels, ignored = np.concatenate([p.has_labels for p in placed]), np.concatenate([p.ignore_box for p in placed])
        return clip_scene(Scene(picture, faces, has_labels, ignored, all(p.hand_drawn for p in placed)))

    def _background(self, side: int, rng: np.random.Generator) -> Image:
        """Cut a random square from a background photo and resize it to `side` px."""
        import cv2

        photo = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        h, w = photo.shape[:2]
        source = int(min(h, w) * rng.uniform(0.3, 1.0))
        x, y = rng.integers(w - source + 1), rng.integers(h - source + 1)
        return np.asarray(cv2.resize(photo[y : y + source, x : x + source], (side, side), interpolation=cv2.INTER_AREA))

    def _occlude(self, canvas: Image, box: Boxes, rng: np.random.Generator) -> None:
        """Paste a piece of a background photo over part of the face in `box` (4,), in place."""
        x1, y1, x2, y2 = box.round().astype(int).clip(0, canvas.shape[0])
        if min(x2 - x1, y2 - y1) >= MIN_OCCLUDER_PX:
            photo = self._background(int(max(x2 - x1, y2 - y1)), rng)
            occlude(canvas[y1:y2, x1:x2], photo[: y2 - y1, : x2 - x1], rng)

    def _choose_patch(self, face_px: float, side: int, rng: np.random.Generator) -> _Patch:
        """Choose a face and how its picture is pasted into a scene of `side` px."""
        number = int(rng.choice(len(self.packs), p=self.pack_shares))
        pack, weights = self.packs[number], self.cumulative_weights[number]
        anchor = int(self.anchors[number][np.searchsorted(weights, rng.random() * weights[-1])])
        mirror = rng.random() < 0.5
        wide = rng.random() < WIDE_ROTATION_SHARE
        angle = rng.uniform(-WIDE_ROTATION_RAD, WIDE_ROTATION_RAD) if wide else rng.normal(0, ROTATION_STD_RAD)
        shape = pack.pictures[int(pack.faces.image[anchor])].shape
        window = choose_window(pack.faces.box[anchor], shape, face_px > LARGE_FACE * side, rng)
        return _Patch(number, anchor, face_px, mirror, angle, window)

    def _find_place(self, patch: _Patch, side: int, placed: list[Scene], rng: np.random.Generator) -> NDArray[np.float64] | None:
        """Find a transform that covers no face pasted before; None after some attempts."""
        pack = self.packs[patch.pack]
        box = pack.faces.box[patch.anchor]
        width = pack.pictures[int(pack.faces.image[patch.anchor])].shape[1]
        pivot = (box[:2] + box[2:]) / 2
        if patch.mirror:
            pivot = np.array([width - pivot[0], pivot[1]])
        scale = patch.face_px / float(box_sizes(box[None])[0])
        there = np.concatenate([p.faces.box for p in placed]) if placed else np.zeros((0, 4), np.float32)
        for _ in range(PLACE_ATTEMPTS):
            margin = patch.face_px * (MARGIN if rng.random() < INSIDE_SHARE else NEAR_BORDER_MARGIN)
            low, high = min(margin, side / 2), max(side - margin, side / 2)
            matrix = similarity_matrix(scale, patch.angle, pivot, rng.uniform(low, high, 2), patch.mirror, width)
            if not covers_face(warped_bounds(patch.window, matrix), there):
                return matrix
        return None

    def _place(self, canvas: Image, face_px: float, placed: list[Scene], rng: np.random.Generator) -> Scene | None:
        """Paste one picture into the canvas, in place, so that a face of it has the size `face_px`.

        Args:
            canvas: (S, S, 3) uint8 RGB.
            face_px: Size of the face in px.
            placed: The patches pasted so far.
            rng: Source of randomness.

        Returns:
            The faces and ignore regions of the patch; None if there was no free place.
        """
        patch = self._choose_patch(face_px, canvas.shape[0], rng)
        matrix = self._find_place(patch, canvas.shape[0], placed, rng)
        if matrix is None:
            return None
        pack = self.packs[patch.pack]
        image = int(pack.faces.image[patch.anchor])
        rows, ignore_rows = self.face_rows[patch.pack][image], self.ignore_rows[patch.pack][image]
        paste_patch(canvas, pack.pictures[image], matrix, patch.window, rng)
        faces = warp_faces(pack.faces[rows], matrix, self.identity_mirror, pack.has_labels[rows], self.box_of)
        if rng.random() < OCCLUDED_SHARE and face_px > MIN_OCCLUDED_PX:
            self._occlude(canvas, faces.box[np.flatnonzero(rows == patch.anchor)[0]], rng)
        visible = share_inside(pack.faces.box[rows], patch.window)
        keep = visible >= MIN_VISIBLE
        partly = (visible > MIN_IGNORED) & ~keep
        shown = warped_bounds(patch.window, matrix)
        faces = faces.replace(box=np.concatenate([np.maximum(faces.box[:, :2], shown[:2]), np.minimum(faces.box[:, 2:], shown[2:])], 1))
        ignored = np.concatenate([warp_boxes(pack.ignore_box[ignore_rows], matrix), faces.box[partly]])
        return Scene(canvas, faces[keep], pack.has_labels[rows][keep], ignored, pack.hand_drawn)


class _Patch(NamedTuple):
    """A face of a pack, and how its picture is pasted.

    Attributes:
        pack: Index of the pack.
        anchor: Row of the face in the pack.
        face_px: Size of the face in the scene.
        mirror: Whether the picture is mirrored.
        angle: Rotation in radians, clockwise as seen.
        window: (4,) the part of the picture that is pasted, px.
    """

    pack: int
    anchor: int
    face_px: float
    mirror: bool
    angle: float
    window: NDArray[np.float32]


def join_tiles(tiles: Sequence[Scene], tiles_per_side: int) -> Scene:
    """Join square scenes of the same size, row by row, into one scene."""
    if tiles_per_side == 1:
        return tiles[0]
    side = tiles[0].picture.shape[0]
    shifts = [np.array([i % tiles_per_side * side, i // tiles_per_side * side], np.float32) for i in range(len(tiles))]
    rows = [np.concatenate([t.picture for t in tiles[i : i + tiles_per_side]], 1) for i in range(0, len(tiles), tiles_per_side)]
    faces = Faces.concatenate([t.faces for t in tiles])
    shift = np.repeat(shifts, [len(t.faces) for t in tiles], axis=0)
    faces = faces.replace(box=faces.box + np.tile(shift, 2), center=faces.center + shift)
    ignored = np.concatenate([t.ignore_box + np.tile(s, 2) for t, s in zip(tiles, shifts, strict=True)])
    has_labels, hand_drawn = np.concatenate([t.has_labels for t in tiles]), all(t.hand_drawn for t in tiles)
    return Scene(np.concatenate(rows), faces, has_labels, ignored, hand_drawn)


def clip_scene(scene: Scene) -> Scene:
    """Clip boxes at the border of the scene. Faces that are mostly outside, or too small, become ignore regions."""
    side = scene.picture.shape[0]
    visible = share_inside(scene.faces.box, np.array([0, 0, side, side], np.float32))
    clipped = scene.faces.box.clip(0, side)
    keep = (visible >= MIN_VISIBLE) & (box_sizes(clipped) >= MIN_FACE_PX)
    ignored = np.concatenate([scene.ignore_box, clipped[~keep & (visible > 0)]]).clip(0, side)
    faces = scene.faces.replace(box=clipped)[keep]
    return scene._replace(faces=faces, has_labels=scene.has_labels[keep], ignore_box=ignored)
