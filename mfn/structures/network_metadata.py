"""Metadata of a network in an ONNX file of `mfn export`. Names and format of the metadata are defined only here.

It is stored in the file's `metadata_props`, text by name. `mfn.models.export` writes it; the loaders of networks read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

FORMAT = 1

NetworkKind = Literal["multi_face", "parameters", "position_map", "dense"]
"""What a network predicts: the cells of a whole picture, or, of the face in a crop, its parameters, a position map or dense landmarks."""

OUTPUT_NAMES: dict[NetworkKind, str] = {
    "multi_face": "cells",
    "parameters": "parameters",
    "position_map": "position_map",
    "dense": "points",
}
"""Kind of a network -> name of its output in the ONNX graph."""


class Size(NamedTuple):
    """A width and a height in px."""

    width: int
    height: int


@dataclass(frozen=True)
class NetworkMetadata:
    """The information about a network that travels in its ONNX file.

    Attributes:
        kind: What the network predicts.
        input_size: Size of the input. A multi-face network takes any size of about this area; a network of one crop takes this size only.
        float_modules: Names of the network's modules that stay in float32 when it is quantized.
    """

    kind: NetworkKind
    input_size: Size
    float_modules: tuple[str, ...] = ()

    def to_props(self) -> dict[str, str]:
        """Return the entries for an ONNX model's `metadata_props`."""
        return {
            "format": str(FORMAT),
            "kind": self.kind,
            "input_size": f"{self.input_size.width}x{self.input_size.height}",
            "float_modules": ",".join(self.float_modules),
        }

    @classmethod
    def from_props(cls, props: Mapping[str, str]) -> NetworkMetadata | None:
        """Read the entries of an ONNX model.

        Args:
            props: The model's metadata, text by name, such as `session.get_modelmeta().custom_metadata_map`.

        Returns:
            The metadata, or None if the file has none, as a file that an older version wrote.

        Raises:
            ValueError: Another format, or an entry that is missing or not valid.
        """
        if "format" not in props:
            return None
        if props["format"] != str(FORMAT):
            raise ValueError(f"network metadata: expected format {FORMAT}, got {props['format']!r}; export the network again")
        kind, size = props.get("kind", ""), props.get("input_size", "")
        if kind not in get_args(NetworkKind):
            raise ValueError(f"network metadata: expected a kind of {', '.join(get_args(NetworkKind))}, got {kind!r}")
        width, _, height = size.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise ValueError(f"network metadata: expected an input_size such as 864x496, got {size!r}")
        modules = tuple(part for part in props.get("float_modules", "").split(",") if part)
        return cls(cast(NetworkKind, kind), Size(int(width), int(height)), modules)
