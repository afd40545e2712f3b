"""Keys under which runs, versions and evaluations lie in the store, and a version by its name."""

from dermis.shared.bundles import read_manifest
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Manifest, VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore

EVALUATIONS = "evaluations/"
DIGEST_LENGTH = 16


def parse_ref(text: str, *, name: str) -> VersionRef:
    """Read NAME/VERSION, or VERSION alone of model `name`."""
    model, _, version = text.rpartition("/")
    if not version.isdigit() or int(version) < 1 or "/" in model:
        raise DermisError(Kind.INVALID, "VERSION", f"version {text!r} is not understood; write 3, or {name}/3")
    return VersionRef(name=model or name, version=int(version))


def read_version(store: BlobStore, ref: VersionRef) -> Manifest:
    """Return the manifest of a version; NOT_FOUND if the store has none of that name and number."""
    try:
        return read_manifest(store, ref)
    except BlobNotFound:
        detail = f"version {ref.name}/{ref.version} is not in this store; `dermis models` lists those that are"
        raise DermisError(Kind.NOT_FOUND, "VERSION_NOT_FOUND", detail) from None


def next_version(store: BlobStore, name: str) -> int:
    """Return the number after the highest of which anything lies in the store, published or not."""
    numbers = {key.split("/")[2] for key in store.list(f"models/{name}/")}
    return max((int(number) for number in numbers if number.isdigit()), default=0) + 1


def evaluation_key(data: str, ref: VersionRef) -> str:
    return f"{EVALUATIONS}{data[:DIGEST_LENGTH]}/{ref.name}/{ref.version}"


def evaluated_on(store: BlobStore, ref: VersionRef) -> list[str]:
    """Return the beginnings of the digests of the data sets that a version was evaluated on."""
    keys = (key.split("/") for key in store.list(EVALUATIONS))
    return [key[1] for key in keys if key[2:] == [ref.name, str(ref.version), "predictions.npz"]]
