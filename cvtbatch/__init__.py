"""Distributed batch feature store and scoring engine for intracerebral hematomas on head CT."""

import lazy_loader

__version__ = "0.2.0"
# Names are in the stub beside this file; each loads its module, and the libraries that it takes, when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
