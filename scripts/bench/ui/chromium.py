"""A headless Chromium over the pipes of its developer tools. Only the standard library."""
import json
import os
import subprocess
import tempfile
import time

FLAGS = """--headless=new --remote-debugging-pipe --no-sandbox --disable-gpu --disable-dev-shm-usage
--disable-extensions --disable-sync --disable-background-networking --disable-component-update
--no-first-run --no-proxy-server --hide-scrollbars --lang=en-US""".split()


class Chromium:
    """The process, with one page at a time; each page starts without a cache."""

    def __init__(self, program):
        self.profile = tempfile.TemporaryDirectory(prefix="cvops-bench-")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def descriptors():
            # The protocol wants 3 and 4; the pipes may be these themselves.
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            high_in, high_out = os.dup2(a, 100), os.dup2(b, 101)
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self.profile.name}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=descriptors, close_fds=False,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.reader, self.writer = open(ours_in, "rb", 0), open(ours_out, "wb", 0)
        self.rest, self.last, self.session, self.context = b"", 0, None, None
        self.events = []

    def message(self):
        while b"\0" not in self.rest:
            chunk = self.reader.read(1 << 20)
            if not chunk:
                raise SystemExit("the browser ended")
            self.rest += chunk
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, session=True, **params):
        self.last += 1
        ask = {"id": self.last, "method": method, "params": params}
        if session and self.session:
            ask["sessionId"] = self.session
        self.writer.write(json.dumps(ask).encode() + b"\0")
        while True:
            got = self.message()
            if got.get("id") == self.last:
                if "error" in got:
                    raise SystemExit(f"{method}: {got['error']['message']}")
                return got["result"]
            self.events.append(got)

    def page(self):
        """Opens a fresh page in the place of the last one."""
        if self.context:
            self.call("Target.disposeBrowserContext", session=False, browserContextId=self.context)
        self.session, self.events = None, []
        self.context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=self.context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Performance", "Runtime"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def goto(self, url):
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise SystemExit(f"{url}: {answer['errorText']}")
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.events.append(self.message())

    def run(self, script):
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise SystemExit(f"{script[:200]}\n{json.dumps(answer['exceptionDetails'])[:800]}")
        return answer["result"].get("value")

    def wait(self, condition, seconds=60):
        until = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > until:
                raise SystemExit(f"waited in vain: {condition}")
            time.sleep(0.02)

    def received(self):
        """Bytes over the wire of this page, heads included."""
        self.run("0")
        done = (e for e in self.events if e["method"] == "Network.loadingFinished")
        return sum(e["params"]["encodedDataLength"] for e in done)

    def figure(self, name):
        metrics = self.call("Performance.getMetrics")["metrics"]
        return next(m["value"] for m in metrics if m["name"] == name)

    def garbage(self):
        self.call("HeapProfiler.collectGarbage")

    def close(self):
        self.writer.close()
        self.process.wait()
        self.profile.cleanup()
