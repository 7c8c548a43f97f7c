"""The command line, as tests of the pipelines have it."""

from tests.pipelines.conftest import atelier

__all__ = ["atelier"]
