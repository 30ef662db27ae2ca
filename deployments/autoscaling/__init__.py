"""How many replicas a stage of the graph has.

`demand` says how many the present work needs, `scaling` when to follow it: both are plain functions
that `benchmarks/autoscale_sim.py` plays a day's traffic against. `stage_report` is what a replica
tells Serve, `policy` what Serve asks.
"""
