"""Marks for tests that are about one kind of back end."""

import pytest

sqlite_only = pytest.mark.parametrize("_each_backend", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("_each_backend", ["postgresql"], indirect=True)
mariadb_only = pytest.mark.parametrize("_each_backend", ["mariadb"], indirect=True)
servers_only = pytest.mark.parametrize("_each_backend", ["postgresql", "mariadb"], indirect=True)
