"""Which packages of an extra this installation lacks."""

from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import Requirement

DISTRIBUTION = "dermis"


def missing(extras: Iterable[str]) -> dict[str, list[str]]:
    """Map each of `extras` that is not wholly installed to the requirements that are not met."""
    wanted = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    lacking_by_extra = {
        extra: [str(_bare(r)) for r in wanted if _applies(r, extra) and not _is_met(r)] for extra in extras
    }
    return {extra: lacking for extra, lacking in lacking_by_extra.items() if lacking}


def remedy(extras: Iterable[str]) -> str:
    return f"pip install '{DISTRIBUTION}[{','.join(sorted(extras))}]'"


def _applies(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _is_met(requirement: Requirement) -> bool:
    if requirement.name == DISTRIBUTION:  # an extra that is made of other extras
        return not missing(requirement.extras)
    try:
        return requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _bare(requirement: Requirement) -> Requirement:
    bare = Requirement(str(requirement))
    bare.marker = None
    return bare
