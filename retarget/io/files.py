"""Read and write files safely: checked before they are read, written whole or not at all."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retarget.io.suggest import did_you_mean

StrPath = str | os.PathLike[str]

MAX_FILE_BYTES = 1 << 30
MAX_JSON_OBJECT_BYTES = 1 << 20
_LONGEST_SUFFIX = 32  # bytes; what is longer is no suffix that a program knows


def atomic_write(path: StrPath, content: bytes | Callable[[Path], object]) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file to write. Its folder must exist. An existing file is replaced.
        content: The bytes of the file, or a function that writes the file to the temporary path that it is given.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The path is a folder or a device.
        OSError: The file cannot be written. The message has its name.

    The temporary file lies in the same folder and has the same suffix, because NumPy, PyAV and ONNX choose the format by
    the suffix. It is removed if writing fails. A new file has the permissions that the umask leaves; a replaced one keeps its own.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: its folder does not exist")
    if target.is_dir():
        raise ValueError(f"{target}: is a directory (expected a file name)")
    if target.exists() and not target.is_file():
        raise ValueError(f"{target}: is not a regular file (expected a file name)")
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_SUFFIX else ""
    temporary = target.with_name(f".{secrets.token_hex(8)}{suffix}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the system subtracts the umask
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            content(temporary)
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary) and error.filename2 is None:
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise


def check_file(path: StrPath, expected: str, max_bytes: int = MAX_FILE_BYTES) -> Path:
    """Check that a path is a file of a size that can be read.

    Args:
        path: The file to check.
        expected: What the file should be, for the error message, such as "an .obj file".
        max_bytes: The largest size that is accepted.

    Returns:
        The path.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The path is a folder, or the file is too large.
    """
    source = Path(path)
    if source.is_dir():
        raise ValueError(f"{path}: is a directory (expected {expected})")
    if not source.is_file():
        raise FileNotFoundError(f"{path}: no such file (expected {expected}){similar_file(path)}")
    size = source.stat().st_size
    if size > max_bytes:
        raise ValueError(f"{path}: {size} bytes is more than the limit of {max_bytes} bytes")
    return source


def decode_text(data: bytes, errors: str = "strict") -> str:
    """Decode text in UTF-8 (with or without a byte order mark) or in UTF-16, which some Windows programs write.

    Args:
        data: The bytes of the text.
        errors: What `bytes.decode` does with bytes that are no text.
    """
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors)


def decode_recording(data: bytes) -> str:
    """Decode as `decode_text` does, but accept data that end inside a character, as those of a program that was stopped.

    Returns:
        The text. U+FFFD stands at its end for a character that is incomplete.
    """
    try:
        return decode_text(data)
    except UnicodeDecodeError:
        decoder = codecs.getincrementaldecoder("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")()
        return decoder.decode(data) + "\ufffd"  # an error inside the data is raised once more


def read_json_object(path: StrPath, expected: str) -> dict[str, Any]:
    """Read a JSON object from a small file that a person wrote.

    Args:
        path: The file to read, at most 1 MiB.
        expected: What the file should hold, for the error message.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is too large, is not JSON, or holds something other than an object.
    """
    source = check_file(path, expected, MAX_JSON_OBJECT_BYTES)
    try:
        rows = json.loads(decode_text(source.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON, expected {expected} ({' '.join(str(error).split())[:80]})") from None
    if not isinstance(rows, dict):
        raise ValueError(f"{path}: expected an object, {expected}, got a {type(rows).__name__}")
    return rows


def file_digest(path: StrPath) -> str:
    """Return the SHA-256 digest of a file, as hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def similar_file(path: StrPath) -> str:
    """Build the hint for a misspelled file name, such as `"; did you mean 'photo.jpg'?"`, or "" if no name is similar."""
    folder = Path(path).parent
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    return did_you_mean(Path(path).name, names)


def same_file(first: StrPath, second: StrPath) -> bool:
    """Return whether both paths name one existing file."""
    return os.path.exists(first) and os.path.exists(second) and os.path.samefile(first, second)


def make_folder(path: StrPath) -> Path:
    """Create a folder and its parents if they are missing.

    Returns:
        The path.

    Raises:
        ValueError: The path is a file.
        PermissionError: The folder cannot be written to.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{path}: expected a directory to write into, this is a file")
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{path}: no permission to write into this directory; choose another directory")
    return folder


def one_line_error(error: BaseException) -> str:
    """Return the message of an exception without line breaks."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename2 or error.filename}: {error.strerror}"  # of a rename, the new name
    return " ".join(str(error).split()) or type(error).__name__
