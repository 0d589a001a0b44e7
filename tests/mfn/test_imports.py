"""`import mfn`, `import retarget` and `mfn --help` load no heavy library and print nothing."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "lightning", "cv2", "onnxruntime", "mediapipe", "jsonargparse", "wandb", "pytorch3d")


def loaded_after(code: str) -> tuple[set[str], str]:
    """Run code in a new Python. Returns the heavy modules that it loaded, and what it printed."""
    tail = f"\nimport sys; print('|' + ' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True)
    printed, _, modules = done.stdout.rpartition("|")
    return set(modules.split()), printed + done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import mfn",
        "import retarget",
        "import mfn; mfn.Faces.empty(3)",
        "import mfn; [getattr(mfn, name) for name in mfn.__all__]",
        "import retarget; retarget.Take",
        "import mfn.inference.decode, mfn.inference.nms, mfn.structures.camera, retarget.io.images",
        "import mfn.video.tracking.clip_tracker, mfn.animation.bridge",
    ],
)
def test_light_imports(code):
    assert loaded_after(code) == (set(), "")


def test_help_is_light():
    modules, printed = loaded_after("from mfn.cli.main import main; main(['--help'])")
    assert modules == set() and "usage: mfn" in printed


def test_retarget_does_not_need_mfn():
    code = "import sys; sys.modules['mfn'] = None\nimport retarget\nfor n in retarget.__all__: getattr(retarget, n)"
    assert "torch" not in loaded_after(code)[0]


def test_predicting_does_not_need_torch(spots):
    code = f"""
import sys
sys.modules["torch"] = None
import numpy as np
from mfn import Predictor
print(len(Predictor.load({str(spots)!r})(np.zeros((64, 64, 3), np.uint8))))"""
    assert loaded_after(code) == ({"cv2", "onnxruntime", "torch"}, "0\n")


def test_unknown_names():
    import mfn

    with pytest.raises(AttributeError, match="no attribute 'Facets'"):
        _ = mfn.Facets
