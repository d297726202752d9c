"""What is wrong with a manifest: all of it counted, and as much in words as anybody reads."""

from collections.abc import Iterable

# A wrong column of a million rows is a million problems.
IN_WORDS = 1000


class Problems:
    """Problems of one sort, in the order in which they were found.

    Attributes:
        texts: the first of them.
        count: of all.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.count = 0

    def add(self, text: str) -> None:
        if len(self.texts) < IN_WORDS:
            self.texts.append(text)
        self.count += 1

    def extend(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.add(text)
