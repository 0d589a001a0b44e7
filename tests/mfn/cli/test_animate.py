import pytest

from mfn.animation.options import AnimateResult
from mfn.animation.output import IMAGE_SUFFIXES, PURPOSES, SCENE_SUFFIXES, TAKE_SUFFIXES, VIDEO_SUFFIX
from mfn.cli.animate import _report
from mfn.cli.main import main
from retarget.gltf.document import write_glb
from tests.helpers.skeletons import TARGETS, make_character


def test_a_performance_file(crowd, spots, capsys):
    from retarget import Take

    assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--out", "x.npz", "--quiet"]) == 0
    take = Take.load("x.npz")
    assert len(take) == 2 and (take.translation[:, 2] < 0).all()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [*SCENE_SUFFIXES, *TAKE_SUFFIXES, *IMAGE_SUFFIXES, VIDEO_SUFFIX])
def test_every_file_that_can_be_written_has_a_purpose(suffix):
    assert PURPOSES[suffix]


def test_a_file_for_ifacialmocap(crowd, spots, capsys):
    assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--people", "1", "--out", "x.txt"]) == 0
    assert f"wrote x.txt: {PURPOSES['.txt']}\n" in capsys.readouterr().out


def test_a_stopped_run_says_how_to_continue(tmp_path, capsys):
    result = AnimateResult(files=[tmp_path / "x.mp4"], people=1, frames_done=7, frames_total=12, finished=False)
    assert _report(result, quiet=True) == 130
    nothing = AnimateResult(files=(), people=0, frames_done=3, frames_total=0, finished=False)
    assert _report(nothing, quiet=True) == 130
    err = capsys.readouterr().err.splitlines()
    assert err[0].endswith("x.mp4 has the first 7 of about 12 frames; --resume continues")
    assert err[1] == "mfn: stopped; no face in the first 3 frames; --resume continues"


def test_remarks_on_an_avatar_are_printed(crowd, spots, capsys):
    write_glb(make_character((*TARGETS, "viseme_aa"), empty=["jawOpen"]), "a.glb")
    run = ["animate", "crowd.png", "--weights", str(spots), "--out", "x.glb", "--avatar", "a.glb"]
    assert main([*run, "--jaw", "Head"]) == 1 and "jaw: the whole head hangs on the node 'Head'" in capsys.readouterr().err
    assert main([*run, "--strength", "brows=1.5"]) == 0
    assert "note: a.glb: empty targets, which move nothing: jawOpen (viseme_aa is used)\n" in capsys.readouterr().err
    assert main([*run, "--quiet"]) == 0 and capsys.readouterr().err == ""
