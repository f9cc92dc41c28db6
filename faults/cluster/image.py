"""The image of a member, made of an etcd of this machine: a registry need not be in reach."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path


def archive(etcd: Path) -> bytes:
    """What `docker import` takes: ``/etcd``, and the libraries that it is linked with where they are here."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.add(etcd.resolve(), "etcd")
        for library in libraries(etcd):
            tar.add(library.resolve(), str(library))
    return made.getvalue()


def libraries(program: Path) -> list[Path]:
    """None, if it is linked statically."""
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    return [Path(each) for each in re.findall(r"(?:=>|^)\s*(/\S+) \(0x", told.stdout, re.MULTILINE)]
