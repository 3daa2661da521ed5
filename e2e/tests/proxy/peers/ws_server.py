"""A WebSocket server: tells its port, echoes; "say X" is answered with what X names."""

import asyncio

import websockets

ATTACK = "<script>alert(document.cookie)</script>"


async def serve(socket):
    async for message in socket:
        await socket.send(ATTACK if message == "say attack" else message)


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
