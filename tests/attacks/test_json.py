"""JSON that is small to send and large to read."""

import collections
import itertools
import signal

from tests.lib.attack import AttackCase, request, stranger

MOST = 65_000  # bytes of a body
MANY = 1_000


def colliding_keys(count):
    """Names that all have the same hash where it is 33 * hash + character, as many a parser's is
    that has no secret in it: "Ez" and "FY" are equal there, and so is all that is made of them."""
    names = itertools.product(("Ez", "FY"), repeat=14)
    return ["".join(name) for name in itertools.islice(names, count)]


def tiny_members():
    text, number = "{", 0
    while len(text) < MOST:
        text += f'"{number:x}":0,'
        number += 1
    return text + '"id":"tiny"}'


class TestJson(AttackCase):
    def bodies(self):
        """Each with what may be answered."""
        digits = "9" * MOST
        colliding = "{" + ",".join(f'"{name}":0' for name in colliding_keys(2_000)) + "}"
        return [
            ("[" * MOST, {400}),
            ("[" * (MOST // 2) + "]" * (MOST // 2), {400}),
            ('{"a":' * (MOST // 6), {400}),
            ('{"x":' + "[" * 2_000 + "]" * 2_000 + "}", {201, 429}),
            ('{"meta":' + '{"a":' * 200 + "0" + "}" * 201, {400}),
            ('{"x":[' + "[]," * (MOST // 3) + "0]}", {201, 429}),
            ('{"x":[' + "{}," * (MOST // 3) + "0]}", {201, 429}),
            ('{"x":[' + "0," * (MOST // 2) + "0]}", {201, 429}),
            (tiny_members(), {201, 409, 429}),
            (colliding, {201, 429}),
            ('{"meta":' + colliding + "}", {413, 400}),
            ('{"ttl":' + digits + "}", {400}),
            ('{"ttl":0.' + digits + "}", {201, 400, 429}),
            ('{"ttl":1e' + digits + "}", {400}),
            ('{"ttl":-1e400}', {400}),
            ('{"x":"' + "\\ud83d" * 5_000 + '"}', {400}),
            ('{"x":"' + "\\u0000" * 5_000 + '"}', {400}),
            ('{"x":1,' * 2 + '"x":2}', {400}),
            ('{"x":{"y":1,"y":2}}', {400}),
            (b'{"id":"\xff\xfe"}', {400}),
            (b'{"x":"\xc0\x80\xed\xa0\x80\xf5\x80\x80\x80"}', {400}),
            (b"\xef\xbb\xbf{}", {400}),
            ("{}" * (MOST // 2), {400}),
            ('"' + "x" * MOST, {400}),
            ("/*" + " " * MOST + "*/{}", {400}),
            ("NaN", {400}), ("[]", {400}), ("{", {400}), ("", {400, 411}), ("\0{}", {400}),
        ]

    def test_bodies_of_all_kinds_are_refused_or_taken(self):
        bodies = [(body if isinstance(body, bytes) else body.encode(), allowed)
                  for body, allowed in self.bodies()]
        with self.attack("JSON of all kinds", "--rate", "0") as attack:
            expected = itertools.cycle(bodies)

            def each(status, _, answer):
                body, allowed = next(expected)
                self.assertIn(status, allowed, (body[:60], answer))

            # A connection at a time, so that the replies come in the order of the bodies.
            for number in range(20):
                attack.flood((request("POST", "/register", body) for body, _ in bodies),
                             [stranger(number)], each, per_write=10)
            attack.what = f"{attack.seen.total()} bodies, {attack.told()}"

    def test_keys_with_equal_hashes_cost_no_more_than_others(self):
        """In time of the index's own, so that a busy machine makes no difference."""
        def body(names):
            text = "{" + ",".join(f'"{name}":0' for name in names) + "}"
            return request("POST", "/heartbeat", text.encode(), "x" * 43)

        others = [f"{number * 7919:028b}" for number in range(2_000)]
        self.assertEqual({len(name) for name in others}, {28})
        with self.attack("keys with equal hashes", "--rate", "0") as attack:
            took = []
            for names in (others, colliding_keys(2_000)):
                before = self.index.cpu_s()
                attack.flood(itertools.repeat(body(names), 400), [stranger(0)], per_write=20)
                took.append(self.index.cpu_s() - before)
            attack.what = f"400 bodies: {took[0]:.2f} s of CPU, {took[1]:.2f} s with equal ones"
            self.assertEqual(set(attack.seen), {404})
            self.assertLess(took[1], took[0] * 4 + 0.5)

    def test_bodies_that_are_parsed_in_one_pass_do_not_pile_up(self):
        """64 KB of empty arrays are megabytes when parsed, and take 7 ms: each goes before the next
        is read, also where the answer waits for the commit; and there are not too many at once."""
        body = '{"x":[' + "[]," * (MOST // 3) + "0]}"
        with self.attack("parsed in one pass", "--rate", "0") as attack:
            connections = [self.comes(number % 20) for number in range(MANY)]
            self.settle()
            wanted = [request("POST", "/register", body.encode()) for _ in connections]
            # All but the last byte, so that all become whole in the same pass.
            waves = [connections[start:start + 200] for start in range(0, MANY, 200)]
            statuses = collections.Counter()
            for wave in waves:
                for connection in wave:
                    connection.sendall(wanted[0][:-1])
                self.settle()
                self.index.signal(signal.SIGSTOP)
                for connection in wave:
                    connection.send(wanted[0][-1:])
                self.index.signal(signal.SIGCONT)
                for connection in wave:
                    statuses[connection.recv(65536)[9:12]] += 1
                    connection.close()
            attack.what = f"{MANY} bodies of 64 KB, {len(waves[0])} in a pass"
            attack.what += f", {statuses[b'503']} put off"
            self.assertLessEqual(set(statuses), {b"201", b"503"})
            self.assertGreater(statuses[b"201"], 0)
