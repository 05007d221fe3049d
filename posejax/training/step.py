"""One training step, compiled: the only file that compiles one."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from posejax.training.mesh import default_mesh, replicated
from posejax.training.program import Program
from posejax.training.state import TrainState
from posejax.typing import Batch, LossOutput, Task

Logs = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class TrainStep:
    """A compiled training step: `(state, batch, resident) -> (state, logs)`.

    The state that is passed is donated. `logs` holds every term of the loss, `total`
    (what is minimised) and `grad_norm` (Euclidean norm of the whole gradient): scalars,
    or arrays of shape `(steps,)` if the call takes several steps.

    Attributes:
      mesh: Where it runs.
      steps_per_call: How many steps `several` takes.
      one: Takes one step; the arrays of its batch start with the batch axis.
      several: Takes `steps_per_call` steps; one more leading axis in the batch.
    """

    mesh: Mesh
    steps_per_call: int
    one: Program
    several: Program

    def __call__(
        self, state: TrainState, batch: Batch, resident: Batch | None = None
    ) -> tuple[TrainState, Logs]:
        """Takes `steps_per_call` steps."""
        return self.take(self.steps_per_call, state, batch, resident)

    def take(
        self,
        length: int,
        state: TrainState,
        batch: Batch,
        resident: Batch | None = None,
    ) -> tuple[TrainState, Logs]:
        """Takes one step or `steps_per_call` steps."""
        step = self.one if length == 1 else self.several
        return step(state, batch, resident or {})


def default_steps_per_call(backend: str | None = None) -> int:
    """Returns how many steps one call should take on a backend.

    On the CPU one: the gradient of a convolution inside `scan` is 24 times slower
    there. Elsewhere eight, which hides the time to start a call.

    Args:
      backend: `cpu`, `gpu` or `tpu`; None asks JAX.

    Returns:
      1 on the CPU, else 8.
    """
    return 1 if (backend or jax.default_backend()) == "cpu" else 8


def make_train_step(
    task: Task,
    *,
    mesh: Mesh | None = None,
    steps_per_call: int = 1,
    unroll: int | bool = 1,
) -> TrainStep:
    """Returns the compiled training step of a system.

    Args:
      task: The system; its loss and optimiser are used.
      mesh: Where it runs; None is one device (or all of a run of several processes).
        The state is replicated, the batch split over the axis `data`, resident arrays
        replicated.
      steps_per_call: Steps in one call, taken by `lax.scan`.
      unroll: How many of them are unrolled (see `jax.lax.scan`).

    Returns:
      The step; nothing is compiled before its first call.

    Raises:
      ValueError: If `steps_per_call` is below 1.
    """
    if steps_per_call < 1:
        raise ValueError(f"steps_per_call is {steps_per_call}; expected 1 or more.")
    mesh = default_mesh() if mesh is None else mesh
    whole = replicated(mesh)

    def one(state: TrainState, batch: Batch, resident: Batch):
        return take_step(task, state, _merge(batch, resident))

    def several(state: TrainState, batches: Batch, resident: Batch):
        def body(state, batch):
            return one(state, batch, resident)

        return jax.lax.scan(body, state, batches, unroll=unroll)

    def compiled(function, spec: PartitionSpec) -> Program:
        return Program(
            jax.jit(
                function,
                in_shardings=(whole, NamedSharding(mesh, spec), whole),
                out_shardings=whole,
                donate_argnums=0,
            )
        )

    return TrainStep(
        mesh=mesh,
        steps_per_call=steps_per_call,
        one=compiled(one, PartitionSpec("data")),
        several=compiled(several, PartitionSpec(None, "data")),
    )


def _merge(batch: Batch, resident: Batch) -> Batch:
    both = sorted(set(batch) & set(resident))
    if both:
        raise ValueError(
            f"batch and resident arrays share the name(s) {', '.join(both)}; "
            "rename one of each."
        )
    return {**resident, **batch}


def take_step(
    task: Task, state: TrainState, batch: Batch
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Takes one step: a pure function, for use inside `vmap`, `pmap` or `shard_map`.

    `make_train_step` compiles it for a mesh. Mapped over a leading axis it trains many
    models at once.

    Args:
      task: The system.
      state: The state before the step.
      batch: The batch, resident arrays included.

    Returns:
      `(state, logs)`; the logs are scalars, see `TrainStep`.

    Raises:
      ValueError: If the loss logs a name that the step uses, or changes the structure
        of `model_state`.
    """
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)

    def loss(params) -> tuple[jax.Array, LossOutput]:
        output = task.loss(params, state.model_state, batch, key=key, step=state.step)
        return output.loss, output

    (total, output), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, opt_state = task.optimizer.update(gradients, state.opt_state, state.params)
    taken = sorted({"total", "grad_norm"} & set(output.logs))
    if taken:
        raise ValueError(
            f"the loss logs {', '.join(taken)}, a name that the step itself uses; "
            "rename the term."
        )
    found = jax.tree.structure(output.model_state)
    expected = jax.tree.structure(state.model_state)
    if found != expected:
        raise ValueError(
            f"the loss returned a model_state of structure {found}; expected the one "
            f"it was given, {expected}."
        )
    logs = {"total": total, **output.logs, "grad_norm": optax.tree.norm(gradients)}
    return (
        TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=output.model_state,
            opt_state=opt_state,
            key=state.key,
        ),
        logs,
    )


def steps_in(logs: Logs) -> int:
    """Returns how many steps the logs of a call cover."""
    total = logs["total"]
    return total.shape[0] if total.ndim else 1


def last_value(logs: Logs, name: str) -> float:
    """Returns the value of the last step of a call; waits for the device."""
    return float(np.atleast_1d(jax.device_get(logs[name]))[-1])
