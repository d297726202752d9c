"""A Slurm cluster of one node for tests: munge, controller and node daemon of our own, on ports and files of our own."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue")
START_SECONDS = 60

CONFIGURATION = """\
ClusterName=cvtbatch
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs={cores} RealMemory=8000 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


@dataclass(frozen=True)
class SlurmNode:
    """A running cluster: `environment` leads Slurm's commands to it."""

    folder: Path
    environment: Mapping[str, str]

    def call(self, *command: str) -> str:
        """Run one of Slurm's commands."""
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60, env={**os.environ, **self.environment}
        ).stdout

    def jobs(self, *states: str) -> dict[str, str]:
        """Return the partition of every job in one of these states, by its id."""
        lines = self.call("squeue", "--noheader", f"--states={','.join(states)}", "--format=%i %P").splitlines()
        return dict(line.split() for line in lines)


@contextlib.contextmanager
def slurm_node(folder: Path) -> Iterator[SlurmNode]:
    """Hold a cluster of one node with the partitions cpu and gpu; skips the test where none can be started."""
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in PROGRAMS):
        pytest.skip("a Slurm cluster of one node needs root and the Debian packages slurm-wlm and munge")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    # The socket's folder must be the user's own alone.
    folder.chmod(0o755)
    configuration = folder / "slurm.conf"
    controller_port, node_port = _free_ports(2)
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            controller_port=controller_port,
            node_port=node_port,
            cores=os.cpu_count(),
        )
    )
    environment = {"SLURM_CONF": str(configuration)}
    node = SlurmNode(folder, environment)
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        log = (folder / f"{command[0]}.out").open("wb")
        with log:
            processes.append(
                subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment}, cwd=folder)
            )

    try:
        subprocess.run(["mungekey", f"--keyfile={folder}/munge.key"], check=True, timeout=30)
        files = [f"--{name}={folder}/munge.{end}" for name, end in (("socket", "sock"), ("key-file", "key"))]
        files += [
            f"--{name}={folder}/munge.{end}"
            for name, end in (("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))
        ]
        start("munged", "--foreground", "--force", *files)
        _wait_for(lambda: (folder / "munge.sock").exists(), processes, folder)
        start("slurmctld", "-D", "-c", "-f", str(configuration))
        start("slurmd", "-D", "-f", str(configuration))
        _wait_for(lambda: _is_idle(node), processes, folder)
        yield node
    finally:
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            node.call("scancel", "--user=root")
            _wait_for(lambda: not node.jobs("running", "completing", "pending"), processes, folder)
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_idle(node: SlurmNode) -> bool:
    try:
        return "idle" in node.call("sinfo", "--noheader", "--format=%T")
    except subprocess.CalledProcessError:
        return False


def _wait_for(condition: Callable[[], bool], processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        ended = [process for process in processes if process.poll() is not None]
        if ended or time.monotonic() > end:
            logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob("*.log")))
            raise AssertionError(
                f"Slurm did not get where it should; ended: {[process.args for process in ended]}\n{logs}"
            )
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
