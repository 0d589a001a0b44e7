from retarget.io.suggest import did_you_mean


def test_a_similar_word_is_suggested_in_its_own_spelling():
    assert did_you_mean("ANIMTE", ["detect", "animate"]) == "; did you mean 'animate'?"
    assert did_you_mean("colour", ["Color", "size"]) == "; did you mean 'Color'?"


def test_nothing_is_suggested_where_no_word_is_similar():
    assert did_you_mean("dance", ["detect", "animate"]) == ""
    assert did_you_mean("x", []) == "" == did_you_mean("", ["robot"])
