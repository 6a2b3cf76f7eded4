from __future__ import annotations

from lobsim.book import OrderBook, OrderView, Snapshot, Walk
from lobsim.events import Purpose, TimeInForce
from tests.book.expect import BUY, SELL, make_book


def test_an_empty_book_has_an_answer_to_everything() -> None:
    book = OrderBook()
    assert (book.best_bid, book.best_ask, book.best_bid_qty, book.best_ask_qty) == (None, None, 0, 0)
    assert book.quotes() == (None, 0, None, 0)
    assert (book.bids(), book.asks(), book.levels(BUY), book.levels(SELL)) == ([], [], [], [])
    assert (book.last_price, book.time_ns, book.next_expiry_ns, len(book)) == (None, 0, None, 0)
    for side in (BUY, SELL):
        assert book.depth(side, 100) == (0, 0)
        assert book.walk(side, 5) == (0, 0, None, ())
        assert book.walk(side, 5, 100) == (0, 0, None, ())
    assert book.queue_position(1) is None
    assert book.order(1) is None
    assert 1 not in book
    assert book.snapshot() == Snapshot(0, None, (), (), ())
    book.check()


def test_one_empty_side_does_not_disturb_the_other() -> None:
    book = make_book(bids=[(100, [5])])
    assert (book.best_bid, book.best_ask, book.best_bid_qty, book.best_ask_qty) == (100, None, 5, 0)
    assert book.quotes() == (100, 5, None, 0)
    assert book.walk(BUY, 5).filled_qty == 0
    assert book.walk(SELL, 5) == Walk(5, 500, 100, ((100, 5),))
    book = make_book(asks=[(101, [6])])
    assert (book.best_bid, book.best_ask, book.best_bid_qty, book.best_ask_qty) == (None, 101, 0, 6)
    assert book.quotes() == (None, 0, 101, 6)
    assert make_book(bids=[(100, [5])], asks=[(101, [6])]).quotes() == (100, 5, 101, 6)


def test_levels_stand_best_first_and_can_be_limited() -> None:
    book = make_book(bids=[(98, [1]), (100, [2, 3]), (99, [4])], asks=[(103, [5]), (101, [6]), (102, [7])])
    assert book.bids() == [(100, 5), (99, 4), (98, 1)]
    assert book.asks() == [(101, 6), (102, 7), (103, 5)]
    for limit in (0, 1, 2, 3, 4):
        assert book.bids(limit) == book.bids()[:limit]
        assert book.asks(limit) == book.asks()[:limit]
        assert book.levels(BUY, limit) == [(price, qty, 0) for price, qty in book.bids()[:limit]]
        assert book.levels(SELL, limit) == [(price, qty, 0) for price, qty in book.asks()[:limit]]


def test_depth_counts_to_a_price_included() -> None:
    book = make_book(bids=[(100, [2, 3]), (98, [4])], asks=[(102, [6]), (105, [7])])
    assert [book.depth(BUY, price) for price in (101, 100, 99, 98, 1)] == [
        (0, 0),
        (5, 500),
        (5, 500),
        (9, 892),
        (9, 892),
    ]
    assert [book.depth(SELL, price) for price in (101, 102, 104, 105, 999)] == [
        (0, 0),
        (6, 612),
        (6, 612),
        (13, 1347),
        (13, 1347),
    ]


def test_a_walk_tells_what_an_order_would_get() -> None:
    book = make_book(bids=[(100, [2, 3]), (98, [4])], asks=[(102, [6]), (105, [7])])
    before = book.snapshot()
    assert book.walk(SELL, 1) == Walk(1, 100, 100, ((100, 1),))
    assert book.walk(SELL, 5) == Walk(5, 500, 100, ((100, 5),))
    assert book.walk(SELL, 7) == Walk(7, 500 + 2 * 98, 98, ((100, 5), (98, 2)))
    assert book.walk(SELL, 99) == Walk(9, 500 + 4 * 98, 98, ((100, 5), (98, 4)))
    assert book.walk(SELL, 99, 99) == Walk(5, 500, 100, ((100, 5),))
    assert book.walk(SELL, 99, 98).filled_qty == 9
    assert book.walk(SELL, 99, 101).filled_qty == 0
    assert book.walk(BUY, 8) == Walk(8, 6 * 102 + 2 * 105, 105, ((102, 6), (105, 2)))
    assert book.walk(BUY, 8, 104).filled_qty == 6
    assert book.walk(BUY, 8, 105).filled_qty == 8
    assert book.walk(BUY, 8, 101).filled_qty == 0
    assert book.walk(BUY, 0) == book.walk(BUY, -3) == Walk(0, 0, None, ())
    assert book.snapshot() == before


def test_a_walk_ignores_whose_orders_they_are() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, owner=3)
    assert book.walk(SELL, 5).filled_qty == 5


def test_queue_position_is_what_is_displayed_ahead() -> None:
    book = OrderBook()
    book.submit(1, BUY, 9, 100, display_qty=2)
    book.submit(2, BUY, 5, 100)
    book.submit(3, BUY, 7, 100)
    book.submit(4, BUY, 1, 101)
    assert [book.queue_position(order_id) for order_id in (1, 2, 3, 4, 5)] == [0, 2, 7, 0, None]
    book.submit(9, SELL, 2, 100)
    assert [book.queue_position(order_id) for order_id in (1, 2, 3, 4)] == [0, 1, 6, None]
    book.cancel(2)
    assert book.queue_position(3) == 1
    book.submit(9, SELL, 1, 100)
    assert book.queue_position(3) == 0
    assert book.queue_position(1) == 7


def test_an_order_can_be_looked_at() -> None:
    book = OrderBook()
    terms = {"tif": TimeInForce.GTD, "owner": 3, "purpose": Purpose.QUOTE, "display_qty": 2, "expire_ns": 50}
    book.submit(1, SELL, 9, 100, **terms)
    gtd = TimeInForce.GTD
    assert book.order(1) == OrderView(1, 3, SELL, 100, 9, 2, 2, 7, Purpose.QUOTE, gtd, 50, None)
    book.submit(2, BUY, 4, 90)
    assert book.order(2) == (2, 0, BUY, 90, 4, 0, 4, 0, Purpose.UNSPECIFIED, TimeInForce.GTC, None, None)
    book.submit(3, BUY, 4, None, trigger_price=95, tif=TimeInForce.IOC)
    assert book.order(3) == (3, 0, BUY, None, 4, 0, 0, 0, Purpose.UNSPECIFIED, TimeInForce.IOC, None, 95)
    assert type(book.order(1)) is OrderView
    assert 3 in book
    assert 4 not in book
    assert len(book) == 3


def test_a_snapshot_is_the_whole_state() -> None:
    book = make_book(bids=[(100, [5, 6]), (99, [7])], asks=[(101, [8])])
    book.submit(10, SELL, 9, 101, display_qty=4, time_ns=77)
    book.submit(11, SELL, 2, 95, trigger_price=98)
    book.submit(12, BUY, 1, 101)
    snapshot = book.snapshot()
    assert snapshot == Snapshot(
        77,
        101,
        ((100, ((1, 5, 0), (2, 6, 0))), (99, ((3, 7, 0),))),
        ((101, ((4, 7, 0), (10, 4, 5))),),
        ((11, SELL, 98, 95, 2),),
    )
    assert type(snapshot) is Snapshot
    assert type(book.walk(BUY, 1)) is Walk
    book.cancel(1)
    assert snapshot.bids[0][1][0] == (1, 5, 0), "a snapshot does not follow the book"


def test_cancelled_orders_leave_the_snapshot_at_once() -> None:
    book = make_book(bids=[(100, [5, 6, 7])])
    book.cancel(2)
    assert book.snapshot().bids == ((100, ((1, 5, 0), (3, 7, 0))),)
    assert book.queue_position(3) == 5
