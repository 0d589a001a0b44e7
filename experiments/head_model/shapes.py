"""Identity components and expression shapes of our head, exactly mirror-symmetric, in metres round the point between the eyes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.head_model import parts
from experiments.head_model.assemble import REGIONS, VISIBLE_SKIN, Topology
from experiments.head_model.ict import Ict
from experiments.head_model.surface import closest_points
from mfn.structures.cells import IDENTITY_SIZE
from retarget.arkit import EXPRESSION_NAMES, MIRROR
from retarget.geometry.mesh import vertex_areas

LIP_LINE, LIP_SHARES = 2, (1.0, 1.0, 1.0, 0.6, 0.25)
MOUTH_CLOSE_SHARES = (1.0, 1.0, 1.0, 0.9, 0.75, 0.6, 0.42, 0.26, 0.12)
LID_MARGIN, LID_SHARES = 1, (1.0, 1.0, 0.8, 0.45, 0.15)
"""Row of contact, and how much of the closing move each row makes, from the inside out."""
LID_CLEARANCE = {1: 0.0010, 2: 0.0016, 3: 0.0024}
EYE_RETREAT = 0.0005
"""Metres: ring -> least distance of the closed lid from the eyeball; and how far our eyeballs sit behind ICT's, so that half-closed
lids, which move on straight lines, do not dip into them."""
FRONT_WEIGHT = 2.3
"""How much more the face's front counts than other skin when identity components are chosen."""
FLIP = np.array([-1.0, 1.0, 1.0])


class Shapes(NamedTuple):
    """mean (V,3), identity (I,V,3), identity_mirror (I,), expression (51,V,3), variance share held; metres."""

    mean: np.ndarray
    identity: np.ndarray
    identity_mirror: np.ndarray
    expression: np.ndarray
    variance: np.ndarray


def reflect(values: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Mirror image of vertex fields (..., V, 3)."""
    return values[..., mirror, :] * FLIP


def learn_shapes(ict: Ict, head: Topology) -> Shapes:
    """Mean, principal identity components (of ICT's identities and their mirror images) and the 51 expressions."""
    shells = [np.unique(parts.eye_shell(ict, side)) for side in ("left", "right")]
    # (100, 3): how each component moves the midpoint of the eyes
    shift = np.mean([ict.identity[:, shell].mean(1) for shell in shells], 0)
    eyeball = np.isin(head.region, [REGIONS.index(n) for n in ("eyeball_left", "eyeball_right", "iris", "pupil")])
    mean = head.on(ict.mean) / 100
    mean[eyeball, 2] -= EYE_RETREAT
    mean = (mean + reflect(mean, head.mirror)) / 2
    centre = parts.sphere_of(mean[eyeball & (mean[:, 0] > 0)])[0]
    mean -= centre * [0, 1, 1]
    centre *= [1, 0, 0]
    identity = (head.on(ict.identity) - shift[:, None]) / 100
    for field in (mean, identity):
        close_lips(field, head, LIP_SHARES)
    basis, sign, variance = mirror_components(identity, head, vertex_areas(mean, head.triangles))
    expression = head.on(ict.expression) / 100
    expression[:, eyeball] = 0
    add_eye_turns(expression, mean, eyeball, centre)
    twin = np.array(MIRROR[: len(EXPRESSION_NAMES)])
    expression = (expression + reflect(expression[twin], head.mirror)) / 2
    close_lids(expression, mean, head, centre)
    posed = mean + expression[[EXPRESSION_NAMES.index(name) for name in ("jawOpen", "mouthClose")]].sum(0)
    closed = posed.copy()
    close_lips(closed, head, MOUTH_CLOSE_SHARES)
    expression[EXPRESSION_NAMES.index("mouthClose")] += closed - posed  # ICT's overshoots jawOpen by 6 to 9 mm
    return Shapes(mean, basis, sign, expression, variance)


def close_lips(field: np.ndarray, head: Topology, shares: tuple[float, ...]) -> None:
    """Move the lips, in place, so that their lines of contact coincide; `shares`: how much each row joins in.

    Linear in `field (..., V, 3)`: done to the mean and to every identity component, it closes the mouth of every identity at rest
    (ICT's stands open by 0.8 mm).
    """
    for side in (np.arange(len(head.mirror)), head.mirror):
        upper = side[head.lips[:, : head.lips.shape[1] // 2 + 1]]
        lower = side[head.lips[:, ::-1][:, : head.lips.shape[1] // 2 + 1]]
        start = 1 if side[0] != 0 else 0  # the midline belongs to both sides: once is enough
        gap = field[..., lower[LIP_LINE], :] - field[..., upper[LIP_LINE], :]
        for row, share in enumerate(shares):
            field[..., upper[row, start:], :] += 0.5 * share * gap[..., start:, :]
            field[..., lower[row, start:], :] -= 0.5 * share * gap[..., start:, :]


def close_lids(expression: np.ndarray, mean: np.ndarray, head: Topology, centre: np.ndarray) -> None:
    """Correct the two blinks, in place: at weight 1 on the mean head the margins meet exactly, LID_CLEARANCE before the eyeball.

    centre: (3,) of the left eyeball, metres.
    """
    count = head.lids.shape[1]
    for side, lids in (("Left", head.lids), ("Right", head.mirror[head.lids])):
        blink = expression[EXPRESSION_NAMES.index(f"eyeBlink{side}")]
        posed = mean + blink
        upper = np.arange(1, count // 2)
        gap = np.zeros((count, 3))
        gap[upper] = posed[lids[LID_MARGIN, count - upper]] - posed[lids[LID_MARGIN, upper]]
        for ring, share in enumerate(LID_SHARES):
            shifted = (gap + np.roll(gap, -1, 0)) / 2 if ring > LID_MARGIN and ring % 2 == 0 else gap  # staggered rings
            blink[lids[ring]] += share * shifted
        middle = centre * [1 if side == "Left" else -1, 1, 1]
        ball = np.flatnonzero(
            np.isin(head.region, [REGIONS.index(n) for n in ("eyeball_left", "eyeball_right", "iris", "pupil")])
        )
        ball = ball[mean[ball, 0] * middle[0] > 0]
        corners = head.triangles[np.isin(head.triangles, ball).all(1)]
        for ring, clearance in LID_CLEARANCE.items():
            place = (mean + blink)[lids[ring]]
            near, _ = closest_points(place, mean, corners)
            outward = (place - middle) / np.linalg.norm(place - middle, axis=1, keepdims=True)
            height = np.linalg.norm(place - middle, axis=1) - np.linalg.norm(near.on(mean) - middle, axis=1)
            blink[lids[ring]] += np.maximum(clearance - height, 0)[:, None] * outward


def mirror_components(
    identity: np.ndarray, head: Topology, area: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of N(0, 1) weights on `identity (K, V, 3)` and of their mirror images.

    The covariance of both together is that of the symmetric plus that of the antisymmetric halves, so each is solved by itself,
    without sampling. Returns components (I, V, 3) at one standard deviation, their mirror signs and the share of the variance over the
    skin's surface that the first 1, 2 … hold (I,). area: (V,) of each vertex.
    """
    skin = np.isin(head.region, [REGIONS.index(name) for name in VISIBLE_SKIN])
    front = np.isin(head.region, [REGIONS.index(name) for name in ("face", "lids", "lips", "brows")])
    weight = np.sqrt(np.where(front, FRONT_WEIGHT, 1.0) * skin)
    other = reflect(identity, head.mirror)
    found, signs, sizes = [], [], []
    for sign in (1.0, -1.0):
        half = (identity + sign * other) / 2
        mix, size, _ = np.linalg.svd((half * weight[:, None])[:, skin].reshape(len(half), -1), full_matrices=False)
        found.append(np.einsum("ik,ivc->kvc", mix, half))
        signs.append(np.full(len(size), sign))
        sizes.append(size**2)
    order = np.argsort(-np.concatenate(sizes))
    components = np.concatenate(found)[order]
    variance = (components**2).sum(2) @ (area * skin)
    share = np.cumsum(variance) / variance.sum()
    keep = IDENTITY_SIZE  # 63 would hold 99.5 %; the network's layout has room for 64
    return components[:keep], np.concatenate(signs)[order][:keep], share[:keep]


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation matrix (3, 3) about a unit axis, right-handed, radians."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def add_eye_turns(expression: np.ndarray, mean: np.ndarray, eyeball: np.ndarray, centre: np.ndarray) -> None:
    """Let the eight eyeLook shapes turn the eyeballs about their `centre` (of the left one, metres); the lids come from ICT."""
    for side, flip in (("Left", 1.0), ("Right", -1.0)):
        rows = eyeball & (mean[:, 0] * flip > 0)
        middle = centre * [flip, 1, 1]
        up, left = np.array([0, 1.0, 0]), np.array([1.0, 0, 0])
        outward, inward = np.deg2rad(parts.LOOK_SIDE_DEG) * flip, -np.deg2rad(parts.LOOK_SIDE_DEG) * flip
        turns = {"Out": turn(up, outward), "In": turn(up, inward)}
        turns |= {"Up": turn(left, -np.deg2rad(parts.LOOK_UP_DEG)), "Down": turn(left, np.deg2rad(parts.LOOK_DOWN_DEG))}
        for name, rotation in turns.items():
            row = EXPRESSION_NAMES.index(f"eyeLook{name}{side}")
            expression[row, rows] = (mean[rows] - middle) @ (rotation - np.eye(3)).T
