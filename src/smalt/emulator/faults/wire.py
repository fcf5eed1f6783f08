"""Faults of HTTP and of the connection, whatever the answer says."""

import functools
import zlib
from dataclasses import replace
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from smalt.emulator.faults.layers import SENT, Layer, Scene, with_headers
from smalt.emulator.faults.script import Count, Fault, Millis, Whole
from smalt.emulator.refusals import JSON
from smalt.emulator.steps import Close, Data, End, Hang, Head, Reset, Step, Steps, Wait

Where = Literal["before_head", "in_head", "after_head", "in_body"]

_GZIP = 16 + zlib.MAX_WBITS
_HEADER_BYTES = 8_000
_MIB = 1024 * 1024


class CloseIdle(Fault, frozen=True, tag="close_idle"):
    """A kept connection is closed just as a further request arrives on it. The first one is spared."""


class SlowRead(Fault, frozen=True, tag="slow_read"):
    """The body of the request is read slowly."""

    bytes_per_s: Annotated[float, msgspec.Meta(gt=0)] = 1_024.0


class Stop(Layer, frozen=True):
    """The answer breaks off. `chunks`: how many of a stream go out before, with `at: in_body`."""

    at: Where = "after_head"
    chunks: Whole = 1

    DEPTH = SENT
    LAST: ClassVar[Step]

    def play(self, steps: Steps, scene: Scene) -> Steps:
        sent = 0
        for step in steps:
            if isinstance(step, Head) and self.at != "in_body":
                if self.at != "before_head":
                    yield replace(step, part=self.at == "in_head")
                break
            if isinstance(step, End):
                yield Data(step.data[: len(step.data) // 2])
                break
            if isinstance(step, Data):
                if sent == self.chunks:
                    break
                sent += 1
            yield step
        yield self.LAST


class ResetFault(Stop, frozen=True, tag="reset"):
    """The connection is reset."""

    LAST = Reset()


class CloseFault(Stop, frozen=True, tag="close"):
    """The connection is closed: the answer has a length, or chunks, and ends short of them."""

    LAST = Close()


class HangFault(Stop, frozen=True, tag="hang"):
    """Nothing more comes, and the connection stays open."""

    at: Where = "before_head"

    LAST = Hang()


class Delay(Layer, frozen=True, tag="delay"):
    """On top of the resource's own latency and pace."""

    before_head_ms: Millis = 0.0
    between_chunks_ms: Millis = 0.0

    DEPTH = SENT

    def play(self, steps: Steps, scene: Scene) -> Steps:
        for step in steps:
            if isinstance(step, Head):
                yield Wait(self.before_head_ms)
            yield step
            if isinstance(step, Data):
                yield Wait(self.between_chunks_ms)


class Split(Layer, frozen=True, tag="split"):
    """The body goes out in pieces of so many bytes, whatever they cut apart."""

    every_bytes: Count = 7

    DEPTH = SENT

    def play(self, steps: Steps, scene: Scene) -> Steps:
        held, tokens = b"", 0
        for step in steps:
            if not isinstance(step, Data | End):
                yield step
                continue
            held += step.data
            tokens += step.tokens if isinstance(step, Data) else 0
            while len(held) >= self.every_bytes:
                yield Data(held[: self.every_bytes], tokens)
                yield Wait(0)
                held, tokens = held[self.every_bytes :], 0
            if isinstance(step, End):
                yield Data(b"", tokens)
                yield replace(step, data=held)


class Gzip(Layer, frozen=True, tag="gzip"):
    """A correctly compressed answer, whatever the caller accepts."""

    def play(self, steps: Steps, scene: Scene) -> Steps:
        packer = zlib.compressobj(wbits=_GZIP)
        for step in steps:
            match step:
                case Head():
                    yield with_headers(step, drop="content-length", content_encoding="gzip")
                case Data(data, tokens):
                    yield Data(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH), tokens)
                case End(data):
                    yield replace(step, data=packer.compress(data) + packer.flush())
                case _:
                    yield step


class GzipBomb(Layer, frozen=True, tag="gzip_bomb"):
    """Instead of the answer a small body that unpacks to `mib` MiB: an empty JSON object and space."""

    mib: Annotated[int, msgspec.Meta(ge=1, le=1_024)] = 100

    def play(self, steps: Steps, scene: Scene) -> Steps:
        bomb = gzip_bomb(self.mib)
        coding = {"content-encoding": "gzip", "content-length": str(len(bomb))}
        yield from _instead(steps, 200, {**JSON, **coding})
        yield End(bomb, "none")


class Redirect(Layer, frozen=True, tag="redirect"):
    """The caller is sent to another host, on loopback: `localhost`. `to`: a resource; None: the same one."""

    to: str | None = None
    status: Literal[301, 302, 303, 307, 308] = 307

    def play(self, steps: Steps, scene: Scene) -> Steps:
        url = urlsplit(scene.urls[self.to or scene.resource])
        location = f"{url.scheme}://localhost:{url.port}{scene.target}"
        yield from _instead(steps, self.status, {"location": location, "content-length": "0"})
        yield End(b"", "none")


class ContentType(Layer, frozen=True, tag="content_type"):
    """The right body under a wrong name."""

    value: str = "text/html; charset=utf-8"

    def play(self, steps: Steps, scene: Scene) -> Steps:
        for step in steps:
            yield with_headers(step, content_type=self.value) if isinstance(step, Head) else step


class TruncatedJson(Layer, frozen=True, tag="truncated_json"):
    """Only the first half of the body, under the right length for it: complete as HTTP, broken as JSON."""

    ON = "bodies"

    def play(self, steps: Steps, scene: Scene) -> Steps:
        for step in steps:
            match step:
                case Head(headers={"content-length": length}):
                    yield with_headers(step, content_length=str(int(length) // 2))
                case End(data):
                    yield replace(step, data=data[: len(data) // 2])
                case _:
                    yield step


class OldHttp(Layer, frozen=True, tag="http_1_0"):
    """HTTP/1.0: no length, no chunks; the end of the connection is that of the answer."""

    def play(self, steps: Steps, scene: Scene) -> Steps:
        for step in steps:
            if isinstance(step, Head):
                yield replace(with_headers(step, drop="content-length"), version="1.0")
            else:
                yield step


class HugeHead(Layer, frozen=True, tag="huge_head"):
    """Some `kib` KiB of headers more than there should be."""

    kib: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 256

    def play(self, steps: Steps, scene: Scene) -> Steps:
        lines = -(-self.kib * 1_024 // _HEADER_BYTES)
        filler = {f"x-filler-{number}": "x" * _HEADER_BYTES for number in range(lines)}
        for step in steps:
            yield replace(step, headers={**step.headers, **filler}) if isinstance(step, Head) else step


@functools.cache
def gzip_bomb(mib: int) -> bytes:
    packer = zlib.compressobj(level=9, wbits=_GZIP)
    space = b" " * _MIB
    packed = [packer.compress(b"{"), *(packer.compress(space) for _ in range(mib)), packer.compress(b"}")]
    return b"".join([*packed, packer.flush()])


def _instead(steps: Steps, status: int, headers: dict[str, str]) -> Steps:
    """Another head, at its time; nothing of the rest."""
    for step in steps:
        if isinstance(step, Head):
            yield Head(status, headers)
            return
        yield step
