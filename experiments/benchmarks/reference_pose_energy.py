"""One measurement of the published pose optimisation; prints one JSON line.

Run by the interpreter given as `--torch_python` (PyTorch, scipy), never by ours. The
function `pose_optimization` of ubc-vision/bootstrapping-human-optical-flow-and-pose
runs as it is, for a few steps. Around it are put: a clock, which reads the time and the
energy at each call of `backward`; the detections, from the random files; and, where
there is no GPU, the CPU in place of the device that its modules name.
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import sys
import time

import measure  # the folder of this file is on the path
import numpy as np
import torch
import torch_process
from reference_step import stand_in

UNUSED = (
    "matplotlib", "matplotlib.image", "matplotlib.pyplot", "cv2", "PIL", "PIL.Image",
)  # fmt: skip


def load_script(root: pathlib.Path) -> object:
    """Imports the script of the checkout, which does not run when it is imported.

    It adds a folder to the path by a relative name, and names CUDA for a device.
    """
    for name in UNUSED:
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            stand_in(name)
    os.chdir(root)
    sys.path.insert(0, str(root))
    import optimization_h36m
    from scripts import pose_utils

    if not torch.cuda.is_available():
        for module in (optimization_h36m, pose_utils):
            module.device = torch.device("cpu")
    return optimization_h36m


def load_clip(
    path: pathlib.Path, device: object
) -> tuple[list, np.ndarray, np.ndarray]:
    """Returns the clip as the script reads it: frames, detections, confidences."""
    with np.load(path) as file:
        clip = dict(file)
    frames = []
    for number, pose in enumerate(clip["pose"]):
        crop = {"img_size": 224, "scale": 1.0, "start_pt": clip["start_pt"][number]}
        frame = {
            "pred_3d_joints_from_smpl_optim": pose[None],
            "camera_optim": torch.from_numpy(clip["camera"][number]).to(device),
            "proc_param": crop,
        }
        if number < len(clip["flow"]):
            frame["flow"] = clip["flow"][number]
        frames.append({0: frame})
    return frames, clip["detections"][:, None], clip["confidence"][:, None]


def measure_steps(options: argparse.Namespace) -> dict:
    """Returns the seconds of the steps, and the energy before the last of them."""
    path = pathlib.Path(options.files).resolve() / "clip.npz"
    script = load_script(pathlib.Path(options.reference_dir).resolve())
    frames, detections, confidence = load_clip(path, script.device)
    stamps, energies = [], []
    original = torch.Tensor.backward

    def clocked(self: torch.Tensor, *args: object, **kwargs: object) -> object:
        torch_process.synchronize()
        stamps.append(time.perf_counter())
        energies.append(self.item())
        return original(self, *args, **kwargs)

    torch.Tensor.backward = clocked
    script.get_joints_dcpose_h36m = lambda *names: (detections, confidence)
    script.pose_steps = 1 + options.warmup + options.repeats
    script.pose_optimization(frames, "", "", 1, "", "")
    if len(stamps) != script.pose_steps or not math.isfinite(energies[-1]):
        raise ValueError(f"{len(stamps)} steps, energy {energies[-1]}: not comparable.")
    return {
        "seconds": np.diff(stamps)[options.warmup :].tolist(),
        "items": len(frames),
        "compile_seconds": 0.0,
        "check": energies[-1],
        **torch_process.usage(np),
    }


def main() -> None:
    """Measures and prints one JSON object on the last line."""
    parser = argparse.ArgumentParser(description="Measures the published pose energy.")
    parser.add_argument("--reference_dir", required=True)
    parser.add_argument("--files", required=True)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(measure.num_cores())
    print(json.dumps(measure_steps(options)))


if __name__ == "__main__":
    main()
