"""`careloop channels`: what is set up, whether it answers, and a test message."""

from dataclasses import asdict
from typing import Annotated

import typer

from careloop.channels.base import DeliveryError
from careloop.channels.registry import ALERTS, NAMES, example, open_channels, setups
from careloop.cli.options import Home
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.clock import now
from careloop.errors import CareloopError, SettingsError
from careloop.messages.links import gaps
from careloop.program.channels import ADDRESS
from careloop.refresh import program_of
from careloop.settings import Settings, load_settings

channels_app = typer.Typer(no_args_is_help=True, help="The ways to reach people.")


def register(app: typer.Typer) -> None:
    app.add_typer(channels_app, name="channels")


@channels_app.command("list")
def list_channels(home: Home = None, as_json: JsonFlag = False) -> None:
    """Show how each channel sends and what it still needs; secrets are not shown.

    Example: careloop channels list
    """
    found = setups(load_settings(home=home))
    if as_json:
        print_json([asdict(setup) for setup in found])
        return
    print_table(
        ["channel", "type", "configured", "where", "rate", "missing"],
        [
            [s.name, s.type, s.configured, s.target, s.rate, ", ".join(s.missing) or None]
            for s in found
        ],
    )


@channels_app.command("check")
def check_channels(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Channels; those that are configured if none is named."),
    ] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Connect and log in to each channel without sending anything; exit code 1 if one fails.

    Example: careloop channels check email sms
    """
    settings = load_settings(home=home)
    rows = [_checked(settings, name) for name in names or list(settings.channels)]
    print_table(["channel", "works", "because"], rows, as_json=as_json)
    for gap in gaps(settings, program_of(settings)):
        typer.echo(f"note: {gap}", err=True)
    if not all(row[1] for row in rows):
        raise typer.Exit(1)


@channels_app.command("test")
def send_test(
    name: Annotated[str, typer.Argument(help="The channel.")],
    to: Annotated[
        str | None, typer.Option("--to", help="Address of somebody who knows of the test.")
    ] = None,
    locale: Annotated[str, typer.Option("--locale", help="zh-CN or en.")] = "en",
    home: Home = None,
) -> None:
    """Send one test message.

    Example: careloop channels test email --to me@example.com
    """
    settings = load_settings(home=home)
    if to is None and ADDRESS.get(name):
        raise SettingsError(f"a message by {name} needs an address", "add --to")
    channel = open_channels(settings, [name], now)[name]
    try:
        with channel:
            receipt = channel.send(example(name, to, locale))
    except DeliveryError as error:
        raise CareloopError(
            f"{name}: {type(error).__name__}: {error.reason}", "docs/channels.md says what it means"
        ) from error
    number = f" as {receipt.provider_id}" if receipt.provider_id else ""
    console().print(f"{name}: taken over{number}: {receipt.detail}", markup=False)


def _checked(settings: Settings, name: str) -> tuple[str, bool, str]:
    if name not in NAMES:
        raise SettingsError(f"there is no channel {name}", f"allowed: {', '.join(NAMES)}")
    if name == ALERTS and name not in settings.channels:
        return name, True, "not configured: alerts go nowhere"
    try:
        channel = open_channels(settings, [name], now)[name]
        with channel:
            return name, True, channel.check()
    except (SettingsError, DeliveryError) as error:
        return name, False, str(error)
