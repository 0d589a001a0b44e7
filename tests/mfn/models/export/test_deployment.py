"""Networks for other runtimes: each form predicts what the network predicts, in the runtimes that are installed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
onnx = pytest.importorskip("onnx")
import onnxruntime  # noqa: E402

from mfn.inference.predictor import Predictor  # noqa: E402
from mfn.models.export.deployment import OnnxForm  # noqa: E402
from mfn.models.export.to_onnx import write_onnx  # noqa: E402
from mfn.models.readers.face_reader import FaceReader  # noqa: E402
from mfn.structures.network_metadata import Size  # noqa: E402
from tests.helpers.training import tiny_mfn  # noqa: E402

FIXED = OnnxForm(batch=1, size=Size(96, 64))


@pytest.fixture(scope="module")
def network():
    """A tiny network whose refinement head changes the predictions."""
    network = tiny_mfn(refinement_channels=8).eval()
    torch.manual_seed(0)
    network.refiner.out.weight.data.normal_(std=0.02)
    network.coarse.out_box.weight.data *= 100
    return network


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3)).astype(np.uint8)


def predicted(network, pictures):
    with torch.no_grad():
        return network(torch.from_numpy(pictures).permute(0, 3, 1, 2).float()).numpy()


def run(path, pictures):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": pictures})[0]


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    """The network with a fixed shape, in float32 and in float16."""
    folder = tmp_path_factory.mktemp("fixed")
    forms = {"float": FIXED, "half": FIXED._replace(half=True, opset=20)}
    for name, form in forms.items():
        write_onnx(network, folder / f"{name}.onnx", form=form)
    return {name: folder / f"{name}.onnx" for name in forms}


def check_half(found, expected):
    """Hold predictions in float16 to those in float32. Where two scores are nearly equal, another cell may be refined."""
    error = np.abs(found - expected)
    assert error.mean() < 0.01 and np.quantile(error, 0.9) < 0.01


def test_a_fixed_shape_agrees_with_torch_and_takes_nothing_else(files, network, pictures):
    np.testing.assert_allclose(run(files["float"], pictures), predicted(network, pictures), rtol=1e-4, atol=1e-4)
    model = onnx.load(str(files["float"]))
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 64, 96, 3]
    assert [entry.domain for entry in model.opset_import] == [""]
    assert {node.op_type for node in model.graph.node}.isdisjoint({"Shape", "Constant", "ConstantOfShape"})
    with pytest.raises(Exception, match="Got invalid dimensions"):
        run(files["float"], pictures[:, :, :80])


def test_float16_agrees_and_landmarks_stay_in_float32(files, network, pictures):
    check_half(run(files["half"], pictures), predicted(network, pictures))
    model = onnx.load(str(files["half"]))
    assert model.opset_import[0].version == 20 and files["half"].stat().st_size < files["float"].stat().st_size
    half = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    kept = [node for node in layers if node.name.startswith(tuple(f"/network/{name}" for name in network.float_modules))]
    assert kept and not half & {name for node in kept for name in node.input}
    assert all(half & set(node.input) for node in layers if node not in kept and node.op_type == "Conv")


def test_a_predictor_reads_pictures_with_a_fixed_network(files):
    predictor = Predictor.load(files["float"], reader=False, threads=1)
    assert predictor.finder.limits.fixed_size == (96, 64)
    assert predictor(np.zeros((70, 200, 3), np.uint8)).box.shape[1] == 4


def test_the_face_reader_gets_a_fixed_batch(tmp_path):
    reader = FaceReader(widths=(8, 8, 8, 8), branch=8, hidden=8).eval()
    crops = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    write_onnx(reader, tmp_path / "x.onnx", form=OnnxForm(batch=3, half=True))
    np.testing.assert_allclose(run(tmp_path / "x.onnx", crops), predicted(reader, crops), atol=0.02)


def test_openvino_agrees_with_torch(files, network, pictures, tmp_path):
    openvino = pytest.importorskip("openvino", reason="needs the package openvino")
    found = {}
    for name, file in files.items():
        openvino.save_model(openvino.convert_model(str(file)), str(tmp_path / f"{name}.xml"), compress_to_fp16=name == "half")
        compiled = openvino.Core().compile_model(str(tmp_path / f"{name}.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found[name] = compiled(pictures)[0]
    np.testing.assert_allclose(found["float"], predicted(network, pictures), rtol=1e-3, atol=1e-3)
    check_half(found["half"], predicted(network, pictures))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (OnnxForm(batch=0), "--batch: expected 1 or more, got 0"),
        (OnnxForm(opset=9), "--opset: expected 16 to 20, got 9"),
        (OnnxForm(size=Size(100, 64)), "expected multiples of 16 px, got 100x64"),
    ],
)
def test_bad_forms(network, tmp_path, form, message):
    with pytest.raises(ValueError, match=message):
        write_onnx(network, tmp_path / "x.onnx", form=form)
    assert not list(tmp_path.iterdir())
