"""Minimisation of an energy: all its steps in one compiled loop.

An energy is a function `(variables, data) -> (total, terms)` of a tree of arrays and of
constants. A whole minimisation is one program, so that a step costs no call:

    minimise = make_minimise(energy, optax.adam(1e-3), num_steps=1500)
    result = minimise(variables, data)      # compiled for the first clip of a shape

Constants go through `data`: what an energy closes over becomes part of the program, is
copied into it and compiled anew for each clip.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from posejax.checks import require_at_least
from posejax.training.program import Program
from posejax.typing import Tree


@runtime_checkable
class Energy(Protocol):
    """What is minimised: `(variables, data) -> (total, terms)`, all scalars."""

    def __call__(
        self, variables: Tree, data: Any
    ) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        """Returns the energy and its named terms, which are only recorded."""
        ...


class PrintedStop(NamedTuple):
    """Stops when the energy, printed, has not changed for several steps in a row.

    Attributes:
      decimals: Digits behind the point that are printed, rounded half to even.
      repeats: Stop after the update of the step whose energy is the last of so many
        that each equal the one before it.
    """

    decimals: int = 4
    repeats: int = 10


class MinimiseResult(NamedTuple):
    """What a minimisation found.

    Attributes:
      variables: The variables after the last update.
      losses: `(num_steps,)`, the energy before each update; NaN for steps that were not
        taken.
      terms: Each term of the energy, the same.
      num_steps: int32 scalar, how many updates were made.
      is_finite: False if the loop ended because the energy or its gradient was not
        finite; the variables are those before that step.
    """

    variables: Tree
    losses: jax.Array
    terms: dict[str, jax.Array]
    num_steps: jax.Array
    is_finite: jax.Array


class _State(NamedTuple):
    """What the loop carries; `printed` is the last energy as two whole numbers."""

    variables: Tree
    opt_state: Tree
    losses: jax.Array
    terms: dict[str, jax.Array]
    num_steps: jax.Array
    printed: tuple[jax.Array, jax.Array]
    repeats: jax.Array
    is_done: jax.Array
    is_finite: jax.Array


def minimise(
    energy: Callable[[Tree], tuple[jax.Array, Mapping[str, jax.Array]]],
    variables: Tree,
    optimizer: optax.GradientTransformation,
    *,
    num_steps: int,
    stop: PrintedStop | None = None,
) -> MinimiseResult:
    """Minimises an energy: a pure function, for use inside `jit` and `vmap`.

    Mapped over clips, it runs until the last of them has stopped; a clip that has
    stopped does not change any more.

    Args:
      energy: `variables -> (total, terms)`, scalars. Compile the caller, with whatever
        belongs to a clip as its argument (see `make_minimise`).
      variables: Where to start.
      optimizer: Turns gradients into updates; starts afresh.
      num_steps: Updates at most.
      stop: When to stop before; None never does.

    Returns:
      The variables, and the energy and its terms along the way.

    Raises:
      ValueError: If a number of steps, of decimals or of repeats is too small.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), pose optimisation, for the stop rule.

    >>> def parabola(x):
    ...     return (x - 3.0) ** 2, {}
    >>> found = minimise(parabola, jnp.array(0.0), optax.sgd(0.5), num_steps=50,
    ...                  stop=PrintedStop())
    >>> print(found.variables, found.num_steps)
    3.0 12
    """
    require_at_least("num_steps", num_steps, 0)
    if stop is not None:
        require_at_least("stop.decimals", stop.decimals, 0)
        require_at_least("stop.repeats", stop.repeats, 1)
    loss, terms = jax.eval_shape(energy, variables)

    def unknown(value: Any) -> jax.Array:
        # Not empty: nothing can be written into an empty array, even where no step is.
        return jnp.full((max(num_steps, 1),), jnp.nan, value.dtype)

    def is_going_on(state: _State) -> jax.Array:
        return (state.num_steps < num_steps) & ~state.is_done

    last = jax.lax.while_loop(
        is_going_on,
        _make_step(energy, optimizer, stop),
        _State(
            variables=variables,
            opt_state=optimizer.init(variables),
            losses=unknown(loss),
            terms={name: unknown(term) for name, term in terms.items()},
            num_steps=jnp.zeros((), jnp.int32),
            printed=_printed(jnp.full((), -1, loss.dtype), stop),
            repeats=jnp.zeros((), jnp.int32),
            is_done=jnp.zeros((), bool),
            is_finite=jnp.ones((), bool),
        ),
    )
    return MinimiseResult(
        variables=last.variables,
        losses=last.losses[:num_steps],
        terms={name: values[:num_steps] for name, values in last.terms.items()},
        num_steps=last.num_steps,
        is_finite=last.is_finite,
    )


def make_minimise(
    energy: Energy,
    optimizer: optax.GradientTransformation,
    *,
    num_steps: int,
    stop: PrintedStop | None = None,
    batched: bool = False,
) -> Program:
    """Returns the compiled minimisation of an energy: `(variables, data) -> result`.

    Args:
      energy: `(variables, data) -> (total, terms)`, for one clip.
      optimizer: As for `minimise`.
      num_steps: As for `minimise`.
      stop: As for `minimise`.
      batched: Whether all arrays of variables and data have a leading axis of clips,
        each of which is minimised, and stopped, by itself.

    Returns:
      The program; compiled at its first call, and again only for other shapes.
    """

    def one(variables: Tree, data: Any) -> MinimiseResult:
        return minimise(
            lambda moved: energy(moved, data),
            variables,
            optimizer,
            num_steps=num_steps,
            stop=stop,
        )

    return Program(jax.jit(jax.vmap(one) if batched else one))


def _make_step(
    energy: Callable[[Tree], tuple[jax.Array, Mapping[str, jax.Array]]],
    optimizer: optax.GradientTransformation,
    stop: PrintedStop | None,
) -> Callable[[_State], _State]:
    """Returns one step of the loop."""
    differentiated = jax.value_and_grad(energy, has_aux=True)

    def step(state: _State) -> _State:
        (loss, terms), gradients = differentiated(state.variables)
        updates, opt_state = optimizer.update(
            gradients, state.opt_state, state.variables
        )
        moved = optax.apply_updates(state.variables, updates)
        is_finite = _all_finite((loss, gradients))
        printed, repeats, is_done = _watched(stop, state, loss)
        index = state.num_steps
        return _State(
            variables=_selected(is_finite, moved, state.variables),
            opt_state=_selected(is_finite, opt_state, state.opt_state),
            losses=state.losses.at[index].set(loss),
            terms={n: state.terms[n].at[index].set(terms[n]) for n in state.terms},
            num_steps=index + is_finite.astype(jnp.int32),
            printed=printed,
            repeats=repeats,
            is_done=is_done | ~is_finite,
            is_finite=is_finite,
        )

    return step


def _printed(loss: jax.Array, stop: PrintedStop | None) -> tuple[jax.Array, jax.Array]:
    """What is before and behind the point when the loss is printed.

    Two numbers, because float32 cannot hold the digits of a large loss in one; taking
    the whole part away is exact.
    """
    unit = 10 ** (stop.decimals if stop else 0)
    whole = jnp.floor(loss)
    digits = jnp.round((loss - whole) * unit)
    is_next = digits >= unit
    return whole + is_next, jnp.where(is_next, 0, digits)


def _watched(
    stop: PrintedStop | None, state: _State, loss: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], jax.Array, jax.Array]:
    """The loss as printed, how often it repeated the last one, and whether to stop."""
    printed = _printed(loss, stop)
    is_same = (printed[0] == state.printed[0]) & (printed[1] == state.printed[1])
    repeats = jnp.where(is_same, state.repeats + 1, 0)
    is_done = jnp.zeros((), bool) if stop is None else repeats >= stop.repeats
    return printed, repeats, is_done


def _all_finite(tree: Tree) -> jax.Array:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves))


def _selected(condition: jax.Array, chosen: Tree, otherwise: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), chosen, otherwise)
