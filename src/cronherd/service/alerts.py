"""Alerts: what is to be sent, what was, and a message that only says that it arrives."""

from cronherd.definition.alerts import read_address, read_url
from cronherd.domain.alert import ChannelName, PostState
from cronherd.domain.errors import Invalid
from cronherd.service.desk import Desk, checked_limit, mark_text, read_mark
from cronherd.views import API_VERSION, Json, page, post_view


class AlertDesk(Desk):
    """What a person may ask of the outbox."""

    def list_alerts(
        self, state: str | None = None, limit: int = 50, *, cursor: str | None = None
    ) -> Json:
        """The newest messages of a state, or of all; `counts`: how many there are of each."""
        wanted = [] if state is None else [_state(state)]
        posts, mark = self._catalog.post_page(wanted, checked_limit(limit), read_mark(cursor))
        items = [post_view(post) for post in posts]
        counts = dict.fromkeys((state.value for state in PostState), 0)
        return {**page(items, mark_text(mark)), "counts": {**counts, **self._catalog.post_counts()}}

    def send_test(self, channel: str, target: str, actor: str) -> Json:
        """Put a test message for this receiver into the outbox. Raises Invalid."""
        del actor
        name = _channel(channel)
        place = read_address(target) if name is ChannelName.MAIL else read_url(target)
        post = self._catalog.add_test(name, place, self._new_id())
        self._wake()
        return {"api_version": API_VERSION, "alert": post_view(post)}

    def retry_alerts(self, actor: str) -> Json:
        """Send again now what was given up and what waits for its next try."""
        del actor
        count = self._catalog.retry_posts()
        self._wake()
        return {"api_version": API_VERSION, "retried": count}


def _state(word: str) -> PostState:
    try:
        return PostState(word)
    except ValueError:
        known = ", ".join(PostState)
        raise Invalid(f"'{word[:40]}' is not a state", code="bad_state", hint=known) from None


def _channel(word: str) -> ChannelName:
    try:
        return ChannelName(word)
    except ValueError:
        known = ", ".join(ChannelName)
        raise Invalid(f"'{word[:40]}' is not a channel", code="bad_channel", hint=known) from None
