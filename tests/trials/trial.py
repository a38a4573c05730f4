"""One trial from the fresh broker to the verdict."""

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import ensure_topics
from neutrality.topics import TOPICS
from services.scoring.topics import changelog_topic
from tests.trials.crew import ROOT, Crew
from tests.trials.flow import Flow, write
from tests.trials.logs import stale_refused, tail, tracebacks
from tests.trials.mishaps import Mishaps
from tests.trials.plan import WORKERS, Plan
from tests.trials.verdict import EXPECTED_ERRORS, MAX_STALL_S, Evidence, Outcome, Verified, judge
from tests.trials.watching import UpClock, Watch

GROUP: Final = "trial"
CHANGELOG: Final = f"{GROUP}-vertices-changelog"
WATCHED_EVERY_S: Final = 0.05
GIVEN_UP_AFTER_S: Final = 3 * MAX_STALL_S  # it has failed before; whether it recovers is worth knowing
VERIFIED_WITHIN_S: Final = 600.0


def run_trial(plan: Plan, folder: Path, *, before_stop: Callable[[str], None] | None = None) -> Outcome:
    """Run it; logs and the broker's data stay in `folder`. `before_stop` gets the broker's address once the scores were verified."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "GROUP": GROUP,
        "PARTITIONS": plan.size.partitions,
        "SESSION_TIMEOUT_S": plan.size.session_s,
        "STORE": plan.store,
    }
    evidence = Evidence(vendors=plan.market.vendors())
    crew = Crew(folder, settings)
    kafka = EmbeddedKafka(data_dir=folder / "kafka", port=0)
    try:
        kafka.start()
        crew.settings = settings | {"BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
        evidence = _work(plan, kafka, crew, evidence)
        if evidence.settled:
            wait_s = plan.size.verify_wait_s
            evidence = replace(evidence, verified=verify(kafka.bootstrap_servers, folder, wait_s, meanwhile=crew.supervise))
        if before_stop is not None:
            before_stop(kafka.bootstrap_servers)
        crew.stop()
        kafka.check()
    except Exception:  # noqa: BLE001 - told with the trial's other failures
        (folder / "trial.log").write_text(traceback.format_exc(), encoding="utf-8")
        crew.failures.append(f"the trial itself failed: {traceback.format_exc().strip().splitlines()[-1]}")
    finally:
        crew.kill()
        kafka.kill()
    return judge(plan, _with_logs(plan, crew, evidence))


def _work(plan: Plan, kafka: EmbeddedKafka, crew: Crew, evidence: Evidence) -> Evidence:
    """Until all is applied and committed, or the trial's patience is at an end."""
    size, servers = plan.size, kafka.bootstrap_servers
    ensure_topics(servers, (*TOPICS, changelog_topic(CHANGELOG)), partitions=size.partitions)
    records = plan.market.records(size.events)
    sent_again = write(servers, islice(records, plan.backlog))
    clock = UpClock()
    with (
        Watch(servers, GROUP, CHANGELOG, size.partitions, clock) as watch,
        Flow(servers, records, count=size.events - plan.backlog, over_s=size.flow_s) as flow,
    ):
        settled = _watch_over(plan, kafka, crew, clock, watch, flow)
    return replace(
        evidence,
        settled=settled,
        seconds=watch.stalls.group.moved_s + clock.away_s,
        stall_s=watch.stalls.group.longest_s,
        lane_stall_s=watch.stalls.longest_lane_s,
        looks=watch.looks,
        sent_again=sent_again + flow.sent_again,
        rejected=watch.rejected,
        failures=() if flow.failure is None else (f"not all events were sent: {flow.failure!r}",),
    )


def _watch_over(plan: Plan, kafka: EmbeddedKafka, crew: Crew, clock: UpClock, watch: Watch, flow: Flow) -> bool:
    """Start the workers and let happen what is to happen; whether all came to rest."""
    mishaps = Mishaps(plan.steps, crew, kafka, clock)
    began_s, done_s = time.monotonic(), None
    crew.add()
    while (now_s := time.monotonic()) - began_s < plan.size.patience_s and watch.stalls.group.current_s < GIVEN_UP_AFTER_S:
        if crew.size < WORKERS and now_s - began_s >= plan.gap_s:
            crew.add()
        if watch.has_moved:
            flow.begin()
            mishaps.go_on()
        crew.supervise()
        if not clock.stands:
            kafka.check()
        if done_s is None and flow.done and mishaps.done:
            done_s = clock.now_s()
        if flow.failure is not None or crew.is_lost:
            return False
        if done_s is not None and watch.quiet_s(since_s=done_s) >= plan.size.quiet_s:
            return True
        time.sleep(WATCHED_EVERY_S)
    return False


def verify(servers: str, folder: Path, wait_s: float, *, meanwhile: Callable[[], None] = lambda: None) -> Verified:
    """What `neutrality verify` says, run as a user would. Its output stays in `folder`; `meanwhile` is called a few times a second."""
    command = [sys.executable, "-c", "from neutrality.cli.main import main; main()", "verify"]
    options = ["--json", "--wait", str(wait_s), "--bootstrap-servers", servers]
    said, complaints = folder / "verify.json", folder / "verify.log"
    began_s = time.monotonic()
    with said.open("wb") as output, complaints.open("wb") as errors:
        process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=output, stderr=errors)
    try:
        while process.poll() is None and time.monotonic() - began_s < VERIFIED_WITHIN_S:
            meanwhile()
            time.sleep(WATCHED_EVERY_S)
    finally:
        process.kill()
        code = process.wait()
    document: Mapping[str, Any] | None
    try:
        document = json.loads(said.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        document = None
    return Verified(code, document, tail(complaints.read_text(encoding="utf-8")), time.monotonic() - began_s)


def _with_logs(plan: Plan, crew: Crew, evidence: Evidence) -> Evidence:
    lines = [text.splitlines() for text in crew.logs().values()]
    expected = EXPECTED_ERRORS.get(plan.kind, ())
    return replace(
        evidence,
        restarts=crew.restarts,
        stale_refused=sum(map(stale_refused, lines)),
        tracebacks=tuple(last for log in lines for last in tracebacks(log, expected)),
        failures=(*evidence.failures, *crew.failures),
    )
