"""Every field of template_warp once: comment, unit, legal values; returned locked.

Published settings (Yoo and Russakovsky 2023). `sample` holds the fields that differ on
the embedded sample (`--data sample`), so that a run takes minutes on two CPU cores.
"""

from ml_collections import ConfigDict


def get_config(variant: str = "") -> ConfigDict:
    """Returns the base; `variant` is '', 'own_videos' or 'own_videos_small'."""
    config = ConfigDict()
    config.system = "template_warp"
    config.seed = 0  # of parameters, data order and augmentation

    # Input.
    config.data = ConfigDict()
    config.data.name = "human36m"  # prepared set: human36m | own_videos | people_sample
    config.data.config = "crops"  # its builder configuration: crops | crops_all (takes)
    config.data.pairing = "all"  # all | half_and_flips
    config.data.num_workers = 0  # decoding processes; 0 = threads of this process
    config.image_size = 256  # side of the square crop, pixels; a multiple of 64
    config.channel_order = "bgr"  # bgr (as published) | rgb (as VGG-19 was trained)

    # Model.
    config.template = "t_pose"  # t_pose | natural
    config.scheme = "affine"  # affine | two_step | constrained
    config.constrained_identity = True  # constrained: I + R diag(s) as published
    config.regressor = "template"  # template | shape_template (older net, affine only)
    config.warp = "sampling"  # sampling (bilinear) | gaussian (closed form, faster)
    config.regressor_features = (32, 64, 128, 256, 512, 512, 512)
    config.output_scale = 1.0  # of the regressor's last layer at the start; 1 as
    # published, near 0 the first maps are near the identity
    config.translator_features = (32, 64, 128, 256)
    config.compute_dtype = "float32"  # float32 | bfloat16 | float64, networks only
    config.vgg = ConfigDict()
    config.vgg.weights = "torchvision"  # torchvision (imported file) | random
    config.vgg.widths = (64, 128, 256)  # random only: channels of the three stages

    _set_training(config)
    _set_sample(config)
    if variant in ("own_videos", "own_videos_small"):
        # Little footage, and no VGG file asked for: own videos train at once.
        config.data.name = "own_videos"
        config.batch_size = 16
        config.num_epochs = 100
        config.vgg.weights = "random"
    elif variant:
        raise ValueError(
            f"config variant is {variant!r}; expected nothing, 'own_videos' or "
            "'own_videos_small'."
        )
    config.lock()
    if variant == "own_videos_small":
        config.update(_small())
        config.num_steps = 2000
    return config


def _set_training(config: ConfigDict) -> None:
    """Loss, optimiser, length, evaluation, log and loop."""
    # Loss: one weight per term.
    config.weights = ConfigDict()
    config.weights.perceptual = 1.0
    config.weights.pixel = 0.0
    config.weights.anchor = 0.5
    config.weights.boundary = 1.0

    # Optimiser: Adam, no decay, no clipping, no schedule.
    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 1e-3
    config.optimizer.b1 = 0.9
    config.optimizer.b2 = 0.999
    config.optimizer.eps = 1e-8
    config.optimizer.decay = "none"  # none | cosine (to zero over num_steps)
    config.optimizer.clip_norm = 0.0  # of the whole gradient; 0 = no clipping

    # Length; an entry in steps or epochs that is 0 is derived from the other.
    config.batch_size = 48  # pairs, over all devices
    config.num_epochs = 50
    config.num_steps = 0  # 0 = num_epochs whole epochs

    # Evaluation: joints from anchors.
    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 48
    config.evaluation.every = 0  # steps; 0 = once an epoch
    config.evaluation.midpoint = True  # abdomen, chest and neck as means of anchors
    config.evaluation.symmetric_hip = False  # True: right hip as mean of two anchors

    # Log and checkpoints.
    config.log = ConfigDict()
    config.log.every = 1  # steps between lines of metrics.jsonl
    config.log.pictures_every = 500  # steps between image grids
    config.log.checkpoint_every = 0  # steps; 0 = once an epoch

    # The loop.
    config.loop = ConfigDict()
    config.loop.steps_per_call = 0  # 0 = by backend: 1 on CPU, 8 on accelerators
    config.loop.prefetch = 2  # batches on the device ahead of use
    config.loop.cpu_devices = 0  # CPU only: devices to split a batch over; 0 = one


def _set_sample(config: ConfigDict) -> None:
    """What differs on the embedded sample."""
    config.sample = ConfigDict(_small())
    config.sample.data = ConfigDict({"name": "people_sample", "config": "crops"})
    config.sample.num_steps = 800


def _small() -> dict:
    """Sizes that two CPU cores train in minutes."""
    return {
        "image_size": 64,
        "batch_size": 16,
        # As many cells before the head (4 x 4) and between the networks (a quarter of
        # the side) as at 256 pixels, or limbs three pixels wide are lost.
        "regressor_features": (8, 16, 32, 64, 128),
        "translator_features": (16, 32, 64),
        # A few thousand steps, not two hundred thousand: start at the resting template.
        "output_scale": 0.05,
        "warp": "gaussian",
        "vgg": {"weights": "random", "widths": (16, 32, 64)},
        # Few steps: a decay in place of a long tail, and no step thrown away by the
        # outliers that far-flung parts make.
        "optimizer": {"learning_rate": 7e-4, "decay": "cosine", "clip_norm": 1.0},
        "evaluation": {"every": 250, "batch_size": 72},
        "log": {"pictures_every": 500, "checkpoint_every": 250},
        # Convolutions with few channels keep one core busy; two devices keep two.
        "loop": {"cpu_devices": 2},
    }
