import json
import sys

import cv2
import numpy as np
import pytest

from mfn.cli.detect import DetectOutput, detect
from mfn.cli.main import main
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from retarget.io.images import write_image

NETWORK = ["--min-face", "48", "--weights"]


def run(*arguments: object) -> int:
    return main(["detect", *(str(a) for a in arguments)])


def test_a_table_and_json(crowd, spots, capsys):
    assert run("crowd.png", *NETWORK, spots, "--no-draw") == 0
    out = capsys.readouterr().out
    assert "crowd.png: 1280 x 768 px, 2 faces" in out
    assert out.splitlines()[-1].startswith("wrote crowd.faces.json: box, pose, identity")
    text = (crowd / "crowd.faces.json").read_text()
    assert len(Faces.from_json(text)) == 2
    data = json.loads(text)
    assert data["picture"] == "crowd.png" and (data["width"], data["height"]) == (1280, 768)
    assert set(data["faces"][0]["pose_deg"]) == {"pitch", "yaw", "roll"}
    assert sorted(p.name for p in crowd.iterdir()) == ["crowd.faces.json", "crowd.png", "nobody.png"]


def test_no_face_is_no_error(crowd, spots, capsys):
    assert run("nobody.png", *NETWORK, spots, "--no-draw", "--out", "new/folder") == 0
    assert "nobody.png: 400 x 300 px, no face" in capsys.readouterr().out
    assert len(Faces.from_json((crowd / "new/folder/nobody.faces.json").read_text())) == 0


def test_drawings_of_several_pictures(crowd, spots, head_model, capsys):
    assert run("crowd.png", "nobody.png", *NETWORK, spots, "--no-json") == 0
    drawn = cv2.imread("crowd.faces.png")
    assert drawn.shape == (768, 1280, 3) and drawn.any(axis=2).mean() > 0.002
    assert not cv2.imread("nobody.faces.png").any()
    assert capsys.readouterr().out.splitlines()[-1].startswith("wrote 2 files NAME.faces.png: the picture with the faces")


def test_a_bad_picture_is_reported_and_the_others_go_on(crowd, spots, capsys):
    (crowd / "bad.jpg").write_bytes(b"not a picture")
    assert run("bad.jpg", "crowd.png", "none.png", *NETWORK, spots, "--no-draw", "--quiet") == 1
    out, err = capsys.readouterr()
    assert [line.split(": ")[1] for line in err.splitlines()] == ["bad.jpg", "none.png"]
    assert not out and (crowd / "crowd.faces.json").is_file() and not (crowd / "bad.faces.json").exists()


def test_a_url_that_cannot_be_read_is_reported_and_the_others_go_on(crowd, spots, capsys):
    pytest.importorskip("fsspec", reason="URLs need the extra batch")
    import tests.mfn.batch.faulty_bucket  # noqa: F401  # registers faulty://

    assert run("faulty://bucket/a.jpg", "crowd.png", *NETWORK, spots, "--no-draw", "--quiet") == 1
    assert capsys.readouterr().err == "mfn: faulty://bucket/a.jpg: 403, no access\n" and (crowd / "crowd.faces.json").is_file()


def test_a_reader_who_leaves_is_not_counted_as_a_bad_picture(crowd, spots, monkeypatch):
    def gone(*_):
        raise BrokenPipeError

    monkeypatch.setattr("mfn.cli.detect.table", gone)
    with pytest.raises(BrokenPipeError):
        detect(Predictor.load(spots, min_face_px=48), ["crowd.png"], DetectOutput())


def test_pictures_of_the_same_name_do_not_overwrite_each_other(crowd, spots):
    write_image("nobody.jpg", np.zeros((30, 40, 3), np.uint8))
    assert run(".", *NETWORK, spots, "--no-draw", "--quiet", "--out", "out") == 0
    assert sorted(p.name for p in (crowd / "out").iterdir()) == [
        "crowd.faces.json",
        "nobody-2.faces.json",
        "nobody.faces.json",
    ]


def test_the_drawings_of_an_earlier_run_are_not_read_again(crowd, spots, head_model):
    for _ in range(2):
        assert run(".", *NETWORK, spots, "--quiet") == 0
    assert sorted(p.name for p in crowd.glob("*.png")) == ["crowd.faces.png", "crowd.png", "nobody.faces.png", "nobody.png"]


@pytest.fixture
def folder(crowd):
    """The two pictures of `crowd` in photos and photos/party, beside a file that is no picture."""
    (crowd / "photos" / "party").mkdir(parents=True)
    (crowd / "crowd.png").rename(crowd / "photos" / "party" / "crowd.png")
    (crowd / "nobody.png").rename(crowd / "photos" / "nobody.png")
    (crowd / "photos" / "clip.mp4").write_bytes(b"a clip")
    return crowd


def test_folders_are_searched_and_kept(folder, spots, capsys):
    assert run("photos", *NETWORK, spots, "--no-draw", "--out", "out") == 0
    out, err = capsys.readouterr()
    assert "photos/party/crowd.png: 1280 x 768 px, 2 faces" in out and "wrote 2 files" in out
    assert "skipped 1 file that is no picture we read: photos/clip.mp4" in err
    assert json.loads((folder / "out/party/crowd.faces.json").read_text())["picture"] == "party/crowd.png"
    assert (folder / "out/nobody.faces.json").is_file()


def test_a_heic_photo_without_its_extra_is_skipped_in_a_folder_and_an_error_by_name(folder, spots, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (folder / "photos/phone.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(40))
    assert run("photos", *NETWORK, spots, "--no-draw", "--out", "out") == 0
    out, err = capsys.readouterr()
    assert "wrote 2 files" in out and 'pip install ".[heic]"): photos/phone.heic' in err and "mfn:" not in err
    assert run("photos", *NETWORK, spots, "--no-draw", "--out", "out", "--quiet") == 0
    err = capsys.readouterr().err
    assert "photos/phone.heic" in err and "clip.mp4" not in err, "--quiet is silent about files that are no photos only"
    assert run("photos/phone.heic", *NETWORK, spots, "--no-draw") == 1
    assert 'mfn: photos/phone.heic: reading a HEIC image needs pillow-heif: pip install ".[heic]"' in capsys.readouterr().err


def test_resume_leaves_out_what_is_there(folder, spots, capsys):
    (folder / "out").mkdir()
    (folder / "out/nobody.faces.json").write_text("kept")
    assert run("photos", *NETWORK, spots, "--no-draw", "--out", "out", "--resume") == 0
    assert "1 of 2 pictures were done before" in capsys.readouterr().out
    assert (folder / "out/nobody.faces.json").read_text() == "kept" and (folder / "out/party/crowd.faces.json").is_file()


def noted(folder) -> dict[str, str]:
    """Name of each JSON file -> the picture that it notes."""
    return {path.name: json.loads(path.read_text())["picture"] for path in folder.glob("*.json")}


def test_resume_reads_a_new_picture_that_is_sorted_before_one_of_its_name(crowd, spots, capsys):
    """By the picture that each JSON file notes, however often the run resumes, and after a picture has gone."""
    arguments = [".", *NETWORK, spots, "--no-draw", "--out", "out"]
    assert run(*arguments, "--quiet") == 0
    write_image("crowd.jpg", np.zeros((30, 40, 3), np.uint8))
    for done in (2, 3):
        assert run(*arguments, "--resume") == 0
        assert f"{done} of 3 pictures were done before" in capsys.readouterr().out
        assert noted(crowd / "out") == {
            "crowd.faces.json": "crowd.png",
            "crowd-2.faces.json": "crowd.jpg",
            "nobody.faces.json": "nobody.png",
        }
    (crowd / "crowd.png").unlink()
    write_image("crowd.webp", np.zeros((30, 40, 3), np.uint8))
    assert run(*arguments, "--resume") == 0 and noted(crowd / "out")["crowd-3.faces.json"] == "crowd.webp"
    (crowd / "out/crowd.faces.json").unlink()
    assert run(*arguments, "--resume") == 0 and "3 of 3 pictures" in capsys.readouterr().out


def test_resume_draws_again_where_two_pictures_have_one_name(crowd, spots, head_model, capsys):
    """A drawing does not note its picture."""
    arguments = [".", *NETWORK, spots, "--no-json", "--out", "out"]
    assert run(*arguments, "--quiet") == 0
    write_image("crowd.jpg", np.zeros((30, 40, 3), np.uint8))
    assert run(*arguments, "--resume") == 0
    assert "1 of 3 pictures were done before" in capsys.readouterr().out
    assert cv2.imread("out/crowd.faces.png").shape == (30, 40, 3) and cv2.imread("out/crowd-2.faces.png").shape == (768, 1280, 3)


def sizes(folder) -> dict[str, int]:
    """Name of each JSON file -> the width in px that it notes."""
    return {path.name: json.loads(path.read_text())["width"] for path in folder.glob("*.json")}


def test_resume_tells_pictures_of_one_name_in_several_folders_apart_by_the_sizes_of_their_files(folder, spots, capsys):
    (folder / "more").mkdir()
    write_image("more/nobody.png", np.zeros((30, 40, 3), np.uint8))
    arguments = [*NETWORK, spots, "--no-draw", "--out", "out"]
    assert run("photos", *arguments, "--quiet") == 0 and len(noted(folder / "out")) == 1
    assert run("more", *arguments, "--resume") == 0 and "done before" not in capsys.readouterr().out
    assert sizes(folder / "out") == {"nobody.faces.json": 400, "nobody-2.faces.json": 40}
    assert run("more", "photos", *arguments, "--resume") == 0 and "3 of 3 pictures were done before" in capsys.readouterr().out


def test_resume_reads_pictures_of_one_name_and_size_again(folder, spots, capsys):
    """A JSON file does not note the folder that was searched: it may be that of the other picture."""
    (folder / "more").mkdir()
    (folder / "more/nobody.png").write_bytes((folder / "photos/nobody.png").read_bytes())
    arguments = [*NETWORK, spots, "--no-draw", "--out", "out"]
    assert run("photos", *arguments, "--quiet") == 0 and len(noted(folder / "out")) == 1
    for _ in range(2):
        assert run("more", "photos", *arguments, "--resume") == 0 and "1 of 3 pictures were done before" in capsys.readouterr().out
        assert sorted(sizes(folder / "out")) == ["nobody-2.faces.json", "nobody.faces.json"]


def test_drawings_of_boxes_only_as_small_jpeg_files(crowd, spots):
    assert run("crowd.png", *NETWORK, spots, "--no-json", "--boxes", "--jpeg", "--draw-side", "640", "--quiet") == 0
    drawn = cv2.imread("crowd.faces.jpg")
    assert drawn.shape == (384, 640, 3) and (drawn > 60).any(axis=2).sum() > 100
    assert run(".", *NETWORK, spots, "--no-json", "--boxes", "--jpeg", "--quiet", "--out", "out") == 0
    assert sorted(p.name for p in (crowd / "out").iterdir()) == ["crowd.faces.jpg", "nobody.faces.jpg"]
