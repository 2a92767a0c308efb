"""Prompts that are kept: through kills at any moment, damage of any kind, and restarts; of a model with rows and of one with
recurrent states."""

import os
import random
import tempfile
import time
from pathlib import Path

import pytest

from conftest import Server

KILLS = int(os.environ.get("KILLS", "6"))
MODELS = ["demo", "demo-qwen"]


def prompt(at):
    return f"Story {at}. " + f"Once upon a time there was a {at} year old girl named Lily who had a boat. " * 20


def complete(server, text, count=8):
    """The text that follows, and how many tokens were known."""
    status, said = server.ask("/v1/completions", {"prompt": text, "max_tokens": count})
    assert status == 200, said
    return said["choices"][0]["text"], said["usage"]["prompt_tokens_details"]["cached_tokens"]


def kept(folder, ending=".prompt"):
    return sorted(Path(folder).glob(f"*{ending}"))


def until(condition):
    """Waits for what happens while the server has nothing else to do."""
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.002)


@pytest.mark.parametrize("model", MODELS)
def test_killed_while_writing(model):
    """Of what was kept before nothing is lost, of what was being written nothing is left but a whole entry."""
    dice = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(model=model, prompts=folder)
        first, _ = complete(server, prompt(0))
        until(lambda: kept(folder))
        caught = 0
        for kill in range(1, KILLS + 1):
            complete(server, prompt(kill))
            if kill % 2:
                deadline = time.monotonic() + 2
                while not kept(folder, ".part") and time.monotonic() < deadline:
                    pass
            else:
                time.sleep(dice.random() * 0.05)
            server.kill()
            caught += bool(kept(folder, ".part"))
            server = Server(model=model, prompts=folder)
            assert server.status()["prefixes"]["damaged"] == 0
            assert not kept(folder, ".part"), "once it answers it has cleared up"
            again, known = complete(server, prompt(0) + first + " And then")
            assert known > 200, "the first entry is there"
        server.stop()
        print(f"\n{model}: {KILLS} kills, {caught} of them while an entry was being written; {len(kept(folder))} entries")


def test_damage_is_found_and_dropped():
    with tempfile.TemporaryDirectory() as folder:
        server = Server(prompts=folder)
        text, _ = complete(server, prompt(0))
        server.stop()
        [path] = kept(folder)
        whole = path.read_bytes()

        def answered():
            server = Server(prompts=folder)
            said, known = complete(server, prompt(0))
            damaged = server.status()["prefixes"]["damaged"]
            server.kill()
            for other in kept(folder):
                other.unlink()
            return said, known, damaged

        path.write_bytes(whole)
        assert answered()[1] > 0, "an entry that is whole is used"
        # Its first bytes, version, model, number of tokens, tokens, head of the state, state, checksum.
        for place in [3, 9, 20, 46, 54, 70, 3000, len(whole) // 2, len(whole) - 40, len(whole) - 3]:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x20]) + whole[place + 1 :])
            said, known, damaged = answered()
            assert (said, known) == (text, 0), place
            # Of another version or model it is nobody's, and of other tokens nobody asks for it: not called damaged.
            assert damaged == 1 or 8 <= place < 1000, place
        for length in [0, 7, 50, len(whole) // 2, len(whole) - 1]:
            path.write_bytes(whole[:length])
            assert answered() == (text, 0, 1), length
