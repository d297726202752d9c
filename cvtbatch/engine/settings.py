"""Dask's settings: the same for schedulers, workers and drivers, wherever they run."""

# How long a silent peer is waited for: shorter than 11 s Dask itself calls too low.
SILENCE_SECONDS = 12

# Workers that own a GPU advertise it under this name; `cvtbatch worker --gpu` does.
GPU = "GPU"

DASK_SETTINGS: dict[str, object] = {
    "distributed.comm.timeouts.connect": f"{SILENCE_SECONDS}s",
    "distributed.comm.timeouts.tcp": f"{SILENCE_SECONDS}s",
    # One death is enough to hear of: the run itself decides who is tried again, and how.
    "distributed.scheduler.allowed-failures": 0,
    # A driver that is killed takes its workers with it.
    "distributed.worker.daemon": True,
    "distributed.admin.log-format": "%(message)s",
    "distributed.logging": {
        "distributed": "critical",
        "distributed.nanny": "critical",
        "bokeh": "critical",
        "tornado": "critical",
    },
}
