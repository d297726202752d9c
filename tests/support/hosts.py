"""Hosts for tests: network namespaces with an address each, joined by a bridge that stands in a namespace of its own.

Nothing of the machine's own network is touched, and no packet leaves. Files are shared, as on a cluster with a common file system.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest


@dataclass(frozen=True)
class Host:
    """One namespace.

    Attributes:
        namespace: its name, for `ip netns exec`.
        address: its IPv4 address, on the interface eth0; it has its own loopback beside it.
        port: of the bridge, where its cable ends.
    """

    namespace: str
    address: str
    port: str
    started: list[subprocess.Popen[str]] = field(default_factory=list, compare=False)

    def command(self, *arguments: object) -> list[str]:
        """Return the command that runs another one on this host; its process becomes that one's."""
        return ["ip", "netns", "exec", self.namespace, *map(str, arguments)]

    def start(
        self, *arguments: object, environment: Mapping[str, str] | None = None, log: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a process on this host; it is killed with the network at the latest.

        Args:
            environment: added to this process's own.
            log: takes stdout and stderr together; without it, they are pipes.
        """
        out = subprocess.PIPE if log is None else log.open("a")
        try:
            process = subprocess.Popen(
                self.command(*arguments),
                stdout=out,
                stderr=subprocess.PIPE if log is None else subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        finally:
            if not isinstance(out, int):
                out.close()
        self.started.append(process)
        return process

    def run(
        self, *arguments: object, environment: Mapping[str, str] | None = None, timeout_s: float = 220
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            timeout=timeout_s,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """Return what runs on this host, whoever started it."""
        found = []
        for pid in _ip("netns", "pids", self.namespace).split():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return found

    def listening(self) -> list[tuple[str, int]]:
        """Return (address, port) of every TCP socket that listens on this host."""
        lines = self.run("ss", "-Hltn").stdout.splitlines()
        places = [line.split()[3].rpartition(":") for line in lines]
        return sorted((address.strip("[]"), int(port)) for address, _, port in places)


@dataclass(frozen=True)
class Network:
    """Hosts that reach one another through a bridge."""

    bridge: str
    hosts: list[Host]

    def cut(self, host: Host) -> None:
        """Swallow every packet from and to a host: nobody is told, as when a switch dies."""
        _ip("-n", self.bridge, "link", "set", host.port, "nomaster")

    def mend(self, host: Host) -> None:
        """Undo `cut`."""
        _ip("-n", self.bridge, "link", "set", host.port, "master", "bridge")


@contextlib.contextmanager
def network(count: int) -> Iterator[Network]:
    """Hold a network of hosts; skips the test where none can be made. In the end, what runs on them is killed."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the Debian package iproute2")
    # Many checkouts may test on one machine at once.
    prefix = f"cvtbatch-{uuid.uuid4().hex[:8]}"
    made = Network(f"{prefix}-bridge", [Host(f"{prefix}-{n}", f"10.77.0.{n}", f"port{n}") for n in range(1, count + 1)])
    try:
        _add(made.bridge)
        _ip("-n", made.bridge, "link", "add", "bridge", "type", "bridge")
        _ip("-n", made.bridge, "link", "set", "bridge", "up")
        for host in made.hosts:
            _add(host.namespace)
            _ip("-n", host.namespace, "link", "set", "lo", "up")
            ends = ("name", host.port, "netns", made.bridge)
            _ip("-n", host.namespace, "link", "add", "eth0", "type", "veth", "peer", *ends)
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.namespace, "link", "set", "eth0", "up")
            _ip("-n", made.bridge, "link", "set", host.port, "master", "bridge", "up")
        yield made
    finally:
        for host in made.hosts:
            _kill(host)
        for namespace in (*(host.namespace for host in made.hosts), made.bridge):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


def _add(namespace: str) -> None:
    done = subprocess.run(["ip", "netns", "add", namespace], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"network namespaces cannot be made here: {done.stderr.strip()}")


def _kill(host: Host) -> None:
    for process in host.started:
        process.kill()
        process.wait(30)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    # What those left behind; while one is being killed, it may still start another.
    with contextlib.suppress(subprocess.CalledProcessError):
        while alive := [process for process in host.processes() if _is_alive(process)]:
            for process in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            psutil.wait_procs(alive, timeout=5)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True, timeout=30).stdout
