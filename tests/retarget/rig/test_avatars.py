from pathlib import Path

import pytest

from retarget.cli import main
from retarget.rig.avatars import AVATAR_NAMES, DEFAULT_AVATAR, avatar_folder, character_path, find_avatar
from retarget.rig.load import load_rig
from tests.helpers.characters import make_take


def test_every_character_that_is_named_ships():
    assert {path.stem for path in avatar_folder().glob("*.glb")} == set(AVATAR_NAMES)
    assert [find_avatar(name).stem for name in AVATAR_NAMES] == list(AVATAR_NAMES)


def test_the_default():
    assert find_avatar().stem == DEFAULT_AVATAR


def test_a_path_is_returned_unchanged(tmp_path):
    (tmp_path / "mine.glb").write_bytes(b"x")
    assert find_avatar(str(tmp_path / "mine.glb")) == tmp_path / "mine.glb"
    assert find_avatar(tmp_path / "mine.glb") == tmp_path / "mine.glb"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(FileNotFoundError, match=r"nobody: no such file, and none of our characters \(robot, lion, person, monster\)$"):
        find_avatar("nobody")


def test_a_misspelled_name_gets_a_suggestion():
    with pytest.raises(FileNotFoundError, match=r"did you mean 'robot'\?"):
        find_avatar("Robt")


def test_a_folder_with_the_name_of_a_character_hides_no_character(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "robot").mkdir()
    (tmp_path / "mine").mkdir()
    assert character_path("robot") == avatar_folder() / "robot.glb" and load_rig("robot").unmapped == ()
    make_take(1).save(tmp_path / "take.npz")
    assert main(["animate", "take.npz", "--quiet"]) == 0 and main(["inspect", "robot"]) == 0
    with pytest.raises(ValueError, match="mine: is a directory"):
        load_rig("mine")


def test_a_file_without_a_suffix_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "robot").write_bytes(b"x")
    assert character_path("robot") == Path("robot") and character_path("gone.glb") == Path("gone.glb")


def test_a_missing_installation_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr("retarget.rig.avatars.avatar_folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="missing from the installation"):
        find_avatar("lion")
