"""Open the ONNX files of networks, check them, and run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfn.inference.sessions.devices import CPU, Provider, start_session
from mfn.structures.cells import CELL_SIZE
from mfn.structures.crop_geometry import CROP_SIZE, EYE_CROP_PX, EYE_SHAPES
from mfn.structures.network_metadata import OUTPUT_NAMES, NetworkKind, NetworkMetadata

if TYPE_CHECKING:
    import onnxruntime

_MULTI_FACE_INPUT = [("image", "tensor(uint8)", 4)]
_OTHER_USES: dict[NetworkKind, str] = {
    "cell": "a face reader: use it as Predictor.load(NETWORK, reader=FILE)",
    "eyes": "an eye reader: Predictor.load opens the one that ships by itself",
    "parameters": "load it with SingleFace.load, or use it as Predictor.load(NETWORK, portrait_reader=FILE)",
}
"""What to do with a network that is no multi-face network. The other kinds are for `SingleFace` only."""


def open_session(path: Path, threads: int = 0, providers: Sequence[Provider] = (CPU,)) -> onnxruntime.InferenceSession:
    """Open a network.

    Args:
        path: An ONNX file.
        threads: CPU cores that one call uses; 0 for all.
        providers: Execution providers of ONNX Runtime, the preferred one first; from `choose_providers`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ONNX Runtime cannot read it, or if a provider does not start.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; if it belongs to this package, install the package again")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return start_session(str(path), options, providers, threads)
    except ValueError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        raise ValueError(f"{path}: not a network that ONNX Runtime can read (expected an .onnx file; {type(error).__name__})") from None


def run(session: onnxruntime.InferenceSession, inputs: Mapping[str, NDArray[Any]], output: str | None = None) -> NDArray[np.float32]:
    """Run a network.

    Args:
        session: The network.
        inputs: Name of each input -> array. `image` is (B, H, W, 3).
        output: Name of the output to return. None: the first.

    Raises:
        ValueError: If the network fails, for example for lack of memory.
    """
    try:
        return np.asarray(session.run([output] if output else None, dict(inputs))[0])
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        image = inputs["image"]
        shape = f"{len(image)} x {image.shape[2]} x {image.shape[1]} px"
        detail = " ".join(str(error).split())[-120:]
        raise ValueError(f"the network failed on {shape}; if memory is short, look for larger faces only (…{detail})") from None


def read_metadata(path: Path, session: onnxruntime.InferenceSession) -> NetworkMetadata | None:
    """Return the metadata in the network's file, or None for a file without metadata (an old export)."""
    try:
        return NetworkMetadata.from_props(session.get_modelmeta().custom_metadata_map)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def check_multi_face(path: Path, session: onnxruntime.InferenceSession) -> NetworkMetadata | None:
    """Check that a network is a multi-face network.

    Returns:
        Its metadata, or None for a file without metadata.

    Raises:
        ValueError: If it is another network, or if its cells have another layout.
    """
    metadata = read_metadata(path, session)
    if metadata is not None and metadata.kind != "multi_face":
        use = _OTHER_USES.get(metadata.kind, "load it with SingleFace.load")
        raise ValueError(f"{path}: expected a multi-face network, got one of kind {metadata.kind}; {use}")
    inputs = [(i.name, i.type, len(i.shape)) for i in session.get_inputs()]
    outputs = [(o.name, o.shape[-1] if o.shape else None) for o in session.get_outputs()]
    if inputs != _MULTI_FACE_INPUT or not outputs or outputs[0][0] != OUTPUT_NAMES["multi_face"]:
        raise ValueError(f"{path}: expected a network `image` uint8 (B, H, W, 3) -> `cells`, got {inputs} -> {outputs}")
    if isinstance(outputs[0][1], int) and outputs[0][1] != CELL_SIZE:
        raise ValueError(f"{path}: expected cells of {CELL_SIZE} numbers, got {outputs[0][1]}; export the network again")
    return metadata


def check_single_face(path: Path, session: onnxruntime.InferenceSession) -> NetworkKind:
    """Check that a network reads crops of one face, and return what it predicts.

    Raises:
        ValueError: If it is another network, or if its crops have another size.
    """
    metadata = read_metadata(path, session)
    inputs = [(i.name, i.type, list(i.shape[1:])) for i in session.get_inputs()]
    outputs = [o.name for o in session.get_outputs()]
    expected = [("image", "tensor(uint8)", [CROP_SIZE, CROP_SIZE, 3])]
    by_output = {name: kind for kind, name in OUTPUT_NAMES.items() if kind not in ("multi_face", "cell", "eyes")}
    kind = by_output.get(outputs[0]) if len(outputs) == 1 else None
    if inputs != expected or kind is None or (metadata is not None and metadata.kind != kind):
        raise ValueError(f"{path}: expected a single-face network, {expected} -> one of {list(by_output)}, got {inputs} -> {outputs}")
    return kind


def check_reader(path: Path, session: onnxruntime.InferenceSession) -> int:
    """Check that a network reads cells from square crops, and return the side of its crops in px.

    Raises:
        ValueError: If it is another network.
    """
    read_metadata(path, session)
    inputs = [(i.name, i.type, list(i.shape[1:])) for i in session.get_inputs()]
    outputs = [(o.name, o.shape[-1]) for o in session.get_outputs()]
    side = inputs[0][2][0] if len(inputs) == 1 and len(inputs[0][2]) == 3 else None
    wanted = [("image", "tensor(uint8)", [side, side, 3])], [(OUTPUT_NAMES["cell"], CELL_SIZE)]
    if not isinstance(side, int) or (inputs, outputs) != wanted:
        expected = f"a face reader, `image` uint8 (B, S, S, 3) -> `cell` (B, {CELL_SIZE})"
        raise ValueError(f"{path}: expected {expected}, got {inputs} -> {outputs}")
    return side


def check_eye_reader(path: Path, session: onnxruntime.InferenceSession) -> None:
    """Check that a network reads eyes.

    Raises:
        ValueError: If it is another network.
    """
    read_metadata(path, session)
    inputs = [(i.name, i.type, list(i.shape[1:])) for i in session.get_inputs()]
    outputs = [(o.name, o.shape[-1]) for o in session.get_outputs()]
    wanted = [("image", "tensor(uint8)", [EYE_CROP_PX, EYE_CROP_PX, 3]), ("direction", "tensor(float)", [3])]
    if inputs != wanted or outputs != [(OUTPUT_NAMES["eyes"], len(EYE_SHAPES))]:
        expected = f"an eye reader, `image` uint8 (E, {EYE_CROP_PX}, {EYE_CROP_PX}, 3), `direction` (E, 3) -> `eyes` (E, {len(EYE_SHAPES)})"
        raise ValueError(f"{path}: expected {expected}, got {inputs} -> {outputs}")
