"""Any config made small: a few steps on a handful of drawn frames, for tests."""

from ml_collections import ConfigDict


def shrink(config: ConfigDict, *, num_steps: int = 2) -> ConfigDict:
    """Returns `config` with tiny networks, pictures and data, and `num_steps` steps.

    Everything that makes the variant (template, scheme, weights, pairing) stays.
    """
    small = ConfigDict(config.to_dict())
    if "sample" in small:
        del small["sample"]
    small.lock()
    small.num_steps = num_steps
    small.batch_size = 8
    small.data.name, small.data.config = "people_sample", "tiny"
    small.evaluation.batch_size = 8
    small.evaluation.every = num_steps
    small.log.pictures_every = num_steps
    small.log.checkpoint_every = num_steps
    match small.system:
        case "template_warp":
            small.image_size = 64
            small.regressor_features = (4, 4, 4, 4, 4, 8)
            small.translator_features = (4, 4)
            small.vgg.weights = "random"
            small.vgg.widths = (4, 4, 8)
        case "posture_pose":
            small.data.config = "poses_tiny"
            small.data.actions = ()
            small.model.filter_widths = tuple(small.model.filter_widths)[:2]
            small.model.channels = 8
            small.views.num_groups = 8
            small.evaluation.segment = 16
            small.warmup_epochs = 0
            small.data.labelled.subjects = ("S1",)
            small.data.labelled.fraction = 1.0
            small.data.unlabelled.subjects = ("S5",)
            small.data.test.subjects = ("S9",)
            for branch in ("labelled", "unlabelled", "test"):
                small.data[branch].input_2d = "gt"
            small.ignore_nose = False
        case "raft":
            small.data.name, small.data.config = "flow_sample", "tiny"
            small.data.mix = small.data.evaluated = ("drawn_tiny",)
            small.data.crop = (32, 40)
            small.log.every = 1
            small.model.variant = "small"
            small.train_updates = small.evaluation.updates = 2
            small.initial_weights = ""
        case other:
            raise ValueError(f"shrink does not know system {other!r}; add its sizes.")
    return small
