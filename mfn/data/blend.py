"""Pasting faces into scenes so that only the face tells where it is: colours, grain and blur of the place, borders that differ.

`paste` writes a patch into a scene; half of what a border could teach a detector is taken away by `decoys`, patches without faces that
are pasted in the same ways. Coordinates are continuous px. Letters: H W of the scene, h w of the patch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.faces import Faces
from mfn.pictures import Picture

Floats = NDArray[np.floating]
BORDERS = ("soft", "oval", "ragged", "cut", "poisson")
SHARES = (0.3, 0.2, 0.25, 0.15, 0.1)


def border(shape: tuple[int, int], face: Floats, kind: str, rng: np.random.Generator) -> Floats:
    """How much of a patch (h, w) shows, 0 to 1: all of the face's box (4,) px of the patch, less towards the patch's edges."""
    import cv2

    if kind not in BORDERS:
        raise ValueError(f"border {kind!r}: expected one of {', '.join(BORDERS)}")
    height, width = shape
    if kind == "cut":
        return np.ones(shape, np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    middle, half = (face[:2] + face[2:]) / 2, np.maximum((face[2:] - face[:2]) / 2, 1)
    room = np.maximum(np.where(x < middle[0], middle[0], width - middle[0]) - half[0], 1)
    space = np.maximum(np.where(y < middle[1], middle[1], height - middle[1]) - half[1], 1)
    away_x, away_y = (np.abs(x - middle[0]) - half[0]) / room, (np.abs(y - middle[1]) - half[1]) / space
    if kind == "oval":
        out = np.hypot(np.maximum(away_x, -0.2) + 0.2, np.maximum(away_y, -0.2) + 0.2) / 1.2
    else:
        out = np.maximum(away_x, away_y)
    if kind == "ragged":
        coarse = rng.normal(0, 1, (max(height // 12, 2), max(width // 12, 2))).astype(np.float32)
        out = out + 0.25 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = (0.25, 0.9) if kind != "ragged" else (0.4, 0.6)
    share = np.clip((high - out) / (high - low), 0, 1)
    share = share * share * (3 - 2 * share)
    edge = (
        np.minimum(np.minimum(x, width - x), np.minimum(y, height - y)) / 3
    )  # nothing is left at the patch's very edge
    inside = np.maximum(away_x, away_y) <= 0
    return np.where(inside, np.maximum(share, 0.999), share * np.clip(edge, 0, 1)).astype(np.float32)


def match_colours(patch: Picture, around: Picture, strength: float) -> Picture:
    """The patch with part of the mean and spread of another picture's colours (in L*a*b*). strength: 0 none to 1 all."""
    import cv2

    own, other = (cv2.cvtColor(p, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float32) for p in (patch, around))
    shift = (other.mean(0) - own.mean(0)) * strength * np.array([0.5, 1, 1])
    gain = np.clip(((other.std(0) + 4) / (own.std(0) + 4)) ** (0.5 * strength), 0.7, 1.4)
    moved = (own - own.mean(0)) * gain + own.mean(0) + shift
    return np.asarray(cv2.cvtColor(moved.clip(0, 255).astype(np.uint8).reshape(patch.shape), cv2.COLOR_LAB2RGB))


def match_grain(patch: Picture, around: Picture, rng: np.random.Generator) -> Picture:
    """The patch blurred, or given noise, until its finest detail is about as strong as that of the place it comes to."""
    import cv2

    def grain(picture: Picture) -> float:
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return float(np.median(np.abs(gray - cv2.blur(gray, (3, 3)))))

    own, other = grain(patch), grain(around)
    if own > 2.2 * other + 1.5:
        return np.asarray(cv2.GaussianBlur(patch, (0, 0), float(np.clip(0.35 * own / (other + 1), 0.4, 1.1))))
    if other > own + 1:
        noisy = patch + rng.normal(0, min(other - own, 8), patch.shape[:2])[..., None]
        return np.asarray(noisy.clip(0, 255).astype(np.uint8))
    return patch


def paste(scene: Picture, patch: Picture, corner: tuple[int, int], face: Floats, rng: np.random.Generator) -> None:
    """Writes a patch (h, w, 3) uint8 into a scene (H, W, 3), its upper left at corner (x, y); face: (4,) its face's box in it, px.

    The face itself is kept whole whatever the border; what lies outside the scene is left out.
    """
    import cv2

    x1, y1 = max(corner[0], 0), max(corner[1], 0)
    x2, y2 = min(corner[0] + patch.shape[1], scene.shape[1]), min(corner[1] + patch.shape[0], scene.shape[0])
    if x2 - x1 < 2 or y2 - y1 < 2:
        return
    there = scene[y1:y2, x1:x2]
    kind = str(rng.choice(BORDERS, p=SHARES))
    share = border(patch.shape[:2], np.asarray(face, np.float32), kind, rng)
    cut = (slice(y1 - corner[1], y2 - corner[1]), slice(x1 - corner[0], x2 - corner[0]))
    part = match_grain(match_colours(patch[cut], there, float(rng.uniform(0, 0.8))), there, rng)
    share = share[cut]
    if kind == "poisson" and min(part.shape[:2]) > 8:
        mask = np.zeros(part.shape[:2], np.uint8)
        mask[2:-2, 2:-2] = 255
        try:
            middle = (part.shape[1] // 2, part.shape[0] // 2)
            there[:] = cv2.seamlessClone(part, there.copy(), mask, middle, cv2.NORMAL_CLONE)
            return
        except cv2.error:  # OpenCV refuses some sizes; a soft border does as well
            share = border(patch.shape[:2], np.asarray(face, np.float32), "soft", rng)[cut]
    there[:] = (there + (part.astype(np.float32) - there) * share[..., None] + 0.5).astype(np.uint8)


def decoys(scene: Picture, count: int, photos: list[Picture], taken: Floats, rng: np.random.Generator) -> int:
    """Pastes up to `count` pieces of photos without faces where none of the boxes taken (N, 4) px is. -> how many were pasted."""
    import cv2

    height, width = scene.shape[:2]
    done = 0
    for _ in range(3 * count):
        if done == count:
            break
        side = int(min(height, width) * np.exp(rng.uniform(np.log(0.06), np.log(0.35))))
        x, y = int(rng.integers(max(width - side, 1))), int(rng.integers(max(height - side, 1)))
        if (
            len(taken)
            and ((taken[:, 0] < x + side) & (taken[:, 2] > x) & (taken[:, 1] < y + side) & (taken[:, 3] > y)).any()
        ):
            continue
        photo = photos[int(rng.integers(len(photos)))]
        cut = int(min(photo.shape[:2]) * rng.uniform(0.2, 0.8))
        v, u = int(rng.integers(photo.shape[0] - cut + 1)), int(rng.integers(photo.shape[1] - cut + 1))
        piece = cv2.resize(photo[v : v + cut, u : u + cut], (side, side), interpolation=cv2.INTER_AREA)
        paste(scene, piece, (x, y), np.array([0.2, 0.2, 0.8, 0.8], np.float32) * side, rng)
        done += 1
    return done


def crowd(
    pictures: list[Picture], faces: Faces, scene: Picture, sizes_px: tuple[float, float], rng: np.random.Generator
) -> Faces:
    """Pastes pictures of one face each into a scene (H, W, 3), in place, the smaller (farther) first; none hides another's face.

    faces: row k is picture k's; sizes_px: least and most height of a face. -> the faces that found a place, in the scene's px
    """
    import cv2

    height, width = scene.shape[:2]
    low, high = (float(np.log(size)) for size in sizes_px)
    tall = np.exp(rng.uniform(low, high, len(pictures)))
    rows: list[Faces] = []
    taken = np.zeros((0, 4), np.float32)
    for k in np.argsort(tall):
        face = faces[[int(k)]]
        gain = float(tall[k] / max(float(face.box[0, 3] - face.box[0, 1]), 1.0))
        size = tuple(max(int(round(n * gain)), 2) for n in pictures[k].shape[1::-1])
        ratio = np.array(size) / pictures[k].shape[1::-1]
        patch = cv2.resize(pictures[k], size, interpolation=cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR)
        box = face.box[0] * np.tile(ratio, 2)
        for _ in range(12):
            corner = np.array([rng.integers(width), rng.integers(height)]) - ((box[:2] + box[2:]) / 2).astype(int)
            put = box + np.tile(corner, 2)
            whole = (put[:2] > 0).all() and (put[2:] < (width, height)).all()
            patch_box = np.concatenate([corner, corner + size])
            clear = (
                not len(taken)
                or not ((taken[:, :2] < patch_box[2:]).all(1) & (taken[:, 2:] > patch_box[:2]).all(1)).any()
            )
            if whole and clear:
                break
        else:
            continue
        paste(scene, patch, (int(corner[0]), int(corner[1])), box, rng)
        taken = np.concatenate([taken, put[None].astype(np.float32)])
        center = face.center * ratio + corner
        rows.append(
            face.replace(scale=face.scale * ratio.mean(), center=center, box=put[None], image=np.zeros(1, np.int32))
        )
    return Faces.concatenate(rows) if rows else Faces.empty(faces.identity.shape[1])
