import itertools
import threading
import time

import jax
import numpy as np
import pytest
import toy_task

from posejax.training import mesh as meshes


def test_a_mesh_has_the_devices_that_were_asked_for():
    assert meshes.data_mesh().size == 8
    assert meshes.data_mesh(3).size == 3
    assert meshes.default_mesh().size == 1


def test_a_mesh_of_more_devices_than_there_are_is_refused():
    with pytest.raises(ValueError, match="num_devices is 9; this run sees 8 cpu"):
        meshes.data_mesh(9)


def test_replicating_never_shares_memory_with_numpy():
    whole = np.ones(1 << 12, np.float32)
    copy = meshes.replicate({"x": whole}, meshes.data_mesh(2))["x"]
    whole[:] = 5.0
    np.testing.assert_array_equal(copy, 1.0)
    assert copy.sharding.is_fully_replicated


def test_a_replicated_array_is_not_copied_again():
    mesh = meshes.data_mesh(2)
    once = meshes.replicate({"x": np.ones(3)}, mesh)
    assert meshes.replicate(once, mesh)["x"] is once["x"]


def test_prefetched_batches_keep_their_order_and_grouping():
    source = ({"x": np.full((2, 1), i)} for i in itertools.count())
    mesh = meshes.data_mesh(2)
    found = list(meshes.device_batches(source, mesh, lengths=[1, 3, 1], size=2))
    assert [x["x"].shape for x in found] == [(2, 1), (3, 2, 1), (2, 1)]
    values = np.concatenate([np.asarray(x["x"]).reshape(-1) for x in found])
    np.testing.assert_array_equal(values, np.repeat(np.arange(5), 2))


def test_prefetching_runs_ahead_by_its_size_and_no_further_than_the_run():
    taken = []

    def source():
        for i in itertools.count():
            taken.append(i)
            yield {"x": np.zeros(1)}

    calls = meshes.device_batches(
        source(), meshes.data_mesh(1), lengths=[1] * 4, size=2
    )
    next(calls)
    deadline = time.monotonic() + 5.0
    while len(taken) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert taken == [0, 1, 2, 3]
    assert len(list(calls)) == 3
    assert taken == [0, 1, 2, 3]


def test_an_error_of_the_data_comes_where_its_batch_would_have_come():
    def source():
        yield {"x": np.zeros(1)}
        raise OSError("shard 3, record 7 is corrupt")

    calls = meshes.device_batches(source(), meshes.data_mesh(1), lengths=[1, 1])
    next(calls)
    with pytest.raises(OSError, match="shard 3, record 7"):
        next(calls)


def test_leaving_early_ends_the_thread():
    source = ({"x": np.zeros(1)} for _ in itertools.count())
    calls = meshes.device_batches(source, meshes.data_mesh(1), lengths=[1] * 100)
    next(calls)
    calls.close()
    names = [thread.name for thread in threading.enumerate()]
    assert "device_batches" not in names


def test_batches_that_end_early_are_reported():
    source = iter([{"x": np.zeros(1)}])
    calls = meshes.device_batches(source, meshes.data_mesh(1), lengths=[1, 1])
    with pytest.raises(ValueError, match="batches ended after 1 of 2 steps"):
        list(calls)


def test_a_batch_that_does_not_divide_over_the_devices_is_refused():
    calls = meshes.device_batches(
        toy_task.train_batches(0, batch_size=6), meshes.data_mesh(4), lengths=[1]
    )
    with pytest.raises(ValueError, match="a batch of 6 cannot be split over 4"):
        next(calls)


def test_a_prefetch_of_nothing_is_refused():
    calls = meshes.device_batches(iter([]), meshes.data_mesh(1), lengths=[1], size=0)
    with pytest.raises(ValueError, match="prefetch size is 0"):
        next(calls)


def test_local_copies_have_the_values_of_the_replicated_tree():
    mesh = meshes.data_mesh(4)
    tree = meshes.replicate({"x": np.arange(3.0)}, mesh)
    copy = meshes.local_copy(tree, mesh)
    np.testing.assert_array_equal(copy["x"], tree["x"])
    assert jax.tree.leaves(copy)[0].sharding.mesh.size == 4
