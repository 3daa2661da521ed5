"""A client of one request a connection."""

import http.client
import json

from .parts import PATIENCE


class Reply:
    """A response, read whole."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.getheaders()
        self.body = response.read()

    def header(self, name):
        """The first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def seen(self, name):
        """The values that the application saw of a header."""
        return [value for key, value in json.loads(self.body)["headers"] if key == name.lower()]


def ask(port, path="/hello?name=bob", method="GET", body=None, headers=(), chunked=False, host="127.0.0.1"):
    """Sends one request and returns the reply."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in [*BROWSER, *headers]:
            connection.putheader(name, value)
        if body is not None and not chunked:
            connection.putheader("Content-Length", str(len(body)))
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        if chunked:
            connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        elif body:
            connection.send(body)
        return Reply(connection.getresponse())
    finally:
        connection.close()


#: What a browser says, so that nothing is found in a request but what a test puts there.
BROWSER = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "*/*"), ("Accept-Language", "en"), ("Accept-Encoding", "gzip"),
]
FORM = ("Content-Type", "application/x-www-form-urlencoded")
