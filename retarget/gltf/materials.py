"""What the surfaces of a rig look like, as far as a small renderer needs it: base colour, texture, transparency,
gloss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import Document, Glb
from retarget.io.images import decode_rgba

_LARGEST_TEXTURE = 1024
_MOST_PIXELS = 1 << 26  # of a stored picture, so that a small file cannot claim all memory


@dataclass(frozen=True)
class Look:
    """One material. colour: (4,) linear light and coverage. mips: sRGB + coverage pictures (h, w, 4) uint8, each half
    as large as the one before, empty without a texture. alpha: "OPAQUE", "MASK" or "BLEND"; lit: whether light falls
    on it."""

    colour: NDArray[np.float32]
    mips: tuple[NDArray[np.uint8], ...]
    alpha: str = "OPAQUE"
    cutoff: float = 0.5
    two_sided: bool = False
    gloss: float = 0.0
    glow: NDArray[np.float32] | float = 0.0
    lit: bool = True


def load_looks(glb: Glb, textures: bool = True) -> list[Look]:
    """One Look for each material of the document, and at the end one for surfaces without material. textures: read
    them."""
    looks = [_look(glb, material, textures) for material in glb.document.get("materials", [])]
    return [*looks, Look(np.ones(4, np.float32), ())]


def surface_of(material: Document) -> Document:
    """A material's "pbrMetallicRoughness"; of the older "specular glossiness" what comes near to it."""
    old = (material.get("extensions") or {}).get("KHR_materials_pbrSpecularGlossiness")
    if old is None:
        return dict(material.get("pbrMetallicRoughness", {}))
    roughness = 0.6 if "specularGlossinessTexture" in old else 1 - float(old.get("glossinessFactor", 1))
    same = {"baseColorFactor": "diffuseFactor", "baseColorTexture": "diffuseTexture"}
    known = {new: old[name] for new, name in same.items() if name in old}
    return {**known, "metallicFactor": 0.0, "roughnessFactor": roughness}


def sample(look: Look, uv: NDArray[Any], level: int) -> NDArray[np.float32]:
    """Texture at uv (F, 2), repeating, between its four nearest texels -> (F, 4) sRGB and coverage in [0, 1]."""
    picture = look.mips[min(max(level, 0), len(look.mips) - 1)]
    height, width = picture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left)[:, None].astype(np.float32), (y - top)[:, None].astype(np.float32)
    x0, y0 = left.astype(np.int64) % width, top.astype(np.int64) % height
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    upper = picture[y0, x0] * (1 - fx) + picture[y0, x1] * fx
    lower = picture[y1, x0] * (1 - fx) + picture[y1, x1] * fx
    return (upper * (1 - fy) + lower * fy) / np.float32(255)


def _look(glb: Glb, material: Document, textures: bool) -> Look:
    surface = surface_of(material)
    texture = surface.get("baseColorTexture")
    roughness, metal = float(surface.get("roughnessFactor", 1)), float(surface.get("metallicFactor", 1))
    colour = np.array(surface.get("baseColorFactor", (1, 1, 1, 1)), np.float64).clip(0, 1).astype(np.float32)
    glow = np.array(material.get("emissiveFactor", (0, 0, 0)), np.float64).clip(0, 1).astype(np.float32)
    if colour.shape != (4,) or glow.shape != (3,) or not (np.isfinite(colour).all() and np.isfinite(glow).all()):
        raise ValueError(f"material {str(material.get('name'))[:40]}: a colour is not 4 or 3 finite numbers")
    return Look(
        colour=colour,
        mips=_mips(glb, texture["index"]) if texture and textures else (),
        alpha=str(material.get("alphaMode", "OPAQUE")),
        cutoff=float(material.get("alphaCutoff", 0.5)),
        two_sided=bool(material.get("doubleSided", False)),
        gloss=(1 - roughness) * (1 - 0.5 * metal if "metallicRoughnessTexture" not in surface else 0.2),
        glow=glow,
        lit="KHR_materials_unlit" not in material.get("extensions", {}),
    )


def _mips(glb: Glb, texture: int) -> tuple[NDArray[np.uint8], ...]:
    """The texture's picture and its halvings; none if it is of a kind that OpenCV cannot read (the plain colour
    stays)."""
    import cv2

    textures, images = glb.document.get("textures", []), glb.document.get("images", [])
    item = textures[texture] if isinstance(texture, int) and 0 <= texture < len(textures) else {}
    source = item.get("extensions", {}).get("EXT_texture_webp", {}).get("source", item.get("source"))
    if source is None or not 0 <= source < len(images):
        return ()
    view = glb.document["bufferViews"][images[source]["bufferView"]]
    data = bytes(glb.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
    picture = decode_rgba(data, _MOST_PIXELS, f"{glb.path}: image {source}")
    if picture is None:
        return ()
    shrink = max(picture.shape[:2]) / _LARGEST_TEXTURE
    if shrink > 1:
        size = max(1, round(picture.shape[1] / shrink)), max(1, round(picture.shape[0] / shrink))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    mips = [picture]
    while min(mips[-1].shape[:2]) > 1:
        half = mips[-1].shape[1] // 2, mips[-1].shape[0] // 2
        mips.append(cv2.resize(mips[-1], half, interpolation=cv2.INTER_AREA))
    return tuple(np.asarray(mip, np.uint8) for mip in mips)
