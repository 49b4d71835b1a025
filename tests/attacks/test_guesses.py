"""Secrets that are guessed: tokens, cursors, and where a mailbox goes on."""

import random
import secrets

from tests.lib.attack import AttackCase, request, stranger

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
TOKENS = 100_000
CURSORS = 20_000


def near_misses(token):
    """Every token that differs in one character, in its case or in the order of two, for ever."""
    while True:
        at = random.randrange(len(token))
        yield token[:at] + random.choice(ALPHABET.replace(token[at], "")) + token[at + 1:]
        yield token[:at] + token[at].swapcase() + token[at + 1:]
        yield token[at:] + token[:at]


class TestGuesses(AttackCase):
    def victim(self):
        """One with a message in its mailbox."""
        victim = self.node("victim", endpoints=["udp://192.168.7.7:4000"])
        self.node("sender").sends(victim, id="secret", body="a secret", ttl=600)
        return victim

    def assertUntouched(self, victim):
        self.assertEqual([message["id"] for message in victim.messages()], ["secret"])
        self.assertEqual(self.view("victim")["endpoints"], ["udp://192.168.7.7:4000"])

    def test_tokens_that_are_guessed_open_nothing(self):
        """At random, nearly right, and those of other nodes; whatever they are tried on."""
        with self.attack("tokens guessed", "--rate", "0") as attack:
            victim, other = self.victim(), self.node("other")
            near = near_misses(victim.token)
            register = {"id": "victim", "network": self.network, "endpoints": ["udp://:1"]}

            def guesses():
                for number in range(TOKENS):
                    token = secrets.token_urlsafe(32) if number % 2 else next(near)
                    if token == victim.token:
                        continue
                    token = other.token if number % 1000 == 0 else token
                    yield (request("GET", "/mailbox/victim", token=token),
                           request("POST", "/heartbeat", {"id": "victim", "endpoints": []}, token),
                           request("DELETE", f"/nodes/victim?network={self.network}", token=token),
                           request("POST", "/mailbox/victim", {
                               "id": "x", "type": "bye", "body": number}, token),
                           request("POST", "/events", {"wait": 0}, token),
                           request("POST", "/register", {**register, "token": token}),
                           )[number % 6 if token != other.token else number // 1000 % 3]

            def each(status, _, body):
                self.assertIn(status, (401, 403, 404, 409), body)
                self.assertNotIn(b"a secret", body)

            attack.flood(guesses(), [stranger(number) for number in range(100)], each)
            attack.what = f"{attack.seen.total()} guesses, {attack.told()}"
            self.assertUntouched(victim)

    def test_cursors_that_are_forged_are_reset(self):
        """Only what the index has made itself is a point in a history."""
        with self.attack("cursors forged", "--rate", "0") as attack:
            victim = self.victim()
            epoch, _, sequence = victim.cursor.partition(".")

            def cursors():
                yield from (f"{epoch}.{int(sequence) + ahead}" for ahead in (10, 1 << 31, 1 << 62))
                yield "0" * 16 + ".0"
                yield "f" * 16 + "." + sequence
                for _ in range(CURSORS):
                    bit = 1 << random.randrange(64)
                    yield f"{int(epoch, 16) ^ bit:016x}.{sequence}"
                    yield f"{secrets.randbits(64):016x}.{secrets.randbits(8)}"

            def each(status, _, body):
                self.assertEqual(status, 200, body)
                self.assertIn(b'"reset":true', body)

            attack.flood((request("GET", f"/list?network={self.network}&since={cursor}&limit=1")
                          for cursor in cursors()),
                         [stranger(number) for number in range(50)], each)
            attack.what = f"{attack.seen.total()} cursors, {attack.told()}"

    def test_mailbox_positions_that_are_forged_delete_nothing(self):
        """Not even with the token: a client may have mixed them up."""
        with self.attack("mailbox positions forged", "--rate", "0",
                         "--rate-per-credential", "0") as attack:
            victim = self.victim()
            own, _, _ = victim.read()["next"].partition(".")
            list_epoch, _, sequence = victim.cursor.partition(".")

            def positions():
                yield from (f"{own}.{ahead}" for ahead in (2, 100, 1 << 62))
                yield f"{list_epoch}.{sequence}"
                yield f"{list_epoch}.1"
                for _ in range(CURSORS):
                    yield f"{int(own, 16) ^ 1 << random.randrange(64):016x}.1"
                    yield f"{secrets.randbits(64):016x}.{secrets.randbits(8)}"

            def each(status, _, body):
                self.assertEqual(status, 200, body)
                self.assertIn(b'"reset":true', body)
                self.assertIn(b"a secret", body)

            attack.flood((request("GET", f"/mailbox/victim?after={position}", token=victim.token)
                          for position in positions()),
                         [stranger(number) for number in range(50)], each)
            attack.what = f"{attack.seen.total()} positions, {attack.told()}"
            self.assertUntouched(victim)

    def test_epochs_of_one_index_tell_nothing_of_each_other(self):
        """No two networks share one, not even nearly: what one may see is no key to another."""
        self.start()
        epochs = [int(self.list(network=f"n{number}")["cursor"].partition(".")[0], 16)
                  for number in range(200)]
        for number, one in enumerate(epochs):
            for other in epochs[:number]:
                self.assertGreater((one ^ other).bit_count(), 8)
