"""`careloop docs`: the models documented by dbt, in a browser."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import typer

from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_json
from careloop.clock import parse_as_of
from careloop.errors import SettingsError
from careloop.lake.batches import Lake
from careloop.refresh import program_of
from careloop.run_info import run_info
from careloop.settings import load_settings
from careloop.transform.docs import write_docs


def register(app: typer.Typer) -> None:
    app.command("docs")(docs)


def docs(
    port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 8080,
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Show it until Ctrl-C, or only write it.")
    ] = True,
    program: ProgramName = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Write dbt's documentation of every model as one page and show it on this machine.

    Models, columns, types, SQL, tests and lineage; no network is needed.
    Example: careloop docs --port 8081
    """
    settings = load_settings(home=home, program=program)
    pack = program_of(settings)
    run = run_info(Lake(settings.lake), pack, parse_as_of(None, pack.zone))
    page = write_docs(settings, run)
    if as_json:
        print_json({"page": str(page), "bytes": page.stat().st_size})
        return
    console().print(f"written {page}", soft_wrap=True, markup=False)
    if not serve:
        return
    with server(page.parent, port) as running:
        console().print(f"open http://127.0.0.1:{running.server_port}   (Ctrl-C ends it)")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            return


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of one folder, for this machine only. Raises SettingsError if the port is taken."""
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))
    except OSError as error:
        raise SettingsError(
            f"port {port} can't be used: {error.strerror}", "choose another with --port"
        ) from error


class _Quiet(SimpleHTTPRequestHandler):
    """Serves without a line per request."""

    def log_message(self, *_: Any) -> None:
        pass
