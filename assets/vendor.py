#!/usr/bin/env python3
"""Fetch what the pages ship of others, by npm, and write down what it was: `dev.py vendor`.

`vendor.toml` names packages by version and the sha256 of their archive; an archive that differs
is refused. What was written is listed with its sha256 in `vendor.json` beside it, which a test
compares, so a file that somebody changed by hand is seen.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("vendor.toml")
SVG = "http://www.w3.org/2000/svg"


def main() -> int:
    wanted = tomllib.loads(LIST.read_text("utf-8"))
    for place in wanted["places"].values():
        folder = ROOT / place
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
    manifests: dict[str, list[dict[str, object]]] = {name: [] for name in wanted["places"]}
    for package in wanted["package"]:
        told = take(package, ROOT / wanted["places"][package["into"]])
        manifests[package["into"]].append(told)
        print(f"{told['name']} {told['version']}: {len(told['files'])} files")
    for name, told in manifests.items():
        path = ROOT / wanted["places"][name] / "vendor.json"
        path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return 0


def take(package: dict, folder: Path) -> dict:
    """One package: its archive checked, its files written, its licence kept."""
    archive = pack(f"{package['name']}@{package['version']}")
    digest = hashlib.sha256(archive).hexdigest()
    if package.get("sha256", digest) != digest:
        sys.exit(f"vendor: {package['name']} is not what vendor.toml says: {digest}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        read = lambda path: tar.extractfile(f"package/{path}").read()  # noqa: E731
        made = {into: read(path) for path, into in package.get("files", {}).items()}
        if "icons" in package:
            made["icons.svg"] = sprite(json.loads(read("icon-nodes.json")), package["icons"])
        made[f"{package['short']}.LICENSE"] = read(package.get("license_file", "LICENSE"))
    for into, content in made.items():
        (folder / into).write_bytes(content)
    return {
        "name": package["name"],
        "version": package["version"],
        "license": package["license"],
        "sha256": digest,
        "files": {into: hashlib.sha256(content).hexdigest() for into, content in made.items()},
    }


def pack(what: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        argv = ["npm", "pack", "--silent", "--ignore-scripts", what]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"vendor: npm could not fetch {what}: {done.stderr.strip()[-300:]}")
        return next(Path(folder).glob("*.tgz")).read_bytes()


def sprite(nodes: dict, names: list[str]) -> bytes:
    """The named icons as symbols of one file."""
    parts = []
    for name in sorted(names):
        inner = "".join(element(tag, told) for tag, told in nodes[name])
        parts.append(f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>')
    return f'<svg xmlns="{SVG}">\n{chr(10).join(parts)}\n</svg>\n'.encode()


def element(tag: str, told: dict) -> str:
    words = [f'{key}="{value}"' for key, value in sorted(told.items())]
    return f"<{tag} {' '.join(words)}/>"


if __name__ == "__main__":
    sys.exit(main())
