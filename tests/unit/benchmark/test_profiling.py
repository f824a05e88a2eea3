from tests.benchmark import profiling

RAW = """\
main (cli.py);_run_once (asyncio/base_events.py);EpollSelector.select (selectors.py) 70
main (cli.py);_run_once (asyncio/base_events.py);_work (controller.py) 20
main (cli.py);_run_once (asyncio/base_events.py);_work (controller.py);get (store.py) 10
"""


def test_stacks_leave_out_the_waiting_of_the_loop() -> None:
    found = profiling.stacks(RAW)
    assert [each.count for each in found] == [20, 10]
    assert found[1].frames[-1] == "get (store.py)"


def test_summary_tells_shares_within_a_function_and_of_itself() -> None:
    within, _, own = profiling.summary(profiling.stacks(RAW)).partition("share  in a function")
    assert "100.0  _work (controller.py)" in within
    assert " 66.7  _work (controller.py)" in own
    assert " 33.3  get (store.py)" in own
