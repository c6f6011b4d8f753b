"""A small fleet in one process: the public API in memory, over a log in a file that stands for S3.

It can be killed, started again, and made to restore wrongly, so that every check of a drill has something to find. With
`--aws` it follows EC2: a shard without a running instance is lost until a new one has run for `--boot` seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3

FLAWS = ("none", "lose", "resurrect", "stale", "phantom", "answers")
Document = dict[str, Any]


def shard_of(source_id: str, shards: int) -> int:
    return int(hashlib.sha256(source_id.encode()).hexdigest(), 16) % shards


def content_hash(title: str, text: str) -> str:
    return hashlib.sha256(title.encode() + b"\0" + text.encode()).hexdigest()


class Log:
    """The truth: one line per commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[list[Document]] = []
        if path.exists():
            self.entries = [json.loads(line) for line in path.read_text().splitlines()]

    def append(self, documents: list[Document]) -> int:
        with self.path.open("a") as file:
            file.write(json.dumps(documents) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(documents)
        return len(self.entries)


def flawed(entries: list[tuple[int, int, Document]], flaw: str, count: int) -> list[tuple[int, int, Document]]:
    """
    Return the rows of a restore that forgets or invents something about the observer's notes.

    The oldest notes are chosen: the replies to the newest may be lost, and their writes count as unknown.
    """
    notes = [index for index, (_, _, document) in enumerate(entries) if "/note/" in document["source_id"]]
    live = {entries[index][2]["source_id"]: index for index in notes}
    seen: set[str] = set()
    upserts_again = []
    for index in notes:
        source_id = entries[index][2]["source_id"]
        if source_id in seen and not entries[index][2].get("delete") and live[source_id] == index:
            upserts_again.append(index)
        seen.add(source_id)
    created = [i for i in live.values() if not entries[i][2].get("delete") and i not in upserts_again]
    deletes = [i for i in live.values() if entries[i][2].get("delete")]
    drop = {"lose": created, "stale": upserts_again, "resurrect": deletes}.get(flaw, [])[:count]
    if flaw == "phantom":
        position, item, document = entries[created[0]]
        entries[created[0]] = (position, item, document | {"text": "words that nobody wrote"})
    if flaw == "answers":
        drop = [index for index, (_, _, document) in enumerate(entries) if document["source_id"].startswith("aws/")]
    return [entry for index, entry in enumerate(entries) if index not in drop]


class Fleet:
    def __init__(self, log: Log, shards: int, flaw: str, flaw_count: int) -> None:
        self.log = log
        self.shards = shards
        self.flaw = flaw
        self.flaw_count = flaw_count
        self.lock = threading.RLock()
        self.rows: list[dict[str, Document] | None] = [{} for _ in range(shards)]
        self.instances: list[list[dict[str, Any]]] = [[] for _ in range(shards)]
        self.hang = threading.Event()

    def restore(self, shard: int, flaw: str) -> None:
        with self.lock:
            rows: dict[str, Document] = {}
            for position, item, document in flawed(self._entries(shard), flaw, self.flaw_count):
                self._apply(rows, position, item, document)
            self.rows[shard] = rows

    def has_something_to_forget(self, shard: int) -> bool:
        """Return whether a restore with the flaw would differ from one without it."""
        with self.lock:
            entries = self._entries(shard)
            return self.flaw == "none" or flawed(entries, self.flaw, self.flaw_count) != entries

    def _entries(self, shard: int) -> list[tuple[int, int, Document]]:
        return [
            (position, item, document)
            for position, documents in enumerate(self.log.entries, start=1)
            for item, document in enumerate(documents)
            if shard_of(document["source_id"], self.shards) == shard
        ]

    def lose(self, shard: int) -> None:
        with self.lock:
            self.rows[shard] = None

    def _apply(self, rows: dict[str, Document], position: int, item: int, document: Document) -> None:
        if document.get("delete"):
            rows.pop(document["source_id"], None)
        else:
            rows[document["source_id"]] = document | {"position": position, "item": item}

    def write(self, documents: list[Document]) -> tuple[int, Any]:
        with self.lock:
            position = self.log.append(documents)
            for item, document in enumerate(documents):
                rows = self.rows[shard_of(document["source_id"], self.shards)]
                if rows is not None:
                    self._apply(rows, position, item, document)
        results = [{"source_id": d["source_id"], "item": item} for item, d in enumerate(documents)]
        return 200, {"position": position, "results": results}

    def search(self, body: Document) -> tuple[int, Any]:
        words = set(body["text"].lower().split())
        with self.lock:
            answered = [rows for rows in self.rows if rows is not None]
            found = [(len(words & set(d["text"].lower().split())), d) for rows in answered for d in rows.values()]
        if not answered or (body.get("min_position") and len(answered) < self.shards):
            return 503, {"title": "Service Unavailable", "status": 503, "detail": "not every shard answers"}
        best = sorted(found, key=lambda pair: -pair[0])[: body.get("k", 10)]
        hits = [{"source_id": d["source_id"], "title": d["title"], "text": d["text"], "score": n} for n, d in best]
        partial = len(answered) < self.shards
        counts = {"shards_total": self.shards, "shards_answered": len(answered), "partial": partial}
        return 200, {"hits": hits, "position": len(self.log.entries), **counts}

    def lookup(self, body: Document) -> tuple[int, Any]:
        documents: dict[str, Any] = {}
        with self.lock:
            for source_id in body["source_ids"]:
                rows = self.rows[shard_of(source_id, self.shards)]
                if rows is None:
                    return 503, {"title": "Service Unavailable", "status": 503, "detail": "a shard is missing"}
                documents[source_id] = self._place(rows.get(source_id))
        return 200, {"position": len(self.log.entries), "documents": documents}

    def _place(self, row: Document | None) -> Document | None:
        if row is None:
            return None
        place = {"position": row["position"], "item": row["item"]}
        return place | {"content_hash": content_hash(row["title"], row["text"])}

    def status(self) -> tuple[int, Any]:
        with self.lock:
            shards = [{"shard": n, "replicas": self.instances[n]} for n in range(self.shards)]
        return 200, {"fleet": "fake", "slot": "blue", "build": "b1", "head": len(self.log.entries), "shards": shards}


class FollowsEc2(threading.Thread):
    """Loses and restores shards as their instances end and start."""

    def __init__(self, fleet: Fleet, endpoint: str, name: str, boot_seconds: float) -> None:
        super().__init__(daemon=True)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self.fleet = fleet
        self.of_fleet = name
        self.ec2: Any = boto3.client("ec2", endpoint_url=endpoint, **keys)
        self.boot_seconds = boot_seconds
        self.seen: dict[str, float] = {}
        self.look(0.0)

    def run(self) -> None:
        while True:
            self.look(self.boot_seconds)
            time.sleep(0.1)

    def look(self, boot_seconds: float) -> None:
        pages = self.ec2.describe_instances(Filters=[{"Name": "tag:vectorfleet:fleet", "Values": [self.of_fleet]}])
        found = [i for reservation in pages["Reservations"] for i in reservation["Instances"]]
        for shard in range(self.fleet.shards):
            self.look_at_shard(shard, [i for i in found if self.tag(i, "shard") == str(shard)], boot_seconds)

    def look_at_shard(self, shard: int, found: list[Any], boot_seconds: float) -> None:
        alive = [i for i in found if i["State"]["Name"] == "running"]
        for instance in alive:
            # An instance that runs at the first look has booted long ago.
            self.seen.setdefault(instance["InstanceId"], time.monotonic() if boot_seconds else 0.0)
        ready = [i for i in alive if time.monotonic() - self.seen[i["InstanceId"]] >= boot_seconds]
        with self.fleet.lock:
            if self.fleet.rows[shard] is None and not self.fleet.has_something_to_forget(shard):
                # The observer writes and deletes at random: the shard boots until it can show its flaw.
                ready = []
            if not ready:
                self.fleet.lose(shard)
            elif self.fleet.rows[shard] is None:
                self.fleet.restore(shard, self.fleet.flaw)
            self.fleet.instances[shard] = [self.described(i, i in ready) for i in alive]

    def described(self, instance: Any, ready: bool) -> dict[str, Any]:
        place = {"instance": instance["InstanceId"], "zone": "us-east-1a", "replica": self.tag(instance, "replica")}
        return place | {"ready": ready, "position": 1, "restored_from": "the log alone"}

    @staticmethod
    def tag(instance: Any, name: str) -> str:
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        return str(tags.get(f"vectorfleet:{name}", ""))


class Handler(BaseHTTPRequestHandler):
    fleet: Fleet

    def do_GET(self) -> None:
        self.answer(*self.fleet.status())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/_fake/hang":
            self.fleet.hang.set() if body["hang"] else self.fleet.hang.clear()
            return self.answer(200, {})
        while self.fleet.hang.is_set():
            time.sleep(0.05)
        if self.path == "/v1/documents":
            return self.answer(*self.fleet.write(body["documents"]))
        known = {"/v1/search": self.fleet.search, "/v1/documents/lookup": self.fleet.lookup}
        return self.answer(*known[self.path](body))

    def answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            # The caller has given up; nothing is left to tell.
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--flaw", choices=FLAWS, default="none")
    parser.add_argument("--flaw-count", type=int, default=1, help="in each shard")
    parser.add_argument("--aws")
    parser.add_argument("--fleet", default="fake")
    parser.add_argument("--boot", type=float, default=2.0)
    options = parser.parse_args()
    fleet = Fleet(Log(options.log), options.shards, options.flaw, options.flaw_count)
    for shard in range(options.shards):
        fleet.restore(shard, "none" if options.aws else options.flaw)
        fleet.instances[shard] = [{"instance": f"i-{shard}", "zone": "a", "replica": "a", "ready": True, "position": 1}]
    if options.aws:
        FollowsEc2(fleet, options.aws, options.fleet, options.boot).start()
    Handler.fleet = fleet
    Server(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
