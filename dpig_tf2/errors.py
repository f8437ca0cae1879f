"""The base of every error that this package raises on purpose."""

_LONGEST_SHOWN = 200  # characters


class DpigError(ValueError):
    """Something that was given cannot be used; the message says what and what was expected.

    Programs show it in one line. Tests and callers read the place from attributes, not from prose.

    Attributes:
        file: path of the file or folder at fault, if any.
        record: number of the record or entry in the file, from 0, if any.
        field: name of the flag, key, argument or variable at fault, if any.
    """

    def __init__(
        self,
        message: str = "",
        *,
        file: object = None,
        record: int | None = None,
        field: str | None = None,
    ):
        super().__init__(message)
        self.file = None if file is None else str(file)
        self.record = record
        self.field = field


def printable(text: object) -> str:
    """Text for one line of a terminal: line breaks, escape bytes and the like shown as \\x1b is.

    File names may hold any of them, and halves of characters that no output can encode.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def counted(number: int | str, one: str, many: str | None = None) -> str:
    """A number of things as it is said: "1 photo", "2 photos"; `many` where no s is added."""
    return f"{number} {one if str(number) == '1' else many or one + 's'}"


def shown(value: object) -> str:
    """A value for a message, in one line that is cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
