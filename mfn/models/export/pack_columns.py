"""A picture's first convolutions in 8 bits, four to sixteen columns at a time: the same numbers to the last bit, in a third of the time.

Kernels of 8 bits want many numbers side by side, and a picture has three channels. But a row of bytes R G B R G B ... is as well a row, a
quarter as long, of twelve channels, without a byte moved. A convolution that takes every second column then gives two numbers a channel
at each place of that row, which are a row twice as long, again without a byte moved. Its kernel holds zeros for what it has no use for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.structures.cells import INPUT_MULTIPLE

if TYPE_CHECKING:
    import onnx

COLOURS = 3
OVERLAPPING = 4  # columns at a time of a kernel whose places overlap: 2 gain nothing, 8 hardly more, and 16 are mostly zeros


def read_in_columns(graph: onnx.GraphProto) -> int:
    """Rewrites the convolutions of stride 2 over three channels, in place. -> how many

    graph: as ONNX Runtime's static quantisation gives it, a convolution's inputs behind DequantizeLinear, its output before QuantizeLinear
    """
    from onnx import numpy_helper

    value = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    maker = {node.output[0]: node for node in graph.node}
    quantised = {node.input[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    before: dict[str, list[onnx.NodeProto]] = {}
    behind: dict[str, list[onnx.NodeProto]] = {}
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        picture, *parameters = (maker[name] for name in conv.input if name in maker)
        kernel = value.get(parameters[0].input[0]) if parameters else None
        settings = {a.name: a for a in conv.attribute}
        last = quantised.get(conv.output[0])
        if last is None or kernel is None or kernel.shape[1] != COLOURS or list(settings["strides"].ints) != [2, 2]:
            continue
        width = INPUT_MULTIPLE >> _halvings(picture, maker)  # divides the picture's
        top, left, bottom, _ = settings["pads"].ints
        wide, left, right = widen(kernel, left, min(width, OVERLAPPING) if kernel.shape[3] > 2 else width)
        name, columns = conv.output[0], wide.shape[1] // COLOURS
        nodes = _lay(graph, picture.input[0], f"{name}_columns", wide.shape[1])
        nodes.append(_dequantise([f"{name}_columns", *picture.input[1:]], f"{name}_picture"))
        for i, parameter in enumerate(parameters):
            arrays = [wide if value[n] is kernel else np.tile(value[n], columns // 2) for n in parameter.input]
            names = [_constant(graph, array, f"{name}_{i}_{j}") for j, array in enumerate(arrays)]
            nodes.append(_dequantise(names, f"{name}_{i}", axis=0))
        conv.input[:] = [node.output[0] for node in nodes if node.op_type == "DequantizeLinear"]
        settings["kernel_shape"].ints[:] = wide.shape[2:]
        settings["strides"].ints[:] = [2, 1]
        settings["pads"].ints[:] = [top, left, bottom, right]
        before[name], given = nodes, last.output[0]
        last.output[0] = f"{given}_columns"
        behind[last.output[0]] = _lay(graph, last.output[0], given, len(kernel))
    nodes = [n for node in graph.node for n in (*before.get(node.output[0], ()), node, *behind.get(node.output[0], ()))]
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)
    return len(before)


def widen(kernel: NDArray, left: int, columns: int) -> tuple[NDArray, int, int]:
    """The kernel, over rows of so many columns a place, of one over every second column.

    kernel: (O, C, h, w); left: columns of padding
    -> (columns / 2 * O, columns * C, h, places), and how many places of padding it needs to the left and to the right
    """
    o, c, h, w = kernel.shape
    places_left, places_right = -(-left // columns), (columns - 3 - left + w) // columns
    wide = np.zeros((columns // 2, o, columns, c, h, places_left + 1 + places_right), kernel.dtype)
    for one in range(columns // 2):
        for tap in range(w):
            place, column = divmod(2 * one - left + tap, columns)
            wide[one, :, column, :, :, places_left + place] = kernel[..., tap]
    return wide.reshape(columns // 2 * o, columns * c, h, -1), places_left, places_right


def _halvings(node: onnx.NodeProto, maker: dict[str, onnx.NodeProto]) -> int:
    """How many convolutions of stride 2 a map comes from."""
    count = 0
    while node.input[0] in maker:
        node = maker[node.input[0]]
        count += node.op_type == "Conv"
    return count


def _lay(graph: onnx.GraphProto, source: str, out: str, channels: int) -> list[onnx.NodeProto]:
    """The numbers of each row of maps (B, C, H, W), in memory channels last, as rows of so many channels."""
    from onnx import helper

    shape = _constant(graph, np.array([0, 0, -1, channels]), f"{out}_shape")
    return [
        helper.make_node("Transpose", [source], [f"{out}_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", [f"{out}_last", shape], [f"{out}_laid"]),
        helper.make_node("Transpose", [f"{out}_laid"], [out], perm=[0, 3, 1, 2]),
    ]


def _dequantise(names: Sequence[str], out: str, axis: int = 1) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node("DequantizeLinear", names, [out], axis=axis)


def _constant(graph: onnx.GraphProto, value: NDArray, name: str) -> str:
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _drop_unused(graph: onnx.GraphProto) -> None:
    """What no node asks for any more; and what is known of shapes, which are others now."""
    wanted = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    kept = [tensor for tensor in graph.initializer if tensor.name in wanted]
    for field, left in ((graph.node, nodes[::-1]), (graph.initializer, kept), (graph.value_info, [])):
        del field[:]
        field.extend(left)
