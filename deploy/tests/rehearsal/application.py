"""A sample application that tells what it has seen. As a program: `python3 -m rehearsal.application HOST:PORT`."""

import http.server
import json
import signal
import socketserver
import sys
import threading


class Application:
    """Answers every request with what it was, as JSON, and keeps them."""

    def __init__(self, address=("127.0.0.1", 0), status=200, body=None, headers=()):
        self.status, self.body, self.headers = status, body, list(headers)
        self.seen = []
        handler = type("Handler", (Handler,), {"application": self})
        self.server = Server(address, handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        """Stops listening."""
        self.server.shutdown()
        self.server.server_close()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One thread a connection."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that goes away is none of its business."""


class Handler(http.server.BaseHTTPRequestHandler):
    """What happens on a connection."""

    protocol_version = "HTTP/1.1"
    application = None
    disable_nagle_algorithm = True

    def answer(self):
        """Reads the request whole and tells what it was."""
        body = self.read_body()
        request = {
            "method": self.command, "path": self.path, "bytes": len(body),
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
        }
        app = self.application
        if self.path != "/healthz":
            app.seen.append(request)
        reply = app.body if app.body is not None else json.dumps(request).encode()
        self.send_response(app.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        for name, value in app.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def read_body(self):
        """The body, by its length or in chunks."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_arguments):
        """Says nothing."""


def main():
    """Serves until it is told to end."""
    host, port = sys.argv[1].rsplit(":", 1)
    app = Application((host, int(port)))
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    print(f"application listens on {host}:{app.port}", flush=True)
    ending.wait()
    app.close()


if __name__ == "__main__":
    main()
