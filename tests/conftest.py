"""Fixtures of several test files. Everything is built in code: there are no binary files in tests/."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("WANDB_MODE", "offline")

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --slow."""
    parser.addoption("--slow", action="store_true", help="also run the tests that take many minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests without --slow."""
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes many minutes; give --slow"))


def spot_network(path: Path) -> Path:
    """Write an ONNX network with MFN's input and output that detects white spots on black.

    A cell whose area is all white predicts a frontal face, centered on the cell and 4 cells high; all others predict nothing.
    So a test knows what must be found.

    Args:
        path: The .onnx file to write.

    Returns:
        The same path.
    """
    onnx = pytest.importorskip("onnx", reason="the stand-in network is built with the onnx package")
    from onnx import TensorProto, helper, numpy_helper

    from mfn.structures.cells import CELL_SIZE, SLICES, STRIDES

    weight, bias = np.zeros((CELL_SIZE, 3, 1, 1), np.float32), np.zeros(CELL_SIZE, np.float32)
    weight[SLICES["score"]] = 40 / 255  # logit 120 (mean - 0.95): 6 for white, -114 for black
    bias[SLICES["score"]] = -114
    bias[SLICES["expression"]] = -4
    constants = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(bias, "bias"),
        numpy_helper.from_array(np.array([0, CELL_SIZE, -1], np.int64), "flat"),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    for s in STRIDES:
        nodes += [
            helper.make_node("AveragePool", ["planes"], [f"mean{s}"], kernel_shape=[s, s], strides=[s, s], ceil_mode=1),
            helper.make_node("Conv", [f"mean{s}", "weight", "bias"], [f"conv{s}"]),
            helper.make_node("Reshape", [f"conv{s}", "flat"], [f"row{s}"]),
            helper.make_node("Transpose", [f"row{s}"], [f"cells{s}"], perm=[0, 2, 1]),
        ]
    nodes.append(helper.make_node("Concat", [f"cells{s}" for s in STRIDES], ["cells"], axis=1))
    graph = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["B", "H", "W", 3])],
        [helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["B", "A", CELL_SIZE])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def spots(tmp_path_factory) -> Path:
    """Return the file of `spot_network`."""
    return spot_network(tmp_path_factory.mktemp("network") / "spots.onnx")


@pytest.fixture
def clip(tmp_path) -> str:
    """Write a clip of one second at 20 frames/s that grows brighter, with a white spot that `spots` detects."""
    import cv2

    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (640, 384))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write a video")
    for i in range(20):
        frame = np.full((384, 640, 3), i * 4, np.uint8)
        frame[80:120, 160:200] = 255
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="session")
def shipped() -> Path:
    """Return the file of the large network that ships."""
    from mfn.inference.model_zoo import DEFAULT_WEIGHTS

    return DEFAULT_WEIGHTS


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of research data beside the checkout. Tests that need it are skipped where there is none."""
    path = ROOT.parent / "shared"
    if not (path / "data").is_dir():
        pytest.skip("needs ../shared, which is not part of the repository")
    return path


@pytest.fixture(scope="session")
def head_model() -> HeadModel:
    """Return the head model that ships."""
    from mfn.structures.head_model import HeadModel

    return HeadModel.load()
