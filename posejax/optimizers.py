"""Optimisers from numbers: what a config says, as optax transformations."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from posejax.checks import require_at_least


def adam(
    learning_rate: float | optax.Schedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    decay_steps: int = 0,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Adam without weight decay, in the form that the published systems use.

    The same update as `torch.optim.Adam`: `eps` is added to the root of the
    bias-corrected second moment.

    Args:
      learning_rate: Positive number, or an optax schedule of the step (from 0).
      b1: Decay of the first moment, in 0 <= b1 < 1.
      b2: Decay of the second moment, in 0 <= b2 < 1.
      eps: Positive number added to the denominator.
      decay_steps: Steps over which the learning rate falls to zero along half a
        cosine; 0 keeps it.
      clip_norm: Largest Euclidean norm of the whole gradient; 0 does not clip.

    Returns:
      The optax transformation.

    Raises:
      ValueError: If a number is out of its range.

    Reference:
      Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1.
    """
    _require_adam(learning_rate, b1, b2, eps)
    if decay_steps < 0 or clip_norm < 0:
        raise ValueError(
            f"decay_steps is {decay_steps!r} and clip_norm is {clip_norm!r}; expected "
            "numbers of at least 0."
        )
    if decay_steps:
        if callable(learning_rate):
            raise ValueError(
                "learning_rate is a schedule and decay_steps is not 0; give one only."
            )
        learning_rate = optax.cosine_decay_schedule(learning_rate, decay_steps)
    update = optax.adam(learning_rate, b1=b1, b2=b2, eps=eps)
    if not clip_norm:
        return update
    return optax.chain(optax.clip_by_global_norm(clip_norm), update)


def adamw(
    learning_rate: float | optax.Schedule,
    *,
    weight_decay: float,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    clip_norm: float = 0.0,
    frozen: Any = None,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay of every parameter.

    The same update as `torch.optim.AdamW` after `clip_grad_norm_`: biases and scales of
    norms decay too. Running statistics of batch norm are no parameters and need no
    mask.

    Args:
      learning_rate: Positive number, or an optax schedule of the step (from 0).
      weight_decay: Share of a parameter that a step takes away, per learning rate.
      b1: Decay of the first moment, in 0 <= b1 < 1.
      b2: Decay of the second moment, in 0 <= b2 < 1.
      eps: Positive number added to the denominator.
      clip_norm: Largest Euclidean norm of the gradient of all parameters that are not
        frozen; 0 does not clip.
      frozen: A tree of bools like the parameters (or like their upper levels), or a
        function from parameters to one: True keeps a parameter as it is, weight decay
        included. None freezes nothing.

    Returns:
      The optax transformation.

    Raises:
      ValueError: If a number is out of its range.

    Reference:
      Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019, alg. 2.
    """
    _require_adam(learning_rate, b1, b2, eps)
    require_at_least("weight_decay", weight_decay, 0)
    require_at_least("clip_norm", clip_norm, 0)
    parts: list[optax.GradientTransformation] = [
        optax.adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay)
    ]
    if clip_norm:
        parts.insert(0, optax.clip_by_global_norm(clip_norm))
    if frozen is not None:
        # Before, so that the norm does not count them; after, against their decay.
        still = optax.masked(optax.set_to_zero(), frozen)
        parts = [still, *parts, still]
    return optax.chain(*parts)


def _require_adam(
    learning_rate: float | optax.Schedule, b1: float, b2: float, eps: float
) -> None:
    """Raises ValueError for a number that Adam cannot take."""
    if not callable(learning_rate) and not learning_rate > 0:
        raise ValueError(
            f"learning_rate is {learning_rate!r}; expected a positive number, "
            "for example 1e-3."
        )
    for name, decay in (("b1", b1), ("b2", b2)):
        if not 0 <= decay < 1:
            raise ValueError(f"{name} is {decay!r}; expected 0 <= {name} < 1.")
    if not eps > 0:
        raise ValueError(f"eps is {eps!r}; expected a positive number such as 1e-8.")


class AmsgradState(NamedTuple):
    """What AMSGrad remembers.

    Attributes:
      count: Steps done.
      mu: First moment, shaped like the parameters.
      nu: Second moment.
      nu_max: Largest second moment so far, value by value.
    """

    count: jax.Array
    mu: Any
    nu: Any
    nu_max: Any


def torch_amsgrad(
    learning_rate: float | optax.Schedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """AMSGrad in the form that the published systems use.

    The same update as `torch.optim.Adam(amsgrad=True)`: the maximum is taken over the
    raw second moments and their bias is corrected afterwards, with the present step's
    factor. `optax.amsgrad` corrects first, and so takes other steps.

    Args:
      learning_rate: Positive number, or a schedule of the step (from 0).
      b1: Decay of the first moment, in 0 <= b1 < 1.
      b2: Decay of the second moment, in 0 <= b2 < 1.
      eps: Positive number added to the denominator.

    Returns:
      The optax transformation.

    Raises:
      ValueError: If a number is out of its range.

    Reference:
      Reddi, Kale and Kumar, On the convergence of Adam and beyond, ICLR 2018,
      algorithm 2, with the bias corrections of Adam.
    """
    _require_adam(learning_rate, b1, b2, eps)

    def init(params: Any) -> AmsgradState:
        mu, nu, nu_max = (jax.tree.map(jnp.zeros_like, params) for _ in range(3))
        return AmsgradState(jnp.zeros((), jnp.int32), mu, nu, nu_max)

    def update(
        updates: Any, state: Any, params: Any = None
    ) -> tuple[Any, AmsgradState]:
        del params
        count = jnp.asarray(optax.safe_increment(state.count))
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, updates)
        nu_max = jax.tree.map(jnp.maximum, state.nu_max, nu)
        first, root = _bias(b1, count), jnp.sqrt(_bias(b2, count))

        def step(m: jax.Array, v: jax.Array) -> jax.Array:
            return ((m / first) / (jnp.sqrt(v) / root + eps)).astype(m.dtype)

        return jax.tree.map(step, mu, nu_max), AmsgradState(count, mu, nu, nu_max)

    scale = optax.GradientTransformation(init, update)
    return optax.chain(scale, optax.scale_by_learning_rate(learning_rate))


def _bias(decay: float, count: jax.Array) -> jax.Array:
    """Returns 1 - decay^count, exact to rounding also where decay is nearly 1."""
    return -jnp.expm1(count * math.log(decay)) if decay else jnp.ones(())


def epoch_decay(
    learning_rate: float, *, decay: float, steps_per_epoch: int
) -> optax.Schedule:
    """Returns the schedule that multiplies a rate by `decay` after every epoch.

    An epoch may be any number of steps: some systems decay every 500.

    Args:
      learning_rate: Positive number, the rate of the first epoch.
      decay: Factor, in 0 < decay <= 1.
      steps_per_epoch: Steps from one decay to the next.

    Returns:
      A function of the step (from 0).

    Raises:
      ValueError: If a number is out of its range.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 5.

    >>> rate = epoch_decay(1.0, decay=0.5, steps_per_epoch=10)
    >>> [round(float(rate(step)), 3) for step in (0, 9, 10, 25)]
    [1.0, 1.0, 0.5, 0.25]
    """
    if not learning_rate > 0:
        raise ValueError(
            f"learning_rate is {learning_rate!r}; expected a positive number, "
            "for example 1e-3."
        )
    if not 0 < decay <= 1:
        raise ValueError(f"decay is {decay!r}; expected 0 < decay <= 1.")
    require_at_least("steps_per_epoch", steps_per_epoch, 1)

    def rate(step: Any) -> jax.Array:
        return learning_rate * decay ** jnp.asarray(step // steps_per_epoch)

    return rate


def bn_momentum_schedule(
    step: int | jax.Array,
    *,
    total_steps: int,
    update_every: int,
    start: float = 0.1,
    end: float = 0.001,
) -> jax.Array:
    """Returns the momentum of batch norm at a step.

    It falls exponentially from `start` to `end`, and is renewed only now and then:
    after every epoch (`update_every` the steps of an epoch), or after every so many
    steps whatever the epoch. After n of N steps it is `start` (`end` / `start`)^(n/N),
    for the last n at which it was renewed; after the last of all steps it stays.

    Args:
      step: Steps done. May be traced.
      total_steps: Steps of the whole training.
      update_every: Steps from one renewal to the next.
      start: Share of the batch in the moved running statistics at step 0.
      end: The share after the last step, in 0 < end <= start <= 1.

    Returns:
      Scalar, for the argument `momentum` of a network.

    Raises:
      ValueError: If a number is out of its range.

    Reference:
      Pavllo et al., 3D human pose estimation in video with temporal convolutions and
      semi-supervised training, CVPR 2019, appendix A.5.

    >>> at = lambda n: bn_momentum_schedule(n, total_steps=60, update_every=30)
    >>> [round(float(at(step)), 4) for step in (0, 29, 30, 60, 90)]
    [0.1, 0.1, 0.01, 0.001, 0.001]
    """
    require_at_least("total_steps", total_steps, 1)
    require_at_least("update_every", update_every, 1)
    if not 0 < end <= start <= 1:
        raise ValueError(
            f"start is {start!r} and end is {end!r}; expected 0 < end <= start <= 1."
        )
    renewed = jnp.minimum(step // update_every * update_every, total_steps)
    return start * jnp.exp(renewed / total_steps * math.log(end / start))


def one_cycle(
    max_learning_rate: float,
    total_steps: int,
    *,
    warmup_share: float = 0.05,
    start_divisor: float = 25.0,
    end_divisor: float = 1e4,
) -> optax.Schedule:
    """Returns the schedule that rises to a rate and falls to almost zero, in lines.

    The same as `torch.optim.lr_scheduler.OneCycleLR` with linear annealing. It stays at
    its last value after the last step.

    Args:
      max_learning_rate: Positive number, reached after the warm-up.
      total_steps: Steps of the whole cycle.
      warmup_share: Share of them in which the rate rises, in 0 <= share < 1.
      start_divisor: The first rate is the largest divided by this.
      end_divisor: The last rate is the first divided by this.

    Returns:
      A function of the step (from 0).

    Raises:
      ValueError: If a number is out of its range.

    Reference:
      Smith and Topin, Super-convergence, 2018 (arXiv 1708.07120); Teed and Deng, RAFT,
      ECCV 2020 (arXiv 2003.12039), sec. 4, with these numbers.

    >>> rate = one_cycle(1.0, 101, warmup_share=1 / 101 * 21)
    >>> [round(float(rate(step)), 3) for step in (0, 10, 20, 60, 100)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    if not max_learning_rate > 0:
        raise ValueError(
            f"max_learning_rate is {max_learning_rate!r}; expected a positive number, "
            "for example 4e-4."
        )
    require_at_least("total_steps", total_steps, 1)
    if not 0 <= warmup_share < 1:
        raise ValueError(f"warmup_share is {warmup_share!r}; expected 0 <= share < 1.")
    require_at_least("start_divisor", start_divisor, 1)
    require_at_least("end_divisor", end_divisor, 1)
    start = max_learning_rate / start_divisor
    smallest = start / end_divisor
    # Steps at which the rate is largest and smallest; a short cycle begins at its peak.
    peak, last = max(warmup_share * total_steps - 1, 0.0), total_steps - 1.0

    def rate(step: Any) -> jax.Array:
        # Each line from its lower end, where rounding would show.
        done, left = jnp.asarray(step, float), jnp.maximum(last - step, 0.0)
        rising = start + (max_learning_rate - start) * done / (peak or 1.0)
        falling = smallest + (max_learning_rate - smallest) * left / (
            last - peak or 1.0
        )
        if not peak:
            rising = max_learning_rate
        return jnp.where(done <= peak, rising, falling)

    return rate
