"""Has a module run by a fork of a warm interpreter, see tests/warm.py; its exit status is ours.

    python -IS tests/asking.py SOCKET -m MODULE ARGUMENT …

A file of its own that imports little: it runs once per job.
"""

import json
import os
import socket
import sys

if __name__ == "__main__":
    path, *arguments = sys.argv[1:]
    asked = {"arguments": arguments, "folder": os.getcwd(), "umask": os.umask(0o77)}  # noqa: PTH109
    message = json.dumps(asked | {"environment": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"%08d" % len(message)], [0, 1, 2])
        connection.sendall(message)
        status = connection.recv(8)
    sys.exit(int(status or 1))
