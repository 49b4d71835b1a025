/* After a loss: the store that cannot be read back at once, and the pause in which nothing is
 * written. And the end of an index with a batch open. */
#include "index_fixture.h"

#define PAUSE_MS 1000 /* after a loss, before the next write or load is tried */

static void join_pair(struct fixture *fixture)
{
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "b", 2, LIMIT_TTL_MAX_S);
}

static struct registration try_to_join(struct fixture *fixture, const char *id, unsigned number)
{
    struct caller caller = fixture_node(number);
    struct register_request request = {.id = id, .listed = true};
    return fixture_register(fixture, &caller, &request);
}

static struct watch *park(
    struct fixture *fixture, const struct caller *caller, const struct poll_request *request)
{
    struct watch *watch = fixture_poll(fixture, caller, request);
    assert_int_equal(watch->calls, 0);
    return watch;
}

static void expect_answered(const struct watch *watch, const char *told)
{
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch_told(watch), told);
}

/* Loses a batch. */
static void lose(struct fixture *fixture)
{
    size_t losses = fixture->losses;
    store_memory_fail_next_flush(fixture->store);
    assert_fault(try_to_join(fixture, "ghost", 99).fault, ERROR_STORE_FAILED);
    assert_int_equal(fixture->losses, losses + 1);
}

/* --- a load that fails ----------------------------------------------------------------------- */

static void expect_not_ready(struct fixture *fixture)
{
    struct caller stranger = fixture_stranger("198.51.100.99"), a = fixture_node(1);
    struct poll_request list = poll_list(), mail = poll_mail(0);
    struct watch *watch = fixture_poll(fixture, &stranger, &list);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_NOT_READY);
    assert_true(watch->fault.retry_after_s > 0);
    watch = fixture_poll(fixture, &a, &mail);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_NOT_READY);
    assert_fault(try_to_join(fixture, "c", 3).fault, ERROR_NOT_READY);
    assert_between(index_next_due_ms(fixture->index), fixture->now_ms, fixture->now_ms + PAUSE_MS);
}

static void test_reload_that_fails_is_tried_until_it_works(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    fixture_offer(fixture, 1, "b", "m1");
    store_memory_fail_next_load(fixture->store);
    lose(fixture);
    for (int i = 0; i < 5; i++) {
        expect_not_ready(fixture);
        store_memory_fail_next_load(fixture->store);
        fixture_tick_at_next_due(fixture);
    }
    expect_not_ready(fixture);
    fixture_tick_at_next_due(fixture);
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+a +b ");
    assert_int_equal(index_node_count(fixture->index), 2);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
    fixture_advance(fixture, PAUSE_MS);
    assert_fault(try_to_join(fixture, "c", 3).fault, 0);
    assert_int_equal(fixture_offer(fixture, 1, "b", "m2").result.seq, 2);
    assert_int_equal(fixture->losses, 1);
}

static void test_reload_that_fails_leaves_parked_polls(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct caller stranger = fixture_stranger("198.51.100.99"), reader = fixture_node(2);
    struct poll_request changes = poll_changes(fixture_cursor(fixture, NULL), 50);
    struct poll_request mail = poll_mail(50), brief = poll_mail(2);
    struct caller impatient = fixture_node(1);
    struct watch *list = park(fixture, &stranger, &changes);
    struct watch *box = park(fixture, &reader, &mail);
    struct watch *late = park(fixture, &impatient, &brief);
    store_memory_fail_next_load(fixture->store);
    lose(fixture);
    for (int i = 0; i < 5; i++) {
        store_memory_fail_next_load(fixture->store);
        fixture_tick_at_next_due(fixture);
    }
    /* Whose wait is over is answered in time, though nothing is known. */
    assert_int_equal(late->calls, 1);
    assert_fault(late->fault, ERROR_STORE_FAILED);
    assert_int_equal(list->calls + box->calls, 0);
    fixture_advance(fixture, 2 * PAUSE_MS);
    assert_int_equal(list->calls + box->calls, 0);
    assert_true(fixture_offer(fixture, 1, "b", "m1").result.handed);
    fixture_settle(fixture);
    expect_answered(box, "*m1 ");
    assert_int_equal(list->calls, 0);
    fixture_join(fixture, "c", 3);
    fixture_settle(fixture);
    expect_answered(list, "+c ");
}

static void test_reload_that_fails_leaves_leases_their_time(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 10);
    store_memory_fail_next_load(fixture->store);
    lose(fixture);
    fixture_advance(fixture, 9000);
    assert_true(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 2000);
    assert_false(fixture_has_node(fixture, "a"));
}

/* --- the pause after a loss ------------------------------------------------------------------ */

static void test_pause_after_loss_reads_mail_and_writes_nothing(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    fixture_offer(fixture, 1, "b", "m1");
    struct caller reader = fixture_node(2);
    lose(fixture);
    for (int i = 0; i < 5; i++) {
        struct poll_request request = poll_mail(0);
        struct watch *watch = fixture_poll(fixture, &reader, &request);
        assert_null(watch->poll); /* answered at once: no batch is open that it has to wait for */
        expect_answered(watch, "*m1 ");
        request = poll_mail_after(watch->result.next, 0);
        watch = fixture_poll(fixture, &reader, &request);
        assert_null(watch->poll);
        expect_answered(watch, "*m1 "); /* nothing was acknowledged */
        assert_false(watch->result.mail_reset);
    }
    assert_int_equal(fixture->losses, 1);
    fixture_advance(fixture, PAUSE_MS);
    struct cursor next = fixture_read(fixture, 2)->result.next;
    expect_answered(fixture_acknowledge(fixture, 2, next), "");
}

/* What was given out in the pause was given out, as far as memory knows. */
static void test_pause_after_loss_remembers_what_was_given(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    fixture_offer(fixture, 1, "b", "m1");
    lose(fixture);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
    fixture_advance(fixture, 11000);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
}

/* --- closing --------------------------------------------------------------------------------- */

static void test_close_completes_the_open_batch(void **state)
{
    struct fixture *fixture = *state;
    struct registration joined = {0};
    struct beat beat = {0};
    fixture_join(fixture, "a", 1);
    struct caller a = fixture_node(1), b = fixture_node(2);
    struct register_request request = {.id = "b", .listed = true};
    struct heartbeat_request heartbeat = {0};
    index_register(fixture->index, &b, &request, fixture_on_registered, &joined);
    index_heartbeat(fixture->index, &a, &heartbeat, fixture_on_heartbeat, &beat);
    assert_int_equal(joined.calls + beat.calls, 0);
    index_close(fixture->index);
    fixture->index = NULL;
    assert_false(fixture->store->open_batch);
    assert_int_equal(joined.calls, 1);
    assert_fault(joined.fault, 0);
    assert_int_equal(beat.calls, 1);
    assert_fault(beat.fault, 0);
    fixture_restart(fixture);
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+a +b ");
}

static void test_close_loses_the_open_batch_that_fails(void **state)
{
    struct fixture *fixture = *state;
    struct registration joined = {0};
    fixture_join(fixture, "a", 1);
    struct caller b = fixture_node(2);
    struct register_request request = {.id = "b", .listed = true};
    index_register(fixture->index, &b, &request, fixture_on_registered, &joined);
    store_memory_fail_next_flush(fixture->store);
    index_close(fixture->index);
    fixture->index = NULL;
    assert_int_equal(joined.calls, 1);
    assert_fault(joined.fault, ERROR_STORE_FAILED);
    fixture_restart(fixture);
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+a ");
}

/* A prune completes into the index: it must not do so when that is gone. */
static void test_close_completes_an_open_prune(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct cursor before = fixture_cursor(fixture, NULL);
    fixture_leave(fixture, "b", 2);
    fixture_tick_at_next_due(fixture);
    assert_true(fixture->store->open_batch);
    index_close(fixture->index);
    fixture->index = NULL;
    assert_false(fixture->store->open_batch);
    fixture_restart(fixture);
    assert_true(fixture_changes(fixture, NULL, before, 10)->result.reset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_reload_that_fails_is_tried_until_it_works),
        FIXTURE_TEST(test_reload_that_fails_leaves_parked_polls),
        FIXTURE_TEST(test_reload_that_fails_leaves_leases_their_time),
        FIXTURE_TEST(test_pause_after_loss_reads_mail_and_writes_nothing),
        FIXTURE_TEST(test_pause_after_loss_remembers_what_was_given),
        FIXTURE_TEST(test_close_completes_the_open_batch),
        FIXTURE_TEST(test_close_loses_the_open_batch_that_fails),
        FIXTURE_TEST(test_close_completes_an_open_prune),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
