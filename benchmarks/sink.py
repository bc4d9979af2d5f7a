"""A mail server that takes everything and keeps nothing, as fast as Python can.

`python -m benchmarks.sink` prints its port, serves one connection after the other, and prints for
each one line of JSON: messages, bytes, and a hash of all message data in the order it came.
"""

import hashlib
import json
import socket
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

END = b"\r\n.\r\n"
ROOM = 1 << 18
ANSWERS = {
    b"ehlo": b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n",
    b"data": b"354 go on\r\n",
    b"quit": b"221 bye\r\n",
}


class Sink:
    """The server from outside, in a process of its own."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sink"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def received(self) -> dict[str, Any]:
        """What came over the connection that ended last; waits for its end."""
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


def serve(connection: socket.socket) -> dict[str, Any]:
    """One connection to its end."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"220 sink\r\n")
    digest, messages, size, waiting = hashlib.blake2b(digest_size=16), 0, 0, b""
    while chunk := connection.recv(ROOM):
        waiting += chunk
        if not waiting.endswith(b"\r\n"):
            continue
        verbs, waiting = [line[:4].lower() for line in waiting.splitlines()], b""
        connection.sendall(b"".join(ANSWERS.get(verb, b"250 ok\r\n") for verb in verbs))
        if verbs[-1] == b"data":
            data = _message(connection)
            digest.update(data)
            messages, size = messages + 1, size + len(data)
            connection.sendall(b"250 2.0.0 Ok: queued as %X\r\n" % messages)
        elif verbs[-1] == b"quit":
            break
    return {"messages": messages, "bytes": size, "hash": digest.hexdigest()}


def _message(connection: socket.socket) -> bytes:
    data = connection.recv(ROOM)
    while not data.endswith(END):
        chunk = connection.recv(ROOM)
        if not chunk:
            return data
        data += chunk
    return data


def main() -> None:
    """Serve until killed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                answer = serve(connection)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
