"""Metadata of a network in an ONNX file of `mfn export`. Names and format of the metadata are defined only here.

It is stored in the file's `metadata_props`, text by name. `mfn.models.export` writes it; the loaders of networks read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

from mfn.structures.cells import INPUT_MULTIPLE, STRIDES

FORMAT = 1

NetworkKind = Literal["multi_face", "cell", "eyes", "parameters", "position_map", "dense"]
"""What a network predicts: the cells of a whole picture; or, of the face in a crop, its cell, its parameters, a position map or dense
landmarks; or the shapes of the eye in a crop."""

OUTPUT_NAMES: dict[NetworkKind, str] = {
    "multi_face": "cells",
    "cell": "cell",
    "eyes": "eyes",
    "parameters": "parameters",
    "position_map": "position_map",
    "dense": "points",
}
"""Kind of a network -> name of its output in the ONNX graph."""


class Size(NamedTuple):
    """A width and a height in px."""

    width: int
    height: int


class FaceRange(NamedTuple):
    """Height of the faces that a multi-face network finds and reads best, in px of its input.

    Attributes:
        min_px: Smaller faces are often missed. The scale of a picture follows from this.
        max_px: Larger faces are looked for in a smaller copy of the picture.
    """

    min_px: float = 24.0
    max_px: float = 300.0


DEFAULT_FACE_RANGE = FaceRange()


@dataclass(frozen=True)
class NetworkMetadata:
    """The information about a network that travels in its ONNX file.

    Attributes:
        kind: What the network predicts.
        input_size: Size of the input. A multi-face network takes any size of about this area; a network of one crop takes this size only.
        float_modules: Names of the network's modules that stay in float32 when it is quantized.
        strides: Strides of a multi-face network's cells in px of its input, in the order of its output.
        input_multiple: Both sides of a multi-face network's input are multiples of this, in px.
        face_range: Which faces a multi-face network finds.
    """

    kind: NetworkKind
    input_size: Size
    float_modules: tuple[str, ...] = ()
    strides: tuple[int, ...] = STRIDES
    input_multiple: int = INPUT_MULTIPLE
    face_range: FaceRange = DEFAULT_FACE_RANGE

    def to_props(self) -> dict[str, str]:
        """Return the entries for an ONNX model's `metadata_props`."""
        return {
            "format": str(FORMAT),
            "kind": self.kind,
            "input_size": f"{self.input_size.width}x{self.input_size.height}",
            "float_modules": ",".join(self.float_modules),
            "strides": ",".join(map(str, self.strides)),
            "input_multiple": str(self.input_multiple),
            "face_range": ",".join(map(str, self.face_range)),
        }

    @classmethod
    def from_props(cls, props: Mapping[str, str]) -> NetworkMetadata | None:
        """Read the entries of an ONNX model.

        Args:
            props: The model's metadata, text by name, such as `session.get_modelmeta().custom_metadata_map`.

        Returns:
            The metadata, or None if the file has none, as a file that an older version wrote. Entries after `input_size` have defaults.

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
        return cls(
            cast(NetworkKind, kind),
            Size(int(width), int(height)),
            tuple(part for part in props.get("float_modules", "").split(",") if part),
            strides=tuple(int(value) for value in _numbers(props, "strides", STRIDES, whole=True)),
            input_multiple=int(_numbers(props, "input_multiple", (INPUT_MULTIPLE,), 1, whole=True)[0]),
            face_range=FaceRange(*_numbers(props, "face_range", DEFAULT_FACE_RANGE, len(DEFAULT_FACE_RANGE))),
        )


def _numbers(
    props: Mapping[str, str], name: str, default: Sequence[float], count: int | None = None, whole: bool = False
) -> list[float]:
    """Read an entry of numbers separated by commas: `count` of them, each above 0."""
    text = props.get(name, ",".join(map(str, default)))
    parts = text.split(",")
    try:
        numbers = [float(int(part)) if whole else float(part) for part in parts]
    except ValueError:
        numbers = []
    if not numbers or len(numbers) != (count or len(numbers)) or not all(n > 0 for n in numbers):
        wanted = f"{count or 'one or more'} {'whole ' if whole else ''}number{'' if count == 1 else 's'} above 0"
        raise ValueError(f"network metadata: expected {name} to be {wanted}, separated by commas, got {text!r}")
    return numbers
