"""The twin's interfaces to the outside."""

from collections.abc import Callable, Mapping
from typing import Protocol

from dermis.serving.core.signature import Signature
from dermis.shared.manifest import VersionRef
from dermis.shared.tensors import Array


class Runner(Protocol):
    """A loaded version; safe to use from several threads."""

    @property
    def signature(self) -> Signature: ...

    def run(self, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        """Return the named outputs for inputs that fit the signature."""
        ...

    def drain(self) -> None:
        """Wait until no run is under way."""
        ...


Load = Callable[[VersionRef], Runner]
"""Returns a version ready to run; BlobNotFound if the store has no such bundle (yet), a Refusal if it is broken."""
