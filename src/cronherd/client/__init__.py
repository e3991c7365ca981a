"""The same words as Service, said to a running cronherd: over its Unix socket or a URL.

Standard library only: the command line starts with this package and has 200 ms in all.
"""

from cronherd.client.fleet import Fleet, Json
from cronherd.client.line import connect_to
from cronherd.client.remote import Client

__all__ = ["Client", "Fleet", "Json", "connect_to"]
