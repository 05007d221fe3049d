"""RAFT, optical flow by recurrent updates: the network and its parts."""

from posejax.models.raft.correlation import correlation_volume as correlation_volume
from posejax.models.raft.correlation import feature_pyramid as feature_pyramid
from posejax.models.raft.correlation import lookup as lookup
from posejax.models.raft.correlation import lookup_on_the_fly as lookup_on_the_fly
from posejax.models.raft.correlation import scale_sizes as scale_sizes
from posejax.models.raft.correlation import volume_fits as volume_fits
from posejax.models.raft.encoders import Encoder as Encoder
from posejax.models.raft.encoders import drop_channels as drop_channels
from posejax.models.raft.network import RaftNetwork as RaftNetwork
from posejax.models.raft.network import RaftSizes as RaftSizes
from posejax.models.raft.network import raft_encoders as raft_encoders
from posejax.models.raft.network import raft_network as raft_network
from posejax.models.raft.refinement import RaftOutput as RaftOutput
from posejax.models.raft.refinement import unrolls_updates as unrolls_updates
from posejax.models.raft.update import flow_change as flow_change
from posejax.models.raft.update import gate_terms as gate_terms
from posejax.models.raft.update import gated_update as gated_update
from posejax.models.raft.update import motion_features as motion_features
from posejax.models.raft.update import upsampling_mask as upsampling_mask
from posejax.models.raft.upsampling import bilinear_upsample as bilinear_upsample
from posejax.models.raft.upsampling import convex_upsample as convex_upsample
