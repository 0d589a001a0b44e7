"""Devices by name, and what is said where one is missing."""

import pickle
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from mfn.inference.model_zoo import READER_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.inference.sessions import devices
from mfn.inference.sessions.devices import CPU, DEVICES, Provider, choose_providers, start_session


@pytest.fixture
def openvino():
    """Skip where the plugin of OpenVINO does not run."""
    pytest.importorskip("onnxruntime_ep_openvino", reason="needs the extra openvino")
    try:
        choose_providers("openvino")
    except ValueError as error:
        pytest.skip(str(error))


def has(monkeypatch, *names):
    """Make ONNX Runtime report these providers."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*names, "AzureExecutionProvider", CPU.name])


@pytest.mark.parametrize(
    ("device", "provider"),
    [
        ("cuda", Provider("CUDAExecutionProvider")),
        ("CUDA:1", Provider("CUDAExecutionProvider", (("device_id", "1"),))),
        ("directml", Provider("DmlExecutionProvider")),
        ("coreml", Provider("CoreMLExecutionProvider")),
        ("openvino:npu", Provider("OpenVINOExecutionProvider", (("device_type", "NPU"),))),
    ],
)
def test_a_device_is_a_provider_and_the_cpu_runs_the_rest(monkeypatch, device, provider):
    has(monkeypatch, provider.name)
    assert choose_providers(device) == [provider, CPU]


def test_the_cpu_is_the_default():
    assert choose_providers() == choose_providers("cpu") == choose_providers(providers=["CPUExecutionProvider"]) == [CPU]


@pytest.mark.parametrize("device", [name for name in DEVICES if name not in ("cpu", "openvino")])
def test_a_missing_device_names_what_to_install(monkeypatch, device):
    has(monkeypatch)
    with pytest.raises(ValueError, match=r"this ONNX Runtime has no \w+, only CPUExecutionProvider; .*pip install") as caught:
        choose_providers(device)
    assert DEVICES[device].install in str(caught.value) and "\n" not in str(caught.value)


def test_openvino_without_its_plugin_names_the_extra(monkeypatch):
    has(monkeypatch)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime_ep_openvino", None)
    with pytest.raises(ValueError, match=r'no OpenVINOExecutionProvider.*pip install "\.\[openvino\]"'):
        choose_providers("openvino")


def test_a_plugin_of_openvino_that_finds_no_device_is_one_line(monkeypatch):
    has(monkeypatch)
    calls = []
    plugin = SimpleNamespace(get_library_path=lambda: "plugin.so", __spec__=SimpleNamespace())
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime_ep_openvino", plugin)
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda *given: calls.append(given), raising=False)
    devices._register_openvino.cache_clear()
    for _ in range(2):  # ONNX Runtime refuses a plugin that it knows
        with pytest.raises(ValueError, match="its plugin is installed but finds no device here; it runs on"):
            choose_providers("openvino")
    assert calls == [("OpenVINOExecutionProvider", "plugin.so")]
    devices._register_openvino.cache_clear()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "expected a device among cpu, cuda"),
        ("cuda:first", "expected a device such as cuda, cuda:1 or openvino:gpu"),
        ("cpu:1", "expected a device such as"),
        ("openvino:1", "expected a device such as"),
    ],
)
def test_unknown_devices(device, message):
    with pytest.raises(ValueError, match=message):
        choose_providers(device)


def test_providers_with_options(monkeypatch):
    has(monkeypatch, "CUDAExecutionProvider")
    expected = [Provider("CUDAExecutionProvider", (("use_tf32", "0"),)), CPU]
    assert choose_providers(providers=[("CUDAExecutionProvider", {"use_tf32": 0}), "CPUExecutionProvider"]) == expected
    assert choose_providers(providers=expected) == expected


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_an_error(monkeypatch, spots):
    """ONNX Runtime itself goes back to the CPU and only prints why."""
    has(monkeypatch, "CUDAExecutionProvider")
    with pytest.raises(ValueError, match=r"CUDAExecutionProvider is installed but did not start; check the driver"):
        Predictor.load(spots, reader=False, device="cuda")


def test_directml_gets_the_setting_that_it_requires(monkeypatch):
    options = SimpleNamespace(enable_mem_pattern=True)
    session = SimpleNamespace(get_providers=lambda: ["DmlExecutionProvider", CPU.name])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda path, options, providers: session)
    assert start_session("x.onnx", options, [Provider("DmlExecutionProvider"), CPU]) is session
    assert options.enable_mem_pattern is False


def test_openvino_says_which_devices_it_has(monkeypatch, spots):
    plugin = SimpleNamespace(ep_name="OpenVINOExecutionProvider", ep_metadata={"ov_device": "CPU"})
    has(monkeypatch, "OpenVINOExecutionProvider")
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [plugin])
    with pytest.raises(ValueError, match="expected a device of OpenVINO, got NPU, but this machine has CPU"):
        Predictor.load(spots, reader=False, device="openvino:npu")


@pytest.mark.usefixtures("openvino")
def test_the_plugin_of_openvino_reads_the_same_faces(spots):
    """The face reader that ships, on what a network that detects spots finds."""
    picture = np.zeros((96, 160, 3), np.uint8)
    picture[16:24, 32:40] = 255
    ours, theirs = (
        Predictor.load(spots, min_face_px=24, reader=READER_WEIGHTS, threads=1, device=device)(picture) for device in ("cpu", "openvino")
    )
    assert len(ours) == len(theirs) == 1 and theirs.refined.all()
    np.testing.assert_allclose(theirs.box, ours.box, atol=0.5)
    np.testing.assert_allclose(theirs.expression, ours.expression, atol=0.05)  # 8-bit values are rounded at other places


@pytest.mark.usefixtures("openvino")
def test_a_pickled_predictor_keeps_its_device(spots):
    copy = pickle.loads(pickle.dumps(Predictor.load(spots, reader=False, threads=1, device="openvino")))
    assert copy.finder.session.get_providers()[0] == "OpenVINOExecutionProvider"
    assert devices._openvino_options([Provider("OpenVINOExecutionProvider", (("a", "b"),))], 2)["a"] == "b"
