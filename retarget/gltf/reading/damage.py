"""Say in one line what is wrong with a file whose content is read after `read_glb`, which does not check every property."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def damage_as_value_error(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the errors of a damaged glTF document into a ValueError of one line that begins with the file.

    Args:
        path: The file that is read in the `with` block.

    Raises:
        ValueError: A property is missing, of the wrong type, or wrong in another way.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path}: damaged glTF, a property is missing or of the wrong type ({error!r:.100})") from None
