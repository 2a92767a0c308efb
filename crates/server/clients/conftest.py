"""A server of the demo model for all tests, and clients of it."""

import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import urllib.parse

import anthropic
import openai
import pytest

STORY = "Once upon a time, there was a little girl named Lily. One day,"
ASK = [{"role": "user", "content": "Tell me a story."}]


def schema_format(schema):
    """A `response_format` that asks for `schema`."""
    return {"type": "json_schema", "json_schema": {"name": "shape", "schema": schema, "strict": True}}


class Server:
    """`tidemill serve` at a free port, with prompts kept in a folder of its own unless one is named."""

    def __init__(self, *arguments, model="demo", prompts=None, memory="256MiB"):
        self.folder = tempfile.TemporaryDirectory()
        self.prompts = prompts or self.folder.name
        command = [os.environ["TIDEMILL"], "serve", model, "--port", "0", "--memory", memory, "--greedy"]
        command += ["--prompts-dir", self.prompts, *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        said = ""
        while not (found := re.search(r"at (http://\S+)", said)):
            line = self.process.stderr.readline()
            assert line, f"the server did not start: {said}"
            said += line
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.url = found.group(1)
        address = urllib.parse.urlsplit(self.url)
        self.at = (address.hostname, address.port)

    def ask(self, path, body=None, timeout=120):
        """The status and the JSON of an answer."""
        connection = http.client.HTTPConnection(*self.at, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, data, {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def status(self):
        return self.ask("/api/status")[1]

    def resident(self, of="VmRSS"):
        """Bytes of memory; the most there ever were, of `VmHWM`."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(rf"{of}:\s+(\d+)", status.read()).group(1)) * 1024

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.folder.cleanup()
        return code

    def kill(self):
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def smallest_memory(model="demo"):
    """The smallest budget that a server of `model` says it needs, in MiB; what a process holds wavers by less than one."""
    command = [os.environ["TIDEMILL"], "serve", model, "--port", "0", "--memory", "1MiB"]
    refused = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"try: --memory (\S+)MiB", refused.stderr).group(1)
    return int(found) + 1


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
