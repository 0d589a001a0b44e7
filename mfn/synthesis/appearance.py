"""How people look: colours, hair, beards, clothes, drawn at random."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.synthesis.crowd import HAIRS, IRISES, SHIRTS, SKINS

Floats = NDArray[np.floating]


class Appearance(NamedTuple):
    """A person's colours (linear light 0 to 1) and what they wear. Shares run from 0, none, to 1.

    hairline: metres that the hair starts above (below: fringe) the usual line; volume: metres of hair; cover: what hides the hair,
    0 nothing, 1 a beanie, 2 a cap
    """

    skin: Floats
    hair: Floats
    iris: Floats
    lips: Floats
    shirt: Floats
    cloth: Floats
    brow: float
    brow_size: float
    lashes: float
    blush: float
    age: float
    freckles: float
    shadow: float
    jaw_beard: float
    chin_beard: float
    moustache: float
    hairline: float
    volume: float
    long_hair: float
    cover: int
    mask: bool


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Anybody."""

    def chance(share: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < share else 0.0

    def of(colours: tuple[tuple[float, float, float], ...], spread: float) -> Floats:
        a, b = rng.integers(len(colours), size=2)
        mix = rng.random() * 0.6
        colour = np.array(colours[a]) * (1 - mix) + np.array(colours[b]) * mix
        vary = np.exp(rng.normal(0, spread) + rng.normal(0, spread / 4, 3))
        return np.clip(colour * vary, 0.01, 0.98).astype(np.float32) ** 2.2

    skin, bearded = of(SKINS, 0.09), rng.random() < 0.28
    lips = skin * rng.uniform(0.55, 0.85) * np.array([1.1, 0.72, 0.74], np.float32)
    if rng.random() < 0.2:  # lipstick
        lips = np.array([rng.uniform(0.25, 0.6), rng.uniform(0.01, 0.1), rng.uniform(0.03, 0.15)], np.float32)
    hair = of((*HAIRS, (0.6, 0.45, 0.25), (0.75, 0.73, 0.7), (0.45, 0.2, 0.1)), 0.2)
    cover = int(rng.choice(3, p=[0.82, 0.09, 0.09]))
    bald = rng.random() < 0.1
    return Appearance(
        skin=skin, hair=hair, iris=of(IRISES, 0.25), lips=lips, shirt=of(SHIRTS, 0.3),
        cloth=rng.uniform(0.02, 0.8, 3).astype(np.float32),
        brow=float(rng.uniform(0.5, 1.0)), brow_size=float(rng.uniform(0.7, 1.35)), lashes=float(rng.uniform(0.3, 1.0)),
        blush=float(rng.uniform(0.1, 1.0)), age=float(rng.random() ** 2), freckles=chance(0.15, 0.2, 0.8),
        shadow=chance(0.2, 0.2, 0.8),
        jaw_beard=chance(0.8, 0.3, 1.0) if bearded else 0.0, chin_beard=chance(0.8, 0.3, 1.0) if bearded else 0.0,
        moustache=chance(0.8, 0.3, 1.0) if bearded else chance(0.03, 0.4, 1),
        hairline=1.0 if bald else float(rng.uniform(-0.012, 0.014)) - chance(0.25, 0.005, 0.022),
        volume=0.002 if bald else float(rng.uniform(0.003, 0.03)), long_hair=0.0 if bald else chance(0.4, 0.3, 1.0),
        cover=cover, mask=rng.random() < 0.05,
    )  # fmt: skip
