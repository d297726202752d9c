"""Reference pages from the code: a line `<!-- generated: NAME -->` of a page is replaced by what `PAGES[NAME]` returns, and so is
the line below it, which says to a reader of the Markdown where that is.

What is returned is Markdown, so that its headings stand in contents and search as those that were written by hand do.
"""

import csv
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from sphinx.application import Sphinx

from cvtbatch import contracts
from cvtbatch.cli import cli

SCHEMAS = Path(__file__).parents[1] / "schemas"
_MARKER = re.compile(r"^<!-- generated: ([\w-]+) -->\n.+$", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register this module with Sphinx."""
    app.connect("source-read", _fill)
    # After napoleon, which has the names of attributes and arguments escaped.
    app.connect("autodoc-process-docstring", _escape_underscores, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = _MARKER.sub(lambda marker: PAGES[marker[1]](), source[0])


def _escape_underscores(
    _app: Sphinx, _kind: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Escape words like x_, which reStructuredText takes for references."""
    lines[:] = [re.sub(r"(?<![\\`\w])(\w+)_(?=[\s,.;)\"]|$)", r"\1\\_", line) for line in lines]


def _plain(text: str) -> str:
    """Return a text with what Markdown would read as marks escaped, but for `code`, and with options as code."""
    parts = re.sub(r"(?<![\w`-])--[a-z][a-z-]*", r"`\g<0>`", text).split("`")
    return "`".join(re.sub(r"([\\*_<\[\]|#~])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts))


# Commands


def commands() -> str:
    """Return a section for every command: usage, what it does, examples and options."""
    root = click.Context(cli, info_name="cvtbatch")
    return "\n\n".join(text for command in cli.commands.values() for text in _command(command, root, 2))


def _command(command: click.Command, parent: click.Context, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=command.name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"{'#' * level} {context.command_path}"
    yield f"```text\n{usage}\n```"
    yield from _help(command.help or "")
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    records = [record for option in options if (record := option.get_help_record(context))]
    if records:
        yield "\n\n".join(f"`{names}`\n: {_plain(text)}" for names, text in records)
    if isinstance(command, click.Group):
        for leaf in command.commands.values():
            yield from _command(leaf, context, level + 1)


def _help(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; what click leaves as it is, after `\\b`, is a heading and lines of code."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b"):
            yield _plain(paragraph)
            continue
        title, _, lines = paragraph.lstrip("\b\n").partition(":")
        yield f"{_plain(title)}:\n\n```bash\n{inspect.cleandoc(lines)}\n```"


# Manifest and tables


def manifest() -> str:
    """Return the columns of the manifest."""
    return _columns(contracts.manifest_fields().values())


def tables() -> str:
    """Return a section for every table of the store: what a row is, its key, and its columns."""
    sections = []
    for name in contracts.table_names():
        table = contracts.table(name)
        described = _document(f"tables/{name}.json")["description"]
        own = [field for field in table.fields if field.name not in set(contracts.feature_names())]
        more = f"\n\nAnd {len(table.fields) - len(own):,} columns of features." if len(own) < len(table.fields) else ""
        key = ", ".join(f"`{column}`" for column in table.key)
        sections.append(f"## {name}\n\n{_plain(described)}\n\nKey: {key}.\n\n{_columns(own)}{more}")
    return "\n\n".join(sections)


def pairs() -> str:
    """Return the columns of pairs."""
    return _columns(contracts.view("pairs").fields)


def _columns(fields: Iterable[contracts.Field]) -> str:
    rows = []
    for field in fields:
        kind = f"{field.type} of {field.item_type}" if field.item_type else field.type
        kind = f"{kind} in {field.unit}" if field.unit else kind
        limits = [f"{kind}, required" if field.required else kind, *_limits(field)]
        rows.append(f"`{field.name}` ({'; '.join(limits)})\n: {_plain(field.description)}")
    return "\n\n".join(rows)


def _limits(field: contracts.Field) -> Iterator[str]:
    if field.enum:
        yield "one of " + ", ".join(f"`{value}`" for value in field.enum)
    if field.minimum is not None or field.maximum is not None:
        yield _range(field.minimum, field.maximum)
    if field.default is not None:
        yield f"default `{field.default}`"


def _range(least: float | None, most: float | None, above: float | None = None, below: float | None = None) -> str:
    if least is not None and most is not None:
        return f"{least:,} to {most:,}"
    limits = (("from", least), ("above", above), ("to", most), ("below", below))
    return " ".join(f"{word} {value:,}" for word, value in limits if value is not None)


# Job, cluster and study files


def job() -> str:
    """Return the keys of a job file, a section for each of its parts."""
    document = _document("job.json")
    # What is a section or a list of them is shown as the section.
    properties = {
        name: document["$defs"][name] if "then" in rules else rules for name, rules in document["properties"].items()
    }
    return "\n\n".join(_sections(properties))


def cluster() -> str:
    """Return the keys of a cluster file, a section for each kind of cluster."""
    kinds = _document("cluster.json")["$defs"]
    of_files = {kind: rules for kind, rules in kinds.items() if "kind" in rules.get("properties", {})}
    sections = []
    for kind, rules in of_files.items():
        keys = "\n\n".join(_keys(rules["properties"], "", kinds, rules.get("required", ())))
        sections.append(f"## {kind}\n\n{_plain(rules['description'])}\n\n{keys}")
    return "\n\n".join(sections)


def _sections(properties: Mapping[str, Any]) -> Iterator[str]:
    single = {name: rules for name, rules in properties.items() if rules.get("type") != "object"}
    yield "\n\n".join(_keys(single, "", {}, ()))
    for name, rules in properties.items():
        if name not in single:
            yield f"## {name}"
            yield "\n\n".join(_keys(rules["properties"], f"{name}.", {}, ()))


def _keys(
    properties: Mapping[str, Any], prefix: str, kinds: Mapping[str, Any], required: Collection[str]
) -> Iterator[str]:
    for name, given in properties.items():
        rules = kinds[given["$ref"].rpartition("/")[2]] | given if "$ref" in given else given
        if "properties" in rules:
            yield from _keys(rules["properties"], f"{prefix}{name}.", kinds, rules.get("required", ()))
            continue
        notes = [_values(rules), "required" if name in required else ""]
        if "default" in rules:
            notes.append(f"default `{json.dumps(rules['default'])}`")
        stated = "; ".join(note for note in notes if note)
        described = _plain(rules.get("description", ""))
        yield f"`{prefix}{name}` ({stated})\n: {described}" if described else f"`{prefix}{name}`\n: {stated}"


def _values(rules: Mapping[str, Any]) -> str:
    """Return what a value may be: a word of a list, or a type with its range."""
    if "const" in rules:
        return f"`{json.dumps(rules['const'])}`"
    if "enum" in rules:
        return " or ".join(f"`{json.dumps(value)}`" for value in rules["enum"])
    kinds = rules.get("type", [])
    words = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    limits = rules.get("items", {}) if "array" in words else rules
    names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    span = _range(*(limits.get(name) for name in names))
    of_items = f" of {items}" if (items := rules.get("items", {}).get("type")) else ""
    return f"{words}{of_items}{', ' + span if span else ''}"


def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    return document


# Failures


def failure_kinds() -> str:
    """Return every kind of a failure or an error, with its meaning: those of cases, then those that end a command."""
    kinds = _document("failure_kinds.json")["fields"]
    standing = [kind for kind in kinds if kind["stages"]]
    ending = [kind for kind in kinds if not kind["stages"]]
    parts = [
        "## Of a case or an outline",
        "A row of the table `failures`; the run goes on (exit code 3). Who can do something about it stands in italics.",
    ]
    parts += [_standing(kind) for kind in standing]
    parts += ["## That end a command", "Exit code 1; nothing that was committed is lost."]
    parts += [f"`{kind['name']}`\n: {_plain(kind['meaning'])}" for kind in ending]
    return "\n\n".join(parts)


def _standing(kind: Mapping[str, Any]) -> str:
    stages = ", ".join(kind["stages"])
    return f"`{kind['name']}` (stage {stages})\n: {_plain(kind['meaning'])} *{kind['who']}*: {_plain(kind['do'])}"


# IBSI

_IBSI_ORDERS = {"ibsi_order": "IBSI's order", "pyradiomics_order": "PyRadiomics' order"}


def ibsi_summary() -> str:
    """Return how many values of each configuration are within IBSI's tolerance, and why others are not."""
    rows = _ibsi_rows()
    lines = [f"| configuration | {' | '.join(_IBSI_ORDERS.values())} |", "|---|---|---|"]
    for name, found in _by_configuration(rows).items():
        held = (sum(row[f"{order}_within"] == "yes" for row in found) for order in _IBSI_ORDERS)
        lines.append(f"| {name} | {' | '.join(f'{count} of {len(found)}' for count in held)} |")
    reasons = "\n".join(f"{number}. {reason}." for reason, number in _ibsi_reasons(rows).items())
    return "\n".join(lines) + f"\n\nWhy the others do not:\n\n{reasons}"


def ibsi_values() -> str:
    """Return a section for every configuration: a row for each feature."""
    rows = _ibsi_rows()
    reasons = _ibsi_reasons(rows)
    sections = []
    for name, found in _by_configuration(rows).items():
        title = "Digital phantom" if name == "digital" else f"Configuration {name}"
        head = (
            f"| IBSI's feature, code, name here | consensus | {' | '.join(_IBSI_ORDERS.values())} |\n|---|---|---|---|"
        )
        sections.append("\n".join([f"### {title}\n\n{head}", *(_ibsi_row(row, reasons) for row in found)]))
    return "\n\n".join(sections)


def _ibsi_row(row: Mapping[str, str], reasons: Mapping[str, int]) -> str:
    values = []
    for order in _IBSI_ORDERS:
        within = row[f"{order}_within"] == "yes"
        values.append(f"{row[order]}, within" if within else f"{row[order]}, **off** ({reasons[row['reason']]})")
    consensus = f"{row['consensus']} ± {row['tolerance']}"
    return f"| {row['ibsi_feature']}, {row['ibsi_code']}, `{row['feature']}` | {consensus} | {' | '.join(values)} |"


def _ibsi_rows() -> list[dict[str, str]]:
    with (Path(__file__).parent / "ibsi" / "values.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _by_configuration(rows: Iterable[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row["configuration"], []).append(row)
    return found


def _ibsi_reasons(rows: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Return the reason of every deviation, numbered."""
    reasons = dict.fromkeys(row["reason"] for row in rows if row["reason"])
    return {reason: number for number, reason in enumerate(reasons, 1)}


PAGES: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "manifest": manifest,
    "tables": tables,
    "pairs": pairs,
    "job": job,
    "cluster": cluster,
    "failure-kinds": failure_kinds,
    "ibsi-summary": ibsi_summary,
    "ibsi-values": ibsi_values,
}
