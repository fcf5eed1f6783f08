"""A proxy that knows CONNECT and nothing else, in a thread."""

import contextlib
import socket
import threading
from collections.abc import Mapping


def connect_proxy(hosts: Mapping[str, str], *, refusal: str = "403 Forbidden") -> str:
    """Its URL. `hosts`: where it leads those that it lets through; the others get `refusal`. It ends with the
    process."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(
        target=_serve, args=(listener, hosts, refusal), name="connect proxy", daemon=True
    ).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _serve(listener: socket.socket, hosts: Mapping[str, str], refusal: str) -> None:
    while True:
        caller, _ = listener.accept()
        threading.Thread(target=_relay, args=(caller, hosts, refusal), daemon=True).start()


def _relay(caller: socket.socket, hosts: Mapping[str, str], refusal: str) -> None:
    with caller, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            head += caller.recv(4_096)
        host, _, port = head.split()[1].decode().rpartition(":")
        if host not in hosts:
            caller.sendall(f"HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n".encode())
            return
        with socket.create_connection((hosts[host], int(port))) as there:
            caller.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(there, caller), daemon=True)
            back.start()
            _pump(caller, there)
            back.join()


def _pump(source: socket.socket, drain: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            drain.sendall(data)
        drain.shutdown(socket.SHUT_WR)


def mute_server() -> int:
    """The port of a server that takes connections and drops them. It ends with the process."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_drop, args=(listener,), name="mute server", daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def _drop(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()
