import os
import re

import pytest

from mfn.batch.sources import read_picture_bytes
from mfn.batch.tables import storage
from mfn.batch.urls import absolute, is_url, url_requests


@pytest.fixture
def url():
    pytest.importorskip("fsspec", reason="URLs need the extra batch")
    from tests.mfn.batch.faulty_bucket import FaultyBucket

    return f"{FaultyBucket.protocol}://bucket/a.jpg"


def test_what_is_a_url():
    assert is_url("s3://a/b") and not is_url("C:/a")


def test_names_of_one_picture(tmp_path, monkeypatch):
    """A path through a symbolic link and back leads to another folder than it seems to. A link is a picture of its own."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far" / "deep")
    monkeypatch.chdir(tmp_path)
    expected = os.path.realpath("far") + "/a.jpg"
    names = ("near/link/../a.jpg", "./far//a.jpg", "far/deep/..//a.jpg", "near/../near/link/.././a.jpg")
    for name in (*names, str(tmp_path / "far" / "a.jpg")):
        assert absolute(name) == expected
    assert absolute("near/a.jpg") != expected and absolute("near/link/a.jpg") != absolute("far/deep/a.jpg")
    assert absolute("near/link/x/../a.jpg") == absolute("near/link/a.jpg")
    monkeypatch.chdir("near")
    assert absolute("../far/a.jpg") == expected and absolute("..") == os.path.realpath(tmp_path)
    assert absolute("/../a.jpg") == "/a.jpg" and absolute("a..jpg") == str(tmp_path / "near" / "a..jpg")
    assert absolute("s3://a/../b") == "s3://a/../b"


@pytest.mark.parametrize(
    "request_one",
    [
        read_picture_bytes,
        storage.read_whole,
        storage.exists,
        storage.is_folder,
        storage.list_names,
        storage.remove,
        lambda url: storage.write_whole(url, b"data"),
    ],
)
def test_an_error_of_any_storage_is_one_line_with_the_url(url, request_one):
    with pytest.raises(OSError, match=f"^{re.escape(url)}: 403, no access$"):
        request_one(url)


def test_an_error_while_a_file_is_read(url):
    with pytest.raises(OSError, match=f"^{re.escape(url)}: TimeoutError$"), url_requests(url):
        raise TimeoutError  # of asyncio, without a message
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(url)}: no such file$"), url_requests(url):
        raise FileNotFoundError("bucket/a.jpg")
    with pytest.raises(MemoryError), url_requests(url):
        raise MemoryError
