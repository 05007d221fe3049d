"""Networks, each as two pure functions (`Network`): one file per network."""

from posejax.models.layers import BatchNorm as BatchNorm
from posejax.models.layers import Statistics as Statistics
from posejax.models.layers import compute_dtype as compute_dtype
from posejax.models.network import Network as Network
from posejax.models.raft import RaftNetwork as RaftNetwork
from posejax.models.raft import RaftOutput as RaftOutput
from posejax.models.raft import raft_network as raft_network
from posejax.models.reconstructor import make_reconstructor as make_reconstructor
from posejax.models.shape_template_regressor import PART_ORDER as PART_ORDER
from posejax.models.shape_template_regressor import (
    ShapeTemplateOutput as ShapeTemplateOutput,
)
from posejax.models.shape_template_regressor import (
    make_shape_template_regressor as make_shape_template_regressor,
)
from posejax.models.template_regressor import (
    make_template_regressor as make_template_regressor,
)
from posejax.models.temporal_conv import TemporalModel as TemporalModel
from posejax.models.temporal_conv import causal_shift as causal_shift
from posejax.models.temporal_conv import make_temporal_model as make_temporal_model
from posejax.models.temporal_conv import receptive_field as receptive_field
from posejax.models.vgg import random_vgg_params as random_vgg_params
from posejax.models.vgg import vgg_features as vgg_features
