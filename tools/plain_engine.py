"""The obvious engine, as a yardstick: two SortedDicts of deques, one object per order, one text line per outcome.

It does what the public workloads need and nothing else (no icebergs, stops, time, owners or checks), and formats its
report as it goes, which is how such engines are usually written.
"""

from __future__ import annotations

from collections import deque

from sortedcontainers import SortedDict

from lobsim.events import Side, TimeInForce
from lobsim.sim.tapes.oracle import Workload


class PlainOrder:
    def __init__(self, order_id: int, side: Side, qty: int, price: int) -> None:
        self.order_id = order_id
        self.side = side
        self.qty = qty
        self.price = price


class PlainBook:
    def __init__(self) -> None:
        self.bids: SortedDict[int, deque[PlainOrder]] = SortedDict()
        self.asks: SortedDict[int, deque[PlainOrder]] = SortedDict()
        self.orders: dict[int, PlainOrder] = {}
        self.report: list[str] = []

    def enter(self, seq: int, order: PlainOrder, *, rests: bool) -> None:
        buys = order.side == Side.BUY
        opposite = self.asks if buys else self.bids
        while order.qty and opposite:
            price, queue = opposite.peekitem(0 if buys else -1)
            if price > order.price if buys else price < order.price:
                break
            maker = queue[0]
            qty = min(order.qty, maker.qty)
            self.report.append(f"1,{seq},{price},{qty},{maker.order_id},{order.order_id}")
            order.qty -= qty
            maker.qty -= qty
            if not maker.qty:
                queue.popleft()
                del self.orders[maker.order_id]
                if not queue:
                    del opposite[price]
        if not order.qty:
            return
        if not rests:
            self.report.append(f"2,{seq},{order.side},{order.order_id},{order.price}")
            return
        own = self.bids if buys else self.asks
        own.setdefault(order.price, deque()).append(order)
        self.orders[order.order_id] = order

    def remove(self, order: PlainOrder) -> None:
        own = self.bids if order.side == Side.BUY else self.asks
        queue = own[order.price]
        queue.remove(order)
        if not queue:
            del own[order.price]
        del self.orders[order.order_id]

    def drive(self, workload: Workload) -> int:
        for seq, (kind, side, tif, qty, order_id, price) in enumerate(zip(*workload[1:], strict=True)):
            if kind == 0:
                self.report.append(f"0,{seq},{side},{order_id},{price},{qty}")
                self.enter(seq, PlainOrder(order_id, side, qty, price), rests=tif == TimeInForce.GTC)
            elif order_id not in self.orders:
                self.report.append(f"{4 if kind == 1 else 5},{seq},{order_id}")
            elif kind == 1:
                order = self.orders[order_id]
                self.report.append(f"2,{seq},{order.side},{order_id},{order.price}")
                self.remove(order)
            else:
                order = self.orders[order_id]
                self.remove(order)
                self.report.append(f"3,{seq},{order.side},{order_id},{price},{qty}")
                self.enter(seq, PlainOrder(order_id, order.side, qty, price), rests=True)
        return workload.messages
