"""JPEG and JPEG-LS frames, decoded by gdcm in a process of its own, which a damaged frame may end."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from pydicom.uid import JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from cvtbatch.errors import InputError
from cvtbatch.ingest import jpeg_process

# What gdcm decodes: JPEG, and JPEG-LS where pyjpegls is not, which is twice as fast and has no wheel for Python 3.14.
BY_GDCM = frozenset({*JPEGTransferSyntaxes, *(() if find_spec("jpeg_ls") else JPEGLSTransferSyntaxes)})


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """How a frame is stored, as the header says; 8 or 16 bits are allocated to a pixel."""

    transfer_syntax: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool


class JpegDecoder:
    """A context within which JPEG frames are decoded; the process starts with the first frame."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def decode(self, frame: bytes, pixels: FrameFormat) -> npt.NDArray[np.unsignedinteger]:
        """Return a frame (rows, columns), each pixel as the bits in which it lies.

        Raises:
            InputError: gdcm cannot decode it.
        """
        head = jpeg_process.REQUEST.pack(
            pixels.transfer_syntax.encode(),
            pixels.columns,
            pixels.rows,
            pixels.bits_allocated,
            pixels.bits_stored,
            int(pixels.signed),
            len(frame),
        )
        try:
            values = self._exchange(head + frame)
        except OSError as error:
            raise InputError("unreadable_pixels", "a JPEG frame is damaged: its decoder died", str(error)) from None
        if len(values) != pixels.bits_allocated // 8 * pixels.rows * pixels.columns:
            raise InputError("unreadable_pixels", "a JPEG frame is damaged: its decoder gave up")
        stored = np.frombuffer(values, dtype=f"<u{pixels.bits_allocated // 8}")
        return stored.astype(stored.dtype.newbyteorder("="), copy=False).reshape(pixels.rows, pixels.columns)

    def _exchange(self, request: bytes) -> bytes:
        if self._process is None:
            # Isolated: neither the environment nor the folder in which cvtbatch runs decides what is imported.
            command = [sys.executable, "-I", str(Path(jpeg_process.__file__))]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError("the decoder has no pipes")
        stdin.write(request)
        stdin.flush()
        head = stdout.read(jpeg_process.REPLY.size)
        if len(head) < jpeg_process.REPLY.size:
            raise OSError(f"the decoder ended with {self._process.wait()}")
        return stdout.read(jpeg_process.REPLY.unpack(head)[0])
