"""The emulator's process: moto with its corrections, the admin API, and the clock that drives both.

It is one process, because the corrections change moto's objects in place and a rehearsal has one state.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from functools import cache
from typing import Any

# moto reads these once, at import.
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
os.environ.setdefault("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")
os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")

from moto.autoscaling.models import autoscaling_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from rehearsal.emulator import corrections
from rehearsal.emulator.account import ACCOUNT, REGION
from rehearsal.emulator.admin import with_admin
from rehearsal.emulator.aws import iam
from rehearsal.emulator.aws.autoscaling import groups, instance_refresh_api, scaling_policies, schedules
from rehearsal.emulator.aws.cloudwatch import alarms, published_metrics
from rehearsal.emulator.aws.ec2 import instances
from rehearsal.emulator.description_cache import with_description_cache
from rehearsal.emulator.faults import Faults, Wsgi, with_faults

HOST = "127.0.0.1"
# Steps that AWS takes by itself, in the order of each second.
_STEPS = (
    (instance_refresh_api.step_all, autoscaling_backends),
    (groups.reconcile_all, autoscaling_backends),
    (schedules.step_all, autoscaling_backends),
    (scaling_policies.step_all, autoscaling_backends),
    (published_metrics.publish_all, cloudwatch_backends),
    (alarms.evaluate_all, cloudwatch_backends),
    (instances.forget_terminated, ec2_backends),
)
_log = logging.getLogger(__name__)


class PortInUseError(Exception):
    """Another process listens on the port."""


def application() -> Wsgi:
    """Return the WSGI application: admin API, then faults, then the description cache, then moto."""
    faults = Faults()
    inner = DomainDispatcherApplication(create_backend_app)
    # Moto lists its folders and tries some hundred patterns for each request, under one lock. The hosts are few.
    inner.get_backend_for_host = cache(inner.get_backend_for_host)
    return with_admin(with_faults(with_description_cache(inner), faults), faults)


def _keep_ticking(every_seconds: float) -> None:
    """Take every step in every region that is in use, forever."""
    while True:
        for step, backends in _STEPS:
            try:
                for backend in list(backends[ACCOUNT].values()):
                    step(backend)
            except Exception:
                _log.exception("a background step of the emulator failed; it is tried again")
        time.sleep(every_seconds)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as problem:
        listener.close()
        raise PortInUseError(
            f"port {port} on {HOST} can't be used ({problem.strerror}): another emulator may run there; "
            "stop it or choose another --port."
        ) from None
    listener.listen(128)
    return listener


def build(port: int) -> BaseWSGIServer:
    """Return a server on 127.0.0.1:`port`; call it once in a process. Raises PortInUseError."""
    listener = _bind(port)
    corrections.apply()
    server: Any = make_server(
        HOST, port, application(), threaded=True, request_handler=MotoRequestHandler, fd=listener.detach()
    )
    server.daemon_threads = True
    return server  # type: ignore[no-any-return]


def serve(port: int) -> None:
    """Serve until the process ends. Raises PortInUseError."""
    # A line per request costs more than many of the requests themselves.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = build(port)
    iam.warm_up(ACCOUNT)
    threading.Thread(target=_keep_ticking, args=(1.0,), daemon=True, name="clock").start()
    _log.info("emulated AWS on http://%s:%d, account %s, region %s", HOST, port, ACCOUNT, REGION)
    server.serve_forever()
