"""A TCP proxy that can cut connections and slow them, as a network does."""

import contextlib
import socket
import threading
import time


class Proxy:
    """Forwards what comes to `address` on to `target` ("host:port").

    While `cut` is set every connection is dropped and no new one lives; `slow_s` is the time that each piece of data
    waits; `passed` counts the bytes that came from clients.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = False
        self.slow_s = 0.0
        self.passed = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def cut_now(self) -> int:
        """Drop what is open and whatever comes, until `cut` is cleared; return how many connections were open."""
        self.cut = True
        with self._lock:
            open_connections = len(self._open) // 2
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        return open_connections

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_now()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        if self.cut:
            self.cut_now()
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        self._pump(client, server, counted=True)
        back.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, *, counted: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    with self._lock:
                        self.passed += len(data)
                if self.slow_s:
                    time.sleep(self.slow_s)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
