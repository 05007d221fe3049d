"""One measurement of the public reference's training step; prints one JSON line.

Run by the interpreter given as `--reference_python` (PyTorch, kornia), never by ours.
The model is imported from the checkout and run as it is. What it takes from outside is
replaced: the data set by random frames, the VGG checkpoint by random weights of the
same shapes, its settings file by paths of the checkout.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time
import types

import measure  # the folder of this file is on the path
import torch
import torch_process
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def stand_in(name: str, **attributes: object) -> types.ModuleType:
    """Puts a module with the given attributes in place of an installed one."""
    module = types.ModuleType(name)
    for key, value in attributes.items():
        setattr(module, key, value)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


class Vgg19(nn.Module):
    """The first 14 layers of VGG-19, random weights."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage, width in enumerate(widths):
            if stage:
                layers.append(nn.MaxPool2d(2, 2))
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(True)]
                channels = width
        self.features = nn.Sequential(*layers)


def install_stand_ins(options: argparse.Namespace, folder: str) -> None:
    """Makes the checkout importable without torchvision, data and checkpoints."""
    root = pathlib.Path(options.reference_dir)
    widths = tuple(n // options.narrow for n in (64, 128, 256))
    checkpoint = pathlib.Path(folder) / "vgg.pth"
    torch.save(Vgg19(widths).state_dict(), checkpoint)
    stand_in("torchvision")
    stand_in("torchvision.models", vgg19=lambda pretrained: Vgg19(widths))
    stand_in("torchvision.utils", make_grid=None)
    stand_in("configs")
    stand_in(
        "configs.variables",
        TEMPLATES_DIR=f"{root / 'templates'}/",
        PRETRAINED_VGG_PATH=str(checkpoint),
    )
    try:
        import json_tricks  # noqa: F401
    except ImportError:
        stand_in("json_tricks", load=json.load)
    for place in (root, root / "code", root / "code" / "models"):
        sys.path.insert(0, str(place))


def settings(options: argparse.Namespace) -> dict:
    """Returns what the reference's YAML file would hold."""
    suffix = "" if options.template == "t_pose" else f"_{options.template}"
    return {
        "num_parts": 18,
        "img_size": options.image_size,
        "batch_size": options.batch_size,
        "learning_rate": 1e-3,
        "regressor_nf": [
            n // options.narrow for n in (32, 64, 128, 256, 512, 512, 512)
        ],
        "translator_nf": [n // options.narrow for n in (32, 64, 128, 256)],
        "anchor_loss_weight": 0.5,
        "boundary_loss_weight": 1.0,
        "template_path": f"template{suffix}.json",
        "anchor_pts_path": f"anchor_points{suffix}.json",
    }


def matmul_peak(device: torch.device, size: int = 2048, repeats: int = 5) -> float:
    """Returns the GFLOP/s of a square matrix product, best of several."""
    a = torch.ones(size, size, device=device)

    def call() -> None:
        torch.mm(a, a)
        torch_process.synchronize()

    seconds = measure.timed_calls(call, warmup=2, repeats=repeats)
    return 2 * size**3 / min(seconds) / 1e9


def measure_step(options: argparse.Namespace) -> dict:
    """Returns times, memory and arithmetic of the reference's `train_step`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(measure.num_cores())
    torch.manual_seed(0)
    module = __import__(options.model)
    model = module.Model(cfg=settings(options), device=device)
    shape = (options.batch_size, 3, options.image_size, options.image_size)
    frames = [torch.randn(shape, device=device) for _ in range(2)]

    def call() -> None:
        model.train_step(*frames)
        torch_process.synchronize()

    start = time.perf_counter()
    call()
    first_call = time.perf_counter() - start
    seconds = measure.timed_calls(call, warmup=options.warmup, repeats=options.repeats)
    peak = measure.peak_memory_mb()  # without what counting takes
    with FlopCounterMode(display=False) as counter:
        call()
    return {
        "seconds": seconds,
        "compile_seconds": max(0.0, first_call - min(seconds)),
        **torch_process.usage(sys.modules["kornia"]),
        "peak_rss_mb": peak,
        "gflop": counter.get_total_flops() / 1e9,
        "matmul_gflops": matmul_peak(device),
    }


def main() -> None:
    """Measures and prints one JSON object on the last line."""
    parser = argparse.ArgumentParser(description="Measures the reference's step.")
    parser.add_argument("--reference_dir", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--template", default="natural")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--narrow", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        install_stand_ins(options, folder)
        print(json.dumps(measure_step(options)))


if __name__ == "__main__":
    main()
