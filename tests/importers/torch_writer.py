"""Writes the two layouts of torch.save by hand, for tests; no PyTorch.

A pickle refers to classes by name, so stand-ins with the right names are enough.
"""

import collections
import io
import pickle
import struct
import zipfile
from typing import Any

import ml_dtypes
import numpy as np

KINDS = {
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
    np.dtype(np.bool_): "BoolStorage",
}
MAGIC = 0x1950A86A20F9469CFC6C


class Named:
    """Pickled as the global `module.name`."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


class Tensor:
    """A view of a storage, with strides counted in values."""

    def __init__(self, storage, offset=None, size=None, stride=None):
        self.storage = np.ascontiguousarray(storage).reshape(-1)
        self.offset = offset or 0
        self.size = np.shape(storage) if size is None else size
        natural = [int(np.prod(self.size[i + 1 :])) for i in range(len(self.size))]
        self.stride = tuple(natural) if stride is None else stride


class Parameter:
    """A tensor wrapped as torch.nn.Parameter is."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


class Call:
    """Pickled as a call of a global."""

    def __init__(self, module: str, name: str, *args: Any):
        self.target, self.args = Named(module, name), args


class Writer(pickle._Pickler):  # the Python pickler: the C one cannot name stand-ins
    """Pickles tensors as torch does; collects their storages."""

    def __init__(self, file: io.BytesIO, *, legacy: bool):
        super().__init__(file, protocol=2)
        self.legacy = legacy
        self.storages: dict[str, np.ndarray] = {}
        self.keys: dict[int, str] = {}

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, np.ndarray):
            return None
        key = self.keys.setdefault(id(obj), str(len(self.keys)))
        self.storages[key] = obj
        record = ("storage", Named("torch", KINDS[obj.dtype]), key, "cpu", obj.size)
        return (*record, None) if self.legacy else record

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Named):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.target)
            self.save(obj.args)
            self.write(pickle.REDUCE)
        elif isinstance(obj, Parameter):
            empty = collections.OrderedDict()
            self.save(
                Call("torch._utils", "_rebuild_parameter", obj.tensor, True, empty)
            )
        elif isinstance(obj, Tensor):
            empty = collections.OrderedDict()
            view = (obj.storage, obj.offset, tuple(obj.size), tuple(obj.stride))
            self.save(Call("torch._utils", "_rebuild_tensor_v2", *view, False, empty))
        else:
            super().save(obj, save_persistent_id)


def tensors(tree: Any) -> Any:
    """Returns the tree with arrays as tensors."""
    if isinstance(tree, dict):
        items = [(key, tensors(value)) for key, value in tree.items()]
        return collections.OrderedDict(items)
    return Tensor(tree) if isinstance(tree, np.ndarray) else tree


def zip_bytes(content: Any, *, root: str = "checkpoint") -> bytes:
    """Returns `content` in the layout since PyTorch 1.6."""
    file = io.BytesIO()
    writer = Writer(file, legacy=False)
    writer.dump(content)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{root}/data.pkl", file.getvalue())
        archive.writestr(f"{root}/byteorder", "little")
        for key, storage in writer.storages.items():
            archive.writestr(f"{root}/data/{key}", storage.tobytes())
        archive.writestr(f"{root}/version", "3\n")
    return out.getvalue()


def legacy_bytes(content: Any) -> bytes:
    """Returns `content` in the layout before PyTorch 1.6."""
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    out = io.BytesIO()
    for part in (MAGIC, 1001, system):
        pickle.dump(part, out, protocol=2)
    writer = Writer(out, legacy=True)
    writer.dump(content)
    pickle.dump(sorted(writer.storages), out, protocol=2)
    for key in sorted(writer.storages):
        storage = writer.storages[key]
        out.write(struct.pack("<q", storage.size) + storage.tobytes())
    return out.getvalue()
