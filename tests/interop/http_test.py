"""The REST API as curl and Python's urllib speak it, over the unix socket and TCP."""

import hashlib
import json
import os
import subprocess
import unittest
import urllib.request

import harness


class Curl(harness.TareTest):
    def curl(self, *arguments, data=None):
        """The body, as JSON where there is one; fails on a status above 399."""
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "60",
                   "--unix-socket", str(self.home.path / "run/tared.sock"), *arguments]
        ran = subprocess.run(command, input=data, capture_output=True, check=False)
        self.assertEqual(ran.returncode, 0, (command, ran.stdout, ran.stderr))
        return ran.stdout

    def post(self, path, wish, *more):
        return json.loads(self.curl("-H", "Content-Type: application/json", *more, "--data-binary",
                                    json.dumps(wish), f"http://tare{path}"))

    def test_a_run_from_its_request_to_its_end(self):
        argv = ["sh", "-c", "echo hi; exit 3"]
        run = self.post("/v1/runs", {"environment": "host", "argv": argv})
        ended = json.loads(self.curl(f"http://tare/v1/runs/{run['id']}/wait"))
        self.assertEqual(ended["outcome"]["exit_code"], 3)
        body = self.curl(f"http://tare/v1/runs/{run['id']}/logs?follow=true")
        self.assertIn(b"hi\n", body)

    def test_uploads_chunked_with_expect_100_and_with_a_length(self):
        for size in (0, 1, 70_000, 3_000_000):
            data = os.urandom(size)
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            for how in (["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"], []):
                answer = json.loads(self.curl("-X", "POST", *how, "--data-binary", "@-", "-H",
                                              "Content-Type: application/octet-stream",
                                              "http://tare/v1/blobs", data=data))
                self.assertEqual(answer["digest"], digest, (size, how))
            self.curl("--head", f"http://tare/v1/blobs/{digest}")

    def test_one_connection_for_many_requests(self):
        urls = ["http://tare/v1/health", "http://tare/v1/runs", "http://tare/v1/agents"] * 20
        said = self.curl("--write-out", "%{num_connects} ", "--output", "/dev/null", *urls[:1],
                         *(word for url in urls[1:] for word in ("--output", "/dev/null", url)))
        self.assertEqual(sum(map(int, said.split())), 1)

    def test_http_1_0_and_compressed_are_answered(self):
        for option in ("--http1.0", "--compressed", "--http2"):
            self.assertIn("programs", json.loads(self.curl(option, "http://tare/v1/health")))

    def test_urllib_over_tcp_with_the_key(self):
        address = json.loads((self.home.path / "run/tared.json").read_text())["address"]
        key = (self.home.path / "state/api_key").read_text().strip()
        request = urllib.request.Request(f"http://{address}/v1/health",
                                         headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=60) as response:
            self.assertIn("programs", json.load(response))


if __name__ == "__main__":
    unittest.main()
