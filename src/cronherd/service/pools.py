"""Pools: how many permits there are, who holds some and who waits."""

from cronherd.domain.pool import check_permits, no_such_pool, pool_key, read_pool_name
from cronherd.service.desk import Desk, at_one_instant
from cronherd.store.facts import PoolRow
from cronherd.views import Json, page, pool_view


class PoolDesk(Desk):
    """What a person may ask of pools."""

    @at_one_instant
    def list_pools(self) -> Json:
        """All by name, with what is held and who waits, in numbers."""
        return page([pool_view(pool) for pool in self._catalog.pools()], None)

    @at_one_instant
    def show_pool(self, name: str) -> Json:
        """One pool, the runs that hold its permits, and the jobs that ask for them."""
        pool = self._find_pool(read_pool_name(name))
        return {
            **pool_view(pool),
            "holders": self._holders(pool_key(pool.name)),
            "jobs": self._catalog.pool_users(pool.name),
        }

    def set_pool(self, name: str, permits: int, actor: str) -> Json:
        """Make a pool, or change how many permits it has. Those beyond a lower number run out."""
        key_name = read_pool_name(name)
        self._catalog.set_pool(key_name, check_permits(permits), actor)
        self._store.promote([pool_key(key_name)])
        self._wake()
        return pool_view(self._find_pool(key_name))

    def remove_pool(self, name: str, actor: str) -> Json:
        """Forget one that nobody uses. Raises Conflict else, naming a job."""
        key_name = read_pool_name(name)
        self._catalog.remove_pool(key_name, actor)
        return {"removed": key_name}

    def _find_pool(self, name: str) -> PoolRow:
        for pool in self._catalog.pools():
            if pool.name == name:
                return pool
        raise no_such_pool(name)
