"""The command `vectorfleet`: its verbs by chapter, each imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from vectorfleet.group import CommandGroup
from vectorfleet.verbs import CHAPTERS, Chapter, Family, Verb

MOST_COLUMNS = 120


class Door(CommandGroup):
    """A group that reads names and help lines from a table, and imports a verb only to run it."""

    def __init__(self, name: str, summary: str, chapters: dict[str, Chapter]) -> None:
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": MOST_COLUMNS}
        super().__init__(name, help=summary, context_settings=settings)
        self.chapters = chapters
        self.entries = {name: entry for chapter in chapters.values() for name, entry in chapter.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names in the table's order."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb of that name."""
        entry = self.entries.get(cmd_name)
        if isinstance(entry, Family):
            return Door(cmd_name, entry.summary, {"Commands": {**entry.verbs}})
        return load(entry) if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or name those that are spelt alike."""
        if args[0] not in self.entries and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=self.entries, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs chapter by chapter, in columns that go through all of them."""
        width = max(map(len, self.entries))
        for title, chapter in self.chapters.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.summary) for name, entry in chapter.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete from the table, so that a keystroke imports nothing."""
        names = [name for name in self.entries if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=self.entries[name].summary) for name in names), *options]


def load(verb: Verb) -> click.Command:
    """Import a verb's command."""
    command = getattr(import_module(verb.module), verb.attribute)
    assert isinstance(command, click.Command)
    return command


main = Door("vectorfleet", "Vector search on AWS: planned, deployed, operated, tested and rehearsed.", CHAPTERS)
