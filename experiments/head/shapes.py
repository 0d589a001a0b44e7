"""Identity components and expression shapes of our head, exactly mirror-symmetric, in metres round the point between the eyes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.head import parts
from experiments.head.assemble import REGIONS, VISIBLE_SKIN, Topology
from experiments.head.ict import Ict
from retarget.arkit import EXPRESSION_NAMES, MIRROR

FLIP = np.array([-1.0, 1.0, 1.0])
MAX_IDENTITY = 64
WANTED_VARIANCE = 0.995


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


def learn_shapes(ict: Ict, head: Topology, gaze: np.ndarray) -> Shapes:
    """Mean, principal identity components (of ICT's identities and their mirror images) and the 51 expressions."""
    shells = [np.unique(parts.eye_shell(ict, side)) for side in ("left", "right")]
    middle = np.mean([parts.eye_centre(ict, side) for side in ("left", "right")], 0) * [0, 1, 1]
    shift = np.mean([ict.identity[:, shell].mean(1) for shell in shells], 0)  # (100, 3): how each component moves the eyes' midpoint
    mean = (head.on(ict.mean) - middle) / 100
    mean = (mean + reflect(mean, head.mirror)) / 2
    identity = (head.on(ict.identity) - shift[:, None]) / 100
    basis, sign, variance = mirror_components(identity, head)
    expression = head.on(ict.expression) / 100
    eyeball = np.isin(head.region, [REGIONS.index(n) for n in ("eyeball_left", "eyeball_right", "iris", "pupil")])
    expression[:, eyeball] = 0
    add_eye_turns(expression, mean, eyeball, (parts.eye_centre(ict, "left") - middle) / 100, gaze)
    twin = np.array(MIRROR[: len(EXPRESSION_NAMES)])
    expression = (expression + reflect(expression[twin], head.mirror)) / 2
    return Shapes(mean, basis, sign, expression, variance)


def mirror_components(identity: np.ndarray, head: Topology) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of N(0, 1) weights on `identity (K, V, 3)` and of their mirror images.

    The covariance of both together is that of the symmetric plus that of the antisymmetric halves, so each is solved by itself,
    without sampling. Returns components (I, V, 3) at one standard deviation, their mirror signs and the share of variance kept (I,).
    """
    skin = np.isin(head.region, [REGIONS.index(name) for name in VISIBLE_SKIN])
    other = reflect(identity, head.mirror)
    found, signs, sizes = [], [], []
    for sign in (1.0, -1.0):
        half = (identity + sign * other) / 2
        mix, size, _ = np.linalg.svd(half[:, skin].reshape(len(half), -1), full_matrices=False)
        found.append(np.einsum("ik,ivc->kvc", mix, half))
        signs.append(np.full(len(size), sign))
        sizes.append(size**2)
    size = np.concatenate(sizes)
    order = np.argsort(-size)
    share = np.cumsum(size[order]) / size.sum()
    keep = order[: min(MAX_IDENTITY, int(np.searchsorted(share, WANTED_VARIANCE)) + 1)]
    return np.concatenate(found)[keep], np.concatenate(signs)[keep], share[: len(keep)]


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation matrix (3, 3) about a unit axis, right-handed, radians."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def add_eye_turns(expression: np.ndarray, mean: np.ndarray, eyeball: np.ndarray, centre: np.ndarray, gaze: np.ndarray) -> None:
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
