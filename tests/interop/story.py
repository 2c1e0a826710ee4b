"""The clients of `takeover`, `hosts`, `transactions`, `timers` and `packaging/test/moving`: builds those in Java, drives them all, a line a command.

The client's settings are its defaults. Nothing here checks anything.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading

from servers import wait_until

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CLASSES = os.path.join(ROOT, "target", "interop", "java", "takeover")
ANSWER_TIMEOUT_S = 200


def end_on_signals():
    """Turns the first SIGTERM or SIGINT into an end that cleans up; `timeout` sends two, and the second must not break it off."""
    def end(*_):
        for which in (signal.SIGTERM, signal.SIGINT):
            signal.signal(which, signal.SIG_IGN)
        sys.exit(1)
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, end)


def build(lib, program="Takeover"):
    """Compiles a client; raises with the compiler's output."""
    os.makedirs(CLASSES, exist_ok=True)
    command = ["javac", "-nowarn", "-d", CLASSES, "-cp", f"{lib}/*", "-sourcepath", f"{HERE}/java", f"{HERE}/java/{program}.java"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=ANSWER_TIMEOUT_S)
    if done.returncode != 0:
        raise RuntimeError(f"javac failed:\n{done.stdout}")


class Client:
    """A running client, which does one thing after the other, whoever asks."""

    def __init__(self, lib, name_servers, *arguments, program="Takeover", properties=()):
        """A Java program by its name, with system properties such as `tls.enable=true`, or any other by its path or as the words of its command."""
        self.home = tempfile.mkdtemp(prefix="story-client-")
        java = ["java", "-Xmx192m", "-XX:TieredStopAtLevel=1", f"-Duser.home={self.home}", *(f"-D{each}" for each in properties), "-cp", f"{CLASSES}:{lib}/*"]
        command = program if isinstance(program, list) else [program] if os.path.isabs(program) else [*java, program]
        self.log = f"{self.home}/client.err"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen([*command, ";".join(name_servers), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=log, text=True, bufsize=1, cwd=self.home, env={**os.environ, "HOME": self.home})
        self.answers, self.asking = queue.Queue(), threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            if line.startswith("> "):
                self.answers.put(line[2:].strip())
        self.answers.put("error: the client ended")

    def tell(self, command):
        """Sends a command; an answer that is an error, or none, raises."""
        # Its answers do not say what they answer.
        with self.asking:
            self.child.stdin.write(command + "\n")
            self.child.stdin.flush()
            answer = self.answers.get(timeout=ANSWER_TIMEOUT_S)
        if answer.startswith("error"):
            raise RuntimeError(f"{command}: {answer}")
        return answer

    def figures(self):
        return json.loads(self.tell("figures"))

    def wait(self, what, holds, timeout_s=120):
        """Polls the figures until they are as wanted, and returns them."""
        last = {}

        def is_so():
            nonlocal last
            last = self.figures()
            return holds(last)
        try:
            wait_until(what, is_so, timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {last}") from None
        return last

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
