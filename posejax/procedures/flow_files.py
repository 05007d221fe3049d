"""Pairs of frames that `predict` reads, and the files of flow that it writes."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from posejax import render
from posejax.checks import require_at_least, require_choice
from posejax.data import frame_pairs, video
from posejax.data.flow_files import FLOW_SUFFIXES, FlowField, read_flow, write_flow
from posejax.data.flow_loaders import PADDINGS
from posejax.procedures.evaluate import write_json
from posejax.tasks.raft import COLUMNS, flow_figures
from posejax.typing import Config

SUFFIX_OF_FORMAT = {"flo": ".flo", "kitti": ".png"}
PICTURES = ("beneath", "flow", "none")
SUMMARY, REPORT, VIDEO = "flow.json", "report", "flow.mp4"
SMALLEST_SIDE = 8  # pixels: the network sees one cell of its grid
# Of a pair and of all pixels; the mean over pairs is a row of its own.
FIGURES = tuple(name for name in COLUMNS if name != "epe_pairs")
_PRINTED = 40  # rows of a table on a terminal
_DIGITS = 3


@dataclasses.dataclass(frozen=True)
class FlowOutput:
    """What `config.output` asks for; see `configs/bases/raft.py`.

    Attributes:
      format: 'flo' (exact) or 'kitti' (PNG, steps of 1/64 pixel).
      picture: 'beneath' its frame, 'flow' alone, or 'none'.
      max_length: Length that has the full colour, pixels; 0 = each pair's longest.
      video: Whether the flow of a video is also written as one.
      occlusion: Whether what the second frame hides is written as a mask.
      warm_start: Whether a pair starts from the flow of the pair before.
      ground_truth: Folder of true flow, by the names of the pairs; '' = none.
      padding: Where frames are padded to multiples of 8: 'sintel' or 'kitti'.
      updates: Updates of the flow; 0 = those of `config.evaluation`.
    """

    format: str = "flo"
    picture: str = "beneath"
    max_length: float | int = 0.0
    video: bool = True
    occlusion: bool = False
    warm_start: bool = False
    ground_truth: str = ""
    padding: str = "sintel"
    updates: int = 0

    def __post_init__(self) -> None:
        require_choice("config.output.format", self.format, SUFFIX_OF_FORMAT)
        require_choice("config.output.picture", self.picture, PICTURES)
        require_choice("config.output.padding", self.padding, PADDINGS)
        require_at_least("config.output.max_length", self.max_length, 0)
        require_at_least("config.output.updates", self.updates, 0)


def asked_output(section: Config | None) -> FlowOutput:
    """Returns what a section asks for; a field that it lacks has its default.

    Args:
      section: The section `output` of a config; None for a config without.

    Raises:
      ValueError: a field is none of its choices, or negative.
    """
    names = [field.name for field in dataclasses.fields(FlowOutput)]
    given = {} if section is None else section
    return FlowOutput(**{name: given[name] for name in names if name in given})


@dataclasses.dataclass(frozen=True)
class FlowInput:
    """Where frames come from.

    Attributes:
      kind: 'pair', 'folder' or 'video'.
      files: Both pictures, the pictures of the folder in natural order, or the video.
      path: The whole path, to tell inputs apart; both of a pair.
      name: Name of the folder of what is written.
      fps: Frames per second; None where it is unknown.
      num_frames: Number of frames; None where it is unknown.
    """

    kind: str
    files: tuple[pathlib.Path, ...]
    path: str
    name: str
    fps: float | None = None
    num_frames: int | None = None


class FramePair(NamedTuple):
    """Two frames of one size, one after the other.

    Attributes:
      name: That of its files: of the first frame, without its suffix if that is unique.
      frames: Name of either frame.
      first: `(height, width, 3)` uint8 RGB.
      second: The frame after it.
      follows: Whether `first` is the `second` of the pair before.
    """

    name: str
    frames: tuple[str, str]
    first: np.ndarray
    second: np.ndarray
    follows: bool


def open_flow_input(given: str | None) -> FlowInput:
    """Returns what `--input` names: a folder, a video, or `FIRST,SECOND`.

    Raises:
      FileNotFoundError: nothing is given, or it is not there.
      ValueError: it is one picture only, no picture, or no video.
    """
    if not given:
        raise FileNotFoundError(
            "--input is not given; name a folder of pictures, a video, or two pictures "
            "as FIRST,SECOND."
        )
    path = pathlib.Path(given)
    if not path.exists() and "," in given:
        return _two_pictures(given)
    source = video.open_video(path)
    whole = str(path.resolve())
    if source.kind == "video":
        frames = source.num_frames
        return FlowInput("video", (path,), whole, path.name, source.fps, frames)
    if source.kind == "image":
        raise ValueError(
            f"--input {given!r} is one picture, and flow needs two; name a folder of "
            "them, a video, or FIRST,SECOND."
        )
    files = tuple(video.image_files(path))
    name = path.resolve().name
    return FlowInput("folder", files, whole, name, None, len(files))


def _two_pictures(given: str) -> FlowInput:
    files = tuple(pathlib.Path(part.strip()) for part in given.split(","))
    missing = [str(file) for file in files if not file.is_file()]
    if len(files) == 2 and not missing:
        whole = ",".join(str(file.resolve()) for file in files)
        name = "-".join(file.stem for file in files)
        return FlowInput("pair", files, whole, name, None, 2)
    if len(files) == 2:
        raise FileNotFoundError(
            f"--input {given!r}: {' and '.join(missing)} not found; give two pictures "
            "as FIRST,SECOND."
        )
    raise ValueError(
        f"--input {given!r} names {len(files)} files; expected two pictures, "
        "FIRST,SECOND."
    )


def read_pairs(source: FlowInput) -> Iterator[FramePair]:
    """Reads the pairs of an input, holding two frames at a time.

    Grey pictures, alpha and 16 bits: see `posejax.data.frame_pairs`. Between pictures
    of a folder that differ in size there is no flow: a new sequence begins.

    Raises:
      ValueError: a frame is unreadable or smaller than 8 pixels, or no two frames in
        succession have one size.
    """
    if source.kind == "pair":  # refuses two sizes by name
        frame_pairs.read_frame_pair(*source.files)
    before: tuple[str, str, np.ndarray] | None = None
    follows, count, pairs = False, 0, 0
    for name, shown, frame in _named_frames(source):
        height, width = frame.shape[:2]
        count += 1
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"--input: {shown} is {width} x {height} pixels; expected at least "
                f"{SMALLEST_SIDE} x {SMALLEST_SIDE}."
            )
        if before is not None and before[2].shape != frame.shape:
            logging.warning(
                "%s is of another size than %s: no flow between them; a new sequence "
                "begins",
                *(shown, before[1]),
            )
            follows = False
        elif before is not None:
            frames = (before[1], shown)
            yield FramePair(before[0], frames, before[2], frame, follows)
            follows, pairs = True, pairs + 1
        before = (name, shown, frame)
    if not pairs:
        found = "one frame" if count == 1 else "no two frames in a row of one size"
        raise ValueError(
            f"--input {source.path!r} has {found}; flow needs two of one size."
        )


def _named_frames(source: FlowInput) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields the name for files, the name of the frame, and the frame."""
    if source.kind == "video":
        for index, frame in enumerate(video.read_frames(source.files[0])):
            yield f"{index:06d}", f"frame {index}", frame
        return
    stems = [file.stem for file in source.files[:-1]]
    is_unique = len(set(stems)) == len(stems)
    for file in source.files:
        name = file.stem if is_unique else file.name
        yield name, file.name, frame_pairs.read_frame(file)


def output_folder(
    asked: str | None, workdir: pathlib.Path, source: FlowInput
) -> pathlib.Path:
    """Returns where flow goes: `--output`, else a folder named like the input.

    Args:
      asked: `--output`.
      workdir: Folder of the run.
      source: The input.

    Raises:
      ValueError: it is a file, or holds the flow of an input from another place.
    """
    if asked is not None:
        folder = pathlib.Path(asked)
        if folder.is_file() or folder.suffix.lower() in (*FLOW_SUFFIXES, ".mp4"):
            raise ValueError(f"--output {asked!r} is a file; name a folder for all.")
        return folder
    folder = workdir / "predictions" / source.name
    try:
        before = json.loads((folder / SUMMARY).read_text()).get("path")
    except (OSError, ValueError, AttributeError):
        return folder  # nothing there, or nothing that could be lost
    if before not in (None, source.path):
        raise ValueError(
            f"{str(folder)!r} holds the flow of {before!r}; name another folder with "
            "--output."
        )
    return folder


def truth_files(folder: str, source: FlowInput) -> Mapping[str, pathlib.Path]:
    """Returns the file of true flow of each pair, by the pair's name.

    The frames are read once for it, so that nothing is computed in vain.

    Args:
      folder: `config.output.ground_truth`.
      source: The input.

    Raises:
      FileNotFoundError: there is no such folder, or it lacks the flow of a pair.
      ValueError: see `read_pairs` and `read_truth`.
    """
    field = f"config.output.ground_truth {folder!r}"
    if not pathlib.Path(folder).is_dir():
        raise FileNotFoundError(f"{field} is no folder; name one of true flow.")
    found, lacking = {}, []
    for pair in read_pairs(source):
        # A picture of the same name may lie beside it: exact formats come first.
        files = (
            pathlib.Path(folder) / f"{pair.name}{suffix}"
            for suffix in (".flo", ".pfm", ".png")
        )
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            lacking.append(pair.name)
        else:
            read_truth(file, pair)
            found[pair.name] = file
    if lacking:
        raise FileNotFoundError(
            f"{field} lacks the flow of {len(lacking)} of {len(found) + len(lacking)} "
            f"pairs; expected {lacking[0]} with one of {', '.join(FLOW_SUFFIXES)}."
        )
    return found


def read_truth(file: pathlib.Path, pair: FramePair) -> FlowField:
    """Reads the true flow of a pair; unknown vectors become zeros.

    Raises:
      ValueError: the file is damaged, or of another size than the frames.
    """
    field = read_flow(file)
    if field.valid.shape != pair.first.shape[:2]:
        (height, width), (rows, columns) = field.valid.shape, pair.first.shape[:2]
        raise ValueError(
            f"config.output.ground_truth: {file} is {width} x {height} pixels, but "
            f"{pair.frames[0]} is {columns} x {rows}; give the flow of that frame."
        )
    return FlowField(np.where(field.valid[..., None], field.flow, 0), field.valid)


def write_pair(
    output: pathlib.Path,
    pair: FramePair,
    flow: np.ndarray,
    *,
    visible: np.ndarray | None,
    asked: FlowOutput,
) -> tuple[dict[str, Any], np.ndarray]:
    """Writes the files of a pair; returns its row of the summary, and its colours.

    Args:
      output: The folder.
      pair: The pair.
      flow: `(height, width, 2)`, pixels.
      visible: Which pixels are seen in both frames; None writes no mask.
      asked: What is written.

    Raises:
      ValueError: the flow is not finite.
    """
    if not np.isfinite(flow).all():
        raise ValueError(
            f"the flow of {pair.name!r} is not finite: the weights are damaged or "
            "their training diverged; use others."
        )
    name = f"flow/{pair.name}{SUFFIX_OF_FORMAT[asked.format]}"
    write_flow(output / name, flow)
    row: dict[str, Any] = {"name": pair.name, "frames": list(pair.frames), "flow": name}
    colors = render.flow_to_image(flow, max_length=asked.max_length or None)
    if asked.picture != "none":
        row["picture"] = f"pictures/{pair.name}.png"
        is_alone = asked.picture == "flow"
        picture = colors if is_alone else np.concatenate([pair.first, colors])
        render.write_png(output / row["picture"], picture)
    if visible is not None:
        row["occluded"] = f"occluded/{pair.name}.png"
        mask = np.where(visible, np.uint8(0), np.uint8(255))
        render.write_png(output / row["occluded"], np.stack([mask] * 3, axis=-1))
        row["occluded_share"] = round(1 - float(np.mean(visible)), 4)
    lengths = np.linalg.norm(flow, axis=-1)
    row["size"] = [pair.first.shape[1], pair.first.shape[0]]
    row["mean_length"] = round(float(lengths.mean()), 4)
    row["longest"] = round(float(lengths.max()), 4)
    return row, colors


def write_report(
    output: pathlib.Path, names: Sequence[str], sums: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Writes `report.json` and `report.csv` and prints the table.

    Args:
      output: The folder.
      names: Those of the pairs.
      sums: Of each what `posejax.tasks.raft.flow_sums` returns, `(6,)`.

    Returns:
      Figures over all pixels of all pairs (`all_pixels`), and means over the pairs that
      have true flow (`mean_of_pairs`).
    """
    pairs = dict(zip(names, (_figures([row]) for row in sums), strict=True))
    means = {
        "mean_of_pairs": _figures([row / row[0] for row in sums if row[0]]),
        "all_pixels": _figures(sums),
    }
    units = {name: "px" if name == "epe" else "%" for name in FIGURES}
    write_json(output / f"{REPORT}.json", {"units": units, "pairs": pairs, **means})
    with (
        render.replaced_whole(output / f"{REPORT}.csv") as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, ["pair", *FIGURES])
        writer.writeheader()
        writer.writerows({"pair": n, **row} for n, row in (pairs | means).items())
    shown = {**(pairs if len(pairs) <= _PRINTED else {}), **means}
    table = {
        name: {COLUMNS[figure]: value for figure, value in row.items()}
        for name, row in shown.items()
    }
    print("\n" + render.figure_table(table, corner="pair", digits=_DIGITS))
    if len(pairs) > _PRINTED:
        print(f"({len(pairs)} pairs; each is in {output / REPORT}.csv)")
    return means


def _figures(sums: Sequence[np.ndarray]) -> dict[str, float | None]:
    """Returns the figures over the pixels of some pairs; None where none is known."""
    rows = np.array(sums, np.float64).reshape(-1, 6)
    if not rows[:, 0].any():
        return dict.fromkeys(FIGURES)
    per_pair = np.zeros((len(rows), 2))  # of the mean over pairs, which is made here
    found = flow_figures({"sums": rows, "pair_epe": per_pair})
    return {name: found[name] for name in FIGURES}
