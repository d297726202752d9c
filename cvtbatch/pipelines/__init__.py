"""The jobs: rooms of the package joined into commands."""
