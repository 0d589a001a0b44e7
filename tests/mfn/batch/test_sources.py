import io
import sys

import pytest

from mfn.batch.sources import PictureName, list_pictures, printable, read_picture_bytes


def paths(*names, lists=()):
    return [picture.path for picture in list_pictures(names, lists).pictures]


FOUND = ["photos/a.png", "photos/b.png", "photos/more/bad.jpg", "photos/more/c.png", "photos/more/d.png"]


def test_a_folder_is_read_with_its_subfolders_and_skipped_files_are_named(photos):
    listing = list_pictures(["photos"])
    assert [picture.path for picture in listing.pictures] == FOUND
    assert [picture.name for picture in listing.pictures][-1] == "more/d.png"
    assert listing.skipped == ["photos/notes.txt"]
    assert listing.skipped_lines() == ["skipped 1 file that is no picture we read: photos/notes.txt"]


@pytest.fixture
def heic(photos, monkeypatch):
    """The folder `photos` with a HEIC photo, and the photo alone in the folder phone, where pillow-heif is not installed."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (photos / "phone").mkdir()
    for folder in ("photos", "phone"):
        (photos / folder / "IMG_1.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic")
    return photos


@pytest.mark.parametrize("name", ["photos", "photos/**"])
def test_heic_photos_that_cannot_be_read_are_skipped_with_a_hint(heic, capsys, name):
    listing = list_pictures([name])
    assert sorted(picture.path for picture in listing.pictures) == FOUND and listing.skipped == ["photos/notes.txt"]
    hint = 'skipped 1 HEIC photo (install the extra to read them: pip install ".[heic]"): photos/IMG_1.HEIC'
    assert listing.skipped_lines()[1:] == [hint]
    listing.print_skipped(quiet=True)
    assert capsys.readouterr().err.splitlines() == [hint]
    listing.print_skipped()
    assert capsys.readouterr().err.splitlines() == listing.skipped_lines()


def test_a_heic_photo_that_is_named_is_never_skipped(heic):
    listing = list_pictures(["photos/IMG_1.HEIC"])
    assert [picture.path for picture in listing.pictures] == ["photos/IMG_1.HEIC"] and not listing.skipped_lines()


@pytest.mark.parametrize("name", ["phone", "phone/*.HEIC"])
def test_nothing_but_heic_photos_is_an_error_with_the_hint(heic, name):
    with pytest.raises((ValueError, FileNotFoundError), match=r'no picture .* but 1 HEIC photo: .*pip install "\.\[heic\]"'):
        list_pictures([name])


def test_heic_photos_are_read_with_the_extra(photos):
    pytest.importorskip("pillow_heif", reason="needs the extra heic")
    (photos / "photos" / "IMG_1.HEIC").write_bytes(b"data")
    assert "photos/IMG_1.HEIC" in paths("photos") and not list_pictures(["photos"]).heic


def test_hidden_files_and_our_own_outputs_are_left_out_silently(photos):
    drawn = ("b.faces.png", "b.faces.json", "group.report.html", "b.characters.png", "B.FACES.PNG", "B.glb")
    for name in (".hidden.png", "Thumbs.db", *drawn):
        (photos / "photos" / name).write_bytes(b"x")
    (photos / "photos" / ".cache").mkdir()
    (photos / "photos" / ".cache" / "e.png").write_bytes(b"x")
    assert paths("photos") == FOUND and list_pictures(["photos"]).skipped == ["photos/notes.txt"]


def test_patterns_lists_and_files_give_each_picture_once(photos, monkeypatch):
    (photos / "list.txt").write_text("# a comment\nphotos/b.png\n\nphotos/more\n")
    assert paths("photos/**/[ab].png") == FOUND[:2]
    assert paths("photos/b.png", lists=["list.txt"]) == ["photos/b.png", *FOUND[2:]]
    monkeypatch.setattr("sys.stdin", io.StringIO("photos/a.png\n"))
    assert paths(lists=["-"]) == ["photos/a.png"]


def test_one_picture_with_two_paths_is_one_picture(photos):
    assert paths("photos/more/c.png", str(photos / "photos/more/c.png"), "photos/more/../more/c.png") == ["photos/more/c.png"]
    assert paths("photos", str(photos / "photos")) == FOUND


def test_an_empty_name_is_one_line():
    with pytest.raises(ValueError, match=r"an empty name \(expected a picture, a folder or a pattern\)"):
        list_pictures([""])


def test_a_file_is_taken_whatever_its_suffix(photos):
    assert paths("photos/notes.txt", "nowhere.jpg") == ["photos/notes.txt", "nowhere.jpg"]


@pytest.mark.parametrize(
    ("names", "lists", "error", "message"),
    [
        (["photos/*.gif"], [], FileNotFoundError, "no picture matches"),
        (["empty"], [], ValueError, "empty: no picture in this directory"),
        ([], ["none.txt"], FileNotFoundError, "none.txt: no such file"),
        (["nosuch://bucket/x"], [], ValueError, "nosuch"),
    ],
)
def test_what_cannot_be_listed(photos, names, lists, error, message):
    pytest.importorskip("fsspec", reason="URLs need the extra batch")
    (photos / "empty").mkdir()
    with pytest.raises(error, match=message):
        list_pictures(names, lists)


def test_urls(photos):
    fsspec = pytest.importorskip("fsspec", reason="URLs need the extra batch")
    system = fsspec.filesystem("memory")
    for name in ("/bucket/x/1.jpg", "/bucket/x/y/2.jpg", "/bucket/x/readme.md"):
        system.pipe_file(name, b"data")
    found = list_pictures(["memory://bucket/x"])
    assert [(p.path, p.name) for p in found.pictures] == [("memory:///bucket/x/1.jpg", "1.jpg"), ("memory:///bucket/x/y/2.jpg", "y/2.jpg")]
    assert found.skipped == ["memory:///bucket/x/readme.md"]
    assert paths("memory://bucket/x/*.jpg") == ["memory:///bucket/x/1.jpg"]
    assert paths("memory://bucket/x/1.jpg") == ["memory://bucket/x/1.jpg"]
    assert read_picture_bytes("memory://bucket/x/1.jpg") == b"data"
    system.pipe_file("/bucket/names.txt", b"photos/a.png\n")
    assert paths(lists=["memory://bucket/names.txt"]) == ["photos/a.png"]
    with pytest.raises(FileNotFoundError):
        read_picture_bytes("memory://bucket/none.jpg")


def test_the_url_of_a_picture_is_not_looked_up():
    pytest.importorskip("fsspec", reason="URLs need the extra batch")
    from tests.mfn.batch.faulty_bucket import FaultyBucket

    before = FaultyBucket.requests
    assert paths("faulty://bucket/a.jpg", "faulty://bucket/B.PNG") == ["faulty://bucket/a.jpg", "faulty://bucket/B.PNG"]
    assert FaultyBucket.requests == before
    with pytest.raises(ValueError, match=r"faulty://bucket/x: cannot be listed \(403, no access\)"):
        paths("faulty://bucket/x")


def test_a_web_address_with_a_query_is_no_pattern():
    pytest.importorskip("aiohttp", reason="web addresses need aiohttp")
    listing = list_pictures(["https://example.invalid/a.jpg?width=9"])
    assert listing.pictures == [PictureName("https://example.invalid/a.jpg?width=9", "a.jpg")]


def test_a_list_may_have_names_that_are_no_utf_8(photos, monkeypatch):
    """As folders may."""
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    content = b"photos/a.png\n" + name.encode("utf-8", "surrogateescape") + b"\n"
    (photos / "list.txt").write_bytes(content)
    assert paths(lists=["list.txt"]) == ["photos/a.png", name]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))
    assert paths(lists=["-"]) == ["photos/a.png", name]
    (photos / "half.txt").write_bytes("photos/a.png".encode("utf-16")[:-1])
    with pytest.raises(ValueError, match=r"^half.txt: expected a list of pictures in UTF-8 or UTF-16"):
        list_pictures([], ["half.txt"])


def test_names_that_are_no_utf_8_become_printable():
    assert printable(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")) == "caf\\xe9.jpg" and printable("é") == "é"
