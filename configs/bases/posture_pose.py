"""Every field of posture_pose once: comment, unit, legal values; returned locked.

Published settings (Amadi and Agam 2023; Pavllo et al. 2019): fully supervised on five
subjects. `sample` holds the fields that differ on the embedded sample.
"""

from ml_collections import ConfigDict

UNLABELLED_TERMS = (
    "reprojection", "bone_length", "root", "symmetry", "bone_proportion",
    "joint_mobility", "view_pose", "view_posture",
)  # fmt: skip


def get_config(variant: str = "") -> ConfigDict:
    """Returns the base; `variant` is '' or 'mocap' (free motion capture)."""
    config = ConfigDict()
    config.system = "posture_pose"
    config.seed = 0  # of parameters, order, groups of views and prior noise

    _set_data(config)

    # Networks.
    config.model = ConfigDict()
    config.model.in_joints = 17  # keypoints of the 2-D input
    config.model.filter_widths = (3, 3, 3)  # odd; their product is the frames seen
    config.model.channels = 1024
    config.model.dropout = 0.25
    config.model.causal = False  # True: no frame after the one that is lifted
    config.model.dense = False  # True: kernels without gaps (ablation)
    config.auxiliary = "none"  # none | trajectory (place of the root) | scale
    config.compute_dtype = "float32"  # float32 | bfloat16 | float64, networks only
    config.batch_norm = ConfigDict()
    config.batch_norm.start = 0.1  # share of a batch in the running statistics, first
    config.batch_norm.end = 0.001  # and last; exponential in between
    config.batch_norm.update_every = 0  # steps; 0 = once an epoch

    _set_losses(config)
    _set_training(config)
    _set_animation(config)
    _set_sample(config)
    if variant == "mocap":
        config.data.name = "mocap"
    elif variant:
        raise ValueError(f"config variant is {variant!r}; expected nothing or 'mocap'.")
    config.lock()
    return config


def _set_data(config: ConfigDict) -> None:
    """Who is labelled, unlabelled and tested, and whose keypoints are the input."""
    config.data = ConfigDict()
    config.data.name = "human36m_poses"  # human36m_poses | humaneva_poses | mocap |
    # people_sample; humaneva_poses has 15 joints, the others 17
    config.data.config = "poses"  # its builder configuration
    config.data.actions = ()  # names or families ("Walking"); () = all
    config.data.downsample = 1  # every how manieth frame is used
    config.data.chunk_length = 1  # output frames of a training window
    config.data.flip = True  # mirrored windows too
    config.data.labelled = ConfigDict()
    config.data.labelled.subjects = ("S1", "S5", "S6", "S7", "S8")
    config.data.labelled.fraction = 1.0  # share of each recording, one run of frames
    config.data.labelled.input_2d = "gt"  # gt | name of a detector
    config.data.unlabelled = ConfigDict()
    config.data.unlabelled.subjects = ()
    config.data.unlabelled.input_2d = "gt"
    config.data.unlabelled.target_2d = "exact"  # exact | input: reprojection's target
    config.data.test = ConfigDict()
    config.data.test.subjects = ("S9", "S11")
    config.data.test.input_2d = "gt"
    config.ignore_nose = False  # True where a detector has none: 16 joints, 15 bones
    config.views = ConfigDict()
    config.views.group_size = 1  # views of a moment that are compared, 1 to 4
    config.views.num_groups = 1024  # unlabelled groups in a batch
    config.views.pairing = "anchor"  # anchor | adjacent: which views are compared
    config.views.trajectory = True  # the root's place in the world too
    config.views.posture = "unit_vectors"  # vectors | unit_vectors |
    # unit_vectors_and_lengths | rigid
    config.views.norm_order = 1  # 1 | 2, of differences of bone orientations


def _set_losses(config: ConfigDict) -> None:
    """One weight per term; a term of weight 0 is not computed."""
    config.projection = "none"  # none | perspective | linear | root_aligned |
    # root_added | both_rooted | target_rooted | target_rescaled |
    # both_rooted_target_rescaled (the last six: an orthographic camera)
    config.posture_kind = "bs-uvec-norm"  # uvec-norm | bs-uvec-norm | vec-norm |
    # uvec-cosi | bs-uvec-cosi: supervised posture loss
    _set_posture_schedule(config)
    config.prior = ConfigDict()
    config.prior.name = ""  # data_dir/priors/<name>_*.npz; "" = fit to labelled poses
    config.prior.ranks = 2  # 1 | 2: single bones, and pairs of bones
    config.prior.length_std = 0.05  # share, of the factors on bone lengths when fitting
    config.prior.centered = False  # covariances about the mean when fitting
    config.warmup_epochs = 0  # before unlabelled windows count
    config.weights = ConfigDict()
    # Labelled.
    config.weights.pose = 1.0  # MPJPE, metres
    config.weights.auxiliary = 1.0  # trajectory or scale, where there is one
    config.weights.posture = 0.0  # bone orientations
    # Unlabelled.
    config.weights.reprojection = 0.0
    config.weights.bone_length = 0.0  # VideoPose3D's
    config.weights.root = 0.0  # root to origin
    config.weights.symmetry = 0.0  # BSE
    config.weights.bone_proportion = 0.0  # BPC
    config.weights.joint_mobility = 0.0  # JMC
    config.weights.view_pose = 0.0  # MvP&P, in the world
    config.weights.view_posture = 0.0  # MvP&P, orientations


def _set_posture_schedule(config: ConfigDict) -> None:
    """What multiplies `weights.pose` and `weights.posture`, neither of them 0 then."""
    schedule = config.posture_schedule = ConfigDict()
    schedule.kind = "none"  # none | ramp (posture by 1 - g, g falling from 1) | swap
    # (one of the two in turns, the pose first)
    schedule.factor = 0.99  # of g at each change, between 0 and 1; 1 with swap
    schedule.every = 0  # steps from one change of g to the next; 0 = once an epoch
    schedule.pose_follows = False  # True: pose is multiplied by g, not left as it is
    schedule.swap_epochs = 1  # epochs from one exchange to the next, 1 or more


def _set_training(config: ConfigDict) -> None:
    """Optimiser, length, evaluation, log and loop."""
    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 1e-3
    config.optimizer.decay = 0.95  # factor of the learning rate
    config.optimizer.decay_every = 0  # steps; 0 = once an epoch
    config.optimizer.b1 = 0.9
    config.optimizer.b2 = 0.999
    config.optimizer.eps = 1e-8
    config.batch_size = 1024  # labelled windows, over all devices
    config.num_epochs = 80
    config.num_steps = 0  # 0 = num_epochs whole epochs

    config.evaluation = ConfigDict()
    config.evaluation.flip = "average"  # none | average | right: mirrored second look
    config.evaluation.segment = 256  # frames of a sequence lifted at a time
    config.evaluation.batch_size = 8  # segments
    config.evaluation.every = 0  # steps; 0 = once an epoch

    config.log = ConfigDict()
    config.log.every = 1  # steps between lines of metrics.jsonl
    config.log.pictures_every = 0  # this system draws none while it trains
    config.log.checkpoint_every = 0  # steps; 0 = once an epoch

    config.loop = ConfigDict()
    config.loop.steps_per_call = 0  # 0 = by backend: 1 on CPU, 8 on accelerators
    config.loop.prefetch = 2  # batches on the device ahead of use
    config.loop.cpu_devices = 0  # CPU only: devices to split a batch over; 0 = one


def _set_animation(config: ConfigDict) -> None:
    """What `predict` draws; no part of a run: neither stored nor compared with it."""
    config.animation = ConfigDict()
    config.animation.recording = ""  # of a data set: "S9/Walking 1"; "" = none
    config.animation.camera = 0  # which view of it; 0 = the first
    config.animation.video = ""  # file of what the input was seen in; "" = as found
    config.animation.ground_truth = True  # a panel for it, where it is known
    config.animation.skip = 0  # frames left out at the beginning
    config.animation.limit = 0  # most frames shown; 0 = all
    config.animation.downsample = 1  # so many frames are averaged to one
    config.animation.size_inches = 5.0  # side of a panel, at least 0.5
    config.animation.dots_per_inch = 80  # at least 10
    config.animation.bitrate_kbps = 3000  # of mp4, kbit/s; 0 = constant quality


def _set_sample(config: ConfigDict) -> None:
    """What differs on the embedded sample."""
    config.sample = ConfigDict(
        {
            "data": {
                "name": "people_sample",
                "config": "poses",
                "labelled": {"input_2d": "gt"},
                "unlabelled": {"input_2d": "gt"},
                "test": {"input_2d": "gt"},
            },
            "model": {"channels": 256},
            "batch_size": 128,
            "views": {"num_groups": 32},
            "num_steps": 1000,
            "evaluation": {"every": 250},
            "log": {"checkpoint_every": 250},
        }
    )


def semi_supervised(config: ConfigDict) -> None:
    """Sets the published semi-supervised run with camera parameters."""
    config.data.labelled.subjects = ("S1",)
    config.data.unlabelled.subjects = ("S5", "S6", "S7", "S8")
    config.model.dropout = 0.1
    config.auxiliary = "trajectory"
    config.projection = "perspective"
    config.views.group_size = 4
    config.views.num_groups = 128
    config.batch_size = 256
    config.num_epochs = 100
    config.warmup_epochs = 2
    config.optimizer.decay = 0.99
    config.optimizer.decay_every = 500
    config.batch_norm.update_every = 500
    config.posture_schedule.every = 500
    config.weights.reprojection = 2.0
    config.weights.root = 0.1333
    config.weights.symmetry = 0.1333
    config.weights.bone_proportion = 0.0667
    config.weights.joint_mobility = 0.0667
    config.weights.view_pose = 0.1
    config.weights.view_posture = 0.03
