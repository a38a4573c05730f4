"""The neutrality model: pure. No I/O but its own methodology file, no clock, no Kafka; time is an argument.

Read in this order: `methodology` (the published parameters), `claims` (which report of a claim stands), `evidence` (how far it is
believed), `ownership`, `votes`, `governance`, `revenue` (the four channels), `assessment` (from channels to scores), `vertex`
(`react`, the incremental and distributed form) and `local` (the same `react` in process).
"""
