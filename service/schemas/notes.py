"""The shape of a note about a request."""

from service.schemas.callbacks import Note
from service.schemas.common import Shape


class NewNote(Shape):
    """What somebody wants the colleagues to know; it is sealed, for it may name people."""

    text: Note
