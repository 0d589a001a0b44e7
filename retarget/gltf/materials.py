"""Materials of a glTF file, as far as our renderer needs them: base color, texture, transparency, gloss, emission."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import Document, Glb
from retarget.io.image_decoder import Image, decode_rgba

AlphaMode = Literal["OPAQUE", "MASK", "BLEND"]

_MAX_TEXTURE_SIDE_PX = 1024
_MAX_TEXTURE_PIXELS = 1 << 26  # of a stored texture, so that a small file cannot claim all memory


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
        emission: (3,) linear light that the surface emits.
        lit: Whether light changes its color.
    """

    color: NDArray[np.float32]
    mips: tuple[Image, ...]
    alpha: AlphaMode = "OPAQUE"
    cutoff: float = 0.5
    two_sided: bool = False
    gloss: float = 0.0
    emission: NDArray[np.float32] | float = 0.0
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
    base = base_properties(material)
    texture = base.get("baseColorTexture")
    roughness, metal = float(base.get("roughnessFactor", 1)), float(base.get("metallicFactor", 1))
    color = np.array(base.get("baseColorFactor", (1, 1, 1, 1)), np.float64).clip(0, 1).astype(np.float32)
    emission = np.array(material.get("emissiveFactor", (0, 0, 0)), np.float64).clip(0, 1).astype(np.float32)
    if color.shape != (4,) or emission.shape != (3,) or not (np.isfinite(color).all() and np.isfinite(emission).all()):
        raise ValueError(f"material {str(material.get('name'))[:40]}: a color is not 4 or 3 finite numbers")
    return Material(
        color=color,
        mips=_read_texture(glb, texture["index"]) if texture and textures else (),
        alpha=cast("AlphaMode", str(material.get("alphaMode", "OPAQUE"))),
        cutoff=float(material.get("alphaCutoff", 0.5)),
        two_sided=bool(material.get("doubleSided", False)),
        gloss=(1 - roughness) * (1 - 0.5 * metal if "metallicRoughnessTexture" not in base else 0.2),
        emission=emission,
        lit="KHR_materials_unlit" not in material.get("extensions", {}),
    )


def _read_texture(glb: Glb, texture: int) -> tuple[Image, ...]:
    """Decode a texture and halve it again and again. Nothing if it cannot be decoded: the plain color is drawn."""
    import cv2

    textures, images = glb.document.get("textures", []), glb.document.get("images", [])
    item = textures[texture] if isinstance(texture, int) and 0 <= texture < len(textures) else {}
    source = item.get("extensions", {}).get("EXT_texture_webp", {}).get("source", item.get("source"))
    if source is None or not 0 <= source < len(images):
        return ()
    view = glb.document["bufferViews"][images[source]["bufferView"]]
    data = bytes(glb.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
    image = decode_rgba(data, _MAX_TEXTURE_PIXELS, f"{glb.path}: image {source}")
    if image is None:
        return ()
    shrink = max(image.shape[:2]) / _MAX_TEXTURE_SIDE_PX
    if shrink > 1:
        size = max(1, round(image.shape[1] / shrink)), max(1, round(image.shape[0] / shrink))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    mips = [image]
    while min(mips[-1].shape[:2]) > 1:
        half = mips[-1].shape[1] // 2, mips[-1].shape[0] // 2
        mips.append(np.asarray(cv2.resize(mips[-1], half, interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(mips)
