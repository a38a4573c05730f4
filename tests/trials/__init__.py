"""The long trials: two workers of scoring on a real broker, a mishap on the way, and no difference at the end. `python -m tests.trials`.

One trial, all of it drawn from its seed (`plan`): a fresh broker gets part of a market's events, two real worker processes start on an empty
group, the rest of the events comes while they work (`flow`), and one thing goes wrong:

| kind | what happens |
|---|---|
| together | nothing but the start of two workers at the same time |
| killed | one worker gets SIGKILL, another one is added, in either order |
| stopped | one worker gets SIGSTOP for twice its session, then SIGCONT |
| broker | Kafka gets SIGKILL and stays away |

Workers are run as an operator would (`crew`): who leaves with exit code 1 is started again, any other end is a failure, and so is a
traceback in a log that no rule calls expected (`logs`). All the while it is watched whether anything moves as long as work is left
(`watching`, `stalls`). Once all is applied and committed, `neutrality verify` must find no difference between the published scores and the
events (`verdict`).
"""
