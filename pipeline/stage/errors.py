"""One kind of error for everything that a user can mend."""

BY_SIGNAL = 128  # a shell's exit status of a process that signal n ended is 128 + n
OUT_OF_MEMORY = BY_SIGNAL + 9  # as of a process that the kernel ended for want of memory


class InputError(Exception):
    """Bad input: the message names the file, the key, what was expected and what to do.

    `pipeline.stage.command.run` prints it in one line; no traceback reaches the user. The message
    must not hold row-level data (MIMIC's data use agreement). `status`: of the process that it
    ends.
    """

    status = 1


class MemoryShortError(InputError):
    """The memory of a job was too little: tried again where there is more (`stage.attempts`)."""

    status = OUT_OF_MEMORY
