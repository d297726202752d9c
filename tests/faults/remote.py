"""A scheduler and workers on hosts of their own, encrypted, under supervisors that start again whatever ends."""

import signal
from contextlib import suppress

from tests.faults.runs import STARTS_SECONDS, Run, Runs, wait_for
from tests.support.hosts import Host, Network

PORT = 8786


class Remote:
    """Hosts in turn: one for the drivers, one for the scheduler, and the others with a worker each.

    Attributes:
        supervised: the hosts whose workers are started again.
        arguments: of the command that shall use these workers.
    """

    def __init__(self, runs: Runs, network: Network, missing: int = 0) -> None:
        """Start them.

        Args:
            missing: how many workers a driver need not wait for.
        """
        self.runs, self.network = runs, network
        self.driver_host, self.scheduler_host, *self.worker_hosts = network.hosts
        self.address = f"tls://{self.scheduler_host.address}:{PORT}"
        self.certs = runs.folder / "certs"
        assert runs.cvtbatch("certs", self.certs, "--host", self.scheduler_host.address).end() == 0
        file = runs.folder / "cluster.yaml"
        file.write_text(
            f"kind: scheduler\naddress: {self.address}\ncerts: {self.certs}\n"
            f"min_workers: {len(self.worker_hosts) - missing}\nwait_s: {STARTS_SECONDS}\n"
        )
        self.arguments = ("--cluster", file)
        self.scheduler = self._start_scheduler()
        assert wait_for(self._listens, STARTS_SECONDS), self.scheduler.stderr
        self.supervised = tuple(self.worker_hosts)
        self.workers = [self._start_worker(host) for host in self.worker_hosts]

    def supervise(self) -> None:
        """Start again what has ended."""
        if self.scheduler.ended:
            self.scheduler = self._start_scheduler()
        for number, host in enumerate(self.worker_hosts):
            if host in self.supervised and self.workers[number].ended:
                self.workers[number] = self._start_worker(host)

    def stop(self) -> None:
        """End them, as a supervisor does."""
        for run in (*self.workers, self.scheduler):
            with suppress(ProcessLookupError):
                run.signal(signal.SIGTERM)
        for run in (*self.workers, self.scheduler):
            run.end()

    def _listens(self) -> bool:
        return (self.scheduler_host.address, PORT) in self.scheduler_host.listening()

    def _start_scheduler(self) -> Run:
        place = ("--host", self.scheduler_host.address, "--port", PORT, "--certs", self.certs)
        return self.runs.cvtbatch("scheduler", *place, "--dashboard", "127.0.0.1:0", host=self.scheduler_host)

    def _start_worker(self, host: Host) -> Run:
        return self.runs.cvtbatch("worker", self.address, "--certs", self.certs, "--no-nanny", host=host)
