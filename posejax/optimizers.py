"""Optimisers from numbers: what a config says, as optax transformations."""

import optax


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
