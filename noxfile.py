#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2025.5.1"]
# ///
"""All that is run on this project, as nox sessions: `python3 noxfile.py --list` tells them.

It takes Python 3.11 or newer with venv and pip, and nothing else: where nox is missing, it gets a
private environment of its own, `.nox/.bootstrap`. `nox`, `pipx run nox` and `uv run noxfile.py`
take the same arguments.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent


def run_in_private_environment() -> NoReturn:
    """Install nox into an environment of its own, and run this file there instead."""
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit("noxfile: needs Python 3.11 or newer")
    environment = HERE / ".nox" / ".bootstrap"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    usable = [str(python), "-c", "import nox.project as p; p.dependency_groups"]
    if not python.exists() or subprocess.run(usable, capture_output=True, check=False).returncode:
        print("noxfile: installing nox into", environment.relative_to(HERE), flush=True)
        venv.create(environment, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "nox>=2025.5.1"], check=True)
    command = [str(python), str(HERE / "noxfile.py"), *sys.argv[1:]]
    if os.name == "nt":  # where exec does not wait
        sys.exit(subprocess.call(command))
    os.execv(command[0], command)  # noqa: S606


try:
    import nox
    from nox.project import dependency_groups, load_toml, python_versions
except ImportError:
    if __name__ != "__main__":
        raise
    run_in_private_environment()

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "protos-check", "tests"]

PYPROJECT = load_toml(HERE / "pyproject.toml")
SUPPORTED = python_versions(PYPROJECT)


def group(name: str) -> tuple[str, ...]:
    """The requirements of a dependency group."""
    return dependency_groups(PYPROJECT, name)


def find_python(version: str) -> str | None:
    """An interpreter of this version that really runs: a pyenv shim may be on PATH and not."""
    if version == "{}.{}".format(*sys.version_info):
        return sys.executable
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = [shutil.which(f"python{version}", path=folder) for folder in folders]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates += map(str, sorted(pyenv.glob(f"versions/{version}[.-]*/bin/python"), reverse=True))
    tell = "import sys; print('{}.{}'.format(*sys.version_info))"
    for candidate in filter(None, candidates):
        try:
            told = subprocess.run([candidate, "-c", tell], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            continue
        if told.stdout.strip() == version:
            return candidate
    return None


@nox.session
def demo(session: nox.Session) -> None:
    """Elect, kill, stop and revoke leaders of a cluster on this machine, and check the outcome."""
    session.install(".[cli,embedded]")
    session.run("aioelection", "demo", *session.posargs)


PYTHONS = {version: find_python(version) for version in SUPPORTED}


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python that is here; arguments go to pytest."""
    for version, python in PYTHONS.items():
        if python:
            session.notify(f"tests-{version}")
        else:
            session.log(f"Python {version} is not here: left out")
    if not any(PYTHONS.values()):
        session.error("no supported Python is here: " + ", ".join(SUPPORTED))


# Most tests wait most of their time.
CPUS = os.cpu_count() or 1
WORKERS = [f"--numprocesses={CPUS + 3}", "--dist=worksteal"]
OF_TOOLS = ["faults_suite", "test_benchmarks.py"]
# What depends on etcd, on files or on other packages rather than on Python.
ONCE = [
    "faults",
    "cli",
    "contract",
    "docs",
    "instrument",
    "test_demo.py",
    "test_docs.py",
    "test_embedded.py",
    "test_examples.py",
    "test_plugin.py",
]


# What depends on asyncio; that of a Python between the oldest and the newest has nothing that neither of them has.
OF_ASYNCIO = [
    "core",
    "memory",
    "test_cancellation.py",
    "test_ending.py",
    "test_loss.py",
    "test_run.py",
    "test_virtual_loop.py",
]
# All work and no waiting: measuring their coverage, which others give too, more than doubles their time.
COSTLY = [f"memory/test_{each}.py" for each in ("clocks", "crowds", "rules", "sweep")]


def run_tests(session: nox.Session) -> None:
    session.install("-e", ".[cli,embedded]", *group("tests"))
    if session.posargs:  # a chosen part of the tests says nothing about coverage
        chosen = session.posargs
    elif session.python == sys.executable:
        session.run("pytest", *WORKERS, *(f"tests/{each}" for each in COSTLY))
        chosen = ["--cov", "--cov-report=term-missing:skip-covered", *without(*OF_TOOLS, *COSTLY)]
    else:
        between = session.name.removeprefix("tests-") in SUPPORTED[1:-1]
        which = [f"tests/{each}" for each in OF_ASYNCIO] if between else without(*ONCE, *OF_TOOLS)
        chosen = [f"--numprocesses={CPUS + 4}", *which]
        session.env["AIOELECTION_QUICK"] = "1"
    session.run("pytest", *WORKERS, *chosen)


def without(*names: str) -> list[str]:
    return [f"--ignore=tests/{each}" for each in names]


@nox.session
def tools(session: nox.Session) -> None:
    """Test what proves and measures the library: the fault suite, the benchmarks."""
    session.install("-e", ".[cli,embedded]", *group("tests"))
    session.run("pytest", *WORKERS, *(f"tests/{each}" for each in OF_TOOLS))


for version, python in PYTHONS.items():
    if python:
        run_on_one = nox.session(name=f"tests-{version}", python=python)
        run_on_one(run_tests)


@nox.session(name="tests-uvloop")
def tests_uvloop(session: nox.Session) -> None:
    """Run the tests on uvloop; arguments go to pytest."""
    session.install("-e", ".[cli,embedded]", *group("tests"), *group("uvloop"))
    session.run("pytest", *WORKERS, "-p", "tests.on_uvloop", *(session.posargs or without(*OF_TOOLS)))


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant faults in the library, and see each caught by a test; arguments are words of their names."""
    session.install("-e", ".[cli,embedded]", *group("tests"))
    session.run("python", "-m", "faults.mutants", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Do each fault of the table once to a cluster with contenders, and check the outcome; about three minutes."""
    session.install("-e", ".[cli,embedded]", *group("tests"))
    session.run("python", "-m", "faults", "scenarios", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Do faults at random: `-- --minutes N --seed S`."""
    session.install("-e", ".[cli,embedded]", *group("tests"))
    session.run("python", "-m", "faults", "soak", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what it costs, beside the floor and the peers, and write the page of the documentation."""
    session.install("-e", ".[embedded]", *group("bench"))
    arguments = session.posargs or ["--json", "docs/benchmarks/results.json", "--docs", "docs"]
    session.run("python", "-m", "benchmarks", *arguments)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, and which module imports which."""
    session.install("-e", ".", *group("lint"))
    session.run("ruff", "check", "--quiet")
    session.run("ruff", "format", "--check", "--quiet")
    session.run("lint-imports", "--no-cache", silent=True)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, strictly."""
    session.install("-e", ".[cli,embedded]", *group("types"))
    session.run("mypy")


def generate_protos(session: nox.Session, output: Path) -> None:
    session.install(*group("protos"))
    # Named for where the code lives, a file's generated imports and `__module__` are right.
    sources = sorted((HERE / "protos/aioelection").rglob("*.proto"))
    names = [f"aioelection/_proto/{s.relative_to(HERE / 'protos/aioelection')}" for s in sources]
    paths = f"--proto_path=aioelection/_proto={HERE / 'protos/aioelection'}"
    outputs = [f"--python_out={output}", f"--pyi_out={output}"]
    session.run("python", "-m", "grpc_tools.protoc", paths, *outputs, *names, silent=True)


@nox.session
def protos(session: nox.Session) -> None:
    """Generate aioelection/_proto from protos; with `-- --check` only compare."""
    if "--check" in session.posargs:
        check_protos(session)
    else:
        generate_protos(session, HERE)


@nox.session(name="protos-check")
def check_protos(session: nox.Session) -> None:
    """Fail when the generated code in aioelection/_proto is stale."""
    output = Path(session.create_tmp()).resolve()
    shutil.rmtree(output / "aioelection", ignore_errors=True)
    generate_protos(session, output)
    fresh = {path.relative_to(output) for path in output.rglob("*_pb2.py*")}
    kept = {path.relative_to(HERE) for path in (HERE / "aioelection/_proto").rglob("*_pb2.py*")}
    differing = filecmp.cmpfiles(HERE, output, map(str, fresh & kept), shallow=False)
    stale = sorted({*map(str, fresh ^ kept), *differing[1], *differing[2]})
    if stale:
        session.error(f"stale, run `python3 noxfile.py -s protos`: {', '.join(stale)}")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html, warnings being errors."""
    session.install("-e", ".[prometheus,opentelemetry]", *group("docs"))
    session.run("sphinx-build", "-q", "-W", "--keep-going", "docs", "docs/_build/html")


@nox.session
def package(session: nox.Session) -> None:
    """Build the sdist, and the wheel from it; install that in a new environment outside of here, and use it."""
    session.install(*group("package"))
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--outdir", f"{folder}/dist", str(HERE), silent=True)
        (wheel,) = Path(folder, "dist").glob("*.whl")
        check_wheel(session, wheel)
        venv.create(f"{folder}/venv", with_pip=True)
        python = f"{folder}/venv/" + ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        shutil.copytree(HERE / ".ci/installed", folder, dirs_exist_ok=True)
        with session.chdir(folder):  # and -I: without what lies there and PYTHONPATH
            session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
            session.run(python, "-I", "check.py", external=True)
            session.run(python, "-m", "pip", "install", "--quiet", "pytest", external=True)
            session.run(python, "-I", "-m", "pytest", "-q", "test_plugin.py", external=True)


def check_wheel(session: nox.Session, wheel: Path) -> None:
    """It holds the package with all of its files, the plugin, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = [path for path in (HERE / "aioelection").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    wanted = {path.relative_to(HERE).as_posix() for path in files} | {"pytest_aioelection.py"}
    if held != wanted:
        session.error(f"{wheel.name} lacks {sorted(wanted - held)}, and should not have {sorted(held - wanted)}")


if __name__ == "__main__":
    os.chdir(HERE)
    nox.main()
