"""Snapshots: files of one shard at one position, and a manifest, uploaded last, that vouches for each of them.

A snapshot without a manifest does not exist. If its manifest or files differ from what was written, or if the shard log
does not know it, it is refused by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from service import VERSION
from service.storage.builds import Build, IndexParameters, shard_prefix
from service.storage.collections import DEFAULT_ID, Registry
from service.storage.entry import Damaged
from service.storage.log import Log
from service.storage.objects import NoSuchKey, ObjectStore

# The digest counts documents. In formats 1 to 4 it counts chunks, and no longer compares with anything.
FORMAT = 5
READABLE_FORMATS = (1, 2, 3, 4, 5)
ROWS_FILE = "rows.arrow"
DOWNLOADS_AT_ONCE = 8  # each of them in several parts
_READ_BYTES = 1 << 20


class File(msgspec.Struct, frozen=True):
    name: str
    size_bytes: int
    sha256: str


class Share(msgspec.Struct, frozen=True):
    """One collection's rows, documents and part of the digest.

    `searched` says how its base is searched if its canaries need more than is configured: further, or exactly. Format 3
    had `exact` for the latter.
    """

    rows: int
    documents: int
    digest: str
    exact: bool = False
    searched: IndexParameters | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of a snapshot: the build's rows of one shard at a documents position.

    `entry` and `append_id` name the shard-log entry after which it was taken. `digest` is the order-free digest of its
    live documents. `generation` counts the bases of the shard. `registry` lists the collections, and `shares` each
    one's part by id; manifests of older writers have none.
    """

    format: int = FORMAT
    writer: str = VERSION
    build: Build
    shard: int
    generation: int
    position: int
    entry: int
    append_id: str
    rows: int
    documents: int
    digest: str
    created_ms: int
    files: list[File]
    registry: Registry = Registry()
    shares: dict[int, Share] = {}

    @property
    def counts_documents(self) -> bool:
        """True if its digests count documents, so that they can be compared with those of an index."""
        return self.format >= FORMAT


class _SealedManifest(msgspec.Struct, frozen=True):
    """The manifest's bytes and their sha256, so that a manifest also vouches for itself."""

    sha256: str
    manifest: msgspec.Raw


def file_name(collection: int, name: str) -> str:
    """Return the name of one collection's file in a snapshot."""
    return name if collection == DEFAULT_ID else f"{collection}-{name}"


def prefix_of(build: str, shard: int) -> str:
    """Return the prefix of a shard's snapshots."""
    return f"{shard_prefix(build, shard)}snapshots/"


def name_of(manifest: Manifest) -> str:
    """Return a snapshot's name, unique by position and the contents of every file.

    Two builders of the same rows may make different graphs, and neither may replace the other's under its manifest.
    """
    contents = hashlib.sha256("".join(file.sha256 for file in manifest.files).encode()).hexdigest()
    return f"{manifest.position:020d}-{manifest.digest[:12]}-{contents[:8]}"


def position_of(name: str) -> int | None:
    """Return the documents position in a snapshot's name; None for a folder that no builder made."""
    position = name.split("-")[0]
    return int(position) if position.isdecimal() else None


def file_of(path: Path) -> File:
    """Return the size and sha256 of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            sha.update(block)
    return File(path.name, path.stat().st_size, sha.hexdigest())


def publish(store: ObjectStore, manifest: Manifest, folder: Path) -> str:
    """Upload a snapshot's files from `folder`, then its manifest; return its name."""
    name = name_of(manifest)
    prefix = prefix_of(manifest.build.id, manifest.shard) + name + "/"
    for file in manifest.files:
        store.upload(folder / file.name, prefix + file.name)
    body = msgspec.json.encode(manifest)
    sealed = _SealedManifest(hashlib.sha256(body).hexdigest(), msgspec.Raw(body))
    local = folder / "manifest.json"
    local.write_bytes(msgspec.json.encode(sealed))
    store.upload(local, prefix + local.name)
    return name


def names(store: ObjectStore, build: str, shard: int) -> list[str]:
    """Return the shard's snapshots that have a manifest, newest position first."""
    prefix = prefix_of(build, shard)
    complete = [key for key in store.keys(prefix) if key.endswith("/manifest.json")]
    return sorted((key.removeprefix(prefix).split("/")[0] for key in complete), reverse=True)


def manifest_of(store: ObjectStore, build: Build, shard: int, name: str) -> Manifest:
    """Return a snapshot's manifest if this build and shard may load it.

    Raise Damaged, naming the snapshot and the difference.
    """
    label = f"snapshot {name} of {build.id} shard {shard}"
    try:
        body = store.get(f"{prefix_of(build.id, shard)}{name}/manifest.json").body
    except NoSuchKey as error:
        raise Damaged(f"{label}: its manifest is gone") from error
    manifest = _unsealed(body, label)
    claims: Mapping[str, tuple[object, object]] = {
        "format": (manifest.format in READABLE_FORMATS, True),
        "build": (manifest.build, build),
        "shard": (manifest.shard, shard),
        "name": (name_of(manifest), name),
    }
    for what, (found, wanted) in claims.items():
        if found != wanted:
            raise Damaged(f"{label}: {what} is {found}, expected {wanted}")
    return manifest


def _unsealed(body: bytes, label: str) -> Manifest:
    try:
        sealed = msgspec.json.decode(body, type=_SealedManifest)
        if hashlib.sha256(bytes(sealed.manifest)).hexdigest() != sealed.sha256:
            raise Damaged(f"{label}: the manifest's sha256 differs from the one written")
        return msgspec.json.decode(sealed.manifest, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(f"{label}: the manifest can't be read: {error}") from error


def check_against_log(manifest: Manifest, log: Log) -> None:
    """Raise Damaged if a snapshot's place in the shard log is missing or is another entry's."""
    label = f"snapshot {name_of(manifest)}"
    if manifest.entry == 0:
        return
    try:
        entry = log.read(manifest.entry)
    except NoSuchKey as error:
        raise Damaged(f"{label}: {log.name} has no entry {manifest.entry}: the log is behind it") from error
    if entry.header.append_id != manifest.append_id:
        raise Damaged(
            f"{label}: entry {manifest.entry} of {log.name} is {entry.header.append_id}, not {manifest.append_id}"
        )
    if entry.header.end - 1 != manifest.position:
        raise Damaged(f"{label}: position {manifest.position}, but its entry ends at {entry.header.end - 1}")


def download(store: ObjectStore, manifest: Manifest, folder: Path) -> bool:
    """Download a snapshot's files into `folder` and check each; raise Damaged for the first that differs.

    Return whether all came from the store: a file that was in the folder already proves nothing about the store's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"{prefix_of(manifest.build.id, manifest.shard)}{name_of(manifest)}/"

    def fetch(file: File) -> bool:
        path = folder / file.name
        if path.exists() and file_of(path) == file:
            return False
        try:
            store.download(prefix + file.name, path)
            _check(manifest, file, file_of(path))
        except NoSuchKey as error:
            raise _lost(manifest, file) from error
        except Damaged:
            path.unlink()
            raise
        return True

    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        return all([*pool.map(fetch, manifest.files)])


def verify(store: ObjectStore, manifest: Manifest) -> None:
    """Read and hash every byte of a snapshot, file by file; raise Damaged for the first that differs."""
    prefix = f"{prefix_of(manifest.build.id, manifest.shard)}{name_of(manifest)}/"
    for file in manifest.files:
        sha, size = hashlib.sha256(), 0
        try:
            for block in store.blocks(prefix + file.name):
                sha.update(block)
                size += len(block)
        except NoSuchKey as error:
            raise _lost(manifest, file) from error
        _check(manifest, file, File(file.name, size, sha.hexdigest()))


def _lost(manifest: Manifest, file: File) -> Damaged:
    return Damaged(f"snapshot {name_of(manifest)}: {file.name} is missing")


def _check(manifest: Manifest, written: File, found: File) -> None:
    if found != written:
        raise Damaged(
            f"snapshot {name_of(manifest)}: {written.name} has {found.size_bytes} bytes and sha256 "
            f"{found.sha256[:12]}, written were {written.size_bytes} and {written.sha256[:12]}"
        )
