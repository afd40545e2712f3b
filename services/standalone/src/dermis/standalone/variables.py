"""The settings of all parts.

Each part announces its own by the entry point group `dermis.settings`, named as the part.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata

from dermis.shared.settings import Settings, names, with_state_folder
from dermis.shared.urls import masked
from dermis.standalone.settings import StandaloneSettings
from dermis.standalone.state import Running

GROUP = "dermis.settings"
SHARED = "all parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    name: str
    value: str
    source: str
    part: str
    description: str


def models() -> dict[str, type[Settings]]:
    """Return the settings of each part that is installed, by the part's name in variables."""
    by_prefix: dict[str, type[Settings]] = {"STANDALONE": StandaloneSettings}
    for point in metadata.entry_points(group=GROUP):
        try:
            by_prefix[point.name.upper()] = point.load()
        except ModuleNotFoundError:
            continue  # that part's extra is not installed
    return by_prefix


def running_sources(running: Running) -> dict[str, dict[str, str]]:
    """Return the variables of a running `dermis up`, by who set them."""
    sources: dict[str, dict[str, str]] = {}
    for name, value in running.variables.items():
        source = running.sources.get(name)
        sources.setdefault(f"dermis up ({source})" if source else "dermis up", {})[name] = value
    return sources


def effective(sources: Mapping[str, Mapping[str, str]]) -> Iterator[Variable]:
    """Yield every variable with its value and where that came from.

    That is the first of `sources`, by name, that has it, or a default.
    """
    sources = {**sources, "default": with_state_folder(ChainMap(*map(dict, sources.values())))}
    seen = set()
    for part, model in models().items():
        for name, field in names(model, part).items():
            if name in seen:
                continue
            seen.add(name)
            info = model.model_fields[field]
            source = next((source for source, values in sources.items() if name in values), None)
            value = sources[source][name] if source else str(info.get_default(call_default_factory=True))
            owner = SHARED if field in Settings.model_fields else part.lower()
            yield Variable(
                name=name,
                value=masked(value),
                source=source or "default",
                part=owner,
                description=info.description or "",
            )
