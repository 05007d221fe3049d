"""Priors of bodies and postures: `fit_*` on poses, `log_likelihood`, losses, files."""

from posejax.priors.bone_proportion import BoneProportionPrior as BoneProportionPrior
from posejax.priors.bone_proportion import bone_proportion_loss as bone_proportion_loss
from posejax.priors.bone_proportion import (
    bone_proportion_prior as bone_proportion_prior,
)
from posejax.priors.bone_proportion import bone_ratios as bone_ratios
from posejax.priors.bone_proportion import fit_bone_proportion as fit_bone_proportion
from posejax.priors.joint_mobility import JointMobilityPrior as JointMobilityPrior
from posejax.priors.joint_mobility import fit_joint_mobility as fit_joint_mobility
from posejax.priors.joint_mobility import joint_mobility_loss as joint_mobility_loss
from posejax.priors.likelihood import log_likelihood as log_likelihood
from posejax.priors.storage import load_bone_proportion as load_bone_proportion
from posejax.priors.storage import load_description as load_description
from posejax.priors.storage import load_joint_mobility as load_joint_mobility
from posejax.priors.storage import save_prior as save_prior
