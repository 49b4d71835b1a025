/* What one address may have of what all share: networks that its nodes make, messages that it
 * sends. */
#include "index_fixture.h"

#include <stdio.h>
#include <string.h>

#define HERE "203.0.113.7"
#define ELSEWHERE "198.51.100.7"

/* --- networks -------------------------------------------------------------------------------- */

/* An unlisted node: its network can be dropped soon after it has left. */
static struct registration join_in(
    struct fixture *fixture, const char *network, const struct caller *caller)
{
    struct register_request request = {.id = "u", .network = network, .ttl_s = LIMIT_TTL_MAX_S};
    return fixture_register(fixture, caller, &request);
}

/* Makes networks n0, n1 and so on, in one batch, as many as an address may make. */
static void make_networks(struct fixture *fixture)
{
    struct registration joined = {0};
    for (unsigned i = 0; i < LIMIT_NETWORKS_PER_ADDRESS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        struct caller caller = fixture_owner(HERE, i);
        struct register_request request = {.id = "u", .network = name, .ttl_s = LIMIT_TTL_MAX_S};
        index_register(fixture->index, &caller, &request, fixture_on_registered, &joined);
    }
    fixture_flush(fixture);
    assert_int_equal(joined.calls, LIMIT_NETWORKS_PER_ADDRESS);
    assert_fault(joined.fault, 0);
}

static void test_share_of_networks_is_of_one_address(void **state)
{
    struct fixture *fixture = *state;
    make_networks(fixture);
    struct caller here = fixture_owner(HERE, 5000), elsewhere = fixture_owner(ELSEWHERE, 5001);
    struct registration refused = join_in(fixture, "one-more", &here);
    assert_fault(refused.fault, ERROR_TOO_MANY_NODES);
    assert_true(refused.fault.retry_after_s > 0);
    assert_fault(join_in(fixture, "another", &elsewhere).fault, 0);

    /* What is there already is anybody's, and so is a proxy's own network. */
    assert_fault(join_in(fixture, "another", &here).fault, ERROR_ID_TAKEN);
    struct register_request request = {.id = "v", .network = "another"};
    assert_fault(fixture_register(fixture, &here, &request).fault, 0);
    struct caller exempt = fixture_owner(HERE, 5002);
    exempt.exempt = true;
    assert_fault(join_in(fixture, "of-a-proxy", &exempt).fault, 0);
}

static void test_share_of_networks_counts_until_they_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    make_networks(fixture);
    struct caller first = fixture_owner(HERE, 0), here = fixture_owner(HERE, 5000);
    assert_fault(fixture_remove(fixture, &first, "n0", "u").fault, 0);
    assert_fault(join_in(fixture, "one-more", &here).fault, ERROR_TOO_MANY_NODES);
    fixture_advance(fixture, 2 * LIMIT_DROP_AFTER_MS);
    assert_fault(join_in(fixture, "one-more", &here).fault, 0);
    struct caller again = fixture_owner(HERE, 5001);
    assert_fault(join_in(fixture, "two-more", &again).fault, ERROR_TOO_MANY_NODES);
}

static void test_share_of_networks_does_not_count_what_was_lost(void **state)
{
    struct fixture *fixture = *state;
    store_memory_fail_next_flush(fixture->store);
    struct caller here = fixture_owner(HERE, 5000);
    assert_fault(join_in(fixture, "lost", &here).fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, 1000);
    make_networks(fixture);
    assert_fault(join_in(fixture, "one-more", &here).fault, ERROR_TOO_MANY_NODES);
}

/* --- messages -------------------------------------------------------------------------------- */

/* Node number 1 sends itself as many messages as its address may, in one batch. What it has
 * acknowledged no longer counts in its mailbox, but it is remembered for retries. */
static void send_share(struct fixture *fixture)
{
    struct caller caller = fixture_owner(HERE, 1);
    struct register_request join = {.id = "a", .listed = true, .ttl_s = LIMIT_TTL_MAX_S};
    assert_fault(fixture_register(fixture, &caller, &join).fault, 0);
    struct poll_request read = poll_mail(0);
    struct cursor next = fixture_poll(fixture, &caller, &read)->result.next;
    struct delivery sent = {0};
    struct outcome acknowledged = {0};
    for (int i = 0; i < LIMIT_MAIL_MESSAGES_PER_ADDRESS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m%d", i);
        struct send_request request = {
            .to = "a", .id = id, .type = "offer", .body = "1", .body_size = 1};
        index_send(fixture->index, &caller, &request, fixture_on_sent, &sent);
        next.seq++;
        if (next.seq % LIMIT_BOX_SENDER_MESSAGES != 0)
            continue;
        read = poll_mail_after(next, 0);
        index_poll(fixture->index, &caller, &read, fixture_on_polled, &acknowledged);
    }
    fixture_flush(fixture);
    assert_int_equal(sent.calls, LIMIT_MAIL_MESSAGES_PER_ADDRESS);
    assert_fault(sent.fault, 0);
    assert_int_equal(
        acknowledged.calls, LIMIT_MAIL_MESSAGES_PER_ADDRESS / LIMIT_BOX_SENDER_MESSAGES);
    assert_fault(acknowledged.fault, 0);
}

static struct delivery send_one(
    struct fixture *fixture, const struct caller *caller, const char *to, const char *id)
{
    struct send_request request = {
        .to = to, .id = id, .type = "offer", .body = "1", .body_size = 1};
    return fixture_send(fixture, caller, &request);
}

static void join_at(struct fixture *fixture, const char *id, const char *address, unsigned number)
{
    struct caller caller = fixture_owner(address, number);
    struct register_request join = {.id = id, .listed = true, .ttl_s = LIMIT_TTL_MAX_S};
    assert_fault(fixture_register(fixture, &caller, &join).fault, 0);
}

static void test_share_of_messages_is_of_one_address(void **state)
{
    struct fixture *fixture = *state;
    send_share(fixture);
    join_at(fixture, "b", HERE, 2);
    join_at(fixture, "c", ELSEWHERE, 3);
    struct caller a = fixture_owner(HERE, 1), b = fixture_owner(HERE, 2);
    struct caller c = fixture_owner(ELSEWHERE, 3);
    struct delivery refused = send_one(fixture, &a, "b", "more");
    assert_fault(refused.fault, ERROR_RATE_LIMITED);
    assert_action(refused.fault, "retry");
    assert_true(refused.fault.retry_after_s > 0);
    assert_fault(send_one(fixture, &b, "c", "more").fault, ERROR_RATE_LIMITED);
    assert_fault(send_one(fixture, &c, "b", "more").fault, 0);

    /* A retry takes nothing of the share. */
    struct delivery again = send_one(fixture, &a, "a", "m0");
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, 1);
}

static void test_share_of_messages_comes_back_when_they_are_forgotten(void **state)
{
    struct fixture *fixture = *state;
    send_share(fixture);
    struct caller a = fixture_owner(HERE, 1);
    assert_fault(send_one(fixture, &a, "a", "more").fault, ERROR_RATE_LIMITED);
    fixture_restart(fixture);
    assert_fault(send_one(fixture, &a, "a", "more").fault, ERROR_RATE_LIMITED);
    fixture_advance(fixture, (LIMIT_RETRY_MEMORY_S + 1) * 1000LL);
    assert_fault(send_one(fixture, &a, "a", "more").fault, 0);
}

/* The share is that of the address which sends, wherever the node has registered. */
static void test_share_of_messages_is_of_the_address_that_sends(void **state)
{
    struct fixture *fixture = *state;
    send_share(fixture);
    join_at(fixture, "c", ELSEWHERE, 3);
    struct caller moved = fixture_owner(HERE, 3), back = fixture_owner(ELSEWHERE, 3);
    assert_fault(send_one(fixture, &moved, "a", "more").fault, ERROR_RATE_LIMITED);
    assert_fault(send_one(fixture, &back, "a", "more").fault, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_share_of_networks_is_of_one_address),
        FIXTURE_TEST(test_share_of_networks_counts_until_they_are_dropped),
        FIXTURE_TEST(test_share_of_networks_does_not_count_what_was_lost),
        FIXTURE_TEST(test_share_of_messages_is_of_one_address),
        FIXTURE_TEST(test_share_of_messages_comes_back_when_they_are_forgotten),
        FIXTURE_TEST(test_share_of_messages_is_of_the_address_that_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
