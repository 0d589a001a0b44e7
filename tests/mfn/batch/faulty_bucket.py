"""A bucket whose server answers every request with an error of its own type, as those of gcsfs and aiohttp are."""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem, register_implementation


class BucketError(Exception):
    """Neither OSError nor ValueError."""


class FaultyBucket(AbstractFileSystem):
    """The bucket behind faulty:// URLs. `requests` counts what it was asked for."""

    protocol = "faulty"
    requests = 0

    def _refuse(self, *_: Any, **__: Any) -> Any:
        type(self).requests += 1
        raise BucketError("403,\n no access")

    open = cat_file = pipe_file = exists = isdir = info = ls = makedirs = rm_file = _refuse


register_implementation("faulty", FaultyBucket, clobber=True)
