"""Defects that matching engines have had, each planted by one small patch of ours."""

from __future__ import annotations

from tests.defects.planting import Defect

DEFECTS = [
    # --- the walk
    Defect(
        "fifo_lost_after_a_partial_fill",
        "mechanics",
        "                    maker.leaves = open_qty - leaves\n",
        "                    maker.leaves = open_qty - leaves\n"
        "                    level.take_out(maker)\n                    level.append(maker)\n",
    ),
    Defect(
        "newest_order_of_a_level_first",
        "matching",
        "        last = order.ahead = level.last  # PriceLevel.append\n        order.behind = None\n"
        "        level.last = order\n        if last is None:\n            level.first = order\n        else:\n"
        "            last.behind = order\n",
        "        last = order.behind = level.first\n        order.ahead = None\n"
        "        level.first = order\n        if last is None:\n            level.last = order\n        else:\n"
        "            last.ahead = order\n",
    ),
    Defect(
        "takers_price_used",
        "mechanics",
        "            price = level.price\n",
        "            price = level.price if key == MARKET_KEY else abs(key)\n",
    ),
    Defect(
        "equal_prices_do_not_meet",
        "matching",
        "        if key + opposite.best_key >= 0:\n",
        "        if key + opposite.best_key > 0:\n",
    ),
    Defect(
        "walk_goes_one_tick_too_far",
        "mechanics",
        "while leaves and key + opposite.best_key >= 0:",
        "while leaves and key + opposite.best_key >= -1:",
    ),
    Defect(
        "walk_stops_after_the_first_level",
        "mechanics",
        "                opposite.vacate(level)\n        return leaves",
        "                opposite.vacate(level)\n            break\n        return leaves",
    ),
    Defect(
        "level_quantity_drifts_on_partial_fills",
        "mechanics",
        "                    level.qty -= leaves\n",
        "                    level.qty -= leaves - (leaves > 5)\n",
    ),
    Defect(
        "level_quantity_drifts_on_cancels",
        "matching",
        "        order.leaves = 0\n        level.qty -= qty\n",
        "        order.leaves = 0\n        level.qty -= qty if level.count > 2 else 1\n",
    ),
    Defect(
        "level_quantity_drifts_on_mass_cancels",
        "mechanics",
        "        level.qty -= order.leaves\n        level.hidden -= order.hidden\n",
        "        level.qty -= order.leaves if level.count > 2 else 1\n        level.hidden -= order.hidden\n",
    ),
    Defect(
        "order_cancelled_from_the_middle_cuts_the_queue",
        "side",
        "            ahead.behind = behind\n",
        "            ahead.behind = None\n",
    ),
    Defect(
        "filled_order_stays_on_file",
        "mechanics",
        "                        del orders[maker_id]\n",
        "                        if open_qty > 2:\n                            del orders[maker_id]\n",
    ),
    Defect(
        "last_price_is_the_first_of_a_walk",
        "mechanics",
        "                    self.last_price = price\n",
        "                    self.last_price = events[-1].price if events and events[-1][0] == 1 else price\n",
    ),
    # --- the touch
    Defect(
        "stale_best_price_after_cancelling_the_best",
        "matching",
        "            if side:\n                self._asks.vacate(level)\n            else:\n",
        "            if side:\n                pass\n            else:\n",
    ),
    Defect(
        "best_price_not_raised_by_a_better_order",
        "matching",
        "            level.key = book_side.best_key = key\n",
        "            level.key = key\n"
        "            book_side.best_key = key if book_side.best is None else book_side.best_key\n",
    ),
    Defect(
        "emptied_level_remembers_its_hidden_lots",
        "matching",
        "        if hidden:\n            level.hidden -= hidden\n",
        "        if hidden:\n            level.hidden -= hidden - hidden // 4\n",
        questions=True,
    ),
    # --- time in force
    Defect(
        "ioc_rest_rests",
        "matching",
        "                if tif:\n                    self._cancel_incoming(",
        "                if tif and leaves > 3:\n                    self._cancel_incoming(",
    ),
    Defect(
        "market_order_rests",
        "mechanics",
        "        if leaves and price is not None and reason == Reason.IOC_REST and terms.tif < _IOC:\n",
        "        if price is None and leaves < qty and reason == Reason.NO_LIQUIDITY and terms.tif < _IOC:\n"
        "            price, reason = self.last_price, Reason.IOC_REST\n"
        "        if leaves and price is not None and reason == Reason.IOC_REST and terms.tif < _IOC:\n",
    ),
    Defect(
        "fok_partially_filled",
        "mechanics",
        "if terms.tif == _FOK and not self._fillable(opposite, key, qty, owner, terms.self_trade):",
        "if terms.tif == _FOK and not self._fillable(opposite, key, qty - 1, owner, terms.self_trade):",
    ),
    Defect(
        "fok_counts_orders_beyond_its_limit",
        "mechanics",
        "            if key + level.key < 0:\n                return False\n",
        "            if key + level.key < -2:\n                return False\n",
    ),
    Defect(
        "fok_overlooks_hidden_lots",
        "mechanics",
        "            qty -= level.hidden\n",
        "            qty -= 0\n",
    ),
    Defect(
        "fok_forgets_its_owners_orders",
        "mechanics",
        "                if guarded and order.owner == owner:\n                    # Hidden",
        "                if False:\n                    # Hidden",
    ),
    Defect(
        "post_only_crosses",
        "matching",
        "            if self._crosses(side, price):\n                return Reason.POST_ONLY_CROSSES\n",
        "            if self._crosses(side, price - 1 if side == 0 else price):\n"
        "                return Reason.POST_ONLY_CROSSES\n",
    ),
    Defect(
        "post_only_takes_the_short_road_and_trades",
        "matching",
        "(self._bids.best_key - ticks if side else ticks + self._asks.best_key) >= 0",
        "False",
    ),
    Defect(
        "post_only_forgotten_at_rest",
        "matching",
        "            order.terms = _POST_ALLOW if self_trade else _POST\n",
        "            order.terms = _PLAIN_ALLOW if self_trade else None\n",
    ),
    Defect(
        "post_only_forgotten_by_replace",
        "matching",
        "            or (order.terms is not None and order.terms.post_only and self._crosses(order.side, ticks))\n",
        "",
    ),
    Defect(
        "gtd_expires_late",
        "mechanics",
        "while expiries and expiries[0][0] <= time_ns:",
        "while expiries and expiries[0][0] < time_ns:",
    ),
    Defect(
        "gtd_expires_early",
        "mechanics",
        "while expiries and expiries[0][0] <= time_ns:",
        "while expiries and expiries[0][0] <= time_ns + 1:",
    ),
    Defect(
        "gtd_expiry_acts_after_the_command",
        "matching",
        "            if now < time_ns < self._next_expiry:\n                self.time_ns = now = time_ns\n"
        "            else:\n                expired = self.advance(time_ns)\n                now = time_ns\n"
        "        lots:",
        "            self.time_ns = now = time_ns\n        lots:",
    ),
    Defect(
        "expiry_belongs_to_the_id_not_the_order",
        "mechanics",
        "            if order is not None and order.terms is terms:\n",
        "            if order is not None:\n",
    ),
    Defect(
        "expiry_told_with_the_time_of_the_clock",
        "mechanics",
        "self._remove(order, Reason.EXPIRED, expire_ns, events)",
        "self._remove(order, Reason.EXPIRED, time_ns, events)",
    ),
    # --- ids
    Defect(
        "id_reuse_refused",
        "matching",
        "        if order_id in self._orders:\n            return Reason.DUPLICATE_ID\n",
        "        if order_id in self._orders or order_id in self._owned.setdefault(-1, {}):\n"
        "            return Reason.DUPLICATE_ID\n"
        "        self._owned[-1][order_id] = None\n",
    ),
    Defect("duplicate_id_accepted", "matching", "            or order_id in orders\n", ""),
    # --- replace
    Defect(
        "replace_keeps_priority_at_a_larger_quantity",
        "matching",
        "        kept = cut > 0 and",
        "        kept = cut != 0 and",
    ),
    Defect(
        "replace_keeps_priority_at_the_same_quantity",
        "matching",
        "        kept = cut > 0 and",
        "        kept = cut >= 0 and",
    ),
    Defect(
        "replace_loses_priority_when_it_must_keep_it",
        "matching",
        "        kept = cut > 0 and",
        "        kept = cut > 1 and",
    ),
    Defect(
        "replace_takes_shown_lots_before_hidden_ones",
        "matching",
        "            from_hidden = min(cut, order.hidden)\n",
        "            from_hidden = max(0, cut - order.leaves + 1) if order.hidden else 0\n",
    ),
    Defect(
        "replace_does_not_trade",
        "matching",
        "        if self._crosses(side, ticks):\n            self._enter(",
        "        if self._crosses(side, ticks) and lots > 2:\n            self._enter(",
    ),
    Defect(
        "replace_forgets_the_display_quantity",
        "matching",
        "            self._rest(order_id, side, lots, ticks, owner, purpose, terms)\n        return events",
        "            self._rest(order_id, side, lots, ticks, owner, purpose, None)\n        return events",
    ),
    # --- self-trade
    Defect(
        "self_trade_let_through",
        "mechanics",
        "        guarded = owner and self_trade != _ALLOW\n        while leaves",
        "        guarded = owner and self_trade != _ALLOW and leaves > 1\n        while leaves",
    ),
    Defect(
        "cancel_oldest_cancels_the_newest_as_well",
        "mechanics",
        "                        if self_trade != SelfTrade.CANCEL_OLDEST:\n",
        "                        if self_trade != SelfTrade.CANCEL_OLDEST or level.count > 1:\n",
    ),
    Defect(
        "decrement_reported_as_a_trade",
        "mechanics",
        "                    record: type[Event] = OrderDecremented\n"
        "                    kind = EventKind.DECREMENTED\n",
        "                    record: type[Event] = Trade\n                    kind = _TRADE\n",
    ),
    Defect(
        "decrement_moves_the_last_price",
        "mechanics",
        "                    kind = EventKind.DECREMENTED\n",
        "                    kind = EventKind.DECREMENTED\n                    self.last_price = price\n",
    ),
    Defect(
        "anonymous_orders_treated_as_one_owner",
        "mechanics",
        "        guarded = owner and self_trade != _ALLOW\n        while leaves",
        "        guarded = self_trade != _ALLOW\n        while leaves",
    ),
    # --- icebergs
    Defect(
        "iceberg_refill_keeps_its_place",
        "mechanics",
        "        level.hidden -= visible\n        level.take_out(order)\n        level.append(order)\n",
        "        level.hidden -= visible\n",
    ),
    Defect(
        "iceberg_shows_more_than_its_slice",
        "mechanics",
        "        visible = min(display, order.hidden)\n",
        "        visible = min(display + 1, order.hidden)\n",
    ),
    Defect(
        "iceberg_without_refill",
        "mechanics",
        "                    if maker.hidden:\n",
        "                    if maker.hidden > 1:\n",
    ),
    # --- stops
    Defect(
        "buy_stop_triggered_from_the_wrong_side",
        "stops",
        "    return last_price <= trigger_price if side else last_price >= trigger_price",
        "    return last_price <= trigger_price",
    ),
    Defect(
        "stop_wakes_beyond_its_trigger_only",
        "mechanics",
        "if last is None or stops.sell_trigger < last < stops.buy_trigger:",
        "if last is None or stops.sell_trigger <= last <= stops.buy_trigger:",
    ),
    Defect(
        "stops_wake_in_order_of_acceptance",
        "stops",
        "        self._cache()\n        return woken\n",
        "        self._cache()\n        woken.sort(key=lambda order: order.terms.seq)\n        return woken\n",
    ),
    Defect(
        "sell_stops_wake_from_the_lowest_trigger",
        "stops",
        "            woken.append(self._sells.pop(0)[2])\n",
        "            woken.insert(0, self._sells.pop(0)[2])\n",
    ),
    Defect(
        "woken_stops_wake_nobody",
        "mechanics",
        "            woken.extend(stops.wake(self.last_price or last))\n",
        "",
    ),
    Defect(
        "stop_condition_checked_only_later",
        "matching",
        "            if not is_triggered(side, trigger, self.last_price):\n",
        "            if not is_triggered(side, trigger, self.last_price) or self.last_price == trigger:\n",
    ),
    Defect(
        "id_of_a_woken_stop_never_freed",
        "mechanics",
        "        if self._orders.pop(order_id, None) is not None and owner:",
        "        if leaves and self._orders.pop(order_id, None) is not None and owner:",
    ),
    # --- mass cancel
    Defect(
        "mass_cancel_forgets_an_order",
        "matching",
        "        for order_id, order in list(owned.items()):\n",
        "        for order_id, order in list(owned.items())[:3]:\n",
    ),
    Defect(
        "mass_cancel_of_the_wrong_side",
        "matching",
        "            if side is not None and order.side != side:\n",
        "            if side and order.side != side:\n",
    ),
    Defect(
        "mass_cancel_newest_first",
        "matching",
        "        for order_id, order in list(owned.items()):\n",
        "        for order_id, order in list(owned.items())[::-1]:\n",
    ),
    Defect(
        "mass_cancel_spares_sleeping_stops",
        "matching",
        "                self._remove(order, _MASS_CANCEL, now, events)\n",
        "",
    ),
    # --- rejections and answers
    Defect(
        "zero_quantity_accepted",
        "matching",
        "            or not MAX_QTY >= lots > 0\n",
        "            or not MAX_QTY >= lots >= 0\n",
    ),
    Defect(
        "purpose_of_the_maker_reported",
        "mechanics",
        "                    self.last_price = price\n",
        "                    self.last_price = price\n                    purpose = maker.purpose\n",
    ),
    Defect(
        "walk_overlooks_hidden_lots",
        "queries",
        "            filled = min(leaves, level.qty + level.hidden)\n",
        "            filled = min(leaves, level.qty)\n",
        questions=True,
    ),
    Defect(
        "depth_leaves_out_its_last_price",
        "queries",
        "            if level.key < last_key:\n",
        "            if level.key <= last_key:\n",
        questions=True,
    ),
    Defect(
        "queue_position_counts_orders",
        "queries",
        "            ahead += other.leaves\n",
        "            ahead += 1 if other.leaves else 0\n",
        questions=True,
    ),
]
