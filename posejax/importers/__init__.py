"""Published weights to our parameters, without PyTorch."""

from posejax.importers.metro import (
    convert_metro_estimates as convert_metro_estimates,
)
from posejax.importers.metro import read_metro_results as read_metro_results
from posejax.importers.raft import ImportedRaft as ImportedRaft
from posejax.importers.raft import export_raft as export_raft
from posejax.importers.raft import import_raft as import_raft
from posejax.importers.raft import load_raft_checkpoint as load_raft_checkpoint
from posejax.importers.template_warp import Imported as Imported
from posejax.importers.template_warp import (
    export_reconstructor as export_reconstructor,
)
from posejax.importers.template_warp import (
    export_shape_template_regressor as export_shape_template_regressor,
)
from posejax.importers.template_warp import (
    export_template_regressor as export_template_regressor,
)
from posejax.importers.template_warp import (
    import_reconstructor as import_reconstructor,
)
from posejax.importers.template_warp import (
    import_shape_template_regressor as import_shape_template_regressor,
)
from posejax.importers.template_warp import (
    import_template_regressor as import_template_regressor,
)
from posejax.importers.template_warp import import_template_warp as import_template_warp
from posejax.importers.template_warp import (
    load_published_checkpoint as load_published_checkpoint,
)
from posejax.importers.template_warp import (
    load_shape_template_checkpoint as load_shape_template_checkpoint,
)
from posejax.importers.temporal_model import (
    ImportedTemporalCheckpoint as ImportedTemporalCheckpoint,
)
from posejax.importers.temporal_model import (
    ImportedTemporalModel as ImportedTemporalModel,
)
from posejax.importers.temporal_model import (
    TemporalArchitecture as TemporalArchitecture,
)
from posejax.importers.temporal_model import (
    export_temporal_model as export_temporal_model,
)
from posejax.importers.temporal_model import (
    import_temporal_checkpoint as import_temporal_checkpoint,
)
from posejax.importers.temporal_model import (
    import_temporal_model as import_temporal_model,
)
from posejax.importers.temporal_model import (
    load_temporal_checkpoint as load_temporal_checkpoint,
)
from posejax.importers.torch_state_dict import TorchFileError as TorchFileError
from posejax.importers.torch_state_dict import UnreadObject as UnreadObject
from posejax.importers.torch_state_dict import read_torch_file as read_torch_file
from posejax.importers.vgg import import_vgg as import_vgg
from posejax.importers.vgg import load_vgg_npz as load_vgg_npz
from posejax.importers.vgg import save_vgg_npz as save_vgg_npz
from posejax.importers.weight_files import read_weights as read_weights
from posejax.importers.weight_files import save_weights as save_weights
from posejax.importers.weight_files import weights_description as weights_description
