import json

import cv2
import numpy as np
import pytest

from mfn.batch.sources import PictureName
from mfn.cli.main import main
from mfn.cli.pick import distinct_names
from retarget.io.images import write_image


def run(spots, *arguments):
    return main(["pick", *map(str, arguments), "--weights", str(spots)])


def write_shots(folder, count=3):
    (folder / "burst").mkdir()
    for i in range(count):
        picture = np.zeros((384, 640, 3), np.uint8)
        picture[80:88, 160 + 8 * i : 168 + 8 * i] = picture[240:248, 480:488] = 255
        write_image(folder / "burst" / f"{i}.png", picture)


def test_a_burst(crowd, spots, capsys):
    write_shots(crowd)
    assert run(spots, "burst", "--report", "page.html", "--json", "rank.json") == 0
    out = capsys.readouterr().out
    assert out.startswith("rank  shot") and "The best shot is " in out and "wrote page.html" in out and "wrote rank.json" in out
    assert "<table" in (crowd / "page.html").read_text()
    assert sorted(shot["shot"] for shot in json.loads((crowd / "rank.json").read_text())["shots"]) == ["0.png", "1.png", "2.png"]


def test_shots_of_one_file_name_can_be_told_apart(crowd, spots):
    write_shots(crowd, 2)
    for folder in ("s1", "s2"):
        (crowd / folder).mkdir()
        (crowd / "burst" / f"{int(folder[1]) - 1}.png").rename(crowd / folder / "IMG_1.png")
    assert run(spots, "s1", "s2/IMG_1.png", "crowd.png", "--quiet", "--json", "rank.json") == 0
    shots = json.loads((crowd / "rank.json").read_text())["shots"]
    assert sorted(shot["shot"] for shot in shots) == ["crowd.png", "s1/IMG_1.png", "s2/IMG_1.png"]


def test_names_of_shots_are_as_short_as_they_differ():
    paths = ["a/x/1.png", "b/x/1.png", "1.png", "b/2.png"]
    pictures = [PictureName(path, path.rpartition("/")[2]) for path in paths]
    assert distinct_names(pictures) == ["a/x/1.png", "b/x/1.png", "1.png", "2.png"]
    assert distinct_names([PictureName("c/a/1.png", "a/1.png"), *pictures[3:]]) == ["a/1.png", "2.png"]
    assert distinct_names([]) == []


def test_mistakes(crowd, spots, capsys):
    write_shots(crowd, 1)
    assert run(spots, "burst") == 1
    assert "expected at least 2 shots of one group that can be read, got 1" in capsys.readouterr().err
    assert run(spots, "burst", "--report", "page.txt") == 1
    assert "page.txt: expected a name that ends in .html" in capsys.readouterr().err


def test_outputs_are_checked_before_the_shots_are_read(crowd, spots, capsys, monkeypatch):
    write_shots(crowd, 2)
    assert run(spots, "burst", "--quiet", "--report", "new/page.html", "--json", "other/new/rank.json") == 0
    assert (crowd / "new" / "page.html").is_file() and (crowd / "other" / "new" / "rank.json").is_file()
    monkeypatch.setattr("mfn.cli.pick.read_shots", lambda *_: pytest.fail("the shots were read"))
    (crowd / "folder.html").mkdir()
    assert run(spots, "burst", "--report", "folder.html") == 1
    assert "folder.html: is a directory (expected a file name)" in capsys.readouterr().err
    assert run(spots, "burst", "--json", "crowd.png/rank.json") == 1
    assert "crowd.png: expected a directory to write into" in capsys.readouterr().err


def test_a_shot_that_cannot_be_read_is_named_and_left_out(crowd, spots, capsys):
    write_shots(crowd, 2)
    (crowd / "burst" / "bad.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[1].tobytes()[:30])
    assert run(spots, "burst", "--quiet") == 1
    out, err = capsys.readouterr()
    assert not out and "bad.jpg" in err and len(err.splitlines()) == 1


def test_a_url_that_cannot_be_read_is_named_and_left_out(crowd, spots, capsys):
    pytest.importorskip("fsspec", reason="URLs need the extra batch")
    import tests.mfn.batch.faulty_bucket  # noqa: F401  # registers faulty://

    write_shots(crowd, 2)
    assert run(spots, "burst", "faulty://bucket/a.jpg", "--quiet") == 1
    assert capsys.readouterr().err == "mfn: faulty://bucket/a.jpg: 403, no access\n"
