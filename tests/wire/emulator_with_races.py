"""An emulator with a thread switch every 10 µs, so that a missing lock shows."""

from __future__ import annotations

import sys
from contextlib import nullcontext

from rehearsal.emulator import server
from rehearsal.emulator.aws.ec2 import security_groups
from rehearsal.emulator.aws.s3 import objects

if __name__ == "__main__":
    if "--without-locks" in sys.argv:
        objects.lock_for = lambda bucket, key: nullcontext()  # type: ignore[assignment,return-value]
        security_groups.LOCK = nullcontext()  # type: ignore[assignment]
    sys.setswitchinterval(1e-5)
    server.serve(int(sys.argv[1]))
