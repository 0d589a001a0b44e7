from experiments.inspect import tables


def test_the_time_of_a_frame_is_that_of_the_faces_in_the_head():
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in tables.models().splitlines())
    column = next(i for i, name in enumerate(head) if name.startswith("ms a frame"))
    faces = next(word for word in head[column].split() if word.isdigit())
    times = tables.runtimes()
    assert [row[column] for row in rows] == [f"{times[name]['to_rig_ms'][faces]:.0f}" for name in ("large", "small")]
