"""Devices: the mesh of a run, and how states and batches are laid over it.

One mesh axis, `data`. A state is replicated, the leading axis of a batch is split, so a
step compiled once sees the global batch: its mean, and the statistics of batch norm,
are those of all devices together. One device is a mesh of one.
"""

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from posejax.typing import Batch, Tree


def data_mesh(num_devices: int | None = None) -> Mesh:
    """Returns a mesh with the one axis `data`.

    Args:
      num_devices: How many devices to use; None uses all devices of all processes.

    Returns:
      The mesh; one device is a mesh of one.

    Raises:
      ValueError: If there are not that many, or if several processes share the run and
        not all of their devices are asked for.
    """
    devices = jax.devices()
    count = len(devices) if num_devices is None else num_devices
    if not 1 <= count <= len(devices):
        raise ValueError(
            f"num_devices is {num_devices}; this run sees {len(devices)} "
            f"{devices[0].platform} device(s): pass 1 to {len(devices)}, or None."
        )
    if jax.process_count() > 1 and count != len(devices):
        raise ValueError(
            f"num_devices is {num_devices}; a run of {jax.process_count()} processes "
            f"uses all of its {len(devices)} devices: pass None."
        )
    return _mesh_of(devices[:count])


def default_mesh() -> Mesh:
    """Returns the mesh of a run that names none: one device, or all if distributed."""
    return data_mesh(None if jax.process_count() > 1 else 1)


def local_mesh(mesh: Mesh) -> Mesh:
    """Returns the part of a mesh that belongs to this process."""
    return _mesh_of(list(mesh.local_mesh.devices.flat))


def _mesh_of(devices: Sequence[Any]) -> Mesh:
    # Explicit axes, the default of jax.make_mesh, forbid indexing a sharded axis.
    return jax.make_mesh(
        (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the layout of states: a whole copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Puts a copy of every array on each device of the mesh.

    Arrays of numpy are copied, never shared: the result may be donated. In a run of
    several processes all of them must hold the same values.
    """
    sharding = replicated(mesh)
    several = jax.process_count() > 1

    def put(x):
        # Equal, not just equivalent: another kind of layout traces a step anew.
        if isinstance(x, jax.Array) and x.sharding == sharding:
            return x
        if several:
            whole = np.asarray(x)
            return jax.make_array_from_callback(
                whole.shape, sharding, lambda index: np.array(whole[index])
            )
        return jax.device_put(
            x if isinstance(x, jax.Array) else np.array(x), sharding, may_alias=False
        )

    return jax.tree.map(put, tree)


def local_copy(tree: Tree, mesh: Mesh) -> Tree:
    """Returns a replicated tree as arrays of this process's part of the mesh."""
    here = local_mesh(mesh)
    sharding = replicated(here)

    def put(x):
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            shards = {s.device: s.data for s in x.addressable_shards}
            return jax.make_array_from_single_device_arrays(
                x.shape, sharding, [shards[d] for d in here.devices.flat]
            )
        return jax.device_put(x, sharding)

    return jax.tree.map(put, tree)


def device_batches(
    batches: Iterator[Batch],
    mesh: Mesh,
    *,
    lengths: Sequence[int],
    size: int = 2,
) -> Generator[Batch, None, None]:
    """Iterates over batches that are already on the devices.

    A thread fetches and transfers ahead of use, so that the devices do not wait for the
    host. An error of the iterator is raised where its batch would have come. Host
    arrays that were handed over must not be changed afterwards: on the CPU the device's
    array may be the same memory.

    Args:
      batches: The host's share of each batch, one step after another.
      mesh: Where they go; their leading axis is split over it.
      lengths: How many steps each call takes. Batches of a call with several steps are
        stacked on a new leading axis.
      size: How many calls are prepared ahead; at least 1.

    Yields:
      One tree of arrays per entry of `lengths`.

    Raises:
      ValueError: If a batch does not divide over the devices, or if the batches end
        before the last call.
    """
    if size < 1:
        raise ValueError(f"prefetch size is {size}; expected 1 or more, e.g. 2.")
    ready: queue.Queue = queue.Queue(maxsize=size)
    stop = threading.Event()

    def offer(item) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work():
        try:
            done = 0
            for length in lengths:
                group = _take(batches, length, done, sum(lengths))
                if not offer((_put(group, mesh), None)):
                    return
                done += length
        except BaseException as error:
            offer((None, error))

    thread = threading.Thread(target=work, name="device_batches", daemon=True)
    thread.start()
    try:
        for _ in lengths:
            batch, error = ready.get()
            if error is not None:
                raise error
            yield batch
    finally:
        stop.set()
        thread.join(timeout=10.0)


def _take(batches: Iterator[Batch], length: int, done: int, wanted: int) -> list[Batch]:
    group: list[Batch] = []
    while len(group) < length:
        try:
            group.append(next(batches))
        except StopIteration:
            raise ValueError(
                f"batches ended after {done + len(group)} of {wanted} steps; pass an "
                "iterator without end, or a smaller num_steps."
            ) from None
    return group


def _put(group: list[Batch], mesh: Mesh) -> Batch:
    """Transfers the batches of one call; several are stacked on a leading axis."""
    stacked = len(group) > 1
    batch = jax.tree.map(lambda *x: np.stack(x), *group) if stacked else group[0]
    spec = PartitionSpec(None, "data") if stacked else PartitionSpec("data")
    sharding = NamedSharding(mesh, spec)
    devices = len(mesh.local_mesh.devices.flat)
    return jax.tree.map(
        lambda x: _put_array(np.asarray(x), sharding, stacked, devices), batch
    )


def _put_array(
    x: np.ndarray, sharding: NamedSharding, stacked: bool, devices: int
) -> jax.Array:
    axis = int(stacked)
    if x.ndim <= axis or x.shape[axis] % devices:
        found = x.shape[axis] if x.ndim > axis else "no batch axis"
        raise ValueError(
            f"a batch of {found} cannot be split over {devices} devices; choose a "
            f"batch size that is a multiple of {devices}, or fewer devices."
        )
    if jax.process_count() > 1:
        return jax.make_array_from_process_local_data(sharding, x)
    return jax.device_put(x, sharding)
