"""Why a file cannot be read or written, in words, and what to do."""

import errno
import os

_MEANINGS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENOTDIR: "it or a part of its path is a file, where a folder is wanted",
    errno.EEXIST: "there is something of that name already",
    errno.EACCES: "this user has not the right to it: choose another place, or ask for the right",
    errno.EPERM: "this user has not the right to it: choose another place, or ask for the right",
    errno.EROFS: "it lies where nothing can be written: choose another place",
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "your share of the disk is full: make room",
    errno.EFBIG: "it would be larger than a file may be here: raise the limit (ulimit -f), or choose another place",
    errno.EMFILE: "this process may open no more files: raise the limit (ulimit -n)",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "its links lead in a circle",
}


def why(error: OSError) -> str:
    """Return what an error of the operating system means, without a path; the system's own words where it is a rare one."""
    if error.errno is None:
        return str(error)
    return _MEANINGS.get(error.errno) or os.strerror(error.errno)
