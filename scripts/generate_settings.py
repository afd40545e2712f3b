"""Writes docs/reference/settings.md from the parts' settings.

`.venv/bin/python scripts/generate_settings.py [--check]`

The chart's schema lets the same variables be given, but for those that the chart sets itself; they are written there
too.
"""

import json
import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from dermis.data.report.markdown import markdown_table
from dermis.gateway.settings import GatewaySettings
from dermis.metadata.settings import MetadataSettings
from dermis.serving.settings import ServingSettings
from dermis.shared.settings import Settings, names
from dermis.standalone.settings import StandaloneSettings
from dermis.sweep.settings import SweepSettings
from dermis.worker.settings import WorkerSettings

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
SCHEMA = Path(__file__).parents[1] / "helm" / "dermis" / "values.schema.json"
SET_BY_THE_CHART = {
    "DERMIS_GATEWAY_HOST",
    "DERMIS_GATEWAY_PORT",
    "DERMIS_WORKER_CONCURRENCY",
    "DERMIS_WORKER_HARD_TIME_LIMIT_SECONDS",
    "DERMIS_WORKER_ALIVE_FILE",
    "DERMIS_METADATA_LISTEN",
    "DERMIS_METADATA_LEAVE_SECONDS",
    "DERMIS_SERVING_LISTEN",
    "DERMIS_SERVING_LEAVE_SECONDS",
    "DERMIS_SWEEP_ALIVE_FILE",
}
PARTS: dict[str, type[Settings]] = {
    "GATEWAY": GatewaySettings,
    "WORKER": WorkerSettings,
    "METADATA": MetadataSettings,
    "SERVING": ServingSettings,
    "SWEEP": SweepSettings,
    "STANDALONE": StandaloneSettings,
}
HEAD = """# Settings

Every part reads `DERMIS_*` variables, once, when it starts. An unknown name is an error with a suggestion, and all \
faults come at once. `dermis config` prints the values in force and where each
came from. This page is generated: `scripts/generate_settings.py`.
"""


def default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the number of cores"
    return "(needed)" if field.is_required() else f"`{field.default}`"


def table(variables: dict[str, FieldInfo]) -> str:
    rows = [(f"`{name}`", default(field), field.description or "") for name, field in variables.items()]
    return markdown_table(["variable", "default", "what it is"], rows)


def own(part: str) -> dict[str, FieldInfo]:
    """Return the variables that are the part's alone."""
    model = PARTS[part]
    prefix, shared = f"DERMIS_{part}_", Settings.model_fields
    return {
        name: model.model_fields[field]
        for name, field in names(model, part).items()
        if field not in shared and name.startswith(prefix)
    }


def page() -> str:
    sections = [
        HEAD,
        "## All parts\n",
        table({name: Settings.model_fields[field] for name, field in names(Settings, "").items()}),
    ]
    for part in PARTS:
        sections += [f"\n## {part.lower()}\n", table(own(part))]
    return "\n".join(sections) + "\n"


def schema() -> str:
    """Return the chart's schema with the variables of each part that has `settings`."""
    tree = json.loads(SCHEMA.read_text())
    for part in PARTS:
        values = tree["properties"].get(part.lower(), {}).get("properties", {})
        if "settings" in values:
            values["settings"]["propertyNames"]["enum"] = [name for name in own(part) if name not in SET_BY_THE_CHART]
    return json.dumps(tree, indent=1) + "\n"


if __name__ == "__main__":
    for path, text in ((PAGE, page()), (SCHEMA, schema())):
        if "--check" not in sys.argv:
            path.write_text(text)
        elif path.read_text() != text:
            sys.exit(f"{path.name} is not fresh; run scripts/generate_settings.py")
