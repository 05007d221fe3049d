"""Reads the files that `torch.save` writes, without PyTorch and without running code.

Such a file is a pickle plus the raw bytes of its tensors. Two layouts exist: since
PyTorch 1.6 a zip archive of uncompressed members, `<root>/data.pkl` and
`<root>/data/<key>` for each storage; before, a row of pickles (magic number, protocol,
system description, object, storage keys) followed by each storage as a 64-bit length
and its values. Only tensors, numbers, strings and plain containers are read: a pickle
that asks for anything else is refused by name before anything of it is called. Objects
of NumPy, such as the states of random generators that some training programs save
beside their weights, are neither built nor refused: a stand-in without content takes
their place.
"""

import collections
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "ComplexFloatStorage": np.complex64,
    "ComplexDoubleStorage": np.complex128,
}


class TorchFileError(ValueError):
    """A file that is no readable check point; the message is one line."""


class _Refused(Exception):
    """A pickle asked for a global that is not on the list."""


class _Damaged(Exception):
    """The bytes are not what torch.save writes; the message says why."""


class _StorageType(NamedTuple):
    """What a pickled storage class stands for."""

    dtype: np.dtype


class UnreadObject:
    """Stands for a pickled object of NumPy; what the file says of it is dropped."""

    def __setstate__(self, state: Any) -> None:
        """Drops the state."""


def read_torch_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a check point or state dict as nested dictionaries of numpy arrays.

    Args:
      path: A file written by `torch.save`, of any version from 0.4 on.

    Returns:
      The dictionary that was saved; ordered dictionaries become plain ones, tensors
      and parameters become read-only arrays of the same dtype (bfloat16 from
      `ml_dtypes`), objects of NumPy become an `UnreadObject`, other values stay.

    Raises:
      FileNotFoundError: If there is no such file.
      TorchFileError: (a ValueError) for a file that is empty, truncated, no check
        point, or whose pickle asks for a global other than those of tensors.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{path} is not a file; expected a check point written by torch.save."
        )
    with open(path, "rb") as file:
        data = file.read()
    if not data:
        raise TorchFileError(f"{path} is empty; download or copy it again.")
    if data.startswith(b"version https://git-lfs"):
        raise TorchFileError(
            f"{path} is a Git LFS pointer, not the file itself; fetch it with "
            "`git lfs pull`."
        )
    try:
        if data.startswith(b"PK\x03\x04"):
            content = _read_zip(data)
        elif data.startswith(pickle.PROTO):
            content = read_legacy(data)
        else:
            raise _Damaged("it starts neither like a zip archive nor like a pickle")
    except _Refused as error:
        raise TorchFileError(
            f"{path} asks for the global {error}, which could run code; only tensors "
            "and plain containers are read. Use a file that holds a state dict."
        ) from None
    except _Damaged as error:
        raise TorchFileError(
            f"{path} is no file of torch.save, or a damaged one: {error}."
        ) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise TorchFileError(
            f"{path} is truncated or damaged ({_one_line(error)}); download or copy it "
            "again."
        ) from None
    content = _plain(content)
    if not isinstance(content, dict):
        raise TorchFileError(
            f"{path} holds a {type(content).__name__}; expected a dictionary (a state "
            "dict or a check point of several)."
        )
    return content


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise _Damaged(
                f"the zip archive has {len(pickles)} members named data.pkl; "
                "a file of torch.save has one"
            )
        root = pickles[0].removesuffix("data.pkl")
        if any(i.compress_type != zipfile.ZIP_STORED for i in members.values()):
            raise _Damaged("the zip archive is compressed; torch.save stores")
        order = "<"
        if f"{root}byteorder" in members:
            big = archive.read(f"{root}byteorder").strip() == b"big"
            order = ">" if big else "<"
        loaded: dict[str, np.ndarray] = {}

        def storage(identity: Any) -> np.ndarray:
            _, kind, key, _, numel = identity
            if key not in loaded:
                dtype = kind.dtype.newbyteorder(order)
                content = archive.read(f"{root}data/{key}")
                loaded[key] = np.frombuffer(content, dtype, numel)
            return loaded[key]

        return _unpickle(io.BytesIO(archive.read(pickles[0])), storage)


def read_legacy(data: bytes) -> Any:
    """Returns what a file of the older layout holds: tensors, or one storage."""
    file = io.BytesIO(data)

    def no_storage(identity: Any) -> np.ndarray:
        raise _Damaged(f"a storage {identity!r} before the object")

    if _unpickle(file, no_storage) != LEGACY_MAGIC:
        raise _Damaged("it is a pickle without the magic number of torch.save")
    protocol, system = (_unpickle(file, no_storage) for _ in range(2))
    if protocol != LEGACY_PROTOCOL:
        raise _Damaged(f"its protocol is {protocol!r}, not {LEGACY_PROTOCOL}")
    order = "<" if system["little_endian"] else ">"
    loaded: dict[str, np.ndarray] = {}

    def storage(identity: Any) -> np.ndarray:
        _, kind, key, _, numel, view = identity
        if key not in loaded:
            dtype = kind.dtype.newbyteorder(order)
            if not 0 <= numel * dtype.itemsize <= len(data):
                raise _Damaged(f"storage {key} of {numel} values does not fit")
            # Its values stand behind the object; tensors are views until then.
            loaded[key] = np.zeros(numel, dtype)
        if view is None:
            return loaded[key]
        _, offset, size = view
        return loaded[key][offset : offset + size]

    content = _unpickle(file, storage)
    for key in _unpickle(file, no_storage):
        values = loaded[key]
        (numel,) = struct.unpack("<q" if order == "<" else ">q", file.read(8))
        if numel != values.size:
            raise _Damaged(f"storage {key} has {numel} values, not {values.size}")
        values[:] = np.frombuffer(file.read(values.nbytes), values.dtype, numel)
        loaded.pop(key).flags.writeable = False
    if loaded:
        raise _Damaged(f"storages {', '.join(sorted(loaded))} are missing")
    return content


def _unpickle(file: io.BytesIO, storage: Callable[[Any], np.ndarray]) -> Any:
    """Loads one pickle that may use nothing but the globals of tensors."""
    # Fresh for each file: a pickle may set attributes of what it is given.
    allowed = tensor_globals()

    def unread(*_: Any) -> UnreadObject:
        return UnreadObject()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            # NumPy writes the bytes of an array as the encoding of a string.
            codec = (module, name) == ("_codecs", "encode")
            if module.partition(".")[0] == "numpy" or codec:
                return unread
            if (module, name) not in allowed:
                raise _Refused(f"{module}.{name}")
            return allowed[module, name]

        def persistent_load(self, pid: Any) -> np.ndarray:
            if not (isinstance(pid, tuple) and len(pid) in (5, 6)):
                raise _Damaged(f"unknown storage record {pid!r}")
            if pid[0] != "storage" or not isinstance(pid[1], _StorageType):
                raise _Damaged(f"unknown storage record {pid!r}")
            return storage(pid)

    return Unpickler(file, encoding="latin1").load()


def tensor_globals() -> dict[tuple[str, str], Any]:
    """Returns what a pickle of tensors may name, and what stands for it here."""

    def tensor(
        storage: np.ndarray, offset: int, size: Any, stride: Any, *_: Any
    ) -> np.ndarray:
        return _strided(storage, offset, tuple(size), tuple(stride))

    def parameter(data: np.ndarray, *_: Any) -> np.ndarray:
        return data

    def size(lengths: Any = ()) -> tuple[int, ...]:
        return tuple(lengths)

    def device(*name: Any) -> str:
        return ":".join(str(part) for part in name)

    allowed: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor"): tensor,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): parameter,
        ("torch.nn.parameter", "Parameter"): parameter,
        ("torch", "Size"): size,
        ("torch", "device"): device,
    }
    for name, dtype in STORAGES.items():
        for module in ("torch", "torch.cuda"):
            allowed[module, name] = _StorageType(np.dtype(dtype))
    return allowed


def _strided(
    storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> np.ndarray:
    if not isinstance(storage, np.ndarray) or len(size) != len(stride):
        raise _Damaged(f"a tensor of size {size} with strides {stride}")
    if min((offset, *size, *stride)) < 0:
        raise _Damaged(f"a tensor with offset {offset}, size {size}")
    reach = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) + 1
    if 0 not in size and reach > storage.size:
        raise _Damaged(
            f"a tensor of size {size} reaches beyond its {storage.size} values"
        )
    if 0 in size:
        return np.zeros(size, storage.dtype)
    return np.lib.stride_tricks.as_strided(
        storage[offset:],
        size,
        tuple(step * storage.itemsize for step in stride),
        writeable=False,
    )
