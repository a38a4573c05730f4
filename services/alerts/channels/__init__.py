"""How an alert leaves for people.

`rendering` puts alerts into words, `email` hands them to an SMTP relay, `apprise` to Slack, Teams, PagerDuty and others.
Each sender makes one attempt and tells what came of it; when to try again is the worker's business.
"""
