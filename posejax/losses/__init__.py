"""Loss functions: pure, one value per example, named by what they measure."""

from posejax.losses.images import perceptual_loss as perceptual_loss
from posejax.losses.images import pixel_loss as pixel_loss
from posejax.losses.template import anchor_loss as anchor_loss
from posejax.losses.template import boundary_loss as boundary_loss
from posejax.losses.terms import weighted_sum as weighted_sum
