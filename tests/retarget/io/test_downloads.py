"""Downloads: complete and checked, or nothing."""

import hashlib

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


@pytest.mark.parametrize(("platform", "part"), [("linux", ".cache"), ("darwin", "Library"), ("win32", "AppData")])
def test_the_cache_is_where_the_system_has_it(platform, part, monkeypatch, tmp_path):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", platform)
    assert part in cache_folder("mfn").parts and "mfn" in cache_folder("mfn").parts
