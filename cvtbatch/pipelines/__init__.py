"""The jobs: rooms of the package joined into commands, one room for each thing that a user does."""
