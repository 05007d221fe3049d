"""Human pose estimation in JAX.

Public subpackages: `geometry`, `losses`, `metrics`, `models` (pure functions and
networks), `data` (prepared folders to batches), `tasks`, `training`, `procedures`
(the runner), `importers` (published weights) and `render` (pictures). Importing
`posejax` imports none of them.
"""

__version__ = "0.1.0"
