"""The channels of an installation: from settings and secrets of the environment to open ones."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import ValidationError

from careloop.channels.base import CheckedChannel, DeliveryError, Rendered
from careloop.channels.file import FileChannel
from careloop.channels.options import (
    AppriseOptions,
    FileOptions,
    Options,
    SmtpOptions,
    TaskOptions,
    WebhookOptions,
    is_loopback,
)
from careloop.channels.task import TaskChannel
from careloop.errors import SettingsError
from careloop.program.base import Channel as ChannelName
from careloop.program.channels import SPOKEN
from careloop.program.load import load_program
from careloop.settings import Settings

TASK, ALERTS = "task", "alerts"
# What is due and late: to people of the company, and to the team's chat.
STAFF, TEAM = "staff", "team"
NAMES = (*get_args(ChannelName), STAFF, TEAM, TASK, ALERTS)
TYPES: dict[str, type[Options]] = {
    "smtp": SmtpOptions,
    "webhook": WebhookOptions,
    "apprise": AppriseOptions,
    "task": TaskOptions,
    "file": FileOptions,
}
SECRETS = ("password", "secret", "url")


@dataclass(frozen=True)
class Setup:
    """How a channel is set up, without its secrets. missing: variables it needs and lacks."""

    name: str
    type: str
    configured: bool
    target: str
    accepts_idempotency_key: bool
    rate: str | None
    missing: tuple[str, ...]


def variable(name: str, secret: str) -> str:
    """The environment variable of a channel's password, secret or url."""
    return f"CARELOOP_CHANNEL_{name.upper()}_{secret.upper()}"


def options_of(settings: Settings, name: str) -> Options:
    """The checked options of a channel; a task for call, visit and task, else a dry run, where
    nothing is configured. Raises SettingsError with path and allowed values."""
    if name not in NAMES:
        raise SettingsError(f"there is no channel {name}", f"allowed: {', '.join(NAMES)}")
    table = settings.channels.get(name)
    if table is None:
        return TaskOptions() if name in (TASK, *SPOKEN) else FileOptions()
    where = f"channels.{name}"
    for key in SECRETS:
        if key in table:
            raise SettingsError(
                f"{where}.{key} doesn't belong into careloop.toml",
                f"set the environment variable {variable(name, key)}",
            )
    model = TYPES.get(str(table.get("type")))
    if model is None or not isinstance(table.get("type"), str):
        raise SettingsError(
            f"{where}.type is {table.get('type', 'missing')}", f"allowed: {', '.join(TYPES)}"
        )
    try:
        options = model.model_validate(table)
    except ValidationError as error:
        raise SettingsError(_told(where, model, error), "see docs/channels.md") from error
    if name == ALERTS and not isinstance(options, AppriseOptions):
        raise SettingsError(f"{where}.type is {table['type']}", "allowed for alerts: apprise")
    return options


def check_settings(settings: Settings) -> None:
    """Raises SettingsError for the first channel of careloop.toml that is wrong."""
    for name in settings.channels:
        options_of(settings, name)


def open_channels(
    settings: Settings,
    names: Iterable[str],
    now: Callable[[], datetime],
    zone: str | None = None,
) -> dict[str, CheckedChannel]:
    """The channels by name, ready to be entered; nothing is connected yet.

    zone: of the days files are named by; the program's if None. Messages of kind ``task`` go to
    the channel ``task``, whatever channel they name. Raises SettingsError.
    """
    check_settings(settings)
    return {name: _open(settings, name, zone, now) for name in dict.fromkeys(names)}


def _open(
    settings: Settings, name: str, zone: str | None, now: Callable[[], datetime]
) -> CheckedChannel:
    options = options_of(settings, name)
    if isinstance(options, SmtpOptions):
        from careloop.channels.smtp import SmtpChannel

        return SmtpChannel(name, options, _password(name, options), now)
    if isinstance(options, WebhookOptions):
        from careloop.channels.webhook import WebhookChannel

        secret = _needed(name, "secret") if options.shape == "wecom" else _secret(name, "secret")
        url, token = _web_address(name), _secret(name, "password")
        return WebhookChannel(name, options, url, secret, token, now)
    if isinstance(options, AppriseOptions):
        return _apprise(name)
    if isinstance(options, TaskOptions):
        return TaskChannel(name)
    zone = zone or load_program(settings.program).zone
    return FileChannel(name, settings.home / "outbox" / name, zone, now)


def notify(settings: Settings, title: str, text: str) -> bool:
    """Tell the operators through ``[channels.alerts]``; False if that isn't configured or fails.

    An alert that can't be sent must not stop what it is about.
    """
    if ALERTS not in settings.channels:
        return False
    options_of(settings, ALERTS)
    try:
        _apprise(ALERTS).tell(title, text)
    except DeliveryError:
        return False
    return True


def setups(settings: Settings) -> list[Setup]:
    """Every channel, configured or not; raises SettingsError where one is wrong."""
    check_settings(settings)
    return [_setup(settings, name) for name in NAMES]


def _setup(settings: Settings, name: str) -> Setup:
    options = options_of(settings, name)
    kind = next(key for key, model in TYPES.items() if type(options) is model)
    configured = name in settings.channels
    if name == ALERTS and not configured:
        return Setup(name, "none", False, "alerts go nowhere", False, None, ())
    keyed, needs, target = kind in ("file", "task"), [], ""
    if isinstance(options, SmtpOptions):
        target = f"{options.host}, {options.security}, from {options.from_address}"
        needs = ["password"] if options.username else []
    elif isinstance(options, WebhookOptions):
        keyed = options.shape == "generic" if options.idempotent is None else options.idempotent
        needs = ["url", "secret"] if options.shape == "wecom" else ["url"]
        target = f"{options.shape}, {_host(_secret(name, 'url'))}"
    elif isinstance(options, AppriseOptions):
        needs, target = ["url"], _scheme(_secret(name, "url"))
    elif kind == "file":
        target = f"dry run into outbox/{name}"
    else:
        target = "careloop tasks list"
    missing = [variable(name, key) for key in needs if not _secret(name, key)]
    return Setup(name, kind, configured, target, keyed, options.rate, tuple(missing))


def example(name: str, address: str | None, locale: str) -> Rendered:
    """The message ``careloop channels test`` sends."""
    chinese = locale.startswith("zh")
    text = "这是一条测试消息，由 careloop 发出。" if chinese else "This is a test from careloop."
    return Rendered(
        message_id=os.urandom(16).hex(),
        decision_key="test",
        customer_id="test",
        rule="test",
        purpose="service",
        channel=name,
        locale=locale,
        address=address,
        subject="careloop 测试" if chinese else "careloop test",
        text=text,
        html=f"<!doctype html><html><body><p>{text}</p></body></html>" if name == "email" else None,
    )


def _apprise(name: str) -> Any:
    from careloop.channels.apprise_channel import AppriseChannel

    urls = _needed(name, "url").split()
    if name != ALERTS and len(urls) > 1:
        raise SettingsError(
            f"{variable(name, 'url')} has {len(urls)} addresses",
            "a channel sends each message once: name one; only alerts may have several",
        )
    try:
        return AppriseChannel(name, urls)
    except ValueError as error:
        raise SettingsError(f"{variable(name, 'url')}: {error}", "see docs/channels.md") from error


def _secret(name: str, secret: str) -> str | None:
    return os.environ.get(variable(name, secret), "").strip() or None


def _needed(name: str, secret: str) -> str:
    found = _secret(name, secret)
    if found is None:
        raise SettingsError(
            f"channel {name} has no {secret}",
            f"set the environment variable {variable(name, secret)}",
        )
    return found


def _password(name: str, options: SmtpOptions) -> str | None:
    return _needed(name, "password") if options.username else None


def _web_address(name: str) -> str:
    url = _needed(name, "url")
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not safe or not parts.hostname:
        raise SettingsError(
            f"{variable(name, 'url')} is no https address",
            "personal data goes over https only, except to this machine",
        )
    return url


def _host(url: str | None) -> str:
    return urlsplit(url).hostname or "?" if url else "?"


def _scheme(urls: str | None) -> str:
    return ", ".join(url.split(":", 1)[0] for url in urls.split()) if urls else "?"


def _told(where: str, model: type[Options], error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        path = ".".join([where, *map(str, problem["loc"])])
        if problem["type"] == "extra_forbidden":
            lines.append(f"{path} is unknown; allowed: {', '.join(model.model_fields)}")
        elif problem["type"] == "missing":
            lines.append(f"{path} is missing")
        else:
            lines.append(f"{path}: {problem['msg']}")
    return "; ".join(lines)
