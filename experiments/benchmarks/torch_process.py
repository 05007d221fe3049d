"""What every process that measures a reference shares: memory, versions, device.

Imported by name, like `measure`, in interpreters that have PyTorch and not posejax.
"""

import platform
import types
from typing import Any

import measure  # the folder of this file is on the path
import torch


def synchronize() -> None:
    """Waits until the device has done all its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def usage(*modules: types.ModuleType) -> dict[str, Any]:
    """Returns the peaks of memory so far (10^6 bytes), versions and device.

    Args:
      *modules: Packages whose versions count, beside Python and PyTorch.
    """
    on_gpu = torch.cuda.is_available()
    return {
        "peak_rss_mb": measure.peak_memory_mb(),
        "peak_device_mb": torch.cuda.max_memory_allocated() / 1e6 if on_gpu else None,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{module.__name__: module.__version__ for module in modules},
        },
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
    }
