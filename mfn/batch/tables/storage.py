"""Files of a job, in a folder or in a bucket. Each is written whole or not at all. Errors of a bucket are OSError (`url_requests`)."""

from __future__ import annotations

import os
from pathlib import Path

from mfn.batch.urls import is_url, url_requests
from retarget.io.files import atomic_write, make_folder


def join(folder: str, *parts: str) -> str:
    """Return the path of a file in a folder or bucket."""
    return "/".join((folder.rstrip("/"), *parts)) if is_url(folder) else Path(folder, *parts).as_posix()


def write_whole(path: str, data: bytes) -> None:
    """Write a file; its folder is made. A reader sees the old file or the new one, never a part.

    Object stores promise this for an upload. On disks the file is written under another name and renamed.
    """
    if is_url(path):
        with url_requests(path) as (system, inner):
            system.makedirs(os.path.dirname(inner), exist_ok=True)
            system.pipe_file(inner, data)
            return
    make_folder(Path(path).parent)
    atomic_write(path, data)


def read_whole(path: str) -> bytes | None:
    """Return the content of a file, or None if there is none."""
    if is_url(path):
        with url_requests(path) as (system, inner):
            return bytes(system.cat_file(inner)) if system.exists(inner) else None
    file = Path(path)
    return file.read_bytes() if file.is_file() else None


def exists(path: str) -> bool:
    """Return whether there is a file or a folder of this name. Nothing of it is read."""
    if is_url(path):
        with url_requests(path) as (system, inner):
            system.invalidate_cache()
            return bool(system.exists(inner))
    return os.path.lexists(path)


def is_folder(path: str) -> bool:
    """Return whether this is a folder, or a prefix of files in a bucket."""
    if is_url(path):
        with url_requests(path) as (system, inner):
            return bool(system.isdir(inner))
    return os.path.isdir(path)


def list_names(folder: str) -> list[str]:
    """Return the sorted names in a folder or bucket; none if it does not exist."""
    if is_url(folder):
        with url_requests(folder) as (system, inner):
            system.invalidate_cache()
            found = system.ls(inner, detail=False) if system.exists(inner) else []
            return sorted(path.rstrip("/").rpartition("/")[2] for path in found)
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def remove(path: str) -> None:
    """Remove a file if it exists."""
    if is_url(path):
        with url_requests(path) as (system, inner):
            if system.exists(inner):
                system.rm_file(inner)
            return
    Path(path).unlink(missing_ok=True)
