"""The comparison of runtimes."""

import numpy as np
import pytest

from experiments.speed.runtimes import difference, run_onnxruntime, run_openvino


@pytest.fixture
def brightness(tmp_path):
    """A network of a fixed shape: the mean of the pixels of each picture, and the same network for any number of pictures."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node("Cast", ["image"], ["float"], to=types.FLOAT)]
    nodes.append(helper.make_node("ReduceMean", ["float"], ["parameters"], axes=[1, 2], keepdims=0))
    for name, batch in (("fixed", 2), ("any", "B")):
        inputs = [helper.make_tensor_value_info("image", types.UINT8, [batch, 8, 8, 3])]
        outputs = [helper.make_tensor_value_info("parameters", types.FLOAT, [batch, 3])]
        model = helper.make_model(helper.make_graph(nodes, "mean", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)])
        onnx.save(model, str(tmp_path / f"{name}.onnx"))
    return tmp_path


def test_runtimes_get_the_same_pixels(brightness):
    pixels, ours = run_onnxruntime(brightness / "fixed.onnx")
    assert pixels.shape == (2, 8, 8, 3)
    np.testing.assert_allclose(ours, pixels.mean((1, 2)), rtol=1e-5)
    pytest.importorskip("openvino", reason="needs the package openvino")
    assert difference(ours, run_openvino(brightness / "fixed.onnx", pixels))["largest"] < 1e-3


def test_a_network_of_any_shape_is_refused(brightness):
    with pytest.raises(ValueError, match=r"expected a fixed shape \(mfn export --batch and --size\)"):
        run_onnxruntime(brightness / "any.onnx")


def test_difference():
    assert difference(np.array([1.0, 2.0]), np.array([1.0, 2.5])) == {"largest": 0.5, "mean": 0.25}
