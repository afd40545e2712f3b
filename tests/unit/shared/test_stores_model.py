"""The store on disk does what the plain model in memory does, whatever the order of calls."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dermis.shared.errors import DermisError
from dermis.shared.ports import BlobStore
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore

# Names around the slash in byte order ("!" and "." before it, "0" after); no leaf is a folder's name.
folders = st.lists(st.sampled_from(["a", "a!", "a.", "a0", "é"]), max_size=3)
leaves = st.sampled_from(["b", "a-", "a1", "b!", "ﬀ", "😀"])
keys = st.builds(lambda path, leaf: "/".join([*path, leaf]), folders, leaves)
prefixes = keys.flatmap(lambda key: st.integers(0, len(key)).map(lambda end: key[:end])).filter(
    lambda prefix: not prefix.endswith("//")
)
afters = st.one_of(st.just(""), keys, prefixes, st.text("a!./0é😀", max_size=6))
contents = st.sampled_from([b"", b"1", b"2"])


class Both(RuleBasedStateMachine):
    """Each rule asks both stores and compares what they say; generations are compared by what they allow."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.stores: tuple[BlobStore, BlobStore] = (MemoryStore(), DiskStore(self.folder))
        self.seen: dict[str, tuple[int, ...]] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @rule(key=keys, data=contents)
    def put_once(self, key: str, data: bytes) -> None:
        self.agree(lambda store: store.put_once(key, data))

    @rule(key=keys)
    def get(self, key: str) -> None:
        self.agree(lambda store: store.get(key))

    @rule(key=keys)
    def look(self, key: str) -> None:
        found = [store.get_versioned(key) for store in self.stores]
        assert found[0].data == found[1].data
        assert (found[0].generation == 0) == (found[1].generation == 0)
        self.seen[key] = tuple(each.generation for each in found)

    @rule(key=keys, data=contents)
    def replace(self, key: str, data: bytes) -> None:
        generations = iter(self.seen.get(key, (0, 0)))
        self.agree(lambda store: store.replace(key, data, generation=next(generations)) > 0)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.agree(lambda store: store.delete(key))

    @rule(prefix=prefixes, after=afters)
    def list(self, prefix: str, after: str) -> None:
        self.agree(lambda store: [*store.list(prefix, after=after)])

    @invariant()
    def hold_the_same(self) -> None:
        if hasattr(self, "stores"):
            self.agree(lambda store: [*store.list("")])

    def agree(self, call: Any) -> None:
        assert answer(call, self.stores[0]) == answer(call, self.stores[1])


def answer(call: Any, store: BlobStore) -> object:
    try:
        return call(store)
    except DermisError as error:
        return type(error), error.reason


Both.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestBoth = Both.TestCase
