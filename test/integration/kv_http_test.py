"""The key-value engine over HTTP, on every backend and type of keys."""

import base64
import contextlib
import json
import random
import struct
import threading
import time
import unittest
import urllib.parse

import harness

KINDS = [(backend, key_type) for backend in ("rocksdb", "alex")
         for key_type in ("bytes", "integer")]
FOREVER = 2**64 - 1


class Keyspace:
    """One keyspace of a running daemon."""

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.name = name

    def path(self, key):
        return f"/kv/{self.name}/" + urllib.parse.quote(str(key), safe="")

    def put(self, key, value, parameters=None, **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.daemon.request("PUT", self.path(key), value, headers, parameters)

    def get(self, key, **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.daemon.get(self.path(key), headers=headers)

    def delete(self, key, **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.daemon.request("DELETE", self.path(key), headers=headers)

    def batch(self, operations):
        return self.daemon.post(f"/kv/{self.name}", json.dumps(operations))

    def scan(self, **parameters):
        return self.daemon.get(f"/kv/{self.name}", parameters)

    def contents(self, **parameters):
        """All entries, page by page: [(key, value), ...]."""
        entries = []
        while True:
            answer = self.scan(**parameters)
            assert answer.status == 200, answer
            page = answer.json()
            entries += [(entry["key"], entry["value"]) for entry in page["entries"]]
            if "cursor" not in page:
                return entries
            parameters["cursor"] = page["cursor"]


def create(daemon, name, **definition):
    answer = daemon.post("/kv", json.dumps({"name": name} | definition))
    assert answer.status == 201, answer
    return Keyspace(daemon, name)


def key_of(key_type, number):
    return str(number) if key_type == "integer" else f"key/{number:06}"


class KvTestCase(unittest.TestCase):

    def expect(self, answer, status, text=""):
        self.assertEqual(answer.status, status, answer)
        self.assertIn(text, answer.text)
        return answer

    def for_all_kinds(self, daemon):
        """Yields a new keyspace and its kind of keys, for each kind."""
        for backend, key_type in KINDS:
            name = f"{backend}-{key_type}"
            yield create(daemon, name, backend=backend, key_type=key_type), key_type


class EntryTest(KvTestCase):

    def test_an_entry_is_put_read_and_deleted(self):
        with harness.Daemon() as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                key = key_of(key_type, 1)
                self.expect(keyspace.get(key), 404, "no such key")
                put = self.expect(keyspace.put(key, b"\0\xffvalue"), 204)
                got = keyspace.get(key)
                self.assertEqual((got.status, got.body), (200, b"\0\xffvalue"))
                self.assertEqual(got.headers["etag"], put.headers["etag"])
                self.assertNotIn("x-expires-at", got.headers)
                head = daemon.request("HEAD", keyspace.path(key))
                self.assertEqual((head.status, head.body), (200, b""))
                self.assertEqual(head.headers["content-length"], "7")
                self.expect(keyspace.put(key, ""), 204)
                self.assertEqual(keyspace.get(key).body, b"")
                self.expect(keyspace.delete(key), 204)
                self.expect(keyspace.delete(key), 204)
                self.expect(keyspace.get(key), 404)
                self.expect(daemon.request("HEAD", keyspace.path(key)), 404)

    def test_any_bytes_can_be_a_key(self):
        with harness.Daemon() as daemon:
            for backend in ("rocksdb", "alex"):
                keyspace = create(daemon, backend, backend=backend)
                keys = ["a/b", "a%2Fb", "a b", "ä", "?x=1&y", "..", "\0", "x" * 1000]
                for key in keys:
                    self.expect(keyspace.put(key, key), 204)
                for key in keys:
                    self.assertEqual(keyspace.get(key).text, key)
                # A slash may stand for itself.
                self.assertEqual(daemon.get(f"/kv/{backend}/a/b").text, "a/b")
                self.assertEqual(sorted(keyspace.contents()), sorted((key, key) for key in keys))

    def test_large_values(self):
        with harness.Daemon("--set", "kv.max_value=1MiB") as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                value = random.Random(1).randbytes(1 << 20)
                self.expect(keyspace.put(key_of(key_type, 1), value), 204)
                self.assertEqual(keyspace.get(key_of(key_type, 1)).body, value)
                self.expect(keyspace.put(key_of(key_type, 1), value + b"x"), 413)
                self.assertEqual(keyspace.get(key_of(key_type, 1)).body, value)

    def test_entries_expire(self):
        with harness.Daemon() as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                brief, long = key_of(key_type, 1), key_of(key_type, 2)
                self.expect(keyspace.put(brief, "v", {"ttl": "300ms"}), 204)
                self.expect(keyspace.put(long, "v", {"ttl": "1h"}), 204)
                self.assertRegex(keyspace.get(long).headers["x-expires-at"], r"^20\d\d-.*Z$")
                time.sleep(0.4)
                self.expect(keyspace.get(brief), 404)
                self.assertEqual(len(keyspace.contents()), 1)
                # A write without ttl has none.
                self.expect(keyspace.put(long, "v"), 204)
                self.assertNotIn("x-expires-at", keyspace.get(long).headers)

    def test_a_keyspace_may_have_a_time_to_live(self):
        with harness.Daemon() as daemon:
            keyspace = create(daemon, "brief", ttl="200ms")
            self.expect(keyspace.put("default", "v"), 204)
            self.expect(keyspace.put("longer", "v", {"ttl": "1h"}), 204)
            self.expect(keyspace.put("forever", "v", {"ttl": "0"}), 204)
            self.assertNotIn("x-expires-at", keyspace.get("forever").headers)
            time.sleep(0.3)
            self.assertEqual(sorted(key for key, _ in keyspace.contents()), ["forever", "longer"])


class ConditionTest(KvTestCase):

    def test_conditions_of_writes(self):
        with harness.Daemon() as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                key = key_of(key_type, 1)
                self.expect(keyspace.put(key, "v", If_Match="*"), 412, "no such key")
                self.expect(keyspace.put(key, "v", If_Match='"1"'), 412)
                first = self.expect(keyspace.put(key, "1", If_None_Match="*"), 204).headers["etag"]
                refused = self.expect(keyspace.put(key, "x", If_None_Match="*"), 412)
                self.assertEqual(refused.headers["etag"], first)
                self.assertEqual(keyspace.get(key).text, "1")
                second = self.expect(keyspace.put(key, "2", If_Match=first), 204).headers["etag"]
                self.assertNotEqual(first, second)
                self.expect(keyspace.put(key, "x", If_Match=first), 412)
                self.expect(keyspace.delete(key, If_Match=first), 412)
                self.assertEqual(keyspace.get(key).text, "2")
                self.expect(keyspace.delete(key, If_Match=second), 204)
                self.expect(keyspace.get(key), 404)

    def test_conditions_of_reads(self):
        with harness.Daemon() as daemon:
            keyspace = create(daemon, "a")
            tag = keyspace.put("k", "v").headers["etag"]
            self.expect(keyspace.get("k", If_None_Match=tag), 304)
            self.expect(keyspace.get("k", If_None_Match='"0"'), 200, "v")
            self.expect(keyspace.get("k", If_Match=tag), 200, "v")
            self.expect(keyspace.get("k", If_Match='"0"'), 412)

    def test_one_of_many_clients_wins_each_race(self):
        clients, rounds = 4, 40
        with harness.Daemon() as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                key = key_of(key_type, 1)
                self.expect(keyspace.put(key, "0"), 204)

                def count_up():
                    won = 0
                    with contextlib.closing(daemon.connect()) as connection:
                        while won < rounds:
                            got = harness.exchange(connection, "GET", keyspace.path(key))
                            put = harness.exchange(connection, "PUT", keyspace.path(key),
                                                   str(int(got.text) + 1),
                                                   {"If-Match": got.headers["etag"]})
                            assert put.status in (204, 412), put
                            won += put.status == 204

                threads = [threading.Thread(target=count_up) for _ in range(clients)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual(keyspace.get(key).text, str(clients * rounds))


class ScanTest(KvTestCase):

    def test_a_scan_gives_every_entry_once_in_pages_of_any_size(self):
        with harness.Daemon() as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                keyspace.batch([{"op": "put", "key": key_of(key_type, i), "value": str(i)}
                                for i in range(100)])
                expected = [(i if key_type == "integer" else key_of(key_type, i), str(i))
                            for i in range(100)]
                for limit in (1, 7, 99, 100, 101, 10_000):
                    self.assertEqual(sorted(keyspace.contents(limit=limit)), expected)

    def is_ordered(self, keyspace):
        listed = keyspace.daemon.get("/kv").json()["keyspaces"]
        return next(k["ordered"] for k in listed if k["name"] == keyspace.name)

    def test_ordered_keyspaces_take_bounds(self):
        with harness.Daemon() as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                keyspace.batch([{"op": "put", "key": key_of(key_type, i), "value": str(i)}
                                for i in range(20)])
                bounds = {"from": key_of(key_type, 5), "to": key_of(key_type, 9)}
                if not self.is_ordered(keyspace):
                    self.expect(keyspace.scan(**bounds), 400)
                    continue
                values = [value for _, value in keyspace.contents(**bounds, limit=3)]
                self.assertEqual(values, ["5", "6", "7", "8"])
                values = [value for _, value in keyspace.contents(**bounds, order="desc", limit=3)]
                self.assertEqual(values, ["8", "7", "6", "5"])
                swapped = {"from": bounds["to"], "to": bounds["from"]}
                self.assertEqual(keyspace.contents(**swapped), [])

    def test_a_prefix_is_a_range(self):
        with harness.Daemon() as daemon:
            keyspace = create(daemon, "a", backend="rocksdb")
            for key in ("a", "ab", "ab/1", "ab/2", "ac", b"ab\xff", b"\xff\xff"):
                keyspace.put(key.decode("latin1") if isinstance(key, bytes) else key, "v")
            self.assertEqual([key for key, _ in keyspace.contents(prefix="ab/")],
                             ["ab/1", "ab/2"])
            both = {"prefix": "a", "from": "ab/2"}
            self.assertEqual([key for key, _ in keyspace.contents(**both)], ["ab/2", "abÿ", "ac"])

    def test_bytes_that_are_no_text_come_as_base64(self):
        with harness.Daemon() as daemon:
            for backend in ("rocksdb", "alex"):
                keyspace = create(daemon, backend, backend=backend)
                self.expect(daemon.request("PUT", f"/kv/{backend}/%FF%00", b"\xfe\x01"), 204)
                self.assertEqual(keyspace.contents(),
                                 [({"base64": base64.b64encode(b"\xff\0").decode()},
                                   {"base64": base64.b64encode(b"\xfe\1").decode()})])

    def test_a_page_of_large_values_is_cut(self):
        with harness.Daemon() as daemon:
            keyspace = create(daemon, "a")
            for i in range(12):
                keyspace.put(f"key {i:02}", "x" * (1 << 20))
            page = keyspace.scan().json()
            self.assertLess(len(page["entries"]), 12)
            self.assertEqual(len(keyspace.contents()), 12)


class BatchTest(KvTestCase):

    def test_json_batches(self):
        with harness.Daemon() as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                a, b, c = (key_of(key_type, i) for i in range(3))
                keyspace.put(b, "old")
                raw = {"base64": base64.b64encode(b"\0\xff").decode()}
                answer = self.expect(keyspace.batch([
                    {"op": "put", "key": a, "value": "text ä"},
                    {"op": "delete", "key": b},
                    {"op": "put", "key": c, "value": raw, "ttl": "1h"},
                    {"op": "get", "key": a}, {"op": "get", "key": b}, {"op": "get", "key": c},
                ]), 200).json()
                first, second, third = answer["results"]
                self.assertEqual((first["value"], first["version"]), ("text ä", answer["version"]))
                self.assertIsNone(second)
                self.assertEqual(third["value"], raw)
                self.assertIn("expires", third)
                self.assertEqual(keyspace.get(c).body, b"\0\xff")
                self.assertEqual(keyspace.get(a).headers["etag"], f'"{answer["version"]}"')

    def test_integer_keys_may_be_numbers(self):
        with harness.Daemon() as daemon:
            keyspace = create(daemon, "a", key_type="integer")
            self.expect(keyspace.batch([{"op": "put", "key": FOREVER, "value": "v"},
                                        {"op": "put", "key": "7", "value": "w"}]), 200)
            self.assertEqual(keyspace.contents(), [(7, "w"), (FOREVER, "v")])

    def test_binary_batches(self):
        def bytes_of(text):
            return struct.pack("<I", len(text)) + text

        def put(key, value, ttl_ms=0):
            return b"\1" + struct.pack("<Q", ttl_ms) + bytes_of(key) + bytes_of(value)

        with harness.Daemon() as daemon:
            for keyspace, key_type in self.for_all_kinds(daemon):
                a, b = (struct.pack(">Q", i) if key_type == "integer" else b"k%d" % i
                        for i in (1, 2))
                body = (put(a, b"one") + put(b, b"two", 3_600_000) + b"\2" + bytes_of(a)
                        + b"\3" + bytes_of(a) + b"\3" + bytes_of(b))
                answer = daemon.post(f"/kv/{keyspace.name}", body,
                                     headers={"Content-Type": "application/octet-stream"})
                self.assertEqual(answer.status, 200, answer)
                version, missing, found, same, expires_ms, size = struct.unpack(
                    "<QBBQQI", answer.body[:30])
                self.assertEqual((missing, found, same, size), (0, 1, version, 3))
                self.assertEqual(answer.body[30:], b"two")
                self.assertAlmostEqual(expires_ms / 1000, time.time() + 3600, delta=60)
                for cut in range(1, len(body)):
                    broken = daemon.post(f"/kv/{keyspace.name}", body[:-cut],
                                         headers={"Content-Type": "application/octet-stream"})
                    self.assertIn(broken.status, (200, 400))

    def test_only_batches_of_few_gets_are_answered_on_an_event_loop(self):
        with harness.Daemon() as daemon:
            keyspace = create(daemon, "a", backend="alex", key_type="bytes")

            def tasks_of_batch(gets):
                before = daemon.metrics()['tsdbd_pool_tasks_finished_total{pool="write"}']
                operations = [{"op": "put", "key": "k", "value": "v"}]
                operations += [{"op": "get", "key": "k"}] * gets
                answer = self.expect(keyspace.batch(operations), 200).json()
                self.assertEqual([entry["value"] for entry in answer["results"]], ["v"] * gets)
                time.sleep(0.05)  # a task is counted after it has answered
                return daemon.metrics()['tsdbd_pool_tasks_finished_total{pool="write"}'] - before

            self.assertEqual(tasks_of_batch(5), 0)
            self.assertEqual(tasks_of_batch(100), 1)

    def test_a_batch_with_an_error_changes_nothing(self):
        good = {"op": "put", "key": "1", "value": "v"}
        table = [
            ("", "not a JSON array"), ("{}", "not a JSON array"), ("[", "not a JSON array"),
            ([good, 1], "operation 2: it is not an object"),
            ([good, {}], 'no "op"'), ([good, {"op": "add", "key": "1"}], "put, delete or get"),
            ([good, {"op": "put", "key": "2"}], 'no "value"'),
            ([good, {"op": "get"}], 'no "key"'),
            ([good, {"op": "get", "key": "1", "value": "v"}], 'no "value"'),
            ([good, {"op": "put", "key": "2", "value": 5}], '"value" is neither'),
            ([good, {"op": "put", "key": "2", "value": {"base64": "!"}}], "no base64"),
            ([good, good | {"ttl": 5}], '"ttl"'), ([good, good | {"ttl": "5x"}], "ttl"),
            ([good, {"op": "put", "key": "k" * 70_000, "value": "v"}], ""),
            ([good, [[[[[]]]]]], "not an object"),
        ]
        with harness.Daemon() as daemon:
            for keyspace, _ in self.for_all_kinds(daemon):
                for body, text in table:
                    body = body if isinstance(body, str) else json.dumps(body)
                    answer = daemon.post(f"/kv/{keyspace.name}", body)
                    self.expect(answer, 400, json.dumps(text)[1:-1])
                self.assertEqual(keyspace.contents(), [])


class KeyspaceTest(KvTestCase):

    def test_keyspaces_are_made_listed_and_dropped(self):
        with harness.Daemon() as daemon:
            self.assertEqual(daemon.get("/kv").json(), {"keyspaces": []})
            create(daemon, "a")
            create(daemon, "b", backend="rocksdb", key_type="integer", ttl="1h30m").put("1", "v")
            a, b = daemon.get("/kv").json()["keyspaces"]
            self.assertEqual((a["name"], a["key_type"], a["backend"]), ("a", "bytes", "alex"))
            self.assertEqual((b["name"], b["key_type"], b["backend"], b["ttl"], b["ordered"]),
                             ("b", "integer", "rocksdb", "1h30m", True))
            self.assertEqual(b["stats"]["writes"], 1)
            self.expect(daemon.post("/kv", '{"name":"a"}'), 409, "already")
            self.expect(daemon.request("DELETE", "/kv?name=a"), 204)
            self.expect(daemon.request("DELETE", "/kv?name=a"), 404)
            self.expect(daemon.get("/kv/a/x"), 404, "no keyspace 'a'")
            daemon.restart()
            self.assertEqual([k["name"] for k in daemon.get("/kv").json()["keyspaces"]], ["b"])
            self.expect(daemon.get("/kv/b/1"), 200, "v")

    def test_one_made_again_is_empty(self):
        with harness.Daemon() as daemon:
            for _ in range(3):
                keyspace = create(daemon, "a")
                self.assertEqual(keyspace.contents(), [])
                self.expect(keyspace.put("k", "v"), 204)
                self.expect(daemon.request("DELETE", "/kv?name=a"), 204)

    def test_bad_definitions(self):
        with harness.Daemon("--set", "kv.max_keyspaces=1") as daemon:
            for body, text in [("", "not a JSON object"), ("[]", "not a JSON object"),
                               ("{}", "a keyspace's name"), ('{"name":1}', "not a text"),
                               ('{"name":"../a"}', "a keyspace's name"),
                               ('{"name":"a","backend":"x"}', "alex or rocksdb"),
                               ('{"name":"a","key_type":"x"}', "bytes or integer"),
                               ('{"name":"a","ttl":"x"}', "ttl"),
                               ('{"name":"a","colour":"x"}', "colour")]:
                self.expect(daemon.post("/kv", body), 400, text)
            create(daemon, "a")
            self.expect(daemon.post("/kv", '{"name":"b"}'), 409, "kv.max_keyspaces")

    def test_one_that_is_damaged_is_set_aside(self):
        with harness.Daemon() as daemon:
            create(daemon, "good").put("k", "v")
            create(daemon, "bad").put("k", "v")
            daemon.stop()
            with open(f"{daemon.data_dir}/kv/bad/definition", "r+b") as definition:
                definition.write(b"x")
            daemon.start()
            self.expect(daemon.get("/kv/good/k"), 200, "v")
            self.expect(daemon.get("/kv/bad/k"), 503, "bad/definition")
            self.assertIn("error", daemon.get("/kv").json()["keyspaces"][0])
            self.assertEqual(daemon.metrics()['tsdbd_kv_available{keyspace="bad"}'], 0)

    def test_it_can_be_switched_off(self):
        with harness.Daemon("--set", "kv.enabled=false") as daemon:
            self.expect(daemon.get("/kv"), 404)


class BadInputTest(KvTestCase):

    def test_what_breaks_a_rule_is_told(self):
        with harness.Daemon() as daemon:
            create(daemon, "b", backend="rocksdb")
            create(daemon, "i", backend="rocksdb", key_type="integer")
            long_key = "k" * 30_000
            for method, path, headers, status, text in [
                    ("GET", "/kv/none/k", {}, 404, "no keyspace 'none'"),
                    ("PUT", "/kv/none/k", {}, 404, "no keyspace 'none'"),
                    ("POST", "/kv/none", {}, 404, "no keyspace 'none'"),
                    ("GET", "/kv/none", {}, 404, "no keyspace 'none'"),
                    ("PUT", "/kv/b/", {}, 400, "empty"),
                    ("PATCH", "/kv/b/k", {}, 405, ""),
                    ("PUT", "/kv/b/k?ttl=soon", {}, 400, "ttl"),
                    ("PUT", "/kv/b/k?ttl=-1s", {}, 400, "ttl"),
                    ("PUT", "/kv/b/k", {"If-Match": "5"}, 400, "If-Match"),
                    ("PUT", "/kv/b/k", {"If-None-Match": 'W/"5"'}, 400, "If-None-Match"),
                    ("PUT", "/kv/b/k", {"If-Match": "*", "If-None-Match": "*"}, 400, "exclude"),
                    ("PUT", "/kv/b/" + long_key, {}, 204, ""),
                    ("GET", "/kv/i/x", {}, 400, "whole number"),
                    ("PUT", "/kv/i/-1", {}, 400, "whole number"),
                    ("PUT", "/kv/i/18446744073709551616", {}, 400, "whole number"),
                    ("PUT", "/kv/i/18446744073709551615", {}, 204, ""),
                    ("GET", "/kv/b?limit=0", {}, 400, "limit"),
                    ("GET", "/kv/b?limit=x", {}, 400, "limit"),
                    ("GET", "/kv/b?order=up", {}, 400, "order"),
                    ("GET", "/kv/b?cursor=!", {}, 400, "cursor"),
                    ("GET", "/kv/b?cursor=eA", {}, 400, "cursor"),
                    ("GET", "/kv/i?from=x", {}, 400, "whole number"),
                    ("GET", "/kv/i?prefix=1", {}, 400, "prefix")]:
                with self.subTest(method=method, path=path[:50]):
                    body = "v" if method in ("PUT", "POST") else None
                    self.expect(daemon.request(method, path, body, headers), status, text)


class DurabilityTest(KvTestCase):

    def test_a_restart_keeps_everything(self):
        with harness.Daemon() as daemon:
            expected = {}
            for keyspace, key_type in self.for_all_kinds(daemon):
                keyspace.batch([{"op": "put", "key": key_of(key_type, i), "value": str(i)}
                                for i in range(200)])
                keyspace.batch([{"op": "delete", "key": key_of(key_type, i)}
                                for i in range(0, 200, 3)])
                keyspace.put(key_of(key_type, 1), "again")
                expected[keyspace.name] = (sorted(keyspace.contents()),
                                           keyspace.get(key_of(key_type, 1)).headers["etag"])
            for _ in range(2):
                daemon.restart()
                for backend, key_type in KINDS:
                    keyspace = Keyspace(daemon, f"{backend}-{key_type}")
                    contents, old = expected[keyspace.name]
                    self.assertEqual(sorted(keyspace.contents()), contents)
                    key = key_of(key_type, 1)
                    self.assertEqual(keyspace.get(key).headers["etag"], old)
                    # Versions rise over restarts.
                    new = keyspace.put(key, "again").headers["etag"]
                    self.assertGreater(int(new.strip('"')), int(old.strip('"')))
                    expected[keyspace.name] = (contents, new)

    def test_what_was_acknowledged_survives_kill(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        with harness.Daemon() as daemon:
            for backend, key_type in KINDS:
                create(daemon, f"{backend}-{key_type}", backend=backend, key_type=key_type)
            # Of each key what was acknowledged last, and what was sent and not acknowledged.
            acknowledged, pending = {}, {}
            for round_number in range(3):
                self.write_until_killed(daemon, random.Random(seed + round_number),
                                        acknowledged, pending)
                daemon.start()
                self.check_after_kill(daemon, acknowledged, pending)

    def write_until_killed(self, daemon, choice, acknowledged, pending):
        def write(writer, rng):
            with contextlib.closing(daemon.connect()) as connection:
                write_on(connection, writer, rng)

        def write_on(connection, writer, rng):
            for i in range(100_000):
                backend, key_type = KINDS[rng.randrange(len(KINDS))]
                keyspace = Keyspace(daemon, f"{backend}-{key_type}")
                key = key_of(key_type, writer * 1000 + rng.randrange(50))
                value = f"{writer} {i} {'x' * rng.randrange(300)}" if rng.randrange(4) else None
                pending[(keyspace.name, key)] = value
                try:
                    answer = harness.exchange(connection, "DELETE" if value is None else "PUT",
                                              keyspace.path(key), value)
                except (OSError, harness.http.client.HTTPException):
                    return
                assert answer.status == 204, answer
                acknowledged[(keyspace.name, key)] = value
                del pending[(keyspace.name, key)]

        writers = [threading.Thread(target=write, args=(w, random.Random(choice.random())))
                   for w in range(4)]
        for writer in writers:
            writer.start()
        time.sleep(0.5 + choice.random())
        daemon.kill()
        for writer in writers:
            writer.join()

    def check_after_kill(self, daemon, acknowledged, pending):
        self.assertGreater(len(acknowledged), 20)
        for (name, key), value in (acknowledged | pending).items():
            got = Keyspace(daemon, name).get(key)
            found = got.text if got.status == 200 else None
            possible = [acknowledged.get((name, key))]
            if (name, key) in pending:
                possible.append(pending[(name, key)])
            self.assertIn(found, possible, (name, key))
            # From now on it must stay so.
            acknowledged[(name, key)] = found
        pending.clear()


class MetricsTest(KvTestCase):

    def test_every_keyspace_has_its_figures(self):
        with harness.Daemon() as daemon:
            keyspace = create(daemon, "a", backend="rocksdb")
            keyspace.put("k", "v")
            for _ in range(3):
                keyspace.get("k")
            metrics = daemon.metrics()
            labels = '{keyspace="a",backend="rocksdb"}'
            self.assertEqual(metrics[f"tsdbd_kv_writes_total{labels}"], 1)
            self.assertEqual(metrics[f"tsdbd_kv_keys{labels}"], 1)
            self.assertEqual(metrics[f"tsdbd_kv_cache_hits_total{labels}"], 2)
            self.assertGreaterEqual(metrics[f"tsdbd_kv_syncs_total{labels}"], 1)
            self.assertGreater(metrics[f"tsdbd_kv_disk_bytes{labels}"], 0)
            self.assertEqual(metrics[f"tsdbd_kv_damaged_records_total{labels}"], 0)


if __name__ == "__main__":
    unittest.main()
