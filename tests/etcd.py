"""Real etcds for tests: the fixtures of our own plugin, under the names that the tests here use.

A plugin: ``pytest_plugins = ["pytest_aioelection", "tests.etcd"]`` in ``conftest.py``. Which etcd is run is told by the
environment variable AIOELECTION_ETCD (`aioelection.embedded.Etcd` tells what happens without).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioelection.embedded import Etcd
from aioelection.testing import EtcdServer as BackgroundEtcd

__all__ = ["BackgroundEtcd", "EtcdFactory"]

EtcdFactory = Callable[..., Etcd]


@pytest.fixture(scope="session")
def shared_etcd(etcd_server: BackgroundEtcd) -> BackgroundEtcd:
    """One member, shared by all tests of this process: leave it as it was, but for your own keys."""
    return etcd_server


@pytest.fixture
def endpoint(shared_etcd: BackgroundEtcd) -> str:
    """The endpoint of the shared etcd."""
    return shared_etcd.endpoint


@pytest.fixture
def new_etcd(etcd_factory: EtcdFactory) -> EtcdFactory:
    """A factory: ``async with new_etcd(members=3) as etcd``; checks that each was left."""
    return etcd_factory


@pytest.fixture
def unique_key(aioelection_key: str) -> str:
    """A leader key that no other test has."""
    return aioelection_key
