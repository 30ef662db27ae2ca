"""Somebody's webhook receiver on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: Message
    body: bytes


@contextmanager
def receiver(statuses: Sequence[int], reply: bytes = b"") -> Iterator[tuple[str, list[Received]]]:
    """A server that answers with each status in turn, its URL, and what it has received."""
    received: list[Received] = []
    answers = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(Received(self.path, self.headers, body))
            self.send_response(next(answers))
            self.send_header("location", self.path)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?x=1", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
