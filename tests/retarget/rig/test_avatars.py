import pytest

from retarget.rig.avatars import AVATAR_NAMES, DEFAULT_AVATAR, avatar_folder, find_avatar


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


def test_a_missing_installation_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr("retarget.rig.avatars.avatar_folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="missing from the installation"):
        find_avatar("lion")
