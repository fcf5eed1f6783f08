"""What holds a secret stays in its process."""

from typing import NoReturn


class Confined:
    """Cannot be pickled, and so not copied either."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret stays in its process; build it from the configuration again")
