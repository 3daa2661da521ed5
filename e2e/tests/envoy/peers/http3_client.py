"""Sends one request over HTTP/3 and prints the status and the body: PORT METHOD TARGET [CONTENT_TYPE BODY]."""

import asyncio
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.status, self.body = "", b""
        self.ended = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        for part in self.http.handle_event(event):
            if isinstance(part, HeadersReceived):
                self.status = dict(part.headers).get(b":status", b"").decode() or self.status
            elif isinstance(part, DataReceived):
                self.body += part.data
            if part.stream_ended and not self.ended.done():
                self.ended.set_result(None)

    async def exchange(self, method, target, media, body):
        stream = self._quic.get_next_available_stream_id()
        headers = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
            (b":path", target.encode()),
            (b"user-agent", b"Mozilla/5.0 (aioquic)"),
        ]
        if body:
            headers.append((b"content-type", media.encode()))
        self.http.send_headers(stream, headers, end_stream=not body)
        # In two parts, and no length announced.
        if body:
            half = len(body) // 2
            self.http.send_data(stream, body[:half], end_stream=False)
            self.transmit()
            self.http.send_data(stream, body[half:], end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.ended, 20)


async def main(port, method, target, media="", body=""):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="localhost")
    configuration.verify_mode = ssl.CERT_NONE
    async with connect("127.0.0.1", int(port), configuration=configuration, create_protocol=Client) as client:
        await client.exchange(method, target, media, body.encode())
        print(client.status)
        print(client.body.decode())


asyncio.run(main(*sys.argv[1:]))
