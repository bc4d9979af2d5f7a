"""A small HTTP server for what comes back: signed receipts and unsubscribe links.

Neither bodies, addresses nor tokens are ever logged. The same request twice changes nothing the
second time, so a replay within the window of the signature is harmless.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from careloop.feedback import pages
from careloop.feedback.addresses import address_of
from careloop.feedback.limits import Buckets
from careloop.feedback.receipts import Receipt
from careloop.feedback.record import Recorded, record
from careloop.feedback.signature import receipt_secrets, refusal
from careloop.ledger.database import Ledger, open_ledger
from careloop.messages.links import secrets as link_secrets
from careloop.messages.links import verify
from careloop.program.contact import Feedback
from careloop.settings import Settings

LOG = logging.getLogger("careloop.receiver")
MOST_BYTES = 1_000_000
MOST_RECEIPTS = 1_000
BODY_SECONDS = 10
# A receipt may be this far ahead: clocks differ.
AHEAD = timedelta(minutes=10)
RETRY = {"Retry-After": "30"}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MANY = TypeAdapter(list[Receipt])


class Refused(Exception):
    """A request that is answered with this status and sentence; neither quotes the request."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


@dataclass
class Desk:
    """What every request needs. clock: time of day; ticks: seconds that only grow."""

    settings: Settings
    ledger: Ledger
    rules: Feedback
    secrets: list[str]
    clock: Callable[[], datetime]
    ticks: Callable[[], float]
    senders: Buckets
    visitors: Buckets

    def record(self, receipts: list[Receipt]) -> Recorded:
        lookup = partial(address_of, self.settings)
        return record(self.ledger, receipts, self.rules, self.clock(), lookup)

    def check_pace(self, request: Request, buckets: Buckets) -> None:
        sender = request.client.host if request.client else "unknown"
        if seconds := buckets.wait(sender, self.ticks()):
            raise Refused(429, "too many requests", **{"Retry-After": str(seconds)})


def create_app(
    settings: Settings,
    rules: Feedback,
    clock: Callable[[], datetime],
    ticks: Callable[[], float] = time.monotonic,
    per_second: float = 50,
    burst: int = 500,
) -> FastAPI:
    """The server as an application. Raises SettingsError without its secrets or ledger.

    per_second, burst: requests with receipts that one sender may make; of unsubscribe links a
    tenth.
    """
    link_secrets()
    desk = Desk(
        settings,
        open_ledger(settings),
        rules,
        receipt_secrets(),
        clock,
        ticks,
        Buckets(per_second, burst),
        Buckets(per_second / 10, max(1, burst // 10)),
    )
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.desk = desk
    app.add_api_route("/receipts", _receipts, methods=["POST"])
    app.add_api_route("/u/{token}", _unsubscribe, methods=["POST"])
    app.add_api_route("/u/{token}", _ask, methods=["GET"])
    app.add_api_route("/healthz", _health, methods=["GET"])
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(OperationalError, _unavailable)
    return app


async def _receipts(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    desk.check_pace(request, desk.senders)
    body = await _body(request)
    why = refusal(
        desk.secrets,
        request.headers.get("x-careloop-timestamp"),
        request.headers.get("x-careloop-signature"),
        body,
        desk.clock().timestamp(),
    )
    if why:
        raise Refused(401, why)
    receipts = _parse(body, desk.clock() + AHEAD)
    found = await run_in_threadpool(desk.record, receipts)
    answer = {
        "new": found.new,
        "known": found.known,
        "unmatched": found.unmatched,
        "suppressed": found.suppressed,
    }
    LOG.info("%d receipts: %d new, %d unmatched", len(receipts), found.new, len(found.unmatched))
    # Nothing matched: perhaps the dispatcher has not written it down yet. Providers try again.
    status = 404 if receipts and len(found.unmatched) == len(receipts) else 200
    return JSONResponse(answer, status, HEADERS)


async def _unsubscribe(request: Request, token: str) -> Response:
    """One click (RFC 8058) or the button of the page: both act at once."""
    desk: Desk = request.app.state.desk
    desk.check_pace(request, desk.visitors)
    await _body(request)
    message_id = verify(token)
    if message_id is None:
        return HTMLResponse(pages.unknown(), 404, HEADERS)
    receipt = Receipt(
        kind="unsubscribed",
        at=desk.clock(),
        message_id=message_id,
        receipt_id=f"unsubscribe {message_id}",
    )
    try:
        found = await run_in_threadpool(desk.record, [receipt])
    except OperationalError:
        LOG.warning("the ledger did not answer")
        return HTMLResponse(pages.busy(), 503, {**HEADERS, **RETRY})
    if found.unmatched:
        return HTMLResponse(pages.unknown(), 404, HEADERS)
    LOG.info("unsubscribed: %d new", found.new)
    return HTMLResponse(pages.done(), 200, HEADERS)


async def _ask(request: Request, token: str) -> Response:
    desk: Desk = request.app.state.desk
    desk.check_pace(request, desk.visitors)
    if verify(token) is None:
        return HTMLResponse(pages.unknown(), 404, HEADERS)
    return HTMLResponse(pages.ask(), 200, HEADERS)


async def _health(request: Request) -> Response:
    desk: Desk = request.app.state.desk

    def ask() -> None:
        with desk.ledger.read() as con:
            con.execute(select(1))

    await run_in_threadpool(ask)
    return JSONResponse({"status": "ok"}, 200, HEADERS)


async def _body(request: Request) -> bytes:
    """The body, at most MOST_BYTES and within BODY_SECONDS; raises Refused."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise Refused(413, f"at most {MOST_BYTES} bytes at once")

    async def read() -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise Refused(413, f"at most {MOST_BYTES} bytes at once")
        return bytes(body)

    try:
        return await asyncio.wait_for(read(), BODY_SECONDS)
    except TimeoutError as error:
        raise Refused(408, "the body did not come in time") from error


def _parse(body: bytes, latest: datetime) -> list[Receipt]:
    """One receipt or a list of them; raises Refused naming place and fault, never the value."""
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is no JSON") from error
    items = data if isinstance(data, list) else [data]
    if not items or len(items) > MOST_RECEIPTS:
        raise Refused(422, f"1 to {MOST_RECEIPTS} receipts at once")
    try:
        receipts = _MANY.validate_python(items)
    except ValidationError as error:
        told = [
            f"{_place(e)}: {_fault(e)}"
            for e in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise Refused(422, "; ".join(told[:20])) from error
    early = [str(place) for place, receipt in enumerate(receipts) if receipt.at > latest]
    if early:
        raise Refused(422, f"{', '.join(early[:20])}: at lies in the future")
    return receipts


def _place(error: Any) -> str:
    # The name of a key that doesn't belong there is the sender's text, too.
    deep = 1 if error["type"] == "extra_forbidden" else 2
    return ".".join(map(str, error["loc"][:deep]))


def _fault(error: Any) -> str:
    return "a field that is not known" if error["type"] == "extra_forbidden" else error["msg"]


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.reason}, error.status, {**HEADERS, **error.headers})


async def _unavailable(request: Request, error: Exception) -> Response:  # noqa: ARG001
    LOG.warning("the ledger did not answer")
    answer = {"error": "the ledger does not answer; try again"}
    return JSONResponse(answer, 503, {**HEADERS, **RETRY})


def serve(
    settings: Settings, rules: Feedback, clock: Callable[[], datetime], host: str, port: int
) -> None:
    """Serve until interrupted. Behind a proxy on this machine the sender is read from
    X-Forwarded-For."""
    import uvicorn

    uvicorn.run(
        create_app(settings, rules, clock),
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=200,
        timeout_keep_alive=5,
    )
