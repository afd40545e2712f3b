"""A store whose current model is the demo's network, called a research model: a page takes a manifest at its word."""

import json
import shutil
from pathlib import Path

from dermis.shared.bundles import point, publish
from dermis.shared.manifest import MANIFEST_FILE, VersionRef
from dermis.shared.stores import open_store
from dermis.standalone import demo

KNOWLEDGE = {
    "kind": "a rash of one of eight kinds",
    "unknown": ["that something is no skin cancer: it can't rule out skin cancer"],
    "data": "drawings, called people by this test",
    "scale": "self_reported",
    "measured_on": {"FST_I_II": 265, "FST_III_IV": 302, "FST_V_VI": 248},
}


def publish_research(store: Path, scratch: Path) -> None:
    """Publish such a bundle to the folder `store` and make it current."""
    bundle = scratch / "bundle"
    shutil.copytree(demo.BUNDLE, bundle)
    manifest = json.loads((bundle / MANIFEST_FILE).read_text()) | {"purpose": "research", "knowledge": KNOWLEDGE}
    (bundle / MANIFEST_FILE).write_text(json.dumps(manifest))
    target = open_store(store.as_uri())
    publish(target, bundle)
    point(target, VersionRef(name="dermis", version=1), models_root=str(store / "models"))
