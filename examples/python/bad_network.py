"""A relay in front of a server that breaks connections when it is told to. It is for trying clients out."""

import socket
import threading
import time

# What the server says passes in small pieces, with a pause after each: however fast it is, there is time to break the
# connection before its last word has passed.
PIECE = 100
PAUSE = 0.004


class BadNetwork:
    """Listens on `address`, and passes everything on until it is told otherwise."""

    def __init__(self, server: str):
        host, port = server.rsplit(":", 1)
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.breaks = 0
        self._lock = threading.Lock()
        # How many bytes of the server's are yet to get lost before the connection breaks; 0 while it is well.
        self._to_lose = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def break_off(self, lost: int = 1) -> None:
        """Breaks a connection, once: the next `lost` bytes that the server says get lost, and all after them."""
        with self._lock:
            self._to_lose = lost

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for way in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, from_server: bool) -> None:
        lost = broken = False
        try:
            while not broken and (data := source.recv(PIECE)):
                if from_server:
                    time.sleep(PAUSE)
                    lost, broken = self._fate(data)
                if not lost:
                    target.sendall(data)
        except OSError:
            # The other way has ended the connection.
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _fate(self, data: bytes) -> tuple[bool, bool]:
        """Whether this gets lost, and whether the connection breaks with it."""
        with self._lock:
            if self._to_lose == 0:
                return False, False
            self._to_lose = max(0, self._to_lose - len(data))
            broken = self._to_lose == 0
            self.breaks += broken
            return True, broken
