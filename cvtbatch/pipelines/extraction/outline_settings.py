"""What a job asks for of outlines, turned into a specification and into what workers do."""

from cvtbatch.errors import InputError
from cvtbatch.outlining import threshold
from cvtbatch.outlining.command import CommandMethod
from cvtbatch.outlining.weights import DATA_SET, Weights, load_weights, to_bytes
from cvtbatch.pipelines.extraction.case_plan import Work
from cvtbatch.pipelines.extraction.outline_plan import OutlineWork, reader_of
from cvtbatch.pipelines.shared.job import CommandSection, OutlineSection
from cvtbatch.spec import Spec, digest, outline_spec


def resolve_outline(section: OutlineSection, volume: Spec, features: Work) -> tuple[OutlineWork, Spec, bytes | None]:
    """Return what a job asks for of outlines, their specification, and the weights as the store keeps them.

    Args:
        section: of a method.
        features: what is computed of the outlines that are found.

    Raises:
        InputError: the weights cannot be had, or the command cannot be one.
        ResourceError: the method's library is not here.
    """
    weights: Weights | None = None
    together = 1
    if section.method == "blast-ct":
        weights = Weights(load_weights().members[: section.models])
        settings: dict[str, object] = {"weights": {"source": DATA_SET, "sha256": weights.sha256}}
    elif section.method == "threshold":
        settings = {**threshold.settings(), "not_for_inference": True}
    else:
        command = command_method(section.command)
        together = section.command.together if command.takes_folders else 1
        # The line may name folders: its digest tells one from another.
        settings = {
            "line_sha256": digest(command.line),
            "labels": sorted(command.labels),
            "version": command.version,
        }
    common = {"method": section.method, "least_ml": float(section.least_ml), "parts": section.parts}
    spec = outline_spec(volume, {**common, **settings})
    work = OutlineWork(
        outline_spec_id=spec.spec_id,
        reader=reader_of(section.method, spec.spec_id),
        settings=section,
        weights_sha256=weights.sha256 if weights else "",
        features=features,
        not_for_inference=section.method == "threshold",
        together=together,
    )
    return work, spec, to_bytes(weights) if weights else None


def command_method(section: CommandSection) -> CommandMethod:
    """Return the program that a job names.

    Raises:
        InputError: "bad_command": it names none, or one that cannot be called.
    """
    if section.line is None:
        raise InputError("bad_command", "outline.method is command, and outline.command.line is empty: write its line")
    return CommandMethod(section.line, section.labels, section.version or "", float(section.time_limit_s))
