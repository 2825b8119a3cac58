"""`constant_answers.py PORT`: gives every request the same answer. How fast the load itself is shows against this."""

from __future__ import annotations

import asyncio
import sys

RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}],"resultType":"complete"}}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(RESULT), RESULT)


class Constant(asyncio.Protocol):
    """A connection whose client sends whole requests, each after the answer to the one before."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        del data
        self._transport.write(ANSWER)


async def main() -> None:
    """Serve until it is killed."""
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
