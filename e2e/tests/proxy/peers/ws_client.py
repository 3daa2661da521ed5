"""A WebSocket client through the proxy at the address given."""

import asyncio
import sys

import websockets

ATTACK = "1' OR '1'='1' UNION SELECT password FROM users--"


async def ask(message):
    async with websockets.connect(f"ws://{sys.argv[1]}/chat") as socket:
        await socket.send(message)
        return await asyncio.wait_for(socket.recv(), 10)


async def main():
    async with websockets.connect(f"ws://{sys.argv[1]}/chat") as socket:
        for message in ("hello", "x" * 100_000, b"\x00\xff binary", ""):
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), 10) == message
        await (await socket.ping())
    print("echo ok")
    for name, message in (("attack", ATTACK), ("reply", "say attack")):
        try:
            await ask(message)
            print(name, "passed")
        except websockets.ConnectionClosed as closed:
            print(name, "closed", closed.rcvd.code)


asyncio.run(main())
