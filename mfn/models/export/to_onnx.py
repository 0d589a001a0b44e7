"""Export of a trained network to an ONNX file, which needs neither torch nor the training code.

The graph is the network alone: a picture of uint8 goes in; raw cells come out, or the prediction for a crop. A
multi-face network takes any batch size and any input size that is a multiple of 16; a network of one crop takes any
batch size. Weights are stored as float16, half the file, and computed with in float32. Its metadata contains
what the network is (`mfn.structures.network_metadata`). Other runtimes need other forms (`mfn.models.export.deployment`).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mfn.models.export.deployment import OnnxForm, fold_constants, to_half
from mfn.models.mfn import MFN
from mfn.structures.crop_geometry import CROP_SIZE
from mfn.structures.flip import cell_flip
from mfn.structures.head_model import HeadModel
from mfn.structures.network_metadata import OUTPUT_NAMES, NetworkKind, NetworkMetadata, Size
from retarget.io.files import atomic_write

MIN_FP16_NUMBERS = 256  # smaller tensors, such as biases and shapes, stay in float32
MAX_REFINEMENT_STEPS = 9
_OWN_ENTRIES = ("float_modules", "strides", "input_multiple", "face_range")
PLAIN = OnnxForm()
EXAMPLE_SIDE_PX = 384  # side of the picture that the exporter traces a multi-face network with


class PictureInput(nn.Module):
    """Put the conversion of a uint8 picture in front of a network.

    Args:
        network: Takes (B, 3, H, W) float32 RGB, 0 to 255. Node names in the ONNX graph begin with the name of this attribute, "/network/".
        cast_first: Convert before the axes are exchanged, because TensorRT converts uint8 only as the first step. The last step is faster
            on a CPU.
    """

    def __init__(self, network: nn.Module, cast_first: bool = False) -> None:
        super().__init__()
        self.network = network
        self.cast_first = cast_first

    def forward(self, image: Tensor, *other: Tensor) -> Tensor:
        """Return the network's float32 output for pictures (B, H, W, 3) uint8 RGB and its other inputs."""
        picture = image.float().permute(0, 3, 1, 2) if self.cast_first else image.permute(0, 3, 1, 2).float()
        output: Tensor = self.network(picture, *other)
        return output


def enable_mirror_tta(network: nn.Module) -> nn.Module:
    """Make a multi-face network average its predictions for the largest faces with those of the mirrored picture.

    Args:
        network: An `MFN`; it is changed in place.

    Returns:
        The same network.

    Raises:
        ValueError: Another network.
    """
    if not isinstance(network, MFN):
        raise ValueError(f"--mirror-tta: expected the multi-face network MFN, got {type(network).__name__}; leave the option out")
    network.average_with_mirror(cell_flip(HeadModel.load().identity_mirror))
    return network


def set_refinement_steps(network: nn.Module, steps: int) -> None:
    """Set the number of refinement steps of a multi-face network, in place.

    Args:
        network: An `MFN` with a refinement head.
        steps: 1 to 9.

    Raises:
        ValueError: Another network, one without a refinement head, or a number out of range.
    """
    if not isinstance(network, MFN) or network.refiner is None:
        raise ValueError(f"--refinement-steps: expected an MFN with a refinement head, got {type(network).__name__} without one")
    if not 1 <= steps <= MAX_REFINEMENT_STEPS:
        raise ValueError(f"--refinement-steps: expected 1 to {MAX_REFINEMENT_STEPS}, got {steps}")
    network.refiner.steps = steps


def network_metadata(network: nn.Module, input_size: tuple[int, int] | None = None) -> NetworkMetadata:
    """Describe a network for its ONNX file.

    Args:
        network: A network with the class attribute `kind`, and with attributes of the names of `NetworkMetadata` where their defaults
            do not fit: `float_modules`, `strides`, `input_multiple`, `face_range`.
        input_size: (width, height) for a multi-face network; by default the class attribute `input_size`. None for a network of one crop.

    Raises:
        ValueError: A network without `kind`, a size for a network of one crop, or a size that is no multiple of `input_multiple`.
    """
    kind: NetworkKind | None = getattr(network, "kind", None)
    if kind is None:
        raise ValueError(f"{type(network).__name__}: expected a class attribute `kind`, one of {', '.join(OUTPUT_NAMES)}")
    if kind != "multi_face":
        side: int = getattr(network, "crop_size_px", CROP_SIZE)
        if input_size is not None:
            raise ValueError(f"input size: a network of one crop has the size {side}x{side}, got {input_size}; leave the size out")
        return NetworkMetadata(kind, Size(side, side), getattr(network, "float_modules", ()))
    size = Size(*(input_size or network.input_size))
    metadata = NetworkMetadata(kind, size, **{name: getattr(network, name) for name in _OWN_ENTRIES if hasattr(network, name)})
    multiple = metadata.input_multiple
    if min(size) < multiple or any(side % multiple for side in size):
        raise ValueError(f"input size: expected multiples of {multiple} px, got {size.width}x{size.height}")
    return metadata


def write_onnx(network: nn.Module, path: Path, input_size: tuple[int, int] | None = None, form: OnnxForm = PLAIN) -> None:
    """Write a network to an ONNX file, completely or not at all.

    Args:
        network: In evaluation mode.
        path: File to write. Its folder is made if it is missing.
        input_size: (width, height) to use a multi-face network with; see `network_metadata`.
        form: Shape, precision and operators. Its size, if there is one, is also the `input_size`.
    """
    form.check()
    metadata = network_metadata(network, form.size or input_size)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda temporary: _write(network, metadata, form, temporary))


def _write(network: nn.Module, metadata: NetworkMetadata, form: OnnxForm, path: Path) -> None:
    import onnx
    from onnx import helper

    output = OUTPUT_NAMES[metadata.kind]
    height, width = _example_size(metadata, form)
    batch = form.batch or (2 if metadata.kind == "eyes" else 1)  # eyes come in pairs
    inputs = {"image": torch.zeros(batch, height, width, 3, dtype=torch.uint8)}
    if metadata.kind == "eyes":
        inputs["direction"] = torch.zeros(batch, 3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.tensor results are registered as constants")  # ours are constants
        torch.onnx.export(
            PictureInput(network, not form.is_plain).eval().to(memory_format=torch.contiguous_format),
            tuple(inputs.values()),
            str(path),
            dynamo=False,
            opset_version=form.opset,
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes=_dynamic_axes(metadata, form),
        )
    model = onnx.load(str(path))
    if not form.is_plain:
        model = fold_constants(model)
    if form.half:
        model = to_half(model, metadata.float_modules)
    elif form.is_plain:
        store_weights_fp16(model)
    helper.set_model_props(model, metadata.to_props())
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _example_size(metadata: NetworkMetadata, form: OnnxForm) -> tuple[int, int]:
    """Return height and width of the picture that the exporter traces the network with."""
    if metadata.kind == "multi_face" and form.size is None:
        return EXAMPLE_SIDE_PX, EXAMPLE_SIDE_PX
    return metadata.input_size.height, metadata.input_size.width


def _dynamic_axes(metadata: NetworkMetadata, form: OnnxForm) -> dict[str, dict[int, str]]:
    """Return the axes of input and output that take any length."""
    image, output = ({}, {}) if form.batch else ({0: "B"}, {0: "B"})
    if metadata.kind == "multi_face" and form.size is None:
        image, output = image | {1: "H", 2: "W"}, output | {1: "A"}
    return {"image": image, OUTPUT_NAMES[metadata.kind]: output} | ({"direction": output} if metadata.kind == "eyes" else {})


def store_weights_fp16(model: Any) -> None:
    """Store the large float32 constants of an ONNX model as float16 with a Cast behind each, in place.

    ONNX Runtime casts them once, when it loads the model.

    Args:
        model: An `onnx.ModelProto`.

    Raises:
        ValueError: A weight that is too large for float16.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        value = numpy_helper.to_array(tensor)
        if value.dtype != np.float32 or value.size < MIN_FP16_NUMBERS:
            continue
        largest = np.abs(value).max()
        limit = np.finfo(np.float16).max
        if largest > limit:
            raise ValueError(f"{tensor.name}: expected weights up to {limit:.0f}, which float16 holds, got {largest:.3g}")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    for i, node in enumerate(casts):
        graph.node.insert(i, node)
