"""How commands are written: options that work everywhere, groups whose files load when used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click

from cronherd.cli.session import FORMATS, Session

Params = list[click.Parameter]


def _keep(context: click.Context, param: click.Parameter, value: object) -> object:
    """Remember an option wherever it stands; what comes later on the line wins."""
    if value is not None and isinstance(context.obj, Session) and param.name:
        setattr(context.obj.settings, param.name, value)
    return value


def _everywhere() -> Params:
    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_keep, default=None, **more)

    flag = {"is_flag": True, "flag_value": True}
    path = click.Path()
    return [
        option("-o", "--output", type=click.Choice(FORMATS), help="How data is printed."),
        option("--config", metavar="FILE", type=path, help="The configuration of this node."),
        option("--state", metavar="DIR", type=path, help="Where this node keeps its state."),
        option("--database", metavar="URL", help="The database of the fleet."),
        option("--url", metavar="URL", help="A fleet elsewhere; its token: CRONHERD_TOKEN."),
        option("--utc", **flag, help="Times in UTC instead of your own zone."),
        option("--no-color", **flag, help="No colours; NO_COLOR does the same."),
        option("-v", "--verbose", **flag, help="Say more."),
    ]


class _Everywhere(click.Command):
    """A command that takes the options of every command, and lists them last in its help."""

    def get_params(self, ctx: click.Context) -> Params:
        own = super().get_params(ctx)
        taken = {name for param in own for name in param.opts}
        return own + [p for p in _everywhere() if not taken & set(p.opts)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [p for p in super().get_params(ctx) if isinstance(p, click.Option)]
        own = [record for p in options if (record := p.get_help_record(ctx))]
        if own:
            with formatter.section("Options"):
                formatter.write_dl(own)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        taken = {name for p in options for name in p.opts}
        rest = (p for p in _everywhere() if not taken & set(p.opts))
        shared = [record for p in rest if (record := p.get_help_record(ctx))]
        with formatter.section("Options of every command"):
            formatter.write_dl(shared)


class Command(_Everywhere):
    """One command."""


class Group(_Everywhere, click.Group):
    """Commands below a noun; `aliases` are accepted for a name and not listed."""

    command_class = Command

    def __init__(self, *args: Any, aliases: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.aliases = aliases or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not (
            args or ctx.resilient_parsing or self.invoke_without_command
        ):  # nothing was asked: what there is, on stderr
            raise click.UsageError(ctx.get_help(), ctx)
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            raise unknown_command(ctx, args)
        return super().resolve_command(ctx, args)


class Lazy(Group):
    """The top: knows each command's file and its help line, and loads what is asked for."""

    def __init__(self, *args: Any, rooms: Mapping[str, tuple[str, str]], **more: Any) -> None:
        super().__init__(*args, **more)
        self.rooms = rooms

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(self.rooms)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in self.rooms:
            return None
        module, _ = self.rooms[cmd_name]
        room = import_module(f"cronherd.cli.{module}")
        found: click.Command = getattr(room, f"{cmd_name}_command")
        return found

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.rooms.items()])


def unknown_command(ctx: click.Context, args: list[str]) -> click.UsageError:
    from cronherd.cli.meant import meant  # noqa: PLC0415 - only on the way to an error

    return click.UsageError(f"unknown command '{args[0][:60]}'\n{meant(ctx, args)}", ctx)


class Count(click.types.IntParamType):
    """A number of things; not click's range, whose help is written for mathematicians."""

    name = "number"

    def __init__(self, most: int = 1_000, least: int = 1) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = int(super().convert(value, param, ctx))
        if not self.least <= number <= self.most:
            sentence = f"{str(number)[:40]} is not in the range {self.least} to {self.most}"
            self.fail(sentence, param, ctx)
        return number


def pairs(_: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Options of the form key=value, as a mapping. Raises BadParameter."""
    found = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"'{text[:60]}' is not of the form {param.metavar}")
        if key in found:
            raise click.BadParameter(f"'{key[:60]}' is said twice")
        found[key] = value
    return found


yes_option: Callable[[Any], Any] = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
