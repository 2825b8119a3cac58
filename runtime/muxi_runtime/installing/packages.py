"""What is run in a workshop to install a package of either kind, and what is read from it afterwards.

Every word from outside is quoted for the shell. Nothing that the package says is trusted further than its own image: a
name of a file is checked to lie in the tree.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from muxi_runtime.catalog.manifest import Install
from muxi_runtime.catalog.sources import Source, SourceKind
from muxi_runtime.errors import ConfigError, ServerError
from muxi_runtime.installing.workshop import Workshop

__all__ = ["ROOT", "SOURCE_FOLDER", "Installed", "images_of", "install_npm", "install_pypi"]

ROOT = "/opt/server"
"""Where the tree is in the server's image."""
SOURCE_FOLDER = "source"
"""Where a local folder is put in the workshop."""
PYTHONS = {"3.11": "-bookworm", "3.13": "", "3.14": "-forky"}
"""Versions of Python, and what the names of the images end in that have them: each is that of a Debian suite."""
_NODE = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,4}){0,2}")
_CONSTRAINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9,._-]+\])?(?:[<>=!~]=?=?[A-Za-z0-9.*+!_-]+,?)+")

_COMPILE = f"PYTHONHASHSEED=0 python3 -m compileall -qq --invalidation-mode unchecked-hash -d {ROOT}/site site || true"
"""pip's own way writes a folder of its own and the time into each file: no two installs would be the same. Some
packages hold files that no Python can read."""
_NPM_FACTS = """
const fs = require('fs')
const name = process.argv[1]
const own = JSON.parse(fs.readFileSync('node_modules/' + name + '/package.json'))
const lock = JSON.parse(fs.readFileSync('package-lock.json')).packages || {}
const parts = Object.entries(lock).filter(([path]) => path)
  .map(([path, p]) => ({name: path.replace(/^.*node_modules\\//, ''), version: p.version, hash: p.integrity}))
console.log(JSON.stringify({name: own.name, version: own.version, programs: own.bin || {}, title: own.title || '',
  description: own.description || '', parts}))
"""
_PYPI_FACTS = """
import json, sys
from importlib.metadata import distributions
def plain(name): return name.lower().replace('_', '-').replace('.', '-')
report = json.load(open('../report.json'))
parts = [{'name': i['metadata']['name'], 'version': i['metadata']['version'],
          'hash': (i.get('download_info', {}).get('archive_info', {}).get('hash') or '')} for i in report['install']]
asked = [i for i in report['install'] if i.get('requested')]
name = plain(sys.argv[1] or asked[0]['metadata']['name'])
own = next(d for d in distributions(path=['site']) if plain(d.metadata['Name']) == name)
programs = {e.name: e.value for e in own.entry_points if e.group == 'console_scripts'}
print(json.dumps({'name': own.metadata['Name'], 'version': own.version, 'programs': programs, 'title': '',
                  'description': own.metadata['Summary'] or '', 'parts': parts}))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """What a workshop holds in `tree` now.

    Attributes:
        source: at the version that was installed.
        command: to start it in its image.
        environment: that it needs for that.
        parts: everything that was installed: name, version, hash as its registry gives it.
    """

    source: Source
    command: tuple[str, ...]
    environment: Mapping[str, str]
    title: str
    description: str
    parts: Sequence[Mapping[str, str]]


def images_of(kind: SourceKind, wish: Install) -> str:
    """What the names of the images end in that a package of this kind is installed in, and runs in.

    Raises:
        ConfigError: there is no such version of Python, or what is wished for is for packages of the other kind.
    """
    if kind is SourceKind.NPM and (wish.constraints or wish.python):
        raise ConfigError("constraints and python are for Python packages.", remedy="Leave them out.")
    if kind is SourceKind.PYPI and wish.node:
        raise ConfigError("node is for packages of npm.", remedy="Leave it out.")
    if wish.python and wish.python not in PYTHONS:
        raise ConfigError(f"python: there is no {wish.python!r}.", remedy=f"There are: {', '.join(PYTHONS)}.")
    return PYTHONS.get(wish.python, "")


async def install_npm(workshop: Workshop, source: Source, wish: Install, registry: str) -> Installed:
    """Install a package for Node.js.

    Raises:
        ConfigError: the wish cannot be granted.
        ServerError: it does not exist, does not build, or has no program.
    """
    if wish.node and not _NODE.fullmatch(wish.node):
        raise ConfigError(f"node: {wish.node!r} is no version.", remedy="Use one like 22 or 22.11.")
    wanted = [str(source).removeprefix("npm:")]
    if source.kind is SourceKind.PATH:
        wanted = ["../" + await _npm_pack(workshop, registry)]
    wanted += [f"node@{wish.node}"] if wish.node else []
    await workshop.run(
        f"""{_npm_environment(registry)}
        mkdir -p tree; cd tree; echo '{{"private": true}}' >package.json
        npm install --omit=dev {shlex.join(wanted)}"""
    )
    name = source.name if source.kind is SourceKind.NPM else await _npm_name(workshop)
    facts = await workshop.ask(f"cd tree && node -e {shlex.quote(_NPM_FACTS)} {shlex.quote(name)}")
    node = f"{ROOT}/node_modules/node/bin/node" if wish.node else "node"
    programs = facts["programs"] if isinstance(facts["programs"], dict) else {name.split("/")[-1]: facts["programs"]}
    script = _pick(programs, wish.program, name)
    command = (node, f"{ROOT}/node_modules/{name}/{_inside(script)}")
    return _installed(source, facts, command, {})


async def install_pypi(workshop: Workshop, source: Source, wish: Install, index: str) -> Installed:
    """Install a package for Python; as `install_npm`.

    Raises:
        ConfigError: the wish cannot be granted.
        ServerError: it does not exist, does not build, or has no program.
    """
    for constraint in wish.constraints:
        if not _CONSTRAINT.fullmatch(constraint):
            raise ConfigError(f"constraints: {constraint!r} is none.", remedy="Write it like mcp<2.")
    wanted = f"../{SOURCE_FOLDER}" if source.kind is SourceKind.PATH else str(source).removeprefix("pypi:")
    lines = "\n".join(wish.constraints)
    await workshop.run(
        f"""set -eu; export PIP_CERT="$SSL_CERT_FILE" PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
        mkdir -p tree; cd tree; printf '%s\\n' {shlex.quote(lines)} >../constraints.txt
        python3 -m pip install --progress-bar off --no-compile --target site --cache-dir ../cache \
            --report ../report.json --index-url {shlex.quote(index)} \
            --constraint ../constraints.txt {shlex.quote(wanted)}
        {_COMPILE}"""
    )
    name = "" if source.kind is SourceKind.PATH else source.name
    facts = await workshop.ask(f"cd tree && python3 -I -c {shlex.quote(_PYPI_FACTS)} {shlex.quote(name)}")
    _pick(facts["programs"], wish.program, facts["name"])
    chosen = wish.program or _only(facts["programs"], facts["name"])
    command = ("python3", f"{ROOT}/site/bin/{_inside(chosen)}")
    return _installed(source, facts, command, {"PYTHONPATH": f"{ROOT}/site"})


def _npm_environment(registry: str) -> str:
    return f"""set -eu; export npm_config_registry={shlex.quote(registry)} npm_config_cafile="$SSL_CERT_FILE"
        export npm_config_cache=/workspace/cache npm_config_audit=false npm_config_fund=false
        export npm_config_update_notifier=false npm_config_progress=false"""


async def _npm_pack(workshop: Workshop, registry: str) -> str:
    """Build a local folder as its author would, and pack it; the name of the archive."""
    said = await workshop.run(
        f"""{_npm_environment(registry)}
        cd {SOURCE_FOLDER}
        (npm install && npm run build --if-present) >&2
        npm pack --ignore-scripts --pack-destination .. | tail -n 1"""
    )
    return PurePosixPath(said.strip()).name


async def _npm_name(workshop: Workshop) -> str:
    found = await workshop.ask(f"cat {SOURCE_FOLDER}/package.json")
    name = found.get("name") if isinstance(found, dict) else None
    if not isinstance(name, str) or not re.fullmatch(r"(?:@[\w.~-]+/)?[\w.~-]+", name):
        raise ServerError("The package.json of the folder has no usable name.")
    return name


def _pick(programs: Mapping[str, Any], program: str, package: str) -> str:
    """What a program's name stands for: a path, or an entry point."""
    chosen = programs.get(program or _only(programs, package))
    if not isinstance(chosen, str):
        raise ConfigError(
            f"{package} has no program {program!r}.", remedy=f"Its programs: {', '.join(programs) or 'none'}."
        )
    return chosen


def _only(programs: Mapping[str, Any], package: str) -> str:
    """The one program, or that which is called as the package is."""
    short = package.rsplit("/", maxsplit=1)[-1]
    if short in programs:
        return short
    if len(programs) == 1:
        return next(iter(programs))
    if not programs:
        raise ServerError(f"{package} has no program to start: it is a library, not a server.")
    raise ConfigError(
        f"{package} has several programs: {', '.join(programs)}.", remedy="Say which with --program NAME."
    )


def _inside(path: str) -> str:
    """A path below a folder, as it is.

    Raises:
        ServerError: it leads out of it.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not path.isprintable():
        raise ServerError(f"The package names {path[:200]!r} as its program, which is not in it.")
    return str(pure)


def _installed(
    source: Source, facts: Mapping[str, Any], command: tuple[str, ...], environment: Mapping[str, str]
) -> Installed:
    exact = source if source.kind is SourceKind.PATH else source.at(str(facts["version"]))
    parts = [{name: str(part.get(name) or "")[:300] for name in ("name", "version", "hash")} for part in facts["parts"]]
    return Installed(exact, command, environment, str(facts["title"])[:100], str(facts["description"])[:500], parts)
