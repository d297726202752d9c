"""Dask's settings: the same for schedulers, workers and drivers, wherever they run."""

import dask.config

# How long a silent peer is waited for: shorter than 11 s Dask itself calls too low.
SILENCE_SECONDS = 12
# A worker that takes more than this share of its memory limit is ended by its nanny, and started anew.
TERMINATE_SHARE = 0.95

# Workers that own a GPU advertise it under this name; `cvtbatch worker --gpu` does.
GPU = "GPU"

DASK_SETTINGS: dict[str, object] = {
    "distributed.comm.timeouts.connect": f"{SILENCE_SECONDS}s",
    "distributed.comm.timeouts.tcp": f"{SILENCE_SECONDS}s",
    # One lost worker fails its task: the run itself decides which items are requeued, and how.
    "distributed.scheduler.allowed-failures": 0,
    # Hung workers are found by the driver, see `pool`: Dask goes by the wall clock, so that one which jumps would end them all.
    "distributed.scheduler.worker-ttl": None,
    # Results are small and leave at once. Memory is what a case in work takes: nothing could be spilt, and a pause would never end.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": TERMINATE_SHARE,
    # A case computes with one thread. Dask sets MALLOC_TRIM_THRESHOLD_ too, so that memory is given back at once: then every array
    # is fetched anew from the system, page by page, which takes a third of a worker's time.
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
    # By default, Dask looks a hundred times a second at what a process does, and fifty times at its clock: a twentieth of its work.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    # Beside those of the site.
    "distributed.worker.preload": [*dask.config.get("distributed.worker.preload", []), "cvtbatch.engine.lean_worker"],
    # A driver that is killed takes its workers with it.
    "distributed.worker.daemon": True,
    # Dask keeps its last thousand messages for debugging, and ours hold hundreds of items: some 200 MB of a driver.
    "distributed.admin.low-level-log-length": 20,
    "distributed.admin.log-format": "%(message)s",
    "distributed.logging": {
        "distributed": "critical",
        "distributed.nanny": "critical",
        "bokeh": "critical",
        "tornado": "critical",
    },
}

# A worker process of this machine that is lost is restarted by its nanny. Dask would close the nanny for good if the process is not
# there at some moment so long after a loss: while it starts, or lost again.
LOCAL_SETTINGS: dict[str, object] = {**DASK_SETTINGS, "distributed.deploy.lost-worker-timeout": "365d"}
