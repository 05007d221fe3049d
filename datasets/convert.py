"""Makes plain arrays of a published pose file, so that no pickle is needed any more.

  python -m datasets.convert IN.npz OUT.npz --allow_pickle

IN is a file of poses or detections as VideoPose3D's scripts write them, or what
Detectron found in a video. OUT appears whole or not at all.
"""

import argparse
import sys


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m datasets.convert",
        description=(__doc__ or "").partition("\n\n")[0],
    )
    parser.add_argument(
        "source",
        metavar="IN.npz",
        help="data_3d_*.npz, data_2d_*.npz, or what Detectron found in a video",
    )
    parser.add_argument("target", metavar="OUT.npz", help="the file to write")
    parser.add_argument(
        "--allow_pickle",
        action="store_true",
        help="read a file that is a pickle, with a reader that runs no code",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace OUT.npz if it is there"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = _parser().parse_args(argv)
    # After the flags, so that --help is quick.
    from posejax.data.pose_conversion import convert_pose_file

    try:
        convert_pose_file(
            args.source,
            args.target,
            allow_pickle=args.allow_pickle,
            overwrite=args.overwrite,
        )
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written\n")
        return 130
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {_line(error)}\n")
        return 2
    sys.stdout.write(f"{args.target}\n")
    return 0


def _line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'OUT.npz'}: {error.strerror}; choose another file."
    for option in ("allow_pickle", "overwrite"):
        text = text.replace(f"pass {option}=True", f"pass --{option}")
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
