r"""Optical flow on real and rendered pairs: RAFT beside two classical methods.

  python -m experiments.flow_pose.real_pairs --weights raft_small_drawn \
      --chairs DIR --kitti DIR --data_dir data --output runs/real_pairs.json

`--chairs` is a folder of `<id>_img1.png`, `<id>_img2.png` and `<id>_flow.flo`;
`--kitti` one of `frame1.png`, `frame2.png` and `flow_gt.png`; `--data_dir` holds the
prepared set flow_sample, of which the split `test` is used. Any of them may be left
out. Figures of all pairs of a set and of each pair go to the JSON file, the table to a
Markdown file of the same name. A set that the file has already is not computed again.
"""

import argparse
import datetime
import functools
import hashlib
import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import measure
from posejax import geometry, importers, models, render
from posejax.checks import require_at_least
from posejax.data.flow_files import read_flow
from posejax.data.flow_source import FlowPair, open_flow_source
from posejax.data.video import read_image
from posejax.importers.weight_files import weights_path
from posejax.tasks import raft
from posejax.typing import Tree

ROOT = pathlib.Path(__file__).resolve().parents[2]
UPDATES = (12, 24, 32)  # of training; of KITTI and FlyingChairs; of Sintel
PER_PAIR_ROWS = 12  # of a set with more pairs the table shows no single pair

Flows = Mapping[str, np.ndarray]
# The flows of a pair by method; `padding` is that of `PairSet`.
Method = Callable[[FlowPair, str], Flows]


class PairSet(NamedTuple):
    """Pairs of which the flow is known; they are read one at a time.

    Attributes:
      name: In the results.
      about: What kind of pairs they are, a phrase for the table.
      padding: How frames become multiples of 8 for RAFT: `sintel` or `kitti`.
      count: Number of pairs.
      read: Number of a pair to the pair.
    """

    name: str
    about: str
    padding: str
    count: int
    read: Callable[[int], FlowPair]


class Weights(NamedTuple):
    """Weights of RAFT.

    Attributes:
      network: The network that they fit.
      variables: `(params, model_state)`.
      about: Name, checksum, network and number of steps, for results.
    """

    network: models.RaftNetwork
    variables: tuple[Tree, Tree]
    about: dict[str, Any]


def read_raft(name: str) -> Weights:
    """Reads weights of the small or of the large RAFT.

    Args:
      name: An npz file, or the name of weights that come with posejax.

    Raises:
      FileNotFoundError: If there is none.
      ValueError: If they fit neither network.
    """
    path = weights_path(name)
    refused = []
    for variant in ("small", "large"):
        network = models.raft_network(variant)
        like = jax.eval_shape(network.init, jax.random.key(0))
        try:
            variables = importers.read_weights(path, like=like)
        except ValueError as error:
            refused.append(error)
            continue
        about = {
            "name": path.stem,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:16],
            "variant": variant,
            "step": importers.weights_description(path).get("step"),
        }
        return Weights(network, variables, about)
    raise refused[0]


def chairs_pairs(folder: pathlib.Path) -> PairSet:
    """Pairs in the layout of FlyingChairs, PNG instead of PPM; raises without any."""
    suffix = "_img1.png"
    names = sorted(p.name.removesuffix(suffix) for p in folder.glob(f"*{suffix}"))
    if not names:
        raise FileNotFoundError(
            f"{folder} holds no *{suffix}; expected <id>_img1.png, <id>_img2.png and "
            "<id>_flow.flo of each pair."
        )

    def read(index: int) -> FlowPair:
        start = folder / names[index]
        files = (f"{start}{end}" for end in ("_img1.png", "_img2.png", "_flow.flo"))
        return _read_pair(names[index], *files)

    about = "rendered chairs on photographs"
    return PairSet("flow_chairs", about, "sintel", len(names), read)


def kitti_pairs(folder: pathlib.Path) -> PairSet:
    """The pair of a folder of `frame1.png`, `frame2.png` and `flow_gt.png`."""
    files = [folder / name for name in ("frame1.png", "frame2.png", "flow_gt.png")]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} is missing; expected frame1.png, frame2.png and flow_gt.png."
            )
    about = "a street from a car; flow known at scattered pixels"
    read = functools.partial(_read_pair, "frame1", *files)
    return PairSet("flow_kitti", about, "kitti", 1, lambda index: read())


def sample_pairs(data_dir: pathlib.Path, *, config: str = "pairs") -> PairSet:
    """The pairs of flow_sample that are held out; raises if it is not prepared."""
    source = open_flow_source(str(data_dir), "flow_sample", config=config, split="test")
    about = "drawn, as the pairs that the packaged weights were trained on, held out"
    return PairSet("flow_sample", about, "sintel", len(source), source.__getitem__)


def _read_pair(
    name: str,
    first: str | pathlib.Path,
    second: str | pathlib.Path,
    truth: str | pathlib.Path,
) -> FlowPair:
    images = [read_image(path) for path in (first, second)]
    field = read_flow(truth)
    sizes = {array.shape[:2] for array in (*images, field.flow)}
    if len(sizes) > 1:
        raise ValueError(
            f"{truth} is {field.flow.shape[:2]} pixels, its frames are "
            f"{images[0].shape[:2]} and {images[1].shape[:2]}; expected one size."
        )
    flow = np.where(field.valid[..., None], field.flow, 0).astype(np.float32)
    return FlowPair(images[0], images[1], flow, field.valid, name)


def simple_flows(pair: FlowPair, padding: str) -> Flows:
    """Nothing moves; Farneback 2003; DIS (Kroeger et al. 2016), the medium preset.

    Farneback's parameters are those of OpenCV's sample: half the size per level, 5
    levels, windows of 15, 3 rounds, polynomials 5 and 1.2.
    """
    del padding
    images = (pair.image_1, pair.image_2)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    zero = np.zeros_like(pair.flow)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    farneback = cv2.calcOpticalFlowFarneback(
        *grey, zero.copy(), 0.5, 5, 15, 3, 5, 1.2, 0
    )
    return {
        "zero flow": zero,
        "Farneback": np.asarray(farneback, np.float32),
        "DIS medium": np.asarray(dis.calc(*grey, zero.copy()), np.float32),
    }


def raft_method(weights: Weights, *, updates: Sequence[int] = UPDATES) -> Method:
    """Returns RAFT after several numbers of updates, all of one run."""
    for number in updates:
        require_at_least("updates", number, 1)
    picked = np.array(updates) - 1

    @functools.partial(jax.jit, static_argnames="padding")
    def run(variables: Any, first: Any, second: Any, *, padding: str) -> jax.Array:
        frames = (
            geometry.pad_to_multiple(jnp.asarray(image, jnp.float32), mode=padding)
            for image in (first, second)
        )
        output, _ = weights.network.apply(
            *variables, *frames, num_updates=max(updates), all_flows=True
        )
        flows = jnp.asarray(output.flows)[picked, 0]
        height, width = first.shape[1:3]
        return geometry.remove_padding(flows, size=(height, width), mode=padding)

    def method(pair: FlowPair, padding: str) -> Flows:
        frames = pair.image_1[None], pair.image_2[None]
        flows = np.asarray(run(weights.variables, *frames, padding=padding))
        name = weights.about["name"]
        named = (f"RAFT {name}, {number} updates" for number in updates)
        return dict(zip(named, flows, strict=True))

    return method


def evaluate_set(
    pairs: PairSet,
    methods: Sequence[Method],
    *,
    watch: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Returns the figures of methods on a set, of all pairs and of each.

    Args:
      pairs: The set.
      methods: Each gives the flows of one or more columns of the result.
      watch: Is told which pair is done.

    Returns:
      `about`, `pairs` (their number), `figures` by method and `per_pair` by pair and
      method: `epe`, `epe_pairs` in pixels, the others in per cent, see
      `posejax.tasks.raft.flow_figures`.
    """
    values: dict[str, list[dict[str, np.ndarray]]] = {}
    per_pair: dict[str, dict[str, Any]] = {}
    for index in range(pairs.count):
        pair = pairs.read(index)
        row = per_pair[pair.name] = {}
        for method in methods:
            for name, flow in method(pair, pairs.padding).items():
                found = _pair_values(pair, flow)
                values.setdefault(name, []).append(found)
                row[name] = raft.flow_figures(found)
        watch(f"{pairs.name}: {index + 1} of {pairs.count} pairs")
    figures = {
        name: raft.flow_figures(
            {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        )
        for name, rows in values.items()
    }
    return {
        "about": pairs.about,
        "pairs": pairs.count,
        "figures": figures,
        "per_pair": per_pair,
    }


def _pair_values(pair: FlowPair, flow: np.ndarray) -> dict[str, np.ndarray]:
    """What figures are made of, a row for one pair."""
    predicted = raft.FlowPrediction(jnp.asarray(flow)[None])
    batch = {"flow": jnp.asarray(pair.flow)[None], "mask": pair.valid[None]}
    return {
        "sums": np.asarray(_flow_sums(predicted, batch)),
        "pair_epe": np.asarray(_pair_error(predicted, batch)),
    }


_flow_sums, _pair_error = jax.jit(raft.flow_sums), jax.jit(raft.pair_error)


def markdown(result: Mapping[str, Any]) -> str:
    """Returns the tables of a result: each set, and its pairs where they are few."""
    parts = []
    for name, found in result["sets"].items():
        parts.append(f"{name}: {found['pairs']} pairs, {found['about']}")
        rows = {
            method: {raft.COLUMNS[key]: value for key, value in figures.items()}
            for method, figures in found["figures"].items()
        }
        parts.append(render.figure_table(rows, corner="method", layout="markdown"))
        if not 1 < found["pairs"] <= PER_PAIR_ROWS:
            continue
        shown = {
            pair: {method: figures["epe"] for method, figures in row.items()}
            for pair, row in found["per_pair"].items()
        }
        how = {"corner": "EPE px", "layout": "markdown", "transposed": True}
        parts.append(render.figure_table(shown, **how))
    return "\n\n".join(parts)


def run_sets(
    output: pathlib.Path,
    sets: Sequence[PairSet],
    weights: Weights,
    *,
    updates: Sequence[int] = UPDATES,
    watch: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Evaluates what the output file does not have yet; writes after each set.

    Args:
      output: The JSON file; a Markdown file is written beside it.
      sets: The sets.
      weights: Of RAFT.
      updates: Numbers of its updates.
      watch: Is told what is done.

    Returns:
      What the file holds.

    Raises:
      ValueError: If the file holds figures of other weights, or is none.
    """
    begun = _read_result(output)
    setting = {"weights": weights.about, "updates": list(updates)}
    if begun and {key: begun.get(key) for key in setting} != setting:
        raise ValueError(
            f"{output} holds the figures of other weights ({begun.get('weights')}) or "
            "numbers of updates; use another --output, or remove it."
        )
    done = begun.get("sets", {})
    methods = (simple_flows, raft_method(weights, updates=updates))
    for pairs in sets:
        if pairs.name in done and done[pairs.name]["pairs"] == pairs.count:
            watch(f"{pairs.name}: finished before")
            continue
        found = evaluate_set(pairs, methods, watch=watch)
        when = {
            "date": datetime.date.today().isoformat(),
            "commit": measure.commit_of(ROOT),
            "machine": measure.machine(),
        }
        done = {**done, pairs.name: {**when, **found}}
        result = {**setting, "opencv": cv2.__version__, "sets": done}
        render.write_text(output, json.dumps(result, indent=2) + "\n")
        render.write_text(output.with_suffix(".md"), markdown(result) + "\n")
    return {**setting, "sets": done}


def _read_result(path: pathlib.Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found["sets"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path} is no result of this experiment; use another --output."
        ) from None
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.flow_pose.real_pairs",
        description=(__doc__ or "").partition("\n\n")[0],
    )
    add = parser.add_argument
    add("--weights", default="raft_small_drawn", help="npz, or name of packaged ones")
    add("--chairs", type=pathlib.Path, help="folder in the layout of FlyingChairs")
    add("--kitti", type=pathlib.Path, help="folder of one pair of KITTI")
    add("--data_dir", type=pathlib.Path, help="folder of the prepared flow_sample")
    add("--max_pairs", type=int, default=0, help="first pairs of each set; 0 = all")
    add("--output", type=pathlib.Path, required=True, help="JSON file to write")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluates and prints the table."""
    options = parse(arguments)
    kinds = (
        (options.chairs, chairs_pairs),
        (options.kitti, kitti_pairs),
        (options.data_dir, sample_pairs),
    )
    try:
        if options.output.suffix != ".json":
            raise ValueError(f"--output is {str(options.output)!r}; give a .json file.")
        require_at_least("--max_pairs", options.max_pairs, 0)
        sets = [read(folder) for folder, read in kinds if folder is not None]
        if not sets:
            raise ValueError("give at least one of --chairs, --kitti and --data_dir.")
        if options.max_pairs:
            sets = [s._replace(count=min(s.count, options.max_pairs)) for s in sets]
        weights = read_raft(options.weights)
        result = run_sets(options.output, sets, weights, watch=_print)
    except (OSError, ValueError) as error:
        sys.exit(f"real_pairs: {error}")
    print("\n" + markdown(result))


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
