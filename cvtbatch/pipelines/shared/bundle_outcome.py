"""What a command can do with a bundle by what it tells: an event, or one of several classes."""

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.errors import InputError


def require_event(bundle: Bundle, command: str, instead: str) -> None:
    """Refuse a bundle of several classes where a command is of an event alone.

    Args:
        command: as it is called, e.g. "results".
        instead: what does it for classes.

    Raises:
        InputError: "several_classes".
    """
    if classes := bundle.model.classes:
        raise InputError(
            "several_classes",
            f"the bundle tells several classes ({', '.join(classes)}), and `cvtbatch {command}` is of yes or no alone: {instead}",
        )
