"""Space-to-depth for the first convolutions of a quantized network: the same output to the last bit, in a third of the time.

Kernels in 8 bits need many input channels to be fast, and a picture has three. This views each group of 4 to 16
horizontal RGB pixels as one pixel with 12 to 48 channels, which is a reshape without a copy, and expands the kernels of
stride 2 with zeros to match. The outputs of neighboring columns become channels, too, and a second reshape puts them
side by side again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.cells import INPUT_MULTIPLE

if TYPE_CHECKING:
    import onnx

COLORS = 3
OVERLAPPING_COLUMNS = 4  # columns in a group for kernels that overlap: 2 gain nothing, 8 gain little more, 16 are mostly zeros

Array = NDArray[Any]


class WideKernel(NamedTuple):
    """A kernel over groups of columns.

    Attributes:
        kernel: (columns / 2 * O, columns * C, h, groups).
        left: Groups of padding on the left.
        right: Groups of padding on the right.
    """

    kernel: Array
    left: int
    right: int


def pack_columns(graph: onnx.GraphProto) -> int:
    """Rewrite the convolutions of stride 2 over three channels, in place.

    Args:
        graph: A graph from ONNX Runtime's static quantization: a convolution's inputs come from DequantizeLinear, its
            output goes to QuantizeLinear.

    Returns:
        The number of convolutions that were rewritten.
    """
    from onnx import numpy_helper

    value = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    producer = {node.output[0]: node for node in graph.node}
    quantizer = {node.input[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    before: dict[str, list[onnx.NodeProto]] = {}
    after: dict[str, list[onnx.NodeProto]] = {}
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        picture, *parameters = (producer[name] for name in conv.input if name in producer)
        kernel = value.get(parameters[0].input[0]) if parameters else None
        settings = {a.name: a for a in conv.attribute}
        last = quantizer.get(conv.output[0])
        if last is None or kernel is None or kernel.shape[1] != COLORS or list(settings["strides"].ints) != [2, 2]:
            continue
        width = INPUT_MULTIPLE >> _count_halvings(picture, producer)  # it divides the width of the picture
        top, left, bottom, _ = settings["pads"].ints
        wide = widen_kernel(kernel, left, min(width, OVERLAPPING_COLUMNS) if kernel.shape[3] > 2 else width)
        name, columns = conv.output[0], wide.kernel.shape[1] // COLORS
        nodes = _reshape_rows(graph, picture.input[0], f"{name}_columns", wide.kernel.shape[1])
        nodes.append(_dequantize([f"{name}_columns", *picture.input[1:]], f"{name}_picture"))
        for i, parameter in enumerate(parameters):
            arrays = [wide.kernel if value[n] is kernel else np.tile(value[n], columns // 2) for n in parameter.input]
            names = [_add_constant(graph, array, f"{name}_{i}_{j}") for j, array in enumerate(arrays)]
            nodes.append(_dequantize(names, f"{name}_{i}", axis=0))
        conv.input[:] = [node.output[0] for node in nodes if node.op_type == "DequantizeLinear"]
        settings["kernel_shape"].ints[:] = wide.kernel.shape[2:]
        settings["strides"].ints[:] = [2, 1]
        settings["pads"].ints[:] = [top, wide.left, bottom, wide.right]
        before[name], output = nodes, last.output[0]
        last.output[0] = f"{output}_columns"
        after[last.output[0]] = _reshape_rows(graph, last.output[0], output, len(kernel))
    nodes = [n for node in graph.node for n in (*before.get(node.output[0], ()), node, *after.get(node.output[0], ()))]
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)
    return len(before)


def widen_kernel(kernel: Array, left: int, columns: int) -> WideKernel:
    """Expand a kernel that moves by two columns into one that moves by a group of columns.

    Args:
        kernel: (O, C, h, w).
        left: Columns of padding on the left.
        columns: Columns in a group.
    """
    o, c, h, w = kernel.shape
    groups_left, groups_right = -(-left // columns), (columns - 3 - left + w) // columns
    wide = np.zeros((columns // 2, o, columns, c, h, groups_left + 1 + groups_right), kernel.dtype)
    for output in range(columns // 2):
        for tap in range(w):
            group, column = divmod(2 * output - left + tap, columns)
            wide[output, :, column, :, :, groups_left + group] = kernel[..., tap]
    return WideKernel(wide.reshape(columns // 2 * o, columns * c, h, -1), groups_left, groups_right)


def _count_halvings(node: onnx.NodeProto, producer: dict[str, onnx.NodeProto]) -> int:
    """Count the convolutions, all of stride 2, between the picture and a map."""
    count = 0
    while node.input[0] in producer:
        node = producer[node.input[0]]
        count += node.op_type == "Conv"
    return count


def _reshape_rows(graph: onnx.GraphProto, source: str, out: str, channels: int) -> list[onnx.NodeProto]:
    """Make the nodes that view each row of maps (B, C, H, W), stored channels-last, as a row with another number of channels."""
    from onnx import helper

    shape = _add_constant(graph, np.array([0, 0, -1, channels]), f"{out}_shape")
    return [
        helper.make_node("Transpose", [source], [f"{out}_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", [f"{out}_last", shape], [f"{out}_reshaped"]),
        helper.make_node("Transpose", [f"{out}_reshaped"], [out], perm=[0, 3, 1, 2]),
    ]


def _dequantize(names: Sequence[str], out: str, axis: int = 1) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node("DequantizeLinear", names, [out], axis=axis)


def _add_constant(graph: onnx.GraphProto, value: Array, name: str) -> str:
    """Add a constant to a graph and return its name."""
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes and constants that nothing reads, and the recorded shapes, which are no longer true."""
    wanted = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    constants = [tensor for tensor in graph.initializer if tensor.name in wanted]
    fields: tuple[tuple[Any, list[Any]], ...] = ((graph.node, nodes[::-1]), (graph.initializer, constants), (graph.value_info, []))
    for field, kept in fields:
        del field[:]
        field.extend(kept)
