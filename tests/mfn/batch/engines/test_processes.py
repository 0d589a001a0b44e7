import os
import time
from dataclasses import dataclass

import numpy as np
import pytest

from mfn.batch.engines.processes import ProcessPool
from mfn.batch.engines.worker import Reading
from mfn.batch.tables.job import JobFiles, join_parts, start_job
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces


@dataclass(frozen=True)
class FragilePredictor:
    """Finds nothing, and ends its process at a picture of `fatal_width`, or sleeps at one of `slow_width`."""

    fatal_width: int = 0
    slow_width: int = 0

    def __call__(self, pictures: list[np.ndarray]) -> Faces:
        for picture in pictures:
            if picture.shape[1] == self.fatal_width:
                os._exit(7)
            if picture.shape[1] == self.slow_width:
                time.sleep(600)
        return Faces.empty(IDENTITY_SIZE)


def run(folder, predictor, timeout_s=300.0):
    """Read seven pictures of width 11 to 17 in parts of three, by one worker. Returns the numbers of the parts and the failures."""
    from retarget.io.images import write_image

    paths = [str(folder / f"{width}.png") for width in range(11, 18)]
    for path, width in zip(paths, range(11, 18)):
        write_image(path, np.zeros((8, width, 3), np.uint8))
    files = JobFiles.of(str(folder / "faces.jsonl"))
    job = start_job(files, paths, {}, 3)
    counts = list(ProcessPool(Reading(files, predictor, 1 << 28), 1, timeout_s).run(job.open_parts()))
    join_parts(job)
    return counts, (folder / "faces.failures.jsonl").read_text()


def test_a_picture_that_ends_its_process_twice_becomes_a_failure(tmp_path):
    counts, failures = run(tmp_path, FragilePredictor(fatal_width=15))
    assert sorted(counts) == [(0, 3, 0, 0), (1, 2, 0, 1), (2, 1, 0, 0)]
    assert "15.png" in failures and "it ended the process that read it (exit code 7)" in failures


class DyingPredictor:
    """Ends each process that unpickles it."""

    def __reduce__(self):
        return os._exit, (9,)


class HopelessPredictor:
    """Raises an error that is no picture's fault."""

    def __call__(self, pictures: list[np.ndarray]) -> Faces:
        raise OSError(28, "No space left on device", "faces.jsonl.parts")


def test_workers_that_end_while_they_start_end_the_job(tmp_path):
    with pytest.raises(ValueError, match=r"ends while it starts \(exit code 9\); use fewer --workers .* --resume goes on"):
        run(tmp_path, DyingPredictor())


def test_the_error_of_a_worker_is_one_line(tmp_path):
    line = r"a worker stopped \(OSError: faces.jsonl.parts: No space left on device\); what is done stays, --resume goes on"
    with pytest.raises(ValueError, match=line):
        run(tmp_path, HopelessPredictor())


def test_a_picture_that_takes_too_long_becomes_a_failure(tmp_path):
    counts, failures = run(tmp_path, FragilePredictor(slow_width=12), timeout_s=3.0)
    assert sorted(counts) == [(0, 2, 0, 1), (1, 3, 0, 0), (2, 1, 0, 0)]
    assert "12.png" in failures and "more than 3 seconds" in failures
