"""Forms of a network for other runtimes: a fixed shape with its constants folded, and calculation in float16.

TensorRT, Core ML, LiteRT (TensorFlow Lite) and OpenVINO build a network for one shape. With a fixed shape all sizes in the graph are
constants, and half of its nodes go. `docs/guides/devices.md` has the commands for each runtime.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mfn.structures.network_metadata import Size

OPSET = 17
MIN_OPSET, MAX_OPSET = 16, 20
"""Older versions lack what the refinement head uses; the exporter writes no newer ones."""


class OnnxForm(NamedTuple):
    """How a network is written to an ONNX file.

    Attributes:
        batch: The only number of pictures that it takes; None: any.
        size: The only size of the input; None: any. A network of one crop has a fixed size in any case.
        half: Calculate in float16. Positions of landmarks stay in float32, because float16 moves them by up to a quarter of a pixel.
        opset: Version of ONNX's operators.
    """

    batch: int | None = None
    size: Size | None = None
    half: bool = False
    opset: int = OPSET

    @property
    def is_plain(self) -> bool:
        """Whether this is the form that ships: any shape, calculated in float32."""
        return self.batch is None and self.size is None and not self.half

    def check(self) -> None:
        """Raise ValueError where a number is out of range."""
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"--batch: expected 1 or more, got {self.batch}")
        if not MIN_OPSET <= self.opset <= MAX_OPSET:
            raise ValueError(f"--opset: expected {MIN_OPSET} to {MAX_OPSET}, got {self.opset}")


def fold_constants(model: Any) -> Any:
    """Compute what does not depend on the input, and return the smaller model.

    Args:
        model: An `onnx.ModelProto`. ONNX Runtime folds it; the result has standard operators only.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "folded.onnx")
        options.optimized_model_filepath = str(file)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(str(file))
    own = [entry for entry in folded.opset_import if entry.domain in ("", "ai.onnx")]
    del folded.opset_import[:]
    folded.opset_import.extend(own)
    return folded


def to_half(model: Any, float_modules: Sequence[str]) -> Any:
    """Convert a model to float16 and return it. Inputs and outputs keep their types.

    Args:
        model: An `onnx.ModelProto` whose nodes are named after the modules of `PictureInput`.
        float_modules: Modules of the network that stay in float32.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    kept = tuple(f"/network/{name}" for name in float_modules)
    names = [node.name for node in model.graph.node if node.name.startswith(kept)] if kept else []
    converted = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=names))
    converted.remove_cascaded_cast_nodes()  # between two nodes of a float module: values there would go through float16
    converted.remove_useless_cast_nodes()
    converted.prune_graph()
    converted.topological_sort()
    return converted.model
