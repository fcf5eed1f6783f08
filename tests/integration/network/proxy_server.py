"""A real HTTP proxy on loopback: CONNECT, and requests by their whole URL. It may want a password, refuse,
be silent or die. Like proxies at large it looks names up itself."""

import asyncio
import re
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

Behaviour = Literal[
    "serve", "forbid", "fail", "hang", "die", "die_in_handshake", "hang_in_handshake", "babble"
]
USER, PASSWORD = "me", "proxy-hush-hush"
_REFUSALS = {
    "forbid": b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
    "fail": b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
    "babble": b"220 mail.example ESMTP\r\n\r\n",
}
_UNKNOWN = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"


class ProxyServer:
    """`heads`: of every request, as they came. `wire`: every byte that clients sent. `open`: how many
    connections there are."""

    def __init__(self, hosts: Mapping[str, tuple[str, int]], *, password: bool) -> None:
        self.behaviour: Behaviour = "serve"
        self.heads: list[bytes] = []
        self.wire = b""
        self.open = 0
        self.port = 0
        self._hosts = hosts
        token = b64encode(f"{USER}:{PASSWORD}".encode())
        self._password = b"\r\nproxy-authorization: Basic " + token + b"\r\n" if password else b"\r\n"
        self._with_user = f"{USER}:{PASSWORD}@" if password else ""

    @property
    def url(self) -> str:
        return f"http://{self._with_user}127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        """The first line of each request."""
        return [head.partition(b"\r\n")[0].decode() for head in self.heads]

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            with suppress(OSError, EOFError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self.open -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await self._head(reader)
        if self.behaviour == "die":
            return
        if self.behaviour == "hang":
            await reader.read()
            return
        refusal = _REFUSALS.get(self.behaviour) or (None if self._password in head else _UNKNOWN)
        if refusal:
            writer.write(refusal)
            await writer.drain()
            return
        method, target = head.split(b" ", 2)[:2]
        url = urlsplit(f"//{target.decode()}" if method == b"CONNECT" else target.decode())
        host, port = self._hosts.get(url.hostname or "", (url.hostname or "", url.port or 80))
        there = await asyncio.open_connection(host, port)
        try:
            if method == b"CONNECT":
                await self._tunnel(reader, writer, *there)
            else:
                await self._forward(head, reader, writer, *there)
        finally:
            there[1].close()

    async def _tunnel(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        origin: asyncio.StreamReader,
        to_origin: asyncio.StreamWriter,
    ) -> None:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if self.behaviour.endswith("in_handshake"):
            self.wire += await reader.read(100)
            if self.behaviour == "hang_in_handshake":
                await reader.read(-1)
            return
        back = asyncio.ensure_future(_pump(origin, writer))
        try:
            while data := await reader.read(65_536):
                self.wire += data
                to_origin.write(data)
                await to_origin.drain()
        finally:
            back.cancel()

    async def _forward(
        self,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        origin: asyncio.StreamReader,
        to_origin: asyncio.StreamWriter,
    ) -> None:
        back = asyncio.ensure_future(_pump(origin, writer))
        try:
            while True:
                method, target, rest = head.split(b" ", 2)
                path = target[target.index(b"/", len(b"http://")) :]
                kept = re.sub(rb"(?im)^proxy-authorization:.*\r\n", b"", rest)
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self.wire += body
                to_origin.write(b" ".join((method, path, kept)) + body)
                head = await self._head(reader)
        finally:
            back.cancel()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        self.wire += head
        return head


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


@contextmanager
def proxy_server(
    hosts: Mapping[str, tuple[str, int]] | None = None, *, password: bool = False
) -> Iterator[ProxyServer]:
    """In a thread of its own. `hosts`: where names lead that no DNS knows."""
    server = ProxyServer(hosts or {}, password=password)
    ready, over = threading.Event(), asyncio.Event()
    runner = asyncio.Runner()

    async def serve() -> None:
        listener = await asyncio.start_server(server, "127.0.0.1", 0, limit=1 << 20)
        server.port = listener.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        listener.close()

    def run() -> None:
        with runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="proxy")
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        runner.get_loop().call_soon_threadsafe(over.set)
        thread.join()
