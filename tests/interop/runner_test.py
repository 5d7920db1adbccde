"""The runners that come with Tare, on Debian's own interpreters in frozen environments.

Needs Debian's archive. The same tests as tests/e2e/runner_sdk_test.py has for the host's.
"""

import unittest

import runner_sdk_test


class PythonOfDebian(runner_sdk_test.Python):
    environment = "debian:bookworm:python3"


class NodeOfDebian(runner_sdk_test.Node):
    environment = "debian:bookworm:nodejs"


if __name__ == "__main__":
    unittest.main()
