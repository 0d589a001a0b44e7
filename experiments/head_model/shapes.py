"""Learn the identity components and expression shapes of our head.

They are exactly mirror-symmetric, in meters, with the origin midway between the two eyeballs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.head_model import parts
from experiments.head_model.assemble import Topology
from experiments.head_model.ict import Ict
from experiments.head_model.regions import REGIONS, VISIBLE_SKIN
from experiments.head_model.surface import Bools, Floats, Ints, closest_points
from mfn.structures.cells import IDENTITY_SIZE
from retarget.arkit import EXPRESSION_NAMES, MIRROR
from retarget.geometry.mesh import vertex_areas
from retarget.geometry.rotations import rotation_about

# Row at which both sides touch, and the share of the closing motion that each row makes, from the inside to the outside.
LIP_CONTACT_ROW, LIP_SHARES = 2, (1.0, 1.0, 1.0, 0.6, 0.25)
MOUTH_CLOSE_SHARES = (1.0, 1.0, 1.0, 0.9, 0.75, 0.6, 0.42, 0.26, 0.12)
EYELID_CONTACT_RING, EYELID_SHARES = 1, (1.0, 1.0, 0.8, 0.45, 0.15)
# Smallest distance of the closed eyelid from the eyeball, by ring.
EYELID_CLEARANCE_M = {1: 0.0010, 2: 0.0016, 3: 0.0024}
EYE_OFFSET_M = 0.0005
# Our eyeballs lie this far behind ICT's. Eyelids move on straight lines, so half-closed ones would else enter the eyeball.
FRONT_WEIGHT = 2.3  # weight of the face front in the choice of identity components; other skin has 1
FLIP = np.array([-1.0, 1.0, 1.0])


class Shapes(NamedTuple):
    """Hold the shapes of the head in meters.

    Attributes:
        mean: (V, 3) mean head.
        identity: (I, V, 3) identity components at one standard deviation.
        identity_mirror: (I,) +1 for symmetric components, -1 for antisymmetric ones.
        expression: (51, V, 3) expression shapes in ARKit order.
        variance: (I,) share of the variance that the first 1, 2, ... components explain.
    """

    mean: Floats
    identity: Floats
    identity_mirror: Floats
    expression: Floats
    variance: Floats


class MirrorComponents(NamedTuple):
    """Hold principal components that are symmetric or antisymmetric.

    Attributes:
        basis: (I, V, 3) components at one standard deviation, m.
        sign: (I,) +1 for symmetric components, -1 for antisymmetric ones.
        variance: (I,) share of the skin's variance that the first 1, 2, ... components explain.
    """

    basis: Floats
    sign: Floats
    variance: Floats


def reflect(values: Floats, mirror: Ints) -> Floats:
    """Return the mirror image of vectors at the vertices (..., V, 3)."""
    return np.asarray(values[..., mirror, :] * FLIP)


def learn_shapes(ict: Ict, head: Topology) -> Shapes:
    """Compute the mean, the principal identity components and the 51 expression shapes.

    The components describe ICT's identities together with their mirror images.
    """
    shells = [np.unique(parts.eye_shell(ict, side)) for side in parts.SIDES]
    # (100, 3) motion of the midpoint of the eyes in each identity shape
    shift = np.mean([ict.identity[:, shell].mean(1) for shell in shells], 0)
    eyeball = np.isin(head.region, [REGIONS.index(n) for n in ("eyeball_left", "eyeball_right", "iris", "pupil")])
    mean = head.interpolate(ict.mean) / 100
    mean[eyeball, 2] -= EYE_OFFSET_M
    mean = (mean + reflect(mean, head.mirror)) / 2
    center = parts.fit_sphere(mean[eyeball & (mean[:, 0] > 0)])[0]
    mean -= center * [0, 1, 1]
    center *= [1, 0, 0]
    identity = (head.interpolate(ict.identity) - shift[:, None]) / 100
    for field in (mean, identity):
        close_lips(field, head, LIP_SHARES)
    basis, sign, variance = mirror_components(identity, head, vertex_areas(mean, head.triangles))
    expression = head.interpolate(ict.expression) / 100
    expression[:, eyeball] = 0
    add_eye_rotations(expression, mean, eyeball, center)
    twin = np.array(MIRROR[: len(EXPRESSION_NAMES)])
    expression = (expression + reflect(expression[twin], head.mirror)) / 2
    close_eyelids(expression, mean, head, center)
    posed = mean + expression[[EXPRESSION_NAMES.index(name) for name in ("jawOpen", "mouthClose")]].sum(0)
    closed = posed.copy()
    close_lips(closed, head, MOUTH_CLOSE_SHARES)
    expression[EXPRESSION_NAMES.index("mouthClose")] += closed - posed  # ICT's shape moves the lips 6 to 9 mm too far
    return Shapes(mean, basis, sign, expression, variance)


def close_lips(field: Floats, head: Topology, shares: tuple[float, ...]) -> None:
    """Move the lips, in place, so that the upper and the lower line of contact coincide.

    Args:
        field: (..., V, 3) positions or offsets. The change is linear in them: applied to the mean and to every identity
            component, it closes the mouth of every identity at rest (ICT's mouth is open by 0.8 mm).
        head: The mesh.
        shares: Share of the motion that each row makes, from the inside to the outside.
    """
    for side in (np.arange(len(head.mirror)), head.mirror):
        upper = side[head.lips[:, : head.lips.shape[1] // 2 + 1]]
        lower = side[head.lips[:, ::-1][:, : head.lips.shape[1] // 2 + 1]]
        start = 1 if side[0] != 0 else 0  # the midline belongs to both sides: move it once
        gap = field[..., lower[LIP_CONTACT_ROW], :] - field[..., upper[LIP_CONTACT_ROW], :]
        for row, share in enumerate(shares):
            field[..., upper[row, start:], :] += 0.5 * share * gap[..., start:, :]
            field[..., lower[row, start:], :] -= 0.5 * share * gap[..., start:, :]


def close_eyelids(expression: Floats, mean: Floats, head: Topology, center: Floats) -> None:
    """Correct the two blink shapes in place.

    At weight 1 on the mean head the margins of the eyelids meet exactly, EYELID_CLEARANCE_M in front of the eyeball.

    Args:
        expression: (51, V, 3) expression shapes, m.
        mean: (V, 3) mean head, m.
        head: The mesh.
        center: (3,) center of the left eyeball, m.
    """
    count = head.lids.shape[1]
    for side, lids in (("Left", head.lids), ("Right", head.mirror[head.lids])):
        blink = expression[EXPRESSION_NAMES.index(f"eyeBlink{side}")]
        posed = mean + blink
        upper = np.arange(1, count // 2)
        gap = np.zeros((count, 3))
        gap[upper] = posed[lids[EYELID_CONTACT_RING, count - upper]] - posed[lids[EYELID_CONTACT_RING, upper]]
        for ring, share in enumerate(EYELID_SHARES):
            shifted = (
                (gap + np.roll(gap, -1, 0)) / 2 if ring > EYELID_CONTACT_RING and ring % 2 == 0 else gap
            )  # staggered rings
            blink[lids[ring]] += share * shifted
        middle = center * [1 if side == "Left" else -1, 1, 1]
        ball = np.flatnonzero(
            np.isin(head.region, [REGIONS.index(n) for n in ("eyeball_left", "eyeball_right", "iris", "pupil")])
        )
        ball = ball[mean[ball, 0] * middle[0] > 0]
        corners = head.triangles[np.isin(head.triangles, ball).all(1)]
        for ring, clearance in EYELID_CLEARANCE_M.items():
            position = (mean + blink)[lids[ring]]
            near, _ = closest_points(position, mean, corners)
            outward = (position - middle) / np.linalg.norm(position - middle, axis=1, keepdims=True)
            height = np.linalg.norm(position - middle, axis=1) - np.linalg.norm(near.interpolate(mean) - middle, axis=1)
            blink[lids[ring]] += np.maximum(clearance - height, 0)[:, None] * outward


def mirror_components(identity: Floats, head: Topology, area: Floats) -> MirrorComponents:
    """Compute principal components that are exactly symmetric or antisymmetric.

    The random heads have N(0, 1) weights on `identity`; their mirror images are included. The covariance of both is the sum
    of the covariances of the symmetric and of the antisymmetric halves. So each half is solved on its own, without samples.

    Args:
        identity: (K, V, 3) identity shapes, m.
        head: The mesh.
        area: (V,) area of each vertex.
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
    keep = IDENTITY_SIZE  # 63 components explain 99.5 %; a cell of the network holds 64
    return MirrorComponents(components[:keep], np.concatenate(signs)[order][:keep], share[:keep])


def add_eye_rotations(expression: Floats, mean: Floats, eyeball: Bools, center: Floats) -> None:
    """Let the eight eyeLook shapes rotate the eyeballs, in place. The motion of the eyelids comes from ICT.

    Args:
        expression: (51, V, 3) expression shapes, m.
        mean: (V, 3) mean head, m.
        eyeball: (V,) True for vertices of the eyeballs.
        center: (3,) center of the left eyeball, m.
    """
    for side, flip in (("Left", 1.0), ("Right", -1.0)):
        rows = eyeball & (mean[:, 0] * flip > 0)
        middle = center * [flip, 1, 1]
        outward, inward = np.deg2rad(parts.GAZE_SIDE_DEG) * flip, -np.deg2rad(parts.GAZE_SIDE_DEG) * flip
        rotations = {"Out": rotation_about("y", outward), "In": rotation_about("y", inward)}
        rotations |= {
            "Up": rotation_about("x", -np.deg2rad(parts.GAZE_UP_DEG)),
            "Down": rotation_about("x", np.deg2rad(parts.GAZE_DOWN_DEG)),
        }
        for name, rotation in rotations.items():
            row = EXPRESSION_NAMES.index(f"eyeLook{name}{side}")
            expression[row, rows] = (mean[rows] - middle) @ (rotation - np.eye(3)).T
