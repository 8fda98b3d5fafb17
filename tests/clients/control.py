"""The control server of a client suite: lets the program under way stop, start and kill its broker."""

import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

from clients.harness import Broker

# A connection that sends nothing is given up, as the server answers one at a time.
REQUEST_DEADLINE_S = 10.0


class ControlServer:
    """Answers POST /restart, /stop and /start on a port of its own with 200, or 500 and the reason.

    Requests are served only inside `serve_once`, so on the caller's thread: a broker ends with the thread that
    started it.
    """

    def __init__(self, broker: Broker):
        self._broker = broker
        # What went wrong when a command was carried out, which the program may not tell.
        self.failures: list[str] = []
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())

    def __enter__(self) -> "ControlServer":
        return self

    def __exit__(self, *_exc) -> None:
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def serve_once(self, seconds: float) -> None:
        """Waits for one request that long, and answers it."""
        self._server.timeout = seconds
        self._server.handle_request()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        commands: dict[str, Callable[[], None]] = {
            "/restart": self._restart,
            "/stop": self._stop,
            "/start": self._start,
        }

        failures = self.failures

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_DEADLINE_S

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                command = commands.get(self.path)
                if command is None:
                    self._answer(404, f"no {self.path}; there are: {' '.join(commands)}")
                    return
                try:
                    command()
                except Exception as error:
                    failures.append(f"{self.path}: {error}")
                    self._answer(500, traceback.format_exc())
                else:
                    self._answer(200, "ok")

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: what a suite asked for shows in its own report."""

            def _answer(self, status: int, text: str) -> None:
                body = f"{text}\n".encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler

    def _restart(self) -> None:
        self._stop()
        self._start()

    def _stop(self) -> None:
        if self._broker.process is not None:
            self._broker.kill9()

    def _start(self) -> None:
        if self._broker.process is None:
            self._broker.start()
