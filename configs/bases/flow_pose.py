"""Every field of flow_pose once: comment, unit, legal values; returned locked.

Published settings (Arko et al. 2022) for Human3.6M. `sample` holds the fields that
differ on the embedded sample.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Returns the base."""
    config = ConfigDict()
    config.system = "flow_pose"
    config.seed = 0  # of the sample's faulty estimates, and of factors in priors
    _set_data(config)

    config.compute_dtype = "float32"  # float32 | bfloat16 | float64, networks only
    _set_flow_and_pose(config)

    config.prior = ConfigDict()  # for the last two
    config.prior.data = "human36m_poses"  # prepared poses that they are fitted to
    config.prior.data_config = "poses"
    config.prior.subjects = ("S1", "S5", "S6", "S7", "S8")
    config.prior.every = 5  # every how manieth frame; neighbours hardly differ
    config.prior.length_std = 0.05  # share, of the factors on bone lengths

    config.faults = ConfigDict()  # of the sample's estimates, made from true poses
    config.faults.drift_m = 0.035  # deviation of a joint's slow error, metres per axis
    config.faults.jitter_m = 0.015  # that of its error that is new in every frame
    config.faults.memory = 0.85  # share of a slow error that the next frame keeps
    config.faults.lengths = 0.04  # share, of all lengths of a clip
    config.faults.camera = 0.01  # share, slow, of scale and place of the camera
    config.faults.detection_px = 1.5  # of detected joints, px of a frame 256 high
    config.faults.missed = 0.1  # share of joints that are not detected

    config.files = ConfigDict()  # of `predict`, beside --input
    config.files.poses = ""  # METRO's estimates, plain npz; for kind 3d
    config.files.detections = ""  # DCPose's JSON; for kind 3d, '' is none
    config.files.first = 0  # the frame that the first estimate is of
    config.files.every = 1  # every how manieth frame has an estimate

    config.evaluation = ConfigDict()
    config.evaluation.joints = 17  # 17 | 14: labels at which flow is judged
    config.evaluation.per_32 = False  # True: beside it, as the published code divides

    config.output = ConfigDict()
    config.output.flow = False  # True: .flo files of all pairs and cycles
    config.output.weights = False  # True: the fine-tuned weights of each clip
    config.output.pictures = True  # colours, targets, overlays, a video of each clip
    _set_sample(config)
    config.lock()
    return config


def _set_flow_and_pose(config: ConfigDict) -> None:
    """The two halves: fine-tuning of the flow network, minimisation of the energy."""
    config.flow = ConfigDict()
    config.flow.variant = "large"  # large | small
    config.flow.weights = "raft_things.npz"  # file, or name of packaged weights
    config.flow.updates = 20  # of the flow
    config.flow.bn_mode = "frozen"  # frozen | train (as published): batch norm of the
    # context encoder while fine-tuning; `train` uses and moves statistics of one frame
    config.flow.corr = "auto"  # auto | volume | on_the_fly
    config.flow.remat = True  # less memory for the gradient, more time
    config.flow.epochs = 8  # passes over a clip per cycle
    config.flow.learning_rate = 1e-5
    config.flow.radius = 15  # px, half the side of the squares around the skeleton
    config.flow.points = 20  # on each bone, between its ends
    config.flow.confidence = 0.6  # kind 2d: above it, both ends of a bone are trusted
    config.flow.cycles = 2  # 1 | 2: fine-tuning before the poses, and after them

    config.pose = ConfigDict()
    config.pose.kind = "3d"  # 3d (bodies) | 2d (joints in the frames)
    config.pose.num_steps = 1500  # at most
    config.pose.learning_rate = 1e-3
    config.pose.stop_decimals = 4  # stop when the printed energy stays the same ...
    config.pose.stop_repeats = 10  # ... so many times in a row
    config.pose.box_margin = 64  # px around the person in which flow is kept
    config.pose.weights = ConfigDict()  # kind 3d
    config.pose.weights.flow = 0.01  # projections move as the flow says
    config.pose.weights.pos = 300.0  # joints change little between frames
    config.pose.weights.det = 0.01  # projections are near detections
    config.pose.weights.pos2d = 0.0  # projections change little
    config.pose.weights.cam = 0.1  # cameras change little
    config.pose.weights.bone = 10_000.0  # bone lengths change little
    config.pose.weights.prior = 400.0  # poses are near where they started
    config.pose.weights.bone_proportion = 0.0  # not in the paper: bodies are likely
    config.pose.weights.joint_mobility = 0.0  # not in the paper: postures are likely
    config.pose.point_weights = ConfigDict()  # kind 2d
    config.pose.point_weights.flow = 300.0  # joints move as the flow says
    config.pose.point_weights.temporal = 0.0  # joints move little
    config.pose.point_weights.prior = 400.0  # joints are near where they were detected


def _set_data(config: ConfigDict) -> None:
    """Which clips, and how much of them."""
    config.data = ConfigDict()
    config.data.name = "human36m_clips"  # human36m_clips | sintel_clips | people_sample
    config.data.config = "raw"  # raw | frames, tiny_frames (the sample's)
    config.data.root = ""  # folder of videos (frames), estimates and labels
    config.data.split = "test"  # of the sample
    config.data.clips = ()  # names; () = all
    config.data.every = 1  # of the sample: every how manieth frame is used
    config.data.max_frames = 0  # of each clip; 0 = all
    config.data.scale = 1.0  # of frames and joints
    config.data.crop = False  # True: cut frames to the person
    config.data.crop_margin = 0.25  # in heights of the person, on every side


def _set_sample(config: ConfigDict) -> None:
    """What differs on the embedded sample."""
    config.sample = ConfigDict(
        {
            "data": {
                "name": "people_sample",
                "config": "frames",
                "clips": (),
                "every": 2,
                "crop": True,
            },
            "flow": {
                "variant": "small",
                "weights": "raft_small_drawn",
                "updates": 8,
                "remat": False,
                "epochs": 4,
                "learning_rate": 1e-4,
                "radius": 4,
            },
            "evaluation": {"joints": 14, "per_32": False},
            "prior": {
                "data": "people_sample",
                "subjects": ("S1", "S5", "S6", "S7", "S8"),
            },
        }
    )
