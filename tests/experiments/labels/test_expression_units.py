"""The sizes of expression shapes against ARKit's."""

import numpy as np
import pytest

from experiments.labels.expression_units import reach_of, rescale_network, unit_factors
from mfn.structures.cells import PARAMETER_SIZE
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES

MODEL = HeadModel.load()


def test_left_and_right_have_the_same_factor():
    factors = dict(zip(EXPRESSION_NAMES, unit_factors(MODEL), strict=True))
    for name, factor in factors.items():
        if name.endswith("Left"):
            assert np.isclose(factor, factors[name.replace("Left", "Right")], rtol=0.02)


def test_shapes_without_an_entry_keep_their_size():
    assert reach_of("eyeBlinkLeft") is None and reach_of("jawOpen") is None and reach_of("browDownRight") == 0.066
    assert unit_factors(MODEL)[EXPRESSION_NAMES.index("eyeBlinkLeft")] == 1


def test_the_factor_brings_a_shape_to_its_reach():
    i = EXPRESSION_NAMES.index("browInnerUp")
    width = np.ptp(MODEL.landmark_basis("mediapipe478").mean[:, 0])
    longest = np.linalg.norm(MODEL.expression_basis[i], axis=1).max()
    assert np.isclose(unit_factors(MODEL)[i] * longest / width, 0.085)


def test_the_shipped_head_model_is_in_units_of_arkit():
    assert np.allclose(unit_factors(MODEL), 1, atol=0.02)


def test_a_network_in_new_units_predicts_the_weight_divided_by_the_factor(tmp_path):
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    count = len(EXPRESSION_NAMES)
    node = onnx.helper.make_node("Identity", ["picture"], ["parameters"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", PARAMETER_SIZE]) for name in ("picture", "parameters")]
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), tmp_path / "old.onnx")
    factors = np.linspace(0.5, 2.6, count)
    rescale_network(tmp_path / "old.onnx", tmp_path / "new.onnx", factors)
    raw = np.random.default_rng(0).normal(-1, 1.5, (4, PARAMETER_SIZE)).astype(np.float32)
    out = onnxruntime.InferenceSession(tmp_path / "new.onnx").run(None, {"picture": raw})[0]
    assert np.array_equal(out[:, :-count], raw[:, :-count])
    weight, old = 1 / (1 + np.exp(-out[:, -count:])), 1 / (1 + np.exp(-raw[:, -count:]))
    assert np.allclose(weight, np.clip(old / factors, 1e-4, 1 - 1e-4), atol=1e-5)
