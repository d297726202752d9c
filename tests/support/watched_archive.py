"""An archive that is watched and indexed, and all that is said of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import pydicom

from tests.support.commands import cvtbatch
from tests.support.dicomweb_server import serve_dicomweb


def watched(series: Sequence[Path], home: Path, out: Path) -> dict[str, str]:
    """Watch an archive of two series, the first of which can be extracted, until it is done, and index it.

    Args:
        series: folders of their files.
        home: for what is the user's own: spool, results and manifest.
        out: for the store and metrics.

    Returns:
        what is said, on the terminal too.
    """
    paths = [path for folder in series for path in folder.iterdir()]
    files = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path.read_bytes() for path in paths}
    texts = {}
    with serve_dicomweb(files) as server:
        to = ("--store", out / "watched", "--center", "A", "--spool", home / "spool", "--workers", 0, "--json")
        more = ("--set", "embedding.weights=none", "--metrics", out / "serve.prom", "--out", home / "results")
        for number, code in ((1, 0), (2, 3)):
            result = cvtbatch("serve", "--once", "--source", server.url, *to, *more)
            assert result.returncode == code, result.stderr
            texts[f"serve {number}"] = result.stdout + result.stderr
        ended = json.loads(result.stdout)["ended"]
        assert ended == {"done": 1, "held": 0, "failed": 1, "left_out": 0, "incomplete": 0}
        to = ("--center", "A", "--out", home / "archive.csv", "--workers", 0, "--json")
        texts["index of an archive"] = cvtbatch("index", server.url, *to, check=True).stdout
    return texts
