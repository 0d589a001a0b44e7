"""Fur of soft tufts: a single tuft, and rings of them around a head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatars.source.parts.primitives import Floats, Mesh, tube
from avatars.source.parts.shell import opening_angles, shell_points


@dataclass(frozen=True)
class Ring:
    """A ring of tufts.

    Attributes:
        count: number of tufts.
        along: radians behind the opening of the shell; from 1.5 on: radians from the front pole.
        length_m: length of a tuft.
        wide_m: half of its width.
    """

    count: int
    along: float
    length_m: float
    wide_m: float


def make_tuft(root: Floats, way: Floats, length_m: float, wide_m: float, code: str) -> Mesh:
    """Build one tuft from a root (3,) in a direction `way` (3,), bending down and back towards its tip."""
    share = np.linspace(0, 1, 6)[:, None] ** 0.9
    bend = np.array([0.0, -0.28, -0.25]) * length_m
    path = root + share * way * length_m + share**2 * bend
    thick = np.sqrt(np.sin(np.pi * (0.12 + 0.879 * share**0.85))) * (1.15 - 0.55 * share) * wide_m
    side = np.cross(way, [0.0, 0.0, 1.0]) if abs(way[2]) < 0.9 else np.array([1.0, 0, 0])
    return tube(path, np.tile(np.cross(side, way), (6, 1)), thick * [0.55, 1.0], 6, code)


def ring_of_tufts(number: int, ring: Ring, codes: tuple[str, str]) -> list[Mesh]:
    """Build ring `number` around the head, in two alternating colors."""
    turn = (np.arange(ring.count) + 0.5 * (number % 2)) / ring.count * 2 * np.pi
    at = opening_angles(turn) + ring.along if ring.along < 1.5 else np.full(ring.count, ring.along)
    roots, ahead = shell_points(turn, at, -0.006), shell_points(turn, at + 0.05, -0.006)
    back = ahead - roots
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    away = np.stack([np.cos(turn), np.sin(turn), np.zeros(ring.count)], 1)
    lie = np.interp(ring.along, [0.0, 0.3, 0.8, 1.9], [-0.35, 0.15, 0.6, 1.6])  # tufts further back lie flatter
    ways = away + lie * back
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    locks = []
    for k, (root, way) in enumerate(zip(roots, ways)):
        longer = ring.length_m * (1 + 0.18 * (k % 2))
        locks.append(make_tuft(root, way, longer, ring.wide_m, codes[(k + number + 1) % 2]))
    return locks
