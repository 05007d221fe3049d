"""The verb `predict` of RAFT: optical flow from each frame to the next.

The input is a folder of pictures, a video, or two pictures (`FIRST,SECOND`). The
weights are those of a work directory or, without one, those that
`config.initial_weights` names. Each pair gets a file of flow and a picture; `flow.json`
says what was made of what. Frames are read as a stream, two at a time.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from posejax import geometry, importers, render, training
from posejax.data.flow_files import FlowField
from posejax.data.flow_interpolation import forward_interpolate
from posejax.data.flow_loaders import pad_widths
from posejax.importers.raft import VARIANTS
from posejax.models.raft import RaftNetwork
from posejax.procedures import flow_files
from posejax.procedures.evaluate import restore, write_json
from posejax.procedures.flow_files import FlowInput, FlowOutput, FramePair
from posejax.procedures.predict_poses import as_started
from posejax.procedures.run import (
    DATA_DIR,
    Opened,
    Run,
    apply_sample,
    choose_data,
    open_run,
    read_config,
    without_sample,
)
from posejax.tasks.raft import FlowPrediction, flow_sums, make_network, variables
from posejax.typing import Config, Tree

OUTPUT = "output"  # the section of what is written: no part of a run
DEFAULT_FPS = 25.0


class Weights(NamedTuple):
    """A network and where its weights are from.

    Attributes:
      config: The config of the network.
      section: What is to be written, `config.output`; None for a config without.
      params: Parameters.
      model_state: Running statistics.
      folder: Where results go by default.
      about: What the summary says of the weights.
    """

    config: Config
    section: Config | None
    params: Tree
    model_state: Tree
    folder: pathlib.Path
    about: dict[str, Any]


class Estimate(NamedTuple):
    """What is found for a pair.

    Attributes:
      flow: `(height, width, 2)` float32, pixels.
      low_flow: That of the padded frames before upsampling, in pixels of its size.
      visible: `(height, width)`, what is seen in both frames; None if not asked for.
      sums: See `posejax.tasks.raft.flow_sums`; None without true flow.
    """

    flow: np.ndarray
    low_flow: np.ndarray
    visible: np.ndarray | None
    sums: np.ndarray | None


def predict_flow(run: Run) -> Mapping[str, Any]:
    """Finds the flow of every pair of `run.input` and writes it.

    Raises:
      FileNotFoundError: there is no input, no checkpoint, no such weights, or no true
        flow where it is asked for.
      ValueError: the input is unreadable, too small or of one frame; the weights are of
        another network; a field of `config.output` is not legal; or the folder to write
        to holds the flow of another input.
    """
    if run.boxes is not None:
        raise ValueError(
            "--boxes is given, but this system finds the flow of whole frames; leave "
            "it out."
        )
    source = flow_files.open_flow_input(run.input)
    weights = open_weights(run)
    asked = flow_files.asked_output(weights.section)
    output = flow_files.output_folder(run.output, weights.folder, source)
    truth = None
    if asked.ground_truth:
        truth = flow_files.truth_files(asked.ground_truth, source)
    next(flow_files.read_pairs(source))  # refused before anything is written
    estimator = FlowEstimator(
        make_network(weights.config),
        weights.params,
        weights.model_state,
        updates=asked.updates or weights.config.evaluation.updates,
        padding=asked.padding,
    )
    about = _about(source, weights, asked, estimator.updates)
    write_json(_made(output) / flow_files.SUMMARY, about | {"finished": False})
    total = source.num_frames and source.num_frames - 1
    pairs = flow_files.read_pairs(source)
    shown = training.progress(pairs, total=total, unit="pair")
    rows, sums = _write(output, source, shown, estimator, asked, truth)
    if truth is not None:
        names = [row["name"] for row in rows]
        about["report"] = flow_files.write_report(output, names, sums)
    sizes = [list(size) for size in estimator.compiled]
    about |= {"compilations": len(sizes), "compiled_sizes": sizes}
    write_json(output / flow_files.SUMMARY, about | {"finished": True, "pairs": rows})
    logging.info(
        "%d pairs: flow by %s, step %s, in %s; compiled for %d sizes",
        *(len(rows), weights.about["from"], weights.about["step"], output, len(sizes)),
    )
    return {"pairs": len(rows), "compilations": len(sizes), "output": str(output)}


def open_weights(run: Run) -> Weights:
    """Returns the weights of a work directory, or those that the config names.

    Raises:
      FileNotFoundError: there is no checkpoint, or no file of weights.
      ValueError: they are of another network than the config's.
    """
    config = run.config
    if config is not None and run.workdir is None and config.get("initial_weights"):
        return _named_weights(run, config)
    try:
        opened, section = open_work(run)
    except FileNotFoundError as error:
        if run.workdir is not None:
            raise
        more = "Or name weights: --config.initial_weights=FILE.npz."
        raise FileNotFoundError(f"{error} {more}") from None
    task = opened.system.make_task(opened.config, opened.data_dir)
    params, model_state, step = restore(run, opened, task)
    about = {"from": opened.workdir.name, "checkpoint": run.checkpoint, "step": step}
    return Weights(opened.config, section, params, model_state, opened.workdir, about)


def _named_weights(run: Run, given: Config) -> Weights:
    """Reads `config.initial_weights`."""
    is_sample = run.data == "sample"
    config = apply_sample(given, run.overrides) if is_sample else without_sample(given)
    name = config.initial_weights
    try:
        params, model_state = importers.read_weights(name, like=variables(config))
    except ValueError as error:
        raise _other_variant(config) or error from None
    said = importers.weights_description(name)
    stem = pathlib.Path(name).stem
    about = {"from": stem, "step": said.get("step"), "description": said}
    folder = pathlib.Path("runs", f"{run.name}-{stem}").absolute()
    return Weights(config, given.get(OUTPUT), params, model_state, folder, about)


def _other_variant(config: Config) -> ValueError | None:
    """Returns the error that names the network which the initial weights are of."""
    for variant in set(VARIANTS) - {config.model.variant}:
        other = ConfigDict(config.to_dict())
        other.update_from_flattened_dict({"model.variant": variant})
        try:
            importers.read_weights(config.initial_weights, like=variables(other))
        except ValueError:
            continue
        return ValueError(
            f"config.initial_weights {config.initial_weights!r} holds the {variant} "
            f"network, but config.model.variant is {config.model.variant!r}; give "
            f"--config.model.variant={variant}, or other weights."
        )
    return None


def open_work(run: Run) -> tuple[Opened, Config | None]:
    """Opens a work directory; returns it and the section of what is written.

    What is written is no part of a run: it need not be what the run began with.

    Raises:
      ValueError: the work directory holds another run.
      FileNotFoundError: it is none.
    """
    if run.config is None:
        opened = open_run(run, needs_data=False)
        return opened, opened.config.get(OUTPUT)
    if run.workdir is None:
        data_dir = run.data_dir or DATA_DIR
        _, used, _ = choose_data(run, run.config, data_dir, needs_data=False)
        run = dataclasses.replace(run, workdir=f"runs/{run.name}-{used}")
    path = pathlib.Path(str(run.workdir)) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{str(path.parent)!r} holds no run; train first, or give the --workdir of "
            "one."
        )
    run = as_started(run)
    fields = ConfigDict(run.config).to_dict()
    section = fields.pop(OUTPUT, None)
    began = read_config(path).to_dict()
    fields |= {OUTPUT: began[OUTPUT]} if OUTPUT in began else {}
    run = dataclasses.replace(
        run,
        config=ConfigDict(fields).lock(),
        overrides={
            name: value
            for name, value in run.overrides.items()
            if not name.startswith(f"{OUTPUT}.")
        },
    )
    return open_run(run, needs_data=False), section and ConfigDict(section)


class FlowEstimator:
    """RAFT for frames of any size; one compilation for each padded size.

    Attributes:
      updates: Updates of the flow.
      compiled: `(height, width)` of the padded frames of each compilation.
    """

    def __init__(
        self,
        network: RaftNetwork,
        params: Tree,
        model_state: Tree,
        *,
        updates: int,
        padding: str,
    ):
        """Compiles nothing yet.

        Args:
          network: The network.
          params: Its parameters.
          model_state: Its running statistics.
          updates: Updates of the flow, at least 1.
          padding: 'sintel' or 'kitti', see `pad_widths`.
        """
        self.updates = updates
        self.compiled: list[tuple[int, int]] = []
        self._padding = padding
        self._variables = (params, model_state)

        def flow(
            variables: tuple[Tree, Tree],
            first: jax.Array,
            second: jax.Array,
            start: jax.Array,
        ) -> tuple[jax.Array, jax.Array]:
            height, width = first.shape[1:3]
            self.compiled.append((height, width))  # runs when it is traced
            output, _ = network.apply(
                *variables, first, second, num_updates=updates, flow_init=start
            )
            return output.flow, output.low_flow

        def sums(flow: jax.Array, target: jax.Array, mask: jax.Array) -> jax.Array:
            return flow_sums(FlowPrediction(flow), {"flow": target, "mask": mask})

        self._flow = jax.jit(flow)
        self._sums = jax.jit(sums)
        self._visible = jax.jit(geometry.visible_mask)

    def __call__(
        self,
        first: np.ndarray,
        second: np.ndarray,
        *,
        start: np.ndarray | None = None,
        needs_visible: bool = False,
        truth: FlowField | None = None,
    ) -> Estimate:
        """Finds the flow of a pair.

        Args:
          first: `(height, width, 3)`, RGB in 0..255.
          second: The frame after it.
          start: Low flow to start from, as in `Estimate`; None starts from zero.
          needs_visible: Whether what both frames see is found, by the flow back.
          truth: The true flow, zeros where unknown; None measures nothing.
        """
        size = first.shape[:2]
        sides = pad_widths((size[0], size[1]), padding=self._padding)
        images = [
            np.pad(image, (*sides, (0, 0)), mode="edge")[None]
            for image in (first, second)
        ]
        low = tuple(side // 8 for side in images[0].shape[1:3])
        zero = np.zeros((1, *low, 2), np.float32)
        begin = zero if start is None else start[None].astype(np.float32)
        padded, low_flow = self._flow(self._variables, *images, begin)
        flow = self._cut(padded[0], size, sides)
        visible, sums = None, None
        if needs_visible:
            back, _ = self._flow(self._variables, *images[::-1], zero)
            seen = self._cut(self._visible(padded, back)[0], size, sides)
            visible = seen & _ends_inside(flow)
        if truth is not None:
            target = np.pad(truth.flow, (*sides, (0, 0)))[None]
            mask = np.pad(truth.valid, sides)[None]
            sums = np.asarray(self._sums(padded, target, mask)[0])
        return Estimate(flow, np.asarray(low_flow[0], np.float32), visible, sums)

    def _cut(self, padded: jax.Array, size: Any, sides: Any) -> np.ndarray:
        (top, _), (left, _) = sides
        values = np.asarray(padded)[top : top + size[0], left : left + size[1]]
        return values.astype(np.float32) if values.ndim == 3 else values


def _ends_inside(flow: np.ndarray) -> np.ndarray:
    """Which vectors end in the frame, not in its padding."""
    height, width = flow.shape[:2]
    rows, columns = np.indices((height, width))
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def _write(
    output: pathlib.Path,
    source: FlowInput,
    pairs: Iterator[FramePair],
    estimator: FlowEstimator,
    asked: FlowOutput,
    truth: Mapping[str, pathlib.Path] | None,
) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Writes the files of all pairs; returns their rows of the summary and sums."""
    rows: list[dict[str, Any]] = []
    sums: list[np.ndarray] = []
    has_video = source.kind == "video" and asked.video

    def frames() -> Iterator[np.ndarray]:
        low_flow = None
        for pair in pairs:
            is_warm = asked.warm_start and pair.follows and low_flow is not None
            found = estimator(
                pair.first,
                pair.second,
                start=forward_interpolate(low_flow) if is_warm else None,
                needs_visible=asked.occlusion,
                truth=None
                if truth is None
                else flow_files.read_truth(truth[pair.name], pair),
            )
            low_flow = found.low_flow
            if found.sums is not None:
                sums.append(found.sums)
            row, colors = flow_files.write_pair(
                output, pair, found.flow, visible=found.visible, asked=asked
            )
            rows.append(row | {"warm_start": is_warm})
            yield np.concatenate([pair.first, colors], axis=1)

    if has_video:
        path = output / flow_files.VIDEO
        render.write_video(path, frames(), source.fps or DEFAULT_FPS)
    else:
        for _ in frames():
            pass
    return rows, sums


def _about(
    source: FlowInput, weights: Weights, asked: FlowOutput, updates: int
) -> dict[str, Any]:
    """Returns what the summary says of the whole."""
    return {
        "input": source.name,
        "path": source.path,
        "kind": source.kind,
        "fps": source.fps,
        "weights": weights.about,
        "variant": weights.config.model.variant,
        "updates": updates,
        "unit": "px",
        "channels": ["x, to the right", "y, down"],
        "frame": "pixels of the first frame of a pair, (0, 0) the centre of its "
        "top left one",
        **{OUTPUT: dataclasses.asdict(asked) | {"updates": updates}},
    }


def _made(folder: pathlib.Path) -> pathlib.Path:
    """Makes a folder, without the report of an earlier call in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".json", ".csv"):
        (folder / f"{flow_files.REPORT}{suffix}").unlink(missing_ok=True)
    return folder
