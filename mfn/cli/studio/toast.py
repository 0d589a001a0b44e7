"""Functions that the page calls: their errors are shown as the one line that the command prints."""

from __future__ import annotations

import argparse
import functools
import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import gradio as gr

from retarget.io.files import one_line_error

if TYPE_CHECKING:
    from mfn.cli.studio.sessions import Sessions

P = ParamSpec("P")
R = TypeVar("R")


def with_toast(sessions: Sessions, call: Callable[P, R]) -> Callable[P, R]:
    """Return a function that shows what the user did wrong as a message of the page, in one line, without a traceback."""

    @functools.wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except (ValueError, OSError, ImportError, MemoryError, argparse.ArgumentTypeError) as error:
            line = "not enough memory for this input" if isinstance(error, MemoryError) else one_line_error(error)
            raise gr.Error(html.escape(without_folders(line, str(sessions.root))), print_exception=False) from None

    return wrapped


def on_drop(file: gr.File, call: Callable[..., Any], inputs: list[Any], outputs: list[Any], **settings: Any) -> None:
    """Call a function with each file that the user drops, and make room for the next file even if this one was bad.

    Progress and errors cover the place of the file alone: what was shown before stays to be seen.
    """
    dropped = file.upload(call, [file, *inputs], [file, *outputs], show_progress_on=file, **settings)
    dropped.failure(None, js="() => null", outputs=file, api_visibility="private")


def without_folders(line: str, root: str) -> str:
    """Shorten the paths below a folder to their file names."""
    return " ".join(word.rpartition("/")[2] if word.startswith(root) else word for word in line.split(" "))
