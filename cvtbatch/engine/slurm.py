"""Jobs of Slurm as workers: submitted, watched and replaced, under a scheduler in this process.

A run has CPU and GPU jobs side by side, wants all of them for as long as it lasts, and must notice jobs that can never work.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dask
from distributed import Client, Scheduler, SpecCluster

from cvtbatch.engine import slurm_commands
from cvtbatch.engine.certificates import make_certificates
from cvtbatch.engine.cluster_file import GIGABYTE, Partition, SlurmJobs
from cvtbatch.engine.encryption import security_of
from cvtbatch.engine.job_script import job_script
from cvtbatch.engine.processes import defer_interrupts, open_scratch, silence_dask
from cvtbatch.engine.settings import DASK_SETTINGS
from cvtbatch.errors import CvtbatchError, InputError, ResourceError
from cvtbatch.file_errors import why

# How often workers are looked for, and how often Slurm is asked about jobs.
POLL_WORKERS_SECONDS = 1.0
POLL_SLURM_SECONDS = 10.0
# Jobs of one group that end, one after the other, before a worker of theirs came up: then they never will.
FAILED_STARTS = 3
# A run lasts as long as it does: its certificates are gone with it.
CERTIFICATE_DAYS = 365
LOG_LINES = 15
# Of a job that has ended, for good.
_ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)


@dataclass
class _Job:
    """A job that was submitted.

    Attributes:
        name: of its worker, and of the file that has its output.
        job_id: Slurm's.
        started: whether its worker has come up.
    """

    name: str
    job_id: str
    started: bool = False


@dataclass
class _JobGroup:
    """Jobs of one partition.

    Attributes:
        failed_starts: how many have ended in a row without a worker.
    """

    name: str
    partition: Partition
    gpu: bool
    jobs: list[_Job] = field(default_factory=list)
    failed_starts: int = 0
    submitted: int = 0


@contextmanager
def start_jobs(config: SlurmJobs, on_notice: Callable[[str], None]) -> Iterator[tuple[Client, str]]:
    """Hold jobs whose workers belong to a scheduler in this process, a client of it, and the link of its dashboard.

    Waits for the first worker, and gives notice of that.

    Raises:
        InputError: certificates cannot be used, or the shared folder cannot be written.
        ResourceError: Slurm is not here, refuses a job, or jobs end again and again before a worker comes up.
    """
    try:
        config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(
            "no_folder", f"the shared folder of the cluster file cannot be made: {why(error)}", str(config.folder)
        ) from None
    silence_dask()
    with open_scratch(config.folder) as folder, dask.config.set(DASK_SETTINGS | {"temporary-directory": str(folder)}):
        certs = config.certs
        if certs is None:
            certs = folder / "certs"
            make_certificates(certs, days=CERTIFICATE_DAYS)
        security = security_of(certs)
        options = {"protocol": "tls://", "security": security, "dashboard_address": "127.0.0.1:0"}
        if config.interface is not None:
            options["interface"] = config.interface
        with ExitStack() as stack:
            # An interrupt that was held back comes at the end of this block: by then, all that it must end is on the stack.
            with defer_interrupts():
                try:
                    cluster = stack.enter_context(
                        SpecCluster(
                            scheduler={"cls": Scheduler, "options": options},
                            security=security,
                            silence_logs=logging.CRITICAL,
                            name="cvtbatch",
                        )
                    )
                except (OSError, RuntimeError, ValueError) as error:
                    raise ResourceError(
                        "no_scheduler",
                        "no scheduler could be started on the interface of the cluster file",
                        str(error),
                    ) from None
                client = stack.enter_context(Client(cluster, set_as_default=False))
                assert isinstance(cluster.scheduler, Scheduler)
                jobs = _Jobs(config, cluster.scheduler, certs, folder)
                stack.callback(cluster.sync, jobs.stop)
            try:
                cluster.sync(jobs.start)
                on_notice(
                    f"{sum(len(group.jobs) for group in jobs.groups)} jobs are with Slurm: waiting for the first to run"
                )
                jobs.wait_for_first()
                yield client, f"http://127.0.0.1:{cluster.scheduler.services['dashboard'].port}/status"
            except ResourceError:
                # Jobs that never work end the scheduler, which is noticed as its loss: raise the cause.
                if jobs.failure is not None:
                    raise jobs.failure from None
                raise


class _Jobs:
    """Keeps as many jobs as were asked for; lives on the scheduler's event loop."""

    def __init__(self, config: SlurmJobs, scheduler: Scheduler, certs: Path, folder: Path) -> None:
        self.config, self.scheduler, self.certs, self.folder = config, scheduler, certs, folder
        # Tells this run's jobs from all others, and is what the run's folder is called.
        self.name = folder.name
        self.groups = [_JobGroup("cpu", config.cpu, gpu=False)]
        if config.gpu is not None:
            self.groups.append(_JobGroup("gpu", config.gpu, gpu=True))
        self.failure: CvtbatchError | None = None
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Submit all jobs, and watch them from now on.

        Raises:
            ResourceError: Slurm is not here or refuses a job.
        """
        for group in self.groups:
            await self._submit_missing(group)
        self.task = asyncio.create_task(self._watch())

    def wait_for_first(self) -> None:
        """Wait, in another thread than the event loop's, until a worker is there: jobs may have to queue for hours.

        Raises:
            CvtbatchError: jobs end again and again before a worker comes up.
        """
        while not self.scheduler.workers:
            if self.failure is not None:
                raise self.failure
            time.sleep(POLL_WORKERS_SECONDS / 5)

    async def stop(self) -> None:
        """Cancel every job of this run."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
        with suppress(ResourceError):
            await slurm_commands.cancel(self.name)

    async def _watch(self) -> None:
        asked = time.monotonic()
        while self.failure is None:
            await asyncio.sleep(POLL_WORKERS_SECONDS)
            names = {str(worker.name) for worker in self.scheduler.workers.values()}
            for group in self.groups:
                for job in group.jobs:
                    if job.name in names and not job.started:
                        job.started, group.failed_starts = True, 0
            if time.monotonic() - asked < POLL_SLURM_SECONDS:
                continue
            asked = time.monotonic()
            try:
                states = await slurm_commands.states(self.name)
                for group in self.groups:
                    self._drop_ended(group, states, names)
                    await self._submit_missing(group)
            except CvtbatchError as error:
                if not self.scheduler.workers:
                    self.failure = error
                # Else Slurm's controller may be away for a while: workers go on, and it is asked again.
        await self.scheduler.close(reason="no job works")

    def _drop_ended(self, group: _JobGroup, states: dict[str, str], names: set[str]) -> None:
        ended = [job for job in group.jobs if states.get(job.job_id, "COMPLETED") in _ENDED]
        group.jobs = [job for job in group.jobs if job not in ended]
        group.failed_starts += sum(not job.started for job in ended)
        if group.failed_starts >= FAILED_STARTS and not any(job.name in names for job in group.jobs):
            self.failure = ResourceError(
                "jobs_fail",
                f"{group.failed_starts} {group.name} jobs in a row ended without a worker: mend the cluster file; "
                "the last one said",
                self._output(ended[-1]),
            )

    async def _submit_missing(self, group: _JobGroup) -> None:
        missing = group.partition.workers - len(group.jobs)
        if self.failure is not None or missing <= 0:
            return
        results = await asyncio.gather(*(self._submit(group) for _ in range(missing)), return_exceptions=True)
        group.jobs.extend(result for result in results if isinstance(result, _Job))
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _submit(self, group: _JobGroup) -> _Job:
        name = f"{self.name}-{group.name}-{group.submitted}"
        group.submitted += 1
        python = self.config.python or sys.executable
        scheduler = self.scheduler.contact_address or self.scheduler.address
        command = [python, "-P", "-m", "cvtbatch", "worker", scheduler, "--certs", str(self.certs), "--name", name]
        command += ["--memory-gb", f"{group.partition.memory_bytes / GIGABYTE:g}", *(["--gpu"] if group.gpu else [])]
        script = job_script(group.partition, self.name, self._output_file(name), command)
        try:
            return _Job(name, await slurm_commands.submit(script))
        except ResourceError as error:
            raise ResourceError(
                "job_refused",
                f"Slurm takes no {group.name} job: mend the cluster file, or ask again later",
                error.private,
            ) from None

    def _output_file(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _output(self, job: _Job) -> str:
        """Return the last lines that a job wrote; it may have written none."""
        with suppress(OSError):
            lines = self._output_file(job.name).read_text(errors="replace").splitlines()
            return os.linesep.join(lines[-LOG_LINES:])
        return "no output"
