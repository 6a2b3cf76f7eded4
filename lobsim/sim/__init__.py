"""SimPy event loop, gateways with latency, named random streams, recorder, tapes.

Nothing is imported here: the recorder and the tapes are used where there is no SimPy.
"""
