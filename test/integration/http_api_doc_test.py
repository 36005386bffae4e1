"""The examples of docs/http-api.md, run in their order against a fresh daemon."""

import pathlib
import re
import subprocess
import unittest

import harness

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "http-api.md"
DEFAULT_ADDRESS = "127.0.0.1:8086"
EXAMPLE = re.compile(r"^```sh\n(.*?)^```\n^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def pattern_of(expected):
    """A regex for `expected`, where … stands for anything."""
    return "".join(".*" if part == "…" else re.escape(part)
                   for part in re.split("(…)", expected.strip()))


class HttpApiDocTest(unittest.TestCase):

    def test_the_examples_print_what_the_document_says(self):
        examples = EXAMPLE.findall(DOCUMENT.read_text(encoding="utf-8"))
        self.assertGreater(len(examples), 10)
        with harness.Daemon() as daemon:
            address = f"127.0.0.1:{daemon.port}"
            for command, expected in examples:
                done = subprocess.run(["bash", "-c", command.replace(DEFAULT_ADDRESS, address)],
                                      capture_output=True, text=True, timeout=60, check=True)
                # Some answers end without a newline; the next command's then follows directly.
                printed = re.sub(r"\}\{", "}\n{", done.stdout.replace("\r", "")).strip()
                self.assertTrue(re.fullmatch(pattern_of(expected), printed, re.DOTALL),
                                f"{command}\nprinted\n{printed}\nbut the document says\n{expected}")


if __name__ == "__main__":
    unittest.main()
