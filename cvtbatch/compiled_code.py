"""Compiled loops, kept on disk for a user, a version and a processor, so that no process compiles what another one has.

Numba keeps code beside the sources, where that can be written, and else compiles in every process; where two processes keep code of
one loop for two types at the same time, it may take the one for the other (its index and its data are written one after the other).
Here a folder of the user's own holds the code, named by all that it depends on, so that none is ever out of date; one process
compiles a loop, and others that call it wait, and load it. An installation may carry code beside the package, as container images
do (`python -m cvtbatch.pipelines.shared.compile_ahead --into-package`): it is copied where the user has none yet.
"""

import fcntl
import functools
import gc
import hashlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, cast

import cvtbatch

PACKAGE = Path(__file__).parent
CARRIED = PACKAGE / "compiled"
"""Where an installation carries code."""
SOURCES = (
    "dlrn/kernels.py",
    "imaging/distances.py",
    "imaging/operators.py",
    "imaging/parts.py",
    "imaging/quality.py",
    "radiomics/bspline.py",
    "radiomics/discretisation.py",
    "radiomics/firstorder.py",
    "radiomics/gaussian.py",
    "radiomics/glcm.py",
    "radiomics/glrlm_glszm_gldm.py",
    "radiomics/lbp.py",
    "radiomics/normalisation.py",
    "radiomics/prefilter.py",
    "radiomics/shape.py",
    "radiomics/shape_2d.py",
    "radiomics/texture_grid.py",
    "radiomics/texture_matrices.py",
    "radiomics/wavelets.py",
)
"""Modules with compiled loops."""
_WRITTEN_INTO_LOOPS = ("compiled_arrays.py", "compiled_code.py")
CASE_LOOPS = 36
"""How many loops, each for the types that it is called with, the study's features of a case take at most."""
_OF_CASES = ("imaging_", "radiomics_")
_LOCKS = "locks"
# What of a processor decides which instructions it has, as /proc/cpuinfo calls it.
_PROCESSOR = {"vendor_id", "cpu family", "model", "flags", "CPU implementer", "CPU part", "Features"}
# Before Python looks for objects that nothing holds; 700 by default.
_NEW_OBJECTS = 50_000
# What would be compiled beside each loop, and nobody needs: a way for C code to call it, and a check of every divisor. What is
# divided by 0 is inf or NaN, as in NumPy.
_OPTIONS: dict[str, Any] = {"no_cfunc_wrapper": True, "error_model": "numpy"}
_settings_lock = threading.Lock()
_compile_lock = threading.RLock()
_held: set[Path] = set()
_not_kept: str | None = None
_on_compiled: Callable[[], None] | None = None
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Decorate a loop: it is compiled when it is first called with arguments of some types, unless its code is kept."""
    return _compiled(function, nogil=False)


def compiled_nogil(function: Function) -> Function:
    """Decorate a loop as `compiled` does, that runs beside other threads."""
    return _compiled(function, nogil=True)


def _compiled(function: Function, nogil: bool) -> Function:
    import numba

    folder, settings = cache_folder(), cast(Any, numba.config)
    if folder is None:
        return cast(Function, numba.njit(nogil=nogil, **_OPTIONS)(function))
    # Numba asks for its folder when a loop is decorated; other code in this process keeps its own.
    with _settings_lock:
        before = settings.CACHE_DIR
        settings.CACHE_DIR = str(folder)
        try:
            dispatcher: Any = numba.njit(cache=True, nogil=nogil, **_OPTIONS)(function)
        finally:
            settings.CACHE_DIR = before
    _go_on_without(dispatcher._cache)
    compile_for = dispatcher.compile
    lock = folder / _LOCKS / f"{function.__module__}.{function.__qualname__}"

    def compile_alone(signature: Any) -> Any:
        with _alone(lock) as waited, _looking_first(dispatcher.targetctx):
            misses = dispatcher.stats.cache_misses.total()
            found = compile_for(signature)
            if _on_compiled is not None and (waited or dispatcher.stats.cache_misses.total() > misses):
                _on_compiled()
            return found

    dispatcher.compile = compile_alone
    return cast(Function, dispatcher)


def _go_on_without(cache: Any) -> None:
    """Have a loop compiled whose code cannot be read, and used though its code cannot be kept, as on a disk that is full."""
    save, load = cache.save_overload, cache.load_overload

    def save_if_possible(signature: Any, code: Any) -> None:
        global _not_kept
        try:
            save(signature, code)
        except OSError as error:
            _not_kept = f"{cache_folder()}: {error.strerror or error}"

    def load_if_whole(signature: Any, context: Any) -> Any:
        try:
            return load(signature, context)
        except MemoryError:
            raise
        # A file that was cut off when a machine stopped: there is no knowing what its remains raise.
        except Exception:
            with suppress(OSError):
                cache.flush()
            return None

    cache.save_overload, cache.load_overload = save_if_possible, load_if_whole


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Hold off other processes that compile a loop, or load it; yields whether one was waited for.

    A loop compiles those that it calls while it is held, and none of them calls it: nobody waits for one who waits for him.
    """
    with _compile_lock:
        if lock in _held:
            yield False
            return
        file, waited = _open(lock), False
        try:
            if file is not None and _lock(file, fcntl.LOCK_NB) is None:
                waited = _lock(file) is not None
            _held.add(lock)
            yield waited
        finally:
            _held.discard(lock)
            if file is not None:
                # A process that was forked meanwhile has the file open as well.
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)
                os.close(file)


def _open(lock: Path) -> int | None:
    """Open a file to lock; None where it cannot be made."""
    try:
        return os.open(lock, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError:
        return None


def _lock(file: int, at_once: int = 0) -> bool | None:
    """Lock an open file, and say whether it is locked; None if others hold it, and False on a file system without locks.

    There two processes may compile the same.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | at_once)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def claim(name: str) -> int | None:
    """Take what is called so, for this process and the children that it gives the open file returned; None where it is taken.

    It is theirs until the last of them has closed the file, or ended. Where no code can be kept, or no file locked, nothing can be
    taken.
    """
    folder = cache_folder()
    file = _open(folder / _LOCKS / name) if folder is not None else None
    if file is None or _lock(file, fcntl.LOCK_NB):
        return file
    os.close(file)
    return None


@contextmanager
def _looking_first(context: Any) -> Iterator[None]:
    """Have Numba look for kept code before it loads all that compiling takes, half a second of each process.

    It refreshes its context when it looks, and again when it compiles: the first time is left out. While it compiles, Python
    looks less often for objects that nothing holds, which takes a sixth of the time otherwise.
    """
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.runtime.nrt import rtsys

    def refresh_next_time() -> None:
        del context.refresh
        gc.set_threshold(_NEW_OBJECTS)

    with cast(Any, global_compiler_lock):
        # What code that is loaded calls to have memory.
        rtsys.initialize(context)
        before = gc.get_threshold()
        context.refresh = refresh_next_time
        try:
            yield
        finally:
            vars(context).pop("refresh", None)
            gc.set_threshold(*before)


@functools.cache
def cache_folder() -> Path | None:
    """Return the folder of this user's compiled code, which is there then; None where none can be kept."""
    return next((folder for folder in _candidates() if _holds_code(folder)), None)


def tell_compiled(listener: Callable[[], None] | None) -> None:
    """Have a listener called after each loop that this process compiles, or waits for while another one does; None for nobody."""
    global _on_compiled
    _on_compiled = listener


def why_not_kept() -> str | None:
    """Return why this process could not keep a loop that it compiled, with the folder; None where it could."""
    return _not_kept


def kept_loops() -> int:
    """Return how many loops of cases are kept for this user, version and processor."""
    folder = cache_folder()
    return 0 if folder is None else sum(path.parent.name.startswith(_OF_CASES) for path in folder.rglob("*.nbc"))


def is_cold() -> bool:
    """Say whether nothing is compiled yet for this user, version and processor."""
    folder = cache_folder()
    return folder is None or next(folder.rglob("*.nbi"), None) is None


def _candidates() -> Iterator[Path]:
    key = _key()
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(named) / key
    with suppress(RuntimeError):
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cvtbatch" / "compiled" / key
    with suppress(OSError):
        yield Path(tempfile.gettempdir()) / f"cvtbatch-compiled-{os.getuid()}" / key


def _holds_code(folder: Path) -> bool:
    """Make a folder of the user's own, with what the installation carries, and say whether it can be written.

    Code is run as it is found: nobody else may be able to put it there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not folder.exists():
            _copy_carried(folder)
        folder.mkdir(exist_ok=True, mode=0o700)
        for place in (folder, folder.parent):
            state = place.stat()
            if state.st_uid != os.getuid() or state.st_mode & 0o002:
                return False
        (folder / _LOCKS).mkdir(exist_ok=True)
        (folder / _LOCKS / "touched").touch()
    except OSError:
        return False
    return True


def _copy_carried(folder: Path) -> None:
    carried = CARRIED / folder.name
    if not carried.is_dir() or carried == folder:
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        # Of two processes one is first; and what cannot be copied is compiled.
        with suppress(OSError):
            own = shutil.ignore_patterns(_LOCKS)
            shutil.copytree(carried, aside, dirs_exist_ok=True, copy_function=shutil.copyfile, ignore=own)
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _key() -> str:
    """Return the name of a folder of code: versions, and a hash of these, of what loops are compiled of and of the processor."""
    versions = [cvtbatch.__version__, *(metadata.version(name) for name in ("numba", "llvmlite", "numpy"))]
    told = [os.environ.get(name, "") for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT")]
    parts = [*versions, sys.implementation.cache_tag or "", *told, _processor()]
    found = hashlib.sha256("\n".join(parts).encode())
    for name in (*SOURCES, *_WRITTEN_INTO_LOOPS):
        found.update((PACKAGE / name).read_bytes())
    return f"{cvtbatch.__version__}-numba{versions[1]}-{found.hexdigest()[:16]}"


def _processor() -> str:
    """Return what is known of this machine's processor."""
    described = [os.uname().machine]
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in _PROCESSOR:
                described.append(value.strip())
            if not line.strip():
                break
    return "\n".join(described)
