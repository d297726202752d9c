"""Text that came from elsewhere, harmless for what shows it: a terminal, a page, a spreadsheet. Pure.

Characters that do not show can make two names look alike, turn a text round or speak to a terminal: controls (C0, C1), what Unicode
calls default ignorable (zero-width ones, and those of bidirectional text: U+061C, U+200E/F, U+202A-202E, U+2066-2069), separators
of lines, and halves of surrogate pairs, as file names hold that are no text. The two joiners (U+200C, U+200D) show by what they do
to the letters beside them, as Persian and the scripts of India spell words: between two characters that show, one of them at least
beyond ASCII, they are no such characters.
"""

import re
import unicodedata

_BEYOND_CONTROLS = (
    "\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164"
    "\\ud800-\\udfff\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\U000e0000-\\U000e0fff"
)
_SHOWN = f"[^\\x00-\\x20\\s{_BEYOND_CONTROLS}]"
_SHOWN_BEYOND_ASCII = f"[^\\x00-\\x7f\\s{_BEYOND_CONTROLS}]"
_JOINER = (
    f"(?<={_SHOWN_BEYOND_ASCII})[\\u200c\\u200d](?={_SHOWN})|(?<={_SHOWN})[\\u200c\\u200d](?={_SHOWN_BEYOND_ASCII})"
)
_HIDDEN = re.compile(f"(?!{_JOINER})[\\x00-\\x1f{_BEYOND_CONTROLS}]")
# Line feeds and tabs are how texts of several lines are laid out.
_HIDDEN_IN_LINES = re.compile(f"(?!{_JOINER})[\\x00-\\x08\\x0b-\\x1f{_BEYOND_CONTROLS}]")
_HIDDEN_OR_JOINER = re.compile(f"[\\x00-\\x1f{_BEYOND_CONTROLS}]")
FORMULA_START = "^[=+\\-@\\t\\r\\n＝＋－＠]"
"""What a spreadsheet may take for a formula, as a regular expression (https://owasp.org/www-community/attacks/CSV_Injection)."""
FOR_PEOPLE = "utf-8-sig"
"""Encoding of CSV files that people open: Excel takes them for UTF-8 by their byte order mark alone. They have commas in every
country: Excel's line `sep=,` would undo the mark, and be a row to every other reader."""
_FORMULA = re.compile(FORMULA_START)


def hidden_character(text: str) -> str:
    """Return the first character that does not show, as its number and its name; empty if there is none."""
    found = _HIDDEN.search(text)
    if found is None:
        return ""
    number = f"U+{ord(found[0]):04X}"
    name = unicodedata.name(found[0], "")
    return f"{number} ({name})" if name else number


def without_hidden(text: str) -> str:
    """Return a text without the characters that do not show, and without joiners."""
    return _HIDDEN_OR_JOINER.sub("", text)


def visible(text: str) -> str:
    """Return a text with an escape, as Python writes it, for every character that does not show; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN_IN_LINES.sub(lambda found: ascii(found[0])[1:-1], text)


def is_formula(text: str) -> bool:
    """Say whether a spreadsheet may take a text for a formula."""
    return _FORMULA.match(text) is not None


def for_spreadsheet(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula: behind an apostrophe, where it looks like one."""
    return f"'{text}" if is_formula(text) else text
