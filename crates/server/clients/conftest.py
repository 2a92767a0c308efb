"""A server of the demo model for all tests, and clients of it."""

import os
import re
import subprocess
import tempfile

import anthropic
import openai
import pytest

STORY = "Once upon a time, there was a little girl named Lily. One day,"


class Server:
    """`tidemill serve demo` at a free port."""

    def __init__(self, *arguments):
        self.prompts = tempfile.TemporaryDirectory()
        command = [os.environ["TIDEMILL"], "serve", "demo", "--port", "0", "--memory", "256MiB", "--greedy"]
        command += ["--prompts-dir", self.prompts.name, *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        said = ""
        while not (found := re.search(r"at (http://\S+)", said)):
            line = self.process.stderr.readline()
            assert line, f"the server did not start: {said}"
            said += line
        self.url = found.group(1)

    def resident(self):
        """Bytes of memory."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.prompts.cleanup()
        return code


@pytest.fixture(scope="session")
def server():
    server = Server("--queue", "64")
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def openai_client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)


@pytest.fixture(scope="session")
def anthropic_client(server):
    return anthropic.Anthropic(base_url=server.url, api_key="unused", max_retries=0)
