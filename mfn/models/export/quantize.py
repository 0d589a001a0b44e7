"""`mfn quantise`: a network of `mfn export` with its convolutions in 8-bit integers, about twice as fast on a CPU and half as large.

Static, one scale a channel of the weights, one scale a map, found on pictures that you give. The last convolutions of every branch and
the second look stay in float32: what they say is read in fractions of a px. The picture goes in as the bytes it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mfn.inference.letterbox import fit_letterbox, letterbox_image
from mfn.inference.model_zoo import DEFAULT_SIZE
from mfn.models.export.pack_columns import read_in_columns
from mfn.models.export.to_onnx import store_half
from retarget.io.files import atomic_write
from retarget.io.images import Picture, as_image, find_images

if TYPE_CHECKING:
    import onnx

# No "Concat": those of the branches' last convolutions would have 8 bits for all that a cell says, and that alone cost 20 % of NME.
QUANTISED = ("Conv", "Relu", "Add")
# In the names of the nodes that stay float32. The sums of a map and of a deeper one brought up to it are cheap, and made two fifths of what
# 8 bits change in the points.
EXACT = ("/refiner/", "/down", "/detail_context", "/network/Add")


def quantise(source: Path, out: Path, pictures: Sequence[Picture]) -> None:
    """Writes `out` whole or not at all. source: an ONNX file of `mfn export`; pictures: (H, W, 3) uint8 RGB of the kind it will see."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not pictures:
        raise ValueError("expected at least one picture to find the scales on, got none")
    try:
        model = onnx.load(str(source))
    except Exception as error:  # protobuf's has no other base, and the package is not ours to import
        raise ValueError(f"{source}: not an ONNX file ({type(error).__name__})") from None
    _whole_constants(model)
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, part = (Path(folder) / name for name in ("plain.onnx", "ready.onnx", "part.onnx"))
        onnx.save(model, str(plain))
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        kept = [n.name for n in graph.node if any(part in n.name for part in EXACT) or _adds_a_bias(n, graph)]
        entry = _entry(graph)
        quantize_static(
            str(ready),
            str(part),
            _Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=kept,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "CalibMovingAverage": True,
                "ActivationSymmetric": False,
                "TensorQuantOverrides": {entry.divided: [{"scale": entry.scale, "zero_point": np.array(0, np.uint8)}]} if entry else {},
            },
        )
        made = onnx.load(str(part))
    if entry:
        _enter_as_bytes(made.graph, entry)
    _measure_as_bytes(made.graph)
    read_in_columns(made.graph)
    store_half(made)
    onnx.checker.check_model(made)
    atomic_write(out, made.SerializeToString())


def _adds_a_bias(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    """As the products do that cells are made of."""
    return node.op_type == "Add" and any(name == tensor.name for name in node.input for tensor in graph.initializer)


class _Entry(NamedTuple):
    """How a picture comes into the network: names of it as bytes, as numbers, and divided by 1 / scale."""

    bytes: str
    numbers: str
    divided: str
    scale: np.ndarray


def _entry(graph: onnx.GraphProto) -> _Entry | None:
    """None where the picture is not cast and then divided by a constant."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    name, way = graph.input[0].name, list[str]()
    for kind in ("Transpose", "Cast", "Div"):
        name = next((n.output[0] for n in graph.node if n.op_type == kind and n.input[0] == name), "")
        way.append(name)
    by = constants.get(next((n.input[1] for n in graph.node if n.output[0] == name), ""))
    if by is None:
        return None
    return _Entry(way[0], way[1], way[2], np.array(1 / numpy_helper.to_array(by).item(), np.float32))


def _enter_as_bytes(graph: onnx.GraphProto, entry: _Entry) -> None:
    """A picture's bytes are what the first convolution wants: takes away their way to numbers and back, in place."""
    gone = {entry.numbers, entry.divided}
    gone |= {n.output[0] for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == entry.divided}
    for node in [n for n in graph.node if n.output[0] in gone]:
        graph.node.remove(node)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = entry.bytes if name in gone else name


def _measure_as_bytes(graph: onnx.GraphProto) -> None:
    """Where only a map's size is asked for it need not become numbers, in place."""
    bytes_of = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    for node in graph.node:
        if node.op_type == "Shape":
            node.input[0] = bytes_of.get(node.input[0], node.input[0])


class _Pictures:
    """What ONNX Runtime's calibration draws its inputs from."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._left = iter(_inputs(pictures))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input, or None."""
        return next(self._left, None)


def _inputs(pictures: Sequence[Picture]) -> Iterator[dict[str, np.ndarray]]:
    for picture in pictures:
        box = fit_letterbox(picture.shape[0], picture.shape[1], DEFAULT_SIZE)
        yield {"image": letterbox_image(picture, box)[None]}


def _whole_constants(model: onnx.ModelProto) -> None:
    """Puts float16 constants behind a Cast (see `mfn.models.export.to_onnx.store_half`) back into float32 ones, and drops aliases, in place."""
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
            whole = numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), node.output[0])
            values[whole.name] = whole
            graph.node.remove(node)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = alias.get(name, name)
    del graph.initializer[:]
    graph.initializer.extend(values.values())


def _some(names: Sequence[str], most: int) -> list[Picture]:
    """At most `most` of the pictures, evenly from every name: a picture, a folder, or a .tar of pictures as training reads it."""
    from mfn.training.data.packs import read_pictures

    chosen: list[Picture] = []
    for name in names:
        every: Sequence[Any] = read_pictures(Path(name)) if name.endswith(".tar") else find_images([name])
        share = min(max(most // len(names), 1), len(every))
        chosen += [as_image(every[i]) for i in np.linspace(0, len(every) - 1, share).astype(int)]
    return chosen


def main(args: Sequence[str]) -> None:
    """`mfn quantise SOURCE PICTURES… --out F`"""
    from argparse import HelpFormatter

    from jsonargparse import ArgumentParser

    parser: Any = ArgumentParser(
        prog="mfn quantise",
        usage="mfn quantise NETWORK.onnx PICTURES... [options]",
        description="A network in 8-bit integers: twice as fast on a CPU.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("source", type=str, help="ONNX file of `mfn export`")
    parser.add_argument("pictures", type=str, nargs="+", help="pictures, folders or .tar of pictures of the kind it will see")
    parser.add_argument("--out", type=str, default="mfn-int8.onnx", metavar="FILE", help="file to write (default: %(default)s)")
    parser.add_argument("--most", type=int, default=128, metavar="N", help="pictures looked at (default: %(default)s)")
    options = parser.parse_args(list(args))
    source, out = Path(options.source), Path(options.out)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such network")
    if options.most < 1:
        raise ValueError(f"--most {options.most}: expected 1 or more")
    out.parent.mkdir(parents=True, exist_ok=True)
    quantise(source, out, _some(options.pictures, options.most))
    print(f"wrote {out}")
