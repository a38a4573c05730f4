"""Writes Grafana's dashboards to deploy/grafana/dashboards: `make generate`. With `--check`, fails if one of the files is another.

Each panel says in one sentence what it is for. A container test asks a real Prometheus for every query here, on a played scenario.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, VizOrientation
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, VariableRefresh

TARGET: Final = Path(__file__).with_name("dashboards")
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
Queries = Mapping[str, str]  # what a line is called, and its query

Rows = Mapping[str, Sequence[stat.Panel | timeseries.Panel]]

EVENTS_PER_SECOND: Final = "reqps"


def graph(title: str, description: str, queries: Queries, unit: str = "short", *, wide: int = 12) -> timeseries.Panel:
    """Lines over time. `wide`: of 24."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .fill_opacity(8)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .span(wide)
        .height(8)
    )
    for number, (legend, query) in enumerate(queries.items()):
        panel.with_target(_query(query, legend, number).range())
    return panel


def number(title: str, description: str, query: str, unit: str = "short", *, legend: str = "", wide: int = 4) -> stat.Panel:
    """One number, as it is now; with a legend, one for each series."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .orientation(VizOrientation.AUTO)
        .with_target(_query(query, legend, 0).instant())
        .span(wide)
        .height(5)
    )


def _query(query: str, legend: str, number: int) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query).legend_format(legend).ref_id(chr(ord("A") + number)).datasource(SOURCE)


def _dashboard(uid: str, title: str, description: str, rows: Rows) -> dashboard.Dashboard:
    built = (
        dashboard.Dashboard(title)
        .uid(f"neutrality-{uid}")
        .description(description)
        .tags(["neutrality-watch"])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("utc")
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    for row, panels in rows.items():
        built.with_row(dashboard.Row(row))
        for panel in panels:
            built.with_panel(panel)
    return built


def overview() -> dict[str, Any]:
    """Whether all is well, on one page."""
    rows: Rows = {
        "Now": [
            number(
                "Instances up",
                "By service.",
                'count by (job) (up{job=~"ingest|scoring|alerts|board|verify"} == 1)',
                legend="{{job}}",
                wide=8,
            ),
            number(
                "Firing alerts",
                "Alert rules that fire; the runbook says what to do.",
                'count(ALERTS{alertstate="firing"}) or vector(0)',
            ),
            number("Records waiting", "For scoring.", "neutrality:scoring_lag_records:sum"),
            number("Oldest undelivered alert", "That Kafka does not have yet.", "max(alerts_outbox_oldest_seconds)", "s"),
            number(
                "Vendors that differ",
                "In two runs of the audit running: over 0, scores are wrong.",
                "max(neutrality_verify_persistent_vendors)",
            ),
        ],
        "Flow": [
            graph(
                "Events accepted",
                "By type; Kafka has them.",
                {"{{type}}": "neutrality:events_accepted:rate5m"},
                EVENTS_PER_SECOND,
            ),
            graph(
                "Share rejected, repeats",
                "Of what is sent to ingest.",
                {
                    "rejected": "neutrality:events_rejected:ratio_rate5m",
                    "repeats": "sum(rate(ingest_events_duplicate_total[5m])) / (sum(rate(ingest_events_duplicate_total[5m]))"
                    " + sum(rate(ingest_events_accepted_total[5m])))",
                },
                "percentunit",
            ),
        ],
        "Objectives": [
            graph(
                "From event to score",
                "99 % within 2.5 s.",
                {"p50": "neutrality:event_to_score_seconds:p50_rate5m", "p99": "neutrality:event_to_score_seconds:p99_rate5m"},
                "s",
            ),
            graph(
                "From event to alert",
                "99 % within 5 s.",
                {"p50": "neutrality:event_to_alert_seconds:p50_rate5m", "p99": "neutrality:event_to_alert_seconds:p99_rate5m"},
                "s",
            ),
            graph(
                "Budget burnt, score",
                "1: the budget of 30 days lasts just 30 days; over 14.4 somebody is woken.",
                {
                    "1 h": "neutrality:event_to_score_late:ratio_rate1h / 0.01",
                    "6 h": "neutrality:event_to_score_late:ratio_rate6h / 0.01",
                },
            ),
            graph(
                "Budget burnt, alert",
                "The same for alerts.",
                {
                    "1 h": "neutrality:event_to_alert_late:ratio_rate1h / 0.01",
                    "6 h": "neutrality:event_to_alert_late:ratio_rate6h / 0.01",
                },
            ),
        ],
    }
    return _json(_dashboard("overview", "Overview", "Whether all is well: flow, objectives, what fires.", rows))


def scoring() -> dict[str, Any]:
    """The stream."""
    rows: Rows = {
        "Work": [
            graph(
                "Records applied",
                "By type; messages are between vertices.",
                {"{{type}}": "neutrality:events_applied:rate5m"},
                EVENTS_PER_SECOND,
            ),
            graph("Messages per event", "How far one event is felt.", {"messages": "neutrality:messages_per_event:ratio_rate5m"}),
            graph("Lag", "Records written and not yet applied, by worker.", {"{{instance}}": "scoring_lag_records"}),
            graph(
                "Assessments published",
                "New versions of scores.",
                {"all": "sum(rate(scoring_assessments_published_total[5m]))"},
                EVENTS_PER_SECOND,
            ),
        ],
        "Time": [
            graph(
                "A batch",
                "Mean time to let its vertices react, and to write what came of it.",
                {
                    "react": "sum(rate(scoring_react_seconds_sum[5m])) / sum(rate(scoring_react_seconds_count[5m]))",
                    "write": "sum(rate(scoring_write_seconds_sum[5m])) / sum(rate(scoring_write_seconds_count[5m]))",
                },
                "s",
            ),
            graph(
                "Records in a batch",
                "Mean.",
                {"records": "sum(rate(scoring_batch_records_sum[5m])) / sum(rate(scoring_batch_records_count[5m]))"},
            ),
        ],
        "Workers": [
            graph("Partitions", "Of each topic, by worker.", {"{{instance}}": "scoring_partitions"}, wide=8),
            graph("Vertices", "Entities held, by worker.", {"{{instance}}": "scoring_vertices"}, wide=8),
            graph("Rebalances", "In 10 minutes.", {"{{instance}}": "increase(scoring_rebalances_total[10m])"}, wide=8),
        ],
        "Trouble": [
            graph(
                "Rejected",
                "Records sent to neutrality.rejected in 10 minutes.",
                {"{{reason}}": "sum by (reason) (increase(scoring_records_rejected_total[10m]))"},
                wide=8,
            ),
            graph(
                "Mended",
                "What was lost on the way and read again, and what a late worker wrote and was refused or said again.",
                {
                    "read again": "sum(increase(scoring_rereads_total[10m]))",
                    "stale states": "sum(increase(scoring_stale_states_refused_total[10m]))",
                    "stale scores": "sum(increase(scoring_stale_scores_total[10m]))",
                },
                wide=8,
            ),
            graph(
                "Audit",
                "Vendors with a difference, by kind; what is on its way differs for a moment.",
                {
                    "{{kind}}": "max by (kind) (neutrality_verify_differences)",
                    "in two runs": "max(neutrality_verify_persistent_vendors)",
                },
                wide=8,
            ),
        ],
    }
    return _json(_dashboard("scoring", "Scoring", "The stream: work, lag, workers, the audit.", rows))


def alerts() -> dict[str, Any]:
    """Decisions and deliveries. No lab is named."""
    rows: Rows = {
        "Decisions": [
            graph("Alerts raised", "By rule, in 10 minutes.", {"{{rule}}": "sum by (rule) (increase(alerts_raised_total[10m]))"}),
            graph(
                "Assessments taken in, and waiting",
                "",
                {"taken in": "sum(rate(alerts_assessments_read_total[5m]))", "waiting": "max(alerts_lag_records)"},
            ),
        ],
        "Deliveries": [
            graph(
                "Handed over",
                "By channel, in 10 minutes.",
                {"{{channel}}": "sum by (channel) (increase(alerts_delivered_total[10m]))"},
            ),
            graph(
                "Outbox",
                "Alerts that Kafka does not have yet, and the age of the oldest.",
                {"alerts": "max(alerts_outbox_depth)", "seconds": "max(alerts_outbox_oldest_seconds)"},
            ),
            graph(
                "Deliveries to endpoints",
                "By kind and by status class or fault, in 10 minutes.",
                {"{{kind}}: {{outcome}}": "sum by (kind, outcome) (increase(alerts_endpoint_attempts_total[10m]))"},
            ),
            graph("Open streams", "By instance.", {"{{instance}}": "alerts_stream_subscribers"}),
        ],
        "Trouble": [
            graph(
                "Errors",
                "Of Kafka and of the database, in 10 minutes.",
                {
                    "Kafka": "sum(increase(alerts_broker_errors_total[10m]))",
                    "database": "sum(increase(alerts_database_errors_total[10m]))",
                },
            ),
            graph(
                "Refused requests",
                "By reason, in 10 minutes.",
                {"{{reason}}": "sum by (reason) (increase(alerts_requests_refused_total[10m]))"},
            ),
        ],
    }
    return _json(_dashboard("alerts", "Alerts", "What was decided, what was delivered, what failed.", rows))


def labs() -> dict[str, Any]:
    """What a lab wants to see: scores over time, with the events that moved them. Public facts only."""
    one = 'vendor="$vendor"'
    rows: Rows = {
        "$vendor towards $view": [
            number("Score", "Confirmed.", f'neutrality:score{{{one}, view="$view"}}', wide=4),
            number(
                "Projected",
                "With what is announced or rumoured.",
                f'max by (vendor, view) (neutrality_projected_score{{{one}, view="$view"}})',
                wide=4,
            ),
            number(
                "Taken from the headline",
                "Points, by lab and channel.",
                f"neutrality:influence_points{{{one}}}",
                legend="{{lab}}: {{channel}}",
                wide=16,
            ),
            graph(
                "Score history",
                "Each mark is the event that moved it.",
                {
                    "confirmed": f'neutrality:score{{{one}, view="$view"}}',
                    "projected": f'max by (vendor, view) (neutrality_projected_score{{{one}, view="$view"}})',
                },
                wide=24,
            ),
            graph("Towards every lab", "`headline`: a lab without ties.", {"{{view}}": f"neutrality:score{{{one}}}"}),
            graph(
                "Who takes the points",
                "Of the headline score.",
                {"{{lab}}: {{channel}}": f"neutrality:influence_points{{{one}}}"},
            ),
        ],
        "All vendors": [
            graph(
                "Headline scores",
                "Of the vendors that change most.",
                {"{{vendor}}": 'neutrality:score{view="headline"}'},
                wide=24,
            )
        ],
    }
    built = _dashboard("labs", "For labs", "Scores over time, and the events that moved them.", rows).time("now-24h", "now")
    built.with_variable(_variable("vendor", "Vendor", "label_values(neutrality_score, vendor)"))
    built.with_variable(_variable("view", "Towards", 'label_values(neutrality_score{vendor="$vendor"}, view)'))
    document = _json(built)
    # what the library has no words for: the series' value is the time of the mark
    document["annotations"] = {
        "list": [
            {
                "name": "Events",
                "datasource": {"type": "prometheus", "uid": "prometheus"},
                "enable": True,
                "iconColor": "orange",
                "expr": f"max by (vendor, claim, summary) (neutrality_score_moved_timestamp_seconds{{{one}}}) * 1000",
                "useValueForTime": "on",
                "titleFormat": "{{claim}}",
                "textFormat": "{{summary}}",
                "step": "30s",
            }
        ]
    }
    return document


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def _json(built: dashboard.Dashboard) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    return document


def main(arguments: list[str]) -> int:
    """Write, or check."""
    for name, make in (("overview", overview), ("scoring", scoring), ("alerts", alerts), ("labs", labs)):
        text = json.dumps(make(), indent=1, sort_keys=True) + "\n"
        file = TARGET / f"{name}.json"
        if arguments != ["--check"]:
            TARGET.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{file.name} is not what dashboards.py says; run `make generate`\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
