"""Writes docs/reference/settings.md from the parts' settings: `.venv/bin/python scripts/generate_settings.py [--check]`."""

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from dermis.gateway.settings import GatewaySettings
from dermis.metadata.settings import MetadataSettings
from dermis.serving.settings import ServingSettings
from dermis.shared.settings import Settings, names
from dermis.standalone.settings import StandaloneSettings, SweepSettings
from dermis.worker.settings import WorkerSettings

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
PARTS: dict[str, type[Settings]] = {
    "GATEWAY": GatewaySettings,
    "WORKER": WorkerSettings,
    "METADATA": MetadataSettings,
    "SERVING": ServingSettings,
    "SWEEP": SweepSettings,
    "STANDALONE": StandaloneSettings,
}
HEAD = """# Settings

Every part reads `DERMIS_*` variables, once, when it starts. An unknown name is an error with a suggestion, and all faults come at once. `dermis config` prints the values in force and where each
came from. This page is generated: `scripts/generate_settings.py`.
"""


def default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the number of cores"
    return "(needed)" if field.is_required() else f"`{field.default}`"


def table(variables: dict[str, FieldInfo]) -> str:
    rows = [f"| `{name}` | {default(field)} | {field.description or ''} |" for name, field in variables.items()]
    return "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows])


def page() -> str:
    sections = [HEAD, "## All parts\n", table({name: Settings.model_fields[field] for name, field in names(Settings, "").items()})]
    for part, model in PARTS.items():
        own = {name: model.model_fields[field] for name, field in names(model, part).items() if field not in Settings.model_fields}
        sections += [f"\n## {part.lower()}\n", table(own)]
    return "\n".join(sections) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        if PAGE.read_text() != page():
            sys.exit(f"{PAGE.name} is not fresh; run scripts/generate_settings.py")
    else:
        PAGE.write_text(page())
