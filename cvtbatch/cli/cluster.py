"""Commands that make up a cluster by hand: certificates, a scheduler, workers."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from cvtbatch.cli.display import say
from cvtbatch.cli.options import json_option
from cvtbatch.cli.streams import go_on_unread
from cvtbatch.cli.values import Number, WholeNumber
from cvtbatch.extras import require

certs_option = click.option(
    "--certs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder made by `cvtbatch certs`; whatever leaves the machine is encrypted with it.",
)


@click.command(short_help="Make the certificates of a cluster.")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--host", "hosts", multiple=True, metavar="NAME_OR_IP", help="Stands in the certificate; repeatable.")
@click.option("--days", type=WholeNumber(1, 3650), default=365, show_default=True, help="How long they are valid.")
@click.option(
    "--ca",
    "authority",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Make a further node certificate, signed by the authority of an earlier folder.",
)
@json_option
def certs(out: Path, hosts: Sequence[str], days: int, authority: Path | None, as_json: bool) -> None:
    """Make an authority and a node certificate in the folder OUT: ca.pem, ca-key.pem, node.pem, node-key.pem.

    Every node, and the machine that runs commands, needs ca.pem, node.pem and node-key.pem; one node certificate may serve them
    all, since Dask checks who signed a certificate and not the host that shows it. Keep ca-key.pem elsewhere. Whoever holds
    node-key.pem can run code on the cluster.

    \b
    Examples:
      cvtbatch certs certs --host head.example --host 10.0.0.5
      cvtbatch certs certs-2027 --ca certs
    """
    require("certificates need", "cryptography")
    from cvtbatch.engine.certificates import make_certificates

    end = make_certificates(out, hosts, days, authority)
    if as_json:
        click.echo(json.dumps({"command": "certs", "folder": str(out), "valid_until": f"{end:%Y-%m-%d}"}, indent=2))
        return
    say(f"certificates in {out}, valid until {end:%Y-%m-%d}")


@click.command(short_help="Run a scheduler until Ctrl-C.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Name or address to listen at; 0.0.0.0 for all.")
@click.option("--port", type=WholeNumber(0, 65535), default=8786, show_default=True, help="0 takes a free one.")
@certs_option
@click.option(
    "--dashboard",
    default="127.0.0.1:8787",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the dashboard listens; it has no password, and shows no more than keys and times.",
)
@click.pass_context
def scheduler(ctx: click.Context, host: str, port: int, certs: Path | None, dashboard: str) -> None:
    """Run a scheduler until Ctrl-C or SIGTERM.

    Beyond loopback it demands certificates, of itself and of everybody who connects.

    \b
    Examples:
      cvtbatch scheduler
      cvtbatch scheduler --host 0.0.0.0 --certs certs
    """
    from cvtbatch.engine.serving import run_scheduler

    go_on_unread()
    ctx.exit(run_scheduler(host, port, certs, dashboard, say))


@click.command(short_help="Run a worker until Ctrl-C.")
@click.argument("address")
@certs_option
@click.option("--gpu", is_flag=True, help="Advertise the GPU that it sees (CUDA_VISIBLE_DEVICES): embeddings go to it.")
@click.option(
    "--memory-gb",
    type=Number(0, min_open=True),
    help="Memory that it may take, 10^9 bytes.  [default: the machine's, shared by its cores]",
)
@click.option(
    "--nanny/--no-nanny",
    default=True,
    show_default=True,
    help="Start it anew when it dies or takes too much memory; --no-nanny where containers or systemd do so.",
)
@click.option("--name", help="That the scheduler knows it by.  [default: its address]")
def worker(
    address: str,
    certs: Path | None,
    gpu: bool,
    memory_gb: float | None,
    nanny: bool,
    name: str | None,
) -> None:
    """Run a worker of the scheduler at ADDRESS, with one thread, until Ctrl-C or SIGTERM (exit code 0).

    It ends with exit code 1 when it has lost its scheduler: whoever supervises it starts it again.

    \b
    Examples:
      cvtbatch worker 127.0.0.1:8786
      cvtbatch worker tls://10.0.0.5:8786 --certs certs --memory-gb 6
      CUDA_VISIBLE_DEVICES=0 cvtbatch worker tls://10.0.0.5:8786 --certs certs --gpu
    """
    from cvtbatch.engine.cluster_file import GIGABYTE
    from cvtbatch.engine.serving import run_worker

    go_on_unread()
    memory_bytes = None if memory_gb is None else int(memory_gb * GIGABYTE)
    run_worker(address, certs, gpu=gpu, memory_bytes=memory_bytes, nanny=nanny, name=name, on_notice=say)
