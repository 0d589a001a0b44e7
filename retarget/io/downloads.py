"""Files that are downloaded once: where they are kept, and a check of what arrived."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path

from retarget.io.files import atomic_write

TIMEOUT_S = 30


def cache_folder(program: str) -> Path:
    """Return the folder in which a program may keep what it can download again, as the operating system has it."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / program / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / program
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / program


def download_file(url: str, path: Path, sha256: str) -> None:
    """Download a file, whole or not at all.

    Args:
        url: Its address.
        path: The file to write. Its folder is made.
        sha256: The hexadecimal digest of the right content.

    Raises:
        OSError: There is no connection, no such file, or the connection ended too early.
        ValueError: Something else arrived. Nothing is written.
    """
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read()
    except HTTPException as error:  # such as IncompleteRead, which is no OSError
        raise OSError(f"{url}: the download was cut off ({type(error).__name__}); try again") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ValueError(f"expected a file with the SHA-256 {sha256}, got one with {digest}")
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, content)
