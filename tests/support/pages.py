"""Code blocks of a Markdown page, and how they are run: in order, in the working folder, as somebody would who follows the page.

    ```console    commands after `$ `, below each what it prints; `...` stands for lines that are left out
    ```python     statements; names stay from block to block
    <!-- exit 3 -->        before a block: what its last command exits with, instead of 0
    <!-- file: NAME -->    before a block: it is written to that file

Other blocks are not run. What a command prints is held loosely: each line that a page shows has the words of a line that was
printed, in the same order; words with digits, and figures, may differ.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.cli import cli
from tests.support.commands import cvtbatch

_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]+) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LINES_LEFT_OUT = "..."


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page.

    Attributes:
        note: what the comment before it says; empty if there is none.
        line: where its text begins in the page, from 1.
    """

    language: str
    text: str
    note: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of a page, and the lines that the page shows below it."""

    line: str
    shown: tuple[str, ...]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        yield Block(match["language"], match["text"], match["note"] or "", text.count("\n", 0, match.start("text")) + 1)


def commands(block: Block) -> Iterator[Command]:
    """Yield the command lines of a console block; one that ends in a backslash goes on in the next line."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, output = part.replace("\\\n", "").partition("\n")
        yield Command(line, tuple(line for line in output.splitlines() if line.strip()))


def run_page(page: Path, extract: tuple[str, ...] = ()) -> None:
    """Run a page's blocks in the working folder.

    Args:
        extract: what each `cvtbatch extract` of the page is given besides.

    Raises:
        AssertionError: a command ends with another exit code than the page says, or does not print what it shows.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        where = f"{page.name}, line {block.line}"
        if block.note.startswith("file: "):
            Path(block.note.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            _run_console(block, where, extract)
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)


def run_notebook(notebook: Path) -> None:
    """Run a notebook's cells in the working folder; a line after `!` is one of the shell.

    Raises:
        AssertionError: such a line ends with another exit code than 0.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        lines = cell["source"] if cell["cell_type"] == "code" else []
        for line in (line for line in lines if line.startswith("!")):
            code, output = _run(line.removeprefix("!"))
            assert code == 0, f"{line}: exit code {code}\n{output}"
        exec("".join(line for line in lines if not line.startswith("!")), names)


def _run_console(block: Block, where: str, extract: tuple[str, ...]) -> None:
    lines = list(commands(block))
    assert lines, f"{where}: a console block without a command"
    for number, command in enumerate(lines, 1):
        wanted = int(block.note.removeprefix("exit ")) if block.note.startswith("exit ") and number == len(lines) else 0
        code, output = _run(command.line, extract)
        assert code == wanted, f"{where}: {command.line}: exit code {code}\n{output}"
        missing = lines_not_printed(command.shown, output)
        assert not missing, f"{where}: {command.line} does not print {missing}, but\n{output}"


def _run(line: str, extract: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run a command line, and return its exit code and all that it prints; a cvtbatch without workers, whose results are equal."""
    first, *arguments = shlex.split(line, comments=True)
    if first == "cvtbatch":
        ended = cvtbatch(*_without_workers(arguments), *(extract if arguments[0] == "extract" else ()))
    else:
        ended = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def _without_workers(arguments: list[str]) -> list[str]:
    """Return the arguments of a cvtbatch so that it works in this process, where it has a choice."""
    if "--workers" in arguments:
        place = arguments.index("--workers") + 1
        return [*arguments[:place], "0", *arguments[place + 1 :]]
    command = cli.commands.get(arguments[0])
    spreads = command is not None and any(option.name == "workers" for option in command.params)
    return [*arguments, "--workers", "0"] if spreads else arguments


def lines_not_printed(shown: tuple[str, ...], output: str) -> list[str]:
    """Return the lines of a page whose words no line of the output has, in that order."""
    printed = [_words(line) for line in output.splitlines()]
    wanted = [line for line in shown if line.strip() != _LINES_LEFT_OUT]
    return [line for line in wanted if not any(_holds(words, _words(line)) for words in printed)]


def _words(line: str) -> list[str]:
    return re.findall(r"[^\W\d_]{2,}", " ".join(part for part in line.split() if not re.search(r"\d", part)))


def _holds(words: list[str], wanted: list[str]) -> bool:
    found = iter(words)
    return all(word in found for word in wanted)
