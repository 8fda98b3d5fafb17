"""Heartbeats as fast as a broker takes them, from a process of its own: python storm.py PORT GROUP CONNECTIONS

Prints "storming" once all connections are answered; ends when its input does.
"""

import os
import selectors
import socket
import struct
import sys
import threading

import protocol
from protocol import Identity

from clients import wire

IN_FLIGHT = 64


def main() -> None:
    port, group, connections = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    frame = wire.request(
        wire.HEARTBEAT, protocol.HEARTBEAT_VERSION, 1, protocol.heartbeat(Identity(group, 1, "nobody"))
    )
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(frame * IN_FLIGHT)
        selector.register(sock, selectors.EVENT_READ, [0])
    threading.Thread(target=end_with_input, daemon=True).start()
    answered = set()
    size = None
    while True:
        for key, _events in selector.select():
            taken = key.fileobj.recv(1 << 16)
            size = size or 4 + struct.unpack_from(">i", taken)[0]
            whole, key.data[0] = divmod(key.data[0] + len(taken), size)
            key.fileobj.sendall(frame * whole)
            if len(answered) < connections:
                answered.add(key.fd)
                if len(answered) == connections:
                    print("storming", flush=True)


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
