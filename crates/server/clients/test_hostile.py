"""Requests nobody should send, many of them: every one is answered or cut off, and memory stays where it was."""

import http.client
import json
import os
import random
import socket
import urllib.parse

COUNT = int(os.environ.get("HOSTILE", "600"))


def test_hostile_requests(server):
    address = urllib.parse.urlsplit(server.url)
    at = (address.hostname, address.port)
    dice = random.Random(1)

    def post(path, body, kind="application/json"):
        connection = http.client.HTTPConnection(*at, timeout=60)
        try:
            connection.request("POST", path, body, {"content-type": kind})
            return connection.getresponse().status
        except (ConnectionError, http.client.HTTPException):
            return 0  # refused before it was read
        finally:
            connection.close()

    def raw(data):
        with socket.create_connection(at) as stream:
            try:
                stream.sendall(data)
                return stream.recv(1) if dice.random() < 0.5 else None
            except OSError:
                return None

    chat = "/v1/chat/completions"
    good = json.dumps({"messages": [{"role": "user", "content": "Hello."}], "max_tokens": 2})
    long = {"prompt": "Once", "max_tokens": 400, "stream": True}
    kinds = [
        lambda: post(chat, good) in (200, 429) or "a good request was refused",
        lambda: post(chat, good[: dice.randrange(len(good))]) == 400 or "half a body",
        lambda: post(chat, dice.randbytes(dice.randrange(2000))) == 400 or "noise",
        lambda: post(chat, b'{"messages": "' + b"\xff" * 100 + b'"}') == 400 or "no UTF-8",
        lambda: post(chat, '{"messages":' * dice.randrange(1, 20000)) == 400 or "deep",
        lambda: post("/v1/messages", b"[" * 100_000) == 400 or "deeper",
        lambda: post(chat, b" " * (5 << 20)) in (0, 413) or "large",
        lambda: post(chat, json.dumps({"messages": [{"role": "user", "content": "x" * 300_000}]})) == 400 or "long",
        lambda: post(chat, json.dumps({**json.loads(good), "n": 10**9})) == 400 or "many",
        lambda: post(chat, good, "text/html") == 415 or "another type",
        lambda: raw(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-le"),
        lambda: raw(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"),
        lambda: raw(dice.randbytes(300)),
        lambda: raw(f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(json.dumps(long))}\r\n\r\n{json.dumps(long)}".encode()),
        lambda: raw(b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 20000),
    ]

    def round_of(count):
        for _ in range(count):
            kind = dice.choice(kinds)
            found = kind()
            assert not isinstance(found, str), found
            assert server.process.poll() is None

    round_of(COUNT // 3)
    before = server.resident()
    round_of(COUNT - COUNT // 3)
    after = server.resident()
    assert after - before < 16 << 20, f"{before} bytes became {after}"
    assert post(chat, good) == 200
