"""The pytest fixture behind `from smalt.emulator.testing import azure`."""

from collections.abc import Iterator

import pytest

from smalt.emulator.testing import Handle, running


@pytest.fixture
def azure() -> Iterator[Handle]:
    """An offline Azure OpenAI of its own for each test: three regions on free ports, answering at once.

    It starts within milliseconds, so no test sees what another did to it. For another fleet, or one that
    several tests share, write a fixture around `smalt.emulator.testing.running`.
    """
    with running() as handle:
        yield handle
