import numpy as np
import pytest

from mfn.animation.photo import Photo
from mfn.cli.studio.sessions import Session
from mfn.structures.faces import Faces

pytest.importorskip("gradio", reason="needs the extra `studio`")


def test_each_choice_of_characters_takes_the_place_of_one_before(session: Session):
    from mfn.cli.studio.photo import make_files

    photo = Photo("crowd.png", np.zeros((48, 64, 3), np.uint8), Faces.empty())
    made = [make_files(session, photo, None, 0.0).faces for _ in range(5)]
    assert [file.is_file() for file in made] == [False, False, False, True, True]
