"""`careloop up` and `careloop deploy`: the flows under Prefect."""

import os
from typing import Annotated

import typer

from careloop.cli.options import AsOf, Home, ProgramName
from careloop.cli.output import console
from careloop.cli.summary import print_decisions, print_next, print_segments
from careloop.errors import CareloopError
from careloop.prefect_stack import Stack, deploy_all
from careloop.refresh import program_of
from careloop.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command("up")(up)
    app.command("deploy")(deploy)


def up(
    once: Annotated[
        bool, typer.Option("--once", help="Run the refresh once under Prefect, then stop.")
    ] = False,
    as_of: AsOf = None,
    port: Annotated[int, typer.Option("--port", help="Port of the Prefect UI.")] = 4200,
    program: ProgramName = None,
    home: Home = None,
) -> None:
    """Start Prefect on this machine: server, worker and deployments. Ctrl-C stops it.

    Example: careloop up --port 4201
    """
    settings = load_settings(home=home, program=program)
    out = console()
    with Stack(settings, program_of(settings), port) as stack:
        out.print("starting the Prefect server (the first start takes half a minute) …")
        stack.start_server()
        freed = stack.free_dead_runs()
        if freed:
            out.print(f"marked {freed} runs as crashed that an earlier stop had left open")
        if once:
            code = stack.run_flow("flows.refresh", {"as_of": as_of})
            if code:
                raise CareloopError(
                    "the refresh failed; the reason is in the last lines above",
                    "correct it and run again; the published marts are untouched",
                )
            print_segments(settings)
            print_decisions(settings)
            print_next(settings)
            return
        stack.deploy()
        stack.start_worker()
        out.print(f"Prefect UI  [bold]http://127.0.0.1:{port}[/]", soft_wrap=True)
        out.print("run it now  prefect deployment run refresh/daily, or Run in the UI;")
        out.print("            care/planning follows by itself, dispatch/sending every 5 minutes")
        out.print("            review/monthly, review/quarterly on the first of the month")
        out.print(f"            (PREFECT_API_URL={stack.api_url})", soft_wrap=True)
        out.print("stop it     Ctrl-C")
        stack.watch()


def deploy(program: ProgramName = None, home: Home = None) -> None:
    """Deploy the flows to the Prefect server that PREFECT_API_URL names.

    Example: PREFECT_API_URL=http://prefect.example:4200/api careloop deploy
    """
    if not os.environ.get("PREFECT_API_URL"):
        raise CareloopError(
            "PREFECT_API_URL is not set",
            "set it to your server's address, or use `careloop up` for one on this machine",
        )
    deploy_all(program_of(load_settings(home=home, program=program)), dict(os.environ))
