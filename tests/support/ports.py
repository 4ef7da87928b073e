"""Free loopback ports for servers that cannot be told to listen on port 0.
Who listens there, and what happens when the port is taken after all, is the caller's business."""

from __future__ import annotations

import random
import socket

# Below the range from which Linux takes the ports of outgoing connections (32768-60999), so that no
# client socket of a neighbouring test can sit on a port between our probe and the server's bind.
_LOWEST, _HIGHEST = 12_000, 30_000


def free_ports(count: int) -> tuple[int, ...]:
    """`count` different TCP ports on 127.0.0.1 that nobody listened on a moment ago."""
    # SystemRandom: pytest-randomly seeds `random` alike in every xdist worker, which would collide.
    chance = random.SystemRandom()
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", chance.randint(_LOWEST, _HIGHEST)))
            except OSError:
                candidate.close()
                continue
            held.append(candidate)
        return tuple(one.getsockname()[1] for one in held)
    finally:
        for one in held:
            one.close()


def free_port() -> int:
    """One port as `free_ports` gives it."""
    return free_ports(1)[0]
