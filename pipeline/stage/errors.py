"""One kind of error for everything that a user can mend."""


class InputError(Exception):
    """Bad input: the message names the file, the key, what was expected and what to do.

    `pipeline.stage.command.run` prints it in one line; no traceback reaches the user. The message
    must not hold row-level data (MIMIC's data use agreement).
    """
