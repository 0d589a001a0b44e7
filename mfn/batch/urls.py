"""Files behind URLs, in buckets and on web servers. Errors of all kinds of storage become one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retarget.io.files import one_line_error

_REASON_LENGTH = 200


def is_url(name: str) -> bool:
    """Return whether a name is a URL, such as s3://bucket/photos."""
    return "://" in name


def absolute(name: str) -> str:
    """Return a local path from the root on, and a URL as it is: two names of one picture become one.

    ".." after a symbolic link is the folder above the place to which the link leads, as for the system. All else stays as it is written:
    a link and its target are two names.
    """
    if is_url(name):
        return name
    before, dots, after = f"/{name}/".rpartition("/../")
    if not dots:
        return os.path.abspath(name)
    above = f"{before[1:]}/.." if before else ".."
    folded, place = os.path.abspath(above), os.path.realpath(above)
    return os.path.abspath(os.path.join(folded if os.path.realpath(folded) == place else place, after.lstrip("/")))


def url_file_system(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it.

    Raises:
        ImportError: fsspec, or the package of this kind of URL, is missing.
        ValueError: The kind of URL is unknown.
    """
    try:
        import fsspec
    except ImportError:
        raise ImportError(f'{url}: reading URLs needs the extra batch: pip install ".[batch]"') from None
    try:
        system, inner = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ImportError(f"{url}: {error}") from None
    except Exception as error:  # each protocol raises its own types for a wrong URL or wrong credentials
        raise ValueError(f"{url}: {short_reason(error)}") from None
    return system, inner


@contextmanager
def url_requests(url: str) -> Iterator[tuple[Any, str]]:
    """Give the file system of a URL, and the path in it. Requests in the `with` block raise errors of these types only.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: The storage reports another error. Each kind of storage has types of its own, such as those of gcsfs and aiohttp.
        ImportError, ValueError: See `url_file_system`.
    """
    system, inner = url_file_system(url)
    try:
        yield system, inner
    except FileNotFoundError:
        raise FileNotFoundError(f"{url}: no such file") from None
    except MemoryError:
        raise
    except Exception as error:
        raise OSError(f"{url}: {short_reason(error)}") from None


def short_reason(error: Exception) -> str:
    """Return the message of an error of a storage in one line, or the name of its type if it has none."""
    return one_line_error(error)[:_REASON_LENGTH]
