"""The list of commands: in sections, in the order in which they are used, each with its first sentence whole."""

from collections.abc import Sequence

import click


class Sections(click.Group):
    """A group whose help lists its commands in sections."""

    sections: dict[str, list[click.Command]]

    def add_section(self, title: str, commands: Sequence[click.Command]) -> None:
        """Add commands under a title."""
        self.sections = {**getattr(self, "sections", {}), title: list(commands)}
        for command in commands:
            self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List commands in the order in which they are used."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections; click would cut sentences that are longer than a line."""
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(command.name or "", first_sentence(command)) for command in commands])


def first_sentence(command: click.Command) -> str:
    """Return what a command does: its short help, or else the first paragraph of its help."""
    text = command.short_help or (command.help or "").partition("\n\n")[0]
    return " ".join(text.split())
