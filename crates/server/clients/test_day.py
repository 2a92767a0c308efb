"""A day of conversations, in minutes: they grow, are left, return from memory or from the drive, and are broken off, within
bounds on all of it. Memory and open files are flat."""

import concurrent.futures
import http.client
import json
import os
import random
import threading
import time

from conftest import Server

# A day of a model that gives a token a second is 86,400 steps.
STEPS = int(os.environ.get("DAY", "3000"))
SLACK = 16 << 20
THINGS = ["boat", "cat", "tree", "king", "star", "mill", "tide", "moon"]


class Visitor:
    """Keeps some conversations, and goes on with one or the other."""

    def __init__(self, server, seed):
        self.server, self.dice = server, random.Random(seed)
        self.conversations = []
        self.counts = {"answers": 0, "broken off": 0, "busy": 0, "late": 0}

    def turn(self):
        dice = self.dice
        if not self.conversations or dice.random() < 0.2:
            self.conversations.append([])
            del self.conversations[:-12]  # the oldest are left for good
        talk = dice.choice(self.conversations)
        question = f"Tell me of the {dice.choice(THINGS)} and the {dice.choice(THINGS)}, number {dice.randrange(1000)}."
        talk.append({"role": "user", "content": question})
        ask = {"messages": talk, "max_tokens": dice.randrange(1, 48), "temperature": dice.choice([0, 1.0])}
        if dice.random() < 0.15:
            talk.pop()
            return self.break_off(ask)
        status, said = self.server.ask("/v1/chat/completions", ask)
        if status == 200:
            talk.append({"role": "assistant", "content": said["choices"][0]["message"]["content"]})
            self.counts["answers"] += 1
        elif status in (429, 504):
            talk.pop()
            self.counts["busy" if status == 429 else "late"] += 1
        else:
            assert said["error"]["code"] == "context_length_exceeded", said
            self.conversations.remove(talk)

    def break_off(self, ask):
        connection = http.client.HTTPConnection(*self.server.at, timeout=120)
        connection.request("POST", "/v1/chat/completions", json.dumps({**ask, "stream": True}), {"content-type": "application/json"})
        response = connection.getresponse()
        for _ in range(self.dice.randrange(8)):
            response.readline()
        connection.close()
        self.counts["broken off"] += 1


def test_a_day():
    server = Server("--queue", "6", "--deadline", "60", "--prompts-size", "24MiB")
    visitors = [Visitor(server, seed) for seed in range(7)]
    steps = lambda: server.status()["totals"]["steps"]
    samples, over = [], threading.Event()

    def visit(visitor):
        while not over.is_set():
            visitor.turn()

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(visitors)) as threads:
        visits = [threads.submit(visit, visitor) for visitor in visitors]
        while not over.is_set():
            time.sleep(0.2)
            done = steps()
            samples.append((done, server.resident(), server.open_files()))
            if done >= STEPS or any(visit.done() for visit in visits):
                over.set()
        [visit.result() for visit in visits]
    status = server.status()
    seconds = time.monotonic() - began
    counts = {name: sum(visitor.counts[name] for visitor in visitors) for name in visitors[0].counts}
    early = [sample for sample in samples if sample[0] >= STEPS / 3] or samples
    peak = lambda some, of: max(sample[of] for sample in some)
    half = len(early) // 2
    first, last = early[: half or 1], early[half:]
    print(f"\n{status['totals']['steps']} steps in {seconds:.0f} s: {counts}, {status['prefixes']}")
    print(f"resident at most {peak(first, 1) / 2**20:.1f} MiB in the second third, {peak(last, 1) / 2**20:.1f} in the last; files open {peak(first, 2)} and {peak(last, 2)}")
    assert peak(last, 1) - peak(first, 1) < SLACK
    assert peak(last, 2) <= peak(first, 2) + 8
    assert status["prefixes"]["damaged"] == 0 and status["prefixes"]["drive_bytes"] <= 24 << 20
    assert counts["answers"] > 0 and status["totals"]["failed"] <= counts["late"]
    assert server.stop() == 0
