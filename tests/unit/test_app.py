"""The application as it is put together."""

from fleetmeter.app import create_app
from fleetmeter.settings import Settings


def test_it_is_made_without_a_warning_and_twice() -> None:
    """Warnings are errors in this suite: nothing that it uses is on its way out."""
    for _ in range(2):
        create_app("postgresql://nowhere", Settings())
