"""The pages before anybody has logged in; the API's entry asks for them and keeps the session."""

from cronherd.domain.errors import CronherdError
from cronherd.pages.base import environment, sentence_of


class PrettyPages:
    """Log in, the first password, and a link that opens nothing, as whole documents."""

    def login(self, *, goal: str, name: str, error: CronherdError | None, first: bool) -> str:
        return _draw("login.html", goal=goal, name=name, error=error, first=first)

    def welcome(
        self, *, key: str, account: str | None, name: str, error: CronherdError | None
    ) -> str:
        return _draw("welcome.html", key=key, account=account, name=name, error=error)

    def refused(self, *, error: CronherdError) -> str:
        return _draw("refused.html", error=error)


def _draw(template: str, *, error: CronherdError | None, **values: object) -> str:
    said = sentence_of(error) if error else ""
    return environment().get_template(template).render(said=said, **values)
