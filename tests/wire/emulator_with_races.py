"""Serves the emulator with a thread switch every 10 µs, so that a missing lock shows."""

from __future__ import annotations

import sys

from rehearsal.emulator import objects, security_groups, server

if __name__ == "__main__":
    if "--without-locks" in sys.argv:
        objects._locked = lambda plain: plain
        security_groups._alone = lambda plain: plain
    sys.setswitchinterval(1e-5)
    server.serve(int(sys.argv[1]))
