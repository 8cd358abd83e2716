"""Beds for the tests. Each is brought up once, by the first test that asks for it, and ends with the run, however that ends."""

from collections.abc import Iterator

import pytest
from ssm_bench import Bench

from testbed.bed import Bed

TIME_FACTOR = 60
"""A virtual minute takes a second."""

FAST_FACTOR = 200
"""For timeouts and restarts of nodes, which take minutes each."""


def _bed(factory: pytest.TempPathFactory, name: str, time_factor: float = TIME_FACTOR, **parts: bool) -> Iterator[Bed]:
    with Bed.up(factory.mktemp(name), time_factor=time_factor, end_with_parent=True, **parts) as bed:
        yield bed


@pytest.fixture(scope="session")
def aws_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed with the AWS endpoint alone. Tests that change things in it ask for `aws`."""
    yield from _bed(tmp_path_factory, "aws", control_plane=False)


@pytest.fixture(scope="session")
def fast_aws_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed with the AWS endpoint alone, whose clock runs faster still. Tests of Systems Manager ask for `bench`."""
    yield from _bed(tmp_path_factory, "fast", time_factor=FAST_FACTOR, control_plane=False)


@pytest.fixture
def bench(fast_aws_bed: Bed) -> Bench:
    """Systems Manager with an empty account."""
    fast_aws_bed.control.reset()
    return Bench(fast_aws_bed)


@pytest.fixture(scope="session")
def cluster_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed with the control plane alone. Tests that use its proxy ask for `cluster`."""
    yield from _bed(tmp_path_factory, "cluster", aws=False)


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed with everything."""
    yield from _bed(tmp_path_factory, "bed")


@pytest.fixture
def aws(aws_bed: Bed) -> Bed:
    """The AWS endpoint's bed with an empty account: no nodes, no faults, no counts."""
    aws_bed.control.reset()
    return aws_bed


@pytest.fixture
def cluster(cluster_bed: Bed) -> Bed:
    """The control plane's bed with a proxy that holds, cuts and has counted nothing."""
    cluster_bed.proxy.reset()
    return cluster_bed


@pytest.fixture
def reset(request: pytest.FixtureRequest) -> None:
    """Empties whichever bed the test asked for."""
    for name in {"aws_bed", "cluster_bed", "bed"} & set(request.fixturenames):
        found: Bed = request.getfixturevalue(name)
        if found.state.control:
            found.control.reset()
        if found.state.proxy_control:
            found.proxy.reset()
