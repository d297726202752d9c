"""The manifest: a CSV or Parquet file of images and outlines, read into cases, or refused with the problems in it."""

import lazy_loader

# Names are in the stub beside this file; each loads its module, and the libraries that it takes, when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
