"""Read the parts of a job on Ray Data: on this machine, or on a cluster.

A row of the data set is a part: its number and the paths of its pictures. An actor reads them itself, so the bytes of photos never
enter Ray's object store; only numbers of rows come back. The files of a part have fixed names, so a part that Ray runs again after the
death of an actor or a node replaces them. Ray Data decides when an actor gets its next part.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from mfn.batch.engines.processes import ProcessPool
from mfn.batch.engines.worker import PartReader, Reading
from mfn.batch.tables import storage
from mfn.batch.tables.job import JobFiles, Part, PartCount

_ATTEMPTS = 3  # of a part; after so many its pictures are read in a process of their own, because one of them may end it


class PartActor:
    """A Ray actor that reads parts."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._reader = PartReader(reading)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Read the part of one row and return its numbers of rows."""
        part = Part(int(row["number"]), tuple(json.loads(str(row["paths"]))))
        if _attempt(self._reading.files, part.number) <= _ATTEMPTS:
            count = self._reader.read(part)
        else:
            count = next(ProcessPool(self._reading, 1).run([part]))
        storage.remove(_attempt_file(self._reading.files, part.number))
        return dict(count._asdict())


def run_on_ray(reading: Reading, parts: Sequence[Part], workers: int, address: str, gpus_a_worker: float = 0.0) -> Iterator[PartCount]:
    """Read parts and yield what each has, in the order in which they are finished.

    Args:
        reading: How pictures are read.
        parts: The parts.
        workers: Largest number of actors; each takes one core. 0: as many as the cluster has cores, or GPUs.
        address: Address of a cluster, "auto" for the one that this machine belongs to, or "" to start Ray on this machine.
        gpus_a_worker: GPUs that an actor takes: 0, 1 or a share.

    Raises:
        ImportError: Ray is missing.
        ValueError: There is no cluster at the address, or an actor cannot run.
    """
    ray = _connect(workers, address)
    resources = ray.cluster_resources()
    available = int(resources.get("GPU", 0) / gpus_a_worker) if gpus_a_worker else int(resources.get("CPU", 1))
    actors = max(1, min(workers or available, available, len(parts)))
    items = [{"number": part.number, "paths": json.dumps(part.paths)} for part in parts]
    try:
        rows = ray.data.from_items(items, override_num_blocks=len(items)).map(
            PartActor,
            fn_constructor_args=(reading,),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpus_a_worker or None,
        )
        for row in rows.iter_rows():  # Ray restarts actors that die and runs their parts again, without limit
            yield PartCount(*(int(row[name]) for name in PartCount._fields))
    except ray.exceptions.RayError as error:  # for example, an actor has no such device
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1:]
        raise ValueError(f"Ray ended the job ({' '.join(reason)[:200]}); what is done stays, --resume goes on") from None
    finally:
        ray.shutdown()


def _connect(workers: int, address: str) -> Any:
    """Import Ray and connect to a cluster, or start Ray here; return the module."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise ImportError('this needs Ray: pip install ".[batch]"; or use --engine processes') from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it describes each plan and each actor pool, even to the console
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    if address:
        options = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    elif workers:
        options["num_cpus"] = workers
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises plain Exception where a node does not start
        raise ValueError(f"--address {address or '(this machine)'}: Ray did not start ({' '.join(str(error).split())[:160]})") from None
    return ray


def _attempt_file(files: JobFiles, number: int) -> str:
    return storage.join(files.state, f"attempts-{number:06d}.txt")


def _attempt(files: JobFiles, number: int) -> int:
    """Count a beginning of this part, and return how many there were since it was last finished."""
    path = _attempt_file(files, number)
    attempt = int(storage.read_whole(path) or b"0") + 1
    storage.write_whole(path, str(attempt).encode())
    return attempt
