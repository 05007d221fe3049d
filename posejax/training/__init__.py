"""The training loop, its checkpoints, its evaluation and its hooks.

Nothing here names a system: a system is a `posejax.typing.Task`. A whole run:

    mesh = training.data_mesh()                      # all devices; None = one device
    checkpoints = training.Checkpoints(workdir / "checkpoints", best=task.selection)
    state = training.init_state(key, task, example_batch)
    if checkpoints.latest_step() is not None:
        state = checkpoints.restore_state(state, mesh=mesh)
    step = int(state.step)                           # steps done = position in the data
    log = training.MetricLog(workdir, step=step)     # cuts metrics.jsonl back to `step`
    evaluation = training.EvaluationHook(
        task, data.splits, log, every=500, num_steps=num_steps,
        mesh=mesh, resident=data.resident)
    hooks = (                                        # in this order
        training.FiniteHook(checkpoints),
        training.LogHook(log, every=50, examples_per_step=config.batch_size),
        training.ProgressHook(num_steps, step=step),
        evaluation,                                  # `.figures`: split -> figures
        training.PicturesHook(task.pictures, batch, write, every=500),  # (step, named)
        training.CheckpointHook(
            checkpoints, every=500, preemption=preemption, evaluation=evaluation,
            log=log),
    )
    with preemption, checkpoints, log:               # training.Preemption()
        state = training.fit(
            task, state, data.train(step), num_steps=num_steps, hooks=hooks,
            mesh=mesh, resident=data.resident, steps_per_call=1, prefetch=2)

`fit` raises `Preempted` after SIGTERM, when
the state is saved: the program should end with status 0; and `NonFiniteLoss` when a
loss is not finite. Both are one-line messages. Afterwards

    # "best", "latest" or a step
    params, model_state, step = checkpoints.restore_variables("best")
    values, figures = training.evaluate(
        task, params, model_state, data.splits["test"](), mesh=mesh)

The state that is passed to `fit` is donated: use only the one that it returns.
"""

from posejax.training.checkpoints import Checkpoints as Checkpoints
from posejax.training.evaluation import evaluate as evaluate
from posejax.training.evaluation import make_evaluate as make_evaluate
from posejax.training.evaluation import make_evaluate_each as make_evaluate_each
from posejax.training.hooks import CheckpointHook as CheckpointHook
from posejax.training.hooks import EvaluationHook as EvaluationHook
from posejax.training.hooks import FiniteHook as FiniteHook
from posejax.training.hooks import NonFiniteLoss as NonFiniteLoss
from posejax.training.hooks import PicturesHook as PicturesHook
from posejax.training.logs import LogHook as LogHook
from posejax.training.logs import MetricLog as MetricLog
from posejax.training.loop import Hook as Hook
from posejax.training.loop import fit as fit
from posejax.training.mesh import data_mesh as data_mesh
from posejax.training.mesh import device_batches as device_batches
from posejax.training.minimise import MinimiseResult as MinimiseResult
from posejax.training.minimise import PrintedStop as PrintedStop
from posejax.training.minimise import make_minimise as make_minimise
from posejax.training.minimise import minimise as minimise
from posejax.training.preemption import Preempted as Preempted
from posejax.training.preemption import Preemption as Preemption
from posejax.training.progress import ProgressHook as ProgressHook
from posejax.training.progress import progress as progress
from posejax.training.state import TrainState as TrainState
from posejax.training.state import init_state as init_state
from posejax.training.step import TrainStep as TrainStep
from posejax.training.step import default_steps_per_call as default_steps_per_call
from posejax.training.step import make_train_step as make_train_step
from posejax.training.step import take_step as take_step
