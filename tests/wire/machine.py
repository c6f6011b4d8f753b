"""
An Amazon Linux machine as a folder: what cloud-init would write, and stand-ins for what a container doesn't have.

The bootstrap, its downloads, digests, virtual environment and the service are real. Stand-ins are instance metadata,
the AWS command line (its copies come from the emulator), systemctl, dnf, sleep, users and owners; each notes its calls.
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.wire.service_fleet import aws_environment

FLAGS = "flags\t\t: fpu sse4_2 avx avx2 bmi1 bmi2 f16c fma abm movbe xsave\n"
NOTE = 'printf "%s %s\\n" "$(basename "$0")" "$*" >>"$VECTORFLEET_ROOT/calls"\n'
PASSING = "#!/bin/bash\n" + NOTE
CURL = '#!/bin/bash\nexec {curl} "${{@/http:\\/\\/169.254.169.254/{stub}}}"\n'
SLEEP = f"#!/bin/bash\n{NOTE}exec /bin/sleep 0.05\n"
USERS = f'#!/bin/bash\n{NOTE}[ "$(basename "$0")" = useradd ] || grep -q "^useradd" "$VECTORFLEET_ROOT/calls"\n'
AWS = """#!{python}
import os, sys
with open(os.environ["VECTORFLEET_ROOT"] + "/calls", "a") as calls:
    print("aws", *sys.argv[1:], file=calls)
if sys.argv[1] == "s3":
    import boto3, botocore.exceptions
    bucket, _, key = sys.argv[-2].removeprefix("s3://").partition("/")
    try:
        boto3.client("s3").download_file(bucket, key, sys.argv[-1])
    except botocore.exceptions.ClientError as error:
        sys.exit(str(error))
"""
# Starts what the unit says, as systemd would: its environment file, its log, a socket for notices.
SYSTEMCTL = """#!{python}
import os, pathlib, shlex, signal, subprocess, sys
root = pathlib.Path(os.environ["VECTORFLEET_ROOT"])
with (root / "calls").open("a") as calls:
    print("systemctl", *sys.argv[1:], file=calls)
pid = root / "pid"
if sys.argv[1] in ("start", "restart") and (sys.argv[1] == "restart" or not pid.exists()):
    if pid.exists():
        os.killpg(int(pid.read_text()), signal.SIGKILL)
    text = (root / "etc/systemd/system" / sys.argv[-1]).read_text()
    unit = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    lines = pathlib.Path(unit["EnvironmentFile"]).read_text().splitlines()
    own = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    cloud = {{name: value for name, value in os.environ.items() if name.startswith("AWS_")}}
    watch = {{"NOTIFY_SOCKET": str(root / "notify"), "WATCHDOG_USEC": unit["WatchdogSec"] + "000000"}}
    with open(unit["StandardOutput"].removeprefix("append:"), "ab") as log:
        child = subprocess.Popen(
            shlex.split(unit["ExecStart"]), env={{**cloud, **watch, **own}}, cwd=unit["WorkingDirectory"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )
    pid.write_text(str(child.pid))
"""


class _Metadata(http.server.BaseHTTPRequestHandler):
    """Instance metadata that wants a token, as launch templates demand."""

    values: Mapping[str, str] = {}

    def do_PUT(self) -> None:
        self._answer("token" if self.path == "/latest/api/token" else None)

    def do_GET(self) -> None:
        known = self.headers.get("X-aws-ec2-metadata-token") == "token"
        self._answer(self.values.get(self.path.removeprefix("/latest/meta-data/")) if known else None)

    def _answer(self, value: str | None) -> None:
        body = (value or "").encode()
        self.send_response(404 if value is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's own assertions speak."""


@dataclass
class Machine:
    """One machine; `root` is its file system. Close it to end its metadata and its service."""

    root: Path
    endpoint: str
    metadata: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        handler = type("Metadata", (_Metadata,), {"values": self.metadata})
        self._imds = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._imds.serve_forever, args=(0.05,), daemon=True).start()
        (self.root / "proc").mkdir(parents=True)
        (self.root / "proc/cpuinfo").write_text(FLAGS)
        (self.root / "calls").touch()
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(str(self.root / "notify"))
        self.notices.settimeout(30)
        self._stand_ins()

    def _stand_ins(self) -> None:
        stub = f"http:\\/\\/127.0.0.1:{self._imds.server_address[1]}"
        scripts = {
            "curl": CURL.format(curl=shutil.which("curl"), stub=stub),
            "aws": AWS.format(python=sys.executable),
            "systemctl": SYSTEMCTL.format(python=sys.executable),
            "sleep": SLEEP,
            "id": USERS,
            "useradd": USERS,
            **dict.fromkeys(("dnf", "chown", "logrotate"), PASSING),
        }
        for name, script in scripts.items():
            self.place(f"bin/{name}", script, mode=0o755)
        # The packages of dnf and the agent are present, as the check finds.
        (self.root / "bin/python3.11").symlink_to(Path(sys.executable).resolve())
        agent = "opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
        self.place(agent, PASSING, mode=0o755)

    def place(self, path: str, content: str, *, mode: int = 0o644) -> Path:
        """Write one file of the machine."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(mode)
        return target

    def launch(self, user_data: str) -> None:
        """Write the files of user data, as cloud-init does first."""
        config = json.loads(base64.b64decode(user_data).decode().partition("\n")[2])
        for one in config["write_files"]:
            self.place(one["path"], one["content"], mode=int(one["permissions"], 8))
        (self._command,) = config["runcmd"]

    def boot(self) -> subprocess.CompletedProcess[str]:
        """Run the command of user data to its end."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
            **aws_environment(self.endpoint),
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "VECTORFLEET_ROOT": str(self.root),
        }
        command = [str(self.root) + self._command[0], *self._command[1:]]
        return subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240
        )

    @property
    def calls(self) -> list[str]:
        """Return the calls of the stand-ins, in order."""
        return (self.root / "calls").read_text().splitlines()

    @cached_property
    def unit(self) -> str:
        """The service's unit, once it is written."""
        return (self.root / "etc/systemd/system/vectorfleet.service").read_text()

    def close(self) -> None:
        """End what runs."""
        self._imds.shutdown()
        self._imds.server_close()
        self.notices.close()
        if (self.root / "pid").exists():
            with suppress(ProcessLookupError):  # a service that didn't start is gone already
                os.killpg(int((self.root / "pid").read_text()), signal.SIGKILL)
