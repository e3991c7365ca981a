"""The few kinds of errors: a stable machine code and one sentence that says what to do."""


class CronherdError(Exception):
    """Anything a person can be told in one sentence.

    `code` is stable and machine readable, `text` is the sentence, `hint` says what to do next
    and may be empty. `where` locates the fault for people: a path such as `jobs.nightly.timeout`
    or a place such as `cronherd.yaml:11:5`.
    """

    default_code = "failed"

    def __init__(self, text: str, *, code: str = "", hint: str = "", where: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code or self.default_code
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.text}" if self.where else self.text
        return f"{sentence} ({self.hint})" if self.hint else sentence


class Invalid(CronherdError):
    """The input is not what it must be; nothing was changed."""

    default_code = "invalid"


class InvalidInput(Invalid):
    """Several faults at once, each with its place; `errors` holds them all."""

    def __init__(self, errors: list[Invalid]) -> None:
        super().__init__("; ".join(str(error) for error in errors), code=errors[0].code)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class NotFound(CronherdError):
    """What was named does not exist, or the name fits more than one."""

    default_code = "not_found"


class Conflict(CronherdError):
    """The present state does not allow this; somebody else may have been first."""

    default_code = "conflict"


class Refused(CronherdError):
    """Who asks is not known, may not do this, or asks too often; `wait_s`: ask again after it."""

    default_code = "not_allowed"

    def __init__(
        self, text: str, *, code: str = "", hint: str = "", where: str = "", wait_s: int = 0
    ) -> None:
        super().__init__(text, code=code, hint=hint, where=where)
        self.wait_s = wait_s


class StatementRefused(CronherdError):
    """The database refused what is in a statement; other rows may be stored all the same."""

    default_code = "statement_failed"


class Unavailable(CronherdError):
    """Something that is needed cannot be reached or written at the moment."""

    default_code = "unavailable"
