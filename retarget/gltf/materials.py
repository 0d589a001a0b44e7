"""Materials of a glTF file, as far as our renderer needs them: base color, texture, transparency, gloss, emission."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import Document, Glb
from retarget.gltf.reading.textures import find_picture, read_texture
from retarget.io.image_decoder import Image

AlphaMode = Literal["OPAQUE", "MASK", "BLEND"]

_PLACEMENT_KEYS = ("texCoord", "offset", "rotation", "scale")


@dataclass(frozen=True)
class Material:
    """Material of one surface.

    Attributes:
        color: (4,) linear light and coverage.
        mips: sRGB and coverage textures (h, w, 4), each half as large as the one before; empty without a texture.
        alpha: How coverage is used, as glTF's alphaMode.
        cutoff: With alpha "MASK", the coverage below which nothing is drawn.
        two_sided: Whether the back of a triangle is drawn.
        gloss: 0 matte to 1 mirror-like.
        emission: (3,) linear light that the surface emits, multiplied with `emission_mips`.
        emission_mips: Textures of the light that it emits, as `mips`; they use the same texture coordinates.
        lit: Whether light changes its color.
    """

    color: NDArray[np.float32]
    mips: tuple[Image, ...]
    alpha: AlphaMode = "OPAQUE"
    cutoff: float = 0.5
    two_sided: bool = False
    gloss: float = 0.0
    emission: NDArray[np.float32] | float = 0.0
    emission_mips: tuple[Image, ...] = ()
    lit: bool = True


def load_materials(glb: Glb, textures: bool = True) -> list[Material]:
    """Read the materials of a document.

    Args:
        glb: The document.
        textures: Whether textures are decoded.

    Returns:
        One for each material of the document; at the end, one for surfaces without a material.

    Raises:
        ValueError: A color is not made of finite numbers, or a texture is too large.
    """
    materials = [_read_material(glb, material, textures) for material in glb.document.get("materials", [])]
    return [*materials, Material(np.ones(4, np.float32), ())]


def base_properties(material: Document) -> Document:
    """Return the "pbrMetallicRoughness" of a material, or what is nearest to it of the older "specular glossiness"."""
    old = (material.get("extensions") or {}).get("KHR_materials_pbrSpecularGlossiness")
    if old is None:
        return dict(material.get("pbrMetallicRoughness", {}))
    roughness = 0.6 if "specularGlossinessTexture" in old else 1 - float(old.get("glossinessFactor", 1))
    renamed = {"baseColorFactor": "diffuseFactor", "baseColorTexture": "diffuseTexture"}
    known = {new: old[name] for new, name in renamed.items() if name in old}
    return {**known, "metallicFactor": 0.0, "roughnessFactor": roughness}


def uv_reference(material: Document) -> Document:
    """Return the texture reference whose coordinates a material uses: of its base color, else of the light that it emits.

    Returns:
        {"index", "texCoord", "extensions"}, or {} without a texture.
    """
    return dict(base_properties(material).get("baseColorTexture") or material.get("emissiveTexture") or {})


def unread_textures(glb: Glb) -> list[str]:
    """Describe the textures that cannot be drawn, such as "skin (KTX2)", by the names of their materials."""
    result = []
    for number, material in enumerate(glb.document.get("materials", [])):
        for reference in (base_properties(material).get("baseColorTexture"), material.get("emissiveTexture")):
            unread = find_picture(glb, reference).unread
            if unread:
                result.append(f"{str(material.get('name') or f'material {number}')[:40]} ({unread})")
    return list(dict.fromkeys(result))


def sample_emission(material: Material, uv: NDArray[np.floating], level: int) -> NDArray[np.float32]:
    """Sample the texture of the light that a material emits, which must have one.

    Args:
        material: The material.
        uv: (F, 2) texture coordinates.
        level: Which of the `emission_mips`.

    Returns:
        (F, 3) sRGB in [0, 1], to be converted to linear light and multiplied with `Material.emission`.
    """
    return sample_texture(replace(material, mips=material.emission_mips), uv, level)[:, :3]


def sample_texture(material: Material, uv: NDArray[np.floating], level: int) -> NDArray[np.float32]:
    """Sample the texture of a material between its four nearest texels. The texture repeats.

    Args:
        material: A material with a texture.
        uv: (F, 2) texture coordinates.
        level: Which of the `mips`; out of range, the nearest one.

    Returns:
        (F, 4) sRGB and coverage in [0, 1].
    """
    texture = material.mips[min(max(level, 0), len(material.mips) - 1)]
    height, width = texture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left)[:, None].astype(np.float32), (y - top)[:, None].astype(np.float32)
    x0, y0 = left.astype(np.int64) % width, top.astype(np.int64) % height
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    upper = texture[y0, x0] * (1 - fx) + texture[y0, x1] * fx
    lower = texture[y1, x0] * (1 - fx) + texture[y1, x1] * fx
    return np.asarray((upper * (1 - fy) + lower * fy) / np.float32(255), np.float32)


def _read_material(glb: Glb, material: Document, textures: bool) -> Material:
    base, extensions = base_properties(material), material.get("extensions") or {}
    roughness, metal = float(base.get("roughnessFactor", 1)), float(base.get("metallicFactor", 1))
    color = np.array(base.get("baseColorFactor", (1, 1, 1, 1)), np.float64).clip(0, 1).astype(np.float32)
    strength = float((extensions.get("KHR_materials_emissive_strength") or {}).get("emissiveStrength", 1))
    emission = (strength * np.array(material.get("emissiveFactor", (0, 0, 0)), np.float64)).clip(0, 1).astype(np.float32)
    if color.shape != (4,) or emission.shape != (3,) or not (np.isfinite(color).all() and np.isfinite(emission).all()):
        raise ValueError(f"material {str(material.get('name'))[:40]}: a color is not 4 or 3 finite numbers")
    emission_mips = _read_emission(glb, material) if textures and emission.any() else ()
    if material.get("emissiveTexture") and not emission_mips:
        emission = np.zeros_like(emission)  # without its texture the whole surface would glow
    return Material(
        color=color,
        mips=read_texture(glb, base.get("baseColorTexture")) if textures else (),
        alpha=cast("AlphaMode", str(material.get("alphaMode", "OPAQUE"))),
        cutoff=float(material.get("alphaCutoff", 0.5)),
        two_sided=bool(material.get("doubleSided", False)),
        gloss=(1 - roughness) * (1 - 0.5 * metal if "metallicRoughnessTexture" not in base else 0.2),
        emission=emission,
        emission_mips=emission_mips,
        lit="KHR_materials_unlit" not in extensions,
    )


def _read_emission(glb: Glb, material: Document) -> tuple[Image, ...]:
    """The texture of the emitted light; its mean color if it has texture coordinates of its own."""
    reference, shared = material.get("emissiveTexture") or {}, uv_reference(material)
    mips = read_texture(glb, reference)
    same = all(_placement(reference).get(key) == _placement(shared).get(key) for key in _PLACEMENT_KEYS)
    return mips if same else mips[-1:]


def _placement(reference: Document) -> Document:
    """The texture coordinates that a texture reference names, and how they are transformed."""
    transform = (reference.get("extensions") or {}).get("KHR_texture_transform") or {}
    return {"texCoord": reference.get("texCoord", 0), **transform}
