"""The review's page as a PDF, printed by a browser that is at hand.

There is no route without a browser: what sets Chinese text from HTML and CSS right is one.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from careloop.durable import put
from careloop.errors import CareloopError, SettingsError
from careloop.settings import Settings

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
    "microsoft-edge-stable",
    "microsoft-edge",
    "msedge",
)
# Where macOS keeps them, which is on no PATH.
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
SECONDS = 120.0
# Switches: developer.chrome.com/docs/automation-and-testing/headless-cli. A page that asks the
# network for anything gets nothing.
SWITCHES = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
    "--virtual-time-budget=20000",
)
_DATE = re.compile(rb"/(CreationDate|ModDate) \(D:\d{14}\+00'00'\)")


class NoBrowserError(CareloopError):
    """There is nothing to print a PDF with."""


def find_browser(settings: Settings) -> Path:
    """The browser that prints: the one the settings name, else the first of those on PATH.

    Raises NoBrowserError, and SettingsError for a browser that is named and isn't there.
    """
    if settings.browser:
        named = shutil.which(settings.browser)
        if named is None:
            raise SettingsError(
                f"there is no browser {settings.browser}",
                "correct `browser` in careloop.toml, or CARELOOP_BROWSER",
            )
        return Path(named)
    found = next((path for name in (*NAMES, *APPLICATIONS) if (path := shutil.which(name))), None)
    if found is None:
        raise NoBrowserError(
            "no PDF was made: there is no Chromium, Chrome or Edge here",
            "install one, or name one by CARELOOP_BROWSER, and repeat; "
            "or open the page in any browser and print it",
        )
    return Path(found)


def has_chinese_font() -> bool:
    """Whether fontconfig knows a font with Chinese signs; True where there is no fontconfig."""
    listing = shutil.which("fc-list")
    if listing is None:
        return True
    done = subprocess.run([listing, ":lang=zh-cn", "family"], capture_output=True, text=True)
    return done.returncode != 0 or bool(done.stdout.strip())


def write_pdf(
    settings: Settings,
    page: Path,
    pdf: Path,
    made_at: datetime,
    *,
    language: str = "en",
    seconds: float = SECONDS,
) -> Path:
    """Print a page as a PDF beside it; returns its path.

    made_at: what the file says of its making (aware, or UTC): with it, the same page and the same
    browser give the same bytes. language: zh needs a font with Chinese signs. The file is
    complete or isn't there. Raises NoBrowserError, SettingsError, and CareloopError when the
    browser fails or takes longer than ``seconds``.
    """
    browser = find_browser(settings)
    if language == "zh" and not has_chinese_font():
        raise NoBrowserError(
            "no PDF was made: this machine has no font with Chinese signs",
            "install one, such as the package fonts-noto-cjk, and repeat",
        )
    with tempfile.TemporaryDirectory(prefix="careloop-pdf-") as folder:
        printed = Path(folder) / "page.pdf"
        _print(browser, page, printed, Path(folder) / "profile", seconds)
        data = _dated(printed.read_bytes(), made_at)
    try:
        put(pdf, data)
    except OSError as error:
        raise SettingsError(f"{pdf} can't be written: {error.strerror}") from error
    return pdf


def _print(browser: Path, page: Path, pdf: Path, profile: Path, seconds: float) -> None:
    arguments = [str(browser), *SWITCHES, f"--user-data-dir={profile}", f"--print-to-pdf={pdf}"]
    if getattr(os, "geteuid", lambda: 1)() == 0:
        # Chromium refuses to run as root with its sandbox; the page is our own.
        arguments.append("--no-sandbox")
    log = pdf.with_suffix(".log")
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*arguments, page.resolve().as_uri()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise CareloopError(
                f"no PDF was made: {browser.name} took longer than {seconds:.0f} seconds",
                "the page is there; print it from a browser",
            ) from error
        finally:
            _end(child)
    if code or not pdf.exists():
        last = log.read_text("utf-8", errors="replace").strip().splitlines()[-1:] or ["no reason"]
        raise CareloopError(
            f"no PDF was made: {browser.name} ended with {code}: {last[0][:200]}",
            "name another browser by CARELOOP_BROWSER, or print the page from one",
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the browser with the processes it started."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _dated(data: bytes, made_at: datetime) -> bytes:
    """The PDF as made at ``made_at``. As long as before, so that the offsets within hold."""
    moment = made_at.astimezone(UTC) if made_at.tzinfo else made_at
    stamp = f"(D:{moment:%Y%m%d%H%M%S}+00'00')".encode()
    return _DATE.sub(lambda found: b"/" + found[1] + b" " + stamp, data)
