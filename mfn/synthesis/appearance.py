"""Random appearance of people: colors of skin, hair, eyes and clothes, and what they wear, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Palette = tuple[tuple[float, float, float], ...]
HeadCover = Literal["none", "beanie", "cap"]

#: Palettes, sRGB in [0, 1].
SKIN_COLORS: Palette = (
    (0.94, 0.78, 0.69),
    (0.88, 0.69, 0.57),
    (0.80, 0.60, 0.46),
    (0.66, 0.46, 0.34),
    (0.48, 0.32, 0.23),
    (0.36, 0.24, 0.18),
)
HAIR_COLORS: Palette = ((0.06, 0.05, 0.05), (0.13, 0.1, 0.1), (0.24, 0.15, 0.09), (0.4, 0.3, 0.2), (0.4, 0.4, 0.4))
LIGHT_HAIR_COLORS: Palette = ((0.6, 0.45, 0.25), (0.75, 0.73, 0.7), (0.45, 0.2, 0.1))
IRIS_COLORS: Palette = ((0.22, 0.13, 0.08), (0.30, 0.22, 0.12), (0.27, 0.38, 0.45), (0.30, 0.38, 0.24))
SHIRT_COLORS: Palette = ((0.2, 0.25, 0.35), (0.5, 0.2, 0.2), (0.85, 0.85, 0.82), (0.2, 0.4, 0.33), (0.2, 0.2, 0.2))

_GAMMA = 2.2
_COVERS: tuple[HeadCover, ...] = ("none", "beanie", "cap")


@dataclass(frozen=True)
class Appearance:
    """Colors of a person and what the person wears.

    Colors are (3,) float32 linear light in [0, 1]. Amounts run from 0 (none) to 1.

    Attributes:
        skin, hair, iris, lips, shirt: colors of these parts.
        cloth: color of a hat or a face mask.
        brow: opacity of the eyebrows.
        brow_size: width of the eyebrows, 1 is average.
        lashes, blush, age, freckles, eye_shadow: amounts.
        jaw_beard, chin_beard, moustache: amounts.
        hairline_m: meters that the hair begins above the average hairline; negative is a fringe.
        hair_volume_m: meters that the hair stands off the head.
        long_hair: amount of hair that falls behind the shoulders.
        cover: what hides the hair.
        mask: the person wears a face mask.
    """

    skin: Floats
    hair: Floats
    iris: Floats
    lips: Floats
    shirt: Floats
    cloth: Floats
    brow: float = 1.0
    brow_size: float = 1.0
    lashes: float = 1.0
    blush: float = 0.0
    age: float = 0.0
    freckles: float = 0.0
    eye_shadow: float = 0.0
    jaw_beard: float = 0.0
    chin_beard: float = 0.0
    moustache: float = 0.0
    hairline_m: float = 0.0
    hair_volume_m: float = 0.0
    long_hair: float = 0.0
    cover: HeadCover = "none"
    mask: bool = False


def palette_appearances(count: int, rng: np.random.Generator) -> list[Appearance]:
    """Draw people whose skin, hair, irises and shirt have exactly the colors of the palettes, without anything worn on the head."""
    palettes = (SKIN_COLORS, HAIR_COLORS, IRIS_COLORS, SHIRT_COLORS)
    people = []
    for _ in range(count):
        skin, hair, iris, shirt = (srgb_to_light(palette[int(rng.integers(len(palette)))]) for palette in palettes)
        lips = srgb_to_light(0.62 * light_to_srgb(skin) + 0.62 * np.array((0.28, 0.10, 0.11), np.float32))
        people.append(Appearance(skin, hair, iris, lips, shirt, cloth=shirt))
    return people


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Draw a person with mixed colors, hair, beard, make-up, hat and mask."""
    skin, bearded = _random_color(SKIN_COLORS, 0.09, rng), rng.random() < 0.28
    lips = skin * rng.uniform(0.55, 0.85) * np.array([1.1, 0.72, 0.74], np.float32)
    if rng.random() < 0.2:  # lipstick
        lips = np.array([rng.uniform(0.25, 0.6), rng.uniform(0.01, 0.1), rng.uniform(0.03, 0.15)], np.float32)
    hair = _random_color((*HAIR_COLORS, *LIGHT_HAIR_COLORS), 0.2, rng)
    cover = _COVERS[int(rng.choice(3, p=[0.82, 0.09, 0.09]))]
    bald = rng.random() < 0.1

    def amount(chance: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < chance else 0.0

    return Appearance(
        skin=skin, hair=hair, iris=_random_color(IRIS_COLORS, 0.25, rng), lips=lips, shirt=_random_color(SHIRT_COLORS, 0.3, rng),
        cloth=rng.uniform(0.02, 0.8, 3).astype(np.float32),
        brow=float(rng.uniform(0.5, 1.0)), brow_size=float(rng.uniform(0.7, 1.35)), lashes=float(rng.uniform(0.3, 1.0)),
        blush=float(rng.uniform(0.1, 1.0)), age=float(rng.random() ** 2), freckles=amount(0.15, 0.2, 0.8),
        eye_shadow=amount(0.2, 0.2, 0.8),
        jaw_beard=amount(0.8, 0.3, 1.0) if bearded else 0.0, chin_beard=amount(0.8, 0.3, 1.0) if bearded else 0.0,
        moustache=amount(0.8, 0.3, 1.0) if bearded else amount(0.03, 0.4, 1),
        hairline_m=1.0 if bald else float(rng.uniform(-0.012, 0.014)) - amount(0.25, 0.005, 0.022),
        hair_volume_m=0.002 if bald else float(rng.uniform(0.003, 0.03)), long_hair=0.0 if bald else amount(0.4, 0.3, 1.0),
        cover=cover, mask=rng.random() < 0.05,
    )  # fmt: skip


def srgb_to_light(color: tuple[float, float, float] | Floats) -> Floats:
    """Convert sRGB in [0, 1] to linear light with a plain power of 2.2, any shape."""
    result: Floats = np.asarray(color, np.float32) ** np.float32(_GAMMA)
    return result


def light_to_srgb(light: Floats) -> Floats:
    """Convert linear light in [0, 1] to sRGB with a plain power of 1 / 2.2, any shape."""
    result: Floats = np.asarray(light, np.float32) ** np.float32(1 / _GAMMA)
    return result


def _random_color(palette: Palette, spread: float, rng: np.random.Generator) -> Floats:
    """Mix two colors of a palette and vary the result by `spread` (log scale). Returns (3,) linear light."""
    a, b = rng.integers(len(palette), size=2)
    mix = rng.random() * 0.6
    color = np.array(palette[a]) * (1 - mix) + np.array(palette[b]) * mix
    vary = np.exp(rng.normal(0, spread) + rng.normal(0, spread / 4, 3))
    return np.clip(color * vary, 0.01, 0.98).astype(np.float32) ** 2.2
