"""Prepares a data set: raw files in, shards that posejax reads out.

  python -m datasets.prepare human36m --manual_dir DIR [--config NAME] [--data_dir DIR]

Running it again does nothing when the set is finished, and goes on where it stopped
when it was interrupted. What each set needs is in `datasets/README.md`.
"""

import argparse
import contextlib
import difflib
import errno
import io
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator

INCOMPLETE = "incomplete."


def _people_sample() -> type:
    from datasets.people_sample import people_sample_dataset_builder

    return people_sample_dataset_builder.Builder


def _human36m() -> type:
    from datasets.human36m import human36m_dataset_builder

    return human36m_dataset_builder.Builder


def _own_videos() -> type:
    from datasets.own_videos import own_videos_dataset_builder

    return own_videos_dataset_builder.Builder


def _human36m_poses() -> type:
    from datasets.human36m_poses import human36m_poses_dataset_builder

    return human36m_poses_dataset_builder.Builder


def _humaneva_poses() -> type:
    from datasets.humaneva_poses import humaneva_poses_dataset_builder

    return humaneva_poses_dataset_builder.Builder


def _mocap() -> type:
    from datasets.mocap import mocap_dataset_builder

    return mocap_dataset_builder.Builder


def _flow_sample() -> type:
    from datasets.flow_sample import flow_sample_dataset_builder

    return flow_sample_dataset_builder.Builder


def _flying_chairs() -> type:
    from datasets.flying_chairs import flying_chairs_dataset_builder

    return flying_chairs_dataset_builder.Builder


def _flying_things() -> type:
    from datasets.flying_things import flying_things_dataset_builder

    return flying_things_dataset_builder.Builder


def _sintel() -> type:
    from datasets.sintel import sintel_dataset_builder

    return sintel_dataset_builder.Builder


def _kitti_flow() -> type:
    from datasets.kitti_flow import kitti_flow_dataset_builder

    return kitti_flow_dataset_builder.Builder


def _hd1k() -> type:
    from datasets.hd1k import hd1k_dataset_builder

    return hd1k_dataset_builder.Builder


BUILDERS: dict[str, Callable[[], type]] = {
    "people_sample": _people_sample,
    "human36m": _human36m,
    "own_videos": _own_videos,
    "human36m_poses": _human36m_poses,
    "humaneva_poses": _humaneva_poses,
    "mocap": _mocap,
    "flow_sample": _flow_sample,
    "flying_chairs": _flying_chairs,
    "flying_things": _flying_things,
    "sintel": _sintel,
    "kitti_flow": _kitti_flow,
    "hd1k": _hd1k,
}

NEEDS_FILES = frozenset(BUILDERS) - {"people_sample", "flow_sample"}


def prepare(
    name: str,
    *,
    config: str | None = None,
    data_dir: str | os.PathLike[str] = "data",
    manual_dir: str | os.PathLike[str] | None = None,
    progress: str = "auto",
    num_workers: int | None = None,
    allow_pickle: bool = False,
) -> pathlib.Path:
    """Prepares a data set, or finds it prepared.

    Args:
      name: Name of the data set, a key of `BUILDERS`.
      config: Name of the builder's configuration; None means its first.
      data_dir: Folder of prepared sets; this one goes to `<name>/<config>/<version>`.
      manual_dir: Folder of the raw files, for sets that are not drawn by a program.
      progress: "bar", "lines", "none", or "auto": a bar on a terminal, else lines.
      num_workers: Number of processes; None means all processors.
      allow_pickle: Whether raw files that are pickles may be read, with a reader that
        rebuilds arrays and nothing else.

    Returns:
      The folder of the prepared set.

    Raises:
      ValueError: If a name is unknown or a raw file is not what it should be.
      FileNotFoundError: If a raw file is missing.
      OSError: If the data folder cannot be written to or the disk is full.
    """
    builder_class = _builder_class(name)
    names = [c.name for c in builder_class.BUILDER_CONFIGS]
    config = names[0] if config is None else config
    if config not in names:
        raise ValueError(f"config is {config!r}; {name} has {_nearest(config, names)}.")
    root = pathlib.Path(data_dir).expanduser().absolute()
    # Creating the builder reads what is there, hence before any folder is made.
    builder = builder_class(config=config, data_dir=os.fspath(root))
    final = pathlib.Path(builder.data_dir)
    if final.exists():
        return final
    if name in NEEDS_FILES:
        manual_dir = _checked_manual_dir(name, manual_dir)
    with _remedies(root), _only_one(root / name):
        if not final.exists():
            builder.progress = progress
            builder.num_workers = num_workers
            builder.allow_pickle = allow_pickle
            builder.cache_dir = root / name / ".decoded" / config
            _build(builder, final, root / name, manual_dir)
    return final


def _builder_class(name: str) -> type:
    if name not in BUILDERS:
        raise ValueError(f"name is {name!r}; there are {_nearest(name, BUILDERS)}.")
    return BUILDERS[name]()


def _nearest(name: str, names) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(names)
    return f"{listed} (did you mean {close[0]!r}?)" if close else listed


def _checked_manual_dir(
    name: str, manual_dir: str | os.PathLike[str] | None
) -> pathlib.Path:
    if manual_dir is None:
        raise ValueError(
            f"{name} is made from files that you provide; pass --manual_dir DIR "
            "(datasets/README.md shows the tree)."
        )
    path = pathlib.Path(manual_dir).expanduser().absolute()
    if not path.is_dir() or not any(path.iterdir()):
        found = "is empty" if path.is_dir() else "is not a folder"
        raise FileNotFoundError(
            f"manual_dir {path} {found}; expected the files of {name} "
            "(datasets/README.md shows the tree)."
        )
    return path


def _build(builder, final: pathlib.Path, home: pathlib.Path, manual_dir) -> None:
    """Writes the set; TFDS gives it its final name when it is whole."""
    import tensorflow_datasets as tfds

    # Leftovers of killed runs; the lock says that nobody is writing to them.
    if final.parent.is_dir():
        for leftover in final.parent.glob(f"{INCOMPLETE}*"):
            shutil.rmtree(leftover)
    downloads = home / ".downloads"
    config = tfds.download.DownloadConfig(
        manual_dir=None if manual_dir is None else os.fspath(manual_dir),
        try_download_gcs=False,
    )
    try:
        # TFDS prints paragraphs about downloads; there are none.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                download_dir=os.fspath(downloads), download_config=config
            )
    finally:
        shutil.rmtree(downloads, ignore_errors=True)
    shutil.rmtree(builder.cache_dir, ignore_errors=True)
    with contextlib.suppress(OSError):
        builder.cache_dir.parent.rmdir()


@contextlib.contextmanager
def _remedies(root: pathlib.Path) -> Iterator[None]:
    """Turns what the operating system says into what a person can do."""
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)
        text = str(error)
        # The writer of shards reports the system's message as text only.
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text:
            raise OSError(
                errno.ENOSPC,
                f"the disk of {root} is full ({_free(root)} free); make room or choose "
                "another --data_dir, then run the same command again",
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR) and (
            str(getattr(error, "filename", None) or root).startswith(str(root))
        ):
            raise PermissionError(
                number,
                f"data_dir {root} cannot be written to ({os.strerror(number)}); "
                "change its permissions or choose another --data_dir",
            ) from error
        raise


def _free(root: pathlib.Path) -> str:
    existing = next((p for p in (root, *root.parents) if p.exists()), root)
    try:
        return f"{shutil.disk_usage(existing).free / 2**30:.1f} GiB"
    except OSError:
        return "nothing"


@contextlib.contextmanager
def _only_one(home: pathlib.Path) -> Iterator[None]:
    """Lets one process at a time prepare a set; the others wait."""
    import fcntl

    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"waiting for another process that prepares {home}\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            # Some network file systems have no locks; one writer is then up to the
            # person who starts it.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m datasets.prepare",
        description=(__doc__ or "").partition("\n\n")[0],
    )
    parser.add_argument("name", help=", ".join(BUILDERS))
    parser.add_argument("--config", help="builder configuration (default: its first)")
    parser.add_argument("--manual_dir", help="folder of the raw files")
    parser.add_argument("--data_dir", default="data", help="folder of prepared sets")
    parser.add_argument(
        "--num_workers", type=int, help="processes (default: one per processor)"
    )
    parser.add_argument(
        "--allow_pickle",
        action="store_true",
        help="read raw files that are pickles, with a reader that runs no code",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = _parser().parse_args(argv)
    started = time.monotonic()
    try:
        folder = prepare(
            args.name,
            config=args.config,
            data_dir=args.data_dir,
            manual_dir=args.manual_dir,
            num_workers=args.num_workers,
            allow_pickle=args.allow_pickle,
        )
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on where it stopped\n")
        return 130
    except (ValueError, OSError) as error:
        text = error.strerror if isinstance(error, OSError) else None
        sys.stderr.write(f"error: {' '.join((text or str(error)).split())}\n")
        return 2
    sys.stdout.write(f"{folder} ({time.monotonic() - started:.0f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
