"""Every field of RAFT's training once: comment, unit, legal values; returned locked.

Published settings: Teed and Deng, ECCV 2020, stage "chairs" on two GPUs. `sample` holds
the fields that differ on drawn pairs.
"""

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """Returns the base; it has no variants."""
    if variant:
        raise ValueError(f"config variant is {variant!r}; expected nothing.")
    config = ConfigDict()
    config.system = "raft"
    config.seed = 1234  # of parameters, order and augmentation
    _set_data(config)
    config.model = ConfigDict()
    config.model.variant = "large"  # large | small
    config.model.bn_mode = "train"  # train | frozen: batch norm of the context encoder
    config.model.dropout = 0.0  # share of the encoders' output channels
    config.model.corr = "auto"  # auto | volume | on_the_fly
    config.model.remat = False  # True: less memory for the gradient, more time
    config.compute_dtype = "float32"  # float32 | bfloat16 | float64, networks only
    config.initial_weights = (
        ""  # work directory or .npz of an earlier stage; "" = drawn
    )
    config.train_updates = 12  # updates of the flow while training
    config.noise = 0.0  # largest deviation of noise added to a pair's frames, 0..255
    config.weights = ConfigDict()
    config.weights.gamma = 0.8  # factor from one update's loss to the one before
    config.weights.max_flow = 400.0  # px; longer vectors do not count
    _set_training(config)
    _set_output(config)
    config.sample = ConfigDict(
        {
            "data": {
                "name": "flow_sample",
                "config": "pairs",
                "mix": ("drawn",),
                "evaluated": ("drawn",),
                "crop": (128, 192),
            },
            "model": {"variant": "small"},
            "train_updates": 6,
            "batch_size": 2,
            "num_steps": 1000,
            "evaluation": {"every": 500, "updates": 12},
            "log": {"checkpoint_every": 250},
        }
    )
    config.lock()
    return config


def _set_data(config: ConfigDict) -> None:
    """What is trained on and what is evaluated, by names of the parts below."""
    config.data = ConfigDict()
    config.data.name = "flying_chairs"  # the first set; `--data auto` looks for it
    config.data.config = "pairs"  # its builder configuration
    config.data.mix = ("chairs",)  # names of `parts`
    config.data.evaluated = ("chairs",)  # names of `tests`
    config.data.crop = (368, 496)  # height and width of training examples, pixels
    config.data.num_threads = 4  # that read and augment
    config.data.num_workers = 0  # processes that do; 0 = threads only
    config.data.parts = ConfigDict(
        {
            "chairs": _part("flying_chairs", log2_scale=(-0.1, 1.0)),
            "things_clean": _part("flying_things", "clean", log2_scale=(-0.4, 0.8)),
            "things_final": _part("flying_things", "final", log2_scale=(-0.4, 0.8)),
            "things": _part("flying_things", "clean", log2_scale=(-0.2, 0.6)),
            "sintel_clean": _part("sintel", "clean", repeats=100),
            "sintel_final": _part("sintel", "final", repeats=100),
            "kitti_mixed": _part("kitti_flow", repeats=200, log2_scale=(-0.3, 0.5)),
            "hd1k": _part("hd1k", repeats=5, log2_scale=(-0.5, 0.2)),
            "kitti": _part("kitti_flow", log2_scale=(-0.2, 0.4), flips=False),
            "drawn": _part("flow_sample", log2_scale=(-0.2, 0.4), erased_px=(6, 24)),
            "drawn_tiny": _part("flow_sample", "tiny", erased_px=(6, 24)),
        }
    )
    config.data.tests = ConfigDict(
        {
            "chairs": {"name": "flying_chairs", "config": "pairs", "split": "test"},
            "sintel_clean": {"name": "sintel", "config": "clean", "split": "train"},
            "sintel_final": {"name": "sintel", "config": "final", "split": "train"},
            "kitti": {"name": "kitti_flow", "config": "pairs", "split": "train"},
            "drawn": {"name": "flow_sample", "config": "pairs", "split": "test"},
            "drawn_tiny": {"name": "flow_sample", "config": "tiny", "split": "test"},
        }
    )


def _part(
    name: str,
    config: str = "pairs",
    *,
    repeats: int = 1,
    log2_scale: tuple[float, float] = (-0.2, 0.6),
    flips: bool = True,
    erased_px: tuple[int, int] = (50, 99),
) -> dict[str, object]:
    """A set of a mix: how often each pair comes, and how it is augmented.

    Range of scales, mirrored or not, sides of what is erased in the second frame.
    """
    return {
        "name": name,
        "config": config,
        "repeats": repeats,
        "log2_scale": log2_scale,
        "flips": flips,
        "erased_px": erased_px,
    }


def _set_training(config: ConfigDict) -> None:
    """Optimiser, length, evaluation, log and loop."""
    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 4e-4  # the highest, after a twentieth of the run
    config.optimizer.weight_decay = 1e-4
    config.optimizer.eps = 1e-8
    config.optimizer.clip_norm = 1.0  # of the whole gradient
    config.batch_size = 10  # pairs, over all devices
    config.num_epochs = 0  # unused: the schedule needs num_steps
    config.num_steps = 100_000

    config.evaluation = ConfigDict()
    config.evaluation.updates = 24  # of the flow
    config.evaluation.batch_size = 1  # pairs, over all devices
    config.evaluation.every = 5000  # steps

    config.log = ConfigDict()
    config.log.every = 100  # steps between lines of metrics.jsonl
    config.log.pictures_every = 0  # this system draws none while it trains
    config.log.checkpoint_every = 5000  # steps

    config.loop = ConfigDict()
    config.loop.steps_per_call = 0  # 0 = by backend: 1 on CPU, 8 on accelerators
    config.loop.prefetch = 2  # batches on the device ahead of use
    config.loop.cpu_devices = 0  # CPU only: devices to split a batch over; 0 = one


def _set_output(config: ConfigDict) -> None:
    """What `predict` and `export_weights` write; no part of the training."""
    config.output = ConfigDict()
    config.output.format = "flo"  # flo (exact) | kitti (PNG, steps of 1/64 px)
    config.output.picture = "beneath"  # colours beneath their frame | flow | none
    config.output.max_length = 0.0  # px with the full colour; 0 = longest of each pair
    config.output.video = True  # of a video also flow.mp4, frame and colours abreast
    config.output.occlusion = False  # True: masks of what the second frame hides
    config.output.warm_start = False  # True: start from the flow of the pair before
    config.output.ground_truth = ""  # folder of true flow, files named like the pairs
    config.output.padding = "sintel"  # sintel (all sides) | kitti (rows at the bottom)
    config.output.updates = 0  # of the flow; 0 = evaluation.updates
    config.output.weights_dtype = "float32"  # float32 | float16, of export_weights


def stage(
    config: ConfigDict,
    *,
    mix: tuple[str, ...],
    evaluated: tuple[str, ...],
    crop: tuple[int, int],
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    gamma: float,
) -> None:
    """Sets a later stage, which starts from the weights of the one before.

    Batch norm keeps its running statistics; its scale and offset are trained.
    """
    first = config.data.parts[mix[0]]
    config.data.name, config.data.config = first.name, first.config
    config.data.mix, config.data.evaluated = mix, evaluated
    config.data.crop = crop
    config.num_steps, config.batch_size = num_steps, batch_size
    config.optimizer.learning_rate = learning_rate
    config.optimizer.weight_decay = weight_decay
    config.weights.gamma = gamma
    config.model.bn_mode = "frozen"
