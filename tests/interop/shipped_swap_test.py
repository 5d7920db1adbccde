"""The runners that come with Tare, given to live sessions on Debian's own interpreters.

Needs Debian's archive. The same tests as tests/e2e/runner_shipped_test.py has for the host's.
"""

import unittest

import runner_shipped_test as shipped


class PythonOfDebian(shipped.Python):
    environment = "debian:bookworm:python3"


class NodeOfDebian(shipped.Node):
    environment = "debian:bookworm:nodejs"


if __name__ == "__main__":
    unittest.main()
