"""Builds source distribution and wheel, and tries the wheel as who installs it does: `make try-wheel`.

Plain pip puts it into empty environments, from whatever index pip is configured for: into one of this Python alone, from wheels,
without a compiler, and there the extra `stock` beside it, whose PyRadiomics is built; with that extra into one of the newest later
Python that is here.
Dependencies are resolved for later Pythons, which need not be here. Nothing is written into the checkout. Exit code 1 where
anything fails.
"""

import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.support.paths import ROOT

UV = ROOT / ".venv" / "uv" / "bin" / "uv"
LATER = ("3.14", "3.13", "3.12")
# That an installation without extras may take on disk, in bytes, without pip itself.
LARGEST = 1.35e9
NO_EMBEDDINGS = ("--set", "embedding.weights=none", "--workers", "0")


def run(*command: object, folder: Path, expected: int = 0, **variables: str) -> str:
    """Run a command and return what it prints.

    Args:
        folder: in which it runs.
        variables: of its environment, beside those of this process.

    Raises:
        RuntimeError: it ends with another exit code, with all that it printed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    result = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != expected:
        line = " ".join(str(word) for word in command)
        raise RuntimeError(f"exit code {result.returncode} of {line}\n{result.stdout}")
    return result.stdout


def build(folder: Path) -> Path:
    """Return a wheel that was built from the source distribution, which is what the checkout itself gives."""
    run(sys.executable, "-m", "hatchling", "build", "-d", folder / "checkout", folder=ROOT)
    [source] = (folder / "checkout").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder / "source", filter="data")
    [unpacked] = (folder / "source").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "wheel", folder=unpacked)
    [direct], [wheel] = (list((folder / name).glob("*.whl")) for name in ("checkout", "wheel"))
    if members(direct) != members(wheel):
        raise RuntimeError(f"source distribution and checkout differ: {sorted(members(direct) ^ members(wheel))}")
    return wheel


def members(wheel: Path) -> set[str]:
    """Return the names of what is in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def make_environment(python: str, folder: Path) -> Path:
    """Return the folder of commands of a new environment."""
    folder.mkdir()
    run(python, "-m", "venv", folder / "venv", folder=folder)
    return folder / "venv" / "bin"


def install(commands: Path, folder: Path, *what: str) -> None:
    """Have plain pip put a wheel into an environment."""
    run(commands / "python", "-m", "pip", "install", "--quiet", *what, folder=folder)
    run(commands / "python", "-m", "pip", "check", folder=folder)


def try_here(wheel: Path, folder: Path) -> str:
    """Try what who installs the wheel has first, and then adds the extra `stock` to; return what to say of it."""
    commands = make_environment(sys.executable, folder)
    core = try_core(commands, wheel, folder)
    return f"{core}; then {try_stock(commands, wheel, folder)}"


def try_later(python: str, wheel: Path, folder: Path) -> str:
    """Try the extra `stock` on a later Python; return what to say of it."""
    return try_stock(make_environment(python, folder), wheel, folder)


def try_core(commands: Path, wheel: Path, folder: Path) -> str:
    """Walk from a synthetic archive to features and scores in an environment without extras; return what to say of it."""
    install(commands, folder, "--only-binary", ":all:", str(wheel))
    size = size_of(next((folder / "venv" / "lib").iterdir()) / "site-packages")
    if size > LARGEST:
        raise RuntimeError(f"an installation without extras takes {size / 1e9:.2f} GB, more than {LARGEST / 1e9:g}")
    own = {"HOME": str(folder)}
    cvtbatch = commands / "cvtbatch"
    run(cvtbatch, "--help", folder=folder, **own)
    run(cvtbatch, "synth", "archive", "--cases", "2", "--seed", "1", folder=folder, **own)
    run(cvtbatch, "check", "archive/manifest.csv", folder=folder, **own)
    extract = (cvtbatch, "extract", "archive/manifest.csv", "--store", "store")
    told = run(*extract, folder=folder, expected=1, **own)
    if "pip install 'cvtbatch[embed]'" not in told or (folder / "store").exists():
        raise RuntimeError(f"without torch, extract does not say what to install before it begins:\n{told}")
    run(*extract, *NO_EMBEDDINGS, folder=folder, **own)
    run(cvtbatch, "export", "radiomics", "--store", "store", "--out", "radiomics.parquet", folder=folder, **own)
    inside = Path(__file__).with_name("inside.py")
    run(commands / "python", inside, ROOT / "tests" / "compat" / "bundle-3", folder=folder, **own)
    return f"{size / 1e9:.2f} GB on disk; features of 2 cases, and scores of a bundle as they were"


def try_stock(commands: Path, wheel: Path, folder: Path) -> str:
    """Hold the PyRadiomics that the extra brings to the reference, and a case's features to it; return what to say of it."""
    install(commands, folder, "--no-compile", f"{wheel}[stock]")
    own = {"HOME": str(folder)}
    cvtbatch = commands / "cvtbatch"
    run(cvtbatch, "synth", "audited", "--cases", "1", "--seed", "1", folder=folder, **own)
    extract = (cvtbatch, "extract", "audited/manifest.csv", "--store", "audited/store", *NO_EMBEDDINGS)
    run(*extract, "--audit", "1", folder=folder, **own)
    for name in ("golden", "support"):
        shutil.copytree(ROOT / "tests" / name, folder / "kept" / "tests" / name)
    inside = Path(__file__).with_name("stock_inside.py")
    told = run(commands / "python", inside, folder=folder, PYTHONPATH=str(folder / "kept"), **own)
    return f"{told.strip()}; an audit of one case by it is within the contract"


def size_of(folder: Path) -> int:
    """Return the bytes that a folder of packages takes on disk, without what every environment has."""
    of_venv = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
    return sum(
        file.lstat().st_blocks * 512
        for package in folder.iterdir()
        if package.name.partition("-")[0] not in of_venv
        for file in (package.rglob("*") if package.is_dir() else [package])
    )


def resolve(version: str) -> str:
    """Resolve the dependencies for a later Python on Linux; return what to say of it."""
    compile_ = (UV, "pip", "compile", "--quiet", "--python-platform", "x86_64-unknown-linux-gnu", "pyproject.toml")
    later = ("--python-version", version, "--output-file", os.devnull)
    with_wheels = [word for extra in ("cluster", "embed", "fit") for word in ("--extra", extra)]
    run(*compile_, *later, *with_wheels, "--only-binary", ":all:", folder=ROOT)
    # PyRadiomics has no wheels, nor has pyjpegls, which highdicom wants, on 3.14.
    run(*compile_, *later, "--extra", "all", folder=ROOT)
    return "all extras resolve; wheels for all but stock and pacs"


def newest_other() -> str | None:
    """Return the newest later Python that is here, on the path or through pyenv."""
    for version in LATER:
        installed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        found = str(installed[-1]) if installed else shutil.which(f"python{version}")
        if found:
            return found
    return None


def main() -> None:
    """Try everything at once, tell of each how it went and how long it took, and exit with 1 where something failed."""
    with tempfile.TemporaryDirectory(prefix="cvtbatch-try-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        trials: dict[str, Callable[[], str]] = {f"Python {version}": partial(resolve, version) for version in LATER}
        trials["core"] = partial(try_here, wheel, folder / "here")
        if python := newest_other():
            trials[f"stock, {python}"] = partial(try_later, python, wheel, folder / "later")
        else:
            print(f"Not tried, since none is here: the wheel on Python {', '.join(LATER)}.")
        with ThreadPoolExecutor() as pool:
            failed = sum(pool.map(_tell, trials, trials.values()))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} s of processor")
    sys.exit(min(failed, 1))


def _tell(name: str, trial: Callable[[], str]) -> bool:
    began = time.monotonic()
    try:
        text, failed = trial(), False
    except RuntimeError as error:
        text, failed = f"FAILED: {error}", True
    print(f"{name}: {text} ({time.monotonic() - began:.0f} s)", flush=True)
    return failed


if __name__ == "__main__":
    main()
