"""Downloads: complete and checked, or nothing."""

import hashlib
import io
from http.client import IncompleteRead

import pytest

from retarget.io.downloads import cache_folder, download_file


def test_a_download_is_checked(tmp_path):
    source, out = tmp_path / "a.bin", tmp_path / "new" / "b.bin"
    source.write_bytes(b"abc")
    with pytest.raises(ValueError, match=r"expected a file with the SHA-256 0{64}, got one with ba7816"):
        download_file(source.as_uri(), out, "0" * 64)
    assert not out.exists()
    download_file(source.as_uri(), out, hashlib.sha256(b"abc").hexdigest())
    assert out.read_bytes() == b"abc"


def test_a_download_that_is_cut_off_is_an_oserror(tmp_path, monkeypatch):
    class CutOff(io.BytesIO):
        def read(self, *_):
            raise IncompleteRead(b"abc", 10)

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: CutOff())
    with pytest.raises(OSError, match=r"https://x/y: the download was cut off \(IncompleteRead\); try again"):
        download_file("https://x/y", tmp_path / "y", "0" * 64)


@pytest.mark.parametrize(("platform", "part"), [("linux", ".cache"), ("darwin", "Library"), ("win32", "AppData")])
def test_the_cache_is_where_the_system_has_it(platform, part, monkeypatch, tmp_path):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", platform)
    assert part in cache_folder("mfn").parts and "mfn" in cache_folder("mfn").parts
