/* Polls for which there is no room at the moment: each waits for its turn, and no turn is lost. */
#include "index_fixture.h"

#include <string.h>

#define MANY 10

static size_t room; /* pages that may still be put together */

static bool has_room(void *user)
{
    size_t *left = user;
    return *left > 0 && (*left)--;
}

static int setup(void **state)
{
    int error = fixture_setup(state);
    struct fixture *fixture = *state;

    if (error)
        return error;
    room = SIZE_MAX;
    fixture->config.has_room = has_room;
    fixture->config.room_user = &room;
    fixture_restart(fixture);
    return 0;
}

static struct caller visitor(void)
{
    return fixture_stranger("198.51.100.99");
}

static struct watch *ask(struct fixture *fixture, const struct poll_request *request)
{
    struct caller caller = visitor();
    struct watch *watch = fixture_poll(fixture, &caller, request);
    fixture_settle(fixture);
    return watch;
}

/* So many more pages, as after a pass. */
static void make_room(struct fixture *fixture, size_t pages)
{
    room = pages;
    index_answer_more(fixture->index);
    fixture_settle(fixture);
}

static size_t answered(struct watch *const watches[MANY], const char *told)
{
    size_t count = 0;

    for (size_t i = 0; i < MANY; i++) {
        if (!watches[i]->calls)
            continue;
        assert_int_equal(watches[i]->calls, 1);
        assert_fault(watches[i]->fault, 0);
        assert_string_equal(watch_told(watches[i]), told);
        count++;
    }
    return count;
}

static void test_polls_woken_past_the_room_are_answered_in_turn(void **state)
{
    struct fixture *fixture = *state;
    struct watch *watches[MANY];
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 30);

    for (size_t i = 0; i < MANY; i++)
        watches[i] = ask(fixture, &request);
    room = 3;
    fixture_join(fixture, "a", 1);
    fixture_settle(fixture);
    assert_int_equal(answered(watches, "+a "), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(watches[i]->calls, 1);

    make_room(fixture, 5);
    assert_int_equal(answered(watches, "+a "), 8);
    make_room(fixture, 0);
    assert_int_equal(answered(watches, "+a "), 8);
    make_room(fixture, 5);
    assert_int_equal(answered(watches, "+a "), MANY);
}

static void test_poll_woken_again_keeps_its_turn(void **state)
{
    struct fixture *fixture = *state;
    struct watch *watches[MANY];
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 30);

    for (size_t i = 0; i < MANY; i++)
        watches[i] = ask(fixture, &request);
    room = 0;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    fixture_settle(fixture);
    make_room(fixture, 1);
    assert_int_equal(watches[0]->calls, 1);
    make_room(fixture, MANY);
    assert_int_equal(answered(watches, "+a +b "), MANY);
}

static void test_lists_past_the_room_wait_for_it(void **state)
{
    struct fixture *fixture = *state;
    struct watch *watches[MANY];
    struct poll_request request = poll_list();

    fixture_join(fixture, "a", 1);
    room = 4;
    for (size_t i = 0; i < MANY; i++)
        watches[i] = ask(fixture, &request);
    assert_int_equal(answered(watches, "+a "), 4);
    /* They have waited long enough for any deadline: nothing is answered without room. */
    fixture_advance(fixture, 1000);
    assert_int_equal(answered(watches, "+a "), 4);
    make_room(fixture, MANY);
    assert_int_equal(answered(watches, "+a "), MANY);
}

static void test_poll_whose_wait_ends_without_room_is_answered_later(void **state)
{
    struct fixture *fixture = *state;
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 20);
    struct watch *watch = ask(fixture, &request);

    room = 0;
    fixture_advance(fixture, 25000);
    assert_int_equal(watch->calls, 0);
    make_room(fixture, 1);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch_told(watch), "");
}

static void test_read_without_wait_and_room_supersedes_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct caller reader = fixture_node(1);
    struct poll_request parked = poll_mail(30), at_once = poll_mail(0);

    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct watch *waiting = fixture_poll(fixture, &reader, &parked);
    room = 0;
    struct watch *looking = fixture_poll(fixture, &reader, &at_once);
    make_room(fixture, 1);
    assert_int_equal(looking->calls, 1);
    assert_fault(looking->fault, 0);
    assert_int_equal(waiting->calls, 0);
    room = SIZE_MAX;
    fixture_offer(fixture, 2, "a", "m1");
    fixture_settle(fixture);
    assert_int_equal(waiting->calls, 1);
    assert_string_equal(watch_told(waiting), "*m1 ");
}

static void test_reader_does_not_wait_behind_lists(void **state)
{
    struct fixture *fixture = *state;
    struct watch *watches[MANY];
    struct caller reader = fixture_node(1);
    struct poll_request list = poll_list(), mail = poll_mail(0);

    fixture_join(fixture, "a", 1);
    room = 0;
    for (size_t i = 0; i < MANY; i++)
        watches[i] = ask(fixture, &list);
    struct watch *read = fixture_poll(fixture, &reader, &mail);
    make_room(fixture, 1);
    assert_int_equal(read->calls, 1);
    assert_fault(read->fault, 0);
    assert_int_equal(answered(watches, "+a "), 0);
    make_room(fixture, MANY);
    assert_int_equal(answered(watches, "+a "), MANY);
}

static void test_read_without_room_ends_with_its_lease(void **state)
{
    struct fixture *fixture = *state;
    struct caller reader = fixture_node(1);
    struct poll_request request = poll_mail(0);

    fixture_join(fixture, "a", 1);
    room = 0;
    struct watch *watch = fixture_poll(fixture, &reader, &request);
    assert_int_equal(watch->calls, 0);
    fixture_leave(fixture, "a", 1);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_UNKNOWN_NODE);
}

static void test_release_leaves_nobody_waiting_for_room(void **state)
{
    struct fixture *fixture = *state;
    struct poll_request list = poll_list();
    struct poll_request changes = poll_changes(fixture_cursor(fixture, NULL), 30);

    fixture_join(fixture, "a", 1);
    room = 0;
    struct watch *whole = ask(fixture, &list), *news = ask(fixture, &changes);
    assert_int_equal(whole->calls + news->calls, 0);
    index_release(fixture->index);
    fixture_flush(fixture);
    assert_int_equal(whole->calls, 1);
    assert_fault(whole->fault, ERROR_NOT_READY);
    assert_action(whole->fault, "retry");
    assert_int_equal(news->calls, 1);
    assert_fault(news->fault, 0);
    assert_true(cursor_equal(news->result.cursor, changes.since));

    struct watch *late = ask(fixture, &list);
    assert_int_equal(late->calls, 1);
    assert_fault(late->fault, ERROR_NOT_READY);
    room = 1;
    late = ask(fixture, &list);
    assert_int_equal(late->calls, 1);
    assert_fault(late->fault, 0);
}

#define ROOM_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(test_polls_woken_past_the_room_are_answered_in_turn),
        ROOM_TEST(test_poll_woken_again_keeps_its_turn),
        ROOM_TEST(test_lists_past_the_room_wait_for_it),
        ROOM_TEST(test_poll_whose_wait_ends_without_room_is_answered_later),
        ROOM_TEST(test_read_without_wait_and_room_supersedes_nobody),
        ROOM_TEST(test_reader_does_not_wait_behind_lists),
        ROOM_TEST(test_read_without_room_ends_with_its_lease),
        ROOM_TEST(test_release_leaves_nobody_waiting_for_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
