"""Weights of a PyTorch checkpoint as numpy arrays, without torch and without running what a pickle could run.

The layout is that of `torch.save` before 1.6 (torch/serialization.py, `_legacy_load`): three pickles, the state, the
list of storage keys, then each storage as a count and its raw little-endian values.
"""

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from dermis.shared.errors import DermisError, Kind

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_PLACES = ("PUT", "BINPUT", "LONG_BINPUT")
_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@dataclass(slots=True)
class _TensorStorage:
    dtype: str
    size: int
    values: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _TensorStorage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(
    storage: _TensorStorage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    **{("torch", name): dtype for name, dtype in _TYPES.items()},
}


def _load(file: BinaryIO, storages: dict[str, _TensorStorage]) -> Any:
    """Read one pickle, after a look at it without running it.

    A few bytes may ask for gigabytes of places to remember values in.
    """
    start = file.tell()
    for count, (code, argument, _) in enumerate(pickletools.genops(file), start=1):
        if code.name in _PLACES and int(argument or 0) > count:
            raise pickle.UnpicklingError("it remembers values at places far from each other")
    file.seek(start)
    return _TensorUnpickler(file, storages).load()


class _TensorUnpickler(pickle.Unpickler):
    """Knows tensors of numbers in ordered dictionaries, and nothing else."""

    def __init__(self, file: BinaryIO, storages: dict[str, _TensorStorage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no tensor")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _TensorStorage:
        kind, dtype, key, _, size, *_rest = pid
        if kind != "storage" or dtype not in _TYPES.values():
            raise pickle.UnpicklingError(f"it holds a {kind!r} of {dtype!r}")
        return self._storages.setdefault(str(key), _TensorStorage(dtype, int(size)))


def read_weights(data: bytes, name: str) -> dict[str, npt.NDArray[np.float32]]:
    """Return a state dict's tensors by name, counters apart.

    INVALID if the file is of another layout, cut off, or holds anything else.
    """
    file, storages = io.BytesIO(data), dict[str, _TensorStorage]()
    try:
        magic, protocol, _system, state, keys = (_load(file, storages) for _ in range(5))
        if (magic, protocol) != (_MAGIC, _PROTOCOL):
            raise ValueError("it does not begin as torch.save's files do")
        for key in keys:
            _fill(file, storages[key])
        return {key: _array(tensor) for key, tensor in state.items() if tensor.storage.dtype == "<f4"}
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        IndexError,
        OverflowError,
        MemoryError,
        pickle.UnpicklingError,
    ) as error:
        detail = f"{name} can't be read as PyTorch weights ({error}): install the package again"
        raise DermisError(Kind.INVALID, "WEIGHTS", detail) from error


def _fill(file: BinaryIO, storage: _TensorStorage) -> None:
    count = int.from_bytes(file.read(8), "little")
    raw = file.read(count * np.dtype(storage.dtype).itemsize)
    if count != storage.size:
        raise ValueError(f"a storage of {storage.size} values says that it has {count}")
    storage.values = np.frombuffer(raw, storage.dtype, count)


def _array(tensor: _Tensor) -> npt.NDArray[np.float32]:
    values = tensor.storage.values
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if values is None or min((0, tensor.offset, *tensor.strides, *tensor.shape)) < 0 or last >= len(values):
        raise ValueError("a tensor lies outside of its storage")
    if math.prod(tensor.shape) > len(values):
        raise ValueError("a tensor has more values than its storage")
    steps = tuple(stride * values.itemsize for stride in tensor.strides)
    return np.ascontiguousarray(
        np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, steps, writeable=False)
    )
