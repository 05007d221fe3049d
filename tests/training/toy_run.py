"""A whole training run of the toy system as a program, to be killed and resumed."""

import argparse
import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import toy_task

from posejax import training


def main(args) -> int:
    if args.world > 1:
        jax.distributed.initialize(
            f"localhost:{args.port}", num_processes=args.world, process_id=args.rank
        )
    task = toy_task.make_toy_task()
    mesh = training.data_mesh()
    workdir = pathlib.Path(args.workdir)
    share = {"rank": args.rank, "world": args.world}
    preemption = training.Preemption()
    checkpoints = training.Checkpoints(workdir / "checkpoints", best=task.selection)
    state = training.init_state(
        jax.random.key(3), task, next(toy_task.train_batches(0, batch_size=8))
    )
    if checkpoints.latest_step() is not None:
        state = checkpoints.restore_state(state, mesh=mesh)
    step = int(jax.device_get(state.step))
    log = training.MetricLog(workdir, step=step, tensorboard=False)
    evaluation = training.EvaluationHook(
        task,
        {"test": lambda: toy_task.split_batches(11, 4, **share)},
        log,
        every=6,
        num_steps=args.num_steps,
        mesh=mesh,
    )
    hooks = (
        training.FiniteHook(checkpoints),
        training.LogHook(log, every=1, examples_per_step=8),
        evaluation,
        training.CheckpointHook(
            checkpoints,
            every=args.save_every,
            preemption=preemption,
            evaluation=evaluation,
            log=log,
        ),
    )
    try:
        with preemption, checkpoints, log:
            state = training.fit(
                task,
                state,
                toy_task.train_batches(step, seconds=args.seconds, **share),
                num_steps=args.num_steps,
                hooks=hooks,
                mesh=mesh,
            )
    except training.Preempted as stopped:
        print(stopped)
        return 0
    leaves = {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]
    }
    if args.rank == 0:
        np.savez(workdir / "final.npz", **leaves)
    if args.world > 1:
        jax.distributed.shutdown()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("workdir")
    parser.add_argument("--num_steps", type=int, default=40)
    parser.add_argument("--save_every", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    sys.exit(main(parser.parse_args()))
