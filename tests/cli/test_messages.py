"""The command `signpost`: messages sent and received."""

import json
import signal
import unittest

from tests.cli.case import CliCase, closed_port


class TestMessages(CliCase):
    def test_message_waits_for_its_reader(self):
        node = self.node("b")
        self.assertEqual(self.succeeds("send", "--id", "a", "b", '{"n": 1}'), "queued\n")
        message = node.messages()[0]
        self.assertEqual((message["from"], message["type"], message["session"], message["body"]),
                         ("a", "message", None, {"n": 1}))

    def test_message_is_handed_to_a_reader(self):
        reader = self.receives("b")
        parts = ("--type", "offer", "--session", "s1", "--ttl", "60")
        sent = json.loads(self.succeeds("send", "--id", "a", "--json", *parts, "b", '"hello"'))
        self.assertIn(sent["state"], ("handed", "queued"))
        message = reader.json()
        self.assertEqual(message, {
            "id": sent["id"], "from": "a", "from_address": "127.0.0.1", "session": "s1",
            "type": "offer", "body": "hello"})
        self.assertEqual(reader.end(), (0, "", ""))

    def test_waiting_reader_makes_it_handed(self):
        node = self.node("b")
        node.parks_read()
        self.assertEqual(self.succeeds("send", "--id", "a", "b", "1"), "handed\n")

    def test_body_comes_from_stdin_and_is_kept(self):
        node = self.node("b")
        body = '{"big": 123456789012345678901234567890, "text": "line\\nend",\n "f": 1.0}'
        for args in ((), ("-",)):
            self.succeeds("send", "--id", "a", "b", *args, stdin=f"\n {body}\n")
        self.succeeds("send", "--id", "a", "b", "-5")
        self.assertEqual([message["body"] for message in node.messages()],
                         [json.loads(body), json.loads(body), -5])

    def test_body_that_is_not_json_exits_64(self):
        for body in ("hello", "", "{", "'x'", '{"a": 1, "a": 2}', "1 2"):
            self.assertEnds(64, "send", "b", stdin=body, says="quotes")
        self.assertEnds(64, "send", "b", stdin='"' + "x" * 65536 + '"', says="65536 bytes")
        self.assertEnds(64, "send", "b b", "1", says="b b")

    def test_peer_that_nobody_knows_exits_66(self):
        self.assertEnds(66, "send", "nobody", "1", says="nobody")

    def test_unlisted_peer_gets_its_messages(self):
        node = self.node("b", listed=False)
        self.succeeds("send", "b", "1")
        self.assertEqual(node.messages()[0]["body"], 1)

    def test_mailbox_that_is_full_exits_75(self):
        node = self.node("b")
        sender = self.node()
        for _ in range(32):
            if sender.write("b").status != 202:
                sender = self.node()
                sender.write("b")
        self.assertGreater(len(node.messages()), 0)
        self.assertEnds(75, "send", "b", "1", "--ttl", "1", "--timeout", "20", says="b: ")

    def test_index_that_is_down_exits_69(self):
        url = f"http://127.0.0.1:{closed_port()}"
        self.assertEnds(69, "send", "b", "1", "--index", url, says=url)
        self.assertEnds(69, "recv", "--index", url, says=url)

    def test_recv_ends_after_what_waits(self):
        registered = self.registers("--id", "b")
        for body in ('{"a":\n 1}', "2"):
            self.assertEqual(self.succeeds("send", "--id", "a", "b", body), "queued\n")
        lines = self.succeeds("recv", "--id", "b").splitlines()
        self.assertEqual([json.loads(line)["body"] for line in lines], [{"a": 1}, 2])
        self.assertEnds(75, "recv", "--id", "b", "--timeout", "0.5", says="0.5 s")
        self.assertEqual(registered.end(), (0, "", ""))

    def test_recv_without_messages_exits_75(self):
        self.assertEnds(75, "recv", "--timeout", "0.3", says="no message came within 0.3 s")
        done = self.cli("recv", "--timeout", "0.3", "--quiet")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (75, "", ""))

    def test_message_that_nobody_took_comes_back(self):
        sender, node = self.receives("a"), self.node("b")
        self.assertEqual(self.succeeds("send", "--id", "a", "b", "1", "--session", "s"), "queued\n")
        node.delete()
        message = sender.json()
        self.assertEqual((message["from"], message["type"]), (None, "undeliverable"))
        self.assertEqual({k: message["body"][k] for k in ("to", "session", "type", "reason")},
                         {"to": "b", "session": "s", "type": "message", "reason": "gone"})
        sender.end()

    def test_second_reader_replaces_the_first(self):
        first = self.receives("a")
        second = self.starts("recv", "--follow", "--id", "a")
        code, _, err = first.wait()
        self.assertEqual(code, 70, err)
        self.assertEqual(second.end()[0], 0)

    def test_send_and_recv_leave_the_node_of_register_as_it_is(self):
        running = self.registers("--id", "a", "--endpoint", "grpc://:1", "--meta", '{"n": 1}')
        before = self.view("a")
        watch = self.starts("watch")
        self.assertEqual(watch.json()["event"], "up")
        self.succeeds("send", "--id", "a", "a", "1")
        self.assertEqual(json.loads(self.succeeds("recv", "--id", "a"))["from"], "a")
        after = self.view("a")
        for member in ("endpoints", "meta", "registered_at"):
            self.assertEqual(after[member], before[member])
        self.assertEqual(running.end(), (0, "", ""))
        self.assertEqual(watch.json()["event"], "down")
        watch.end()

    def test_recv_that_is_back_first_leaves_the_record_to_register(self):
        self.start()
        self.env = self.environment()
        running = self.registers("--id", "a", "--endpoint", "grpc://:1")
        running.process.send_signal(signal.SIGSTOP)
        listen = f"127.0.0.1:{self.index.port}"
        self.index.kill()
        self.start(listen=(listen,))
        reader, watch = self.receives("a"), self.starts("watch")
        self.assertEqual(watch.json()["endpoints"], [])
        running.process.send_signal(signal.SIGCONT)
        self.assertEqual(watch.json()["endpoints"], ["grpc://127.0.0.1:1"])
        for process in (watch, reader, running):
            self.assertEqual(process.end()[0], 0)


if __name__ == "__main__":
    unittest.main()
