"""Publishes model bundles in the object store, points to the current one, and reads them."""

import hashlib
import itertools
import re
from pathlib import Path

from google.protobuf import text_format
from pydantic import ValidationError

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import (
    CURRENT_KEY,
    FEATURE_SCHEMA_FILE,
    MANIFEST_FILE,
    SERVER_CONFIG_KEY,
    Current,
    FeatureSchema,
    Manifest,
    VersionRef,
    bundle_key,
)
from dermis.shared.ports import BlobConflict, BlobStore

_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


def publish(store: BlobStore, folder: Path) -> Manifest:
    """Put the bundle in `folder` into the store, the manifest last: who finds the manifest finds everything.

    INVALID if a file is missing, changed or not listed in the manifest, or the feature schema is another one;
    `BlobConflict` if that version is there with other content. Publishing the same bundle again changes nothing.
    """
    manifest = parse_manifest((folder / MANIFEST_FILE).read_bytes(), f"{folder.name}/{MANIFEST_FILE}")
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST_FILE}
    if stray := sorted(paths ^ set(manifest.files)):
        raise _invalid(f"bundle {folder.name}: {stray} must be both in the folder and in the manifest's files")
    files = {path: (folder / path).read_bytes() for path in sorted(paths)}
    for path, data in files.items():
        if (digest := hashlib.sha256(data).hexdigest()) != manifest.files[path]:
            raise _invalid(
                f"bundle {folder.name}: {path} has SHA-256 {digest}, the manifest says {manifest.files[path]}"
            )
    _parse_feature_schema(files.get(FEATURE_SCHEMA_FILE, b""), manifest)
    if manifest.outliers and manifest.outliers.file not in files:
        raise _invalid(
            f"bundle {folder.name}: there is no {manifest.outliers.file}, which the manifest's outliers name"
        )
    for path, data in files.items():
        store.put_once(f"{manifest.key}/{path}", data)
    store.put_once(f"{manifest.key}/{MANIFEST_FILE}", (folder / MANIFEST_FILE).read_bytes())
    return manifest


def models_root_of(store_url: str) -> str:
    """Return where TensorFlow Serving reads a store's models: a bucket by its URL, a folder as containers mount it."""
    return f"{store_url.partition('?')[0].rstrip('/')}/models" if store_url.startswith("gs://") else "/store/models"


def point(
    store: BlobStore,
    ref: VersionRef,
    *,
    models_root: str = "/store/models",
    over: VersionRef | None = None,
    first: bool = False,
) -> Current:
    """Make `ref` current: first models.config with the new, the current and the previous version, then the pointer.

    `models_root` is where TensorFlow Serving sees the store's models/ folder: the store mounted at /store, or
    gs://bucket/prefix/models; the twin does not read it. `BlobNotFound` without such a bundle; INVALID if one of its
    files was changed; `BlobConflict` if someone else moved the pointer meanwhile, `over`, where given, is not what is
    current, or `first` and any version is. Pointing back is pointing to the previous version. A canary ends with it,
    as it was compared with what was current; a shadow stays, unless it becomes current itself.
    """
    check_digests(store, read_manifest(store, ref))
    standing = store.get_versioned(CURRENT_KEY)
    pointer = _parse_current(standing.data) if standing.generation else None
    if (first and pointer) or (over is not None and (pointer is None or pointer.current != over)):
        raise BlobConflict(CURRENT_KEY)
    _configure(store, {ref, *(pointer.roles if pointer else ())}, models_root)
    if pointer and pointer.current == ref:
        return pointer
    shadow = pointer.shadow if pointer and pointer.shadow != ref else None
    current = Current(current=ref, previous=pointer.current if pointer else None, shadow=shadow)
    _replace(store, current, generation=standing.generation)
    return current


def stage(store: BlobStore, pointer: Current, *, over: Current, models_root: str = "/store/models") -> None:
    """Move the pointer from `over` to one with another shadow or canary; what is new is in models.config before.

    INVALID if a file of a new version was changed; `BlobConflict` if the pointer is not `over`.
    """
    for ref in pointer.roles.keys() - over.roles.keys():
        check_digests(store, read_manifest(store, ref))
    standing = store.get_versioned(CURRENT_KEY)
    if not standing.generation or _parse_current(standing.data) != over:
        raise BlobConflict(CURRENT_KEY)
    _configure(store, {*pointer.roles, *over.roles}, models_root)
    _replace(store, pointer, generation=standing.generation)


def unstage(store: BlobStore, pointer: Current, *, over: Current) -> None:
    """Move the pointer from `over` to one with less in it.

    models.config keeps what a worker may still be using until the next version comes. `BlobConflict` if the pointer is
    not `over`.
    """
    standing = store.get_versioned(CURRENT_KEY)
    if not standing.generation or _parse_current(standing.data) != over:
        raise BlobConflict(CURRENT_KEY)
    _replace(store, pointer, generation=standing.generation)


def _replace(store: BlobStore, pointer: Current, *, generation: int) -> None:
    """Write the pointer without what it lacks: a worker of an older release refuses fields that it does not know."""
    store.replace(CURRENT_KEY, pointer.model_dump_json(exclude_none=True).encode(), generation=generation)


def check_digests(store: BlobStore, manifest: Manifest) -> None:
    """Raise INVALID if a file of a bundle in the store is not the one that its manifest names.

    No server is to load it.
    """
    for path, digest in manifest.files.items():
        if hashlib.sha256(store.get(f"{manifest.key}/{path}")).hexdigest() != digest:
            raise _invalid(
                f"{manifest.key}/{path} was changed since it was published; publish the bundle as another version"
            )


def read_current(store: BlobStore) -> Current:
    """Return the pointer.

    UNAVAILABLE as long as no version is current, or the pointer is broken: cases wait until it is mended.
    """
    pointer = store.get_versioned(CURRENT_KEY)
    if not pointer.generation:
        raise DermisError(
            Kind.UNAVAILABLE, "NO_CURRENT_MODEL", f"no {CURRENT_KEY} in the store; publish a bundle and point to it"
        )
    return _parse_current(pointer.data)


def _parse_current(data: bytes) -> Current:
    try:
        return Current.model_validate_json(data)
    except ValidationError as error:
        detail = (
            f"{CURRENT_KEY}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}; delete it, then promote a version"
        )
        raise DermisError(Kind.UNAVAILABLE, "CURRENT_BROKEN", detail) from error


def read_manifest(store: BlobStore, ref: VersionRef) -> Manifest:
    """Return a version's manifest; `BlobNotFound` if it is not (yet) published."""
    key = f"{bundle_key(ref.name, ref.version)}/{MANIFEST_FILE}"
    manifest = parse_manifest(store.get(key), key)
    if (manifest.name, manifest.version) != (ref.name, ref.version):
        raise _invalid(f"{key} is the manifest of {manifest.name} {manifest.version}")
    return manifest


def read_feature_schema(store: BlobStore, ref: VersionRef) -> FeatureSchema:
    """Return the feature schema that a version's manifest names."""
    manifest = read_manifest(store, ref)
    return _parse_feature_schema(store.get(f"{manifest.key}/{FEATURE_SCHEMA_FILE}"), manifest)


def versions(store: BlobStore) -> list[VersionRef]:
    """Return every published version, by name and number."""
    keys = (key.split("/") for key in store.list("models/"))
    refs = [
        VersionRef(name=key[1], version=int(key[2]))
        for key in keys
        if len(key) == 4 and key[3] == MANIFEST_FILE and _NUMBER.fullmatch(key[2])
    ]
    return sorted(refs, key=lambda ref: (ref.name, ref.version))


def _configure(store: BlobStore, refs: set[VersionRef], models_root: str) -> None:
    config = pb.ModelServerConfig()
    by_name = itertools.groupby(sorted(refs, key=lambda ref: (ref.name, ref.version)), key=lambda ref: ref.name)
    for name, versions in by_name:
        entry = config.model_config_list.config.add(
            name=name, base_path=f"{models_root}/{name}", model_platform="tensorflow"
        )
        entry.model_version_policy.specific.versions.extend(ref.version for ref in versions)
    text = text_format.MessageToString(config).encode()
    standing = store.get_versioned(SERVER_CONFIG_KEY)
    if standing.data != text:
        store.replace(SERVER_CONFIG_KEY, text, generation=standing.generation)


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Return the manifest in `data`; INVALID, naming `where`, if it is none."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise _invalid(f"{where}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from error


def _parse_feature_schema(data: bytes, manifest: Manifest) -> FeatureSchema:
    try:
        schema = FeatureSchema.model_validate_json(data)
    except ValidationError as error:
        raise _invalid(
            f"{manifest.key}/{FEATURE_SCHEMA_FILE}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
        ) from error
    if schema.id != manifest.feature_schema:
        raise _invalid(
            f"{manifest.key}/{FEATURE_SCHEMA_FILE} is {schema.id}, the manifest says {manifest.feature_schema}"
        )
    return schema


def _invalid(detail: str) -> DermisError:
    return DermisError(Kind.INVALID, "BUNDLE_INVALID", detail)
