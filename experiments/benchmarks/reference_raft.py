"""One measurement of princeton-vl/RAFT; prints one JSON line.

Run by the interpreter given as `--torch_python` (PyTorch, scipy), never by ours. The
network is imported from the checkout and run as it is; its loss is that of the
checkout's `train.py`. What that script takes from outside and a step does not use (data
sets, plots, a log) is replaced by empty modules. Where `--kind weights`, nothing is
measured: random weights of both networks are written for both sides.
"""

import argparse
import importlib.util
import json
import math
import pathlib
import sys
from collections.abc import Callable

import measure  # the folder of this file is on the path
import numpy as np
import torch
import torch_process
from reference_step import stand_in

VARIANTS = ("large", "small")
Pair = tuple[torch.Tensor, ...]
Call = Callable[[], torch.Tensor]
Check = Callable[[torch.Tensor], float]


def make_network(options: argparse.Namespace, variant: str) -> torch.nn.Module:
    """Returns a network of the checkout, random weights, on the CPU."""
    from raft import RAFT

    on_gpu = torch.cuda.is_available()
    mixed = on_gpu and options.compute_dtype == "bfloat16"
    torch.manual_seed(0)
    return RAFT(argparse.Namespace(small=variant == "small", mixed_precision=mixed))


def write_weights(options: argparse.Namespace) -> dict:
    """Writes `raft_large.pth` and `raft_small.pth`."""
    for variant in VARIANTS:
        weights = make_network(options, variant).state_dict()
        torch.save(weights, pathlib.Path(options.files) / f"raft_{variant}.pth")
    return {}


def load(options: argparse.Namespace) -> tuple[torch.nn.Module, Pair]:
    """Returns the network with the weights of the file, and frames and their flow."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = make_network(options, options.variant)
    folder = pathlib.Path(options.files)
    network.load_state_dict(torch.load(folder / f"raft_{options.variant}.pth"))
    with np.load(folder / f"pair_{options.height}x{options.width}.npz") as file:
        arrays = [file[name] for name in ("image_1", "image_2", "flow")]
    pair = tuple(
        torch.from_numpy(array[: options.batch_size]).permute(0, 3, 1, 2).float()
        for array in arrays
    )
    return network.to(device), tuple(part.contiguous().to(device) for part in pair)


def published_loss(root: str) -> Callable:
    """Returns `sequence_loss` of the checkout's script."""
    stand_in("evaluate")
    stand_in("datasets")
    stand_in("torch.utils.tensorboard", SummaryWriter=None)
    for name in ("matplotlib", "matplotlib.pyplot", "cv2"):
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            stand_in(name)
    sys.path.insert(0, root)
    import train

    return train.sequence_loss


def make_forward(options: argparse.Namespace) -> tuple[Call, Check]:
    """Returns what computes the flow of a pair; its check is the mean size of it."""
    network, (image_1, image_2, _) = load(options)
    network.eval()

    def call() -> torch.Tensor:
        with torch.no_grad():
            _, flow = network(image_1, image_2, iters=options.updates, test_mode=True)
        return flow

    return call, lambda flow: flow.double().abs().mean().item()


def make_train(options: argparse.Namespace) -> tuple[Call, Check]:
    """Returns what computes the training loss and its gradient, whose norm it checks.

    Batch norm is frozen, as in all stages of the published training but the first.
    """
    network, (image_1, image_2, target) = load(options)
    sequence_loss = published_loss(options.reference_dir)
    network.train()
    network.freeze_bn()
    valid = torch.ones_like(target[:, 0])

    def call() -> torch.Tensor:
        network.zero_grad()
        flows = network(image_1, image_2, iters=options.updates)
        loss, _ = sequence_loss(flows, target, valid)
        loss.backward()
        return loss

    def norm(loss: torch.Tensor) -> float:
        del loss
        squares = [
            part.grad.double().square().sum().item()
            for part in network.parameters()
            if part.grad is not None
        ]
        return math.sqrt(sum(squares))

    return call, norm


def make_finetune(options: argparse.Namespace) -> tuple[Call, Check]:
    """Returns what takes one step of the joint optimisation's fine-tuning.

    Loss, optimiser and train mode are those of `optimization_h36m.py` of
    ubc-vision/bootstrapping-human-optical-flow-and-pose, whose network is this one.
    """
    network, (image_1, image_2, target) = load(options)
    network.train()
    criterion = torch.nn.SmoothL1Loss()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)

    def call() -> torch.Tensor:
        optimizer.zero_grad()
        _, flow = network(image_1, image_2, iters=options.updates, test_mode=True)
        loss = criterion(flow, target)
        loss.backward()
        optimizer.step()
        return loss

    return call, lambda loss: loss.item()


KINDS = {"forward": make_forward, "train": make_train, "finetune": make_finetune}


def measure_calls(options: argparse.Namespace) -> dict:
    """Returns the seconds of the calls, and the check of the last of them."""
    call, check = KINDS[options.kind](options)
    found: list[torch.Tensor] = []

    def finished() -> None:
        found[:] = [call()]
        torch_process.synchronize()

    # One more before the clock starts, as for ours; both sides make as many steps.
    seconds = measure.timed_calls(
        finished, warmup=1 + options.warmup, repeats=options.repeats
    )
    usage = torch_process.usage(np)
    value = check(found[0])
    if not math.isfinite(value):
        raise ValueError(f"{options.kind} computes {value}; take larger frames.")
    exact = options.compute_dtype == "float32"
    return {
        "seconds": seconds,
        "items": options.batch_size,
        "compile_seconds": 0.0,
        "check": value if exact else None,
        **usage,
    }


def main() -> None:
    """Measures and prints one JSON object on the last line."""
    parser = argparse.ArgumentParser(description="Measures RAFT's reference.")
    parser.add_argument("--kind", required=True, choices=("weights", *KINDS))
    parser.add_argument("--reference_dir", required=True)
    parser.add_argument("--files", required=True)
    parser.add_argument("--variant", default="large", choices=VARIANTS)
    parser.add_argument("--height", type=int, default=440)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--compute_dtype", default="float32")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(measure.num_cores())
    sys.path.insert(0, str(pathlib.Path(options.reference_dir) / "core"))
    work = write_weights if options.kind == "weights" else measure_calls
    print(json.dumps(work(options)))


if __name__ == "__main__":
    main()
