"""Disks and shares that fail while sources are read: a library of a few lines has the system report it, for some paths."""

import errno
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import SimpleITK as sitk

from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive, tiny_head
from tests.support.commands import cvtbatch, extract_json, reasons
from tests.support.series import write

COARSE = ("--set", "volume.spacing_mm=[2,2,5]")
# Opening, reading, looking at and listing what has a word in its path fails, as the file of orders says: word, call, error.
FAILING = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(const char *call, const char *path) {
    char text[256] = "", word[128], which[16];
    int error, file = syscall(SYS_openat, AT_FDCWD, getenv("CVTBATCH_TEST_FAULT"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (syscall(SYS_read, file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    if (sscanf(text, "%127s %15s %d", word, which, &error) != 3) return 0;
    if (strcmp(which, call) || !path || !strstr(path, word)) return 0;
    errno = error;
    return 1;
}

static int fails_reading(int file) {
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) < 0) return 0;
    return fails("read", path);
}

ssize_t read(int file, void *buffer, size_t size) {
    return fails_reading(file) ? -1 : syscall(SYS_read, file, buffer, size);
}

static int opened(const char *path, int flags, mode_t mode) {
    return fails("open", path) ? -1 : syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); \
    return opened(path, flags, mode); }
OPEN(open)
OPEN(open64)

#define STAT(name, type, flags) int name(const char *path, struct type *into) { \
    return fails("stat", path) ? -1 : syscall(SYS_newfstatat, AT_FDCWD, path, into, flags); }
STAT(stat, stat, 0)
STAT(stat64, stat64, 0)
STAT(lstat, stat, AT_SYMLINK_NOFOLLOW)
STAT(lstat64, stat64, AT_SYMLINK_NOFOLLOW)

DIR *opendir(const char *path) {
    if (fails("list", path)) return NULL;
    int file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    return file < 0 ? NULL : fdopendir(file);
}
"""
READER = """
import json, sys
from pathlib import Path
from cvtbatch.ingest import read_mask, read_volume
from cvtbatch.manifest import RoiSource
from tests.support.series import case

outcomes = {}
for order in json.loads(sys.argv[2]):
    Path(sys.argv[1]).write_text(" ".join(order[1:]))
    try:
        if order[0].startswith("mask"):
            read_mask(RoiSource("k", "hematoma", "A", 1, order[0], "m", None, None, 1), None)
        else:
            read_volume(case(Path(order[0])))
        outcomes[" ".join(order)] = "read"
    except Exception as error:
        outcomes[" ".join(order)] = getattr(error, "kind", repr(error))
print(json.dumps(outcomes))
"""


class Faults:
    """Faults that can be ordered for processes that are started with this environment."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("disks that fail need a C compiler (Debian package gcc)")
        source, library = folder / "failing.c", folder / "failing.so"
        source.write_text(FAILING)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True, timeout=60)
        self.file = folder / "orders"
        self.file.write_text("")
        self.environment = {"LD_PRELOAD": str(library), "CVTBATCH_TEST_FAULT": str(self.file)}


def sources(folder: Path) -> dict[str, Path]:
    """Write a head in every kind of source, each with a file that can fail."""
    write(folder / "series")
    with zipfile.ZipFile(folder / "packed.zip", "w") as out:
        for path in sorted((folder / "series").iterdir()):
            out.write(path, path.name)
    shutil.make_archive(str(folder / "packed"), "gztar", folder / "series")
    ct, mask = tiny_head(0)
    for name in ("ct.nii.gz", "ct.nrrd", "ct.mha"):
        sitk.WriteImage(ct, str(folder / name))
        sitk.WriteImage(mask, str(folder / f"mask_{name}"))
    return {path.name: path for path in folder.iterdir()}


def test_every_source_whose_disk_fails_is_unavailable(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    folder = tmp_path / "sources"
    folder.mkdir()
    places = sources(folder)
    calls = [("read", errno.EIO), ("open", errno.ESTALE), ("stat", errno.ETIMEDOUT), ("open", errno.EACCES)]
    orders = [(name, name, call, str(number)) for name in places if name != "series" for call, number in calls]
    orders += [("series", "0004.dcm", call, str(number)) for call, number in [*calls, ("read", errno.ECONNRESET)]]
    orders += [("series", "series", "list", str(errno.EIO)), ("series", "series", "stat", str(errno.EHOSTDOWN))]
    command = [sys.executable, "-c", READER, str(faults.file), json.dumps(orders)]
    variables = {**os.environ, **faults.environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder, timeout=200, check=False)
    assert run.returncode == 0, run.stderr
    outcomes = json.loads(run.stdout)
    assert len(outcomes) == len(orders) > 30
    assert set(outcomes.values()) == {"source_unavailable"}, {k: v for k, v in outcomes.items() if "source" not in v}


def test_what_failed_so_is_tried_again_by_the_next_run_and_what_is_damaged_is_not(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    archive, store = tmp_path / "archive", tmp_path / "store"
    tiny_archive(archive, 2)
    (archive / "ct1.nii.gz").write_bytes(b"\x1f\x8b damaged")
    extract = ("extract", archive / "manifest.csv", "--store", store, "--workers", 0, *COARSE)
    faults.file.write_text(f"ct0.nii.gz read {errno.EIO}")
    run = cvtbatch(*extract, environment=faults.environment)
    assert run.returncode == 3, run.stderr
    rows = {row["case_key"]: row for row in FeatureStore(str(store)).failures().to_pylist()}
    kinds = {key: row["kind"] for key, row in rows.items()}
    assert kinds == {"A/000": "source_unavailable", "A/001": "unreadable_file"}
    assert "(Input/output error)" in rows["A/000"]["message"]
    assert str(tmp_path) not in rows["A/000"]["message"]
    document = extract_json(archive / "manifest.csv", store, *COARSE, code=3)
    assert reasons(document)["failed before, tried again"] == 1
    assert (document["computed"], document["already_done"], document["failed"]) == (1, 0, 1)
    assert [row["kind"] for row in FeatureStore(str(store)).failures().to_pylist()] == ["unreadable_file"]
