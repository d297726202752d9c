"""From a manifest to rows: what has to be done is planned, workers do it, one coordinator commits."""
