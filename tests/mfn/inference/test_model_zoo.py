"""The networks that ship, by name."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from mfn.inference.model_zoo import (
    MODELS,
    SINGLE_FACE_WEIGHTS,
    default_eye_reader,
    default_portrait_reader,
    default_reader,
    find_model,
)
from mfn.inference.predictor import Predictor
from mfn.inference.readers.reading_rules import FREE_RULES, RULES


def test_free_networks_have_readers_of_their_own():
    free, large = find_model("free"), find_model("large")
    assert free.free and not large.free
    assert not any(mine == theirs for mine, theirs in zip(free, large) if isinstance(mine, Path)), "no file of theirs"
    assert default_reader("free") == free.reader and default_eye_reader("free") == free.eye_reader
    assert default_portrait_reader("free") == free.portrait_reader and default_portrait_reader() == SINGLE_FACE_WEIGHTS


@pytest.mark.parametrize("name", list(MODELS))
def test_each_model_reads_with_its_own_rules(name):
    predictor = Predictor.load(name, threads=1)
    assert predictor.free == (name == "free") and predictor.reader.rules == (FREE_RULES if name == "free" else RULES)
    assert predictor.reader.weights == MODELS[name].reader and predictor.eye_reader.weights == MODELS[name].eye_reader
    assert (predictor.portrait_reader and predictor.portrait_reader.weights) == MODELS[name].portrait_reader
    assert pickle.loads(pickle.dumps(predictor)).fingerprint() == predictor.fingerprint()
    assert len(predictor(np.zeros((64, 64, 3), np.uint8), video=True)) == 0


def test_free_networks_with_another_reader_are_not_called_free():
    predictor = Predictor.load("free", reader=default_reader(), threads=1)
    assert not predictor.free and predictor.reader.rules == RULES
    eyes = Predictor.load("free", eye_reader=default_eye_reader(), threads=1)
    assert not eyes.free and eyes.reader.rules == FREE_RULES
    same_files = Predictor.load("free", reader=default_reader("free"), eye_reader=default_eye_reader("free"), threads=1)
    assert same_files.fingerprint() != Predictor.load("free", threads=1).fingerprint(), "the rules are others"
