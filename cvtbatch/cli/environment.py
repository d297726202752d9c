"""Variables of the environment that libraries refuse as they load: what they raise is no user's language, or ends the process."""

import os
import re
from collections.abc import Mapping

from cvtbatch.errors import InputError

# By variable the form of what its library takes, and in words. Numba takes what is empty as not set.
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "NUMBA_NUM_THREADS": (re.compile(r"\s*(\+?0*[1-9][0-9]*)?\s*"), "a number of threads, 1 or more"),
    "NUMBA_DISABLE_JIT": (re.compile(r"\s*0*\s*"), "0: values are computed by compiled loops alone"),
    "TOKIO_WORKER_THREADS": (re.compile(r"\+?0*[1-9][0-9]*"), "a number of threads, 1 or more"),
}


def require_environment() -> None:
    """Refuse to begin where a variable would be refused later.

    Raises:
        InputError: "bad_environment": the variable, what it is set to, and what it may be.
    """
    for name, (form, words) in _FORMS.items():
        value = os.environ.get(name)
        if value is not None and not form.fullmatch(value):
            raise InputError(
                "bad_environment",
                f"environment variable {name} is {value!r}: it has to be {words}; set it so, or unset {name}",
            )
