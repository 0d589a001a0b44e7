"""Run a job of `mfn batch` from its list of pictures to its tables."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mfn.batch.attributes.thresholds import FILE as THRESHOLDS
from mfn.batch.engines.processes import TIMEOUT_S, ProcessPool
from mfn.batch.engines.worker import Reading
from mfn.batch.tables.job import (
    Job,
    JobFiles,
    Part,
    PartCount,
    has_job,
    join_parts,
    only_run,
    part_size,
    remove_joined_parts,
    remove_leftovers,
    require_free,
    resume_job,
    start_job,
)
from retarget.io.files import file_digest
from retarget.io.image_decoder import MAX_PIXELS

if TYPE_CHECKING:
    from mfn.inference.predictor import Predictor

Engine = Literal["processes", "ray"]


@dataclass(frozen=True)
class BatchOptions:
    """How a job runs.

    Attributes:
        engine: "processes" of this machine, or "ray".
        workers: Number of processes or actors; 0: one for each core.
        resume: Go on with a job that was begun.
        retry_failed: With `resume`, also read the parts with failures again.
        part_pictures: Pictures of a part; 0: chosen by the number of pictures, at most 256.
        max_pixels: Larger pictures become failures.
        timeout_s: Longest time for one picture; processes only.
        address: Address of a Ray cluster, or "".
        gpus_a_worker: GPUs of a Ray actor.
        batch: Pictures in one call of the network.
        device: Device of the workers; None: that of the predictor.
    """

    engine: Engine = "processes"
    workers: int = 0
    resume: bool = False
    retry_failed: bool = False
    part_pictures: int = 0
    max_pixels: int = MAX_PIXELS
    timeout_s: float = TIMEOUT_S
    address: str = ""
    gpus_a_worker: float = 0.0
    batch: int = 1
    device: str | None = None


@dataclass
class Progress:
    """How far a job is: pictures done, by this run and by earlier ones, and all."""

    done: int
    total: int
    before: int
    started: float

    def rate(self) -> float:
        """Return the pictures that this run has read in a second."""
        return (self.done - self.before) / max(time.monotonic() - self.started, 1e-9)

    def one_more(self) -> Progress:
        """Count a picture that was begun, and return this object."""
        self.done = min(self.done + 1, self.total)
        return self


@dataclass(frozen=True)
class Summary:
    """What a run did: rows of each table that it wrote, pictures that were done before, and seconds."""

    pictures: int
    faces: int
    failures: int
    before: int
    seconds: float


def run_batch(
    predictor: Predictor,
    paths: Sequence[str],
    out: str,
    options: BatchOptions,
    on_progress: Callable[[Progress], object] = lambda progress: None,
) -> Summary:
    """Find the faces of many pictures and write the tables.

    Args:
        predictor: Detects the faces, with one thread.
        paths: Paths and URLs of the pictures.
        out: The table of faces: a name that ends in .parquet, .csv or .jsonl.
        options: How the job runs.
        on_progress: Called often, for a progress bar.

    Raises:
        ValueError: The output exists, another run writes to it, or it was begun with other options.
        ImportError: A package is missing.
    """
    files = JobFiles.of(out)
    remove_joined_parts(files)
    if options.resume and files.form != "parquet" and os.path.exists(files.final("faces")) and not os.path.isdir(files.state):
        raise ValueError(f"{files.out}: this job is finished; choose another name to read more pictures")
    if not has_job(files):
        require_free(files)  # before the lock makes a folder
    started = time.monotonic()
    with only_run(files):
        job = _open_job(files, predictor, paths, options)
        remove_leftovers(files)
        parts = job.open_parts(options.retry_failed)
        counts = list(_run(job, parts, predictor, options, on_progress))
        join_parts(job)
    before = sum(map(len, job.inputs)) - sum(len(part.paths) for part in parts)
    return Summary(
        pictures=sum(count.pictures for count in counts),
        faces=sum(count.faces for count in counts),
        failures=sum(count.failures for count in counts),
        before=before,
        seconds=time.monotonic() - started,
    )


def _open_job(files: JobFiles, predictor: Predictor, paths: Sequence[str], options: BatchOptions) -> Job:
    """Resume the job, or start it if there is none or if that is not wanted."""
    depends_on = {"network": predictor.fingerprint(), "thresholds": file_digest(THRESHOLDS), "max_pixels": options.max_pixels}
    job = resume_job(files, paths, depends_on) if options.resume else None
    if job is not None:
        return job
    return start_job(files, paths, depends_on, part_size(len(paths), _workers(options), options.part_pictures))


def _run(
    job: Job, parts: Sequence[Part], predictor: Predictor, options: BatchOptions, on_progress: Callable[[Progress], object]
) -> Iterator[PartCount]:
    """Read the open parts and report progress."""
    total = sum(map(len, job.inputs))
    before = total - sum(len(part.paths) for part in parts)
    progress = Progress(before, total, before, time.monotonic())
    if not parts:
        return
    sizes = {part.number: len(part.paths) for part in parts}
    reading = Reading(job.files, predictor, options.max_pixels, options.batch, options.device)
    if options.engine == "ray":
        from mfn.batch.engines.ray_data import run_on_ray

        counts = run_on_ray(reading, parts, options.workers, options.address, options.gpus_a_worker)
    else:
        counts = ProcessPool(reading, _workers(options), options.timeout_s, lambda: on_progress(progress.one_more())).run(parts)
    on_progress(progress)
    finished = before
    for count in counts:
        finished += sizes[count.number]
        progress.done = max(progress.done, finished)
        on_progress(progress)
        yield count


def _workers(options: BatchOptions) -> int:
    """Return the number of processes: what the user wants, or one for each core that this process may use."""
    if options.workers:
        return options.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
