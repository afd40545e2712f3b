"""Swift and Kotlin clients from the OpenAPI file: generated, every operation looked for, compiled with what is here.

`python -m tests.system.mobile_clients --out build/clients`, in the environment of `make mobile-clients`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import Any

SPEC = Path(__file__).parents[2] / "tests" / "contract" / "openapi.json"
PACKAGES = Path(sysconfig.get_path("purelib"))
GENERATOR = PACKAGES / "openapi_generator_cli" / "openapi-generator.jar"
KOTLIN_JARS = PACKAGES / "run_kotlin_kernel" / "jars"
"""A wheel of Kotlin's kernel for notebooks, which carries the compiler and kotlinx.serialization."""
OPTIONS = {
    "swift6": ["--additional-properties", "projectName=DermisClient"],
    "kotlin": [
        "--additional-properties",
        "serializationLibrary=kotlinx_serialization,packageName=dermis.client,groupId=dermis,artifactId=dermis-client",
        "--type-mappings",
        "AnyType=JsonElement,object=JsonElement",
        "--import-mappings",
        "JsonElement=kotlinx.serialization.json.JsonElement",
    ],
}
_FUNCTION = re.compile(r"\bfunc? (\w+)\(")
_IN_ROOT = """
mount --bind /proc "$0/proc" && mount --bind /dev "$0/dev" &&
exec chroot "$0" swift build --disable-sandbox --package-path "$1"
"""
"""Of a namespace of its own, with which the mounts end."""
_PLUGIN_SERVICE = "META-INF/services/org.jetbrains.kotlin.compiler.plugin.CompilerPluginRegistrar"
_PLUGIN_CLASS = "org.jetbrains.kotlinx.serialization.compiler.extensions.SerializationComponentRegistrar"


def plain(schema: Any) -> Any:
    """Return an OpenAPI file without what the generators make wrong code of, which says the same to a reader.

    Objects with fields may hold others, which every client ignores; a tuple of one type is an array of it; a number is
    a double. A body that may be a form or JSON is JSON, so that a case is made of uploads.
    """
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    fields = {name: plain(value) for name, value in schema.items()}
    if fields.get("additionalProperties") is True and "properties" in fields:
        del fields["additionalProperties"]
    if {"application/json", "multipart/form-data"} <= fields.keys():
        del fields["multipart/form-data"]
    if fields.get("type") == "number":
        fields.setdefault("format", "double")
    kinds = fields.get("prefixItems", ())
    if kinds and all(_kind(each) == _kind(kinds[0]) for each in kinds):
        fields["items"] = fields.pop("prefixItems")[0]
    return fields


def _kind(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name in ("type", "$ref", "anyOf", "format")}


def operations(spec: dict[str, Any]) -> set[str]:
    """Return the operations of a file by the names that the generators give their functions."""
    ids = (
        operation["operationId"]
        for path in spec["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict) and "operationId" in operation
    )
    return {re.sub(r"_(\w)", lambda match: match[1].upper(), each) for each in ids}


def functions(folder: Path, pattern: str) -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in folder.glob(pattern))
    return {name for text in texts for name in _FUNCTION.findall(text)}


def generate(spec: Path, kind: str, folder: Path) -> None:
    command = ["java", "-jar", str(GENERATOR), "generate", "-i", str(spec), "-g", kind, "-o", str(folder)]
    done = subprocess.run(
        [*command, *OPTIONS[kind], "--skip-operation-example"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{kind}: not generated\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def compile_kotlin(sources: Path, out: Path) -> str:
    """Compile the models with their serializers; return what came of it."""
    (kernel,) = KOTLIN_JARS.glob("kotlin-jupyter-kernel-*-all.jar")
    jars = [
        next(KOTLIN_JARS.glob(f"{name}-*.jar")) for name in ("kotlin-stdlib", "kotlin-reflect", "kotlin-script-runtime")
    ]
    libraries = [jars[0], *KOTLIN_JARS.glob("kotlinx-serialization-*.jar")]
    plugin = out / "serialization-plugin.jar"
    with zipfile.ZipFile(plugin, "w") as jar:
        jar.writestr(_PLUGIN_SERVICE, f"{_PLUGIN_CLASS}\n")
    classes = out / "classes"
    compiler = ["java", "-Xmx2g", "-cp", _path([kernel, *jars]), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    flags = ["-no-stdlib", "-no-reflect", "-nowarn", f"-Xplugin={plugin}", "-cp", _path(libraries), "-d", str(classes)]
    done = subprocess.run([*compiler, *flags, str(sources)], check=False, capture_output=True, text=True)
    serializers = sum(1 for _ in classes.rglob("*$$serializer.class"))
    if done.returncode or not serializers:
        sys.exit(f"Kotlin: not compiled\n{done.stderr[-4000:]}")
    return f"its models are compiled, {serializers} with a serializer; its calls are not: OkHttp is on Maven alone"


def compile_swift(package: Path, root: Path | None) -> str:
    """Build the package by `swift` on PATH, or by that of a Debian below `root`; return what came of it."""
    if root:
        inside = Path(tempfile.mkdtemp(prefix="swift-", dir=root / "tmp"))
        shutil.copytree(package, inside / "package")
        command = ["unshare", "--mount", "sh", "-c", _IN_ROOT, str(root), f"/{inside.relative_to(root)}/package"]
    elif shutil.which("swift"):
        inside = Path(tempfile.mkdtemp(prefix="swift-"))
        shutil.copytree(package, inside / "package")
        command = ["swift", "build", "--package-path", str(inside / "package")]
    else:
        return "not compiled: no swift is on PATH (Debian 13 has it as swiftlang; --swift-root names one)"
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    finally:
        shutil.rmtree(inside, ignore_errors=True)
    if done.returncode:
        sys.exit(f"Swift: not compiled\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return "compiled"


def _path(jars: list[Path]) -> str:
    return os.pathsep.join(map(str, jars))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the packages swift and kotlin go")
    parser.add_argument("--swift-root", type=Path, help="a Debian with swiftlang, entered by chroot")
    chosen = parser.parse_args()
    if not shutil.which("java"):
        sys.exit("java is not on PATH, and the generator is a Java program; install default-jre-headless")
    out: Path = chosen.out
    spec = json.loads(SPEC.read_text(encoding="utf-8"))
    due = operations(spec)
    with tempfile.TemporaryDirectory(prefix="dermis-mobile-") as name:
        folder = Path(name)
        (folder / "openapi.json").write_text(json.dumps(plain(spec)), encoding="utf-8")
        for kind, pattern in (("swift6", "Sources/**/APIs/*.swift"), ("kotlin", "src/main/kotlin/**/apis/*.kt")):
            package = out / kind.rstrip("6")
            shutil.rmtree(package, ignore_errors=True)
            generate(folder / "openapi.json", kind, package)
            if missing := due - functions(package, pattern):
                sys.exit(f"{kind}: no function for {', '.join(sorted(missing))}")
        print(f"Swift: generated in {out / 'swift'} with all {len(due)} operations;", end=" ", flush=True)
        print(compile_swift(out / "swift", chosen.swift_root))
        print(f"Kotlin: generated in {out / 'kotlin'} with all {len(due)} operations;", end=" ", flush=True)
        print(compile_kotlin(out / "kotlin" / "src" / "main" / "kotlin" / "dermis" / "client" / "models", folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
