"""The emulator's process: moto with our corrections, its admin API, and the clock that drives both.

One process on purpose: the corrections change moto's objects in place, and a rehearsal has one state.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
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

from rehearsal.emulator import (
    access_logs,
    activities,
    alarming,
    autoscaling,
    batch_jobs,
    bucket_policies,
    bucket_settings,
    budgets,
    endpoints,
    flow_logs,
    group_metrics,
    group_settings,
    identity,
    instance_refreshes,
    keys,
    launch_templates,
    lifecycle_hooks,
    loadbalancing,
    log_groups,
    mixed_instances,
    monitoring,
    networking,
    object_lock,
    objects,
    published,
    records,
    replication,
    scaling,
    schedules,
    security_groups,
    topics,
    tracking,
)
from rehearsal.emulator.account import ACCOUNT, REGION
from rehearsal.emulator.admin import with_admin
from rehearsal.emulator.answers import with_answers
from rehearsal.emulator.faults import Faults, Wsgi, with_faults

HOST = "127.0.0.1"
_CONCEPTS = (
    identity,
    networking,
    security_groups,
    launch_templates,
    autoscaling,
    group_metrics,
    group_settings,
    activities,
    lifecycle_hooks,
    mixed_instances,
    instance_refreshes,
    objects,
    bucket_policies,
    loadbalancing,
    monitoring,
    alarming,
    access_logs,
    bucket_settings,
    budgets,
    endpoints,
    flow_logs,
    keys,
    log_groups,
    object_lock,
    records,
    replication,
    batch_jobs,
    scaling,
    schedules,
    topics,
)
_log = logging.getLogger(__name__)


class PortInUseError(Exception):
    """Another process listens on the port that was asked for."""


def install() -> None:
    """Apply every correction to moto; once per process."""
    for concept in _CONCEPTS:
        concept.install()


def application() -> Wsgi:
    """The WSGI application: admin API, then faults, then kept answers, then moto."""
    faults = Faults()
    inner = DomainDispatcherApplication(create_backend_app)
    return with_admin(with_faults(with_answers(inner), faults), faults)


_STEPS = (
    (instance_refreshes.step_all, autoscaling_backends),
    (autoscaling.reconcile_all, autoscaling_backends),
    (schedules.step_all, autoscaling_backends),
    (tracking.step_all, autoscaling_backends),
    (published.publish_all, cloudwatch_backends),
    (alarming.evaluate_all, cloudwatch_backends),
    (networking.forget_terminated, ec2_backends),
)


def _keep_ticking(every_seconds: float) -> None:
    """What AWS does by itself, in every region that is in use."""
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
    """A server ready to serve on 127.0.0.1:`port`. Raises PortInUseError."""
    listener = _bind(port)
    install()
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
    identity.warm_up(ACCOUNT)
    threading.Thread(target=_keep_ticking, args=(1.0,), daemon=True, name="clock").start()
    _log.info("emulated AWS on http://%s:%d, account %s, region %s", HOST, port, ACCOUNT, REGION)
    server.serve_forever()
