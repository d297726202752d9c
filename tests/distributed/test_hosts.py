"""The hosts that other tests rely on: they reach one another, a cut is silent, and nothing of them is left."""

import subprocess
import sys

from tests.support.hosts import network

LISTEN = (
    "import socket\ns = socket.create_server(('0.0.0.0', 5000))\nprint('ready', flush=True)\n"
    "while True: s.accept()[0].sendall(b'hello')"
)
ASK = "import socket, sys\nprint(socket.create_connection((sys.argv[1], 5000), 2).recv(9))"


def test_hosts_reach_one_another_unless_cut_off_and_leave_nothing() -> None:
    with network(2) as made:
        server, client = made.hosts

        def answer() -> str:
            return client.run(sys.executable, "-c", ASK, server.address).stdout

        process = server.start(sys.executable, "-c", LISTEN)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert server.listening() == [("0.0.0.0", 5000)]
        assert client.listening() == []
        assert answer() == "b'hello'\n"
        made.cut(server)
        assert answer() == ""
        made.mend(server)
        assert answer() == "b'hello'\n"
        names = [made.bridge, *(host.namespace for host in made.hosts)]
    assert process.returncode == -9
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert not any(name in listed for name in names)
