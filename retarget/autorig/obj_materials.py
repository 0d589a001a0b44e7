"""Read the colors and textures of an OBJ mesh from its .mtl files, as materials of glTF."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote

from retarget.gltf.reading.resources import Folder, load_uri
from retarget.io.obj import ObjMesh, material_name

SKIN_COLOR = (0.72, 0.52, 0.42)
"""Base color of a material whose color is not known, linear light."""
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff")


class Materials(NamedTuple):
    """What the materials of a mesh are in glTF.

    Attributes:
        documents: A glTF material for each of `ObjMesh.material_names`. Its textures have numbers of `images`.
        images: PNG and JPEG files.
        remarks: What the OBJ file states and could not be taken over.
    """

    documents: list[dict[str, Any]]
    images: list[bytes]
    remarks: tuple[str, ...]


class _Stated(NamedTuple):
    """What a .mtl file states of a material. color: red, green, blue; texture: name of a file."""

    color: tuple[float, ...] | None = None
    texture: str | None = None


def read_materials(path: str | os.PathLike[str], mesh: ObjMesh) -> Materials:
    """Read the color (`Kd`) and the texture (`map_Kd`) of each material.

    Args:
        path: The .obj file. Its .mtl files and textures lie beside it.
        mesh: Its content.

    A material without them is of the color of skin. A texture is not multiplied with the color, because many programs
    write a color of 0 or 0.8 beside it. What cannot be read is left out, with a remark.
    """
    folder, remarks = Folder(Path(path).parent), []
    stated: dict[str, _Stated] = {}
    for name in mesh.material_files:
        try:
            stated |= _parse(_load(folder, name).decode("utf-8", "replace"))
        except ValueError as error:
            remarks.append(f"{path}: {error}: the colors of the mesh are not known")
    materials = [stated.get(name, _Stated()) for name in mesh.material_names]
    for number, material in enumerate(materials):
        if (mesh.uv_triangles[mesh.material == number] < 0).any():
            materials[number] = material._replace(texture=None)
    pictures: dict[str, bytes] = {}
    for texture in dict.fromkeys(material.texture for material in materials if material.texture is not None):
        try:
            pictures[texture] = _load_picture(folder, texture)
        except ValueError as error:
            remarks.append(f"{path}: {error}: this texture is left out")
    names = list(pictures)
    documents = [_document(name, material, names) for name, material in zip(mesh.material_names, materials, strict=True)]
    return Materials(documents, list(pictures.values()), tuple(remarks))


def _document(name: str, material: _Stated, pictures: Sequence[str]) -> dict[str, Any]:
    """A material of glTF. pictures: names of the textures that were read."""
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.6}
    if material.texture in pictures:
        surface["baseColorTexture"] = {"index": pictures.index(material.texture)}
    else:
        surface["baseColorFactor"] = [*(material.color or SKIN_COLOR), 1.0]
    return {"name": name, "doubleSided": True, "pbrMetallicRoughness": surface}


def _load(folder: Folder, name: str) -> bytes:
    """The bytes of a file in the folder. Of a path that leads elsewhere, the name counts. Raises ValueError if it is not there."""
    place = PurePosixPath(name.replace("\\", "/"))
    is_elsewhere = place.is_absolute() or ":" in name or ".." in place.parts
    return load_uri(quote(place.name if is_elsewhere else str(place)), folder)


def _load_picture(folder: Folder, name: str) -> bytes:
    picture = _load(folder, name)
    if not picture.startswith(_PICTURES):
        raise ValueError(f"{name[:80]} is neither .png nor .jpg (convert it, or give the head as .glb)")
    return picture


def _parse(text: str) -> dict[str, _Stated]:
    materials: dict[str, _Stated] = {}
    current = ""
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        if kind == "newmtl":
            current = material_name(words)
            materials[current] = _Stated()
        elif kind == "Kd" and current:
            materials[current] = materials[current]._replace(color=_color(words))
        elif kind.lower() == "map_kd" and current and words:
            has_options = words[0].startswith("-")  # such as "-s 1 1 1 face.png"
            materials[current] = materials[current]._replace(texture=words[-1] if has_options else " ".join(words))
    return materials


def _color(words: Sequence[str]) -> tuple[float, ...] | None:
    """Three numbers from 0 to 1, or None if a color is stated in another way."""
    try:
        values = [float(word) for word in words[:3]]
    except ValueError:
        return None
    is_valid = len(values) == 3 and all(map(math.isfinite, values))
    return tuple(min(max(value, 0.0), 1.0) for value in values) if is_valid else None
