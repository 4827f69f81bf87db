"""Asks a FastCGI server: fastcgi.py PORT SCRIPT PATH. Prints the body of the answer; status 1 if there is none."""

import socket
import struct
import sys

BEGIN, PARAMS, STDIN, STDOUT, END = 1, 4, 5, 6, 3


def record(kind, content):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def pair(name, value):
    return bytes([len(name), len(value)]) + name.encode() + value.encode()


def read_exactly(stream, size):
    data = stream.read(size)
    if len(data) < size:
        sys.exit("the connection was closed without an answer")
    return data


def main(port, script, path):
    connection = socket.create_connection(("127.0.0.1", int(port)))
    parameters = b"".join(
        pair(*each)
        for each in (("SCRIPT_FILENAME", script), ("REQUEST_METHOD", "GET"), ("REQUEST_URI", path), ("QUERY_STRING", ""))
    )
    connection.sendall(
        record(BEGIN, struct.pack(">HB5x", 1, 0)) + record(PARAMS, parameters) + record(PARAMS, b"") + record(STDIN, b"")
    )
    stream, answer = connection.makefile("rb"), b""
    while True:
        _, kind, _, length, padding = struct.unpack(">BBHHBx", read_exactly(stream, 8))
        content = read_exactly(stream, length + padding)[:length]
        if kind == STDOUT:
            answer += content
        if kind == END:
            break
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"Status: 5" in head:
        sys.exit(head.decode())
    sys.stdout.write(body.decode())


try:
    main(*sys.argv[1:])
except OSError as error:
    sys.exit(str(error))
