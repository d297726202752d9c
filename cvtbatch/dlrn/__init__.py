"""DLRN: selection, signatures and nomogram, fitted, frozen in a bundle, and scored."""

import lazy_loader

# Names are in the stub beside this file; each loads its module, and the libraries that it takes, when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
