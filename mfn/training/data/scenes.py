"""Training scenes: pictures of faces, turned, mirrored and scaled, laid over photos without faces.

Coordinates are continuous px: the left edge of the first column is 0 and its centre 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mfn.structures.camera import mirror_rotation
from mfn.structures.faces import Faces
from mfn.structures.flip import hflip_expression
from mfn.training.data.augment import blend_patch, hide, scene_look
from mfn.training.data.packs import Pack

HIDDEN = 0.16  # of all patches: something lies before the face
SEEN_SHARE = 0.6  # a face of which less is inside the scene is neither face nor background


class Kind(NamedTuple):
    """A kind of scene: share of all, least and most patches, least and most face size in parts of the scene's side.

    tiles: a sheet of tiles x tiles such scenes, each of so small a side. A portrait fills a scene with one face; a sheet of four
    portraits teaches four at the same cost.
    """

    share: float
    patches: tuple[int, int]
    size: tuple[float, float]
    tiles: int = 1


KINDS: dict[str, Kind] = {
    "sheet": Kind(0.50, (1, 2), (0.27, 0.95), 2),
    "portrait": Kind(0.12, (1, 4), (0.25, 0.95)),
    "far": Kind(0.09, (1, 3), (0.04, 0.2)),  # small faces without company: else the network waits for a crowd round them
    "group": Kind(0.18, (5, 12), (0.14, 0.45)),
    "crowd": Kind(0.11, (15, 40), (0.04, 0.16)),
}
RARE = 1.5  # a face whose expression is k times as long as is usual is drawn k**RARE times as often, at most RAREST times
RAREST = 4.0
TURNED = (15.0, 35.0)  # degrees of yaw: from the first on a face is drawn more often, from the second on AHEAD times as often as from ahead
AHEAD = 4.0

BoxOf = Callable[[Faces], np.ndarray]
"""Boxes (N, 4) of faces from their pose, identity and expression alone."""


class Scene(NamedTuple):
    """picture (S, S, 3) uint8 RGB; faces with boxes in its px; known (M,) bool: all of the face is labelled; unsure (Q, 4) boxes."""

    picture: np.ndarray
    faces: Faces
    known: np.ndarray
    unsure: np.ndarray


def similarity(gain: float, angle: float, pivot: np.ndarray, to: np.ndarray, mirror: bool, width: float) -> np.ndarray:
    """(2, 3) map of px: mirror (x -> width - x) first, then turn by angle (radians, clockwise as seen) and scale about pivot, put at `to`.

    pivot: (2,) px after the mirror.
    """
    c, s = gain * np.cos(angle), gain * np.sin(angle)
    a = np.array([[c, -s], [s, c]])
    t = to - a @ pivot
    if mirror:
        t = t + a @ np.array([width, 0.0])
        a = a @ np.diag([-1.0, 1.0])
    return np.concatenate([a, t[:, None]], 1)


def move_faces(faces: Faces, matrix: np.ndarray, identity_mirror: np.ndarray, known: np.ndarray, box_of: BoxOf) -> Faces:
    """Faces as they are after the picture went through `matrix` (from `similarity`): exact for pose, mirror-aware for the rest.

    The box of a known face is made anew from its pose; that of another from its ellipse.
    """
    a, t = matrix[:, :2], matrix[:, 2]
    gain = np.sqrt(abs(np.linalg.det(a)))
    mirror = np.linalg.det(a) < 0
    turn = np.eye(3, dtype=np.float32)
    turn[:2, :2] = (a @ np.diag([-1.0, 1.0]) if mirror else a) / gain
    rotation = mirror_rotation(faces.rotation) if mirror else faces.rotation
    half = (faces.box[:, 2:] - faces.box[:, :2]) / 2
    middle = (faces.box[:, 2:] + faces.box[:, :2]) / 2 @ a.T + t
    half = np.sqrt(half**2 @ (a**2).T)
    moved = Faces(
        image=faces.image,
        box=np.concatenate([middle - half, middle + half], 1),
        score=faces.score,
        rotation=(turn @ rotation).astype(np.float32),
        scale=faces.scale * gain,
        center=faces.center @ a.T + t,
        identity=faces.identity * identity_mirror if mirror else faces.identity,
        expression=hflip_expression(faces.expression) if mirror else faces.expression,
        track=faces.track,
    )
    if known.any():
        moved.box[known] = box_of(moved[known])
    return moved


class Mosaic:
    """Makes scenes for ever. packs: what to draw from, with one weight each; backgrounds: photos without faces; size: side, px."""

    def __init__(
        self,
        packs: Sequence[Pack],
        weights: Sequence[float],
        backgrounds: Sequence[np.ndarray],
        identity_mirror: np.ndarray,
        box_of: BoxOf,
        size: int = 256,
        kinds: Mapping[str, Kind] = KINDS,
    ) -> None:
        if len(packs) != len(weights) or not packs:
            raise ValueError(f"expected one weight for each of at least one pack, got {len(weights)} for {len(packs)}")
        self.packs, self.backgrounds, self.size = packs, backgrounds, size
        self.kinds = [Kind(*kind) for kind in kinds.values()]
        self.share = np.asarray(weights, float) / np.sum(weights)
        self.identity_mirror, self.box_of = identity_mirror.astype(np.float32), box_of
        self.rows = [_rows_by_picture(p.faces.image, len(p.pictures)) for p in packs]
        self.unsure_rows = [_rows_by_picture(p.unsure_image, len(p.pictures)) for p in packs]
        self.anchors = [np.flatnonzero(_span(p.faces.box) > 8) for p in packs]
        chosen = [p.faces[a] for p, a in zip(packs, self.anchors, strict=True)]
        self.odds = [np.cumsum(expression_odds(faces.expression) * turn_odds(faces.rotation)) for faces in chosen]

    def scene(self, rng: np.random.Generator) -> Scene:
        """One scene of a kind drawn by its share."""
        shares = np.array([kind.share for kind in self.kinds])
        kind = self.kinds[rng.choice(len(shares), p=shares / shares.sum())]
        return _sheet([self._compose(kind, self.size // kind.tiles, rng) for _ in range(kind.tiles**2)], kind.tiles)

    def _compose(self, kind: Kind, side: int, rng: np.random.Generator) -> Scene:
        """One scene of this kind, one tile where it has several."""
        canvas = self._background(side, rng)
        placed: list[Scene] = []
        for _ in range(rng.integers(kind.patches[0], kind.patches[1] + 1)):
            target = side * np.exp(rng.uniform(np.log(kind.size[0]), np.log(kind.size[1])))
            patch = self._place(canvas, target, placed, rng)
            if patch is not None:
                placed.append(patch)
        picture = scene_look(canvas, rng)
        if not placed:
            return self._compose(kind, side, rng)
        faces = Faces.concatenate([p.faces for p in placed])
        known, unsure = np.concatenate([p.known for p in placed]), np.concatenate([p.unsure for p in placed])
        return _crop(Scene(picture, faces, known, unsure))

    def _background(self, to: int, rng: np.random.Generator) -> np.ndarray:
        import cv2

        photo = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        h, w = photo.shape[:2]
        side = int(min(h, w) * rng.uniform(0.3, 1.0))
        x, y = rng.integers(w - side + 1), rng.integers(h - side + 1)
        return cv2.resize(photo[y : y + side, x : x + side], (to, to), interpolation=cv2.INTER_AREA)

    def _hide(self, canvas: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> None:
        """Lays a piece of a photo over some of the face in `box` (4,)."""
        x1, y1, x2, y2 = box.round().astype(int).clip(0, canvas.shape[0])
        if min(x2 - x1, y2 - y1) >= 8:
            photo = self._background(int(max(x2 - x1, y2 - y1)), rng)
            hide(canvas[y1:y2, x1:x2], photo[: y2 - y1, : x2 - x1], rng)

    def _place(self, canvas: np.ndarray, target: float, placed: list[Scene], rng: np.random.Generator) -> Scene | None:
        """Lays one picture so that one of its faces has `target` px; None where no free place was found. Writes into canvas."""
        size = canvas.shape[0]
        number = int(rng.choice(len(self.packs), p=self.share))
        pack = self.packs[number]
        odds = self.odds[number]
        anchor = int(self.anchors[number][np.searchsorted(odds, rng.random() * odds[-1])])
        image = int(pack.faces.image[anchor])
        picture = pack.pictures[image]
        rows, width = self.rows[number][image], picture.shape[1]
        mirror = rng.random() < 0.5
        angle = rng.uniform(-0.8, 0.8) if rng.random() < 0.25 else rng.normal(0, 0.17)
        box = pack.faces.box[anchor]
        pivot = (box[:2] + box[2:]) / 2
        window = _window(box, picture.shape, target > 0.28 * size, rng)
        gain = target / _span(box[None])[0]
        pivot_mirrored = np.array([width - pivot[0], pivot[1]]) if mirror else pivot
        for _ in range(5):
            margin = 0.5 * target if rng.random() < 0.93 else 0.1 * target
            low, high = min(margin, size / 2), max(size - margin, size / 2)
            matrix = similarity(gain, angle, pivot_mirrored, rng.uniform(low, high, 2), mirror, width)
            covered = _hull(window, matrix)
            if not _hides(covered, placed):
                break
        else:
            return None
        blend_patch(canvas, picture, matrix, window, rng)
        faces = move_faces(pack.faces[rows], matrix, self.identity_mirror, pack.known[rows], self.box_of)
        if rng.random() < HIDDEN and target > 24:
            self._hide(canvas, faces.box[np.flatnonzero(rows == anchor)[0]], rng)
        inside = _share_inside(pack.faces.box[rows], window)
        unsure = _move_boxes(pack.unsure[self.unsure_rows[number][image]], matrix)
        keep = inside >= SEEN_SHARE
        partly = (inside > 0.1) & ~keep
        shown = _hull(window, matrix)
        faces.box[:] = np.concatenate([np.maximum(faces.box[:, :2], shown[:2]), np.minimum(faces.box[:, 2:], shown[2:])], 1)
        return Scene(canvas, faces[keep], pack.known[rows][keep], np.concatenate([unsure, faces.box[partly]]))


def _sheet(tiles: list[Scene], across: int) -> Scene:
    """Square scenes of one side, row by row, as one."""
    if across == 1:
        return tiles[0]
    side = tiles[0].picture.shape[0]
    shifts = [np.array([i % across * side, i // across * side], np.float32) for i in range(len(tiles))]
    rows = [np.concatenate([t.picture for t in tiles[r * across : (r + 1) * across]], 1) for r in range(across)]
    faces = Faces.concatenate([t.faces for t in tiles])
    shift = np.repeat(shifts, [len(t.faces) for t in tiles], axis=0)
    faces.box[:] += np.tile(shift, 2)
    faces.center[:] += shift
    unsure = np.concatenate([t.unsure + np.tile(s, 2) for t, s in zip(tiles, shifts, strict=True)])
    return Scene(np.concatenate(rows), faces, np.concatenate([t.known for t in tiles]), unsure)


def expression_odds(expression: np.ndarray) -> np.ndarray:
    """How often faces are drawn for their expressions (N, 51) -> (N,): open mouths and closed eyes are rare and must be seen often."""
    length = np.linalg.norm(expression - np.median(expression, 0), axis=1) if len(expression) else np.zeros(0)
    usual = max(float(np.median(length)), 1e-3) if len(length) else 1.0
    return np.clip((length / usual) ** RARE, 0.7, RAREST)


def turn_odds(rotation: np.ndarray) -> np.ndarray:
    """How often faces are drawn for their turn to the side (N, 3, 3) -> (N,): of photos one in thirty is turned by more than 30 degrees."""
    yaw = np.degrees(np.arctan2(np.abs(rotation[:, 0, 2]), np.abs(rotation[:, 2, 2])))
    return np.interp(yaw, TURNED, (1.0, AHEAD))


def _rows_by_picture(image: np.ndarray, pictures: int) -> list[np.ndarray]:
    order = np.argsort(image, kind="stable")
    return np.split(order, np.searchsorted(image[order], np.arange(1, pictures)))


def _span(box: np.ndarray) -> np.ndarray:
    """sqrt(w h) of boxes (N, 4) -> (N,)"""
    return np.sqrt(np.maximum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), 1e-6))


def _window(box: np.ndarray, shape: tuple[int, ...], whole: bool, rng: np.random.Generator) -> np.ndarray:
    """The part of a picture that is laid: the face with some of what is around it (x1 y1 x2 y2 px), or often all for a large face."""
    full = np.array([0, 0, shape[1], shape[0]], np.float32)
    if whole and rng.random() < 0.35:
        return full
    size = (box[2:] - box[:2]).max()
    around = np.exp(rng.uniform(-1.4, 0.25, 4)) * size
    window = box + around * np.array([-1, -1, 1, 1])
    return np.array([*np.maximum(window[:2], full[:2]), *np.minimum(window[2:], full[2:])], np.float32)


def _hull(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Bounds (4,) of a box (4,) after the map."""
    corners = np.array([[box[i], box[j]] for i in (0, 2) for j in (1, 3)]) @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([corners.min(0), corners.max(0)])


def _move_boxes(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.array([_hull(b, matrix) for b in box], np.float32).reshape(-1, 4)


def _share_inside(box: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Share of each box (N, 4) inside window (4,) -> (N,)"""
    low, high = np.maximum(box[:, :2], window[:2]), np.minimum(box[:, 2:], window[2:])
    return np.maximum(high - low, 0).prod(1) / np.maximum((box[:, 2:] - box[:, :2]).prod(1), 1e-6)


def _hides(covered: np.ndarray, placed: list[Scene]) -> bool:
    """Whether a patch over `covered` (4,) would hide some of a face that lies there already."""
    there = np.concatenate([p.faces.box for p in placed]) if placed else np.zeros((0, 4), np.float32)
    return bool((_share_inside(there, covered) > 0.05).any())


def _crop(scene: Scene) -> Scene:
    """Boxes cut at the scene's edge; faces mostly outside, or hidden by a patch laid later, become unsure."""
    side = scene.picture.shape[0]
    window = np.array([0, 0, side, side], np.float32)
    inside = _share_inside(scene.faces.box, window)
    clipped = scene.faces.box.clip(0, side)
    tiny = _span(clipped) < 7
    keep = (inside >= SEEN_SHARE) & ~tiny
    if len(scene.faces):
        scene.faces.box[:] = clipped
    unsure = np.concatenate([scene.unsure, clipped[~keep & (inside > 0)]]).clip(0, side)
    return Scene(scene.picture, scene.faces[keep], scene.known[keep], unsure)


