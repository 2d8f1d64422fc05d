"""Every error this program raises on purpose.

    SwarmError
    ├── UserError          its text is the sentence the person reads; error_id is its wire id (or None)
    │   ├── BadInput       a value that cannot be used
    │   ├── Refused        a request that is understood and turned down
    │   ├── NotFound       a name that leads nowhere
    │   ├── NotPermitted   the caller's role does not allow it
    │   └── BadSession     the session id is missing or unknown
    └── BackendError       trouble with whoever does the work
        ├── Unavailable    nobody can take the job now (text is a sentence for the person)
        ├── Redirect       this backend gives the job back; another one may take it
        └── Crashed        the backend went away while it held the job

They are caught in three places only: api/dispatch.py, generation/service.py and engine/worker.py.
"""


class SwarmError(Exception):
    """The root of the tree. Never raised itself."""


class UserError(SwarmError):
    """Something the caller did or asked; the text is written for them."""

    def __init__(self, sentence: str, *, error_id: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.error_id = error_id


class BadInput(UserError):
    """A value that cannot be used."""


class Refused(UserError):
    """A request that is understood and turned down."""


class NotFound(UserError):
    """A name that leads nowhere."""


class NotPermitted(UserError):
    """The caller's role does not allow it."""


class BadSession(UserError):
    """The session id is missing or unknown."""


class BackendError(SwarmError):
    """Trouble with whoever does the work; the text is a sentence that may be shown."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Unavailable(BackendError):
    """Nobody can take the job."""


class Redirect(BackendError):
    """This backend gives the job back untouched; another one may take it."""


class Crashed(BackendError):
    """The backend went away while it held the job. The job may be tried again."""
