"""A wire to Postgres that can lose an answer: the statement was carried out, and its sender does not know."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class LossyWire:
    """Listens on loopback and passes everything on to the Unix socket of ``dsn``.

    After ``lose_answer_to(marker)``, the first message that contains the marker is passed on, its answer is thrown
    away and the connection is cut.
    """

    def __init__(self, dsn: str) -> None:
        self._target = str(Path(str(conninfo_to_dict(dsn)["host"])) / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self._listener.getsockname()[1])
        self._marker: bytes | None = None
        self.lost = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def lose_answer_to(self, marker: bytes) -> None:
        self._marker = marker

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        cut = threading.Event()
        back = threading.Thread(target=self._back, args=(server, client, cut))
        back.start()
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if self._marker and self._marker in data:
                    self._marker = None
                    cut.set()
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        back.join()
        for end in (client, server):
            end.close()

    def _back(self, server: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if cut.is_set():
                    self.lost += 1
                    break
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
