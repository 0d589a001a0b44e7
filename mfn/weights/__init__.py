"""The files that ship inside the package: networks, head model and priors."""

from __future__ import annotations

from pathlib import Path


def weights_path(name: str) -> Path:
    """Return the path of a file that ships with the package.

    Args:
        name: The file's name, such as "mfn.onnx".

    Returns:
        The path inside the installed package. The file may be missing; the function that opens it raises the error.
    """
    return Path(__file__).parent / name
