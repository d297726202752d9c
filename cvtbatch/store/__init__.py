"""The store: zarr volumes and versioned tables under one root.

    STORE/cvtbatch-store.json     format and version; a newer one is refused
    STORE/heads/NAME/VERSION      how far the log of a table is known to reach; empty
    STORE/tables/NAME/            Delta Lake tables (schemas/tables/; features_SET of each feature set, `feature_sets`)
    STORE/volumes/, STORE/masks/  OME-Zarr 0.5 groups, immutable, each under a path of its own
    STORE/weights/                safetensors of backbones, by the digest of their tensors, for workers and for later years

What is read of a table was hashed before it was written (`checked_files`), and a log says what it holds (`table_log`).
A volume exists only if a row names it and its checksum holds: zarr reads a shard that is missing as fill value, silently.
"""

import lazy_loader

# Names are in the stub beside this file; each loads its module, and the libraries that it takes, when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
