"""The devices that networks run on, and the execution providers of ONNX Runtime that run them there.

Only one package of ONNX Runtime is installed at a time: `onnxruntime` (CPU, on macOS also Core ML), `onnxruntime-gpu` (NVIDIA) or
`onnxruntime-directml` (Windows). OpenVINO is a plugin beside any of them: `onnxruntime-ep-openvino`.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import onnxruntime

    ProviderLike = str | tuple[str, Mapping[str, str]]

CPU_PROVIDER = "CPUExecutionProvider"
_OPENVINO = "OpenVINOExecutionProvider"
_HIDDEN = ("AzureExecutionProvider",)  # it calls web services; nobody looks for it here
_OPENVINO_PARTS = ("cpu", "gpu", "npu")


class Provider(NamedTuple):
    """An execution provider of ONNX Runtime and its options."""

    name: str
    options: tuple[tuple[str, str], ...] = ()


CPU = Provider(CPU_PROVIDER)


class Device(NamedTuple):
    """A device that a network can run on.

    Attributes:
        provider: The execution provider that runs it.
        install: What to install where the provider is missing.
    """

    provider: str
    install: str


def _instead(package: str) -> str:
    return f"pip uninstall onnxruntime, then pip install {package}"


DEVICES: dict[str, Device] = {
    "cpu": Device(CPU_PROVIDER, "pip install onnxruntime"),
    "cuda": Device("CUDAExecutionProvider", "for NVIDIA GPUs: " + _instead('"onnxruntime-gpu[cuda,cudnn]"')),
    "coreml": Device("CoreMLExecutionProvider", "Core ML is part of onnxruntime on macOS only: pip install onnxruntime"),
    "directml": Device("DmlExecutionProvider", "for GPUs on Windows: " + _instead("onnxruntime-directml")),
    "openvino": Device(_OPENVINO, 'for Intel CPUs, GPUs and NPUs on Linux or Windows: pip install ".[openvino]"'),
    "tensorrt": Device("TensorrtExecutionProvider", "for NVIDIA GPUs: " + _instead('"onnxruntime-gpu[cuda,cudnn]" tensorrt')),
    "rocm": Device("ROCMExecutionProvider", "for AMD GPUs on Linux: " + _instead("onnxruntime-rocm")),
}
"""Devices by name. `docs/guides/devices.md` says which of them were run."""
_NUMBERED = ("cuda", "directml", "tensorrt", "rocm")  # "cuda:1" is the second GPU


def choose_providers(device: str | None = None, providers: Sequence[ProviderLike] | None = None) -> list[Provider]:
    """Return the execution providers to use, the preferred one first.

    Args:
        device: A name of `DEVICES`. "cuda:1" is the second GPU, "openvino:gpu" the GPU of OpenVINO. None: the CPU.
        providers: Execution providers, each as a name or as a name and its options, for full control. Not together with `device`.

    Returns:
        The providers. The CPU is always the last: it runs what the others cannot.

    Raises:
        ValueError: If the device is unknown, or if the installed ONNX Runtime lacks a provider. The message says what to install.
    """
    if device is not None and providers is not None:
        raise ValueError(f"expected a device or providers, got both: {device!r} and {list(providers)}")
    if isinstance(providers, str):
        raise ValueError(f"expected a list of execution providers, got the text {providers!r}")
    wanted = [_of_device(device or "cpu")] if providers is None else [_provider(item) for item in providers]
    others = [provider for provider in wanted if provider.name != CPU_PROVIDER]
    if others:
        _require([provider.name for provider in others])
    return [*others, CPU]


def check_device(device: str) -> None:
    """Raise a ValueError unless this is the name of a device. Whether it is there is not checked."""
    _of_device(device)


def _of_device(device: str) -> Provider:
    """Return the provider of a device such as "cuda:1"."""
    name, colon, part = device.lower().partition(":")
    if name not in DEVICES:
        raise ValueError(f"expected a device among {', '.join(DEVICES)}, got {device!r}")
    if not colon:
        return Provider(DEVICES[name].provider)
    if name in _NUMBERED and part.isdecimal():
        return Provider(DEVICES[name].provider, (("device_id", part),))
    if name == "openvino" and part in _OPENVINO_PARTS:
        return Provider(_OPENVINO, (("device_type", part.upper()),))
    raise ValueError(f"expected a device such as cuda, cuda:1 or openvino:gpu, got {device!r}")


def _provider(item: ProviderLike) -> Provider:
    if isinstance(item, str):
        return Provider(item)
    name, options = item
    return Provider(name, tuple((str(key), str(value)) for key, value in dict(options).items()))


def _require(names: Sequence[str]) -> None:
    """Raise unless ONNX Runtime has these providers. Load the plugin of OpenVINO where it is wanted and installed."""
    import onnxruntime

    if _OPENVINO in names and _OPENVINO not in onnxruntime.get_available_providers():
        _register_openvino(onnxruntime)
    available = [name for name in onnxruntime.get_available_providers() if name not in _HIDDEN]
    missing = next((name for name in names if name not in available), None)
    if missing is None:
        return
    install = next((device.install for device in DEVICES.values() if device.provider == missing), "")
    if missing == _OPENVINO and find_spec("onnxruntime_ep_openvino") is not None:
        install = "its plugin is installed but finds no device here; it runs on CPUs, GPUs and NPUs of Intel: leave --device out"
    hint = f"; {install}" if install else ""
    raise ValueError(f"this ONNX Runtime has no {missing}, only {', '.join(available)}{hint}")


@cache
def _register_openvino(onnxruntime: Any) -> None:
    """Make OpenVINO's plugin known to ONNX Runtime, once, if it is installed and ONNX Runtime takes plugins (1.23 and later)."""
    try:
        import onnxruntime_ep_openvino
    except ImportError:
        return
    if hasattr(onnxruntime, "register_execution_provider_library"):
        onnxruntime.register_execution_provider_library(_OPENVINO, onnxruntime_ep_openvino.get_library_path())


def start_session(
    path: str, options: onnxruntime.SessionOptions, providers: Sequence[Provider], threads: int = 0
) -> onnxruntime.InferenceSession:
    """Open a network on the first of some providers.

    Args:
        path: An ONNX file.
        options: Options of the session; those that a provider needs are set.
        providers: From `choose_providers`.
        threads: CPU cores of one call, which OpenVINO has to be told; 0 for all.

    Raises:
        ValueError: If a provider is there but does not start, for example because the driver or a library is missing.
    """
    import onnxruntime

    names = [provider.name for provider in providers]
    if "DmlExecutionProvider" in names:
        options.enable_mem_pattern = False  # DirectML requires it
    if "CUDAExecutionProvider" in names and hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find; whether that matters is checked below
            onnxruntime.preload_dlls()
    plugins = _plugin_devices(onnxruntime, providers)
    if plugins:
        options.add_provider_for_devices(plugins, _openvino_options(providers, threads))
        session = onnxruntime.InferenceSession(path, options)
    else:
        session = onnxruntime.InferenceSession(path, options, providers=[(p.name, dict(p.options)) for p in providers])
    lost = next((name for name in names if name not in session.get_providers()), None)
    if lost is not None:
        raise ValueError(f"{lost} is installed but did not start; check the driver and its libraries (docs/guides/devices.md)")
    return session


def _plugin_devices(onnxruntime: Any, providers: Sequence[Provider]) -> list[Any]:
    """Return the device of OpenVINO's plugin that is wanted; none where OpenVINO is not wanted or built in."""
    wanted = next((provider for provider in providers if provider.name == _OPENVINO), None)
    if wanted is None or not hasattr(onnxruntime, "get_ep_devices"):
        return []
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == _OPENVINO]
    if not devices:
        return []
    kind = dict(wanted.options).get("device_type", "CPU")
    chosen = [device for device in devices if str(device.ep_metadata.get("ov_device", "")).partition(".")[0] == kind]
    if not chosen:
        found = ", ".join(sorted(str(device.ep_metadata.get("ov_device")) for device in devices))
        raise ValueError(f"expected a device of OpenVINO, got {kind}, but this machine has {found}")
    return chosen[:1]


def _openvino_options(providers: Sequence[Provider], threads: int) -> dict[str, str]:
    """Return the options of OpenVINO: those of the caller, and float32 on CPUs, because bfloat16 moves landmarks by a pixel."""
    settings: dict[str, str] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    given = dict(next(provider for provider in providers if provider.name == _OPENVINO).options)
    given.pop("device_type", None)  # it has chosen the device
    return {"load_config": json.dumps({"CPU": settings})} | given
