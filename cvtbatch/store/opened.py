"""A store that is opened: where it lies, its tables, and views of their rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import cvtbatch
from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.errors import InputError, StorageError
from cvtbatch.spec import Spec
from cvtbatch.store.array_store import FILLED, FORMAT_FILE, ArrayStore, read_format, written_format
from cvtbatch.store.feature_sets import StoreTables
from cvtbatch.store.location import Location
from cvtbatch.store.log_heads import Heads
from cvtbatch.store.objects import probe_writing, put, require_room
from cvtbatch.store.reading import Selection, View
from cvtbatch.store.tables import Pin, Table

_NEW = "choose an empty folder"


class OpenedStore(ArrayStore):
    """An existing store and its tables; otherwise as `ArrayStore`."""

    def __init__(self, url: str | Path) -> None:
        super().__init__(url)
        self._heads = Heads(self.location)
        self._tables = StoreTables(self.location, self._heads)

    @classmethod
    def require_place(cls, url: str) -> None:
        """Refuse, before any work, a place where there is no store and none can be made; nothing is written.

        Raises:
            StorageError: the folder holds other things, or cannot be made.
            FormatError: as for the class.
        """
        location = Location.of(url)
        try:
            read_format(location, _NEW)
        except StorageError as error:
            if error.kind != "no_store":
                raise
            require_room(location)

    @classmethod
    def open_for_writing(cls, url: str, existing: bool = False) -> Self:
        """Open a store, creating it where there is none, and bring its tables up to the contracts.

        Args:
            existing: do not create it.

        Raises:
            StorageError: it cannot be written, not so that two runs may, or the folder holds other things.
            FormatError: as for the class.
        """
        location = Location.of(url)
        try:
            read_format(location, FILLED if existing else _NEW)
        except StorageError as error:
            if existing or error.kind != "no_store":
                raise
            probe_writing(location)
            put(location, FORMAT_FILE, written_format(f"cvtbatch {cvtbatch.__version__}"))
        else:
            probe_writing(location)
        store = cls(url)
        store.create_tables()
        store._heads.remove_stale()
        return store

    def table(self, name: str) -> Table:
        """Return a table.

        Raises:
            InputError: there is no such table.
        """
        if name not in self._tables:
            known = ", ".join(self._tables)
            raise InputError("no_such_table", f"there is no table {name!r}; there are {known}")
        return self._tables[name]

    def table_names(self) -> tuple[str, ...]:
        """Return the names of all tables: those of the contracts, and those of the store's feature sets."""
        return tuple(self._tables)

    def feature_sets(self) -> dict[str, Table]:
        """Return the tables of the feature sets that the store has, by the set's name."""
        return self._tables.sets()

    def sets_asked_for(self) -> set[str]:
        """Return the names of the store's feature sets, those that runs asked for and that have no row yet too."""
        return self._tables.sets_asked_for()

    def feature_set(self, name: str) -> Table:
        """Return the table of a feature set.

        Raises:
            InputError: "no_such_set": the store has none of this name.
        """
        return self._tables.of_set(name)

    def features_of(self, name: str) -> TableContract:
        """Return the contract of a table of features: of the study's, which are called "radiomics", or of a feature set.

        Raises:
            InputError: "no_such_set": the store has no feature set of this name.
        """
        return (self.table(name) if name == contracts.RADIOMICS else self.feature_set(name)).contract

    def table_of(self, spec: Spec) -> Table:
        """Return the table that holds the features of a radiomics specification."""
        return self._tables.of_spec(spec)

    def create_tables(self) -> None:
        """Create the tables that are not there, and bring the others up to their contracts.

        Raises:
            StorageError: the store cannot be written.
        """
        for table in self._tables.values():
            table.log.create()

    def view(
        self,
        pins: Mapping[str, Pin] | None = None,
        selection: Selection | None = None,
        label: Mapping[str, str] | None = None,
    ) -> View:
        """Return the rows as they are now, or where `pins` say; arguments as for `View`."""
        return View(self._tables, pins, selection, label)
