"""Static quantization: a network of `mfn export` with its convolutions in 8-bit integers, about twice as fast on a CPU and half as large.

Weights have one scale for each channel, feature maps one scale each, found on calibration pictures. What an exported
network names in its metadata (`float_modules`), and the last matrix products of all branches, stay in float32, because
they are read in fractions of a pixel. The picture goes in as bytes. Networks of one face keep their large matrix products in float32, with
weights that are stored as integers. If they predict landmarks, or if there are no calibration pictures, only their weights become integers:
they get half as large, but not faster.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.input.letterbox import MAX_ENLARGEMENT, letterbox_image, make_letterbox
from mfn.inference.model_zoo import DEFAULT_MODEL
from mfn.inference.predictor import Predictor
from mfn.models.export.pack_columns import pack_columns
from mfn.models.export.to_onnx import store_weights_fp16
from mfn.structures.crop_geometry import EYE_CROP_PX, cut_crops, eye_frames, upright_frames
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from mfn.structures.network_metadata import NetworkMetadata
from retarget.io.files import atomic_write
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnx

_Inputs = dict[str, NDArray[Any]]

# No "Concat": then all numbers of a cell would have 8 bits, which alone raised NME by 20 %.
QUANTIZED_OPS = ("Conv", "Relu", "Add")
SMALLEST_WEIGHT = 65536
"""Numbers in a weight of a network of one face from which it becomes integers. Smaller ones, as those of the last layers, stay float16."""


def quantize(source: Path, out: Path, pictures: Sequence[Image], weights: str | Path = DEFAULT_MODEL) -> None:
    """Quantize a network of `mfn export`.

    The output is written completely or not at all.

    Args:
        source: ONNX file of `mfn export`.
        out: File to write.
        pictures: Calibration pictures (H, W, 3) uint8 RGB, of the kind that the network will see. For a multi-face network they are
            letterboxed to its own input size. For the others, crops of the faces or eyes are cut that the network of `weights` finds in
            them. A network of one face needs none, but only with them does one of kind "parameters" get faster.
        weights: What finds the faces for crops: "large", "free" or the ONNX file of a multi-face network.

    Raises:
        FileNotFoundError: There is no such network.
        ValueError: No pictures, no faces in them, a file that is not an ONNX file, a network that `mfn export` of this version did not
            write, one of 8-bit integers, or one for another runtime.
    """
    import onnx

    model = _load_model(source)
    metadata = _read_metadata(model, source)
    _check_form(model.graph, metadata, source)
    _restore_fp32_constants(model)
    one_face = metadata.kind not in ("multi_face", "cell", "eyes")
    if not pictures and not one_face:
        raise ValueError("expected at least one calibration picture, got none; only a network of one face needs none")
    quantized = model
    if pictures and metadata.kind in _INPUTS:
        quantized = _quantize_static(model, metadata, _INPUTS[metadata.kind](pictures, metadata, weights))
        pack_columns(quantized.graph)
    if one_face:
        _quantize_weights(quantized.graph)
    store_weights_fp16(quantized)
    onnx.helper.set_model_props(quantized, metadata.to_props())
    onnx.checker.check_model(quantized)
    atomic_write(out, quantized.SerializeToString())


def _load_model(source: Path) -> onnx.ModelProto:
    import onnx

    try:
        return onnx.load(str(source))
    except Exception as error:  # protobuf's error has no base class but Exception, and protobuf is not a dependency of ours
        raise ValueError(f"{source}: expected an ONNX file, got something else ({type(error).__name__})") from None


def _read_metadata(model: onnx.ModelProto, source: Path) -> NetworkMetadata:
    metadata = NetworkMetadata.from_props({prop.key: prop.value for prop in model.metadata_props})
    if metadata is None:
        raise ValueError(f"{source}: expected a network with metadata, got a file of an older version; run `mfn export` again")
    return metadata


def _check_form(graph: onnx.GraphProto, metadata: NetworkMetadata, source: Path) -> None:
    """Raise ValueError for a network of 8-bit integers, and for one that takes one number or size of pictures, or computes in float16."""
    from onnx import TensorProto

    if any(node.op_type == "DequantizeLinear" for node in graph.node) or any(t.data_type == TensorProto.INT8 for t in graph.initializer):
        raise ValueError(f"{source}: expected a network that `mfn export` wrote, got one of 8-bit integers, which is quantized already")
    free = 3 if metadata.kind == "multi_face" else 1  # dimensions of the picture that take any length: number, height, width
    sizes = [size.dim_value for size in graph.input[0].type.tensor_type.shape.dim]
    used = {name for node in graph.node if node.op_type != "Cast" for name in node.input}
    half = any(tensor.data_type == TensorProto.FLOAT16 and tensor.name in used for tensor in graph.initializer)
    if any(sizes[:free]) or half:
        raise ValueError(f"{source}: expected a network for our runtime; run `mfn export` again without --size, --batch and --fp16")


def _quantize_static(model: onnx.ModelProto, metadata: NetworkMetadata, inputs: Iterator[_Inputs]) -> onnx.ModelProto:
    """Run ONNX Runtime's static quantization, and let the picture enter as bytes."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, part = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "part.onnx"))
        onnx.save(model, str(plain))
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared)).graph
        entry = _find_entry(graph)
        overrides = {entry.divided: [{"scale": entry.scale, "zero_point": np.array(0, np.uint8)}]} if entry else {}
        quantize_static(
            str(prepared),
            str(part),
            _CalibrationReader(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED_OPS),
            nodes_to_exclude=_float_nodes(graph, metadata),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True, "ActivationSymmetric": False, "TensorQuantOverrides": overrides},
        )
        quantized = onnx.load(str(part))
    if entry:
        _enter_as_bytes(quantized.graph, entry)
    _measure_quantized_maps(quantized.graph)
    return quantized


def _quantize_weights(graph: onnx.GraphProto) -> None:
    """Store the large weights of convolutions and matrix products as 8-bit integers with a scale for each output channel, in place.

    ONNX Runtime turns them into float32 once, when it loads the network. It does so with a Cast and a Mul of constants, but not with a
    DequantizeLinear.
    """
    from onnx import TensorProto, helper, numpy_helper

    used = {n.input[1] for n in graph.node if n.op_type == "Conv"}
    used |= {n.input[1] for n in graph.node if n.op_type == "Gemm" and any(a.name == "transB" and a.i for a in n.attribute)}
    for tensor in list(graph.initializer):
        value = numpy_helper.to_array(tensor)
        if tensor.name not in used or value.size < SMALLEST_WEIGHT:
            continue
        name, rows = tensor.name, value.reshape(len(value), -1)
        scale = np.maximum(np.abs(rows).max(1), 1e-12).astype(np.float32) / np.float32(127)
        integers = np.rint(rows / scale[:, None]).astype(np.int8).reshape(value.shape)
        tensor.CopyFrom(numpy_helper.from_array(integers, f"{name}_integers"))
        graph.initializer.append(numpy_helper.from_array(scale.reshape(-1, *[1] * (value.ndim - 1)), f"{name}_scale"))
        graph.node.insert(0, helper.make_node("Mul", [f"{name}_floats", f"{name}_scale"], [name]))
        graph.node.insert(0, helper.make_node("Cast", [f"{name}_integers"], [f"{name}_floats"], to=TensorProto.FLOAT))


def _float_nodes(graph: onnx.GraphProto, metadata: NetworkMetadata) -> list[str]:
    """List the nodes that stay in float32: those of the modules that the metadata names, and two kinds of sums.

    Sums with a bias make the cells. Sums in the network itself add a map and an upsampled deeper one; they are cheap,
    and in 8 bits they would make two fifths of the error of the landmarks.
    """
    constants = {tensor.name for tensor in graph.initializer}
    modules = "|".join(re.escape(name) for name in metadata.float_modules)
    # The exporter appends "_1", "_2" and so on to the name of a module that is called again.
    in_module = re.compile(rf"/network/({modules})(_\d+)?/") if modules else None
    return [
        node.name
        for node in graph.node
        if (in_module and in_module.match(node.name))
        or node.name.startswith("/network/Add")
        or (node.op_type == "Add" and constants.intersection(node.input))
    ]


class _Entry(NamedTuple):
    """How a picture enters the network.

    Attributes:
        bytes: Name of the picture as uint8.
        floats: Name of the picture as float32.
        divided: Name of the picture after the division by `1 / scale`.
        scale: () float32.
    """

    bytes: str
    floats: str
    divided: str
    scale: NDArray[np.float32]


def _find_entry(graph: onnx.GraphProto) -> _Entry | None:
    """Find the entry of a graph; None if the picture is not cast and then divided by a constant."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    name, names = graph.input[0].name, list[str]()
    for op in ("Transpose", "Cast", "Div"):
        name = next((n.output[0] for n in graph.node if n.op_type == op and n.input[0] == name), "")
        names.append(name)
    divisor = constants.get(next((n.input[1] for n in graph.node if n.output[0] == name), ""))
    if divisor is None:
        return None
    return _Entry(names[0], names[1], names[2], np.array(1 / numpy_helper.to_array(divisor).item(), np.float32))


def _enter_as_bytes(graph: onnx.GraphProto, entry: _Entry) -> None:
    """Remove the conversion of the picture to float32 and back, in place: the first convolution reads its bytes."""
    removed = {entry.floats, entry.divided}
    removed |= {n.output[0] for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == entry.divided}
    for node in [n for n in graph.node if n.output[0] in removed]:
        graph.node.remove(node)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = entry.bytes if name in removed else name


def _measure_quantized_maps(graph: onnx.GraphProto) -> None:
    """Let `Shape` read the 8-bit map instead of the float32 one, in place: a map of which only the size is read is not converted."""
    quantized = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    for node in graph.node:
        if node.op_type == "Shape":
            node.input[0] = quantized.get(node.input[0], node.input[0])


class _CalibrationReader:
    """The inputs from which ONNX Runtime finds the scales.

    Args:
        inputs: Arrays by name of the input.
    """

    def __init__(self, inputs: Iterator[_Inputs]) -> None:
        self._inputs = inputs

    def get_next(self) -> _Inputs | None:
        """Return the next input by name, or None at the end."""
        return next(self._inputs, None)


def _letterboxed(pictures: Sequence[Image], metadata: NetworkMetadata, weights: str | Path) -> Iterator[_Inputs]:
    for picture in pictures:
        height, width = picture.shape[:2]
        factor = min((metadata.input_size.width * metadata.input_size.height / (height * width)) ** 0.5, MAX_ENLARGEMENT)
        box = make_letterbox(height, width, factor, metadata.input_multiple)
        yield {"image": letterbox_image(picture, box)[None]}


def _face_crops(pictures: Sequence[Image], metadata: NetworkMetadata, weights: str | Path) -> Iterator[_Inputs]:
    head_model, side = default_head_model(), metadata.input_size.width
    for picture, faces in _found_faces(pictures, weights):
        yield {"image": cut_crops(picture, upright_frames(faces, head_model, side).matrix, side)}


def _eye_crops(pictures: Sequence[Image], metadata: NetworkMetadata, weights: str | Path) -> Iterator[_Inputs]:
    head_model = default_head_model()
    for picture, faces in _found_faces(pictures, weights):
        frames = eye_frames(faces, head_model)
        yield {"image": cut_crops(picture, frames.matrix, EYE_CROP_PX), "direction": frames.direction}


def _found_faces(pictures: Sequence[Image], weights: str | Path) -> Iterator[tuple[Image, Faces]]:
    predictor, count = Predictor.load(weights, reader=False), 0
    for picture in pictures:
        faces = predictor(picture)
        count += len(faces)
        if len(faces):
            yield picture, faces
    if not count:
        raise ValueError("expected calibration pictures with faces, found none in them")


_INPUTS: Mapping[str, Callable[[Sequence[Image], NetworkMetadata, str | Path], Iterator[_Inputs]]] = {
    "multi_face": _letterboxed,
    "cell": _face_crops,
    "eyes": _eye_crops,
    "parameters": _face_crops,
}
"""Kind of a network -> its inputs for the ranges. Of the other kinds only the weights become integers."""


def _restore_fp32_constants(model: onnx.ModelProto) -> None:
    """Turn float16 constants with a Cast behind them (see `store_weights_fp16`) into float32 ones, and drop aliases, in place."""
    from onnx import numpy_helper

    graph = model.graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    alias: dict[str, str] = {}
    for node in list(graph.node):
        if node.op_type == "Identity" and node.input[0] in values:
            alias[node.output[0]] = node.input[0]
            graph.node.remove(node)
        elif node.op_type == "Cast" and node.input[0] in values:
            half = values.pop(node.input[0])
            full: Any = numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), node.output[0])
            values[full.name] = full
            graph.node.remove(node)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = alias.get(name, name)
    del graph.initializer[:]
    graph.initializer.extend(values.values())
